import { runInDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { DEFAULT_MAX_MESSAGE_BYTES, MAX_FRAME_BYTES } from '../../src/core/limits.ts';
import {
  drain,
  evict,
  isIncreasing,
  messagesOf,
  type NackFrame,
  openSocket,
  TestShard,
  until,
  useDatabase,
} from './support.ts';

const query = useDatabase();
/** Nothing but an alarm or a drain flushes a shard with these. */
const ONLY_BY_ALARM = { lingerMs: 60_000, batchRows: 50_000, alarmMs: 600_000 };
const messagesShard = env.SHARD.getByName('messages/0');

/** The rows of a producer, once there are that many and the shard has written all it received. */
async function rowsOf(producer: string, count: number) {
  await until(async () => expect((await messagesOf(query, producer)).length).toBeGreaterThanOrEqual(count));
  await drain(messagesShard);
  return messagesOf(query, producer);
}

describe('a socket of the sink messages', () => {
  it('turns one message per frame into one row each: producer, increasing sequences, exact payloads', async () => {
    const client = await openSocket('/ws/messages?producer=one-per-frame');
    const payloads = Array.from({ length: 50 }, (_, n) => `{"n": ${n}}`);
    for (const payload of payloads) client.send(payload);
    const rows = await rowsOf('one-per-frame', payloads.length);
    expect(rows.map(({ payload }) => payload)).toEqual(payloads);
    expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
    expect(client.frames).toEqual([]);
    await client.close();
  });

  it('turns many messages per frame into one row each, and takes no blank line for a message', async () => {
    const client = await openSocket('/ws/messages?producer=many-per-frame');
    const payloads = Array.from({ length: 300 }, (_, n) => `{"n": ${n}}`);
    client.send(`${payloads.slice(0, 100).join('\n')}\n`);
    client.send(`\n\n${payloads.slice(100, 200).join('\r\n')}\r\n`);
    client.send(payloads.slice(200).join('\n\n'));
    const rows = await rowsOf('many-per-frame', payloads.length);
    expect(rows.map(({ payload }) => payload)).toEqual(payloads);
    expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
    expect(client.frames).toEqual([]);
    await client.close();
  });

  it('tells a client that names no producer which one it was given, and writes that one into its rows', async () => {
    const first = await openSocket('/ws/messages');
    const second = await openSocket('/ws/messages');
    expect(first.producer).toMatch(/^[0-9a-f-]{36}$/);
    expect(second.producer).not.toBe(first.producer);
    first.send('{"from": "first"}');
    second.send('{"from": "second"}');
    const rows = await rowsOf(first.producer as string, 1);
    expect(rows.map(({ payload }) => payload)).toEqual(['{"from": "first"}']);
    await first.close();
    await second.close();
  });

  it('does not let a client choose its producer by the header', async () => {
    const response = await exports.default.fetch('http://sluice/ws/messages?producer=from-query', {
      headers: { Upgrade: 'websocket', 'sluice-producer': 'from-header' },
    });
    expect(response.headers.get('sluice-producer')).toBe('from-query');
    response.webSocket?.accept();
    response.webSocket?.close();
  });

  it('gives a producer that comes back higher sequences than before', async () => {
    for (let visit = 0; visit < 3; visit += 1) {
      const client = await openSocket('/ws/messages?producer=comes-back');
      client.send(`{"visit": ${visit}}\n{"visit": ${visit}}`);
      await rowsOf('comes-back', 2 * (visit + 1));
      await client.close();
    }
    const rows = await messagesOf(query, 'comes-back');
    expect(rows.map(({ payload }) => payload)).toEqual(
      [0, 0, 1, 1, 2, 2].map((visit) => `{"visit": ${visit}}`),
    );
    expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
  });

  it('keeps the good lines of a frame and answers the bad ones with exactly one error frame', async () => {
    const client = await openSocket('/ws/messages?producer=good-and-bad');
    client.send('{"n": 1}\n{"n":\n{"n": 2}\n"\\u0000"\n{"n": 3}');
    const frame = await client.frame(0);
    expect(frame).toEqual({
      t: 'error',
      refused: 2,
      errors: [
        { line: 2, code: 'invalid_json', message: expect.stringContaining('not valid JSON') },
        { line: 4, code: 'nul_character', message: expect.stringContaining('NUL') },
      ],
    });
    client.send('{"n": 4}');
    const rows = await rowsOf('good-and-bad', 4);
    expect(rows.map(({ payload }) => payload)).toEqual([1, 2, 3, 4].map((n) => `{"n": ${n}}`));
    // The close is answered after everything that the shard had to say.
    await client.close();
    expect(client.frames).toHaveLength(1);
  });

  it('names ten refusals of a frame and counts the others', async () => {
    const client = await openSocket('/ws/messages?producer=many-bad');
    client.send(Array.from({ length: 25 }, () => 'bad').join('\n'));
    const frame = await client.frame(0);
    expect(frame.refused).toBe(25);
    expect(frame.errors.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await client.close();
    expect(client.frames).toHaveLength(1);
  });
});

/** A message of exactly that many bytes of UTF-8; `fill` takes two bytes. */
const messageOf = (bytes: number, fill = ''): string => `"${fill}${'a'.repeat(bytes - 2 - 2 * fill.length)}"`;

describe.each(['hibernatable', 'resident'] as const)('%s sockets', (sockets) => {
  it('are counted while they are open, and no longer once they are closed', async () => {
    const shard = await new TestShard(query, { sockets }).createTable();
    expect((await shard.stats()).sockets).toBe(0);
    const first = await shard.connect('first');
    const second = await shard.connect('second');
    expect((await shard.stats()).sockets).toBe(2);
    const hibernatable = await runInDurableObject(shard.stub, (_, state) => state.getWebSockets().length);
    expect(hibernatable, 'the option decides on the kind').toBe(sockets === 'hibernatable' ? 2 : 0);

    await first.close();
    await until(async () => expect((await shard.stats()).sockets).toBe(1));
    second.send('{"n":1}');
    await shard.received(1);
    await second.close();
    await until(async () => expect((await shard.stats()).sockets).toBe(0));
    await shard.drain();
    expect(await shard.payloads()).toEqual(['{"n":1}']);
  });

  it('answer a close: 1000 by 1000, one of the application by itself, one without a code by 1000 or 1005', async () => {
    const shard = await new TestShard(query, { sockets }).createTable();
    expect(await (await shard.connect('plain')).close(1000)).toMatchObject({ code: 1000, wasClean: true });
    expect(await (await shard.connect('own')).close(4321)).toMatchObject({ code: 4321, wasClean: true });
    const { code, wasClean } = await (await shard.connect('none')).close();
    expect([1000, 1005]).toContain(code);
    expect(wasClean).toBe(true);
  });

  it('refuse what cannot become a row, say why, count it, and stay open', async () => {
    const shard = await new TestShard(query, { sockets }).createTable();
    const client = await shard.connect('refused');
    const tooMany = `${messageOf(50_000)}\n`.repeat(Math.ceil(MAX_FRAME_BYTES / 50_000));
    const refusals: [string | ArrayBuffer, string, number][] = [
      [new TextEncoder().encode('{"n":1}').buffer as ArrayBuffer, 'binary_frame', 0],
      ['hello', 'invalid_json', 1],
      ['{"n":1} {"n":2}', 'invalid_json', 1],
      ['"\\u0000"', 'nul_character', 1],
      ['"\\ud800"', 'lone_surrogate', 1],
      ['1e400000', 'number_out_of_range', 1],
      [`${'['.repeat(513)}${']'.repeat(513)}`, 'nesting_too_deep', 1],
      [messageOf(DEFAULT_MAX_MESSAGE_BYTES + 1), 'message_too_large', 1],
      [messageOf(DEFAULT_MAX_MESSAGE_BYTES + 1, 'é'), 'message_too_large', 1],
      [tooMany, 'frame_too_large', 0],
    ];
    for (const [index, [frame, code, line]] of refusals.entries()) {
      client.send(frame);
      const answer = await client.frame(index);
      expect(answer).toEqual({
        t: 'error',
        refused: 1,
        errors: [{ line, code, message: expect.any(String) }],
      });
      expect(answer.errors[0]?.message.length).toBeGreaterThan(20);
    }
    const expected: Record<string, number> = {};
    for (const [, code] of refusals) expected[code] = (expected[code] ?? 0) + 1;
    const refused = await shard.stats();
    expect(refused.refused).toEqual(expected);
    expect(refused).toMatchObject({ received: refusals.length, buffered: 0, committed: 0 });

    // The controls: what is just within the limits is taken, on the same socket.
    const good = [
      '{"n":1}',
      '1e400',
      `${'['.repeat(512)}${']'.repeat(512)}`,
      messageOf(DEFAULT_MAX_MESSAGE_BYTES),
      messageOf(DEFAULT_MAX_MESSAGE_BYTES, 'é'),
      '"\\ud83d\\ude00"',
    ];
    for (const frame of good) client.send(frame);
    await shard.received(refusals.length + good.length);
    expect(await shard.drain()).toMatchObject({ committed: good.length });
    expect(await shard.payloads()).toEqual(good);
    expect(client.isClosed).toBe(false);
    await client.close();
    expect(client.frames).toHaveLength(refusals.length);
  });

  it('answer the text ping by the text pong, and count it for nothing', async () => {
    const shard = await new TestShard(query, { sockets }).createTable();
    const client = await shard.connect('ping');
    client.send('ping');
    await until(() => expect(client.frames).toEqual(['pong']));
    client.send('1\nping');
    expect((await client.frame(1)).errors, 'the control: as a line it is not JSON').toMatchObject([
      { line: 2, code: 'invalid_json' },
    ]);
    expect(await shard.drain()).toMatchObject({ received: 2, committed: 1 });
    await client.close();
  });

  it('keep the order of a producer that mixes small and large frames', async () => {
    const shard = await new TestShard(query, { sockets, batchRows: 7, lingerMs: 0 }).createTable();
    const client = await shard.connect('mixed');
    const payloads: string[] = [];
    for (let frame = 0; frame < 40; frame += 1) {
      const lines = Array.from({ length: 1 + ((frame * 13) % 50) }, (_, n) => `{"frame":${frame},"n":${n}}`);
      payloads.push(...lines);
      client.send(lines.join('\n'));
    }
    await shard.received(payloads.length);
    await shard.drain();
    const rows = await shard.rows();
    expect(rows.map(({ payload }) => payload)).toEqual(payloads);
    expect(isIncreasing(rows.map(({ sequence }) => sequence))).toBe(true);
    await client.close();
  });
});

describe.each(['hibernatable', 'resident'] as const)('sluice.v1 on %s sockets', (sockets) => {
  it('welcomes, acks what is stored and what is committed, and says goodbye', async () => {
    const shard = await new TestShard(query, { ...ONLY_BY_ALARM, sockets }).createTable();
    const client = await shard.connectV1('speaks', { ack: 'committed' });
    expect(client.protocol).toBe('sluice.v1');
    const { epoch, session } = client.welcome;
    expect(client.welcome).toMatchObject({ producer: 'speaks', known: false, stored: 0, committed: 0 });
    client.sendBatch(1, ['{"n":1}', '{"n":2}']);
    expect(await client.ack(2)).toMatchObject({ stored: 2, committed: 0 });
    expect(await shard.inOutbox()).toBe(2);
    client.send('{"t":"bye"}');
    expect(await client.ack(2, 'committed')).toMatchObject({ stored: 2, committed: 2 });
    expect(await client.closed).toMatchObject({ code: 1000 });
    expect(await shard.payloads()).toEqual(['{"n":1}', '{"n":2}']);

    const again = await shard.connectV1('speaks', { epoch, session, resume: true, next: 3 });
    expect(again.welcome).toMatchObject({ epoch, known: true, stored: 2, committed: 2 });
    await again.close();
  });

  it('gives the nearest level that the sink has, and tells by the close code what is wrong with a hello', async () => {
    const shard = new TestShard(query, { sockets, durability: 'memory' });
    const client = await shard.connectV1('nearest', { ack: 'stored' });
    expect(client.welcome).toMatchObject({ ack: 'committed', taken: 0, delivery: 'at-least-once' });
    await client.close();
    await expect(shard.connectV1('refused', { ack: 'all' })).rejects.toThrow('4400');
    await expect(shard.connectV1('refused', { resume: true, epoch: 1, next: 1 })).rejects.toThrow('4400');
  });

  it('takes batches in binary frames, and refuses what is not UTF-8 and nothing beside it', async () => {
    const shard = await new TestShard(query, { ...ONLY_BY_ALARM, sockets }).createTable();
    const client = await shard.connectV1('binary');
    const bytes = new TextEncoder().encode(
      '{"t":"batch","seq":1,"n":3}\n{"n":"°é🌍\ufffd"}\n{"n":"?C"}\n{"n":3}',
    );
    // "°C" in Latin-1.
    bytes[bytes.indexOf(0x3f)] = 0xb0;
    client.send(bytes.buffer as ArrayBuffer);
    expect(await client.ack(3)).toMatchObject({ stored: 3 });
    expect(client.framesOf<NackFrame>('nack')).toMatchObject([
      { from: 2, to: 2, code: 'invalid_utf8', temporary: false },
    ]);
    await shard.drain();
    await client.close();
    expect(await shard.payloads()).toEqual(['{"n":"°é🌍\ufffd"}', '{"n":3}']);
  });
});

describe('hibernation', () => {
  it('keeps socket and producer, and the messages after it get higher sequences', async () => {
    const shard = await new TestShard(query, { lingerMs: 0 }).createTable();
    const sleeper = await shard.connect('sleeper');
    const other = await shard.connect('other');
    sleeper.send('"before 1"\n"before 2"');
    other.send('"other before"');
    await shard.received(3);
    const { sinceMs } = await shard.drain();

    await evict(shard.stub);
    sleeper.send('"after 1"');
    other.send('"other after"');
    sleeper.send('"after 2"');
    await shard.received(3);
    const woken = await shard.drain();
    expect(woken.sinceMs, 'the object was started again').toBeGreaterThan(sinceMs);
    expect(woken.sockets).toBe(2);

    const rows = await shard.rows();
    const sleepers = rows.filter(({ producer }) => producer === 'sleeper');
    expect(sleepers.map(({ payload }) => payload)).toEqual([
      '"before 1"',
      '"before 2"',
      '"after 1"',
      '"after 2"',
    ]);
    expect(isIncreasing(sleepers.map(({ sequence }) => sequence))).toBe(true);
    const others = rows.filter(({ producer }) => producer === 'other');
    expect(others.map(({ payload }) => payload)).toEqual(['"other before"', '"other after"']);
    expect(isIncreasing(others.map(({ sequence }) => sequence))).toBe(true);
    expect(rows).toHaveLength(6);

    await sleeper.close();
    await other.close();
    await until(async () => expect((await shard.stats()).sockets).toBe(0));
  });

  it('is not what happens with webSockets: close, the control: there the client sees its socket end', async () => {
    const shard = await new TestShard(query, { lingerMs: 0 }).createTable();
    const client = await shard.connect('closed');
    client.send('"before"');
    await shard.received(1);
    await shard.drain();
    await evict(shard.stub, 'close');
    await client.closed;
    expect((await shard.stats()).sockets).toBe(0);
  });

  it('does not stop refusals and closes from being answered', async () => {
    const shard = await new TestShard(query, {}).createTable();
    const client = await shard.connect('refused-after');
    await evict(shard.stub);
    client.send('no json');
    expect((await client.frame(0)).errors[0]?.code).toBe('invalid_json');
    await evict(shard.stub);
    expect(await client.close(1000)).toMatchObject({ code: 1000, wasClean: true });
  });
});

describe('a shard that is restarted', () => {
  it.each([
    ['outbox', ['1', '2', '3', '4']],
    ['memory', ['4']],
  ] as const)(
    'with durability %s, has of what waited, and of what comes then: %j',
    async (durability, written) => {
      const shard = await new TestShard(query, { ...ONLY_BY_ALARM, durability }).createTable();
      const client = await shard.connect('waits');
      client.send('1\n2\n3');
      await shard.received(3);
      await until(async () => expect(await shard.inOutbox()).toBe(durability === 'outbox' ? 3 : 0));
      expect(await shard.payloads(), 'the control: nothing is written before').toEqual([]);
      await shard.restart();
      expect(await client.closed).toMatchObject({ code: 1006 });
      const again = await shard.connect('waits');
      again.send('4');
      const survivors = written.length - 1;
      expect(await shard.received(written.length)).toMatchObject({ recovered: survivors });
      expect(await shard.drain()).toMatchObject({ committed: written.length, buffered: 0 });
      expect(await shard.payloads()).toEqual(written);
      expect(await shard.inOutbox()).toBe(0);
      await again.close();
    },
  );
});
