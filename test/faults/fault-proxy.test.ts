import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { type NeonTunnel, startNeonTunnel } from '../../local/neon-tunnel.ts';
import type { Connection } from '../../src/database/connection.ts';
import { faultClassOf } from '../../src/database/fault-class.ts';
import { DRIVERS } from '../../src/database/target.ts';
import { freshName, rowsOf, testDatabase } from '../support/connect.ts';
import { FakeTimers, settled } from '../support/fake-timers.ts';
import { openConnection } from '../support/open-connection.ts';
import { eventually } from '../support/patience.ts';
import {
  type Direction,
  type FaultProxy,
  type FaultProxyOptions,
  PatternFinder,
  POSTGRES_COMMIT,
  startFaultProxy,
} from './fault-proxy.ts';

/** The server's side of a connection, with what it has received. */
interface Served {
  socket: Socket;
  received: () => string;
}

/** A client's connection, with what it has received, and how it ended. */
interface Dialled {
  socket: Socket;
  received: () => string;
  /** The code of the error that it ended with; undefined for none. */
  closed: Promise<string | undefined>;
}

function collect(socket: Socket): () => string {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString('latin1');
}

describe('the fault proxy before a plain TCP server', () => {
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  const proxies: FaultProxy[] = [];
  afterEach(async () => {
    for (const proxy of proxies.splice(0)) await proxy.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  });

  /** A server that hands over its connections, in their order. */
  async function serve(onConnection: (socket: Socket) => void = () => {}) {
    const served: Served[] = [];
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      served.push({ socket, received: collect(socket) });
      onConnection(socket);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: (server.address() as { port: number }).port, served };
  }

  async function start(port: number, options: Partial<FaultProxyOptions> = {}): Promise<FaultProxy> {
    const proxy = await startFaultProxy({ target: { host: '127.0.0.1', port }, ...options });
    proxies.push(proxy);
    return proxy;
  }

  /** A server, a proxy before it, and one connection through both. */
  async function connected(options: Partial<FaultProxyOptions> = {}) {
    const { port, served } = await serve();
    const proxy = await start(port, options);
    const client = await dial(proxy.port);
    await eventually(() => expect(served).toHaveLength(1));
    return { port, proxy, served, client, server: served[0] as Served };
  }

  async function dial(port: number): Promise<Dialled> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
    sockets.push(socket);
    const received = collect(socket);
    let code: string | undefined;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code;
    });
    const closed = new Promise<string | undefined>((resolve) => socket.on('close', () => resolve(code)));
    await once(socket, 'connect');
    return { socket, received, closed };
  }

  /** Waits until a text has arrived whole, and nothing but it. */
  async function arrived(received: () => string, text: string): Promise<void> {
    await eventually(() => expect(received().length).toBeGreaterThanOrEqual(text.length));
    expect(received() === text).toBe(true);
  }

  /** A round trip beside the proxy, behind which a lot of the loop's turns have passed. */
  async function elsewhere(): Promise<void> {
    const { port } = await serve((socket) => socket.pipe(socket));
    const { socket, received } = await dial(port);
    for (let trip = 1; trip <= 5; trip += 1) {
      socket.write('.');
      await arrived(received, '.'.repeat(trip));
    }
    socket.destroy();
  }

  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), { minLength: 1, maxLength: 20 });

  test.each([
    ['no fault', {}],
    ['latency and jitter', { latencyMs: 2, jitterMs: 2 }],
    ['a limited rate', { bytesPerSecond: 2_000_000 }],
    [
      'a pattern that never comes',
      { cutAfter: { pattern: 'x'.repeat(30), direction: 'upstream', when: 'before' } },
    ],
  ] as const)('%s: bytes arrive intact, in order, both ways, and so do ends', async (_, faults) => {
    const { port, served } = await serve((socket) => socket.pipe(socket));
    const proxy = await start(port);
    proxy.set(faults);
    await fc.assert(
      fc.asyncProperty(chunks, async (data) => {
        const before = served.length;
        const { socket, received, closed } = await dial(proxy.port);
        for (const chunk of data) socket.write(chunk);
        socket.end();
        await once(socket, 'end');
        const text = Buffer.concat(data).toString('latin1');
        expect(received() === text).toBe(true);
        expect(served[before]?.received() === text).toBe(true);
        expect(await closed).toBe(undefined);
      }),
      { numRuns: 20 },
    );
    await eventually(() => expect(proxy.stats.open).toBe(0));
    expect(proxy.stats).toMatchObject({ connections: served.length, cuts: 0, droppedBytes: 0 });
    expect(proxy.stats.upstreamBytes).toBe(proxy.stats.downstreamBytes);
  });

  test('megabytes pass, and a server that answers after the end of its client is heard', async () => {
    const { port } = await serve((socket) => {
      let bytes = 0;
      socket.on('data', (chunk) => {
        bytes += chunk.length;
      });
      socket.on('end', () => socket.end(`${bytes} bytes`));
    });
    const { socket, received, closed } = await dial((await start(port)).port);
    socket.end(Buffer.alloc(20_000_000));
    await closed;
    expect(received()).toBe('20000000 bytes');
  });

  test('what is read is bounded: a server that does not read holds its client back, and gets all of it later', async () => {
    const { client, proxy, server } = await connected();
    server.socket.pause();
    const message = Buffer.alloc(1024 * 1024, 'm');
    let sent = 0;
    const blocked = await new Promise<number>((resolve) => {
      // What the system buffers on the way is bounded; started again whenever a message has left.
      const quiet = setTimeout(() => resolve(sent), 500);
      for (let count = 0; count < 64; count += 1) {
        client.socket.write(message, () => {
          sent += 1;
          quiet.refresh();
        });
      }
    });
    expect(blocked).toBeLessThan(32);
    server.socket.resume();
    await eventually(() => expect(proxy.stats.upstreamBytes).toBe(64 * message.length));
    await eventually(() => expect(server.received().length).toBe(64 * message.length));
  });

  test('a reset of either side is a reset of the other', async () => {
    for (const side of ['client', 'server'] as const) {
      const { client, server, proxy } = await connected();
      const serverClosed = new Promise((resolve) => server.socket.on('close', resolve));
      (side === 'client' ? client : server).socket.resetAndDestroy();
      await Promise.all([serverClosed, client.closed]);
      if (side === 'server') expect(await client.closed).toBe('ECONNRESET');
      else expect(await serverClosed).toBe(true);
      expect(proxy.stats).toMatchObject({ open: 0, cuts: 0 });
    }
  });

  test('a target that nobody listens on resets the client', async () => {
    const { port } = await serve();
    const server = servers.pop() as Server;
    await new Promise((resolve) => server.close(resolve));
    const proxy = await start(port);
    const client = await dial(proxy.port);
    expect(await client.closed).toBe('ECONNRESET');
    expect(proxy.stats).toMatchObject({ connections: 1, open: 0 });
  });

  test('url replaces host and port, and nothing else', async () => {
    const proxy = await start(1);
    const at = `127.0.0.1:${proxy.port}`;
    expect(proxy.url('postgres://me:p%40ss@db.example:5432/app?sslmode=require')).toBe(
      `postgres://me:p%40ss@${at}/app?sslmode=require`,
    );
    expect(proxy.url('ws://localhost/ws/messages?producer=a')).toBe(`ws://${at}/ws/messages?producer=a`);
  });

  describe('latency', () => {
    test('holds bytes back for its time, and not longer', async () => {
      const timers = new FakeTimers();
      const { client, server, proxy } = await connected({ timers });
      proxy.set({ latencyMs: 100 });
      client.socket.write('hello');
      await eventually(() => expect(timers.pending).toBe(1));
      timers.advance(99);
      await elsewhere();
      expect([proxy.stats.upstreamBytes, server.received()]).toEqual([0, '']);
      timers.advance(1);
      expect(proxy.stats.upstreamBytes).toBe(5);
      await arrived(server.received, 'hello');
    });

    test('with jitter keeps the order', async () => {
      const timers = new FakeTimers();
      const randoms = [0.99, 0];
      const { client, server, proxy } = await connected({ timers, random: () => randoms.shift() ?? 0.5 });
      proxy.set({ latencyMs: 100, jitterMs: 50 });
      client.socket.write('late ');
      await eventually(() => expect(timers.pending).toBe(1));
      // Would be due after 50 ms, while the first is due after 149.
      client.socket.write('early');
      await eventually(() => expect(randoms).toEqual([]));
      timers.advance(148);
      expect(proxy.stats.upstreamBytes).toBe(0);
      timers.advance(1);
      expect(proxy.stats.upstreamBytes).toBe(10);
      await arrived(server.received, 'late early');
    });

    test('ends with heal, which forwards what was held back', async () => {
      const timers = new FakeTimers();
      const { client, server, proxy } = await connected({ timers });
      proxy.set({ latencyMs: 1_000_000 });
      client.socket.end('hello');
      await eventually(() => expect(timers.pending).toBe(1));
      const ended = once(server.socket, 'end');
      proxy.heal();
      await arrived(server.received, 'hello');
      await ended;
      expect(timers.pending).toBe(0);
    });
  });

  test('a limited rate forwards as many bytes as the time allows, and no more', async () => {
    const timers = new FakeTimers();
    const { client, server, proxy } = await connected({ timers });
    proxy.set({ bytesPerSecond: 2_000 });
    const text = Array.from({ length: 1_000 }, (_, index) => String(index).padStart(10, '.')).join('');
    client.socket.write(text);
    await eventually(() => expect(timers.pending).toBe(1));
    for (let atMs = 0; atMs <= 5_000; atMs += 10) {
      // Pieces of 50 ms, that is of 100 bytes.
      expect(proxy.stats.upstreamBytes).toBeLessThanOrEqual((atMs * 2_000) / 1_000);
      expect(proxy.stats.upstreamBytes).toBeGreaterThan((atMs * 2_000) / 1_000 - 100);
      timers.advance(10);
    }
    expect(proxy.stats.upstreamBytes).toBe(10_000);
    await arrived(server.received, text);
    // The other direction has its own rate, that did not wait for this one.
    server.socket.write('x'.repeat(100));
    await eventually(() => expect(timers.pending).toBe(1));
    timers.advance(50);
    expect(proxy.stats.downstreamBytes).toBe(100);
  });

  test.each<Direction>(['upstream', 'downstream'])(
    'bytes dropped %s vanish, the others pass',
    async (lost) => {
      const { client, server, proxy } = await connected();
      const [from, to] = lost === 'upstream' ? [client, server] : [server, client];
      proxy.set(lost === 'upstream' ? { dropUpstream: true } : { dropDownstream: true });
      const dropped = proxy.next('drop');
      from.socket.write('lost');
      await dropped;
      to.socket.write('heard');
      await arrived(from.received, 'heard');
      await eventually(() => expect(proxy.stats.droppedBytes).toBe(4));
      expect(to.received()).toBe('');
      proxy.heal();
      from.socket.write('found');
      await arrived(to.received, 'found');
    },
  );

  test('a dropped end comes when the fault is over', async () => {
    const { client, server, proxy } = await connected();
    proxy.set({ dropUpstream: true });
    const dropped = proxy.next('drop');
    client.socket.end('lost');
    await dropped;
    await elsewhere();
    expect(server.socket.readableEnded).toBe(false);
    const ended = once(server.socket, 'end');
    proxy.heal();
    await ended;
    expect(server.received()).toBe('');
  });

  test('a stalled connection is silent both ways, also a new one, and all arrives when it is over', async () => {
    const { client, server, proxy, served } = await connected();
    proxy.set({ stall: true });
    const accepted = proxy.next('connection');
    const second = await dial(proxy.port);
    await accepted;
    for (const [socket, text] of [
      [client.socket, 'up'],
      [server.socket, 'down'],
      [second.socket, 'second'],
    ] as const)
      socket.end(text);
    await elsewhere();
    expect([server.received(), client.received()]).toEqual(['', '']);
    expect(proxy.stats).toMatchObject({ upstreamBytes: 0, downstreamBytes: 0, open: 2 });
    proxy.heal();
    await arrived(server.received, 'up');
    await arrived(client.received, 'down');
    await eventually(() => expect(served[1]?.received()).toBe('second'));
    expect(await client.closed).toBe(undefined);
  });

  test('a stall keeps what is already under way', async () => {
    const timers = new FakeTimers();
    const { client, server, proxy } = await connected({ timers });
    proxy.set({ latencyMs: 100 });
    client.socket.write('hello');
    await eventually(() => expect(timers.pending).toBe(1));
    proxy.set({ stall: true });
    timers.advance(1_000);
    expect([timers.pending, proxy.stats.upstreamBytes]).toEqual([0, 0]);
    proxy.set({ stall: false });
    timers.advance(100);
    await arrived(server.received, 'hello');
  });

  test('a reset during a stall is not noticed until it is over', async () => {
    const { client, server, proxy } = await connected();
    proxy.set({ stall: true });
    let hasClosed = false;
    const serverClosed = new Promise((resolve) => server.socket.on('close', resolve));
    server.socket.on('close', () => {
      hasClosed = true;
    });
    client.socket.resetAndDestroy();
    await client.closed;
    await elsewhere();
    expect([hasClosed, proxy.stats.open]).toEqual([false, 1]);
    proxy.heal();
    expect(await serverClosed).toBe(true);
  });

  test('refuses new connections, and leaves the others alone', async () => {
    const { client, server, proxy } = await connected();
    proxy.set({ refuse: true });
    const refused = proxy.next('refuse');
    const second = connect(proxy.port, '127.0.0.1');
    const [error] = await once(second, 'error');
    expect(error.code).toBe('ECONNRESET');
    await refused;
    client.socket.write('still here');
    await arrived(server.received, 'still here');
    expect(proxy.stats).toMatchObject({ connections: 1, refused: 1, open: 1 });
    proxy.heal();
    await dial(proxy.port);
    await eventually(() => expect(proxy.stats.connections).toBe(2));
  });

  test.each([
    ['upstream', 10],
    ['upstream', 0],
    ['downstream', 10],
  ] as const)('resets a connection after its bytes %s: %i', async (direction, bytes) => {
    const { client, server, proxy } = await connected();
    proxy.set({ resetAfterBytes: { direction, bytes } });
    const [from, to] = direction === 'upstream' ? [client, server] : [server, client];
    const cut = proxy.next('cut');
    // What goes the other way does not count.
    to.socket.write('x'.repeat(50));
    await arrived(from.received, 'x'.repeat(50));
    if (bytes > 0) {
      from.socket.write('0123');
      await arrived(to.received, '0123');
    }
    from.socket.write('4567890123');
    await cut;
    expect(await client.closed).toBe('ECONNRESET');
    const counted = direction === 'upstream' ? proxy.stats.upstreamBytes : proxy.stats.downstreamBytes;
    expect([counted, proxy.stats.cuts, proxy.stats.open]).toEqual([bytes, 1, 0]);
    expect('0123456789'.startsWith(to.received())).toBe(true);
  });

  test('a connection that is reset twice at once counts once', async () => {
    const timers = new FakeTimers();
    const { client, proxy } = await connected({ timers });
    proxy.set({ latencyMs: 100, resetAfterBytes: { direction: 'upstream', bytes: 5 } });
    client.socket.write('hello');
    await eventually(() => expect(timers.pending).toBe(1));
    // The last bytes have been written, and the reset waits until they are on their way.
    timers.advance(100);
    proxy.reset();
    await client.closed;
    await elsewhere();
    expect(proxy.stats).toMatchObject({ upstreamBytes: 5, cuts: 1, open: 0 });
  });

  test('resets each connection after its own random time', async () => {
    const timers = new FakeTimers();
    const randoms = [0.5, 0.99];
    const { client, proxy } = await connected({ timers, random: () => randoms.shift() ?? 0 });
    proxy.set({ resetEveryMs: [100, 300] });
    timers.advance(50);
    const second = await dial(proxy.port);
    await eventually(() => expect(proxy.stats.connections).toBe(2));
    timers.advance(149);
    expect(proxy.stats.cuts).toBe(0);
    timers.advance(1);
    expect(proxy.stats.cuts).toBe(1);
    expect(await client.closed).toBe('ECONNRESET');
    timers.advance(147);
    expect(proxy.stats.cuts).toBe(1);
    timers.advance(1);
    expect(proxy.stats.cuts).toBe(2);
    expect(await second.closed).toBe('ECONNRESET');
    await dial(proxy.port);
    await eventually(() => expect(timers.pending).toBe(1));
    proxy.heal();
    expect(timers.pending).toBe(0);
  });

  test('reset ends what there is, and nothing that comes later', async () => {
    const { client, proxy } = await connected();
    const other = await dial(proxy.port);
    await eventually(() => expect(proxy.stats.open).toBe(2));
    const cut = proxy.next('cut');
    proxy.reset();
    await cut;
    expect(await Promise.all([client.closed, other.closed])).toEqual(['ECONNRESET', 'ECONNRESET']);
    expect(proxy.stats).toMatchObject({ cuts: 2, open: 0 });
    await dial(proxy.port);
    await eventually(() => expect(proxy.stats.open).toBe(1));
  });

  describe('a cut at a pattern', () => {
    test('before: its last byte never arrives, however it is sent', async () => {
      const { port, served } = await serve();
      const proxy = await start(port);
      proxy.set({ cutAfter: { pattern: 'COMMIT;', direction: 'upstream', when: 'before' } });
      const text = 'begin; insert; commit; more';
      for (let at = 1; at < text.length; at += 1) {
        const { socket, received, closed } = await dial(proxy.port);
        await eventually(() => expect(served).toHaveLength(at));
        const server = served[at - 1] as Served;
        const cut = proxy.next('cut');
        socket.write(text.slice(0, at));
        const first = text.slice(0, at).includes('commit;') ? '' : text.slice(0, at);
        await eventually(() => expect(first === '' || server.received() === first).toBe(true));
        socket.write(text.slice(at));
        await cut;
        expect(await closed).toBe('ECONNRESET');
        expect('begin; insert; commit'.startsWith(server.received())).toBe(true);
        expect(received()).toBe('');
      }
      expect(proxy.stats.upstreamBytes).toBe((text.length - 1) * 'begin; insert; commit'.length);
    });

    test('after: it arrives, with what follows it; its answer does not, and neither does what comes between', async () => {
      const { client, server, proxy } = await connected();
      proxy.set({
        cutAfter: { pattern: 'commit', direction: 'upstream', when: 'after', answer: Buffer.from('done') },
      });
      const [seen, cut] = [proxy.next('pattern'), proxy.next('cut')];
      client.socket.write('insert;');
      await arrived(server.received, 'insert;');
      server.socket.write('inserted;');
      await arrived(client.received, 'inserted;');
      client.socket.write('com');
      await arrived(server.received, 'insert;com');
      client.socket.write('mit; ');
      await seen;
      await arrived(server.received, 'insert;commit; ');
      expect(proxy.stats.cuts).toBe(0);
      server.socket.write('wait, do');
      await eventually(() => expect(proxy.stats.droppedBytes).toBe(8));
      expect(proxy.stats.cuts).toBe(0);
      server.socket.write('ne');
      await cut;
      expect(await client.closed).toBe('ECONNRESET');
      expect(client.received()).toBe('inserted;');
      expect(proxy.stats).toMatchObject({ cuts: 1, open: 0, droppedBytes: 10 });
    });

    test('after, without an answer to look for: any byte of the server will do', async () => {
      const { client, server, proxy } = await connected();
      proxy.set({ cutAfter: { pattern: 'commit', direction: 'upstream', when: 'after' } });
      const cut = proxy.next('cut');
      client.socket.write('commit');
      await arrived(server.received, 'commit');
      server.socket.write('?');
      await cut;
      expect([await client.closed, client.received()]).toEqual(['ECONNRESET', '']);
    });

    test('bytes are found as they are, text in any case', async () => {
      const { client, server, proxy } = await connected();
      proxy.set({ cutAfter: { pattern: Buffer.from('ack'), direction: 'downstream', when: 'before' } });
      server.socket.write('{"t":"ACK"}');
      await arrived(client.received, '{"t":"ACK"}');
      const cut = proxy.next('cut');
      server.socket.write('{"t":"ack"}');
      await cut;
      await client.closed;
      expect('{"t":"ACK"}{"t":"ac'.startsWith(client.received())).toBe(true);
    });

    test('comes at every so many occurrences over all connections, and so many times', async () => {
      const { port } = await serve((socket) => socket.on('end', () => socket.end()));
      const proxy = await start(port);
      const isCut = async () => {
        const { socket, closed } = await dial(proxy.port);
        socket.end('x');
        return (await closed) === 'ECONNRESET';
      };
      const fault = { pattern: 'x', direction: 'upstream', when: 'before' } as const;
      proxy.set({ cutAfter: { ...fault, occurrences: 3, times: 2 } });
      const cuts: boolean[] = [];
      for (let sent = 0; sent < 10; sent += 1) cuts.push(await isCut());
      expect(cuts).toEqual([false, false, true, false, false, true, false, false, false, false]);
      // A fault that is set again counts again.
      for (let round = 0; round < 2; round += 1) {
        proxy.set({ cutAfter: { ...fault, occurrences: 2 } });
        expect(await isCut()).toBe(false);
      }
      expect(await isCut()).toBe(true);
    });

    test('an answer downstream, a rate of nothing and a negative time are refused', async () => {
      const proxy = await start(1);
      for (const faults of [
        { cutAfter: { pattern: 'x', direction: 'downstream', when: 'after' } },
        { bytesPerSecond: 0 },
        { latencyMs: -1 },
      ] as const)
        expect(() => proxy.set(faults)).toThrow(RangeError);
    });
  });

  test('a client with a WebSocket loses an ack that the server has sent', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    server.on('connection', (webSocket) => {
      webSocket.on('message', (data) => webSocket.send(`{"t":"ack","stored":${data}}`));
    });
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const proxy = await start(port);
    const webSocket = new WebSocket(proxy.url('ws://localhost/ws/messages'));
    await once(webSocket, 'open');
    webSocket.send('1');
    const [ack] = await once(webSocket, 'message');
    expect(String(ack)).toBe('{"t":"ack","stored":1}');
    proxy.set({ cutAfter: { pattern: '"t":"ack"', direction: 'downstream', when: 'before' } });
    const more: string[] = [];
    webSocket.on('message', (data) => more.push(String(data)));
    webSocket.on('error', () => {});
    webSocket.send('2');
    const [code] = await once(webSocket, 'close');
    expect([code, more]).toEqual([1006, []]);
    await proxy.close();
    server.close();
  });

  test('closing resets what there is, and who waits for an event is told', async () => {
    const { client, proxy } = await connected();
    const [waiting, together] = [proxy.next('cut'), proxy.next('cut')];
    await Promise.all([proxy.close(), proxy.close()]);
    expect(await client.closed).toBe('ECONNRESET');
    await expect(waiting).rejects.toThrow(/before the next cut/);
    await expect(together).rejects.toThrow(/before the next cut/);
    await expect(proxy.next('cut')).rejects.toThrow(/before the next cut/);
    const late = connect(proxy.port, '127.0.0.1');
    const [error] = await once(late, 'error');
    expect(error.code).toBe('ECONNREFUSED');
    await settled();
    expect(proxy.stats).toMatchObject({ open: 0, cuts: 0 });
  });
});

