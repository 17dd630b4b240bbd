import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { generateLoad } from '../../../lab/local/load-generator.ts';
import type { LoadJob } from '../../../lab/suites/ingest/load.ts';
import { benchPayload } from '../../../lab/suites/ingest/payload.ts';
import { type BatchHeader, readClientFrame } from '../../../src/protocol/sluice-v1.ts';

let server: WebSocketServer;
/** The frames of each client, as they arrived. */
let frames: Map<string, string[]>;
let onFrame: (socket: WebSocket, client: string, count: number) => void;

beforeEach(async () => {
  frames = new Map();
  onFrame = () => {};
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket, request) => {
    const client = request.url?.slice(1) ?? '';
    const received: string[] = [];
    frames.set(client, received);
    socket.on('message', (data) => {
      received.push(String(data));
      onFrame(socket, client, received.length);
    });
  });
  await once(server, 'listening');
});

afterEach(async () => {
  for (const socket of server.clients) socket.terminate();
  await new Promise((resolve) => server.close(resolve));
});

function order(more: Partial<LoadJob> = {}): LoadJob {
  return {
    target: { run: 'run1', spec: null, driver: 'auto', shards: 1 },
    clients: 3,
    messagesPerClient: 250,
    messagesPerFrame: 1,
    ratePerSecond: 0,
    ack: 'raw',
    withHeaders: false,
    ...more,
  };
}

function send(more: Partial<LoadJob> = {}, onSent?: (messages: number) => void) {
  const { port } = server.address() as AddressInfo;
  return generateLoad(order(more), (client) => new URL(`ws://127.0.0.1:${port}/${client}`), onSent);
}

function messagesOf(client: number): string[] | undefined {
  return frames.get(String(client))?.flatMap((frame) => frame.split('\n'));
}

function payloads(client: number, count: number): string[] {
  return Array.from({ length: count }, (_, n) => benchPayload(`run1-${client}`, n));
}

describe.each([
  ['as fast as they are taken', 0],
  ['on a schedule', 20_000],
])('messages sent %s', (_, ratePerSecond) => {
  test('arrive all, once, and in order, each from its client', async () => {
    await send({ ratePerSecond });
    expect(frames.size).toBe(3);
    for (const client of [0, 1, 2]) expect(messagesOf(client)).toEqual(payloads(client, 250));
  });

  test('fill their frames, and the last frame holds the rest', async () => {
    await send({ ratePerSecond, clients: 2, messagesPerFrame: 100 });
    for (const client of [0, 1]) {
      expect(messagesOf(client)).toEqual(payloads(client, 250));
      expect(frames.get(String(client))?.map((frame) => frame.split('\n').length)).toEqual([100, 100, 50]);
    }
  });
});

test('have the header lines of sluice.v1 above them where that is asked for, and are the same otherwise', async () => {
  await send({ clients: 1, messagesPerFrame: 100, withHeaders: true });
  const bodies = frames.get('0')?.map((frame) => {
    const header = readClientFrame(frame);
    expect(header).toMatchObject({ t: 'batch' });
    const { seq, n, bodyStart } = header as BatchHeader;
    return { seq, n, lines: frame.slice(bodyStart).split('\n') };
  });
  expect(bodies?.map(({ seq, n, lines }) => [seq, n, lines.length])).toEqual([
    [1, 100, 100],
    [101, 100, 100],
    [201, 50, 50],
  ]);
  expect(bodies?.flatMap(({ lines }) => lines)).toEqual(payloads(0, 250));
});

test('have arrived when the load is over, even where the server takes them late', async () => {
  // Enough for the sockets to hold some back.
  const count = 20_000;
  await send({ clients: 1, messagesPerClient: count, messagesPerFrame: 50 });
  expect(messagesOf(0)).toHaveLength(count);
  expect(messagesOf(0)?.at(-1)).toBe(benchPayload('run1-0', count - 1));
});

