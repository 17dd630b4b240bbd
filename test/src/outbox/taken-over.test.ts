/**
 * A shard's storage that was left by Sluice 0.2.0 (commit 07b5b89), before there were sessions: it is taken over, and a
 * deployment that goes back finds what it needs.
 */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  benchSink,
  benchTableName,
  createBenchCheckpoints,
  createBenchTable,
} from '../../../lab/suites/ingest/bench-sink.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { ProducerRegistry } from '../../../src/outbox/producer-registry.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';

const LEFT = readFileSync(new URL('./fixtures/outbox-07b5b89.sql', import.meta.url), 'utf8');
const EPOCH_OF_A = 1_795_266_606_000;
const NOW_MS = EPOCH_OF_A + 60_000;

const database = testDatabase('tcp');
let onlooker: Connection;

beforeAll(async () => {
  onlooker = await database.open();
  await rowsOf(onlooker, createBenchCheckpoints());
});
afterAll(() => onlooker.close());

type Frame = Record<string, unknown> & { t: string };

function storageOfBefore(): NodeSqlite {
  const sqlite = new NodeSqlite();
  sqlite.database.exec(LEFT);
  return sqlite;
}

function start(sqlite: NodeSqlite, table: string, open: () => Promise<Connection>) {
  const deadLetters = new DeadLetters({ sqlite, maxRows: 100, maxBytes: 1e9 });
  const pipeline = new Pipeline({
    sink: benchSink({ table, column: 'text', options: { lingerMs: 0 } }),
    shard: table,
    openConnection: open,
    timers: new FakeTimers(NOW_MS),
    random: Math.random,
    sqlite,
    deadLetters,
  });
  return { pipeline, deadLetters };
}

/** What a shard answers a hello with. */
function hello(pipeline: Pipeline, producer: string, fields: object): { frame?: Frame; closed?: number } {
  const answer: { frame?: Frame; closed?: number } = {};
  const session = pipeline.openSession(
    {
      send: (frame) => {
        answer.frame = JSON.parse(frame) as Frame;
      },
      close: (code) => {
        answer.closed = code;
      },
    },
    { producer, protocol: 'sluice.v1', nowMs: NOW_MS },
  );
  session.receive(JSON.stringify({ t: 'hello', ...fields }), NOW_MS);
  return answer;
}

describe('an outbox from before sessions', () => {
  test('is written, each message once and in order; dead letters are there', async () => {
    const table = freshName('before');
    await rowsOf(onlooker, createBenchTable(table, 'text'));
    const { pipeline, deadLetters } = start(storageOfBefore(), table, () => openConnection(database.target));
    expect(pipeline.stats()).toMatchObject({ recovered: 10, buffered: 10 });
    pipeline.flush();
    await pipeline.drained();
    const rows = await rowsOf(
      onlooker,
      `select producer, epoch, sequence, payload from ${benchTableName(table)} order by id`,
    );
    expect(rows.map((row) => Object.values(row).join(' '))).toEqual([
      'a 1795266606000 1 {"a":1}',
      'a 1795266606000 2 {"a":"\\u00e9"}',
      'a 1795266606000 3 {"a":3}',
      'a 1795266606000 4 {"a":4}',
      'a 1795266606000 6 {"a":6}',
      'b 7 1 {"b":1}',
      'b 7 2 {"b":2}',
      'b 1795266606010 1 {"b2":1}',
      'raw 0 1795266606010000 {"raw":1}',
      'raw 0 1795266606010001 {"raw":"\ufffd"}',
    ]);
    expect(deadLetters.totals).toMatchObject({ count: 1 });
  });

  test('knows its producers: their epochs and sequences, and fences what it fenced', () => {
    const { pipeline } = start(storageOfBefore(), 'unused', () => Promise.reject(new Error('away')));
    expect(pipeline.producers.find('a')).toMatchObject({ epoch: EPOCH_OF_A, nextSequence: 7, committed: 0 });
    expect(pipeline.producers.epochsOf('b')).toMatchObject([
      { epoch: 7, nextSequence: 3 },
      { epoch: EPOCH_OF_A + 10, nextSequence: 3 },
    ]);
    expect(hello(pipeline, 'b', { epoch: 7 }).closed).toBe(4410);
    // A client of that time cannot go on, since it names no session; it is told so, and nothing of its epoch is given away.
    expect(hello(pipeline, 'a', { epoch: EPOCH_OF_A, resume: true, next: 7 }).closed).toBe(4400);
    expect(hello(pipeline, 'a', {}).frame).toMatchObject({ t: 'welcome', stored: 0, session: /./ });
    expect(pipeline.producers.find('a')?.epoch).toBe(NOW_MS);
  });
});

