/** The bare statements that the message store is compared with. */

import type { FloorSpec } from '../../jobs/floor.ts';
import { accountData, BENCH_CATEGORY, benchId, FIRST_TIME_US, streamOf } from './data.ts';

/** A row in the order of the columns. */
export type MessageRow = [
  globalPosition: number,
  stream: string,
  category: string,
  position: number,
  type: string,
  data: string,
  metadata: null,
  id: string,
  timeUs: number,
];

export const MESSAGE_FLOOR: FloorSpec<MessageRow> = {
  columns: [
    'global_position',
    'stream_name',
    'category',
    'position',
    'type',
    'data',
    'metadata',
    'id',
    'time',
  ],
  key: ['stream_name', 'position'],
  selects: {
    stream: 'where stream_name = ? and position >= 0 order by position limit ?',
    category: 'where category = ? and global_position >= 1 order by global_position limit ?',
  },
  postgres: {
    create: (table, hasIndexes) => [
      `create table ${table} (global_position bigint primary key, stream_name text not null, category text not null,
        position bigint not null, type text not null, data jsonb not null, metadata jsonb, id uuid not null, time timestamptz not null)`,
      ...(hasIndexes
        ? [
            `create unique index on ${table} (stream_name, position)`,
            `create index on ${table} (category, global_position)`,
            `create unique index on ${table} (id)`,
          ]
        : []),
    ],
    insert: '($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9::bigint / 1e6))',
    values: (row) => row,
    copyFields: ([global, stream, category, position, type, data, , id, timeUs]) => [
      ...[global, stream, category, position, type, data, '\\N', id],
      new Date(timeUs / 1_000).toISOString(),
    ],
  },
  sqlite: {
    create: (hasIndexes) => [
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
    ],
    insert: '(?, ?, ?, ?, ?, ?, ?, ?, ?)',
    values: (row) => row,
  },
};

/** The rows that operation `operation` inserts, made ahead of the clock. */
export function writtenRows(operation: number, count: number): MessageRow[] {
  return Array.from({ length: count }, (_, n) =>
    messageRow(operation * count + n + 1, streamOf(operation), operation, n),
  );
}

/** One row of the table. */
export function messageRow(globalPosition: number, stream: string, account: number, n: number): MessageRow {
  return [
    globalPosition,
    stream,
    BENCH_CATEGORY,
    n,
    'AccountCreated',
    JSON.stringify(accountData(account, n)),
    null,
    benchId(globalPosition),
    FIRST_TIME_US + globalPosition,
  ];
}
