/** Bare statements on SQLite, Node's or a Durable Object's. */

import type { SqliteValue } from '../../src/database/sqlite.ts';
import type { FloorSpec } from './floor.ts';
import type { FloorTable } from './floor-table.ts';

/** A prepared statement, as bare as the platform has it. */
export interface BareStatement {
  run(...bindings: SqliteValue[]): unknown;
  all(...bindings: SqliteValue[]): readonly unknown[];
}

export interface BareSqlite {
  exec(statement: string): void;
  prepare(statement: string): BareStatement;
  /** Runs `work` in one transaction. */
  transaction(work: () => void): void;
}

/** Creates the table, and prepares its statements. */
export function sqliteFloor<Row>(
  { columns, key, selects, sqlite: spec }: FloorSpec<Row>,
  sqlite: BareSqlite,
  hasIndexes: boolean,
): FloorTable<Row> {
  for (const statement of spec.create(hasIndexes)) sqlite.exec(statement);
  const list = columns.join(', ');
  const insert = sqlite.prepare(`insert into floor (${list}) values ${spec.insert}`);
  const index = hasIndexes ? spec.indexRows : undefined;
  const insertIndex = index === undefined ? undefined : sqlite.prepare(index.insert);
  const prepared = new Map(
    Object.keys(selects).map((name) => [
      name,
      sqlite.prepare(spec.selects?.[name] ?? `select ${list} from floor ${selects[name]}`),
    ]),
  );
  const count = sqlite.prepare(
    `select count(*) as n, (select count(*) from (select distinct ${key.join(', ')} from floor)) as keys from floor`,
  );
  const insertRow = (row: Row): void => {
    insert.run(...spec.values(row));
    if (index !== undefined) for (const values of index.values(row)) insertIndex?.run(...values);
  };
  return {
    insert(rows) {
      const [only] = rows;
      // One statement is a transaction by itself.
      if (rows.length === 1 && only !== undefined && index === undefined) insertRow(only);
      else
        sqlite.transaction(() => {
          for (const row of rows) insertRow(row);
        });
      return undefined;
    },
    select: (name, ...values) => prepared.get(name)?.all(...values) ?? [],
    async count() {
      const [row] = count.all() as { n: number; keys: number }[];
      return { rows: row?.n ?? 0, keys: row?.keys ?? 0 };
    },
    async settle() {
      sqlite.exec('analyze');
    },
  };
}
