/** Batches that meet others: in another shard, behind a pooler, and when all of their messages are known. */

import { sql } from 'drizzle-orm';
import { bigint, integer, pgTable, text } from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemTimers } from '../../../src/core/timers.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { sqlState } from '../../../src/database/server-error.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import { Pipeline } from '../../../src/ingest/pipeline.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { fromProducer, fromSequence } from '../../../src/sinks/column-sources.ts';
import type { OnConflict } from '../../../src/sinks/on-conflict.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';
import { eventually } from '../../support/patience.ts';
import { startTransactionPooler, type TransactionPooler } from '../../support/transaction-pooler.ts';
import { batchOf, write } from './contract.ts';

const database = testDatabase('tcp');
let onlooker: Connection;
beforeAll(async () => {
  onlooker = await database.open();
});

const BATCH_WRITERS = ['bulk', 'unnest', 'copy'] as const;
const UPDATE = { action: 'update', columns: ['id'] } as const satisfies OnConflict;

async function numbered(onConflict: OnConflict<'id' | 'value'>, sink = 'numbered'): Promise<TableSink> {
  const table = pgTable(freshName('numbered'), { id: integer().primaryKey(), value: text() });
  await rowsOf(onlooker, sql`create table ${table} (id integer primary key, value text)`);
  return defineSink(sink, { table, onConflict });
}

const batch = (ids: readonly number[], value = 'new') =>
  batchOf(ids.map((id) => ({ payload: JSON.stringify({ id, value: `${value} ${id}` }) })));

describe('two shards that write the same keys in opposite orders', () => {
  type Send = (connection: Connection, ids: readonly number[]) => Promise<unknown>;

  /**
   * Both have written their first key and wait for the second, which somebody else holds. Then one of them goes on to the
   * other's first key.
   */
  async function crossed(quotedTable: string, send: Send): Promise<(string | undefined)[]> {
    const [one, two, holder] = await Promise.all([database.open(), database.open(), database.open()]);
    const pids = await Promise.all(
      [one, two].map(async (connection) => {
        const [row] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
        return row?.pid;
      }),
    );
    await rowsOf(holder, 'begin');
    await rowsOf(
      holder,
      `insert into ${quotedTable} values (2, 'held') on conflict (id) do update set value = 'held'`,
    );
    const ends = [send(one, [1, 2, 3]), send(two, [3, 2, 1])].map((sent) =>
      sent.then(() => undefined, sqlState),
    );
    await eventually(async () => {
      const waiting = await rowsOf(
        onlooker,
        sql`select distinct pid from pg_locks where not granted and pid in (${pids[0]}, ${pids[1]})`,
      );
      expect(waiting).toHaveLength(2);
    });
    await rowsOf(holder, 'rollback');
    return Promise.all(ends);
  }

  const there = (quotedTable: string) =>
    rowsOf(onlooker, `insert into ${quotedTable} values (1, 'old'), (2, 'old'), (3, 'old')`);

  describe.each(BATCH_WRITERS)('the writer %s', (mode) => {
    test.each([
      ['ignore', false],
      ['update of new keys', false],
      ['update of keys that are there', true],
    ])('does not deadlock: %s', async (name, isThere) => {
      const sink = await numbered(name === 'ignore' ? 'ignore' : UPDATE);
      if (isThere) await there(sink.quotedTable);
      const ends = await crossed(sink.quotedTable, (connection, ids) =>
        write(mode, sink, batch(ids), connection),
      );
      expect(ends).toEqual([undefined, undefined]);
      expect(await rowsOf(onlooker, `select * from ${sink.quotedTable} order by id`)).toEqual(
        [1, 2, 3].map((id) => ({ id, value: `new ${id}` })),
      );
    });
  });

  test.each([
    ['ignore', 'do nothing', false],
    ['update of new keys', 'do update set value = excluded.value', false],
    ['update of keys that are there', 'do update set value = excluded.value', true],
  ])('the control: without the order, one of them does: %s', async (_, clause, isThere) => {
    const { quotedTable } = await numbered('ignore');
    if (isThere) await there(quotedTable);
    const ends = await crossed(quotedTable, (connection, ids) => {
      const rows = ids.map((id) => `(${id}, 'new')`).join(', ');
      return rowsOf(connection, `insert into ${quotedTable} values ${rows} on conflict (id) ${clause}`);
    });
    expect(ends.toSorted()).toEqual(['40P01', undefined]);
  });

  test.each(['ignore', UPDATE] as const)('nor over many batches at once: %j', async (onConflict) => {
    const sink = await numbered(onConflict);
    const connections = await Promise.all([database.open(), database.open()]);
    const rounds = 60;
    const keys = 200;
    await Promise.all(
      connections.map(async (connection, shard) => {
        const prepare = WRITERS.copy.create(sink);
        for (let round = 0; round < rounds; round += 1) {
          const ids = Array.from({ length: keys }, (_, index) => round * (keys / 2) + index);
          await prepare(batch(shard === 0 ? ids : ids.toReversed(), `${shard}`))(connection);
        }
      }),
    );
    expect(await rowsOf(onlooker, `select count(*)::int as rows from ${sink.quotedTable}`)).toEqual([
      { rows: (rounds + 1) * (keys / 2) },
    ]);
  });
});

