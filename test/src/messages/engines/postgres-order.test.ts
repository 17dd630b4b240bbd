/** What many writers at once may expect of the message store on Postgres, and what its readers may. */

import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../../src/database/connection.ts';
import type { MessageEngine, MessageRecord } from '../../../../src/messages/engine.ts';
import { appendOn, PostgresMessageEngine } from '../../../../src/messages/engines/postgres-engine.ts';
import { MessageStore } from '../../../../src/messages/message-store.ts';
import { freshName, rowsOf } from '../../../support/connect.ts';
import { eventually } from '../../../support/patience.ts';
import { command, row, storeDatabase } from '../../store/postgres-support.ts';

const postgres = storeDatabase();

const upTo = (count: number, start = 0): bigint[] =>
  Array.from({ length: count }, (_, index) => BigInt(start + index));

const all = { category: 'account', limit: 1_000, correlation: null, consumer: null };

function tail(engine: MessageEngine, globalPosition: bigint): Promise<MessageRecord[]> {
  return engine.readCategory({ ...all, globalPosition });
}

/** Resolves when so many wait for the lock of a namespace. */
async function waitForBlocked(schema: string, count: number): Promise<number[]> {
  return eventually(async () => {
    const rows = await rowsOf<{ pid: number }>(
      postgres.connection,
      sql`select l.pid from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema} and c.relname = 'append_lock' and not l.granted`,
    );
    expect(rows).toHaveLength(count);
    return rows.map(({ pid }) => pid);
  });
}

async function begin(connection: Connection): Promise<void> {
  await connection.db.execute('begin');
}

describe('positions and commits', () => {
  test('a message that commits late is not skipped: who comes after it waits for its commit', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
    const slow = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, schema, [command('account-1')]);
    let isWritten = false;
    const fast = engine.append([command('account-2')]).then((verdicts) => {
      isWritten = true;
      return verdicts;
    });
    await waitForBlocked(schema, 1);
    expect(await tail(engine, 1n)).toEqual([]);
    expect(isWritten).toBe(false);

    await slow.db.execute('commit');
    expect(await fast).toEqual([{ kind: 'written', ends: [{ position: 0n, globalPosition: 2n }] }]);
    const seen = await tail(engine, 1n);
    expect(seen.map(({ stream, globalPosition }) => [stream, globalPosition])).toEqual([
      ['account-1', 1n],
      ['account-2', 2n],
    ]);
  });

  test('a transaction that is taken back leaves no gap', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
    const slow = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, schema, [command('account-1')]);
    const next = engine.append([command('account-1')]);
    await waitForBlocked(schema, 1);
    await slow.db.execute('rollback');
    expect(await next).toEqual([{ kind: 'written', ends: [{ position: 0n, globalPosition: 1n }] }]);
  });

  test('a transaction that is open elsewhere, with writes and its own snapshot, holds up neither writers nor readers', async () => {
    const engine = await postgres.engine();
    const foreign = await postgres.database.open();
    const table = freshName('foreign');
    await rowsOf(postgres.connection, `create table ${table} (n int)`);
    await foreign.db.execute('begin isolation level repeatable read');
    await foreign.db.execute(`insert into ${table} values (1)`);
    await engine.append([command('account-1')]);
    expect(await tail(engine, 1n)).toHaveLength(1);
    await engine.append([command('account-1')]);
    expect((await tail(engine, 2n)).map(({ position }) => position)).toEqual([1n]);
    // It was open all the while.
    expect(await rowsOf(foreign, `select n from ${table}`)).toEqual([{ n: 1 }]);
    await foreign.db.execute('rollback');
    await rowsOf(postgres.connection, `drop table ${table}`);
  });

  test('what is committed under the lock is seen behind it, also by who began to wait before', async () => {
    const schema = await postgres.namespace();
    const slow = await postgres.database.open();
    const waiting = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, schema, [command('account-1', [row(), row()])]);
    const conflict = appendOn(waiting, schema, [command('account-1', [row()], -1n)]);
    await waitForBlocked(schema, 1);
    await slow.db.execute('commit');
    expect(await conflict).toEqual([
      { kind: 'conflict', stream: 'account-1', expectedVersion: -1n, actualVersion: 1n },
    ]);
  });

  test('a transaction that could not see it is refused', async () => {
    const schema = await postgres.namespace();
    const connection = await postgres.database.open();
    for (const level of ['repeatable read', 'serializable']) {
      await connection.db.execute(`begin isolation level ${level}`);
      await expect(appendOn(connection, schema, [command('account-1')])).rejects.toMatchObject({
        cause: { message: `A message store is written at READ COMMITTED, not at ${level}` },
      });
      await connection.db.execute('rollback');
    }
    await connection.db.execute('begin isolation level read committed');
    expect(await appendOn(connection, schema, [command('account-1')])).toMatchObject([{ kind: 'written' }]);
    await connection.db.execute('commit');
  });
});

