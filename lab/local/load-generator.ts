/** The load generator: WebSockets that send numbered messages, as fast as they are taken or on a schedule. */

import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientOptions, WebSocket } from 'ws';
import type { AckLevel, WebSocketLike } from '../../src/client/index.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { runAckedLoad } from '../suites/ingest/acked-load.ts';
import type { LoadJob, LoadReport } from '../suites/ingest/load.ts';
import { benchFrame, benchHeader, benchProducer } from '../suites/ingest/payload.ts';

/** How long the sockets may take to open. */
const HANDSHAKE_TIME_LIMIT_MS = 30_000;
/** How long they may take to close: a slow writer holds back the frames before the close for minutes. */
const CLOSE_TIME_LIMIT_MS = 600_000;
/** Bytes that a socket may hold unsent before its client waits for the kernel to take them. */
const HIGH_WATER_BYTES = 256 * 1024;
const CLOSE_CODE = 1000;
/** Frames that a client sends before the next client has its turn. */
const TURN_FRAMES = 64;

/**
 * Opens one socket per client, sends every message, closes the sockets, and resolves once the server has received
 * everything: a socket's close is answered after its frames.
 *
 * @param headers of each upgrade, with the token of the one who sends
 */
export async function generateLoad(
  order: LoadJob,
  socketUrl: (client: number) => URL,
  onSent: (messages: number) => void = () => {},
  headers: Readonly<Record<string, string>> = {},
): Promise<LoadReport> {
  if (order.ack !== 'raw') return generateAckedLoad(order, order.ack, socketUrl, onSent, headers);
  const refusals = { count: 0 };
  const sockets = await Promise.all(
    Array.from({ length: order.clients }, (_, client) => openSocket(socketUrl(client), refusals, headers)),
  );
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const firstFrameAtMs = performance.now();
  let sent = 0;
  const schedule = { startMs: firstFrameAtMs, perClientPerMs: order.ratePerSecond / order.clients / 1000 };
  await Promise.all(
    sockets.map((socket, client) =>
      sendAll(socket, order, client, schedule, (messages) => {
        sent += messages;
        onSent(sent);
      }),
    ),
  );
  await Promise.all(sockets.map(closeSocket));
  delay.disable();
  return {
    firstFrameAtMs,
    refused: refusals.count,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
    ackLatency: null,
  };
}

/** The same with the client library, which keeps what is not acked, respects the credit and waits for the last ack. */
async function generateAckedLoad(
  order: LoadJob,
  ack: AckLevel,
  url: (client: number) => URL,
  onSent: (messages: number) => void,
  headers: Readonly<Record<string, string>>,
): Promise<LoadReport> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const numbers = Array.from({ length: order.clients }, (_, client) => client);
  const ports = {
    url,
    openSocket: (address: string, protocol: string) => openCorkedSocket(address, protocol, headers),
    now: () => performance.now(),
    hasFineClock: true,
    wait: (ms: number) => (ms > 0 ? sleep(ms) : new Promise(setImmediate)),
  };
  const report = await runAckedLoad(order, ack, numbers, ports, onSent);
  delay.disable();
  return { ...report, loopDelayP99Ms: delay.percentile(99) / 1e6 };
}

/** A socket of `ws` that hands what is sent in one turn to the kernel at once (`holdWrites` says why). */
function openCorkedSocket(
  url: string,
  protocol: string,
  headers: Readonly<Record<string, string>>,
): WebSocketLike {
  const socket = new WebSocket(url, protocol, { ...SOCKET_OPTIONS, headers });
  let flush: (() => void) | undefined;
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    get protocol() {
      return socket.protocol;
    },
    send(text) {
      if (flush === undefined) {
        flush = holdWrites(socket);
        setImmediate(() => {
          flush?.();
          flush = undefined;
        });
      }
      socket.send(text);
    },
    close: (code, reason) => socket.close(code, reason),
    addEventListener: (type, listener) => socket.addEventListener(type as 'message', listener as never),
  };
}

