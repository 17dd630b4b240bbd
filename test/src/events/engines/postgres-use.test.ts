/** How the event store uses its Postgres: poolers, names of statements, drivers, connections, namespaces. */

import { sql } from 'drizzle-orm';
import { describe, expect, test } from 'vitest';
import type { Connection } from '../../../../src/database/connection.ts';
import type { ConnectionLender } from '../../../../src/database/connection-pool.ts';
import {
  appendEventsOn,
  openEvents,
  PostgresEventEngine,
} from '../../../../src/events/engines/postgres-engine.ts';
import { eventSchema } from '../../../../src/events/sql/schema.ts';
import { messageSchema } from '../../../../src/messages/sql/schema.ts';
import { createStatements } from '../../../../src/store/store-schema.ts';
import { freshName, rowsOf, testDatabase } from '../../../support/connect.ts';
import { openConnection } from '../../../support/open-connection.ts';
import { eventually } from '../../../support/patience.ts';
import { storeDatabase } from '../../store/postgres-support.ts';
import { command, event, idOf, item, positionsOf, reading, upTo } from '../event-commands.ts';

const postgres = storeDatabase();

const claim = (name: string) =>
  command(event('Claimed', [`name:${name}`]), [item(['Claimed'], [`name:${name}`])]);

/** A namespace as it was before there was an event store. */
async function olderNamespace(): Promise<string> {
  const schema = await postgres.namespace();
  const statements = [`drop schema "${schema}" cascade`, `create schema "${schema}"`];
  await rowsOf(postgres.connection, [...statements, ...(messageSchema.steps[0]?.(schema) ?? [])].join(';\n'));
  return schema;
}

describe('transaction pooling', () => {
  test('every statement may go to another server connection, with nothing of a session left over', async () => {
    const connections = await Promise.all(Array.from({ length: 3 }, () => postgres.database.open()));
    let uses = 0;
    const pooler: ConnectionLender = {
      async use(work) {
        const connection = connections[uses % connections.length] as Connection;
        uses += 1;
        const result = await work(connection);
        // What a session would keep, and a pooler hand to somebody else.
        const left = await rowsOf(
          connection,
          `select
             (select count(*)::int from pg_prepared_statements) as statements,
             (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks,
             (select count(*)::int from pg_listening_channels()) as channels,
             (select count(*)::int from pg_settings where source = 'session') as settings`,
        );
        expect(left).toEqual([{ statements: 0, locks: 0, channels: 0, settings: 0 }]);
        await connection.db.execute('discard all');
        return result;
      },
    };
    const engine = new PostgresEventEngine({ connections: pooler, schema: await postgres.namespace() });
    for (let n = 0; n < 4; n += 1) {
      expect(await engine.append([claim(`${n}`)])).toMatchObject([{ kind: 'appended' }]);
      expect(await engine.append([claim(`${n}`), claim(`${n}`)])).toMatchObject([
        { kind: 'conflict' },
        { kind: 'conflict' },
      ]);
    }
    const withId = command(event('Happened', [], { id: idOf(1) }));
    // Two calls in a transaction.
    expect(await engine.append([withId, withId])).toMatchObject([
      { isRepeated: false },
      { isRepeated: true },
    ]);
    expect(positionsOf(await engine.read(reading([item([], ['name:1']), item(['Happened'])])))).toEqual([
      2, 5,
    ]);
    expect(await engine.head()).toBe(5n);
    expect(await engine.clear()).toBe(5n);
    expect(await engine.head()).toBe(0n);
    expect(uses).toBeGreaterThan(12);
  });
});

describe('names of statements', () => {
  const named = (connection: Connection) =>
    rowsOf<{ name: string }>(connection, 'select name from pg_prepared_statements');

  test('on its own connection, each statement is parsed once', async () => {
    const connection = await postgres.database.open();
    const connections: ConnectionLender = { use: async (work) => work(connection) };
    const options = { connections, preparesStatements: true };
    const first = new PostgresEventEngine({ ...options, schema: await postgres.namespace() });
    const second = new PostgresEventEngine({ ...options, schema: await postgres.namespace() });
    for (let n = 1; n <= 8; n += 1) {
      expect(await first.append([claim(`${n}`)])).toMatchObject([{ position: BigInt(n) }]);
      expect(await first.append([claim('1')])).toEqual([{ kind: 'conflict', position: 1n }]);
    }
    // The same names in two namespaces would write to the wrong one.
    await second.append([claim('1')]);
    expect(await second.head()).toBe(1n);
    expect(await first.head()).toBe(8n);
    expect(await named(connection)).toHaveLength(4);
  });

  test('a pooler that loses them is noticed: nothing fails, nothing is written twice, and it goes on without', async () => {
    const connections = await Promise.all(Array.from({ length: 2 }, () => postgres.database.open()));
    let uses = 0;
    const pooler: ConnectionLender = {
      async use(work) {
        const connection = connections[uses % 2] as Connection;
        uses += 1;
        const result = await work(connection);
        await connection.db.execute('deallocate all');
        return result;
      },
    };
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: pooler, schema, preparesStatements: true });
    for (let n = 1; n <= 6; n += 1)
      expect(await engine.append([claim(`${n}`)])).toMatchObject([{ position: BigInt(n) }]);
    expect(positionsOf(await engine.read(reading('all')))).toEqual(upTo(6));
    const [left] = await Promise.all(connections.map(named));
    expect(left).toEqual([]);
  });
});