describe('many connections', () => {
  test('ten write to one stream at once: no position is missing or given twice, and time runs along', async () => {
    const schema = await postgres.namespace();
    const writers = Array.from(
      { length: 10 },
      () => new PostgresMessageEngine({ connections: postgres.pool(1), schema }),
    );
    const verdicts = await Promise.all(
      writers.map(async (engine) => {
        const own = [];
        for (let n = 0; n < 20; n += 1) own.push(...(await engine.append([command('account-1')])));
        return own;
      }),
    );
    const positions = verdicts
      .flat()
      .map((verdict) => (verdict.kind === 'written' ? (verdict.ends[0]?.position ?? -1n) : -1n));
    expect(positions.toSorted((left, right) => Number(left - right))).toEqual(upTo(200));
    const [reader] = writers as [PostgresMessageEngine];
    const messages = await reader.readStream({
      stream: 'account-1',
      position: 0n,
      globalPosition: null,
      limit: 1_000,
    });
    expect(messages.map(({ position }) => position)).toEqual(upTo(200));
    expect(messages.map(({ globalPosition }) => globalPosition)).toEqual(upTo(200, 1));
    const times = messages.map(({ timeUs }) => timeUs);
    expect(times).toEqual(times.toSorted((left, right) => left - right));
  });

  test('ten expect one version: one of them is written, the others meet its message', async () => {
    const schema = await postgres.namespace();
    const writers = Array.from(
      { length: 10 },
      () => new PostgresMessageEngine({ connections: postgres.pool(1), schema }),
    );
    for (let version = -1n; version < 10n; version += 1n) {
      const verdicts = (
        await Promise.all(writers.map((engine) => engine.append([command('account-1', [row()], version)])))
      ).flat();
      expect(verdicts.filter(({ kind }) => kind === 'written')).toHaveLength(1);
      expect(
        verdicts.filter((verdict) => verdict.kind === 'conflict' && verdict.actualVersion === version + 1n),
      ).toHaveLength(9);
    }
  });

  test('a tail sees every message once and in order while fifty writers commit', async () => {
    const schema = await postgres.namespace();
    const pool = postgres.pool(10);
    const stores = Array.from(
      { length: 10 },
      () => new MessageStore(new PostgresMessageEngine({ connections: pool, schema })),
    );
    const reader = new PostgresMessageEngine({ connections: postgres.pool(1), schema });
    const total = 500;
    const seen: bigint[] = [];
    let polls = 0;
    let isOver = false;
    const tailing = (async () => {
      for (;;) {
        const isLast = isOver;
        polls += 1;
        const last = seen.at(-1) ?? 0n;
        const page = await reader.readCategory({ ...all, globalPosition: last + 1n, limit: 7 });
        seen.push(...page.map(({ globalPosition }) => globalPosition));
        if (isLast && page.length === 0) return;
      }
    })();
    await Promise.all(
      Array.from({ length: 50 }, async (_, writer) => {
        for (let n = 0; n < total / 50; n += 1)
          await stores[writer % 10]?.write(`account-${writer}`, { type: 'Happened', data: { n } });
      }),
    ).finally(() => {
      isOver = true;
    });
    await tailing;
    expect(seen).toEqual(upTo(total, 1));
    // It read while they wrote, not once at the end.
    expect(polls).toBeGreaterThan(total / 7);
  });
});