describe('a deployment that goes back', () => {
  // As that code wrote and read, word for word.
  const OLD_SELECT = 'select epoch, committed, used_up_to from producers where name = ?';
  const OLD_SAVE = `insert into producers (name, epoch, committed, used_up_to, used_at_ms)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3, ? from json_each(?) where true
        on conflict (name) do update set epoch = excluded.epoch, committed = excluded.committed,
          used_up_to = excluded.used_up_to, used_at_ms = excluded.used_at_ms`;
  const OLD_TABLES = [
    'create table if not exists producers (name text primary key, epoch integer not null, committed integer not null, used_up_to integer not null, used_at_ms integer not null) without rowid',
    'create table if not exists outbox_lanes (lane integer primary key, incarnation text not null, head integer not null, fence integer, cuts text not null)',
    'create table if not exists outbox_groups (key integer primary key, rows integer not null, bytes integer not null, runs text not null, body text not null)',
  ];

  test('finds producers and messages where it looks for them, and the way forth again knows what it did', () => {
    const sqlite = storageOfBefore();
    const { pipeline } = start(sqlite, 'unused', () => Promise.reject(new Error('away')));
    expect(hello(pipeline, 'c', { instance: 'one' }).frame).toMatchObject({ t: 'welcome' });
    const session = pipeline.openSession(
      { send: () => {}, close: () => {} },
      { producer: 'd', protocol: 'sluice.v1', nowMs: NOW_MS },
    );
    session.receive('{"t":"hello","instance":"two"}', NOW_MS);
    session.receive('{"t":"batch","seq":1,"n":2}\n{"d":1}\n{"d":2}', NOW_MS);
    pipeline.storeGroup();

    for (const statement of OLD_TABLES) sqlite.run(statement);
    expect(sqlite.run(OLD_SELECT, 'c')).toEqual([{ epoch: NOW_MS, committed: 0, used_up_to: 0 }]);
    const [lane] = sqlite.run('select incarnation, head, fence, cuts from outbox_lanes where lane = ?', 0);
    expect(lane).toMatchObject({ incarnation: 'incarnation-of-old', head: 0, fence: null });
    const groups = sqlite.run<{ rows: number; runs: string; body: string }>(
      'select key, rows, bytes, runs, body from outbox_groups where key >= ? and key < ? order by key limit ?',
      0,
      2 ** 48,
      128,
    );
    expect(groups).toHaveLength(5);
    expect(groups.at(-1)).toMatchObject({ rows: 2, body: '{"d":1}\n{"d":2}' });
    expect(JSON.parse(groups.at(-1)?.runs ?? '')).toEqual([['d', NOW_MS, 1, 2, NOW_MS, 1, '']]);

    // The code of before goes on with `d`, and begins another epoch of `c`.
    const saved = [
      ['c', NOW_MS + 5, 0, 0],
      ['d', NOW_MS, 2, 2],
    ];
    sqlite.run(OLD_SAVE, NOW_MS + 5, JSON.stringify(saved));
    const registry = new ProducerRegistry(sqlite);
    expect(registry.epochsOf('c')).toMatchObject([
      { epoch: NOW_MS + 5, instance: undefined, session: undefined },
    ]);
    expect(registry.epochsOf('d')).toMatchObject([
      { epoch: NOW_MS, instance: 'two', committed: 2, session: { id: expect.stringMatching(/^1\./) } },
    ]);
  });
});
