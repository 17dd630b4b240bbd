/** The examples of docs/alerts.md: examples/workers/alerts.ts tells examples/alert-receiver.ts of a dead Postgres and of its return. */

import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AlertData, alertServer, isFromSluice } from '../../examples/alert-receiver.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { alertSettings } from '../../src/monitor/alerts/options.ts';
import { rowsOf } from '../support/connect.ts';
import { ownDatabase } from '../support/own-database.ts';
import { eventually } from '../support/patience.ts';

const SECRET = 'a-secret-of-the-example-long-enough';
const own = ownDatabase();
const told: { type: string; data: AlertData; atMs: number }[] = [];
const receiver = alertServer(SECRET, (message) => told.push({ ...message, atMs: Date.now() }));

/** What stands between the Worker and Postgres: closed, nothing listens there. */
class Relay {
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  port = 0;

  async open(): Promise<void> {
    const { hostname, port } = new URL(own.url);
    this.#server = createServer((socket) => {
      const other = connect(Number(port), hostname);
      for (const one of [socket, other]) {
        this.#sockets.add(one);
        one.on('error', () => {});
        one.on('close', () => {
          this.#sockets.delete(one);
          socket.destroy();
          other.destroy();
        });
      }
      socket.pipe(other).pipe(socket);
    });
    await listen(this.#server, this.port);
    this.port = (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

function listen(server: Pick<Server, 'listen'>, port: number): Promise<void> {
  return new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
}

const relay = new Relay();
let worker: LocalWorker;
beforeAll(async () => {
  await migrateDatabase(own.url);
  await rowsOf(own.connection, 'create table notes (text text not null)');
  await relay.open();
  await listen(receiver, 0);
  worker = await startWorker({
    main: 'examples/workers/alerts.ts',
    objects: ['SHARD', 'MONITOR'],
    bindings: {
      DATABASE_URL: Object.assign(new URL(own.url), { hostname: '127.0.0.1', port: String(relay.port) }).href,
      OPERATORS: 'open',
      RUNS_ON: 'a test',
      ALERT_WEBHOOKS: JSON.stringify({
        url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
        secret: SECRET,
      }),
    },
    onLog: () => {},
  });
});
afterAll(async () => {
  await worker?.stop();
  relay.close();
  receiver.close();
});

async function post(path: string, body: object): Promise<unknown> {
  const response = await fetch(new URL(path, worker.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return response.json();
}

// How soon is judged by `npm run drill`: a test must pass on a machine that is busy with other things. The run says it all the same.
test('the receiver hears of a dead Postgres, and of its return', async () => {
  const client = new SluiceClient({
    url: `${worker.url.origin}/ws/notes`,
    producer: 'kitchen',
    ack: 'stored',
  });
  const send = (text: string): Promise<unknown> => client.send({ text });
  await send('before');
  await eventually(async () =>
    expect(await rowsOf(own.connection, 'select text from notes')).toEqual([{ text: 'before' }]),
  );

  const goneAtMs = Date.now();
  relay.close();
  await send('meanwhile');
  await eventually(() => expect(told.map(({ type }) => type)).toContain('alert.firing'));
  const [firing] = told;
  expect(firing?.data).toMatchObject({ rule: 'SluiceNotCommitting', severity: 'page', sink: 'notes' });
  expect(firing?.data.title).toMatch(/^notes, shard 0: no batch has succeeded for \d+ s, 1 message waits: /);
  // A message holds no host, user or password.
  expect(JSON.stringify(firing)).not.toMatch(/127\.0\.0\.1|postgres:/);

  await relay.open();
  let committedAtMs = 0;
  await eventually(async () => {
    expect(await rowsOf(own.connection, 'select text from notes')).toHaveLength(2);
    committedAtMs ||= Date.now();
  });
  await eventually(() => expect(told.map(({ type }) => type)).toContain('alert.resolved'));
  const resolved = told.find(({ type }) => type === 'alert.resolved');
  expect(resolved?.data.incident).toBe(firing?.data.incident);
  expect(told.filter(({ data }) => data.rule === 'SluiceNotCommitting')).toHaveLength(2);
  console.info(
    `Told ${Number(firing?.atMs) - goneAtMs} ms after the end of Postgres, and ${Number(resolved?.atMs) - committedAtMs} ms after its return`,
  );
  await client.close();
});

test('the test button reaches it, and says so', async () => {
  expect(await post('/monitor/alerts/test', {})).toMatchObject({
    receivers: [{ isDelivered: true, status: 204, failure: null }],
  });
  expect(told.at(-1)?.type).toBe('alert.test');
});

test('examples/alert-webhooks.json is a value of ALERT_WEBHOOKS', async () => {
  const text = await readFile(new URL('../../examples/alert-webhooks.json', import.meta.url), 'utf8');
  const { webhooks } = alertSettings({}, { ALERT_WEBHOOKS: text });
  expect(webhooks.map(({ format, minSeverity }) => [format, minSeverity])).toEqual([
    ['slack', 'warn'],
    ['pagerduty', 'page'],
    ['json', 'warn'],
  ]);
});

test('a message that somebody has changed, that is old, or that another secret has signed is not from Sluice', async () => {
  const now = Math.floor(Date.now() / 1_000);
  const headers = (time: number, secret = SECRET): Record<string, string> => ({
    'webhook-id': 'a',
    'webhook-timestamp': String(time),
    'webhook-signature': `v1,x v1,${createHmac('sha256', secret).update(`a.${time}.{}`).digest('base64')}`,
  });
  expect(isFromSluice(SECRET, headers(now), '{}')).toBe(true);
  expect(isFromSluice(SECRET, headers(now), '{ }')).toBe(false);
  expect(isFromSluice(SECRET, headers(now - 600), '{}')).toBe(false);
  expect(isFromSluice(SECRET, headers(now, 'another secret'), '{}')).toBe(false);
  expect(isFromSluice(SECRET, {}, '{}')).toBe(false);
});