describe('grouping', () => {
  test('what comes while a group is written goes as one transaction', async () => {
    const schema = await postgres.namespace();
    const store = new MessageStore(new PostgresMessageEngine({ connections: postgres.pool(2), schema }));
    await Promise.all(
      Array.from({ length: 20 }, (_, writer) => store.write(`account-${writer}`, { type: 'Happened' })),
    );
    const transactions = await rowsOf<{ count: number }>(
      postgres.connection,
      `select count(*)::int as count from "${schema}".messages group by xmin order by min(global_position)`,
    );
    // The first goes at once, with whatever else the same turn brought; all others are one group.
    expect(transactions.length).toBeLessThanOrEqual(2);
    expect(transactions.reduce((sum, { count }) => sum + count, 0)).toBe(20);
    // The control: one after another, each is its own transaction.
    for (let n = 0; n < 3; n += 1) await store.write('account-0', { type: 'Happened' });
    const [after] = await rowsOf<{ count: number }>(
      postgres.connection,
      `select count(distinct xmin::text)::int as count from "${schema}".messages where global_position > 20`,
    );
    expect(after?.count).toBe(3);
  });
});

describe('namespaces', () => {
  test('do not hold each other up, whatever the names of their streams', async () => {
    const [mine, other] = [await postgres.namespace(), await postgres.namespace()];
    const slow = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, mine, [command('account-1')]);
    const elsewhere = new PostgresMessageEngine({ connections: postgres.pool(), schema: other });
    expect(await elsewhere.append([command('account-1')])).toMatchObject([{ kind: 'written' }]);
    expect(await tail(elsewhere, 1n)).toHaveLength(1);
    // The control: in its own namespace, the same append waits.
    const here = new PostgresMessageEngine({ connections: postgres.pool(), schema: mine });
    const waiting = here.append([command('account-1')]);
    await waitForBlocked(mine, 1);
    await slow.db.execute('rollback');
    expect(await waiting).toMatchObject([{ kind: 'written' }]);
  });
});

describe('a connection that ends', () => {
  test('during an append rejects that append, which says that nobody knows its outcome; the next one goes through', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresMessageEngine({ connections: postgres.pool(1), schema });
    await engine.append([command('account-1')]);
    const slow = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, schema, [command('account-1')]);
    const secret = row({ data: '{"secret":"do not log"}' });
    const lost = engine.append([command('account-1', [secret])]).catch((error: unknown) => error);
    const [pid] = await waitForBlocked(schema, 1);
    await rowsOf(postgres.connection, sql`select pg_terminate_backend(${pid})`);
    const error = (await lost) as Error;
    expect(error).toMatchObject({
      code: 'database_unreachable',
      message: expect.stringMatching(
        /^The connection to Postgres was lost during an append; whether anything was written is not known: /,
      ),
    });
    expect(error.message).not.toContain('do not log');
    await slow.db.execute('rollback');
    expect(await engine.append([command('account-1')])).toEqual([
      { kind: 'written', ends: [{ position: 1n, globalPosition: 2n }] },
    ]);
  });

  test('a store lets each write of the group know, and goes on', async () => {
    const schema = await postgres.namespace();
    const store = new MessageStore(new PostgresMessageEngine({ connections: postgres.pool(1), schema }));
    const slow = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, schema, [command('account-1')]);
    const first = store.write('account-1', { type: 'Happened' }).catch((error: unknown) => error);
    const [pid] = await waitForBlocked(schema, 1);
    const second = [2, 3].map((writer) => store.write(`account-${writer}`, { type: 'Happened' }));
    await rowsOf(postgres.connection, sql`select pg_terminate_backend(${pid})`);
    expect(await first).toMatchObject({ code: 'database_unreachable' });
    await slow.db.execute('rollback');
    expect(await Promise.all(second)).toEqual([
      { position: 0n, globalPosition: 1n },
      { position: 0n, globalPosition: 2n },
    ]);
  });

  test('who waits too long for the lock is told, and keeps the connection', async () => {
    const schema = await postgres.namespace();
    const pool = postgres.pool(1);
    const engine = new PostgresMessageEngine({ connections: pool, schema });
    const pidOf = () =>
      pool.use(async (connection) => {
        const [own] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
        return own?.pid;
      });
    const pid = await pidOf();
    await rowsOf(postgres.connection, `alter procedure "${schema}".append_one set lock_timeout = '20ms'`);
    const slow = await postgres.database.open();
    await begin(slow);
    await appendOn(slow, schema, [command('account-1')]);
    await expect(engine.append([command('account-1')])).rejects.toMatchObject({
      code: 'database_refused',
      details: { sqlState: '55P03' },
    });
    await slow.db.execute('rollback');
    expect(await engine.append([command('account-1')])).toMatchObject([{ kind: 'written' }]);
    expect(await pidOf()).toBe(pid);
  });
});
