/** Fire and forget, true reasons, and counts whose sums hold. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../../local/repository.ts';
import type { ClientEvent, ClientStats, SluiceClient, WhenFull } from '../../../src/client/index.ts';
import { bed, messages, outcomeOf, readBatch } from './support.ts';

const cycle: { self?: unknown } = {};
cycle.self = cycle;

/** What has no JSON, or cannot be a message, and what is said about it. */
const UNREAD: [string, unknown, string, RegExp][] = [
  ['a BigInt', { a: 1n }, 'invalid_json', /BigInt/],
  ['a circle', cycle, 'invalid_json', /circular/],
  ['undefined', undefined, 'invalid_json', /type undefined/],
  ['a function', () => 1, 'invalid_json', /type function/],
  ['a symbol', Symbol('s'), 'invalid_json', /type symbol/],
  ['a toJSON that gives nothing', { toJSON: () => undefined }, 'invalid_json', /type object/],
  [
    'a toJSON that throws',
    {
      toJSON() {
        throw new Error('not today');
      },
    },
    'invalid_json',
    /not today/,
  ],
  [
    'a toJSON that throws what has no text',
    {
      toJSON() {
        throw Object.create(null);
      },
    },
    'invalid_json',
    /JSON.stringify failed/,
  ],
];

const TEXTS: [string, unknown, string, RegExp][] = [
  ['no text', 5, 'invalid_json', /not a text/],
  ['an empty text', '', 'invalid_json', /empty/],
  ['two lines', '[1,\n2]', 'invalid_json', /has a newline/],
  ['half a pair', '"\ud800"', 'lone_surrogate', /surrogate/],
  ['a NUL', '"\0"', 'nul_character', /NUL/],
  ['the sign of a dropped message', '-', 'invalid_json', /lone "-"/],
  ['an escape that is none', '"\\\ufffd"', 'invalid_json', /half an escape/],
];

