import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { Client, neonConfig } from '@neondatabase/serverless';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { type NeonTunnel, startNeonTunnel } from '../../local/neon-tunnel.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { SETTINGS, temporaryData } from './postgres/support.ts';

const FIVE_MB = 5_000_000;

describe('the Neon tunnel', () => {
  const tunnels: NeonTunnel[] = [];
  afterEach(async () => {
    for (const tunnel of tunnels.splice(0)) await tunnel.close();
  });
  async function open(
    port: number,
    more: Partial<Parameters<typeof startNeonTunnel>[0]> = {},
  ): Promise<NeonTunnel> {
    const tunnel = await startNeonTunnel({ target: { host: '127.0.0.1', port }, port: 0, ...more });
    tunnels.push(tunnel);
    return tunnel;
  }

  describe('before a real Postgres', () => {
    let data: Awaited<ReturnType<typeof temporaryData>>;
    let postgres: EmbeddedPostgres;

    beforeAll(async () => {
      data = await temporaryData();
      postgres = await startEmbeddedPostgres({
        dataDirectory: data.dataDirectory,
        port: 0,
        settings: SETTINGS,
      });
      neonConfig.webSocketConstructor = WebSocket;
      neonConfig.useSecureWebSocket = false;
      neonConfig.pipelineTLS = false;
      neonConfig.pipelineConnect = false;
    });
    afterAll(async () => {
      await postgres?.stop();
      await data?.remove();
    });

    async function connected(wsProxy: string | (() => string)): Promise<Client> {
      neonConfig.wsProxy = wsProxy;
      const client = new Client(postgres.url);
      client.on('error', () => {});
      await client.connect();
      return client;
    }

    test('the Neon driver reads through it, with the proxy as a function and as a string', async () => {
      const tunnel = await open(postgres.port);
      for (const wsProxy of [() => tunnel.address, tunnel.address]) {
        const client = await connected(wsProxy);
        expect((await client.query('SELECT 6 * 7 AS answer')).rows).toEqual([{ answer: 42 }]);
        await client.end();
      }
    });

    test('large results and parameters pass intact', async () => {
      const tunnel = await open(postgres.port);
      const client = await connected(() => tunnel.address);
      const text = Array.from({ length: FIVE_MB / 10 }, (_, i) => String(i).padStart(10, '0')).join('');
      const up = await client.query('SELECT length($1::text) AS length, md5($1::text) AS digest', [text]);
      const down = await client.query(
        "SELECT string_agg(lpad(i::text, 10, '0'), '' ORDER BY i) AS text FROM generate_series(0, $1 - 1) i",
        [FIVE_MB / 10],
      );
      expect(down.rows[0].text === text).toBe(true);
      const digest = await client.query('SELECT md5($1::text) AS digest', [down.rows[0].text]);
      expect(up.rows).toEqual([{ length: FIVE_MB, digest: digest.rows[0].digest }]);
      await client.end();
    });

    test('another path to the same Postgres is refused, and the right one is not', async () => {
      const tunnel = await open(postgres.port);
      const base = `ws://127.0.0.1:${tunnel.port}`;
      const target = `127.0.0.1:${postgres.port}`;
      for (const [url, headers, expected] of [
        [`${base}/v1?address=${target}`, {}, 101],
        [`${base}/v2?address=${target}`, {}, 101],
        [`${base}/v1`, {}, 101],
        [`${base}/v1?address=localhost:22`, {}, 403],
        [`${base}/v1?address=${target}&address=127.0.0.1:22`, {}, 403],
        [`${base}/v2?address=127.0.0.1:22`, {}, 403],
        [`${base}/v3?address=${target}`, {}, 404],
        [`${base}/v1`, { origin: 'https://example.com' }, 403],
        [`${base}/v1`, { origin: 'null' }, 403],
        [`${base}/v1`, { origin: 'http://localhost:8787' }, 101],
      ] as const) {
        expect([url, headers, await statusOf(url, headers)]).toEqual([url, headers, expected]);
      }
    });

    test('closing it ends what runs through it, and nothing new gets in', async () => {
      const tunnel = await open(postgres.port);
      const client = await connected(() => tunnel.address);
      const ended = new Promise<void>((resolve) => client.on('end', () => resolve()));
      await tunnel.close();
      await tunnel.close();
      await ended;
      await expect(connected(() => tunnel.address)).rejects.toThrow();
    });
  });

  describe('before a plain TCP server', () => {
    const servers: Server[] = [];
    const sockets: Socket[] = [];
    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.destroy();
      for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    });

    async function listen(onConnection: (socket: Socket) => void): Promise<number> {
      const server = createServer((socket) => {
        socket.on('error', () => {});
        sockets.push(socket);
        onConnection(socket);
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return (server.address() as { port: number }).port;
    }

    async function dial(tunnel: NeonTunnel): Promise<WebSocket> {
      const webSocket = new WebSocket(`ws://${tunnel.address}`);
      webSocket.on('error', () => {});
      await once(webSocket, 'open');
      return webSocket;
    }

    test('the target closing closes the WebSocket, after what it had sent', async () => {
      const port = await listen((socket) => socket.end(Buffer.alloc(FIVE_MB, 7)));
      const webSocket = await dial(await open(port));
      let received = 0;
      webSocket.on('message', (data: Buffer) => {
        received += data.length;
      });
      const [code] = await once(webSocket, 'close');
      expect({ code, received }).toEqual({ code: 1000, received: FIVE_MB });
    });

    test('the WebSocket closing closes the target, after what it had sent', async () => {
      const received = Promise.withResolvers<number>();
      const port = await listen((socket) => {
        let bytes = 0;
        socket.on('data', (chunk) => {
          bytes += chunk.length;
        });
        socket.on('end', () => received.resolve(bytes));
      });
      const webSocket = await dial(await open(port));
      webSocket.send(Buffer.alloc(FIVE_MB, 7));
      webSocket.close();
      expect(await received.promise).toBe(FIVE_MB);
    });

    test('a reader that pauses holds the target back, and gets all of it later', async () => {
      const total = 64 * 1024 * 1024;
      const blocked = Promise.withResolvers<number>();
      const port = await listen((socket) => {
        let sent = 0;
        const chunk = Buffer.alloc(64 * 1024, 7);
        const pump = () => {
          while (sent < total) {
            sent += chunk.length;
            if (!socket.write(chunk)) break;
          }
          if (sent >= total && socket.writableLength === 0) socket.end();
        };
        socket.on('drain', pump);
        // What the system buffers on the way is bounded; nothing moves for a while once that is full.
        socket.setTimeout(500, () => blocked.resolve(sent));
        socket.on('finish', () => blocked.resolve(sent));
        pump();
      });
      const webSocket = await dial(await open(port));
      webSocket.pause();
      expect(await blocked.promise).toBeLessThan(total / 2);
      let received = 0;
      webSocket.on('message', (data: Buffer) => {
        received += data.length;
      });
      webSocket.resume();
      await once(webSocket, 'close');
      expect(received).toBe(total);
    });

    test('a target that pauses holds the client back, and gets all of it later', async () => {
      const messages = 64;
      const message = Buffer.alloc(1024 * 1024, 7);
      const received = Promise.withResolvers<number>();
      const port = await listen((socket) => {
        let bytes = 0;
        socket.on('data', (chunk) => {
          bytes += chunk.length;
        });
        socket.on('end', () => received.resolve(bytes)).pause();
      });
      const webSocket = await dial(await open(port));
      let sent = 0;
      const blocked = new Promise<number>((resolve) => {
        // As above: started again whenever a message has left.
        const quiet = setTimeout(() => resolve(sent), 500);
        for (let i = 0; i < messages; i++) {
          webSocket.send(message, () => {
            sent += 1;
            quiet.refresh();
          });
        }
      });
      expect(await blocked).toBeLessThan(messages / 2);
      for (const socket of sockets) socket.resume();
      webSocket.close();
      expect(await received.promise).toBe(messages * message.length);
    });

    test('a target that does not answer closes the WebSocket with the reason', async () => {
      const port = await listen(() => {});
      const tunnel = await open(port);
      const alive = await dial(tunnel);
      expect(alive.readyState).toBe(WebSocket.OPEN);
      alive.terminate();
      for (const socket of sockets.splice(0)) socket.destroy();
      for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
      const webSocket = await dial(tunnel);
      const [code, reason] = await once(webSocket, 'close');
      expect([code, String(reason)]).toEqual([1011, `127.0.0.1:${port}: ECONNREFUSED`]);
    });

    test('one tunnel too many is refused, and admitted when another has gone', async () => {
      const gone = Promise.withResolvers<void>();
      const port = await listen((socket) => socket.on('close', () => gone.resolve()).resume());
      const tunnel = await open(port, { maxConnections: 1 });
      const only = await dial(tunnel);
      expect(await statusOf(`ws://${tunnel.address}`)).toBe(503);
      only.close();
      await Promise.all([once(only, 'close'), gone.promise]);
      expect(await expectEventually(() => statusOf(`ws://${tunnel.address}`), 101)).toBe(101);
    });
  });

  test('refuses options out of bounds', async () => {
    await expect(open(0)).rejects.toThrow(RangeError);
    await expect(open(5432, { port: -1 })).rejects.toThrow(RangeError);
    await expect(open(5432, { maxConnections: 0 })).rejects.toThrow(RangeError);
    const tunnel = await open(5432);
    await expect(open(5432, { port: tunnel.port })).rejects.toThrow(/is taken/);
  });
});

/** Asks until the answer is `wanted`, at most 100 times: the tunnel's own events follow ours by a turn or two. */
async function expectEventually<T>(ask: () => Promise<T>, wanted: T): Promise<T> {
  let answer = await ask();
  for (let i = 0; i < 100 && answer !== wanted; i++) answer = await ask();
  return answer;
}

/** The HTTP status that a WebSocket request gets: 101 when it is opened. */
async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  const webSocket = new WebSocket(url, { headers });
  return await new Promise((resolve, reject) => {
    webSocket.on('error', reject);
    webSocket.on('open', () => {
      webSocket.terminate();
      resolve(101);
    });
    webSocket.on('unexpected-response', (_request, response) => {
      response.resume();
      resolve(response.statusCode);
    });
  });
}
