/**
 * What the outbox and the stores need of an SQLite database: a Durable Object's own, or Node's. All of it is synchronous, so that a
 * step of several statements is one step; only durability is waited for.
 */

export type SqliteValue = string | number | null;

export interface Sqlite {
  /** Runs one statement and returns its rows. At most 100 bindings: that is what a Durable Object takes. */
  run<Row = Record<string, SqliteValue>>(statement: string, ...bindings: SqliteValue[]): Row[];
  /** As `run`, with each row as the array of its values: several times cheaper to make and to read than an object. */
  rows<Row extends readonly SqliteValue[]>(statement: string, ...bindings: SqliteValue[]): Row[];
  /** Runs `step`; if it throws, everything that it wrote is undone. */
  transaction<Result>(step: () => Result): Result;
  /** True where no other connection can write: then nothing comes between two statements of one synchronous step. Default: false. */
  readonly isExclusive?: boolean;
  /** Resolves once everything written so far would survive the end of the process. */
  sync(): Promise<void>;
  /** Rows written so far, as Cloudflare counts and bills them: inserts, updates and deletes, indexes included. */
  readonly rowsWritten: number;
}

export function hasTable(sqlite: Sqlite, name: string): boolean {
  return sqlite.run("select 1 from sqlite_master where type = 'table' and name = ?", name).length > 0;
}
