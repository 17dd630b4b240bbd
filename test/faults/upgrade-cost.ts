/**
 * `npm run upgrade-cost`: what it costs to find out who connects. Sockets are opened to Workers that differ in AUTHORIZE alone,
 * one after the other, in turns, so that what else the machine does befalls all of them alike. Two are open: what they differ by
 * is how far a difference means nothing.
 *
 *     npm run upgrade-cost -- --rounds 2000
 */

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import WebSocket from 'ws';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { issueTicket } from '../../src/access/tickets.ts';

const SECRET = 'a-secret-of-thirty-two-bytes-or-more-1';
const WARM_UP_ROUNDS = 200;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '2000' } } });
const rounds = Number(values.rounds);
if (!(rounds > 0)) throw new Error('--rounds is a number above 0');

const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] });
const issuer = createServer((_, response) => response.end(keys));
await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));

const claims = { exp: Math.floor(Date.now() / 1000) + 3600, aud: 'sluice', jti: 'one', sinks: ['messages'] };
const bearer = (token: string) => async () => ({ headers: { authorization: `Bearer ${token}` }, query: '' });
const nothing = async () => ({ headers: {}, query: '' });

interface Way {
  name: string;
  variables: Record<string, string>;
  /** What a connection says of who it is. */
  credentials: () => Promise<{ headers: Record<string, string>; query: string }>;
}

const WAYS: Way[] = [
  { name: 'open', variables: { AUTHORIZE: 'open' }, credentials: nothing },
  { name: 'open, again', variables: { AUTHORIZE: 'open' }, credentials: nothing },
  {
    name: 'static token',
    variables: {
      AUTHORIZE: 'tokens',
      INGEST_TOKENS: `one:sha256:${createHash('sha256').update('one').digest('hex')}`,
    },
    credentials: bearer('one'),
  },
  {
    name: 'JWT, HS256',
    variables: { AUTHORIZE: 'jwt', JWT_SECRET: SECRET },
    credentials: bearer(
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(SECRET)),
    ),
  },
  {
    name: 'JWT, ES256',
    variables: {
      AUTHORIZE: 'jwt',
      JWKS_URL: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`,
      JWT_AUDIENCE: 'sluice',
    },
    credentials: bearer(
      await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(privateKey),
    ),
  },
  {
    name: 'ticket',
    variables: { AUTHORIZE: 'tickets', TICKET_SECRETS: SECRET },
    credentials: async () => ({
      headers: {},
      query: `&ticket=${await issueTicket(SECRET, { sink: 'messages', producer: 'cost' })}`,
    }),
  },
];

/** Milliseconds from the request to the answer that opens the socket. */
async function open(worker: LocalWorker, { credentials }: Way): Promise<number> {
  const { headers, query } = await credentials();
  const url = new URL(`/ws/messages?producer=cost${query}`, worker.url);
  const startedAt = performance.now();
  const socket = new WebSocket(url, { headers, perMessageDeflate: false });
  await new Promise<void>((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const tookMs = performance.now() - startedAt;
  // A socket that was refused opens too, and is closed before it answers.
  await new Promise<void>((resolve, reject) => {
    socket.once('message', () => resolve());
    socket.once('close', (code, reason) => reject(new Error(`${code} ${reason}`)));
    socket.send('ping');
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.close(1000);
  await closed;
  return tookMs;
}

const workers: LocalWorker[] = [];
try {
  for (const { variables } of WAYS) workers.push(await startWorker({ bindings: variables }));
  const times = WAYS.map((): number[] => []);
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (let turn = 0; turn < WAYS.length; turn += 1) {
      // Another one begins each round.
      const index = (turn + round + WARM_UP_ROUNDS) % WAYS.length;
      const tookMs = await open(workers[index] as LocalWorker, WAYS[index] as Way);
      if (round >= 0) times[index]?.push(tookMs);
    }
  }
  const medians = times.map(medianOf);
  console.log(`Upgrades, ${rounds} of each in turns: median, and how much more than open (ms)`);
  for (const [index, { name }] of WAYS.entries()) {
    const median = medians[index] as number;
    console.log(
      `${name.padEnd(14)}${median.toFixed(3).padStart(8)}${(median - (medians[0] as number)).toFixed(3).padStart(9)}`,
    );
  }
} finally {
  for (const worker of workers) await worker.stop();
  issuer.close();
}

function medianOf(sample: readonly number[]): number {
  const sorted = sample.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
