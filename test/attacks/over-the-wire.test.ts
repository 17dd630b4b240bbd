/**
 * Attacked, with bytes and a real browser, on one Worker in workerd: where one request ends and the next begins (smuggling), paths in
 * other spellings, everything that can be too large, senders that stop in the middle, floods of upgrades, bodies and frames that
 * unpack to more than they are, and sockets that a page of another site opens (cross-site WebSocket hijacking). After each, others go on.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import WebSocket from 'ws';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { MAX_ADMIN_BODY_BYTES, MAX_FRAME_BYTES, MAX_RPC_BODY_BYTES } from '../../src/core/limits.ts';
import { findChromium } from '../support/chromium.ts';
import { eventually } from '../support/patience.ts';
import { halfRequest, rawAnswer, rawGet, statusesOf } from './raw-request.ts';

const LOOK = 'a-token-that-may-look';
const OPERATE = 'a-token-that-may-operate';
const FRIEND = 'friend.example';
const EVIL = 'evil.example';

let worker: LocalWorker;
const logs: string[] = [];
beforeAll(async () => {
  worker = await startWorker({
    bindings: {
      AUTHORIZE: 'open',
      DATABASE_URL: inject('databaseUrl'),
      READ_TOKENS: LOOK,
      OPERATE_TOKENS: OPERATE,
      ORIGINS: `http://${FRIEND}:*`,
      OPEN_NAMESPACE: 'attacked',
    },
    onLog: (line) => logs.push(line),
  });
});
afterAll(() => worker?.stop());

const address = (path: string): URL => new URL(path, worker.url);
const asReader = { headers: { authorization: `Bearer ${LOOK}` } };
const asOperator = { authorization: `Bearer ${OPERATE}` };

let producers = 0;
/** A client that has nothing to do with the attack sends a message, and it is in Postgres. */
async function othersGoOn(): Promise<void> {
  producers += 1;
  const client = new SluiceClient({
    url: address('/ws/messages'),
    producer: `bystander-${process.pid}-${producers}`,
    ack: 'committed',
  });
  await client.send({ all: 'well' });
  expect(await client.close()).toMatchObject({ unacked: 0 });
  expect(await (await fetch(address('/health'))).json()).toEqual({ status: 'ok' });
}
afterEach(othersGoOn);

interface ShardFigures {
  sockets: number;
}

async function sockets(): Promise<number> {
  const { sinks } = (await (await fetch(address('/stats'), asReader)).json()) as {
    sinks: { messages: { shards: ShardFigures[] } };
  };
  return sinks.messages.shards.reduce((sum, shard) => sum + shard.sockets, 0);
}

/** Opens a socket, or gives how it ended. */
async function opened(
  path: string,
  options: WebSocket.ClientOptions = {},
  protocol: string[] = [],
): Promise<WebSocket> {
  const socket = new WebSocket(new URL(path, worker.url.href.replace('http', 'ws')), protocol, options);
  socket.on('error', () => {});
  await once(socket, 'open');
  return socket;
}

describe('a request in a request', () => {
  const hidden = 'GET /stats HTTP/1.1\r\nHost: sluice.example\r\nConnection: close\r\n\r\n';
  const body = '["sys.version"]';
  const post = (headers: readonly string[], rest: string): string =>
    [
      'POST /rpc HTTP/1.1',
      'Host: sluice.example',
      'Content-Type: application/json',
      `Authorization: Bearer ${OPERATE}`,
      ...headers,
      '',
      rest,
    ].join('\r\n');

  test.each([
    [
      'two lengths',
      [`Content-Length: ${body.length}`, `Content-Length: ${body.length + hidden.length}`],
      body + hidden,
    ],
    [
      'a length and chunks',
      [`Content-Length: ${body.length + 5 + hidden.length}`, 'Transfer-Encoding: chunked'],
      `0\r\n\r\n${hidden}`,
    ],
    ['chunks by another name', [`Content-Length: 4`, 'Transfer-Encoding: xchunked'], `0\r\n\r\n${hidden}`],
    ['chunks after a space', [`Content-Length: 4`, 'Transfer-Encoding : chunked'], `0\r\n\r\n${hidden}`],
    ['a length with a sign', [`Content-Length: +${body.length}`], body + hidden],
    ['a line feed alone', [`X: y\nContent-Length: 0`], body + hidden],
    ['a folded header', [`X: y\r\n Content-Length: 0`], body + hidden],
  ])('by %s gets no more than a request of a stranger', async (_, headers, rest) => {
    const answers = await rawAnswer(worker.url, post([...headers], rest));
    expect(answers).not.toContain('"sinks"');
    for (const status of statusesOf(answers).slice(1)) expect([400, 401]).toContain(status);
  });

  test('the control: the token of a request opens the door for this one', async () => {
    const [status] = statusesOf(
      await rawAnswer(worker.url, rawGet('/stats', [`Authorization: Bearer ${LOOK}`])),
    );
    expect(status).toBe(200);
    expect(statusesOf(await rawAnswer(worker.url, rawGet('/stats')))).toEqual([401]);
  });

  test('no name of a producer begins a header of the answer', async () => {
    for (const name of ['a%0d%0asluice-grant:%20x', 'a%0a', 'a%00', 'a%20b', 'ü', 'a%2fb', '..%2f', '%ff']) {
      const answer = await rawAnswer(worker.url, rawGet(`/ws/messages?producer=${name}`));
      expect([name, statusesOf(answer)]).toEqual([name, [400]]);
      expect(answer.split('\r\n\r\n')[0]).not.toMatch(/^sluice-/im);
    }
    const good = await rawAnswer(worker.url, rawGet('/ws/messages?producer=a'));
    expect(statusesOf(good)).toEqual([426]);
  });
});