describe('a refusal names its reason', () => {
  test.each(UNREAD)('send: %s', async (_, value, code, message) => {
    await expect(bed().connect().send(value)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test.each(TEXTS)('sendText: %s', async (_, text, code, message) => {
    await expect(
      bed()
        .connect()
        .sendText(text as string),
    ).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test('the server has the last word, and its sentence is what the caller reads', async () => {
    const { connect, pass, server } = bed();
    server.refusal = (text) => (text === 'bad' ? 'invalid_json' : undefined);
    server.refusalMessage = 'The message is not valid JSON: send one JSON value per line';
    const client = connect({ lingerMs: 0 });
    const sent = client.sendText('bad').catch((error: Error) => error.message);
    const receipt = client.sendBatch(['1', 'bad']);
    await pass(20);
    expect(await sent).toBe(server.refusalMessage);
    expect((await receipt).refused).toEqual([
      { index: 1, code: 'invalid_json', message: server.refusalMessage },
    ]);
  });

  test('U+FFFD is escaped, so that it is told from bytes that were not UTF-8', async () => {
    const { connect, pass, server } = bed();
    const client = connect({ lingerMs: 0 });
    const outcomes = [
      client.send('a\ufffdb'),
      client.sendText('"\\\\\ufffd\ufffd"'),
      client.sendText('{"\ufffd":1}'),
    ].map(outcomeOf);
    await pass(20);
    expect(outcomes.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved']);
    expect(server.kept.map(({ text }) => text)).toEqual([
      '"a\\ufffdb"',
      '"\\\\\\ufffd\\ufffd"',
      '{"\\ufffd":1}',
    ]);
    expect(server.kept.map(({ text }) => JSON.parse(text))).toEqual([
      'a\ufffdb',
      '\\\ufffd\ufffd',
      { '\ufffd': 1 },
    ]);
    // Control: the server refuses the character itself.
    server.send({ t: 'ping', id: 1 });
    const [socket] = server.openSockets;
    socket?.send('{"t":"batch","seq":4,"n":1}\n"\ufffd"');
    await pass(20);
    expect(server.kept).toHaveLength(3);
  });

  test('whatever JSON holds it, it means the same afterwards', async () => {
    const { connect, pass, server } = bed();
    const client = connect({ lingerMs: 0 });
    const values: unknown[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('\ufffd', '\\', '"', 'u', 'f', 'é', '𝄞', 'a'), { maxLength: 12 }),
        async (parts) => {
          const value = { [parts.join('')]: parts.join('') };
          values.push(value);
          client.post(value);
        },
      ),
      { numRuns: 300 },
    );
    await pass(100);
    expect(server.kept.map(({ text }) => JSON.parse(text))).toEqual(values);
    expect(server.kept.some(({ text }) => text.includes('\ufffd'))).toBe(false);
  });
});

describe('post', () => {
  test('sends, in the order of all calls', async () => {
    const { connect, pass, server } = bed();
    const client = connect({ lingerMs: 0 });
    client.post({ i: 1 });
    const sent = outcomeOf(client.send({ i: 2 }));
    client.post({ i: 3 });
    await pass(20);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 3));
    expect(server.framesOf('batch').map(readBatch)).toHaveLength(1);
  });

  test('never throws nor rejects, and says by an event why it refuses', async () => {
    const { connect, pass, events, server } = bed();
    const client = connect({ lingerMs: 0, sendBufferMessages: 2, whenFull: 'reject' });
    await pass(10);
    for (const [, value] of UNREAD) client.post(value);
    client.post('x'.repeat(70_000));
    for (const text of ['1', '2', '3']) client.post(text);
    await pass(20);
    server.refusal = () => 'number_out_of_range';
    client.post('4');
    await pass(20);
    void client.close();
    client.post('5');
    client.post(1n);
    await pass(20);
    client.post('6');
    await pass(1);
    const told = events.flatMap((event) => (event.type === 'refused' ? [event.code] : []));
    expect(told).toEqual([
      ...Array(UNREAD.length).fill('invalid_json'),
      'message_too_large',
      'send_buffer_full',
      ...Array(3).fill('client_closed'),
    ]);
    // What the server refuses is told once, by the nack.
    expect(events.filter(({ type }) => type === 'nack')).toHaveLength(1);
    expect(client.stats).toMatchObject({
      offered: UNREAD.length + 8,
      acked: 2,
      refused: UNREAD.length + 6,
      unsettled: 0,
    });
  });

  test('in a separate process: nothing that it refuses ends it, and a send that nobody catches does', async () => {
    const program = (call: string) => `
      import { SluiceClient } from ${JSON.stringify(join(REPOSITORY, 'src/client/index.ts'))};
      const socket = { addEventListener() {}, send() {}, close() {} };
      const client = new SluiceClient({ url: 'ws://sluice.test/ws/messages', openSocket: () => socket, sendBufferMessages: 1, whenFull: 'reject' });
      const circle = {};
      circle.self = circle;
      for (const message of [1, 2, 1n, circle, undefined, '\\0', () => 1]) client.${call}(message);
      void client.close({ timeLimitMs: 0 });
      client.${call}(3);
      setTimeout(() => { console.log('alive', JSON.stringify(client.stats)); process.exit(0); }, 20);`;
    const run = async (call: string): Promise<{ code: unknown; output: string }> => {
      const child = spawn(
        process.execPath,
        ['--no-warnings', '--input-type=module', '--eval', program(call)],
        {
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      let output = '';
      child.stdout.on('data', (data) => {
        output += String(data);
      });
      const [code] = await once(child, 'close');
      return { code, output };
    };
    const posted = await run('post');
    expect(posted).toMatchObject({ code: 0, output: expect.stringContaining('alive') });
    expect(JSON.parse(posted.output.slice(6))).toMatchObject({ offered: 8, refused: 7, unsettled: 1 });
    expect(await run('send')).toEqual({ code: 1, output: '' });
  });
});

describe('the counts', () => {
  const sumsOf = ({ acked, refused, dropped, setAside, unsettled }: ClientStats) =>
    acked + refused + dropped + setAside + unsettled;

  test('hold at every moment, whatever happens', async () => {
    const call = fc.oneof(
      fc.record({
        do: fc.constantFrom('post', 'send'),
        value: fc.constantFrom<unknown>(1, 'bad', 1n, 'x'.repeat(300)),
      }),
      fc.record({ do: fc.constant('batch'), value: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ do: fc.constant('pass'), value: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ do: fc.constantFrom('cut', 'shrink', 'fence', 'close'), value: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(call, { maxLength: 40 }),
        fc.constantFrom<WhenFull>('block', 'reject', 'drop-oldest', 'drop-newest'),
        async (calls, whenFull) => {
          const { connect, pass, server } = bed();
          server.refusal = (text) => (text === '"bad"' ? 'number_out_of_range' : undefined);
          const client: SluiceClient = connect({ whenFull, sendBufferMessages: 6, lingerMs: 1 });
          let given = 0;
          for (const { do: what, value } of calls) {
            if (what === 'post') client.post(value);
            else if (what === 'send') client.send(value).catch(() => undefined);
            else if (what === 'batch') client.sendBatch(messages(1, value as number)).catch(() => undefined);
            else if (what === 'pass') await pass(value as number);
            else if (what === 'cut') server.cut();
            else if (what === 'fence') server.cut(4410, 'fenced: the current epoch is 9');
            else if (what === 'close') void client.close({ timeLimitMs: 20 });
            else {
              server.cut();
              server.limits = { frameBytes: 250, messageBytes: 200, frameMessages: 3 };
            }
            given += what === 'post' || what === 'send' ? 1 : what === 'batch' ? (value as number) : 0;
            expect([client.stats.offered, sumsOf(client.stats)]).toEqual([given, given]);
          }
          await pass(2_000, 20);
          expect([client.stats.offered, sumsOf(client.stats)]).toEqual([given, given]);
          if (client.state !== 'closed') expect(client.stats.unsettled).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('an address that cannot be right', () => {
  const ended = (events: ClientEvent[]) =>
    events.flatMap((event) => (event.type === 'failed' ? [[event.code, event.message]] : []));

  test.each([
    [4404, 'unknown_sink: there is no sink mesages', 'unknown_sink'],
    [4400, 'invalid_options: the producer has other characters', 'invalid_options'],
  ])('is told by the close code %s and its reason, and not tried again', async (code, reason, expected) => {
    const { server, connect, pass, events } = bed();
    server.refusing = { code, reason };
    const client = connect();
    const sent = client.sendText('1').catch((error: { code: string; message: string }) => error);
    await pass(60_000);
    expect(await sent).toMatchObject({ code: expected, message: expect.stringContaining(reason) });
    expect(ended(events)).toEqual([[expected, expect.stringContaining(reason)]]);
    expect([client.state, server.opened.length]).toEqual(['closed', 1]);
    // Control: a shard that is not there for the moment is.
    const other = bed();
    other.server.refusing = { code: 4503, reason: 'shard_unavailable: draining' };
    other.connect();
    await other.pass(5_000, 10);
    expect(other.server.opened.length).toBeGreaterThan(2);
  });

  test('that never led to a connection is said once, without what may be secret', async () => {
    const { server, connect, pass, events } = bed();
    server.isDown = true;
    const client = connect({ url: 'wss://user:secret@sluice.test:8443/ws/mesages?token=secret' });
    await pass(60_000);
    const said = events.filter(({ type }) => type === 'never-connected');
    expect(said).toEqual([
      {
        type: 'never-connected',
        url: 'wss://sluice.test:8443/ws/mesages',
        failures: 5,
        message: expect.stringMatching(
          /5 tries to connect to wss:\/\/sluice\.test:8443\/ws\/mesages have failed.*name of a sink/,
        ),
      },
    ]);
    expect(JSON.stringify(events)).not.toContain('secret');
    // It goes on all the same.
    server.isDown = false;
    await pass(60_000);
    expect(client.state).toBe('ready');
    // Control: one that was connected once does not say it.
    events.length = 0;
    server.isDown = true;
    server.cut();
    await pass(120_000);
    expect(events.filter(({ type }) => type === 'disconnected').length).toBeGreaterThan(5);
    expect(events.some(({ type }) => type === 'never-connected')).toBe(false);
  });
});