describe('PatternFinder', () => {
  test('finds the same in a stream, however it is cut into chunks', () => {
    const letters = fc.array(fc.constantFrom('a', 'b', 'A'), { maxLength: 60 }).map((all) => all.join(''));
    const pattern = fc
      .array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 5 })
      .map((all) => all.join(''));
    fc.assert(
      fc.property(letters, pattern, fc.array(fc.nat(60)), fc.boolean(), (text, wanted, cuts, isText) => {
        const expected: number[] = [];
        const haystack = isText ? text.toLowerCase() : text;
        for (let at = haystack.indexOf(wanted); at !== -1; at = haystack.indexOf(wanted, at + wanted.length))
          expected.push(at + wanted.length);
        const finder = new PatternFinder(isText ? wanted.toUpperCase() : Buffer.from(wanted));
        const found: number[] = [];
        const borders = [...cuts.filter((at) => at < text.length), 0, text.length].sort((a, b) => a - b);
        borders.slice(1).forEach((end, index) => {
          const begin = borders[index] as number;
          found.push(...finder.feed(Buffer.from(text.slice(begin, end))).map((at) => begin + at));
        });
        expect(found).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  test('keeps bytes beyond ASCII apart, and refuses to look for nothing', () => {
    expect(new PatternFinder('é').feed(Buffer.from('É'))).toEqual([]);
    expect(new PatternFinder('é').feed(Buffer.from('é'))).toEqual([2]);
    expect(() => new PatternFinder('')).toThrow(RangeError);
  });
});

describe.each(DRIVERS)('the fault proxy before Postgres, by the driver %s', (driver) => {
  const direct = testDatabase('tcp');
  let proxy: FaultProxy;
  let tunnel: NeonTunnel | undefined;
  const table = freshName('proxied');
  const open: Connection[] = [];

  beforeAll(async () => {
    const { hostname, port } = new URL(inject('databaseUrl'));
    proxy = await startFaultProxy({ target: { host: hostname, port: Number(port) } });
    // The tunnel is on the client's side, so that the proxy sees the messages of Postgres.
    if (driver === 'neon')
      tunnel = await startNeonTunnel({ target: { host: '127.0.0.1', port: proxy.port }, port: 0 });
    await rowsOf(await direct.open(), `create table ${table} (n integer)`);
  });
  afterEach(() => {
    proxy.heal();
    for (const connection of open.splice(0)) connection.close();
  });
  afterAll(async () => {
    await tunnel?.close();
    await proxy.close();
    await rowsOf(await direct.open(), `drop table ${table}`);
  });

  async function connection(): Promise<Connection> {
    const url = inject('databaseUrl');
    const opened = await openConnection(
      tunnel === undefined ? { url: proxy.url(url), driver } : { url, driver, neonProxy: tunnel.address },
    );
    open.push(opened);
    return opened;
  }

  /** Writes a row in a transaction; the error that the client got, or undefined. */
  async function write(through: Connection, n: number, commit = 'commit'): Promise<unknown> {
    try {
      await rowsOf(through, 'begin');
      await rowsOf(through, `insert into ${table} values (${n})`);
      await rowsOf(through, commit);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async function count(n: number): Promise<number> {
    return (await rowsOf(await direct.open(), `select * from ${table} where n = ${n}`)).length;
  }

  test.each(['commit', 'COMMIT'])('%s that is answered, without the fault', async (commit) => {
    const n = commit === 'commit' ? 1 : 2;
    expect(await write(await connection(), n, commit)).toBe(undefined);
    expect(await count(n)).toBe(1);
  });

  test.each(['commit', 'COMMIT'])(
    '%s whose answer is lost: the row is there, and the client has an error',
    async (commit) => {
      const n = commit === 'commit' ? 3 : 4;
      const through = await connection();
      proxy.set({ cutAfter: { ...POSTGRES_COMMIT, direction: 'upstream', when: 'after' } });
      const cut = proxy.next('cut');
      const error = await write(through, n, commit);
      await cut;
      expect(error).toBeInstanceOf(Error);
      expect(faultClassOf(error)).toBe('retry');
      expect(await count(n)).toBe(1);
      await eventually(() => expect(through.isOpen).toBe(false));
      // A new connection works until it commits.
      const next = await connection();
      expect(await rowsOf(next, 'select 1 as one')).toEqual([{ one: 1 }]);
      proxy.heal();
      expect(await write(next, n)).toBe(undefined);
      expect(await count(n)).toBe(2);
    },
  );

  test('a commit that does not arrive: the row is not there, and the client has an error', async () => {
    const through = await connection();
    proxy.set({ cutAfter: { ...POSTGRES_COMMIT, direction: 'upstream', when: 'before' } });
    const error = await write(through, 5);
    expect(error).toBeInstanceOf(Error);
    expect(faultClassOf(error)).toBe('retry');
    // The lock of a transaction that is still being taken back would be waited for here.
    await rowsOf(await direct.open(), `begin; lock table ${table}; commit`);
    expect(await count(5)).toBe(0);
  });

  test('a COPY that is cut on its way leaves nothing, and one that is not leaves all', async () => {
    const data = [Buffer.from('6\n'.repeat(50_000))];
    const copy = async () => (await connection()).copy(`copy ${table} from stdin`, data);
    proxy.set({ resetAfterBytes: { direction: 'upstream', bytes: 60_000 } });
    await expect(copy()).rejects.toThrow();
    expect(await count(6)).toBe(0);
    proxy.heal();
    await copy();
    expect(await count(6)).toBe(50_000);
  });

  test('a server that refuses is unreachable, which is retried', async () => {
    proxy.set({ refuse: true });
    const error = await connection().catch((reason) => reason);
    expect(error).toMatchObject({ code: 'database_unreachable' });
    expect(faultClassOf(error)).toBe('retry');
    proxy.heal();
    await connection();
  });
});