describe("Neon's driver", () => {
  const neon = testDatabase('neon');

  test('appends, refuses and reads as the other one does', async () => {
    const connection = await neon.open();
    const engine = new PostgresEventEngine({
      connections: { use: async (work) => work(connection) },
      schema: await postgres.namespace(),
    });
    const strange = event('Claimed', ['name:"é", {x}\\', 'b'], {
      data: '{"n":1}',
      metadata: '{}',
      id: idOf(1),
    });
    expect(await engine.append([command(strange)])).toMatchObject([{ position: 1n }]);
    expect(await engine.append([command(strange), command(event()), command(strange)])).toEqual([
      { kind: 'appended', position: 1n, isRepeated: true },
      { kind: 'appended', position: 2n, isRepeated: false },
      { kind: 'appended', position: 1n, isRepeated: true },
    ]);
    const query = [item([], strange.tags)];
    expect(await engine.append([command(event(), query)])).toEqual([{ kind: 'conflict', position: 1n }]);
    expect(await engine.read(reading(query))).toEqual([
      { ...strange, position: 1n, timeUs: expect.any(Number) },
    ]);
    expect(connection.isOpen).toBe(true);
  });
});

describe('connections', () => {
  test('a refusal is an answer: the connection stays, and so does the transaction of a caller', async () => {
    const schema = await postgres.namespace();
    const pool = postgres.pool(1);
    const engine = new PostgresEventEngine({ connections: pool, schema });
    const pidOf = () =>
      pool.use(async (connection) => {
        const [own] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
        return own?.pid;
      });
    const pid = await pidOf();
    await engine.append([command(event('Claimed', ['name:1'], { id: idOf(1) }))]);
    const refused = [
      claim('1'),
      command([event('A', [], { id: idOf(1) }), event('B', [], { id: idOf(2) })]),
      command(event('A'), 'all'),
    ];
    const expected = [
      { kind: 'conflict', position: 1n },
      { kind: 'duplicate_id', id: idOf(1) },
      { kind: 'conflict', position: 1n },
    ];
    for (const [index, one] of refused.entries())
      expect(await engine.append([one])).toEqual([expected[index]]);
    expect(await engine.append(refused)).toEqual(expected);
    expect(await pidOf()).toBe(pid);

    const connection = await postgres.database.open();
    await connection.db.execute('begin');
    expect(await appendEventsOn(connection, schema, refused)).toEqual(expected);
    expect(await appendEventsOn(connection, schema, [claim('2')])).toMatchObject([{ position: 2n }]);
    await connection.db.execute('commit');
    expect(await engine.head()).toBe(2n);
  });

  test('that ends during an append rejects that append, which says that nobody knows its outcome; the next one goes through', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(1), schema });
    const slow = await postgres.database.open();
    await slow.db.execute('begin');
    await appendEventsOn(slow, schema, [command(event())]);
    const lost = engine
      .append([command(event('Secret', [], { data: 'do not log' }))])
      .catch((error: unknown) => error as Error);
    const pid = await eventually(async () => {
      const [row] = await rowsOf<{ pid: number }>(
        postgres.connection,
        sql`select l.pid from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace where n.nspname = ${schema} and c.relname = 'events_lock' and not l.granted`,
      );
      expect(row).toBeDefined();
      return row?.pid;
    });
    await rowsOf(postgres.connection, sql`select pg_terminate_backend(${pid})`);
    const error = (await lost) as Error;
    expect(error).toMatchObject({
      code: 'database_unreachable',
      message: expect.stringMatching(/^The connection to Postgres was lost during an append; whether/),
    });
    expect(error.message).not.toContain('do not log');
    await slow.db.execute('rollback');
    expect(await engine.append([command(event())])).toMatchObject([{ position: 1n }]);
  });

  test('who waits too long for the lock is told, and keeps the connection', async () => {
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(1), schema });
    for (const procedure of ['append_event', 'append_events'])
      await rowsOf(postgres.connection, `alter procedure "${schema}".${procedure} set lock_timeout = '20ms'`);
    const slow = await postgres.database.open();
    await slow.db.execute('begin');
    await appendEventsOn(slow, schema, [command(event())]);
    for (const commands of [[command(event())], [command(event()), command(event())]])
      await expect(engine.append(commands)).rejects.toMatchObject({
        code: 'database_refused',
        details: { sqlState: '55P03' },
      });
    await slow.db.execute('rollback');
    expect(await engine.append([command(event())])).toMatchObject([{ position: 1n }]);
  });
});

