import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NodeSqlite } from '../../local/sqlite.ts';
import { SqliteNamespaces, type SqliteNamespacesOptions } from '../../local/sqlite-namespaces.ts';
import { SqliteMessageEngine } from '../../src/messages/engines/sqlite-engine.ts';
import { MessageStore } from '../../src/messages/message-store.ts';
import type { NewNamespace } from '../../src/store/namespaces.ts';
import { command, row } from '../src/store/postgres-support.ts';

let root = '';
let folder = '';
let opened: SqliteNamespaces[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-namespaces-'));
  folder = join(root, 'store');
});
afterEach(() => {
  for (const namespaces of opened) namespaces.close();
  opened = [];
  rmSync(root, { recursive: true, force: true });
});

function namespaces(options: Partial<SqliteNamespacesOptions> = {}): SqliteNamespaces {
  const made = new SqliteNamespaces({ folder, synchronous: 'normal', ...options });
  opened.push(made);
  return made;
}

const fresh = (namespace: string): NewNamespace => ({
  namespace,
  description: `about ${namespace}`,
  engine: undefined,
  tokenHash: `hash of ${namespace}`,
});

const everything = { after: '', limit: 100 };

describe('namespaces in files', () => {
  test('created once, listed with how many messages they have, deleted with all of them', async () => {
    const list = namespaces({ now: () => 1_000.5 });
    expect(await list.list(everything)).toEqual([]);
    const record = await list.create(fresh('tenant-1'));
    expect(record).toEqual({
      namespace: 'tenant-1',
      description: 'about tenant-1',
      engine: 'sqlite',
      createdAtUs: 1_000_500,
    });
    await expect(list.create({ ...fresh('tenant-1'), description: 'other' })).rejects.toMatchObject({
      code: 'namespace_exists',
      details: { namespace: 'tenant-1' },
    });
    await list.create(fresh('tenant-2'));
    expect(readdirSync(folder).sort()).toEqual(['tenant-1.db', 'tenant-2.db']);
    await list.engine('tenant-1').append([command('account-1', [row(), row(), row()])]);
    expect(await list.list(everything)).toEqual([
      { ...record, messages: 3n },
      { ...record, namespace: 'tenant-2', description: 'about tenant-2', messages: 0n },
    ]);
    expect(await list.list({ after: '', limit: 1 })).toMatchObject([{ namespace: 'tenant-1' }]);
    expect(await list.list({ after: 'tenant-1', limit: 1 })).toMatchObject([{ namespace: 'tenant-2' }]);
    expect(await list.info('tenant-1')).toEqual({ ...record, messages: 3n });
    expect(await list.tokenHash('tenant-1')).toBe('hash of tenant-1');

    expect(await list.delete('tenant-1')).toEqual({
      namespace: 'tenant-1',
      deletedAtUs: 1_000_500,
      messagesDeleted: 3n,
    });
    expect(readdirSync(folder).filter((file) => file.startsWith('tenant-1'))).toEqual([]);
    await expect(list.engine('tenant-1').version('account-1')).rejects.toMatchObject({
      code: 'unknown_namespace',
    });
    await list.create(fresh('tenant-1'));
    expect(await list.engine('tenant-1').info()).toEqual({ messages: 0n, head: 0n });
    expect((await list.delete('tenant-1')).messagesDeleted).toBe(0n);
  });

  test('one that is not there is said to be unknown, and is not created by the question', async () => {
    const list = namespaces();
    await list.create(fresh('somebody'));
    const unknown = { code: 'unknown_namespace', details: { namespace: 'nobody' } };
    await expect(list.delete('nobody')).rejects.toMatchObject(unknown);
    await expect(list.info('nobody')).rejects.toMatchObject(unknown);
    await expect(list.tokenHash('nobody')).rejects.toMatchObject(unknown);
    await expect(list.engine('nobody').append([command('account-1')])).rejects.toMatchObject(unknown);
    expect(readdirSync(folder)).toEqual(['somebody.db']);
  });

  test.each([
    '',
    '.',
    '..',
    '../x',
    '/x',
    '.a',
    'a b',
    'a/b',
    'a\\b',
    '+a',
    'a\0b',
    'a\n',
    'é',
    'a'.repeat(57),
  ])('refuses the name %o, and writes nothing', async (name) => {
    const list = namespaces();
    const invalid = { code: 'invalid_namespace' };
    await expect(list.create(fresh(name))).rejects.toMatchObject(invalid);
    await expect(list.delete(name)).rejects.toMatchObject(invalid);
    await expect(list.info(name)).rejects.toMatchObject(invalid);
    await expect(list.tokenHash(name)).rejects.toMatchObject(invalid);
    expect(() => list.engine(name)).toThrow(expect.objectContaining(invalid));
    expect(readdirSync(root)).toEqual([]);
    await list.create(fresh('control'));
    expect(readdirSync(root)).toEqual(['store']);
  });

  test('wrong options are refused, and write nothing', async () => {
    const list = namespaces();
    const invalid = { code: 'invalid_options' };
    await expect(list.create({ ...fresh('a'), engine: 'postgres' })).rejects.toMatchObject(invalid);
    for (const limit of [0, 1.5, 1_001])
      await expect(list.list({ after: '', limit })).rejects.toMatchObject(invalid);
    for (const maxOpen of [0, 1.5, 257])
      expect(() => namespaces({ maxOpen })).toThrow(expect.objectContaining(invalid));
    expect(existsSync(folder)).toBe(false);
    await list.create({ ...fresh('a'), engine: 'sqlite' });
  });

  test('names that differ in case have files that do not; each has its own messages', async () => {
    const list = namespaces();
    const names = ['CASE', 'Case', 'a.b-c_1', 'a.db', 'a.db-wal', 'case', 'x'.repeat(56)];
    for (const name of names) {
      await list.create(fresh(name));
      await list.engine(name).append([command(`account-${name}`)]);
    }
    expect((await list.list(everything)).map(({ namespace }) => namespace)).toEqual(names);
    const files = readdirSync(folder);
    expect(new Set(files.map((file) => file.toLowerCase())).size).toBe(files.length);
    for (const name of names) {
      expect(await list.engine(name).listStreams({ prefix: '', after: '', limit: 10 })).toEqual([
        { stream: `account-${name}`, version: 0n, lastGlobalPosition: 1n },
      ]);
      expect((await list.delete(name)).messagesDeleted).toBe(1n);
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of several that create one name, one does', async () => {
    const lists = Array.from({ length: 4 }, () => namespaces());
    const created = await Promise.allSettled(lists.map((list) => list.create(fresh('race'))));
    expect(created.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of created) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'namespace_exists' });
    }
    expect(readdirSync(folder)).toEqual(['race.db']);
  });

  test('opened again after close, everything is there; what is closed refuses', async () => {
    const first = namespaces();
    const record = await first.create(fresh('kept'));
    const engine = first.engine('kept');
    await engine.append([command('account-1', [row(), row()])]);
    first.close();
    first.close();
    const closed = { code: 'store_closed' };
    await expect(engine.info()).rejects.toMatchObject(closed);
    await expect(first.list(everything)).rejects.toMatchObject(closed);
    await expect(first.create(fresh('late'))).rejects.toMatchObject(closed);
    expect(readdirSync(folder)).toEqual(['kept.db']);
    const second = namespaces();
    expect(await second.info('kept')).toEqual({ ...record, messages: 2n });
    expect(await second.engine('kept').version('account-1')).toBe(1n);
  });

  test('no more databases are open than allowed, and engines do not notice', async () => {
    const list = namespaces({ maxOpen: 2 });
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) await list.create(fresh(name));
    const stores = names.map((name) => new MessageStore(list.engine(name)));
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(
        stores.map((store) => store.write('account-1', { type: 'Deposited', data: { round } })),
      );
      expect(list.openDatabases).toBe(2);
    }
    for (const store of stores) expect(await store.version('account-1')).toBe(2n);
    // The least recently used goes: a is used again before c comes.
    await list.info('a');
    await list.info('b');
    await list.info('a');
    await list.info('c');
    expect(
      readdirSync(folder)
        .filter((file) => file.endsWith('-wal'))
        .sort(),
    ).toEqual(['a.db-wal', 'c.db-wal']);
  });

  test('an engine follows a namespace that another list deletes and creates again', async () => {
    const [one, other] = [namespaces(), namespaces()];
    await one.create(fresh('shared'));
    const engine = other.engine('shared');
    await engine.append([command('account-1')]);
    expect((await one.delete('shared')).messagesDeleted).toBe(1n);
    await expect(engine.append([command('account-1')])).rejects.toMatchObject({ code: 'unknown_namespace' });
    await one.create(fresh('shared'));
    await one.engine('shared').append([command('account-2')]);
    expect(await engine.version('account-1')).toBeUndefined();
    expect(await engine.version('account-2')).toBe(0n);
  });

  test('a process that has the file open when it is deleted can write to it no more', async () => {
    const list = namespaces();
    await list.create(fresh('held'));
    const held = new NodeSqlite(join(folder, 'held.db'));
    try {
      const engine = new SqliteMessageEngine(held);
      await engine.append([command('account-1')]);
      expect((await list.delete('held')).messagesDeleted).toBe(1n);
      expect(readdirSync(folder)).toEqual([]);
      await expect(engine.append([command('account-1')])).rejects.toThrow('no such table');
      // Closing it leaves the files of its successor alone.
      await list.create(fresh('held'));
      await list.engine('held').append([command('account-2')]);
    } finally {
      held.close();
    }
    list.close();
    expect(await namespaces().engine('held').version('account-2')).toBe(0n);
  });

  test('what a deletion left that did not come to its end is unknown, and makes room', async () => {
    const list = namespaces();
    await list.create(fresh('half'));
    const sqlite = new NodeSqlite(join(folder, 'half.db'));
    sqlite.run('alter table messages rename to sluice_deleted_messages');
    sqlite.run('drop table namespace');
    sqlite.close();
    await expect(list.info('half')).rejects.toMatchObject({ code: 'unknown_namespace' });
    await list.create(fresh('half'));
    expect(await list.info('half')).toMatchObject({ messages: 0n });
  });

  test("somebody else's files are not listed and not overwritten", async () => {
    const list = namespaces();
    await list.create(fresh('own'));
    const sqlite = new NodeSqlite(join(folder, 'foreign.db'));
    sqlite.run('create table messages (a integer)');
    sqlite.close();
    writeFileSync(join(folder, 'notes.txt'), 'x');
    writeFileSync(join(folder, 'Upper.db'), 'x');
    expect((await list.list(everything)).map(({ namespace }) => namespace)).toEqual(['own']);
    await expect(list.create(fresh('foreign'))).rejects.toMatchObject({ code: 'namespace_exists' });
    await expect(list.delete('foreign')).rejects.toMatchObject({ code: 'unknown_namespace' });
    expect(existsSync(join(folder, 'foreign.db'))).toBe(true);
  });
});