// The types of ws do not know `closeTimeout` yet.
const SOCKET_OPTIONS: ClientOptions & { closeTimeout: number } = {
  perMessageDeflate: false,
  skipUTF8Validation: true,
  handshakeTimeout: HANDSHAKE_TIME_LIMIT_MS,
  closeTimeout: CLOSE_TIME_LIMIT_MS,
  // Masking protects proxies from scripts in a browser; here it would only cost the generator time.
  generateMask: (mask) => mask.fill(0),
};

async function openSocket(
  url: URL,
  refusals: { count: number },
  headers: Readonly<Record<string, string>>,
): Promise<WebSocket> {
  const socket = new WebSocket(url, { ...SOCKET_OPTIONS, headers });
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as { t: string; refused?: number };
    if (frame.t === 'error') refusals.count += frame.refused ?? 0;
  });
  try {
    await once(socket, 'open');
  } catch (error) {
    throw new SluiceError(
      'internal',
      `Could not open a WebSocket to ${url.origin}: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
  // A server that breaks the protocol ends the socket, which is noticed where it is used; unheard, it would end the process.
  socket.on('error', () => {});
  return socket;
}

async function sendAll(
  socket: WebSocket,
  { target, messagesPerClient, messagesPerFrame, ratePerSecond, withHeaders }: LoadJob,
  client: number,
  { startMs, perClientPerMs }: { startMs: number; perClientPerMs: number },
  onSent: (messages: number) => void,
): Promise<void> {
  const producer = benchProducer(target.run, client);
  let next = 0;
  while (next < messagesPerClient) {
    const turnFrom = next;
    const flush = holdWrites(socket);
    for (let frame = 0; frame < TURN_FRAMES && next < messagesPerClient; frame += 1) {
      if (ratePerSecond > 0 && next > (performance.now() - startMs) * perClientPerMs) break;
      const to = Math.min(messagesPerClient, next + messagesPerFrame);
      const frameText = benchFrame(producer, next, to);
      socket.send(withHeaders ? benchHeader(next, to) + frameText : frameText);
      next = to;
    }
    flush();
    if (next > turnFrom) onSent(next - turnFrom);
    if (socket.readyState !== WebSocket.OPEN) throw closedEarly(socket);
    if (ratePerSecond > 0) await sleep(1);
    else if (socket.bufferedAmount > HIGH_WATER_BYTES) await taken(socket);
    else await new Promise(setImmediate);
  }
}

/**
 * Gathers what is sent until the returned function is called, and hands it to the kernel at once: a call to the kernel
 * for each frame would take half of the generator's processor, which here is Postgres's too. `ws` has no public way to
 * its TCP socket; without that, every frame is a separate write and nothing else changes.
 */
function holdWrites(socket: WebSocket): () => void {
  const tcp = (socket as unknown as { _socket?: { cork?: () => void; uncork?: () => void } })._socket;
  tcp?.cork?.();
  return () => tcp?.uncork?.();
}

/** Waits until the kernel has taken what the socket holds. */
function taken(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    // An empty ping is the smallest frame whose callback tells that all before it was handed over.
    socket.ping(undefined, undefined, (error) => (error ? reject(closedEarly(socket)) : resolve()));
  });
}

function closedEarly(socket: WebSocket, code?: number): SluiceError {
  const detail = code === undefined ? `state ${socket.readyState}` : `code ${code}`;
  return new SluiceError('internal', `The server closed a WebSocket during the load (${detail})`);
}

async function closeSocket(socket: WebSocket): Promise<void> {
  // A socket that is closed already has no close to wait for.
  if (socket.readyState !== WebSocket.OPEN) throw closedEarly(socket);
  const closed = once(socket, 'close') as Promise<[code: number]>;
  socket.close(CLOSE_CODE);
  const [code] = await closed;
  // Any other code is not the answer to ours: the server closed by itself, with frames still unread perhaps.
  if (code !== CLOSE_CODE) throw closedEarly(socket, code);
}
