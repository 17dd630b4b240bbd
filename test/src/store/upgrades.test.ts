/**
 * Versions of the stores in Postgres: from the namespaces of version 1 (commits 07b5b89 to 628c638) on, and with the
 * statements that the code of that version sends.
 */

import { sql } from 'drizzle-orm';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import {
  appendEventsOn,
  openEvents,
  PostgresEventEngine,
} from '../../../src/events/engines/postgres-engine.ts';
import { eventSchema } from '../../../src/events/sql/schema.ts';
import {
  appendOn,
  openMessages,
  PostgresMessageEngine,
} from '../../../src/messages/engines/postgres-engine.ts';
import { messageSchema } from '../../../src/messages/sql/schema.ts';
import { defineStreamSink } from '../../../src/sinks/stream-sink.ts';
import { schemaOfNamespace } from '../../../src/store/namespaces.ts';
import { openStore } from '../../../src/store/open-store.ts';
import { createNamespaceSchema, dropNamespaceSchema } from '../../../src/store/postgres-namespaces.ts';
import { recordVersion, type StoreSchema, sqlNames } from '../../../src/store/store-schema.ts';
import { prepareAppends } from '../../../src/writers/append.ts';
import { freshName, rowsOf } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { eventually } from '../../support/patience.ts';
import { event, command as eventCommand, item, reading } from '../events/event-commands.ts';
import {
  createVersionOne,
  replayVersionOne,
  type StoreName,
  sendVersionOne,
  versionOneStatements,
} from './older-store.ts';
import { command, row, STORES, storeDatabase } from './postgres-support.ts';

const postgres = storeDatabase();
const elsewhere = ownDatabase();
const STORE_NAMES = ['messages', 'events'] as const;
const SCHEMAS = { messages: messageSchema, events: eventSchema };
const open = { messages: openMessages, events: openEvents };

/** A namespace of version 1, dropped with the others at the end. */
async function versionOne(stores: readonly StoreName[] = STORE_NAMES): Promise<string> {
  const schema = await postgres.namespace();
  await rowsOf(postgres.connection, `drop schema "${schema}" cascade`);
  if (stores[0] !== 'messages') await rowsOf(postgres.connection, `create schema "${schema}"`);
  await createVersionOne(postgres.connection, schema, stores);
  return schema;
}

async function versionsOf(schema: string, connection = postgres.connection): Promise<Record<string, number>> {
  const rows = await rowsOf<{ store: string; version: number }>(
    connection,
    `select store, version from "${schema}".store_versions`,
  );
  return Object.fromEntries(rows.map(({ store, version }) => [store, version]));
}

async function hasVersions(schema: string, connection = postgres.connection): Promise<boolean> {
  const [found] = await rowsOf<{ there: boolean }>(
    connection,
    sql`select to_regclass(${`"${schema}".store_versions`}) is not null as there`,
  );
  return found?.there === true;
}

