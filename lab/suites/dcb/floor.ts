/** The bare statements that the event store is compared with. */

import type { FloorSpec } from '../../jobs/floor.ts';
import type { DataSet } from './data-set.ts';
import type { DcbOperation } from './job.ts';
import { attemptEvents, TEST_DATA_TEXT } from './written-events.ts';

export interface EventRow {
  position: number;
  timeUs: number;
  type: string;
  tags: readonly string[];
  data: string;
}

const COLUMNS = ['position', 'time', 'id', 'type', 'tags', 'data', 'metadata'] as const;

export const EVENT_FLOOR: FloorSpec<EventRow> = {
  columns: COLUMNS,
  key: ['position'],
  selects: {
    tag: 'where tags @> array[?] order by position',
    page: 'where position > ? order by position limit ?',
  },
  postgres: {
    create: (table, hasIndexes) => [
      `create table ${table} (position bigint primary key, time timestamptz not null, id uuid, type text collate "C" not null,
        tags text[] collate "C" not null, data text not null, metadata text)`,
      // Without its pending list, whose turn comes at any time and makes figures jump.
      ...(hasIndexes ? [`create index floor_tags on ${table} using gin (tags) with (fastupdate = off)`] : []),
    ],
    insert: '($1, to_timestamp($2::bigint / 1e6), null, $3, $4, $5, null)',
    values: ({ position, timeUs, type, tags, data }) => [position, timeUs, type, arrayLiteral(tags), data],
    copyFields: ({ position, timeUs, type, tags, data }) => [
      ...[position, new Date(timeUs / 1_000).toISOString(), '\\N'],
      ...[type, arrayLiteral(tags), data, '\\N'],
    ],
  },
  // SQLite has no index of arrays: a table beside it serves as one.
  sqlite: {
    create: () => [
      'drop table if exists floor',
      'drop table if exists floor_tags',
      `create table floor (position integer primary key, time integer not null, id text, type text not null, tags text not null,
        data text not null, metadata text)`,
      'create table floor_tags (tag text not null, position integer not null, primary key (tag, position)) without rowid',
    ],
    insert: '(?, ?, null, ?, ?, ?, null)',
    values: ({ position, timeUs, type, tags, data }) => [position, timeUs, type, JSON.stringify(tags), data],
    indexRows: {
      insert: 'insert into floor_tags (tag, position) values (?, ?)',
      values: ({ position, tags }) => tags.map((tag) => [tag, position]),
    },
    selects: {
      tag: `select ${COLUMNS.map((name) => `floor.${name}`).join(', ')} from floor_tags
        join floor on floor.position = floor_tags.position
        where floor_tags.tag = ? order by floor_tags.position`,
    },
  },
};

/** The bench's own tags hold nothing that would have to be escaped. */
function arrayLiteral(tags: readonly string[]): string {
  return `{${tags.join(',')}}`;
}

/** The position of a selected row, as either kind of database returns it. */
export function positionOf(row: unknown): number {
  return Number(Array.isArray(row) ? row[0] : (row as { position: unknown }).position);
}

const FIRST_TIME_US = Date.UTC(2026, 0, 1) * 1_000;

/** The rows of an attempt, made ahead of the clock. */
export function attemptRows(operation: DcbOperation, attempt: number): EventRow[] {
  const events = attemptEvents(operation, attempt, '');
  return events.map(({ type, tags = [] }, index) => {
    const position = attempt * events.length + index + 1;
    return { position, timeUs: FIRST_TIME_US + position, type, tags, data: TEST_DATA_TEXT };
  });
}

/** The rows of a set. */
export function* setRows(set: DataSet): Generator<EventRow> {
  for (let index = 0; index < set.events; index += 1) {
    const position = index + 1;
    const { type, tags, data } = set.event(index);
    yield { position, timeUs: FIRST_TIME_US + position, type, tags, data: JSON.stringify(data) };
  }
}
