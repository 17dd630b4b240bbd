/** Bare statements on SQLite, Node's or a Durable Object's. */

import type { BareSqlite } from '../store/sqlite-floor.ts';
import type { FloorTable, FloorValues } from './floor.ts';

const COLUMNS = 'position, time, id, type, tags, data, metadata';
/** Arrays in the order of `COLUMNS`, whatever rows the platform makes. */
const NAMES = ['position', 'time', 'id', 'type', 'tags', 'data', 'metadata'] as const;

/** Creates the table, and prepares its statements. Its index of tags is a table beside it: SQLite has none of arrays. */
export function sqliteEventFloor(sqlite: BareSqlite, hasIndex: boolean): FloorTable {
  for (const statement of [
    'drop table if exists floor',
    'drop table if exists floor_tags',
    `create table floor (position integer primary key, time integer not null, id text, type text not null, tags text not null,
      data text not null, metadata text)`,
    'create table floor_tags (tag text not null, position integer not null, primary key (tag, position)) without rowid',
  ]) {
    sqlite.exec(statement);
  }
  const insert = sqlite.prepare(`insert into floor (${COLUMNS}) values (?, ?, null, ?, ?, ?, null)`);
  const insertTag = sqlite.prepare('insert into floor_tags (tag, position) values (?, ?)');
  const tagged = sqlite.prepare(
    `select ${NAMES.map((name) => `floor.${name}`).join(', ')} from floor_tags join floor on floor.position = floor_tags.position
      where floor_tags.tag = ? order by floor_tags.position`,
  );
  const page = sqlite.prepare(`select ${COLUMNS} from floor where position > ? order by position limit ?`);
  const count = sqlite.prepare(
    'select count(*) as n, (select count(*) from (select distinct position from floor)) as places from floor',
  );
  return {
    insert(rows) {
      const insertAll = (): void => {
        for (const { position, timeUs, type, tags, data } of rows) {
          insert.run(position, timeUs, type, JSON.stringify(tags), data);
          if (hasIndex) for (const tag of tags) insertTag.run(tag, position);
        }
      };
      // One statement is a transaction of its own.
      if (rows.length === 1 && !hasIndex) insertAll();
      else sqlite.transaction(insertAll);
      return undefined;
    },
    selectTag: (tag) => tagged.all(tag),
    selectPage: (after, limit) =>
      (page.all(after, limit) as Record<(typeof NAMES)[number], unknown>[]).map(
        (row) => [row.position, row] as unknown as FloorValues,
      ),
    async count() {
      const [row] = count.all() as { n: number; places: number }[];
      return { rows: row?.n ?? 0, places: row?.places ?? 0 };
    },
    async settle() {
      sqlite.exec('analyze');
    },
  };
}
