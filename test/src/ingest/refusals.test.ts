/** From the server's error to the client's nack, the dead letter and the figures: with a real Postgres. */

import { sql } from 'drizzle-orm';
import { check, doublePrecision, pgTable, text } from 'drizzle-orm/pg-core';
import { beforeAll, expect, test } from 'vitest';
import { systemTimers } from '../../../src/core/timers.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { fromMessage } from '../../../src/sinks/column-sources.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';

const database = testDatabase('tcp');
const name = freshName('readings');
const readings = pgTable(
  name,
  { sensor: text().primaryKey(), celsius: doublePrecision().notNull(), place: text() },
  ({ celsius }) => [check('above_zero', sql`${celsius} > -274`)],
);
let onlooker: Connection;

beforeAll(async () => {
  onlooker = await database.open();
  await rowsOf(
    onlooker,
    `create table ${name} (sensor text primary key, celsius double precision not null, place text,
      constraint above_zero check (celsius > -274))`,
  );
});

type Frame = Record<string, unknown>;

function start(sqlite = new NodeSqlite()) {
  const deadLetters = new DeadLetters({ sqlite, maxRows: 100, maxBytes: 1e9 });
  const sink = defineSink('readings', {
    table: readings,
    columns: {
      place: fromMessage(({ json }) => {
        if (json.place === 'nowhere') throw new Error('There is no such place');
        return String(json.place ?? 'hall');
      }),
    },
    options: { lingerMs: 0, groupMs: 0 },
  });
  const pipeline = new Pipeline({
    sink,
    shard: name,
    openConnection: () => openConnection(database.target),
    timers: systemTimers,
    // The longest wait that there is after a failure, so that it is kept in storage.
    random: () => 0.999_999,
    sqlite,
    deadLetters,
  });
  return { pipeline, deadLetters, sqlite };
}

/** Sends messages as one batch, and answers with the nacks that its client got, once all is settled. */
async function sent(pipeline: Pipeline, producer: string, messages: readonly object[]): Promise<Frame[]> {
  const frames: Frame[] = [];
  const session = pipeline.openSession(
    { send: (frame) => void frames.push(JSON.parse(frame) as Frame), close: () => {} },
    { producer, protocol: 'sluice.v1', nowMs: Date.now() },
  );
  const lines = messages.map((message) => JSON.stringify(message));
  for (const frame of [
    '{"t":"hello","ack":"committed"}',
    [`{"t":"batch","seq":1,"n":${lines.length}}`, ...lines].join('\n'),
  ])
    session.receive(frame, Date.now());
  pipeline.flush();
  await pipeline.drained();
  return frames.filter(({ t }) => t === 'nack');
}

test('a client, the dead letter and the figures learn by whom a message was refused, and where', async () => {
  const { pipeline, deadLetters } = start();
  const nacks = await sent(pipeline, 'hall', [
    { sensor: 'a', celsius: 20 },
    { sensor: 'b', celsius: -300 },
    { sensor: 'c', celsius: 'warm' },
    { sensor: 'd', celsius: 20, place: 'nowhere' },
    { sensor: 'a', celsius: 21 },
    { sensor: 'e', celsius: 20 },
  ]);
  const dead = { t: 'nack', code: 'dead_letter', temporary: false, message: expect.any(String) };
  expect(nacks.sort((left, right) => Number(left.from) - Number(right.from))).toEqual([
    { ...dead, from: 2, to: 2, by: 'postgres', sqlState: '23514', constraint: 'above_zero' },
    { ...dead, from: 3, to: 3, by: 'mapping', column: 'celsius' },
    { ...dead, from: 4, to: 4, by: 'sink' },
    { ...dead, from: 5, to: 5, by: 'postgres', sqlState: '23505', constraint: `${name}_pkey` },
  ]);
  const letters = deadLetters.take('all').letters.sort((left, right) => left.sequence - right.sequence);
  expect(letters).toMatchObject([
    {
      by: 'postgres',
      sqlState: '23514',
      table: name,
      constraint: 'above_zero',
      detail: 'Failing row contains (b, -300, hall).',
    },
    { by: 'mapping', sqlState: null, table: null, column: 'celsius', constraint: null, detail: null },
    { by: 'sink', sqlState: null, reason: expect.stringContaining('There is no such place') },
    {
      by: 'postgres',
      sqlState: '23505',
      table: name,
      constraint: `${name}_pkey`,
      detail: 'Key (sensor)=(a) already exists.',
    },
  ]);
  // The last error of the batch that was taken apart is still told.
  expect(pipeline.stats().lastErrorDetails?.by).toMatch(/^(postgres|mapping|sink)$/);
  // A control: what is good makes none of it.
  const fresh = start();
  expect(await sent(fresh.pipeline, 'kitchen', [{ sensor: 'f', celsius: 20 }])).toEqual([]);
  expect(fresh.pipeline.stats()).toMatchObject({ committed: 1, dead: 0, lastErrorDetails: null });
  const rows = await rowsOf(onlooker, `select sensor from ${name} order by sensor`);
  expect(rows).toEqual(['a', 'e', 'f'].map((sensor) => ({ sensor })));
});

test('why a shard has paused is told with its fields, also after it has started again', async () => {
  const { pipeline, sqlite } = start();
  await rowsOf(onlooker, `alter table ${name} rename column place to somewhere`);
  try {
    const session = pipeline.openSession(
      { send: () => {}, close: () => {} },
      { producer: 'late', protocol: 'raw', nowMs: Date.now() },
    );
    session.receive('{"sensor":"z","celsius":1}', Date.now());
    // Only a longer wait is kept in storage.
    while (pipeline.stats().failuresInARow < 5) {
      pipeline.flush();
      await pipeline.nextAttempt();
    }
  } finally {
    await rowsOf(onlooker, `alter table ${name} rename column somewhere to place`);
  }
  const told = { by: 'postgres', sqlState: '42703', detail: null, hint: null, constraint: null };
  expect(pipeline.stats()).toMatchObject({ state: 'paused', lastErrorDetails: told });
  const again = start(sqlite).pipeline;
  expect(again.stats()).toMatchObject({ state: 'paused', lastErrorDetails: told });
  again.flush();
  await again.drained();
  expect(again.stats()).toMatchObject({ state: 'running', committed: 1 });
});
