/** Every writer writes the members of messages into a table that knows nothing of Sluice. */

import {
  bigint,
  boolean,
  doublePrecision,
  jsonb,
  numeric,
  pgTable,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { batchOf, write } from './contract.ts';

const database = testDatabase('tcp');
let connection: Connection;
beforeAll(async () => {
  connection = await database.open();
});

describe.each(WRITER_MODES)('the writer %s', (mode) => {
  test('fills columns of many types from members, defaults, and what Postgres makes itself', async () => {
    const name = freshName('members');
    const table = pgTable(name, {
      id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
      deviceId: text('device_id').notNull(),
      celsius: doublePrecision(),
      exact: numeric(),
      big: bigint({ mode: 'bigint' }),
      isNew: boolean('is_new').notNull().default(true),
      tags: text().array(),
      raw: jsonb(),
      key: uuid(),
      at: timestamp({ withTimezone: true }).notNull().defaultNow(),
    });
    await rowsOf(
      connection,
      `create table ${name} (id bigint primary key generated always as identity, device_id text not null,
        celsius double precision, exact numeric, big bigint, is_new boolean not null default true, tags text[],
        raw jsonb, key uuid, at timestamptz not null default now())`,
    );
    const batch = batchOf([
      {
        payload:
          '{"deviceId":"a\\tb\\\\c\\nd","celsius":-1.5e-7,"exact":0.100000000000000000000000000001,"big":9223372036854775807,"is_new":false,"tags":["x","y\\"z",null,"a,b"],"raw":{"n":1.10},"key":"3fa85f64-5717-4562-b3fc-2c963f66afa6","at":"2020-01-01T01:00:00+01:00","other":1}',
      },
      { payload: '{"device_id":"second","raw":"text"}', receivedAtMs: Date.UTC(2026, 0, 1) },
    ]);
    // Some writers take one message at a time.
    for (let row = 0; row < 2; row += 1)
      await write(mode, defineSink('members', { table }), { ...batch, from: row, to: row + 1 }, connection);
    const rows = await rowsOf(
      connection,
      `select device_id, celsius::text, exact::text, big::text, is_new, tags, raw::text, key::text,
        to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as at from ${name} order by id`,
    );
    expect(rows).toEqual([
      {
        device_id: 'a\tb\\c\nd',
        celsius: '-1.5e-07',
        exact: '0.100000000000000000000000000001',
        big: '9223372036854775807',
        is_new: false,
        tags: ['x', 'y"z', null, 'a,b'],
        raw: '{"n": 1.10}',
        key: '3fa85f64-5717-4562-b3fc-2c963f66afa6',
        at: '2020-01-01 00:00:00',
      },
      {
        device_id: 'second',
        celsius: null,
        exact: null,
        big: null,
        is_new: true,
        tags: null,
        raw: '"text"',
        key: null,
        at: '2026-01-01 00:00:00',
      },
    ]);
    await rowsOf(connection, `drop table ${name}`);
  });
});
