import { describe, expect, test } from 'vitest';
import { systemTimers } from '../../../src/core/timers.ts';
import { ConnectionPool } from '../../../src/database/connection-pool.ts';
import { appendEventsOn, PostgresEventEngine } from '../../../src/events/engines/postgres-engine.ts';
import { appendOn, PostgresMessageEngine } from '../../../src/messages/engines/postgres-engine.ts';
import { messageSchema } from '../../../src/messages/sql/schema.ts';
import type { NewNamespace } from '../../../src/store/namespaces.ts';
import { schemaOfNamespace } from '../../../src/store/namespaces.ts';
import {
  createNamespaceSchema,
  dropNamespaceSchema,
  PostgresNamespaces,
} from '../../../src/store/postgres-namespaces.ts';
import { rowsOf } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { TEST_LIMIT_MS } from '../../support/patience.ts';
import { event, command as eventCommand } from '../events/event-commands.ts';
import { command, row, STORES } from './postgres-support.ts';

const database = ownDatabase();

function newPool(): ConnectionPool {
  return new ConnectionPool({ open: () => openConnection(database.target), timers: systemTimers });
}

function namespaces(): PostgresNamespaces {
  return new PostgresNamespaces({ connections: newPool(), stores: STORES });
}

const pool = newPool();

const messagesOf = (namespace: string) =>
  new PostgresMessageEngine({ connections: pool, schema: schemaOfNamespace(namespace) });

const eventsOf = (namespace: string) =>
  new PostgresEventEngine({ connections: pool, schema: schemaOfNamespace(namespace) });

const fresh = (namespace: string): NewNamespace => ({
  namespace,
  description: `about ${namespace}`,
  engine: undefined,
  tokenHash: `hash of ${namespace}`,
});

async function schemas(): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(
    database.connection,
    `select nspname as name from pg_namespace where nspname like 'sluice\\_%' order by nspname collate "C"`,
  );
  return rows.map(({ name }) => name);
}

