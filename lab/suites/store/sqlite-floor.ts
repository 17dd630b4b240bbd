/** Bare statements on SQLite, Node's or a Durable Object's. */

import type { SqliteValue } from '../../../src/database/sqlite.ts';
import { FLOOR_COLUMNS, type FloorTable } from './floor-table.ts';

/** A prepared statement, as bare as the platform has it. */
export interface BareStatement {
  run(...bindings: SqliteValue[]): unknown;
  all(...bindings: SqliteValue[]): readonly unknown[];
}

export interface BareSqlite {
  exec(statement: string): void;
  prepare(statement: string): BareStatement;
  /** Runs `step` in one transaction. */
  transaction(step: () => void): void;
}

/** Creates the table, and prepares its statements. Without indexes, it has a primary key and nothing else. */
export function sqliteFloor(sqlite: BareSqlite, hasIndexes: boolean): FloorTable {
  for (const statement of [
    'drop table if exists floor',
    `create table floor (global_position integer primary key, stream_name text not null, category text not null,
      position integer not null, type text not null, data text not null, metadata text, id text not null, time integer not null)`,
    ...(hasIndexes
      ? [
          'create unique index floor_stream on floor (stream_name, position)',
          'create index floor_category on floor (category, global_position)',
          'create unique index floor_id on floor (id)',
        ]
      : []),
  ]) {
    sqlite.exec(statement);
  }
  const columns = FLOOR_COLUMNS.join(', ');
  const insert = sqlite.prepare(
    `insert into floor (${columns}) values (${FLOOR_COLUMNS.map(() => '?').join(', ')})`,
  );
  const stream = sqlite.prepare(
    `select ${columns} from floor where stream_name = ? and position >= 0 order by position limit ?`,
  );
  const category = sqlite.prepare(
    `select ${columns} from floor where category = ? and global_position >= 1 order by global_position limit ?`,
  );
  const count = sqlite.prepare(
    `select count(*) as n, (select count(*) from (select distinct stream_name, position from floor)) as places from floor`,
  );
  return {
    insert(rows) {
      const [only] = rows;
      if (rows.length === 1 && only !== undefined) {
        insert.run(...only);
      } else {
        sqlite.transaction(() => {
          for (const row of rows) insert.run(...row);
        });
      }
      return undefined;
    },
    selectStream: (name, limit) => stream.all(name, limit),
    selectCategory: (name, limit) => category.all(name, limit),
    async count() {
      const [row] = count.all() as { n: number; places: number }[];
      return { rows: row?.n ?? 0, places: row?.places ?? 0 };
    },
  };
}
