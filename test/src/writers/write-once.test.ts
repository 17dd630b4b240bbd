import { sql } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { benchSink, createBenchTable } from '../../../lab/suites/ingest/bench-sink.ts';
import type { SluiceError } from '../../../src/core/errors.ts';
import { type Failpoint, type Failpoints, NO_FAILPOINTS } from '../../../src/core/failpoints.ts';
import { MAX_STATEMENT_PARAMETERS } from '../../../src/core/limits.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { checkpoints } from '../../../src/schema/checkpoints.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import type { WriterMode } from '../../../src/sinks/writer-mode.ts';
import type { CheckpointKey } from '../../../src/writers/checkpoint-key.ts';
import {
  readCheckpoint,
  startIncarnation,
  type WriteOnceEnd,
  type WriteOnceOrder,
  writeOnce,
} from '../../../src/writers/write-once.ts';
import type { Write } from '../../../src/writers/writer.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { eventually } from '../../support/patience.ts';
import { batchOf } from './contract.ts';

const MODES = ['bulk', 'unnest', 'copy'] as const satisfies readonly WriterMode[];

const COMMITTED: WriteOnceEnd = { state: 'committed' };

function elsewhere(position: bigint | null): WriteOnceEnd {
  return { state: 'elsewhere', position };
}

/** Calls `act` at one failpoint, and does nothing at the others. */
function at(point: Failpoint, act: () => void | Promise<void>): Failpoints {
  return {
    hit() {},
    async pass(name) {
      if (name === point) await act();
    },
  };
}

function failingAt(point: Failpoint): Failpoints {
  return at(point, () => {
    throw new Error(`failed ${point}`);
  });
}

function keyOf(key: Partial<CheckpointKey> = {}): CheckpointKey {
  return { sink: 'messages', shard: freshName('shard'), lane: 0, incarnation: 'first', ...key };
}

function orderOf(key: CheckpointKey, fence: bigint | null, end: bigint): WriteOnceOrder {
  return { key, fence, from: fence ?? 0n, end };
}

function rowsWrite(mode: WriterMode, sink: TableSink, firstSequence: number, rows: number): Write {
  const messages = Array.from({ length: rows }, (_, index) => ({ sequence: firstSequence + index }));
  return WRITERS[mode].create(sink)(batchOf(messages));
}

