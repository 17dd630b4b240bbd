/** An issuer changes its keys while clients send: nothing is restarted, and no message is lost. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sql } from 'drizzle-orm';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import WebSocket from 'ws';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { rowsOf, testDatabase } from '../support/connect.ts';
import { eventually } from '../support/patience.ts';

const database = testDatabase('tcp');

/** The issuer: what it signs with, what it publishes, and how often it was asked. */
class Issuer {
  fetches = 0;
  /** Tokens that clients asked for. */
  signed = 0;
  #server!: Server;
  #kid = '';
  readonly #published = new Map<string, object>();
  readonly #keys = new Map<string, CryptoKey>();

  async start(): Promise<string> {
    this.#server = createServer((_, response) => {
      this.fetches += 1;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ keys: [...this.#published.values()] }));
    });
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/keys`;
  }

  stop(): void {
    this.#server.close();
  }

  /** From now on it signs with another key. */
  async change(kid: string): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
    this.#keys.set(kid, privateKey);
    this.#published.set(kid, { ...(await exportJWK(publicKey)), kid });
    this.#kid = kid;
  }

  withdraw(kid: string): void {
    this.#published.delete(kid);
  }

  async token(kid = this.#kid): Promise<string> {
    this.signed += 1;
    // Short, so that sessions are asked for fresh ones too.
    return new SignJWT({ exp: Math.floor(Date.now() / 1000) + 2, aud: 'sluice' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .sign(this.#keys.get(kid) as CryptoKey);
  }
}

const issuer = new Issuer();
let worker: LocalWorker;
beforeAll(async () => {
  worker = await startWorker({
    bindings: {
      DATABASE_URL: inject('databaseUrl'),
      OPERATORS: 'open',
      AUTHORIZE: 'jwt',
      JWKS_URL: await issuer.start(),
      JWT_AUDIENCE: 'sluice',
    },
  });
});
afterAll(async () => {
  await worker?.stop();
  issuer.stop();
});

/** Sends one message after the other, until it is told to stop. */
class Sender {
  acked = 0;
  readonly producer: string;
  readonly #client: SluiceClient;
  #isStopped = false;
  readonly done: Promise<void>;

  constructor(producer: string) {
    this.producer = producer;
    this.#client = new SluiceClient({
      url: new URL('/ws/messages', worker.url),
      producer,
      token: () => issuer.token(),
    });
    this.done = this.#send();
  }

  async #send(): Promise<void> {
    while (!this.#isStopped) {
      await this.#client.send({ n: this.acked });
      this.acked += 1;
    }
  }

  /** Resolves once so many more messages are acked. */
  async more(count: number): Promise<void> {
    const target = this.acked + count;
    await eventually(() => expect(this.acked).toBeGreaterThanOrEqual(target));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.done;
    expect((await this.#client.close()).unacked).toBe(0);
  }
}

/** What becomes of a socket with a token: `open`, or the code that closes it. */
async function outcome(token: string): Promise<string | number> {
  const socket = new WebSocket(new URL('/ws/messages?producer=stranger', worker.url), {
    headers: { authorization: `Bearer ${token}` },
  });
  try {
    return await new Promise((resolve, reject) => {
      socket.on('message', () => resolve('open'));
      socket.on('close', resolve);
      socket.on('error', reject);
      // A socket that was refused is closed before it answers.
      socket.on('open', () => socket.send('ping'));
    });
  } finally {
    socket.terminate();
  }
}

test('keys change twice under load, sockets come back with tokens of the new ones, and each message is written once', async () => {
  await issuer.change('first');
  const senders = ['a', 'b', 'c', 'd'].map((name) => new Sender(`rotates-${name}`));
  const all = (count: number) => Promise.all(senders.map((sender) => sender.more(count)));
  const reconnect = () =>
    fetch(new URL('/admin/messages/0/drain', worker.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"closeSockets":true}',
    }).then(({ status }) => expect(status).toBe(200));

  await all(50);
  expect(await outcome(await issuer.token('first')), 'the control').toBe('open');
  await issuer.change('second');
  await reconnect();
  await all(50);
  issuer.withdraw('first');
  await issuer.change('third');
  await reconnect();
  await all(50);
  // The keys that it has now are those that are published: a token of the first is unknown, or cannot be looked up again at once.
  expect([1008, 1013]).toContain(await outcome(await issuer.token('first')));
  expect(await outcome(await issuer.token('second')), 'published still').toBe('open');

  await Promise.all(senders.map((sender) => sender.stop()));
  const connection = await database.open();
  for (const { producer, acked } of senders) {
    const rows = await rowsOf<{ n: number }>(
      connection,
      sql`select (payload->>'n')::int as n from messages where producer = ${producer} order by epoch, sequence`,
    );
    expect(rows.map(({ n }) => n)).toEqual(Array.from({ length: acked }, (_, n) => n));
  }
  // One for each key that was new, and none for each client or connection.
  expect(issuer.fetches).toBeGreaterThanOrEqual(3);
  expect(issuer.fetches).toBeLessThanOrEqual(8);
  // Each client connected three times; the others were asked for within a session.
  expect(issuer.signed).toBeGreaterThan(3 * senders.length + 3);
});
