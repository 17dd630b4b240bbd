/**
 * A WebSocket to TCP tunnel, so that the Neon driver can talk to a Postgres on this machine the way it talks to
 * Neon's proxy. It answers the paths `/v1` and `/v2`, with `?address=host:port` or without.
 *
 * It connects to one configured target only: a tunnel that dials what it is asked for would open every service
 * of the machine and its network to anybody who reaches the port. For the same reason it refuses requests that a web
 * page of another site makes: browsers let any page open a WebSocket to 127.0.0.1, and say so in `Origin`.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

/** Above this many bytes under way to the WebSocket, the TCP side is not read. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** The largest WebSocket message: `ws` holds a whole one in memory. The driver sends a query's parameters as one. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** How long a closed tunnel may go on delivering what it has to a target that does not read. */
const FLUSH_MS = 10_000;
/** Requests that are no tunnels yet, or never will be. */
const SPARE_CONNECTIONS = 50;

export interface NeonTunnelOptions {
  /** The only Postgres this tunnel connects to. */
  target: { host: string; port: number };
  /** TCP port on 127.0.0.1, 0 to 65535; 0 takes a free one. */
  port: number;
  /** Tunnels at a time, 1 to 10000, default 200; further ones get HTTP 503. */
  maxConnections?: number;
  /** Told in one sentence about refused and failed tunnels. Silent by default. */
  onLog?: (message: string) => void;
}

export interface NeonTunnel {
  /** The port it listens on. */
  port: number;
  /** `127.0.0.1:port/v1`, for `neonConfig.wsProxy = () => address` (the driver then sends no `address` parameter)
   * and for `neonConfig.wsProxy = address` (it sends host and port of its connection string, which must be the
   * target's). Also needed: `useSecureWebSocket = false`, `pipelineTLS = false`, `pipelineConnect = false`. */
  address: string;
  /** Cuts all tunnels and stops listening. Idempotent. */
  close(): Promise<void>;
}

/**
 * Listens on 127.0.0.1. A request for another address than the target gets HTTP 403, one for another path 404.
 * When either side of a tunnel closes, the other is closed after what is under way.
 *
 * @throws RangeError for options out of bounds.
 * @throws Error when the port is taken.
 */
export async function startNeonTunnel(options: NeonTunnelOptions): Promise<NeonTunnel> {
  const { target, port, maxConnections = 200, onLog = () => {} } = options;
  requireInteger('port', port, 0, 65_535);
  requireInteger('target.port', target.port, 1, 65_535);
  requireInteger('maxConnections', maxConnections, 1, 10_000);
  const targetAddress = `${target.host}:${target.port}`;

  const webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    clientTracking: false,
  });
  const tunnels = new Set<{ webSocket: WebSocket; tcp: Socket }>();

  const server = createServer((_request, response) => {
    response.writeHead(426, { 'content-type': 'text/plain', connection: 'close' });
    response.end('This is a WebSocket tunnel to Postgres for the Neon driver.\n');
  });
  server.maxConnections = maxConnections + SPARE_CONNECTIONS;
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    // A client that goes away while it is being answered.
    stream.on('error', () => {});
    const refusal = refuse(request, targetAddress, tunnels.size >= maxConnections);
    if (refusal !== undefined) {
      onLog(`Tunnel refused: ${refusal.reason}`);
      answer(stream, refusal);
      return;
    }
    webSockets.handleUpgrade(request, stream, head, (webSocket) => {
      const tunnel = { webSocket, tcp: connect(target) };
      tunnels.add(tunnel);
      join(tunnel.webSocket, tunnel.tcp, targetAddress, onLog, () => tunnels.delete(tunnel));
    });
  });

  await listen(server, port);
  const actualPort = (server.address() as AddressInfo).port;
  let closed: Promise<void> | undefined;
  return {
    port: actualPort,
    address: `127.0.0.1:${actualPort}/v1`,
    close() {
      closed ??= new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const { webSocket, tcp } of tunnels) {
          webSocket.terminate();
          tcp.destroy();
        }
      });
      return closed;
    },
  };
}