test('the progress grows up to all that is sent', async () => {
  const seen: number[] = [];
  await send({}, (messages) => seen.push(messages));
  expect(seen).toEqual(seen.toSorted((left, right) => left - right));
  expect(seen.at(-1)).toBe(750);
  expect(seen.length).toBeGreaterThan(1);
});

describe('refusals', () => {
  test('in error frames are counted over all clients; other frames are not', async () => {
    onFrame = (socket, client, count) => {
      if (count === 10) socket.send(JSON.stringify({ t: 'error', refused: client === '0' ? 5 : 1 }));
      if (count === 20) socket.send(JSON.stringify({ t: 'error', refused: 2 }));
      if (count === 30) socket.send(JSON.stringify({ t: 'ack', refused: 100 }));
    };
    const { refused } = await send();
    expect(refused).toBe(5 + 1 + 1 + 3 * 2);
  });

  test('are none where no error frame comes', async () => {
    expect(await send()).toEqual({
      firstFrameAtMs: expect.any(Number),
      refused: 0,
      loopDelayP99Ms: expect.any(Number),
      ackLatency: null,
    });
  });
});

describe('a server that', () => {
  test.each([
    ['closes', (socket: WebSocket) => socket.close(1011)],
    ['drops', (socket: WebSocket) => socket.terminate()],
  ])('%s a socket during the load makes it fail, and say why', async (_, end) => {
    onFrame = (socket, client, count) => {
      if (client === '1' && count === 5) end(socket);
    };
    // More than sockets hold back, and on a schedule of days: it could not end well in time.
    await expect(send({ messagesPerClient: 1_000_000, ratePerSecond: 3_000 })).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('closed a WebSocket during the load'),
    });
    await expect(send({ messagesPerClient: 4, ratePerSecond: 3_000 })).resolves.toMatchObject({ refused: 0 });
  });

  test.each([
    ['closes', (socket: WebSocket) => socket.close(1011)],
    ['drops', (socket: WebSocket) => socket.terminate()],
  ])('%s a socket when all was sent but not all was taken makes it fail too', async (_, end) => {
    onFrame = (socket, client, count) => {
      if (client === '1' && count === 2) end(socket);
    };
    await expect(send({ messagesPerClient: 3 })).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('closed a WebSocket during the load'),
    });
    onFrame = () => {};
    await expect(send({ messagesPerClient: 3 })).resolves.toMatchObject({ refused: 0 });
  });

  test('drops a socket that is done while another still sends makes it fail, and not wait for ever', async () => {
    let held: WebSocket | undefined;
    server.on('connection', (socket, request) => {
      if (request.url !== '/1') return;
      held = socket;
      socket.pause();
    });
    onFrame = (socket, client, count) => {
      if (client !== '0' || count !== 100) return;
      socket.once('close', () => held?.resume());
      socket.terminate();
    };
    // More than the kernel takes for a reader that does not read.
    await expect(
      send({ clients: 2, messagesPerClient: 200_000, messagesPerFrame: 2_000 }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('closed a WebSocket during the load'),
    });
  });

  test('breaks the WebSocket protocol makes the load fail, and does not end the process', async () => {
    server.on('connection', (socket, request) => {
      const { socket: stream } = request;
      // All reserved bits set: no frame.
      socket.once('message', () => stream.write(Buffer.from([0xff, 0xff])));
    });
    await expect(send({ messagesPerClient: 1_000_000, ratePerSecond: 3_000 })).rejects.toMatchObject({
      message: expect.stringContaining('closed a WebSocket during the load'),
    });
  });

  test('is not there makes the load fail with its address', async () => {
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await expect(generateLoad(order(), () => new URL(`ws://127.0.0.1:${port}/`))).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringMatching(
        new RegExp(`Could not open a WebSocket to ws://127.0.0.1:${port}: .*ECONNREFUSED`),
      ),
    });
  });
});
