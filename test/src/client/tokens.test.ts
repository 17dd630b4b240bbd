/** A client that has to say who it is: tokens, tickets, and what becomes of them. */

import { describe, expect, test } from 'vitest';
import { SluiceClient } from '../../../src/client/index.ts';
import { type Bed, bed, outcomeOf } from './support.ts';

/** A server that takes tokens `t1`, `t2` and so on, each for a minute from when it was made. */
function guarded(): Bed & { made: string[]; make: () => Promise<string>; wrong: Set<string> } {
  const made = bed();
  const names: string[] = [];
  const wrong = new Set<string>();
  const endsMs = new Map<string, number>();
  made.server.judgeToken = ({ token, ticket }) => {
    const name = token ?? ticket ?? '';
    const endMs = endsMs.get(name);
    // A ticket opens one socket.
    if (ticket !== undefined) endsMs.delete(name);
    return wrong.has(name) || endMs === undefined || endMs <= made.timers.now() ? undefined : endMs;
  };
  const make = async () => {
    const name = `t${names.length + 1}~${'ÿ'.codePointAt(0)}?>`;
    names.push(name);
    endsMs.set(name, made.timers.now() + 60_000);
    return name;
  };
  return { ...made, made: names, make, wrong };
}

describe('a token', () => {
  test('is asked for before each connection, and offered beside sluice.v1', async () => {
    const { server, connect, pass, make, made } = guarded();
    const client = connect({ token: make });
    await pass(10);
    expect(server.credentials).toEqual([{ token: made[0], ticket: undefined }]);
    server.cut();
    await pass(1_000);
    expect(server.credentials.map(({ token }) => token)).toEqual(made);
    expect(made).toHaveLength(2);
    expect(server.opened.join()).not.toContain(made[0]);
    expect([client.state, server.violations]).toEqual(['ready', []]);
  });

  test('may be a text', async () => {
    const { server, connect, pass, make } = guarded();
    const token = await make();
    const client = connect({ token });
    await pass(10);
    expect([client.state, server.credentials]).toEqual(['ready', [{ token, ticket: undefined }]]);
  });

  test('without the option, sockets are opened with the subprotocol alone, as a text', async () => {
    const { server, connect, pass } = bed();
    const protocols: unknown[] = [];
    connect({
      openSocket(url, offered) {
        protocols.push(offered);
        return server.open(url, offered);
      },
    });
    await pass(10);
    expect(protocols).toEqual(['sluice.v1']);
  });

  test('is sent in-band when the server asks: the connection and the session stay', async () => {
    const { server, connect, pass, make, made, events } = guarded();
    const client = connect({ token: make });
    await pass(10);
    await pass(60_000);
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(100);
    expect(sent.state).toBe('resolved');
    expect(server.framesOf('auth')).toEqual([JSON.stringify({ t: 'auth', token: made[1] })]);
    expect([server.renewals, server.opened.length]).toEqual([1, 1]);
    await pass(40_000);
    const later = outcomeOf(client.send({ i: 2 }));
    await pass(100);
    expect([later.state, server.kept.length, server.opened.length]).toEqual(['resolved', 2, 1]);
    expect(events.map(({ type }) => type)).toEqual(['connected']);
    expect(server.violations).toEqual([]);
  });

  test('that cannot be had in time is asked for again within the session', async () => {
    const { server, connect, pass, make } = guarded();
    let isDown = false;
    const client = connect({ token: () => (isDown ? Promise.reject(new Error('down')) : make()) });
    await pass(60_010);
    isDown = true;
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(4_000);
    expect([sent.state, server.renewals]).toEqual(['resolved', 0]);
    isDown = false;
    await pass(6_000);
    expect([server.renewals, server.opened.length]).toEqual([1, 1]);
  });

  test('that never comes within the session costs the connection, and no message', async () => {
    const { server, connect, pass, make, events } = guarded();
    let isDown = false;
    const client = connect({ token: () => (isDown ? new Promise<string>(() => undefined) : make()) });
    await pass(60_010);
    isDown = true;
    const first = outcomeOf(client.send({ i: 1 }));
    await pass(26_000);
    const sent = outcomeOf(client.send({ i: 2 }));
    await pass(1_000);
    isDown = false;
    await pass(60_000);
    expect([first.state, sent.state]).toEqual(['resolved', 'resolved']);
    expect(server.kept.map(({ text }) => text)).toEqual(['{"i":1}', '{"i":2}']);
    expect(events.filter(({ type }) => type === 'disconnected')[0]).toMatchObject({ code: 4401 });
    expect(client.state).toBe('ready');
  });

  test('that throws, hangs, is empty or has letters that no header holds is a failed attempt', async () => {
    for (const [bad, limitMs] of [
      [() => Promise.reject(new Error('secret')), 0],
      [
        () => {
          throw new Error('secret');
        },
        0,
      ],
      [() => new Promise<string>(() => undefined), 10_000],
      [async () => '', 0],
      [async () => 'a token with €', 0],
    ] as const) {
      const { server, connect, pass, make, events } = guarded();
      let isBad = true;
      const client = connect({ token: () => (isBad ? bad() : make()) });
      await pass(limitMs + 20);
      expect(events).toEqual([
        {
          type: 'disconnected',
          code: 1006,
          reason: expect.stringMatching(/^No (token|socket)$/),
          retryMs: 125,
        },
      ]);
      isBad = false;
      await pass(1_000);
      expect([client.state, server.opened.length]).toEqual(['ready', 1]);
    }
  });

  test('that comes too late is not used', async () => {
    const { server, connect, pass, make } = guarded();
    const late = Promise.withResolvers<string>();
    let asked = 0;
    const client = connect({ token: () => (++asked === 1 ? late.promise : make()) });
    await pass(10_500);
    expect(client.state).toBe('ready');
    late.resolve('late');
    await pass(100);
    expect(server.credentials).toHaveLength(1);
    expect(server.framesOf('auth')).toEqual([]);
  });

  test('is not waited for by a client that was closed, and no timer is left', async () => {
    const { timers, server, connect, pass, make } = guarded();
    const token = Promise.withResolvers<string>();
    const client = connect({ token: () => token.promise });
    await pass(10);
    const closed = outcomeOf(client.close());
    await pass(10);
    expect(closed.state).toBe('resolved');
    token.resolve(await make());
    await pass(100);
    expect([server.opened, timers.pending]).toEqual([[], 0]);
  });
});

