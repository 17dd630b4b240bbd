/** A Durable Object's SQLite storage with the interface of the outbox. */

import type { Sqlite, SqliteValue } from '../src/database/sqlite.ts';

export class DurableObjectSqlite implements Sqlite {
  readonly isExclusive = true;
  readonly #storage: DurableObjectStorage;
  #rowsWritten = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  get rowsWritten(): number {
    return this.#rowsWritten;
  }

  run<Row>(statement: string, ...bindings: SqliteValue[]): Row[] {
    const cursor = this.#storage.sql.exec(statement, ...bindings);
    const rows = cursor.toArray() as Row[];
    this.#rowsWritten += cursor.rowsWritten;
    return rows;
  }

  rows<Row extends readonly SqliteValue[]>(statement: string, ...bindings: SqliteValue[]): Row[] {
    const cursor = this.#storage.sql.exec(statement, ...bindings);
    const rows = [...cursor.raw()] as unknown as Row[];
    this.#rowsWritten += cursor.rowsWritten;
    return rows;
  }

  transaction<Result>(step: () => Result): Result {
    return this.#storage.transactionSync(step);
  }

  sync(): Promise<void> {
    return this.#storage.sync();
  }
}