describe('namespaces', () => {
  test('one that an older version made gets its event store at the first use, by several at once', async () => {
    const uses: ((engine: PostgresEventEngine) => Promise<unknown>)[] = [
      (engine) => engine.append([command(event())]),
      (engine) => engine.append([command(event()), command(event())]),
      (engine) => engine.append([1, 2].map(() => command(event('Happened', [], { id: idOf(1) })))),
      (engine) => engine.read(reading('all')),
      (engine) => engine.read(reading([item(['A'])])),
      (engine) => engine.head(),
      (engine) => engine.clear(),
    ];
    for (const use of uses) {
      const schema = await olderNamespace();
      await use(new PostgresEventEngine({ connections: postgres.pool(), schema }));
    }
    const schema = await olderNamespace();
    // The control: it is not there.
    expect(
      await rowsOf(postgres.connection, sql`select to_regclass(${`"${schema}".events`}) is null as missing`),
    ).toEqual([{ missing: true }]);
    const engines = Array.from(
      { length: 8 },
      () => new PostgresEventEngine({ connections: postgres.pool(1), schema }),
    );
    const verdicts = (await Promise.all(engines.map((engine) => engine.append([claim('1')])))).flat();
    expect(verdicts.filter(({ kind }) => kind === 'appended')).toHaveLength(1);
    expect(verdicts.filter(({ kind }) => kind === 'conflict')).toHaveLength(7);
    await openEvents(postgres.connection, schema);
    expect(await engines[0]?.head()).toBe(1n);
  });

  test('of an older version may get it from several at once, wherever they meet', async () => {
    const pools = Array.from({ length: 6 }, () => postgres.pool(1));
    await Promise.all(pools.map((one) => one.use((connection) => connection.db.execute('select 1'))));
    for (let round = 0; round < 10; round += 1) {
      const schema = await olderNamespace();
      await Promise.all(pools.map((one) => one.use((connection) => openEvents(connection, schema))));
      expect(await appendEventsOn(postgres.connection, schema, [command(event())])).toMatchObject([
        { position: 1n },
      ]);
    }
  });

  test('one that is not there, and one that goes while it is used, is unknown, and is not made', async () => {
    const theirs = freshName('theirs');
    await rowsOf(postgres.connection, `create schema "${theirs}"`);
    for (const schema of ['sluice_not there', theirs]) {
      const missing = new PostgresEventEngine({ connections: postgres.pool(), schema });
      for (const attempt of [
        () => missing.append([command(event())]),
        () => missing.append([command(event()), command(event())]),
        () => missing.read(reading('all')),
        () => missing.head(),
        () => missing.clear(),
      ])
        await expect(attempt()).rejects.toMatchObject({
          code: 'unknown_namespace',
          message: `The namespace of the schema ${schema} does not exist`,
        });
      await expect(openEvents(postgres.connection, schema)).rejects.toMatchObject({
        code: 'unknown_namespace',
      });
    }
    // Without `cascade`: it is still empty.
    await rowsOf(postgres.connection, `drop schema "${theirs}"`);
    const schema = await postgres.namespace();
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    await engine.append([command(event())]);
    await rowsOf(postgres.connection, `drop schema "${schema}" cascade`);
    await expect(engine.append([command(event())])).rejects.toMatchObject({ code: 'unknown_namespace' });
    await expect(engine.read(reading('all'))).rejects.toMatchObject({ code: 'unknown_namespace' });
  });

  test('a schema of any name is quoted', async () => {
    const schema = freshName(`we"ird'; drop schema public; -- `);
    const connection = await openConnection(postgres.database.target);
    await connection.db.execute(createStatements(schema, [messageSchema, eventSchema]).join(';\n'));
    const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
    const query = [item(['A'], ['x']), item([], ['x', 'y'])];
    await engine.append([command(event('A', ['x']))]);
    await engine.append([command(event('A', ['x', 'y'])), command(event('A', ['x']), query)]);
    expect(positionsOf(await engine.read(reading(query)))).toEqual([1, 2]);
    expect(await engine.read(reading('all', { backwards: true, limit: 1 }))).toHaveLength(1);
    await openEvents(connection, schema);
    expect(await engine.clear()).toBe(2n);
    await connection.db.execute(`drop schema "${schema.replaceAll('"', '""')}" cascade`);
    connection.close();
  });
});