describe('namespaces in Postgres', () => {
  test('NS-001, 003, 006, 007: created once, listed with how many messages they have, deleted with all of them', async () => {
    const list = namespaces();
    expect(await list.list({ after: '', limit: 100 })).toEqual([]);
    const before = Date.now() * 1000;
    const record = await list.create(fresh('tenant-1'));
    expect(record).toEqual({
      namespace: 'tenant-1',
      description: 'about tenant-1',
      engine: 'postgres',
      createdAtUs: expect.any(Number),
    });
    expect(Math.abs(record.createdAtUs - before)).toBeLessThan(TEST_LIMIT_MS * 1_000);
    await expect(list.create(fresh('tenant-1'))).rejects.toMatchObject({
      code: 'namespace_exists',
      details: { namespace: 'tenant-1' },
    });
    await list.create(fresh('tenant-2'));
    await messagesOf('tenant-1').append([command('account-1', [row(), row(), row()])]);
    await eventsOf('tenant-1').append([eventCommand([event(), event()])]);
    expect(
      (await list.list({ after: '', limit: 100 })).map(({ namespace, messages, events }) => [
        namespace,
        messages,
        events,
      ]),
    ).toEqual([
      ['tenant-1', 3n, 2n],
      ['tenant-2', 0n, 0n],
    ]);
    expect(await list.list({ after: 'tenant-1', limit: 1 })).toMatchObject([{ namespace: 'tenant-2' }]);
    expect(await list.info('tenant-1')).toEqual({ ...record, messages: 3n, events: 2n });
    expect(await list.tokenHash('tenant-1')).toBe('hash of tenant-1');
    expect(await schemas()).toEqual(['sluice_tenant-1', 'sluice_tenant-2']);

    expect(await list.delete('tenant-1')).toEqual({
      namespace: 'tenant-1',
      deletedAtUs: expect.any(Number),
      messagesDeleted: 3n,
      eventsDeleted: 2n,
    });
    expect(await schemas()).toEqual(['sluice_tenant-2']);
    await expect(messagesOf('tenant-1').version('account-1')).rejects.toMatchObject({
      code: 'unknown_namespace',
    });
    await list.create(fresh('tenant-1'));
    expect(await messagesOf('tenant-1').info()).toEqual({ messages: 0n, head: 0n });
    expect(await eventsOf('tenant-1').head()).toBe(0n);
    expect((await list.delete('tenant-1')).messagesDeleted).toBe(0n);
    await list.delete('tenant-2');
  });

  test('NS-005, 008: one that is not there is said to be unknown', async () => {
    const list = namespaces();
    const unknown = { code: 'unknown_namespace', details: { namespace: 'nobody' } };
    await expect(list.delete('nobody')).rejects.toMatchObject(unknown);
    await expect(list.info('nobody')).rejects.toMatchObject(unknown);
    await expect(list.tokenHash('nobody')).rejects.toMatchObject(unknown);
    await expect(dropNamespaceSchema(database.connection, 'nobody', STORES)).rejects.toMatchObject(unknown);
  });

  test.each(['', '-a', '.a', 'a b', 'a"b', "a'b", 'a;b', 'é', 'a/b', 'a\0b', 'a'.repeat(57)])(
    'refuses the name %o, and writes nothing',
    async (name) => {
      const list = namespaces();
      const before = await schemas();
      const invalid = { code: 'invalid_namespace' };
      await expect(list.create(fresh(name))).rejects.toMatchObject(invalid);
      await expect(list.delete(name)).rejects.toMatchObject(invalid);
      await expect(list.info(name)).rejects.toMatchObject(invalid);
      await expect(createNamespaceSchema(database.connection, name, STORES)).rejects.toMatchObject(invalid);
      expect(() => messagesOf(name)).toThrow(expect.objectContaining(invalid));
      expect(await schemas()).toEqual(before);
    },
  );

  test('names that are not there, or there already, cost no connection', async () => {
    let opened = 0;
    const list = new PostgresNamespaces({
      stores: STORES,
      connections: new ConnectionPool({
        open: () => {
          opened += 1;
          return openConnection(database.target);
        },
        timers: systemTimers,
      }),
    });
    await list.create(fresh('counted'));
    for (let n = 0; n < 3; n += 1) {
      await expect(list.info(`no-${n}`)).rejects.toMatchObject({ code: 'unknown_namespace' });
      await expect(list.tokenHash(`no-${n}`)).rejects.toMatchObject({ code: 'unknown_namespace' });
      await expect(list.delete(`no-${n}`)).rejects.toMatchObject({ code: 'unknown_namespace' });
      await expect(list.create(fresh('counted'))).rejects.toMatchObject({ code: 'namespace_exists' });
    }
    expect(opened).toBe(1);
    await list.delete('counted');
  });

  test('a deletion does not wait for ever for an append that does not end', async () => {
    const list = namespaces();
    await list.create(fresh('held'));
    const holder = await openConnection(database.target);
    await rowsOf(holder, 'begin');
    await appendOn(holder, schemaOfNamespace('held'), [command('held-1', [row()])]);
    await expect(list.delete('held')).rejects.toMatchObject({
      code: 'database_refused',
      details: { sqlState: '55P03' },
    });
    await rowsOf(holder, 'rollback');
    // The control: nothing holds it now.
    expect(await list.delete('held')).toMatchObject({ namespace: 'held', messagesDeleted: 0n });
    holder.close();
  });

  test('names that differ in case, and the longest one, are namespaces of their own', async () => {
    const list = namespaces();
    const names = ['Case', 'a.b-c_1', 'case', 'public', 'x'.repeat(56)];
    for (const name of names) {
      await list.create(fresh(name));
      await messagesOf(name).append([command(`account-${name}`)]);
    }
    expect((await list.list({ after: '', limit: 100 })).map(({ namespace }) => namespace)).toEqual(names);
    expect(await schemas()).toEqual(names.map(schemaOfNamespace));
    for (const name of names) {
      expect(await messagesOf(name).listStreams({ prefix: '', after: '', limit: 10 })).toEqual([
        { stream: `account-${name}`, version: 0n, lastGlobalPosition: 1n },
      ]);
      expect((await list.delete(name)).messagesDeleted).toBe(1n);
    }
  });

  test('of several that create one name at once, one does; of several that delete it, too', async () => {
    const lists = Array.from({ length: 4 }, namespaces);
    const created = await Promise.allSettled(lists.map((list) => list.create(fresh('race'))));
    expect(created.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of created) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'namespace_exists' });
    }
    const deleted = await Promise.allSettled(lists.map((list) => list.delete('race')));
    expect(deleted.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of deleted) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'unknown_namespace' });
    }
  });

  test('the list itself may be made by several at once', async () => {
    const pools = Array.from(
      { length: 6 },
      () =>
        new ConnectionPool({ open: () => openConnection(database.target), timers: systemTimers, size: 1 }),
    );
    // Where they meet in the catalogues of the server is not always the same place.
    for (let round = 0; round < 30; round += 1) {
      await rowsOf(database.connection, 'drop schema if exists sluice cascade');
      const lists = await Promise.all(
        pools.map((connections) =>
          new PostgresNamespaces({ connections, stores: STORES }).list({ after: '', limit: 10 }),
        ),
      );
      expect(lists).toEqual(pools.map(() => []));
    }
    for (const pool of pools) pool.close();
  });

  test('a schema that is there already is no namespace of ours, and stays as it is', async () => {
    const list = namespaces();
    await rowsOf(
      database.connection,
      'create schema "sluice_theirs"; create table "sluice_theirs".kept (n int)',
    );
    await expect(list.create(fresh('theirs'))).rejects.toMatchObject({ code: 'namespace_exists' });
    await expect(list.info('theirs')).rejects.toMatchObject({ code: 'unknown_namespace' });
    await expect(dropNamespaceSchema(database.connection, 'theirs', STORES)).rejects.toMatchObject({
      code: 'unknown_namespace',
    });
    expect(await rowsOf(database.connection, 'select * from "sluice_theirs".kept')).toEqual([]);
    await rowsOf(database.connection, 'drop schema "sluice_theirs" cascade');
  });

  test('a deletion waits for the append that is under way, and counts it', async () => {
    const list = namespaces();
    await list.create(fresh('busy'));
    const writer = await openConnection(database.target);
    await writer.db.execute('begin');
    await appendOn(writer, schemaOfNamespace('busy'), [command('account-1')]);
    let isDeleted = false;
    const deleting = list.delete('busy').then((deleted) => {
      isDeleted = true;
      return deleted;
    });
    expect(await rowsOf(writer, 'select 1 as n')).toEqual([{ n: 1 }]);
    expect(isDeleted).toBe(false);
    await writer.db.execute('commit');
    expect((await deleting).messagesDeleted).toBe(1n);
    writer.close();
  });

  test('a deletion waits for the event that is being appended, and counts it', async () => {
    const list = namespaces();
    await list.create(fresh('eventful'));
    const writer = await openConnection(database.target);
    await writer.db.execute('begin');
    await appendEventsOn(writer, schemaOfNamespace('eventful'), [eventCommand(event())]);
    let isDeleted = false;
    const deleting = list.delete('eventful').then((deleted) => {
      isDeleted = true;
      return deleted;
    });
    expect(await rowsOf(writer, 'select 1 as n')).toEqual([{ n: 1 }]);
    expect(isDeleted).toBe(false);
    await writer.db.execute('commit');
    expect(await deleting).toMatchObject({ messagesDeleted: 0n, eventsDeleted: 1n });
    writer.close();
  });

  test('one that an older version made, without an event store, is counted, used and deleted like others', async () => {
    const list = namespaces();
    for (const name of ['older', 'older-used']) {
      await list.create(fresh(name));
      const own = `"${schemaOfNamespace(name)}"`;
      await rowsOf(database.connection, `drop schema ${own} cascade; create schema ${own}`);
      for (const statement of messageSchema.steps[0]?.(schemaOfNamespace(name)) ?? [])
        await rowsOf(database.connection, statement);
    }
    expect(await list.info('older')).toMatchObject({ messages: 0n, events: 0n });
    expect(await list.delete('older')).toMatchObject({ messagesDeleted: 0n, eventsDeleted: 0n });
    await eventsOf('older-used').append([eventCommand(event())]);
    expect(await list.info('older-used')).toMatchObject({ messages: 0n, events: 1n });
    expect(await list.delete('older-used')).toMatchObject({ eventsDeleted: 1n });
  });

  test('a database that cannot be reached, and a list that was dropped', async () => {
    const nowhere = new PostgresNamespaces({
      stores: STORES,
      connections: {
        use: async () => {
          throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
        },
      },
    });
    await expect(nowhere.create(fresh('lost'))).rejects.toMatchObject({ code: 'database_unreachable' });
    const list = namespaces();
    await list.list({ after: '', limit: 1 });
    await rowsOf(database.connection, 'drop schema sluice cascade');
    await expect(list.list({ after: '', limit: 1 })).rejects.toMatchObject({ code: 'database_refused' });
    expect(await list.list({ after: '', limit: 1 })).toEqual([]);
  });

  test('other engines and limits are refused', async () => {
    const list = namespaces();
    await expect(list.create({ ...fresh('lite'), engine: 'sqlite' })).rejects.toMatchObject({
      code: 'invalid_options',
    });
    for (const limit of [0, -1, 1.5, 1_001])
      await expect(list.list({ after: '', limit })).rejects.toMatchObject({ code: 'invalid_options' });
    expect(await schemas()).toEqual([]);
  });
});