describe('behind a transaction pooler', () => {
  let pooler: TransactionPooler;
  const connections: Connection[] = [];
  beforeAll(async () => {
    const { hostname, port } = new URL(database.target.url);
    pooler = await startTransactionPooler({ host: hostname, port: Number(port) });
  });
  afterAll(async () => {
    for (const connection of connections) connection.close();
    await pooler.close();
  });

  async function open(): Promise<Connection> {
    const url = Object.assign(new URL(database.target.url), { port: String(pooler.port) }).href;
    const connection = await openConnection({ url, driver: 'tcp' });
    connections.push(connection);
    return connection;
  }

  test.each(BATCH_WRITERS)(
    'the writer %s leaves nothing in a session, whose server changes',
    async (mode) => {
      const sink = await numbered(UPDATE);
      // Each transaction gets the server that has waited longest: among five, the next round begins at another one.
      const [one, two] = [await open(), await open(), await open(), await open(), await open()];
      const pids = new Set<unknown>();
      for (let round = 0; round < 6; round += 1) {
        await write(mode, sink, batch([1, 2, 2, round], String(round)), round % 3 === 0 ? one : two);
        const [row] = await rowsOf(one, 'select pg_backend_pid() as pid');
        pids.add(row?.pid);
      }
      expect(pids.size, 'servers that one client had').toBeGreaterThan(1);
      expect(
        await rowsOf(onlooker, `select value from ${sink.quotedTable} where id in (1, 2) order by id`),
      ).toEqual([{ value: '5 1' }, { value: '5 2' }]);
      expect(
        await rowsOf(
          onlooker,
          "select oid from pg_class where relpersistence = 't' and relname = 'sluice_batch'",
        ),
      ).toEqual([]);
    },
  );

  test('the control: a temporary table that outlives its transaction is lost, or in the way', async () => {
    const [one] = [await open(), await open()];
    const ends = new Set<string | undefined>();
    for (let n = 0; n < 6; n += 1) {
      await rowsOf(one, 'create temporary table kept (id integer)').catch((error) =>
        ends.add(sqlState(error)),
      );
      await rowsOf(one, 'select * from kept').catch((error) => ends.add(sqlState(error)));
    }
    // Which of the two, the pooler decides.
    expect(['42P07', '42P01'].filter((state) => ends.has(state))).not.toEqual([]);
  });
});

describe('a replay', () => {
  /** Sends messages twice, each time as another instance of their producer. */
  async function replay(
    onConflict: OnConflict<'producer' | 'n'>,
    messages: number,
  ): Promise<{ first: IntakeStats; second: IntakeStats; rows: number; statements: number }> {
    const table = pgTable(freshName('replay'), {
      producer: text(),
      n: bigint({ mode: 'bigint' }).primaryKey(),
    });
    await rowsOf(onlooker, sql`create table ${table} (producer text, n bigint primary key)`);
    const sink = defineSink('replay', {
      table,
      columns: { producer: fromProducer, n: fromSequence },
      onConflict,
      options: { lingerMs: 0, groupMs: 0 },
    });
    let statements = 0;
    const sqlite = new NodeSqlite();
    const pipeline = new Pipeline({
      sink,
      shard: freshName('replay'),
      openConnection: async () => {
        const connection = await database.open();
        return {
          ...connection,
          get isOpen() {
            return connection.isOpen;
          },
          copy: (statement: string, data: readonly Uint8Array[]) => {
            statements += 1;
            return connection.copy(statement, data);
          },
        };
      },
      timers: systemTimers,
      random: Math.random,
      sqlite,
      deadLetters: new DeadLetters({ sqlite, maxRows: 1_000_000, maxBytes: 1e9 }),
      failpoints: { hit() {}, async pass() {} },
    });
    async function send(): Promise<IntakeStats> {
      const session = pipeline.openSession(
        { send: () => {}, close: () => {} },
        { producer: 'p', protocol: 'sluice.v1', nowMs: Date.now() },
      );
      session.receive(JSON.stringify({ t: 'hello', ack: 'none' }), Date.now());
      for (let seq = 1; seq <= messages; seq += 500) {
        const n = Math.min(500, messages - seq + 1);
        session.receive(`{"t":"batch","seq":${seq},"n":${n}}\n${Array(n).fill('{}').join('\n')}`, Date.now());
        pipeline.storeGroup();
      }
      pipeline.flush();
      await pipeline.drained();
      return pipeline.stats();
    }
    const first = await send();
    statements = 0;
    const second = await send();
    const [row] = await rowsOf<{ rows: number }>(onlooker, sql`select count(*)::int as rows from ${table}`);
    return { first, second, rows: row?.rows ?? 0, statements };
  }

  test.each(['ignore', { action: 'update', columns: ['n'] }] as const)(
    'of 12,000 known messages takes as few statements as new ones, and no dead letter: %j',
    async (onConflict) => {
      const { first, second, rows, statements } = await replay(onConflict, 12_000);
      expect(first).toMatchObject({ committed: 12_000, dead: 0, failures: 0 });
      expect(second).toMatchObject({ committed: 24_000, dead: 0, failures: 0, state: 'running' });
      expect(rows).toBe(12_000);
      // One for each batch: a few, however many messages are known.
      expect(statements).toBe(second.flushes - first.flushes);
      expect(statements).toBeLessThanOrEqual(24);
    },
  );

  test('the control: as errors, each known message is a dead letter', async () => {
    const { second, rows } = await replay('error', 64);
    expect(second).toMatchObject({ committed: 64, dead: 64 });
    expect(rows).toBe(64);
  });
});