describe('a refused token', () => {
  test('is followed by a fresh one, with growing pauses', async () => {
    const { server, connect, pass, make, wrong, made, events } = guarded();
    const token = async () => {
      const name = await make();
      if (made.length <= 3) wrong.add(name);
      return name;
    };
    const client = connect({ token });
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(3_000);
    expect([client.state, sent.state, server.opened.length]).toEqual(['ready', 'resolved', 4]);
    const pauses = events.flatMap((event) => (event.type === 'disconnected' ? [event.retryMs] : []));
    expect(pauses).toEqual([125, 250, 500]);
  });

  test('ten times in a row is the end, as unauthorized', async () => {
    const { server, connect, pass, events } = guarded();
    const client = connect({ token: async () => 'wrong' });
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(200_000);
    expect([client.state, sent.code, server.opened.length]).toEqual(['closed', 'unauthorized', 10]);
    expect(events.at(-2)).toMatchObject({ type: 'failed', code: 'unauthorized' });
  });

  test('the control: a welcome in between begins the count again', async () => {
    const { server, connect, pass, make } = guarded();
    let asked = 0;
    const client = connect({ token: () => (++asked % 9 === 0 ? make() : Promise.resolve('wrong')) });
    for (let round = 0; round < 4; round += 1) {
      await pass(200_000);
      server.cut();
    }
    await pass(200_000);
    expect(asked).toBeGreaterThan(20);
    expect(client.state).toBe('ready');
  });

  test('without the option it is the end at once', async () => {
    const { server, connect, pass } = guarded();
    const client = connect();
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(100);
    expect([client.state, sent.code, server.opened.length]).toEqual(['closed', 'unauthorized', 1]);
  });

  test('4403 is the end, with the option too; 4429 waits for half a minute', async () => {
    const { server, connect, pass, make } = guarded();
    server.refusing = { code: 4403, reason: 'forbidden: another sink' };
    const client = connect({ token: make });
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(100);
    expect([client.state, sent.code, server.opened.length]).toEqual(['closed', 'forbidden', 1]);
    server.refusing = { code: 4429, reason: 'too_many_connections: of this tenant' };
    connect({ token: make });
    await pass(29_000);
    expect(server.opened).toHaveLength(2);
    server.refusing = undefined;
    await pass(2_000);
    expect(server.opened).toHaveLength(3);
  });
});