describe.each(DRIVERS)('over the driver %s', (driver) => {
  const database = testDatabase(driver);
  let connection: Connection;
  // Sees what is committed, and nothing else.
  let onlooker: Connection;
  beforeAll(async () => {
    connection = await database.open();
    onlooker = await database.open();
  });

  async function makeSink(): Promise<TableSink> {
    const table = freshName('once');
    await rowsOf(onlooker, createBenchTable(table, 'text'));
    const sink = benchSink({ table, column: 'text', options: {} });
    await rowsOf(onlooker, `alter table ${sink.quotedTable} add check (sequence <> 666)`);
    return sink;
  }

  async function sequences({ table }: TableSink): Promise<number[]> {
    const rows = await rowsOf<{ sequence: string }>(onlooker, sql`select sequence from ${table} order by id`);
    return rows.map(({ sequence }) => Number(sequence));
  }

  async function processOf(client: Connection): Promise<number> {
    const [row] = await rowsOf<{ pid: number }>(client, 'select pg_backend_pid() as pid');
    return row?.pid as number;
  }

  async function untilWaiting(pid: number): Promise<void> {
    await eventually(async () => {
      const waiting = sql`select 1 as waits from pg_locks where pid = ${pid} and not granted`;
      expect(await rowsOf(onlooker, waiting)).toEqual([{ waits: 1 }]);
    });
  }

  /** `idle` means open, and outside of any transaction. */
  async function stateOf(pid: number): Promise<unknown> {
    const [row] = await rowsOf(onlooker, sql`select state from pg_stat_activity where pid = ${pid}`);
    return row?.state;
  }

  describe.each(MODES)('the writer %s', (mode) => {
    test('writes the first batch and those after it, each in the transaction that moves the checkpoint', async () => {
      const sink = await makeSink();
      const key = keyOf();
      const transactions = async () =>
        rowsOf(
          onlooker,
          sql`select distinct xmin::text from ${sink.table} where sequence = (select max(sequence) from ${sink.table})
            union select xmin::text from sluice_checkpoints where shard = ${key.shard}`,
        );
      const first = rowsWrite(mode, sink, 0, 3);
      expect(await writeOnce(connection, orderOf(key, null, 3n), first, NO_FAILPOINTS)).toEqual(COMMITTED);
      expect(await readCheckpoint(connection, key)).toBe(3n);
      expect(await transactions()).toHaveLength(1);
      const second = rowsWrite(mode, sink, 3, 2);
      expect(await writeOnce(connection, orderOf(key, 3n, 5n), second, NO_FAILPOINTS)).toEqual(COMMITTED);
      expect(await readCheckpoint(connection, key)).toBe(5n);
      expect(await transactions()).toHaveLength(1);
      expect(await sequences(sink)).toEqual([0, 1, 2, 3, 4]);
    });

    test('a repetition finds the checkpoint at its end and writes nothing, as first batch and as a later one', async () => {
      const sink = await makeSink();
      const key = keyOf();
      for (const [fence, end] of [
        [null, 2n],
        [2n, 4n],
      ] as const) {
        const write = vi.fn(rowsWrite(mode, sink, Number(fence ?? 0), 2));
        const order = orderOf(key, fence, end);
        expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(COMMITTED);
        expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(elsewhere(end));
        expect(write).toHaveBeenCalledTimes(1);
      }
      expect(await stateOf(await processOf(connection))).toBe('idle');
      expect(await sequences(sink)).toEqual([0, 1, 2, 3]);
    });

    test('of two that write the same batch, the second waits for the first, and writes only if that one fails', async () => {
      for (const fence of [null, 7n]) {
        for (const isFirstFailing of [false, true]) {
          const sink = await makeSink();
          const key = keyOf();
          if (fence !== null) await startIncarnation(connection, key, fence);
          const order = orderOf(key, fence, 9n);
          const [one, other] = [await database.open(), await database.open()];
          // The strictest default of a database must not turn the second one's answer into an error.
          await rowsOf(other, 'set default_transaction_isolation to serializable');
          const otherProcess = await processOf(other);
          let second: Promise<WriteOnceEnd> | undefined;
          const failpoints = at('after_rows', async () => {
            second = writeOnce(other, order, rowsWrite(mode, sink, 0, 2), NO_FAILPOINTS);
            await untilWaiting(otherProcess);
            if (isFirstFailing) throw new Error('the first fails');
          });
          const first = writeOnce(one, order, rowsWrite(mode, sink, 0, 2), failpoints);
          if (isFirstFailing) await expect(first).rejects.toThrow('the first fails');
          else expect(await first).toEqual(COMMITTED);
          expect(await second).toEqual(isFirstFailing ? COMMITTED : elsewhere(9n));
          expect(await sequences(sink)).toEqual([0, 1]);
          expect(await readCheckpoint(onlooker, key)).toBe(9n);
          expect(await stateOf(otherProcess)).toBe('idle');
        }
      }
    });

    test('a refused row leaves the checkpoint where it was, and the connection as good as before', async () => {
      const sink = await makeSink();
      const key = keyOf();
      const pid = await processOf(connection);
      for (const fence of [null, 2n]) {
        const failing = writeOnce(
          connection,
          orderOf(key, fence, 4n),
          rowsWrite(mode, sink, 665, 2),
          NO_FAILPOINTS,
        );
        await expect(failing.catch(sqlState)).resolves.toBe('23514');
        expect(await stateOf(pid)).toBe('idle');
        expect(await readCheckpoint(connection, key)).toBe(fence);
        const end = (fence ?? 0n) + 2n;
        const order = orderOf(key, fence, end);
        const good = rowsWrite(mode, sink, Number(fence ?? 0), 2);
        expect(await writeOnce(connection, order, good, NO_FAILPOINTS)).toEqual(COMMITTED);
      }
      expect(await processOf(connection)).toBe(pid);
      expect(await sequences(sink)).toEqual([0, 1, 2, 3]);
    });

    test.each(['after_begin', 'after_rows'] as const)(
      'a failure %s leaves nothing, and it can be tried again',
      async (point) => {
        const sink = await makeSink();
        for (const fence of [null, 5n]) {
          const key = keyOf();
          if (fence !== null) await startIncarnation(connection, key, fence);
          const order = orderOf(key, fence, 6n);
          const victim = await database.open();
          const write = rowsWrite(mode, sink, Number(fence ?? 0), 1);
          await expect(writeOnce(victim, order, write, failingAt(point))).rejects.toThrow(`failed ${point}`);
          expect(victim.isOpen).toBe(false);
          expect(await readCheckpoint(onlooker, key)).toBe(fence);
          expect(await sequences(sink)).toEqual(fence === null ? [] : [0]);
          expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(COMMITTED);
        }
        expect(await sequences(sink)).toEqual([0, 5]);
      },
    );

    test('what was committed before the answer got lost is not written again', async () => {
      const sink = await makeSink();
      const key = keyOf();
      const order = orderOf(key, null, 2n);
      const write = rowsWrite(mode, sink, 0, 2);
      await expect(writeOnce(connection, order, write, failingAt('after_commit'))).rejects.toThrow(
        'failed after_commit',
      );
      expect(connection.isOpen).toBe(true);
      expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(elsewhere(2n));
      expect(await sequences(sink)).toEqual([0, 1]);
    });

    test('a connection that the server ends before COMMIT leaves nothing, and another one writes the batch', async () => {
      const sink = await makeSink();
      const order = orderOf(keyOf(), null, 2n);
      const victim = await database.open();
      const pid = await processOf(victim);
      const ending = at('after_rows', async () => {
        await rowsOf(onlooker, sql`select pg_terminate_backend(${pid})`);
        await eventually(async () => expect(await stateOf(pid)).toBe(undefined));
      });
      const write = rowsWrite(mode, sink, 0, 2);
      await expect(writeOnce(victim, order, write, ending)).rejects.toThrow();
      expect(victim.isOpen).toBe(false);
      expect(await sequences(sink)).toEqual([]);
      expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(COMMITTED);
      expect(await sequences(sink)).toEqual([0, 1]);
    });
  });

  test.each([
    ['behind', 4n, 3n],
    ['ahead, within the batch', 4n, 5n],
    ['ahead, at the end', 4n, 6n],
    ['ahead, beyond it', 4n, 7n],
    ['there, where none was expected', null, 0n],
    ['missing', 4n, null],
  ])('a checkpoint that is %s: nothing is written, and nothing moves', async (_, fence, position) => {
    const sink = await makeSink();
    const key = keyOf();
    const pid = await processOf(connection);
    if (position !== null) await startIncarnation(connection, key, position);
    const write = vi.fn(rowsWrite('copy', sink, 4, 2));
    expect(await writeOnce(connection, orderOf(key, fence, 6n), write, NO_FAILPOINTS)).toEqual(
      elsewhere(position),
    );
    expect(write).not.toHaveBeenCalled();
    expect(await stateOf(pid)).toBe('idle');
    expect(await readCheckpoint(connection, key)).toBe(position);
    // The control: with the right fence, the same batch goes in, unless it has been there.
    if (position !== null && position < 6n) {
      const right = { key, fence: position, from: position, end: 6n };
      expect(await writeOnce(connection, right, write, NO_FAILPOINTS)).toEqual(COMMITTED);
      expect(await sequences(sink)).toEqual([4, 5]);
    }
  });

  test('twenty races of four connections write each batch once', async () => {
    const sink = await makeSink();
    const key = keyOf();
    const racers = await Promise.all(Array.from({ length: 4 }, () => database.open()));
    for (let n = 0; n < 20; n += 1) {
      const order = orderOf(key, n === 0 ? null : BigInt(n), BigInt(n + 1));
      const ends = await Promise.all(
        racers.map((racer) => writeOnce(racer, order, rowsWrite('copy', sink, n, 1), NO_FAILPOINTS)),
      );
      expect(ends.filter(({ state }) => state === 'committed')).toHaveLength(1);
      expect(ends.filter(({ state }) => state === 'elsewhere')).toEqual(
        Array.from({ length: 3 }, () => elsewhere(BigInt(n + 1))),
      );
    }
    expect(await sequences(sink)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  test.each([
    "it's",
    "'",
    "''; drop table sluice_checkpoints; --",
    '\\',
    "\\'",
    '"$1" %s ?',
    'Zürich 日本 😀',
    'a\nb',
    '',
  ])('the name %j is a name like any other', async (name) => {
    const writing = await database.open();
    for (const isStandard of ['on', 'off']) {
      // What a backslash means in a plain literal depends on this.
      await rowsOf(writing, `set standard_conforming_strings to ${isStandard}`);
      const sink = await makeSink();
      const key = keyOf({ sink: name, shard: `${freshName('x')}${name}`, incarnation: name });
      const neighbours = [
        { ...key, lane: 1 },
        { ...key, sink: `${name}x` },
        { ...key, shard: `${key.shard}x` },
        { ...key, incarnation: `${name}x` },
      ];
      for (const neighbour of neighbours) await startIncarnation(onlooker, neighbour, 1n);
      const orders = [orderOf(key, null, 1n), orderOf(key, 1n, 2n)];
      for (const order of orders) {
        const write = rowsWrite('copy', sink, Number(order.from), 1);
        expect(await writeOnce(writing, order, write, NO_FAILPOINTS)).toEqual(COMMITTED);
      }
      expect(await readCheckpoint(onlooker, key)).toBe(2n);
      for (const neighbour of neighbours) expect(await readCheckpoint(onlooker, neighbour)).toBe(1n);
      expect(await sequences(sink)).toEqual([0, 1]);
    }
  });

  test('positions up to 2^63 - 1, and a batch that begins beyond the fence', async () => {
    const sink = await makeSink();
    const key = keyOf({ lane: 2_147_483_647 });
    const last = 2n ** 63n - 1n;
    await startIncarnation(connection, key, last - 5n);
    const order = { key, fence: last - 5n, from: last - 1n, end: last };
    expect(await writeOnce(connection, order, rowsWrite('copy', sink, 0, 1), NO_FAILPOINTS)).toEqual(
      COMMITTED,
    );
    expect(await readCheckpoint(connection, key)).toBe(last);
  });

  test('the waits are limited in the transaction, and nothing of it stays in the session', async () => {
    const sink = await makeSink();
    const settings = () =>
      rowsOf(
        connection,
        `select current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle,
           current_setting('transaction_isolation') as isolation, (select count(*)::int from pg_prepared_statements) as prepared,
           (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as advisory`,
      );
    const outside = { lock: '0', idle: '0', isolation: 'read committed', prepared: 0, advisory: 0 };
    expect(await settings()).toEqual([outside]);
    const inside: unknown[] = [];
    const looking = at('after_rows', async () => {
      inside.push(...(await settings()));
    });
    const order = orderOf(keyOf(), null, 1n);
    await writeOnce(connection, order, rowsWrite('copy', sink, 0, 1), looking);
    expect(inside).toEqual([{ ...outside, lock: '10s', idle: '30s' }]);
    expect(await settings()).toEqual([outside]);
  });

  test('costs two messages beside those of the write', async () => {
    const sink = await makeSink();
    const executed = vi.spyOn(connection.db, 'execute');
    await writeOnce(connection, orderOf(keyOf(), null, 1n), rowsWrite('copy', sink, 0, 1), NO_FAILPOINTS);
    const texts = executed.mock.calls.map(([query]) => new PgDialect().sqlToQuery(query as never).sql);
    executed.mockRestore();
    expect(texts).toEqual([expect.stringMatching(/^begin .*; insert into "sluice_checkpoints" /), 'commit']);
  });

  test('a rollback that fails does not hide why it was needed, and the connection is not used again', async () => {
    const sink = await makeSink();
    const victim = await database.open();
    const execute = victim.db.execute.bind(victim.db);
    vi.spyOn(victim.db, 'execute').mockImplementation(((query: never) =>
      new PgDialect().sqlToQuery(query).sql === 'rollback'
        ? Promise.reject(new Error('the rollback fails'))
        : execute(query)) as never);
    const failing = writeOnce(
      victim,
      orderOf(keyOf(), null, 1n),
      rowsWrite('copy', sink, 666, 1),
      NO_FAILPOINTS,
    );
    await expect(failing.catch(sqlState)).resolves.toBe('23514');
    expect(victim.isOpen).toBe(false);
  });

  test('a write that swallows its error is not taken for committed', async () => {
    const sink = await makeSink();
    const key = keyOf();
    const victim = await database.open();
    const swallowing: Write = (client) => rowsWrite('copy', sink, 666, 1)(client).catch(() => {});
    const failing = writeOnce(victim, orderOf(key, null, 1n), swallowing, NO_FAILPOINTS);
    await expect(failing.catch((error: SluiceError) => error.code)).resolves.toBe('internal');
    expect(await readCheckpoint(onlooker, key)).toBe(null);
    expect(victim.isOpen).toBe(false);
  });

  describe('a batch of bulk with more parameters than one statement takes', () => {
    const rows = Math.floor(MAX_STATEMENT_PARAMETERS / 5) + 1;

    test('is one transaction of two statements, with the checkpoint and without', async () => {
      const sink = await makeSink();
      const key = keyOf();
      const write = rowsWrite('bulk', sink, 1_000, rows);
      const traces = async () => {
        const [row] = await rowsOf(
          onlooker,
          sql`select count(*)::int as rows, count(distinct xmin::text)::int as transactions,
                count(distinct (xmin::text, cmin::text))::int as statements,
                bool_and(xmin::text in (select xmin::text from sluice_checkpoints where shard = ${key.shard})) as together
              from ${sink.table}`,
        );
        return row;
      };
      const order = orderOf(key, null, BigInt(rows));
      expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(COMMITTED);
      expect(await traces()).toEqual({ rows, transactions: 1, statements: 2, together: true });
      expect(await writeOnce(connection, order, write, NO_FAILPOINTS)).toEqual(elsewhere(BigInt(rows)));
      await rowsOf(onlooker, sql`truncate ${sink.table}`);
      await write(connection);
      expect(await traces()).toEqual({ rows, transactions: 1, statements: 2, together: false });
    });

    test('leaves nothing when it fails, in its second statement or after it', async () => {
      const sink = await makeSink();
      const key = keyOf();
      const order = orderOf(key, null, BigInt(rows));
      const refused = rowsWrite('bulk', sink, 666 - rows + 1, rows);
      await expect(writeOnce(connection, order, refused, NO_FAILPOINTS).catch(sqlState)).resolves.toBe(
        '23514',
      );
      const good = rowsWrite('bulk', sink, 1_000, rows);
      await expect(writeOnce(await database.open(), order, good, failingAt('after_rows'))).rejects.toThrow(
        'failed after_rows',
      );
      expect(await sequences(sink)).toEqual([]);
      expect(await readCheckpoint(onlooker, key)).toBe(null);
      expect(await writeOnce(connection, order, good, NO_FAILPOINTS)).toEqual(COMMITTED);
      expect(await sequences(sink)).toHaveLength(rows);
    });
  });

  test('a new incarnation begins where it is told, once, and leaves the old one alone', async () => {
    const old = keyOf({ incarnation: 'old' });
    const fresh = { ...old, incarnation: 'fresh' };
    await startIncarnation(connection, old, 40n);
    expect(await readCheckpoint(connection, fresh)).toBe(null);
    expect(await startIncarnation(connection, fresh, 0n)).toBe(0n);
    expect(await startIncarnation(connection, fresh, 0n)).toBe(0n);
    expect(await startIncarnation(connection, fresh, 12n)).toBe(0n);
    expect(await readCheckpoint(connection, old)).toBe(40n);
    const sink = await makeSink();
    const order = orderOf(fresh, 0n, 1n);
    expect(await writeOnce(connection, order, rowsWrite('copy', sink, 0, 1), NO_FAILPOINTS)).toEqual(
      COMMITTED,
    );
    expect(await readCheckpoint(connection, old)).toBe(40n);
  });

  test('the read is one that Hyperdrive does not cache', async () => {
    const select = vi.spyOn(connection.db, 'select');
    await readCheckpoint(connection, keyOf());
    const text = select.mock.results[0]?.value.from(checkpoints).toSQL().sql;
    select.mockRestore();
    expect(text).toContain('clock_timestamp()');
  });

  test('an order that could be carried out twice, or cannot be right, is refused before anything is sent', async () => {
    const key = keyOf();
    const executed = vi.spyOn(connection.db, 'execute');
    const write = vi.fn<Write>(async () => {});
    const refused: WriteOnceOrder[] = [
      { key, fence: 3n, from: 3n, end: 3n },
      { key, fence: 5n, from: 4n, end: 6n },
      { key, fence: 5n, from: 7n, end: 6n },
      { key, fence: null, from: 2n, end: 1n },
      { key, fence: null, from: -1n, end: 1n },
      { key: { ...key, lane: 0.5 }, fence: null, from: 0n, end: 1n },
      { key: { ...key, shard: 'a\0b' }, fence: null, from: 0n, end: 1n },
    ];
    const codes = [];
    for (const order of refused) {
      codes.push(
        await writeOnce(connection, order, write, NO_FAILPOINTS).catch((error: SluiceError) => error.code),
      );
    }
    const sent = executed.mock.calls.length;
    executed.mockRestore();
    expect(codes).toEqual(refused.map(() => 'internal'));
    expect([sent, write.mock.calls.length, connection.isOpen]).toEqual([0, 0, true]);
  });
});
