/** The client over real sockets, with the WebSocket of the platform and with that of `ws`. */

import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { WebSocketServer, WebSocket as WsSocket } from 'ws';
import { type ClientEvent, SluiceClient, type WebSocketLike } from '../../../src/client/index.ts';

/** A server that stores at once, and that closes the first connection after its first batch, unanswered. */
async function startServer() {
  const taken: string[] = [];
  let next = 1;
  let connections = 0;
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'sluice.v1' });
  server.on('connection', (socket) => {
    connections += 1;
    const connection = connections;
    const credit = { messages: 1_000, bytes: 100_000 };
    socket.on('message', (data) => {
      const frame = String(data);
      const [header, ...lines] = frame.split('\n');
      const { t, seq, epoch = 7 } = JSON.parse(String(header)) as { t: string; seq: number; epoch?: number };
      const ack = () =>
        socket.send(JSON.stringify({ t: 'ack', stored: next - 1, committed: next - 1, credit }));
      if (t === 'hello') {
        const limits = { frameBytes: 1_048_576, messageBytes: 65_536, frameMessages: 10_000 };
        socket.send(
          JSON.stringify({
            t: 'welcome',
            epoch,
            session: `${connection}.a`,
            known: true,
            stored: next - 1,
            committed: 0,
            credit,
            limits,
          }),
        );
      } else if (t === 'batch') {
        const fresh = lines.slice(next - seq);
        taken.push(...fresh);
        next += fresh.length;
        if (connection === 1) socket.terminate();
        else ack();
      } else if (t === 'bye') {
        ack();
        socket.send('{"t":"bye"}');
        socket.close(1000);
      }
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return { server, taken, url: `http://127.0.0.1:${port}/ws/messages` };
}

describe('real sockets', () => {
  test.each<[string, { openSocket?: (url: string, protocol: string) => WebSocketLike }]>([
    ['WebSocket', {}],
    ['ws', { openSocket: (url, protocol) => new WsSocket(url, protocol) as WebSocketLike }],
  ])('%s: a cut connection costs nothing', async (_, options) => {
    const { server, taken, url } = await startServer();
    const events: ClientEvent[] = [];
    const client = new SluiceClient({ url, onEvent: (event) => events.push(event), ...options });
    const texts = Array.from({ length: 1_200 }, (_, index) => `{"i":${index},"name":"Zoë €𝄞"}`);
    const receipt = await client.sendBatch(texts);
    await client.send({ last: true });
    const report = await client.close();
    expect(receipt).toEqual({ messages: 1_200, refused: [], firstSequence: 1 });
    expect(report).toMatchObject({ unacked: 0, acked: 1_201, timedOut: false });
    expect(taken).toEqual([...texts, '{"last":true}']);
    expect(events.map(({ type }) => type)).toEqual(['connected', 'disconnected', 'connected', 'closed']);
    await new Promise((resolve) => server.close(resolve));
  });

  test('nobody listens: it keeps trying, and close says what was not sent', async () => {
    const { server, url } = await startServer();
    await new Promise((resolve) => server.close(resolve));
    const lost = Promise.withResolvers<ClientEvent>();
    const client = new SluiceClient({
      url,
      onEvent: (event) => {
        if (event.type === 'disconnected') lost.resolve(event);
      },
    });
    const sent = client.send(1).catch((error: { code: string }) => error.code);
    expect(await lost.promise).toMatchObject({ code: 1006 });
    expect(await client.close({ timeLimitMs: 0 })).toMatchObject({ unacked: 1 });
    expect(await sent).toBe('client_closed');
  });
});
