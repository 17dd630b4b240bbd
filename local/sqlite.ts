/** Node's SQLite with the interface of the stores and the outbox, in memory or in a file. */

import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Sqlite, SqliteValue } from '../src/database/sqlite.ts';

export interface NodeSqliteOptions {
  /**
   * What a commit in a file waits for. `full`: the disk; it survives a loss of power. `normal`: the operating system; it survives the end
   * of the process, and a loss of power may undo the last commits but never tears one. Default: `full`.
   */
  synchronous?: 'full' | 'normal';
  /** How long a statement waits for another process that writes to the file. Default: 5,000. */
  busyTimeoutMs?: number;
  /** Prepared statements that are kept, of those with objects as rows and of those with arrays. Default: 100 each. */
  maxStatements?: number;
}

export class NodeSqlite implements Sqlite {
  readonly database: DatabaseSync;
  readonly isExclusive: boolean;
  /** Prepared statements by their texts: those whose rows are objects, and those whose rows are arrays. */
  readonly #objects = new Map<string, StatementSync>();
  readonly #arrays = new Map<string, StatementSync>();
  readonly #maxStatements: number;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  #depth = 0;

  /** @param path a file, created where there is none and then in WAL mode; default: in memory */
  constructor(path = ':memory:', options: NodeSqliteOptions = {}) {
    const { synchronous = 'full', busyTimeoutMs = 5_000, maxStatements = 100 } = options;
    this.#maxStatements = maxStatements;
    this.isExclusive = path === ':memory:';
    this.database = new DatabaseSync(path, { timeout: busyTimeoutMs });
    if (path !== ':memory:') {
      this.database.exec('pragma journal_mode = wal');
      this.database.exec(`pragma synchronous = ${synchronous === 'normal' ? 'normal' : 'full'}`);
    }
    // Takes the right to write at once: a transaction that has read and then wants to write fails where another process wrote in between.
    this.#begin = this.database.prepare('begin immediate');
    this.#commit = this.database.prepare('commit');
  }

  get rowsWritten(): number {
    return (this.database.prepare('select total_changes() as n').get() as { n: number }).n;
  }

  run<Row = Record<string, SqliteValue>>(statement: string, ...bindings: SqliteValue[]): Row[] {
    return this.#prepared(statement, this.#objects, false).all(...bindings) as Row[];
  }

  rows<Row extends readonly SqliteValue[]>(statement: string, ...bindings: SqliteValue[]): Row[] {
    return this.#prepared(statement, this.#arrays, true).all(...bindings) as unknown as Row[];
  }

  transaction<Result>(step: () => Result): Result {
    // Also inside of a transaction that was begun by a statement.
    if (this.database.isTransaction) return this.#nested(step);
    this.#begin.get();
    try {
      const result = step();
      this.#commit.get();
      return result;
    } catch (error) {
      // SQLite itself has ended the transaction after some failures, as a full disk.
      if (this.database.isTransaction) this.database.exec('rollback');
      throw error;
    }
  }

  /** A commit is as durable as `synchronous` says when the statement returns. */
  async sync(): Promise<void> {}

  close(): void {
    this.#objects.clear();
    this.#arrays.clear();
    this.database.close();
  }

  #nested<Result>(step: () => Result): Result {
    const name = `step_${this.#depth}`;
    this.run(`savepoint ${name}`);
    this.#depth += 1;
    try {
      const result = step();
      this.run(`release ${name}`);
      return result;
    } catch (error) {
      if (this.database.isTransaction) {
        this.run(`rollback to ${name}`);
        this.run(`release ${name}`);
      }
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  #prepared(text: string, kept: Map<string, StatementSync>, asArrays: boolean): StatementSync {
    const known = kept.get(text);
    if (known !== undefined) return known;
    const statement = this.database.prepare(text);
    if (asArrays) statement.setReturnArrays(true);
    if (kept.size >= this.#maxStatements) {
      const oldest = kept.keys().next().value;
      if (oldest !== undefined) kept.delete(oldest);
    }
    kept.set(text, statement);
    return statement;
  }
}
