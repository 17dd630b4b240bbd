import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { openStore } from '../../examples/postgres-store.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { createNamespaceSchema, messageSchema } from '../../src/messages/index.ts';
import { freshName, testDatabase } from '../support/connect.ts';

const database = testDatabase('tcp');
/** The program imports the package, as its users' do. */
const RESOLVER = join(REPOSITORY, 'test/support/resolve-sluice.ts');

test('the program of the page prints what it says', async () => {
  const program = join(REPOSITORY, 'examples/message-store.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--no-warnings',
    '--import',
    RESOLVER,
    program,
  ]);
  expect(stdout).toBe('70 1n 2\n');
});

test('the same store is opened in Postgres as the page shows it', async () => {
  const namespace = freshName('example');
  await createNamespaceSchema(await database.open(), namespace, [messageSchema]);
  const store = openStore(inject('databaseUrl'), namespace);
  expect(await store.write('account-123', { type: 'Deposited', data: { amount: 100 } })).toEqual({
    position: 0n,
    globalPosition: 1n,
  });
  expect(await store.readCategory('account')).toMatchObject([{ data: { amount: 100 } }]);
  await store.close();
});

test('messages of a socket land in the streams that they name, as the page sends them', async () => {
  const lines = readFileSync(join(REPOSITORY, 'examples/stream-messages.ndjson'), 'utf8').trim().split('\n');
  expect(lines).toHaveLength(2);
  const namespace = freshName('bank');
  const worker = await startWorker({
    bindings: {
      AUTHORIZE: 'open',
      DATABASE_URL: inject('databaseUrl'),
      OPERATORS: 'open',
      SINKS: JSON.stringify({ accounts: { namespace, lingerMs: 20 } }),
    },
  });
  try {
    const rpc = async (request: unknown, token?: string): Promise<unknown> => {
      const response = await fetch(new URL('/rpc', worker.url), {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify(request),
      });
      return response.json();
    };
    const refused: string[] = [];
    const client = new SluiceClient({
      url: `${worker.url.origin}/ws/accounts`,
      producer: 'till',
      ack: 'committed',
      onEvent: (event) => {
        if (event.type === 'nack') refused.push(event.message);
      },
    });
    // The namespace is not there yet: what is sent waits for it.
    const sent = client.sendBatch(lines);
    const created = await rpc(['ns.create', namespace, { engine: 'postgres' }]);
    expect(created).toMatchObject({ namespace, token: expect.stringMatching(/^ns_/) });
    const { token } = created as { token: string };
    const resumed = await fetch(new URL('/admin/accounts/0/resume', worker.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(resumed.status).toBe(200);
    await sent;
    await expect(client.send({ type: 'Deposited' })).rejects.toThrow('is a dead letter');
    expect(refused).toEqual([expect.stringContaining('names no stream')]);

    // In Postgres they are where its own store and the Worker's find them.
    const store = openStore(inject('databaseUrl'), namespace);
    const [deposited, withdrawn, ...more] = await store.readStream('account-123');
    expect(deposited).toMatchObject({
      type: 'Deposited',
      position: 0n,
      data: { amount: 10 },
      metadata: null,
    });
    expect(withdrawn).toMatchObject({
      type: 'Withdrawn',
      position: 1n,
      data: { amount: 3 },
      metadata: { by: 'web' },
      id: '0189c7b0-0000-7000-8000-000000000000',
    });
    expect(more).toEqual([]);
    expect(await rpc(['stream.get', 'account-123'], token)).toEqual([
      [deposited?.id, 'Deposited', 0, 1, { amount: 10 }, null, expect.any(String)],
      [withdrawn?.id, 'Withdrawn', 1, 2, { amount: 3 }, { by: 'web' }, expect.any(String)],
    ]);
    // A subscriber hears of what comes by the socket, though the shard and the namespace are two objects.
    const address = new URL(`/subscribe?category=account&position=3&token=${token}`, worker.url);
    const pokes = await fetch(address, { headers: { accept: 'text/event-stream' } });
    await client.send({ stream: 'account-9', type: 'Deposited' });
    let heard = '';
    for await (const piece of pokes.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      heard += piece;
      if (heard.includes('data:')) break;
    }
    expect(JSON.parse(/data: ?(.*)/.exec(heard)?.[1] ?? '{}')).toEqual({
      stream: 'account-9',
      position: 0,
      globalPosition: 3,
    });
    expect(await client.close()).toMatchObject({ unacked: 0 });
    const letters = await fetch(new URL('/admin/accounts/dead-letters', worker.url));
    expect(await letters.json()).toMatchObject({ sink: 'accounts', count: 1 });
    const stats = await fetch(new URL('/stats', worker.url));
    expect(await stats.json()).toMatchObject({ sinks: { messages: {}, accounts: {} } });
  } finally {
    await worker.stop();
  }
});