/** The names of the functions with one of these endings. */
async function functionsOf(schema: string, pattern: string): Promise<string[]> {
  const rows = await rowsOf<{ name: string }>(
    postgres.connection,
    sql`select proname as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname = ${schema} and proname ~ ${pattern} order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** All that a namespace holds, as text. */
async function contentOf(schema: string): Promise<unknown> {
  const content: unknown[] = [];
  for (const table of ['messages', 'events', 'event_postings'])
    content.push(
      await rowsOf(postgres.connection, `select t::text as row from "${schema}".${table} t order by 1`),
    );
  return content;
}

const APPEND_ONE = 'call "sluice_fixture".append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, null)';

/** What code of version 1 sends to write one message. */
async function appendAsVersionOne(connection: Connection, schema: string, stream = 'old-1'): Promise<number> {
  const { id, type, data } = row();
  const [answer] = await sendVersionOne(connection, schema, APPEND_ONE, [
    stream,
    'old',
    '1',
    null,
    id,
    type,
    data,
    null,
    null,
  ]);
  return Number(String(answer?.answer).split(';')[0]) + 1;
}

/** Resolves once a statement of the connection waits for a lock. */
async function waiting(pid: number): Promise<void> {
  await eventually(async () => {
    const found = await rowsOf(
      postgres.connection,
      sql`select 1 from pg_locks where pid = ${pid} and not granted`,
    );
    expect(found).toHaveLength(1);
  });
}

async function pidOf(connection: Connection): Promise<number> {
  const [found] = await rowsOf<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
  return found?.pid ?? 0;
}

/** A store as code of another version knows it: with further steps, or with fewer. */
function ofVersion(store: StoreSchema, version: number): StoreSchema {
  const steps = store.steps.slice(0, version);
  while (steps.length < version) {
    const next = steps.length + 1;
    steps.push((schema) => [
      `create or replace function "${schema}".of_version${sqlNames(schema, next).v}() returns int language sql as 'select ${next}'`,
      // What the version before this one does not call.
      ...(next === 4 ? [`drop routine "${schema}".append_one_v2, "${schema}".append_v2`] : []),
      ...(next === 3 ? [`drop routine "${schema}".append_one, "${schema}".append`] : []),
    ]);
  }
  return { ...store, steps };
}

describe.each(STORE_NAMES)('the %s of version 1', (store) => {
  test('are upgraded at the first use, and hold what they held', async () => {
    const schema = await versionOne();
    await replayVersionOne(postgres.connection, schema, store);
    const before = await contentOf(schema);
    // The control: it knows no versions.
    expect(await hasVersions(schema)).toBe(false);

    await open[store](postgres.connection, schema);

    expect(await versionsOf(schema)).toEqual({ [store]: 2 });
    expect(await contentOf(schema)).toEqual(before);
    // Once more, and nothing changes.
    await open[store](postgres.connection, schema);
    expect(await versionsOf(schema)).toEqual({ [store]: 2 });
  });

  test('have the functions that new ones have, and new ones have theirs', async () => {
    const upgraded = await versionOne();
    const created = await postgres.namespace();
    for (const name of STORE_NAMES) await open[name](postgres.connection, upgraded);
    expect(await versionsOf(created)).toEqual({ messages: 2, events: 2 });
    expect(await versionsOf(upgraded)).toEqual({ messages: 2, events: 2 });
    const functions = await functionsOf(created, '.');
    expect(await functionsOf(upgraded, '.')).toEqual(functions);
    // Of each, the name of version 1 and that of version 2.
    const named = functions.filter((name) => name.endsWith('_v2'));
    expect(named).toHaveLength(24);
    expect(functions).toEqual([...named, ...named.map((name) => name.slice(0, -3))].sort());
  });

  test.each(['an upgraded', 'a new'])('go on for code of version 1 on %s namespace', async (kind) => {
    const schema = kind === 'a new' ? await postgres.namespace() : await versionOne();
    for (const name of STORE_NAMES) await open[name](postgres.connection, schema);
    const { answered, expected } = await replayVersionOne(postgres.connection, schema, store);
    expect(answered).toEqual(expected);
    expect(expected.length).toBeGreaterThan(10);
  });
});

test('messages that code of either version has written are read and followed by the other', async () => {
  const schema = await versionOne();
  const { expected } = await replayVersionOne(postgres.connection, schema, 'messages');
  const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
  const read = { category: '', globalPosition: 1n, limit: 100, correlation: null, consumer: null };
  const old = await engine.readCategory(read);
  expect(old.map(({ globalPosition }) => Number(globalPosition))).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 40, 50, 51,
  ]);
  expect(expected).toContainEqual(
    expect.objectContaining({
      rows: old
        .filter(({ stream }) => stream === 'account-1')
        .map((record) => expect.objectContaining({ id: record.id, data: record.data })),
    }),
  );
  expect(await engine.version('account-1')).toBe(2n);
  expect(await engine.append([command('account-1', [row()], 2n)])).toEqual([
    { kind: 'written', ends: [{ position: 3n, globalPosition: 52n }] },
  ]);
  expect(await engine.append([command('account-1', [row(), row()], 2n)])).toMatchObject([
    { kind: 'conflict', actualVersion: 3n },
  ]);
  expect(await engine.append([command('account-1', [row({ id: old[0]?.id as string })])])).toMatchObject([
    { kind: 'duplicate_id' },
  ]);
  expect(await appendAsVersionOne(postgres.connection, schema, 'account-1')).toBe(53);
  expect(await engine.version('account-1')).toBe(4n);
  expect(await engine.info()).toEqual({ messages: 13n, head: 53n });
});

test('events that code of either version has written are read and conditions of the other see them', async () => {
  const schema = await versionOne();
  await replayVersionOne(postgres.connection, schema, 'events');
  const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
  expect(await engine.head()).toBe(6n);
  expect((await engine.read(reading('all'))).map(({ position }) => Number(position))).toEqual([
    1, 2, 3, 4, 5, 6,
  ]);
  const defined = [item(['Defined'], ['course:1'])];
  expect(await engine.append([eventCommand(event('Defined', ['course:1']), defined)])).toEqual([
    { kind: 'conflict', position: 1n },
  ]);
  expect(await engine.append([eventCommand([event('Defined', ['course:9']), event()], defined, 6n)])).toEqual(
    [{ kind: 'appended', position: 8n, isRepeated: false }],
  );
  // By what code of version 1 sends: it meets the new event.
  const answer = await sendVersionOne(
    postgres.connection,
    schema,
    'call "sluice_fixture".append_event($1, $2, $3, $4, $5, $6, $7, $8, null)',
    [null, 'Defined', '{course:9}', 'text', null, '{course:9}', '{Defined}', '0'],
  );
  expect(answer).toEqual([{ answer: '8;1;7' }]);
});

test('a namespace of version 1 without an event store gets one', async () => {
  const schema = await versionOne(['messages']);
  const engine = new PostgresEventEngine({ connections: postgres.pool(), schema });
  expect(await engine.append([eventCommand(event())])).toMatchObject([{ position: 1n }]);
  // The messages are upgraded by those who use them.
  expect(await versionsOf(schema)).toEqual({ events: 2 });
  expect(await functionsOf(schema, '^append_one')).toEqual(['append_one']);
});

test('code of version 1 that creates the event store at the same time, without the lock of upgrades', async () => {
  const schema = await versionOne(['messages']);
  const old = await postgres.database.open();
  await old.db.execute('begin');
  await rowsOf(old, versionOneStatements('events', schema));
  const mine = await postgres.database.open();
  const pid = await pidOf(mine);
  const opening = openEvents(mine, schema);
  await waiting(pid);
  await old.db.execute('commit');
  await opening;
  expect(await versionsOf(schema)).toEqual({ events: 2 });
  expect(await functionsOf(schema, '^append_event_?v?2?$')).toEqual(['append_event', 'append_event_v2']);
});

test('under load: code of both versions writes and reads while many open the namespace', async () => {
  const schema = await versionOne();
  const connections = await Promise.all(Array.from({ length: 8 }, () => postgres.database.open()));
  let isOver = false;
  const positions: number[] = [];
  const seen: number[][] = [];
  const writers = connections.slice(0, 4).map(async (connection) => {
    while (!isOver) positions.push(await appendAsVersionOne(connection, schema));
  });
  const readers = connections.slice(4, 6).map(async (connection) => {
    const mine: number[] = [];
    seen.push(mine);
    while (!isOver) {
      const rows = await sendVersionOne(
        connection,
        schema,
        'select * from "sluice_fixture".read_category($1, $2, $3, $4, $5, $6) where clock_timestamp() is not null',
        ['', String((mine.at(-1) ?? 0) + 1), '100', null, null, null],
      );
      mine.push(...rows.map(({ global_position }) => Number(global_position)));
    }
  });
  await eventually(() => expect(positions.length).toBeGreaterThan(20));

  const engines = Array.from(
    { length: 6 },
    () => new PostgresMessageEngine({ connections: postgres.pool(1), schema }),
  );
  const eventEngines = Array.from(
    { length: 4 },
    () => new PostgresEventEngine({ connections: postgres.pool(1), schema }),
  );
  const written = await Promise.all([
    ...engines.map((engine, index) => engine.append([command(`new-${index}`, [row(), row()])])),
    ...eventEngines.map((engine) =>
      engine.append([eventCommand(event('Claimed', ['a']), [item(['Claimed'])])]),
    ),
  ]);
  expect(written.flat().filter(({ kind }) => kind === 'written')).toHaveLength(6);
  // Of those who claim the same, one.
  expect(written.flat().filter(({ kind }) => kind === 'appended')).toHaveLength(1);
  expect(written.flat().filter(({ kind }) => kind === 'conflict')).toHaveLength(3);
  const atUpgrade = positions.length;
  await eventually(() => expect(positions.length).toBeGreaterThan(atUpgrade + 20));
  isOver = true;
  await Promise.all([...writers, ...readers]);

  expect(await versionsOf(schema)).toEqual({ messages: 2, events: 2 });
  const all = await rowsOf<{ position: number }>(
    postgres.connection,
    `select global_position::int as position from "${schema}".messages order by 1`,
  );
  // No gap, nothing twice, and readers have missed nothing.
  expect(all.map(({ position }) => position)).toEqual(all.map((_, index) => index + 1));
  expect(all).toHaveLength(positions.length + 12);
  for (const mine of seen) expect(mine).toEqual(mine.map((_, index) => index + 1));
});

describe.each(STORE_NAMES)('an upgrade of %s', (store) => {
  let holder: Connection;
  let other: Connection;
  beforeAll(async () => {
    holder = await postgres.database.open();
    other = await postgres.database.open();
  });

  test('holds up others who open the namespace, but no append and no read; they find it done', async () => {
    const schema = await versionOne();
    await replayVersionOne(postgres.connection, schema, store);
    await holder.db.execute('begin');
    await open[store](holder, schema, 'callers');
    const upgradedBy = `select xmin::text as transaction from "${schema}".store_versions`;
    const byHolder = await rowsOf(holder, upgradedBy);
    const pid = await pidOf(other);
    const opening = open[store](other, schema);
    await waiting(pid);
    // Meanwhile, by what code of version 1 sends.
    expect(await appendAsVersionOne(postgres.connection, schema)).toBeGreaterThan(0);
    await sendVersionOne(
      postgres.connection,
      schema,
      'call "sluice_fixture".append_event($1, $2, $3, $4, $5, $6, $7, $8, null)',
      [null, 'A', '{}', 'text', null, null, null, null],
    );
    expect(await hasVersions(schema)).toBe(false);
    await holder.db.execute('commit');
    await opening;
    expect(await versionsOf(schema)).toEqual({ [store]: 2 });
    // By the transaction of the first, and by no other.
    expect(await rowsOf(postgres.connection, upgradedBy)).toEqual(byHolder);
  });

  test('that is cut off leaves nothing, and the next one does it', async () => {
    const schema = await versionOne();
    await replayVersionOne(postgres.connection, schema, store);
    const before = await contentOf(schema);
    const lost = await openConnection(postgres.database.target);
    const lostPid = await pidOf(lost);
    await lost.db.execute('begin');
    await open[store](lost, schema, 'callers');
    const pid = await pidOf(other);
    const opening = open[store](other, schema);
    await waiting(pid);
    await rowsOf(postgres.connection, sql`select pg_terminate_backend(${lostPid})`);
    await opening;
    lost.close();
    expect(await versionsOf(schema)).toEqual({ [store]: 2 });
    expect(await contentOf(schema)).toEqual(before);
  });

  test('that fails in the middle leaves nothing', async () => {
    const schema = await versionOne();
    const broken = ofVersion(SCHEMAS[store], 2);
    const steps = [...broken.steps, () => ['create table "public".half_made ()', 'select 1 / 0']];
    await expect(openStore(other, schema, { ...broken, steps })).rejects.toThrow();
    expect(await hasVersions(schema)).toBe(false);
    expect(await functionsOf(schema, '_v2$')).toEqual([]);
    // The control: without the step that fails, it goes through.
    await openStore(other, schema, broken);
    expect(await versionsOf(schema)).toEqual({ [store]: 2 });
  });

  test('while the namespace is deleted: the deletion waits, or the upgrade finds nothing', async () => {
    const name = freshName('going');
    const schema = schemaOfNamespace(name);
    await createVersionOne(postgres.connection, schema);
    await holder.db.execute('begin');
    await open[store](holder, schema, 'callers');
    const pid = await pidOf(other);
    const dropping = dropNamespaceSchema(other, name, STORES);
    await waiting(pid);
    await holder.db.execute('commit');
    await dropping;
    await expect(open[store](other, schema)).rejects.toMatchObject({ code: 'unknown_namespace' });

    await createVersionOne(postgres.connection, schema);
    await holder.db.execute('begin');
    await rowsOf(
      holder,
      `lock table "${schema}".append_lock, "${schema}".events_lock in access exclusive mode`,
    );
    await rowsOf(holder, `drop schema "${schema}" cascade`);
    const opening = open[store](other, schema).catch((error: unknown) => error);
    await waiting(pid);
    await holder.db.execute('commit');
    expect(await opening).toMatchObject({ code: 'unknown_namespace' });
    // Nothing of it is left, under no name.
    expect(await functionsOf(schema, '.')).toEqual([]);
  });

  test('needs a role that may create in the schema; once it is done, others go on', async () => {
    const schema = await versionOne();
    const role = freshName('restricted');
    await rowsOf(
      postgres.connection,
      `create role ${role}; grant usage on schema "${schema}" to ${role}; grant select, insert, update, delete, truncate on all tables in schema "${schema}" to ${role}`,
    );
    const restricted = await openConnection(postgres.database.target);
    await restricted.db.execute(`set role ${role}`);
    // The control: code of version 1 may work.
    expect(await appendAsVersionOne(restricted, schema)).toBe(1);
    await expect(open[store](restricted, schema)).rejects.toMatchObject({
      code: 'schema_version',
      message: expect.stringContaining(
        'may not do it: open the namespace once with the role that owns the schema',
      ),
      details: { schema, store, needed: 2, reason: 'not_allowed' },
    });
    for (const name of STORE_NAMES) await open[name](postgres.connection, schema);
    await open[store](restricted, schema);
    const engines = {
      connections: { use: async (work: never) => (work as CallableFunction)(restricted) },
      schema,
    };
    expect((await new PostgresMessageEngine(engines).append([command('a-1')]))[0]?.kind).toBe('written');
    expect((await new PostgresEventEngine(engines).append([eventCommand(event())]))[0]?.kind).toBe(
      'appended',
    );
    restricted.close();
    await rowsOf(postgres.connection, `drop owned by ${role}; drop role ${role}`);
  });

  test('in one of two databases with the same name leaves the other as it is', async () => {
    const schema = await versionOne();
    await createVersionOne(elsewhere.connection, schema);
    await open[store](elsewhere.connection, schema);
    expect(await versionsOf(schema, elsewhere.connection)).toEqual({ [store]: 2 });
    expect(await hasVersions(schema)).toBe(false);
    await rowsOf(elsewhere.connection, `drop schema "${schema}" cascade`);
  });

  test('as a part of a transaction goes back with it', async () => {
    const schema = await versionOne();
    await holder.db.execute('begin');
    await open[store](holder, schema, 'callers');
    expect(await versionsOf(schema, holder)).toEqual({ [store]: 2 });
    await holder.db.execute('rollback');
    expect(await hasVersions(schema)).toBe(false);
    await holder.db.execute('begin');
    await expect(open[store](holder, 'sluice_not there', 'callers')).rejects.toMatchObject({
      code: 'unknown_namespace',
    });
    await holder.db.execute('rollback');
  });
});

test('an import by code of version 1 that is under way holds up no upgrade, and comes through', async () => {
  const schema = await versionOne();
  const importer = await postgres.database.open();
  await importer.db.execute('begin');
  await sendVersionOne(
    importer,
    schema,
    'select * from "sluice_fixture".import($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) where clock_timestamp() is not null',
    [
      '{old-1}',
      '{old}',
      '{1}',
      '{1}',
      '{7}',
      '{70}',
      '{1700000000000000}',
      `{${row().id}}`,
      '{T}',
      '{}',
      null,
      null,
    ],
  );
  await openMessages(postgres.connection, schema);
  // The control: the import is still open.
  const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
  expect(await engine.info()).toEqual({ messages: 0n, head: 0n });
  await importer.db.execute('commit');
  expect(await engine.append([command('old-1')])).toEqual([
    { kind: 'written', ends: [{ position: 8n, globalPosition: 71n }] },
  ]);
});

describe.each(STORE_NAMES)('%s that are further ahead', (store) => {
  test('by one version are used; by two they are refused, with a sentence', async () => {
    const schema = await postgres.namespace();
    await rowsOf(postgres.connection, recordVersion(schema, store, 3));
    await open[store](postgres.connection, schema);
    await rowsOf(postgres.connection, recordVersion(schema, store, 4));
    await expect(open[store](postgres.connection, schema)).rejects.toMatchObject({
      code: 'schema_version',
      message: `The ${store} of the schema ${schema} are at version 4; this version of Sluice works with 2 and 3: deploy a newer one`,
      details: { schema, store, found: 4, supported: [2, 3] },
    });
  });
});

test('from version to version: the functions of the one before stay, those before it go', async () => {
  const schema = await versionOne();
  const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
  await engine.append([command('a-1')]);
  // Code of version 3 upgrades: that of version 2 goes on, that of version 1 is two behind.
  await openStore(postgres.connection, schema, ofVersion(messageSchema, 3));
  expect(await engine.append([command('a-1')])).toMatchObject([{ kind: 'written' }]);
  await expect(appendAsVersionOne(postgres.connection, schema)).rejects.toThrow();
  // Taken back: code of version 2 opens it again, and does not touch it.
  await openMessages(postgres.connection, schema);
  expect(await versionsOf(schema)).toEqual({ messages: 3 });
  // Code of version 4 upgrades: that of version 2, which runs, is told so.
  await openStore(postgres.connection, schema, ofVersion(messageSchema, 4));
  await expect(engine.append([command('a-1')])).rejects.toMatchObject({
    code: 'schema_version',
    details: { found: 4 },
  });
  // From version 1 to 4 in one go.
  const old = await versionOne();
  await openStore(postgres.connection, old, ofVersion(messageSchema, 4));
  expect(await versionsOf(old)).toEqual({ messages: 4 });
  expect(await functionsOf(old, '^of_version')).toEqual(['of_version_v3', 'of_version_v4']);
});

test('what a caller appends in their own transaction needs a namespace that was opened', async () => {
  const schema = await versionOne();
  await expect(appendOn(postgres.connection, schema, [command('a-1')])).rejects.toThrow();
  await expect(appendEventsOn(postgres.connection, schema, [eventCommand(event())])).rejects.toThrow();
  for (const name of STORE_NAMES) await open[name](postgres.connection, schema);
  expect(await appendOn(postgres.connection, schema, [command('a-1')])).toMatchObject([{ kind: 'written' }]);
  expect(await appendEventsOn(postgres.connection, schema, [eventCommand(event())])).toMatchObject([
    { kind: 'appended' },
  ]);
});

test('a namespace that was created with one store gets the other at its first use', async () => {
  const name = freshName('single');
  const schema = schemaOfNamespace(name);
  await createNamespaceSchema(postgres.connection, name, [eventSchema]);
  expect(await versionsOf(schema)).toEqual({ events: 2 });
  const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
  expect(await engine.append([command('a-1')])).toMatchObject([{ kind: 'written' }]);
  expect(await versionsOf(schema)).toEqual({ events: 2, messages: 2 });
  expect(await dropNamespaceSchema(postgres.connection, name, STORES)).toEqual(
    new Map([
      ['messages', 1n],
      ['events', 0n],
    ]),
  );
});

test('a sink of streams writes into a namespace of version 1: the upgrade is part of its transaction', async () => {
  const name = freshName('sink');
  const schema = schemaOfNamespace(name);
  await createVersionOne(postgres.connection, schema, ['messages']);
  const sink = defineStreamSink('streams', { namespace: name });
  const prepare = prepareAppends(sink);
  const connection = await postgres.database.open();
  const write = async (sequence: number, end: 'commit' | 'rollback'): Promise<void> => {
    await connection.db.execute('begin');
    const columns = {
      producers: ['p'],
      sequences: [sequence],
      epochs: [1],
      payloads: [JSON.stringify({ stream: 'account-1', type: 'Opened', data: {} })],
      plain: [true],
      receivedAtMs: [0],
    };
    const batch = { columns, from: 0, to: 1, position: BigInt(sequence), bytes: 100 };
    await prepare(batch)(connection, 'callers').finally(() => connection.db.execute(end));
  };
  await write(1, 'rollback');
  expect(await hasVersions(schema)).toBe(false);
  await write(1, 'commit');
  await write(2, 'commit');
  await write(3, 'commit');
  expect(await versionsOf(schema)).toEqual({ messages: 2 });
  const engine = new PostgresMessageEngine({ connections: postgres.pool(), schema });
  expect(await engine.version('account-1')).toBe(2n);
  await dropNamespaceSchema(postgres.connection, name, STORES);
});