/** Carries bytes both ways until either side ends; calls `onGone` when both have. */
function join(
  webSocket: WebSocket,
  tcp: Socket,
  targetAddress: string,
  onLog: (message: string) => void,
  onGone: () => void,
): void {
  tcp.setNoDelay(true);
  let failure: string | undefined;
  let open = 2;
  const gone = () => {
    open -= 1;
    if (open === 0) onGone();
  };

  webSocket.on('message', (data) => {
    // Whatever form a message has, `ws` gives a Buffer for it (binaryType is "nodebuffer").
    if (!tcp.destroyed && !tcp.write(data as Buffer)) webSocket.pause();
  });
  tcp.on('drain', () => webSocket.resume());

  tcp.on('data', (chunk) => {
    webSocket.send(chunk, () => {
      if (webSocket.bufferedAmount <= HIGH_WATER_BYTES) tcp.resume();
    });
    if (webSocket.bufferedAmount > HIGH_WATER_BYTES) tcp.pause();
  });

  // 'close' follows in both cases, and does the rest.
  webSocket.on('error', (error) =>
    onLog(`Tunnel to ${targetAddress}: the client's side failed: ${error.message}`),
  );
  tcp.on('error', (error: NodeJS.ErrnoException) => {
    failure = error.code ?? 'connection failed';
    onLog(`Tunnel to ${targetAddress}: Postgres's side failed: ${failure}`);
  });

  webSocket.on('close', () => {
    gone();
    if (tcp.connecting) tcp.destroy();
    // Ends after what is still to be written; the driver's goodbye to Postgres is often the last of it.
    else tcp.destroySoon();
    tcp.setTimeout(FLUSH_MS, () => tcp.destroy());
    // What Postgres still sends has no reader; unread, it would keep the socket from ending.
    tcp.removeAllListeners('data').resume();
  });
  tcp.on('close', () => {
    gone();
    if (failure === undefined) webSocket.close(1000, 'Postgres closed the connection');
    else webSocket.close(1011, `${targetAddress}: ${failure}`.slice(0, 120));
    // A paused WebSocket would never see the client's half of the closing.
    webSocket.resume();
  });
}

interface Refusal {
  status: string;
  reason: string;
}

function refuse(request: IncomingMessage, targetAddress: string, full: boolean): Refusal | undefined {
  const url = URL.parse(request.url ?? '', 'http://tunnel');
  if (url === null || (url.pathname !== '/v1' && url.pathname !== '/v2')) {
    return { status: '404 Not Found', reason: 'the path must be /v1 or /v2' };
  }
  const { origin } = request.headers;
  if (origin !== undefined && !isLoopback(origin)) {
    return { status: '403 Forbidden', reason: 'web pages of other sites may not use this tunnel' };
  }
  const asked = url.searchParams.getAll('address').find((address) => address !== targetAddress);
  if (asked !== undefined && asked !== '') {
    const shown = JSON.stringify(asked.slice(0, 200));
    return { status: '403 Forbidden', reason: `this tunnel leads to ${targetAddress} only, not to ${shown}` };
  }
  return full ? { status: '503 Service Unavailable', reason: 'too many tunnels are open' } : undefined;
}

function isLoopback(origin: string): boolean {
  const hostname = URL.parse(origin)?.hostname;
  return hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]';
}

function answer(stream: Duplex, { status, reason }: Refusal): void {
  const body = `${reason}\n`;
  stream.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => stream.destroy(),
  );
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = `port ${port} is taken: end the program that uses it, or give another port`;
      reject(error.code === 'EADDRINUSE' ? new Error(taken, { cause: error }) : error);
    });
    server.listen(port, '127.0.0.1', resolve);
  });
}

function requireInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be an integer from ${least} to ${most}, not ${value}`);
  }
}
