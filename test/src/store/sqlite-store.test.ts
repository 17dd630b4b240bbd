/** Versions of the stores in SQLite: from the databases of version 1 (commits 07b5b89 to 628c638) on. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { NodeSqlite } from '../../../local/sqlite.ts';
import { SqliteNamespaces } from '../../../local/sqlite-namespaces.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import { SqliteMessageEngine } from '../../../src/messages/engines/sqlite-engine.ts';
import { openSqliteStore } from '../../../src/store/sqlite-store.ts';
import { event, command as eventCommand, item, reading } from '../events/event-commands.ts';
import { replayVersionOneInSqlite, type StoreName } from './older-store.ts';
import { command, row } from './postgres-support.ts';

const STORE_NAMES = ['messages', 'events'] as const;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'sluice-versions-'));
  folders.push(made);
  return made;
}

function openAs(store: StoreName, sqlite: NodeSqlite): SqliteMessageEngine | SqliteEventEngine {
  return store === 'messages' ? new SqliteMessageEngine(sqlite) : new SqliteEventEngine(sqlite);
}

function contentOf(sqlite: NodeSqlite): unknown {
  const names = sqlite
    .run<{ name: string }>(
      "select name from sqlite_schema where type = 'table' and name <> 'store_versions' order by name",
    )
    .map(({ name }) => name);
  return names.map((name) => {
    const select = sqlite.database.prepare(`select * from ${name} order by 1, 2`);
    // Hashes have 64 bits.
    select.setReadBigInts(true);
    return [name, select.all()];
  });
}

function versionsOf(sqlite: NodeSqlite): unknown {
  return sqlite.rows('select store, version from store_versions order by store').map((values) => [...values]);
}

describe.each(STORE_NAMES)('the %s of version 1', (store) => {
  test('are upgraded when they are opened, and hold what they held', () => {
    const sqlite = new NodeSqlite();
    replayVersionOneInSqlite(sqlite, store);
    const before = contentOf(sqlite);
    expect(() => versionsOf(sqlite)).toThrow('no such table');
    openAs(store, sqlite);
    expect(versionsOf(sqlite)).toEqual([[store, 2]]);
    expect(contentOf(sqlite)).toEqual(before);
    const written = sqlite.rowsWritten;
    openAs(store, sqlite);
    // Once it is done, to open it writes nothing.
    expect(sqlite.rowsWritten).toBe(written);
  });

  test('go on for code of version 1, in a database that is upgraded or new', () => {
    const sqlite = new NodeSqlite();
    openAs(store, sqlite);
    const { answered, expected } = replayVersionOneInSqlite(sqlite, store);
    expect(answered).toEqual(expected);
    expect(expected.length).toBeGreaterThan(20);
    expect(versionsOf(sqlite)).toEqual([[store, 2]]);
  });

  test('an upgrade that fails leaves nothing', () => {
    const sqlite = new NodeSqlite();
    replayVersionOneInSqlite(sqlite, store);
    const broken = {
      name: store,
      table: store,
      steps: [[], ['create table half_made (n integer)', 'no statement']],
    };
    expect(() => openSqliteStore(sqlite, broken)).toThrow('syntax error');
    expect(() => versionsOf(sqlite)).toThrow('no such table');
    expect(sqlite.run("select 1 from sqlite_schema where name = 'half_made'")).toEqual([]);
    // The control: without the statement that fails, it goes through.
    openSqliteStore(sqlite, { ...broken, steps: [[], ['create table half_made (n integer)']] });
    expect(versionsOf(sqlite)).toEqual([[store, 2]]);
    expect(sqlite.run("select 1 from sqlite_schema where name = 'half_made'")).toHaveLength(1);
  });

  test('further ahead by one version are used; by two they are refused, with a sentence', () => {
    const sqlite = new NodeSqlite();
    openAs(store, sqlite);
    sqlite.run('update store_versions set version = 3');
    openAs(store, sqlite);
    expect(versionsOf(sqlite)).toEqual([[store, 3]]);
    sqlite.run('update store_versions set version = 4');
    expect(() => openAs(store, sqlite)).toThrow(
      expect.objectContaining({
        code: 'schema_version',
        message: `The ${store} of this database are at version 4; this version of Sluice works with 2 and 3: deploy a newer one`,
        details: { store, found: 4, supported: [2, 3] },
      }),
    );
  });
});

test('what the code of version 1 has written is read and followed', async () => {
  const sqlite = new NodeSqlite();
  replayVersionOneInSqlite(sqlite, 'messages');
  replayVersionOneInSqlite(sqlite, 'events');
  const messages = new SqliteMessageEngine(sqlite);
  const events = new SqliteEventEngine(sqlite);
  expect(versionsOf(sqlite)).toEqual([
    ['events', 2],
    ['messages', 2],
  ]);
  expect(await messages.version('account-1')).toBe(2n);
  expect(await messages.append([command('account-1', [row()], 2n)])).toEqual([
    { kind: 'written', ends: [{ position: 3n, globalPosition: 52n }] },
  ]);
  expect(await messages.info()).toEqual({ messages: 12n, head: 52n });
  const defined = [item(['Defined'], ['course:1'])];
  expect(await events.append([eventCommand(event('Defined', ['course:1']), defined)])).toEqual([
    { kind: 'conflict', position: 1n },
  ]);
  expect(await events.append([eventCommand(event('Defined', ['course:9']))])).toMatchObject([
    { position: 7n },
  ]);
  expect(await events.read(reading('all', { limit: 100 }))).toHaveLength(7);
});

test('a folder of Node: its namespaces are upgraded one by one, while another process has them open', async () => {
  const path = folder();
  const made = new SqliteNamespaces({ folder: path });
  await made.create({ namespace: 'older', description: '', engine: undefined, tokenHash: 'hash' });
  await made.create({ namespace: 'other', description: '', engine: undefined, tokenHash: 'hash' });
  made.close();
  // As the code of version 1 left it: its tables, and no versions.
  const file = new NodeSqlite(join(path, 'older.db'));
  file.run('drop table store_versions');
  const { answered, expected } = replayVersionOneInSqlite(file, 'messages');
  expect(answered).toEqual(expected);

  const lists = [new SqliteNamespaces({ folder: path }), new SqliteNamespaces({ folder: path })];
  for (const list of lists) expect(await list.info('older')).toMatchObject({ messages: 11n });
  expect(versionsOf(file)).toEqual([['messages', 2]]);
  await lists[0]?.engine('older').append([command('account-1')]);
  await lists[1]?.engine('older').append([command('account-1')]);
  // The process that opened it before goes on, too.
  expect(file.run('select max(position) as version from messages where stream = ?', 'account-1')).toEqual([
    { version: 4 },
  ]);
  file.run('update store_versions set version = 4');
  file.close();
  const late = new SqliteNamespaces({ folder: path });
  await expect(late.engine('older').info()).rejects.toMatchObject({ code: 'schema_version' });
  // The control: the other namespace is not concerned.
  expect(await late.engine('other').info()).toEqual({ messages: 0n, head: 0n });
  for (const list of [...lists, late]) list.close();
});