describe('a ticket', () => {
  test('goes into the address, and each connection gets a fresh one', async () => {
    const { server, connect, pass, make, made } = guarded();
    const client = connect({ url: 'ws://sluice.test/ws/messages?x=1', ticket: make });
    await pass(10);
    server.cut();
    await pass(1_000);
    expect(server.credentials).toEqual(made.map((ticket) => ({ token: undefined, ticket })));
    expect(server.opened[0]).toBe(
      `ws://sluice.test/ws/messages?x=1&producer=p&ticket=${encodeURIComponent(made[0] as string)}`,
    );
    expect([client.state, made.length]).toEqual(['ready', 2]);
  });

  test('alone, a session that is asked for a token goes on in a new connection, at once', async () => {
    const { server, connect, pass, make, events } = guarded();
    const client = connect({ ticket: make });
    await pass(60_010);
    const sent = outcomeOf(client.send({ i: 1 }));
    await pass(200);
    expect([sent.state, server.opened.length, client.state]).toEqual(['resolved', 2, 'ready']);
    expect(server.kept.map(({ text }) => text)).toEqual(['{"i":1}']);
    expect(events.find(({ type }) => type === 'disconnected')).toMatchObject({ retryMs: 0 });
  });

  test('together with a token opens the socket, and the token is for the session', async () => {
    const { server, connect, pass, make, made } = guarded();
    const client = connect({ ticket: make, token: make });
    await pass(60_010);
    await Promise.all([client.send({ i: 1 }), pass(200)]);
    expect(server.credentials).toEqual([{ token: undefined, ticket: made[0] }]);
    expect([server.renewals, server.opened.length]).toEqual([1, 1]);
  });
});

describe('nobody is told', () => {
  test('a token or ticket: not in events, errors, states or reports', async () => {
    for (const option of ['token', 'ticket'] as const) {
      const { connect, pass, events } = guarded();
      const secret = `secret-${option}`;
      const client = connect({
        [option]: async () => secret,
        // As a browser does it.
        openSocket(url: string, protocols: string | string[]) {
          throw new SyntaxError(`Failed to construct 'WebSocket': ${url} ${protocols}`);
        },
      });
      const sent = client.send({ i: 1 }).catch((error: Error) => error);
      await pass(20_000);
      expect(events.map(({ type }) => type)).toContain('never-connected');
      const report = await client.close({ timeLimitMs: 0 });
      const error = (await sent) as Error;
      const told = JSON.stringify([events, report, client.stats, error.message, { ...error }, String(error)]);
      for (const form of [secret, btoa(secret)]) expect(told).not.toContain(form.replaceAll('=', ''));
    }
  });

  test("the control: without them the platform's sentence is told", async () => {
    const { connect, pass, events } = bed();
    connect({
      openSocket() {
        throw new SyntaxError('why');
      },
    });
    await pass(10);
    expect(events[0]).toMatchObject({ reason: 'No socket: why' });
  });
});

test('one who needs only a text for its own openSocket may say so', async () => {
  const { server, pass, timers } = bed();
  const openSocket = (url: string, protocol: string) => server.open(url, protocol);
  const client = new SluiceClient({ url: 'ws://sluice.test/ws/messages', openSocket, timers });
  await pass(10);
  expect(client.state).toBe('ready');
});
