import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { STORE_ENGINES } from '../../src/store/namespaces.ts';
import { errorOf } from '../support/eventodb-suite.ts';
import { admin, clientOf, createNamespace } from './store-support.ts';
import { askWith, useDatabase } from './support.ts';

const query = useDatabase();
const EVENT = { type: 'TestEvent', data: {} };

/** Leaves a namespace as an object that ended in the middle of something would. */
function leave(namespace: string, state: 'creating' | 'deleting'): Promise<void> {
  return runInDurableObject(env.REGISTRY.getByName('registry'), (_, { storage }) => {
    storage.sql.exec('update namespaces set state = ? where name = ?', state, namespace);
  });
}

describe.each(STORE_ENGINES)('what did not come to its end, in %s', (engine) => {
  it('a creation: the namespace is unknown, and creating it again goes on from there', async () => {
    const { namespace, token: lost } = await createNamespace(engine);
    await leave(namespace, 'creating');
    expect(await errorOf(admin.rpc('ns.info', namespace))).toMatchObject({ code: 'NAMESPACE_NOT_FOUND' });
    expect(await errorOf(admin.rpc('ns.delete', namespace))).toMatchObject({ code: 'NAMESPACE_NOT_FOUND' });
    expect(await admin.rpc<{ namespace: string }[]>('ns.list')).not.toContainEqual(
      expect.objectContaining({ namespace }),
    );
    const { token } = await admin.rpc<{ token: string }>('ns.create', namespace, { engine });
    expect((await clientOf(token).write('a-1', EVENT)).position).toBe(0);
    expect(await errorOf(clientOf(lost).write('a-1', EVENT))).toMatchObject({ code: 'AUTH_INVALID' });
  });

  it('a deletion: asking again ends it, and so does a new namespace of the name', async () => {
    for (const end of ['ns.delete', 'ns.create']) {
      const { namespace, client } = await createNamespace(engine);
      await client.write('a-1', EVENT);
      await leave(namespace, 'deleting');
      expect(await errorOf(admin.rpc('ns.info', namespace))).toMatchObject({ code: 'NAMESPACE_NOT_FOUND' });
      const answer = await admin.rpc<{ token: string; messagesDeleted: number }>(end, namespace, { engine });
      if (end === 'ns.delete') expect(answer.messagesDeleted).toBe(1);
      else expect(await clientOf(answer.token).category('a')).toEqual([]);
    }
  });

  it('a deletion of which only the answer is missing', async () => {
    const { namespace } = await createNamespace(engine);
    await runInDurableObject(env.NAMESPACE.getByName(namespace), (object) =>
      object.destroy({ namespace, engine, tokenHash: '' }),
    );
    expect(await admin.rpc('ns.delete', namespace)).toMatchObject({ messagesDeleted: 0 });
    expect(await errorOf(admin.rpc('ns.delete', namespace))).toMatchObject({ code: 'NAMESPACE_NOT_FOUND' });
  });
});

it('a database that is away is a failure of the backend, and the name can be used once it is back', async () => {
  const namespace = `away-${crypto.randomUUID().slice(0, 8)}`;
  const move = (url: string | undefined) =>
    runInDurableObject(env.NAMESPACE.getByName(namespace), (object) => {
      const held = object as unknown as { env: typeof env };
      held.env = { ...env, ...(url === undefined ? {} : { DATABASE_URL: url }) };
    });
  await move('postgres://user:topsecret@127.0.0.1:1/db');
  const error = await errorOf(admin.rpc('ns.create', namespace, { engine: 'postgres' }));
  expect(error).toMatchObject({ code: 'BACKEND_ERROR', status: 500 });
  expect(error.message).toBe('The database cannot be reached; see the log');
  await move(undefined);
  const { token } = await admin.rpc<{ token: string }>('ns.create', namespace, { engine: 'postgres' });
  expect((await clientOf(token).write('a-1', EVENT)).position).toBe(0);
});

it('does not take over a schema that has messages already', async () => {
  const { namespace, client } = await createNamespace('postgres');
  await client.write('a-1', EVENT);
  await leave(namespace, 'creating');
  expect(await errorOf(admin.rpc('ns.create', namespace, { engine: 'postgres' }))).toMatchObject({
    code: 'NAMESPACE_EXISTS',
  });
});

it('a namespace in Postgres has its own schema, and none when it is deleted', async () => {
  const { namespace } = await createNamespace('postgres');
  const schemas = sql`select 1 from information_schema.schemata where schema_name = ${`sluice_${namespace}`}`;
  expect(await query(schemas)).toHaveLength(1);
  await admin.rpc('ns.delete', namespace);
  expect(await query(schemas)).toEqual([]);
});

it('keeps hashes, and no token', async () => {
  const { namespace, token } = await createNamespace('sqlite');
  const stored = await runInDurableObject(env.NAMESPACE.getByName(namespace), (_, { storage }) =>
    JSON.stringify(storage.kv.get('config')),
  );
  const secret = token.split('_')[2] ?? '';
  expect(stored).not.toContain(secret);
  expect(stored).toContain(namespace);
  const registry = await runInDurableObject(env.REGISTRY.getByName('registry'), (_, { storage }) =>
    JSON.stringify(storage.sql.exec('select * from namespaces').toArray()),
  );
  expect(registry).not.toContain(secret);
  expect(registry).toContain(namespace);
});

it('GET / tells of the routes', async () => {
  const text = await (await askWith({}, '/')).text();
  for (const route of ['/rpc', '/subscribe', '/import', '/export']) expect(text).toContain(route);
});