describe('a path in another spelling', () => {
  const PATHS = [
    '//stats',
    '/stats/',
    '/stats//',
    '/./stats',
    '/ws/../stats',
    '/ws/%2e%2e/stats',
    '/%2e%2e/stats',
    '/..%2fstats',
    '/stats%00',
    '/stats%20',
    '/%73tats',
    '/stats;x=1',
    '/stats%3fsink=messages',
    '/STATS',
    '\\stats',
    '/ws\\..\\stats',
    '//admin/messages/dead-letters',
    '/admin%2fmessages/0/dead-letters',
    '/admin/messages%2f0/dead-letters',
    '/admin/./messages/0/dead-letters',
    '/admin//messages/0/dead-letters',
    '/admin/messages/0/dead-letters/',
    '/admin/messages/00/dead-letters',
    '/admin/messages/-0/dead-letters',
    '/Admin/messages/0/dead-letters',
    '/health/../admin/messages/0/dead-letters',
    '/health/%2e%2e/stats',
    '/bench/../stats',
    '/%',
    '/%zz',
    '/%c0%ae%c0%ae/stats',
    '/stats%0d%0aX:y',
    'http://evil.example/stats',
    '/ws/%2e%2e%2fstats',
    '/ws/messages%2f..%2f..%2fstats',
    '/__proto__',
    '/ws/%00',
    '/ws//messages',
  ];

  test.each(PATHS)('%j shows strangers nothing', async (path) => {
    const answer = await rawAnswer(worker.url, rawGet(path));
    expect(answer).not.toMatch(/"sinks":\{|"shards":|"letters":/);
    for (const status of statusesOf(answer)) expect([400, 401, 403, 404, 426]).toContain(status);
    // With the token, none of them fails either, and none shows a stack, a file or a statement.
    const known = await rawAnswer(worker.url, rawGet(path, [`Authorization: Bearer ${OPERATE}`]));
    for (const status of statusesOf(known)) expect(status).toBeLessThan(500);
    expect(known).not.toMatch(/\bat .+:\d+:\d+|node_modules|\.ts\b|\bselect \b/i);
  });

  test('the control: in its own, it shows those who have the token what it has', async () => {
    expect(await rawAnswer(worker.url, rawGet('/stats', [`Authorization: Bearer ${LOOK}`]))).toContain(
      '"sinks"',
    );
  });
});

describe('what is too large', () => {
  const big = 'x'.repeat(300_000);

  test.each([
    ['a header', () => rawGet('/health', [`X-Large: ${big}`])],
    [
      'many headers',
      () =>
        rawGet(
          '/health',
          Array.from({ length: 20_000 }, (_, index) => `X-${index}: y`),
        ),
    ],
    ['an address', () => rawGet(`/health?${big}`)],
    ['a path', () => rawGet(`/${big}`)],
    ['a token', () => rawGet('/stats', [`Authorization: Bearer ${big.slice(0, 60_000)}`])],
    ['an origin', () => rawGet('/health', [`Origin: https://${'a.'.repeat(30_000)}example`])],
    ['a name of a producer', () => rawGet(`/ws/messages?producer=${big.slice(0, 60_000)}`)],
    ['a name of a sink', () => rawGet(`/ws/${big.slice(0, 60_000)}`)],
    [
      'a list of subprotocols',
      () =>
        rawGet('/ws/messages', [
          'Upgrade: websocket',
          'Connection: Upgrade',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
          `Sec-WebSocket-Protocol: ${Array.from({ length: 6_000 }, (_, index) => `p${index}`).join(', ')}`,
        ]),
    ],
  ])('%s is refused or passed over', async (_, request) => {
    const answer = await rawAnswer(worker.url, request());
    for (const status of statusesOf(answer)) expect(status).toBeLessThan(500);
    // It is not sent back.
    expect(answer.length).toBeLessThan(4_000);
  });

  test.each([
    ['/rpc', MAX_RPC_BODY_BYTES, 400],
    ['/admin/messages/0/dead-letters/drop', MAX_ADMIN_BODY_BYTES, 400],
  ])('a body of %s above %i bytes is refused', async (path, maxBytes, status) => {
    const send = (bytes: number) =>
      fetch(address(path), {
        method: 'POST',
        headers: { ...asOperator, 'content-type': 'application/json' },
        body: `${' '.repeat(bytes - 2)}{}`,
      });
    // Announced, and not sent: who sends it all may find the connection closed before the answer is read.
    const announced = [`POST ${path} HTTP/1.1`, 'Host: sluice.example', 'Connection: close'];
    announced.push(`Authorization: Bearer ${OPERATE}`, 'Content-Type: application/json');
    announced.push(`Content-Length: ${maxBytes + 1}`, '', '{');
    const large = await rawAnswer(worker.url, announced.join('\r\n'));
    expect(statusesOf(large)).toEqual([status]);
    expect(large).toContain(`larger than ${maxBytes} bytes`);
    // The control: one that is as large as allowed is read.
    expect(await (await send(maxBytes)).text()).not.toContain(`larger than ${maxBytes} bytes`);
  });

  test('a frame is refused, and the socket stays', async () => {
    const socket = await opened('/ws/messages?producer=large-frame');
    socket.send(`"${'x'.repeat(MAX_FRAME_BYTES)}"`);
    const [refusal] = (await once(socket, 'message')) as [Buffer];
    expect(String(refusal)).toContain('frame_too_large');
    socket.send('ping');
    expect(String((await once(socket, 'message'))[0])).toBe('pong');
    socket.close();
    await once(socket, 'close');
  });
});

describe('senders that stop in the middle', () => {
  const upgrade =
    'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  test.each([
    ['a request line', 'GET /heal'],
    ['headers', 'GET /health HTTP/1.1\r\nHost: sluice.example\r\nX-Slow: y'],
    [
      'a body',
      `POST /rpc HTTP/1.1\r\nHost: sluice.example\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n["sys`,
    ],
    [
      'the body of an operator',
      `POST /admin/messages/0/drain HTTP/1.1\r\nHost: sluice.example\r\nAuthorization: Bearer ${OPERATE}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
    ],
    [
      'an import',
      'POST /import HTTP/1.1\r\nHost: sluice.example\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"id":',
    ],
    [
      'a frame',
      `GET /ws/messages HTTP/1.1\r\nHost: sluice.example\r\n${upgrade}\r\n\x81\xfe\x10\x00abcd{"n":`,
    ],
    [
      'a hello',
      `GET /ws/messages HTTP/1.1\r\nHost: sluice.example\r\n${upgrade}Sec-WebSocket-Protocol: sluice.v1\r\n\r\n`,
    ],
  ])('of %s hold up nobody', async (_, text) => {
    const slow = await Promise.all(Array.from({ length: 50 }, () => halfRequest(worker.url, text)));
    await othersGoOn();
    for (const socket of slow) socket.destroy();
  });
});

describe('a flood of upgrades', () => {
  const UPGRADES = 300;

  test('is answered, each of them, and leaves nothing', async () => {
    const before = await sockets();
    const all = await Promise.all(
      Array.from({ length: UPGRADES }, (_, index) =>
        opened(`/ws/messages?producer=flood-${index % 7}-${index}`),
      ),
    );
    await othersGoOn();
    expect(await sockets()).toBeGreaterThanOrEqual(before + UPGRADES);
    for (const socket of all) socket.terminate();
    await eventually(async () => expect(await sockets()).toBeLessThanOrEqual(before));
  });

  test('that are refused costs no shard a socket', async () => {
    const before = await sockets();
    const ends = await Promise.all(
      Array.from({ length: UPGRADES }, async (_, index) => {
        const socket = await opened(`/ws/none-${index}`);
        const [code] = (await once(socket, 'close')) as [number];
        return code;
      }),
    );
    expect(new Set(ends)).toEqual(new Set([1008]));
    expect(await sockets()).toBeLessThanOrEqual(before);
  });
});

describe('what unpacks to more than it is', () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '));

  test.each([
    ['/rpc', 'application/json', '["stream.version","a-1"]'],
    ['/append', 'application/json', '{"events":{"type":"T","data":"x","tags":["a"]}}'],
    ['/import', 'application/x-ndjson', ''],
  ])('is not unpacked by %s', async (path, type, good) => {
    const send = (body: Buffer | string, encoding?: string) =>
      fetch(address(path), {
        method: 'POST',
        headers: {
          'content-type': type,
          ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
        },
        body,
      });
    for (const body of [gzipSync(good === '' ? '{"id":1}' : good), bomb]) {
      const response = await send(body, 'gzip');
      const text = await response.text();
      expect(text).toMatch(/UTF-8|UTF8/i);
    }
    // The control: as it is, it is taken.
    const plain = await send(good);
    expect([path, plain.status, await plain.text()]).toEqual([
      path,
      200,
      expect.not.stringMatching(/UTF-?8/i),
    ]);
  });

  test('a frame that was packed is as large as it is when unpacked', async () => {
    const socket = await opened('/ws/messages?producer=packed', { perMessageDeflate: { threshold: 0 } });
    // The control: what is small when unpacked is taken, packed or not.
    socket.send('ping');
    expect(String((await once(socket, 'message'))[0])).toBe('pong');
    socket.send(`"${' '.repeat(2 * MAX_FRAME_BYTES)}"`);
    expect(String((await once(socket, 'message'))[0])).toContain('frame_too_large');
    socket.terminate();
  });
});

describe('a page of another site', () => {
  let browser: Browser;
  let server: Server;
  let port = 0;
  beforeAll(async () => {
    server = createServer((_, response) => {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>A page</title>');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
    const { path, args, env } = await findChromium();
    const rules = `--host-resolver-rules=MAP ${EVIL} 127.0.0.1,MAP ${FRIEND} 127.0.0.1`;
    browser = await chromium.launch({ executablePath: path, args: [...args, rules], env });
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    server?.closeAllConnections();
  });

  /** What a script in a page of a host gets. */
  async function inPage<Result>(host: string, script: string): Promise<Result> {
    const page = await browser.newPage();
    try {
      await page.goto(`http://${host}:${port}/`);
      return (await page.evaluate(script)) as Result;
    } finally {
      await page.close();
    }
  }

  /** Opens a socket and sends; the code with which it ends, or what came. */
  const socketScript = (producer: string): string => `new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(`ws://${worker.url.host}/ws/messages?producer=${producer}`)}, 'sluice.v1');
    socket.onopen = () => socket.send('{"t":"hello","ack":"committed"}');
    socket.onmessage = ({ data }) => resolve('message ' + JSON.parse(data).t);
    socket.onclose = ({ code, reason }) => resolve('closed ' + code + ' ' + reason.split(':')[0]);
  })`;

  test('opens no socket; one that is listed does, and so does one of this machine', async () => {
    expect(await inPage(EVIL, socketScript('hijacked'))).toBe('closed 4403 origin_not_allowed');
    expect(await inPage(FRIEND, socketScript('of-a-friend'))).toBe('message welcome');
    expect(await inPage('localhost', socketScript('of-this-machine'))).toBe('message welcome');
  });

  test('reads nothing and sends nothing, with a token that it has; one that is listed does', async () => {
    const ask = (
      path: string,
      method: string,
      token: string,
    ): string => `fetch(${JSON.stringify(address(path).href)}, {
      method: '${method}',
      headers: { authorization: 'Bearer ${token}', 'content-type': 'application/json' },
      ${method === 'POST' ? "body: '{}'," : ''}
    }).then(({ status }) => 'status ' + status, () => 'kept from it')`;
    for (const [path, method, token] of [
      ['/stats', 'GET', LOOK],
      ['/stats', 'GET', 'wrong'],
      ['/admin/messages/0/drain', 'POST', OPERATE],
    ] as const) {
      expect(await inPage(EVIL, ask(path, method, token))).toBe('kept from it');
      expect(await inPage(FRIEND, ask(path, method, token))).toBe(`status ${token === 'wrong' ? 401 : 200}`);
    }
  });

  test('shows none of its answers in a frame or as an image or a script', async () => {
    const load = `new Promise((resolve) => {
      const script = document.createElement('script');
      script.src = ${JSON.stringify(address('/health').href)};
      script.onload = () => resolve('loaded');
      script.onerror = () => resolve('refused');
      document.body.append(script);
    })`;
    expect(await inPage(EVIL, load)).toBe('refused');
  });
});

test('the log has one line of JSON for each thing that went wrong, and no token', () => {
  const all = logs.join('\n');
  for (const token of [LOOK, OPERATE]) expect(all).not.toContain(token);
});
