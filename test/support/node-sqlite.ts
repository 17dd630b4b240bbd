/** Node's SQLite behind the interface of the outbox: the same statements as in a Durable Object, in memory or in a file. */

import { DatabaseSync } from 'node:sqlite';
import type { Sqlite, SqliteValue } from '../../src/database/sqlite.ts';

export class NodeSqlite implements Sqlite {
  readonly database: DatabaseSync;
  #rowsWritten = 0;

  constructor(path = ':memory:') {
    this.database = new DatabaseSync(path);
  }

  get rowsWritten(): number {
    return this.#rowsWritten;
  }

  run<Row>(statement: string, ...bindings: SqliteValue[]): Row[] {
    const before = this.#totalChanges();
    const rows = this.database.prepare(statement).all(...bindings) as Row[];
    this.#rowsWritten += this.#totalChanges() - before;
    return rows;
  }

  transaction<Result>(step: () => Result): Result {
    this.database.exec('savepoint step');
    try {
      const result = step();
      this.database.exec('release step');
      return result;
    } catch (error) {
      this.database.exec('rollback to step; release step');
      throw error;
    }
  }

  async sync(): Promise<void> {}

  close(): void {
    this.database.close();
  }

  #totalChanges(): number {
    return (this.database.prepare('select total_changes() as n').get() as { n: number }).n;
  }
}
