import { describe, expect, test } from 'vitest';
import {
  type ClientErrorCode,
  SluiceClient,
  type SluiceClientOptions,
  SluiceError,
} from '../../../src/client/index.ts';
import { memoryStorage } from '../../../src/client/storages/memory-storage.ts';
import { isSluiceError } from '../../../src/core/errors.ts';
import { bed, messages, outcomeOf, readBatch } from './support.ts';

/** The compiler holds that none is missing. */
const CODES: Record<ClientErrorCode, true> = {
  invalid_json: true,
  invalid_utf8: true,
  nul_character: true,
  lone_surrogate: true,
  number_out_of_range: true,
  nesting_too_deep: true,
  message_too_large: true,
  dead_letter: true,
  invalid_message: true,
  sink_failed: true,
  invalid_frame: true,
  unknown_type: true,
  binary_frame: true,
  frame_too_large: true,
  invalid_options: true,
  invalid_hello: true,
  hello_required: true,
  unauthorized: true,
  forbidden: true,
  unknown_sink: true,
  fenced: true,
  replaced: true,
  fate_unknown: true,
  send_buffer_full: true,
  client_closed: true,
  message_dropped: true,
  message_refused: true,
  storage_in_use: true,
  connection_lost: true,
  internal: true,
};

const DROPPED = 'The message was dropped: the send buffer is full';

describe('options', () => {
  const good: SluiceClientOptions = {
    url: 'ws://sluice.test/ws/messages',
    openSocket: bed().server.open,
    timers: bed().timers,
  };

  test.each<[string, Partial<SluiceClientOptions>]>([
    ['url', { url: 'not a url' }],
    ['url', { url: 'ftp://sluice.test/ws/messages' }],
    ['producer', { producer: '' }],
    ['producer', { url: 'ws://sluice.test/ws/messages?producer=a&producer=b' }],
    ['producer', { url: 'ws://sluice.test/ws/messages?producer=a', producer: 'b' }],
    ['producer', { url: 'ws://sluice.test/ws/messages?producer=a%20b' }],
    ['producer', { producer: 'a b' }],
    ['producer', { producer: 'x'.repeat(129) }],
    ['producer', { storage: { load: async () => undefined } as never }],
    ['ack', { ack: 'exactly' as never }],
    ['batchMessages', { batchMessages: 0 }],
    ['batchMessages', { batchMessages: 10_001 }],
    ['batchBytes', { batchBytes: 0.5 }],
    ['lingerMs', { lingerMs: -1 }],
    ['sendBufferMessages', { sendBufferMessages: 0 }],
    ['sendBufferBytes', { sendBufferBytes: Number.NaN }],
    ['whenFull', { whenFull: 'panic' as never }],
  ])('a wrong %s is refused', (option, wrong) => {
    let thrown: unknown;
    try {
      new SluiceClient({ ...good, ...wrong });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SluiceError);
    expect((thrown as SluiceError).code).toBe('invalid_options');
    expect((thrown as SluiceError).details.option).toBe(option);
  });

  test('the URL gets its scheme and the producer', async () => {
    const { server, connect, pass } = bed();
    connect({ url: 'https://sluice.test/ws/messages?x=1#part', producer: 'dev:7@a' });
    connect({ url: new URL('http://sluice.test/ws/other'), producer: 'b' });
    await pass(5);
    expect(server.opened).toEqual([
      'wss://sluice.test/ws/messages?x=1&producer=dev%3A7%40a',
      'ws://sluice.test/ws/other?producer=b',
    ]);
  });

  test('the producer of the URL is taken, also where it is given a second time as an option', async () => {
    const { server, connect, pass } = bed();
    const url = 'ws://sluice.test/ws/messages?utm_source=mail&producer=dev%3A7&_pk=1';
    const client = new SluiceClient({ ...good, url, storage: memoryStorage() });
    expect(client.producer).toBe('dev:7');
    expect(connect({ url, producer: 'dev:7' }).producer).toBe('dev:7');
    await pass(5);
    // Other parameters stay as they are.
    expect(server.opened).toEqual(['ws://sluice.test/ws/messages?utm_source=mail&producer=dev%3A7&_pk=1']);
  });

  test.each(['acks', 'onevent', 'compression'])('an option that there is not is refused: %s', (name) => {
    expect(() => new SluiceClient({ ...good, [name]: 1 } as SluiceClientOptions)).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        details: { option: name },
        message: expect.stringMatching(/no option, there are url, producer, ack, .*onEvent/),
      }),
    );
  });

  test('a producer without a name gets a UUID, each its own', () => {
    const names = [1, 2].map(() => new SluiceClient(good).producer);
    expect(names[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(names[0]).not.toBe(names[1]);
  });

  test('every code of the client is in the table of errors', () => {
    for (const code of Object.keys(CODES) as ClientErrorCode[])
      expect(isSluiceError(new SluiceError(code, 'text'))).toBe(true);
    expect(isSluiceError(Object.assign(new Error(), { code: 'no_code_of_ours' }))).toBe(false);
  });
});

describe('batches', () => {
  test('the first hello names no epoch, and a message goes out after the linger', async () => {
    const { server, connect, pass, timers } = bed();
    const client = connect({ lingerMs: 20 });
    await pass(10);
    expect(client.state).toBe('ready');
    expect(server.received).toEqual([`{"t":"hello","ack":"stored","instance":"${client.instance}"}`]);
    expect(client.instance).toMatch(/^[0-9a-f]{32}$/);

    const sent = outcomeOf(client.send({ celsius: 21.5 }));
    await pass(20);
    expect(server.framesOf('batch')).toEqual([]);
    await pass(2);
    expect(server.framesOf('batch')).toEqual(['{"t":"batch","seq":1,"n":1}\n{"celsius":21.5}']);
    expect(sent.state).toBe('pending');
    await pass(3);
    expect(sent.state).toBe('resolved');
    expect(timers.now()).toBeGreaterThan(0);
  });

  test('messages of one turn share a frame without a linger', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = Promise.all(messages(1, 3).map((text) => client.sendText(text)));
    await pass(1);
    void client.sendText('4');
    await pass(10);
    await sent;
    expect(server.framesOf('batch').map(readBatch)).toEqual([
      { seq: 1, n: 3, texts: messages(1, 3) },
      { seq: 4, n: 1, texts: ['4'] },
    ]);
  });

  test('a full batch does not wait; what is left does', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ batchMessages: 10, lingerMs: 1_000 });
    await pass(10);
    const receipt = client.sendBatch(messages(1, 25));
    await pass(10);
    expect(server.framesOf('batch').map((frame) => readBatch(frame).n)).toEqual([10, 10]);
    await pass(1_000, 1);
    expect(server.framesOf('batch').map((frame) => readBatch(frame).n)).toEqual([10, 10, 5]);
    expect(await receipt).toEqual({ messages: 25, refused: [], firstSequence: 1 });
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 25));
  });

  test('batches are cut by their bytes in UTF-8, newlines included', async () => {
    const { server, connect, pass } = bed();
    // Each text is two quotes and 3 + 4 + 2 bytes: 12 with its newline.
    const text = '"€𝄞é"';
    expect(Buffer.byteLength(text)).toBe(11);
    const client = connect({ batchBytes: 36, lingerMs: 0 });
    await pass(10);
    void client.sendBatch(Array.from({ length: 7 }, () => text));
    await pass(10);
    expect(server.framesOf('batch').map((frame) => readBatch(frame).n)).toEqual([3, 3, 1]);
  });

  test('one message larger than a batch goes alone', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ batchBytes: 20, lingerMs: 0 });
    await pass(10);
    const sent = Promise.all(['1', `"${'x'.repeat(50)}"`, '2'].map((text) => client.sendText(text)));
    await pass(10);
    await sent;
    expect(server.framesOf('batch').map((frame) => readBatch(frame).n)).toEqual([1, 1, 1]);
  });

  test('the limits of the welcome hold', async () => {
    const { server, connect, pass } = bed({
      limits: { frameBytes: 200, frameMessages: 3, messageBytes: 100 },
    });
    const client = connect({ lingerMs: 0 });
    // Before the welcome nobody knows how large a message may be.
    const early = outcomeOf(client.sendText(`"${'x'.repeat(120)}"`));
    const batch = client.sendBatch(['1', `"${'y'.repeat(99)}"`, '2', `"${'z'.repeat(98)}"`]);
    await pass(10);
    const late = outcomeOf(client.sendText(`"${'x'.repeat(120)}"`));
    const rest = client.sendBatch(messages(1, 7));
    await pass(20);
    expect(early.code).toBe('message_too_large');
    expect(late.code).toBe('message_too_large');
    expect((await batch).refused).toEqual([
      {
        index: 1,
        code: 'message_too_large',
        message: 'The message is too large: the server takes 100 bytes at most',
      },
    ]);
    await rest;
    expect(server.violations).toEqual([]);
    // What was taken before the welcome keeps its places.
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual(
      ['1', '2', `"${'z'.repeat(98)}"`, ...messages(1, 7)].map((text, index) => [
        [2, 4, 5, 6, 7, 8, 9, 10, 11, 12][index],
        text,
      ]),
    );
    expect(
      server
        .framesOf('batch')
        .map(readBatch)
        .flatMap(({ texts }) => texts)
        .filter((text) => text === '-'),
    ).toHaveLength(2);
    expect(server.framesOf('batch').every((frame) => readBatch(frame).n <= 3)).toBe(true);
  });

  test('messages sent before the connection is there go out with the welcome', async () => {
    const { server, connect, pass } = bed({ latencyMs: 30 });
    const client = connect();
    const sent = client.sendBatch(messages(1, 3));
    expect(client.state).toBe('connecting');
    await pass(200);
    await sent;
    expect(server.framesOf('batch')).toHaveLength(1);
  });

  test('a full socket is left alone until it has room', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const [socket] = server.sockets;
    if (socket === undefined) throw new Error('no socket');
    socket.bufferedAmount = 1024 * 1024 + 1;
    const sent = outcomeOf(client.sendText('1'));
    await pass(100);
    expect(server.framesOf('batch')).toEqual([]);
    socket.bufferedAmount = 1024 * 1024;
    await pass(20);
    expect(sent.state).toBe('resolved');
  });
});

describe('credit', () => {
  test('no more than the credit is on its way, in messages and in bytes', async () => {
    const { server, connect, pass } = bed({
      credit: { messages: 100, bytes: 1_000 },
      storeMs: 5,
      latencyMs: 5,
    });
    const client = connect({ lingerMs: 0, batchMessages: 40 });
    const sent = client.sendBatch(messages(1, 1_000));
    await pass(3_000, 5);
    expect((await sent).refused).toEqual([]);
    expect(server.violations).toEqual([]);
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 1_000));
    expect(server.peak.messages).toBeLessThanOrEqual(100);
    expect(server.peak.messages).toBeGreaterThan(60);
    expect(server.peak.bytes).toBeLessThanOrEqual(1_000);
    // Control: with more credit all of it is on its way at once, so it was the credit that kept it back.
    const roomy = bed({ storeMs: 50, latencyMs: 5 });
    void roomy.connect({ lingerMs: 0, batchMessages: 40 }).sendBatch(messages(1, 1_000));
    await roomy.pass(1_000, 5);
    expect(roomy.server.peak.messages).toBe(1_000);
  });

  test('one message goes whatever its size when nothing is outstanding', async () => {
    const { server, connect, pass } = bed({ credit: { messages: 4, bytes: 10 } });
    const client = connect({ lingerMs: 0 });
    const sent = client.sendBatch([`"${'x'.repeat(50)}"`, `"${'y'.repeat(50)}"`]);
    await pass(50);
    expect((await sent).refused).toEqual([]);
    expect(server.framesOf('batch')).toHaveLength(2);
    expect(server.violations).toEqual([]);
  });

  test('without credit nothing goes, and a flow lets it go on', async () => {
    const { server, connect, pass } = bed({ credit: { messages: 0, bytes: 0 } });
    const client = connect({ lingerMs: 0 });
    const sent = outcomeOf(client.sendText('1'));
    await pass(1_000, 10);
    expect(client.state).toBe('paused');
    expect(server.framesOf('batch')).toEqual([]);
    server.flow({ messages: 5, bytes: 100 }, 'room');
    await pass(20);
    expect(sent.state).toBe('resolved');
    expect(client.state).toBe('ready');
  });

  test('frames are not cut to pieces as the credit trickles in', async () => {
    const { server, connect, pass } = bed({ credit: { messages: 100, bytes: 100_000 } });
    const client = connect({ lingerMs: 0, batchMessages: 60 });
    void client.sendBatch(messages(1, 600));
    await pass(300);
    expect(server.kept).toHaveLength(600);
    // 60 at a time; with pieces of whatever is free it would be more frames.
    expect(server.framesOf('batch').map((frame) => readBatch(frame).n)).toEqual(Array(10).fill(60));
  });
});

describe('levels', () => {
  test('none: resolves as soon as the socket has the message', async () => {
    const { server, connect, pass } = bed({ storeMs: 500 });
    const client = connect({ ack: 'none', lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    await pass(1);
    expect(sent.state).toBe('resolved');
    expect(server.kept).toEqual([]);
    expect(client.stats).toMatchObject({ sent: 1, acked: 0, unackedMessages: 1 });
    await pass(600, 1);
    expect(client.stats).toMatchObject({ acked: 1, unackedMessages: 0 });
  });

  test('stored: resolves when the outbox has it, before Postgres', async () => {
    const { server, connect, pass } = bed({ storeMs: 20, commitMs: 500 });
    const client = connect({ ack: 'stored', lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    await pass(15);
    expect(sent.state).toBe('pending');
    await pass(15);
    expect(sent.state).toBe('resolved');
    expect(server.committed).toEqual([]);
    expect(client.stats.unackedMessages).toBe(0);
  });

  test.each([true, false])('committed: resolves when Postgres has it (outbox: %s)', async (outbox) => {
    const { server, connect, pass } = bed({ outbox, storeMs: 5, commitMs: 100 });
    const client = connect({ ack: 'committed', lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    await pass(50);
    expect(sent.state).toBe('pending');
    expect(client.stats.unackedMessages).toBe(1);
    await pass(100);
    expect(sent.state).toBe('resolved');
    expect(server.committed.map(({ text }) => text)).toEqual(['1']);
    expect(client.stats.unackedMessages).toBe(0);
  });

  test('committed: the credit counts what is beyond stored, not what waits for Postgres', async () => {
    const { server, connect, pass } = bed({ credit: { messages: 10, bytes: 1_000 }, commitMs: 100_000 });
    const client = connect({ ack: 'committed', lingerMs: 0 });
    void client.sendBatch(messages(1, 100));
    await pass(500, 1);
    expect(server.kept).toHaveLength(100);
    expect(client.stats.unackedMessages).toBe(100);
    expect(server.violations).toEqual([]);
  });
});

describe('refusals', () => {
  test('a message that the server refuses rejects with its own code, the others resolve', async () => {
    const { server, connect, pass, events } = bed();
    server.refusal = (text) => (text.includes('bad') ? 'nul_character' : undefined);
    const client = connect({ lingerMs: 0 });
    const outcomes = ['1', '"bad"', '3'].map((text) => outcomeOf(client.sendText(text)));
    const receipt = client.sendBatch(['4', '"bad"', '"bad"', '7', '"bad"']);
    await pass(20);
    expect(outcomes.map(({ state, code }) => code ?? state)).toEqual([
      'resolved',
      'nul_character',
      'resolved',
    ]);
    expect(await receipt).toEqual({
      messages: 5,
      firstSequence: 4,
      refused: [1, 2, 4].map((index) => ({ index, code: 'nul_character', message: 'no' })),
    });
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [1, '1'],
      [3, '3'],
      [4, '4'],
      [7, '7'],
    ]);
    expect(client.stats).toMatchObject({ sent: 8, acked: 4, refused: 4, unackedMessages: 0 });
    // Messages that follow each other share one.
    expect(events.filter(({ type }) => type === 'nack')).toMatchObject([
      { from: 2, to: 2 },
      { from: 5, to: 6 },
      { from: 8, to: 8 },
    ]);
  });

  test('a code that the client does not know becomes message_refused', async () => {
    const { server, connect, pass } = bed();
    server.refusal = () => 'a_code_of_the_future';
    const sent = outcomeOf(connect({ lingerMs: 0 }).sendText('1'));
    await pass(20);
    expect(sent.code).toBe('message_refused');
  });

  test('a dead letter rejects at the level committed, and is settled at stored', async () => {
    for (const [ack, expected] of [
      ['committed', 'dead_letter'],
      ['stored', 'resolved'],
    ] as const) {
      const { server, connect, pass } = bed();
      server.isPoison = (text) => text === '2';
      const client = connect({ ack, lingerMs: 0 });
      const outcomes = ['1', '2', '3'].map((text) => outcomeOf(client.sendText(text)));
      await pass(50);
      expect(outcomes.map(({ state, code }) => code ?? state)).toEqual(['resolved', expected, 'resolved']);
      expect(server.deadLetters.map(({ text }) => text)).toEqual(['2']);
    }
  });

  test('what cannot be a message is refused before it is sent, and uses no sequence', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const outcomes = [
      client.sendText(''),
      client.sendText('[1,\n2]'),
      client.sendText('"\ud800"'),
      client.sendText('"\udc00\ud800"'),
      client.send(undefined),
      client.send(cycle),
      client.send(1n),
      client.sendText(1 as never),
      // What is allowed: a pair, an escaped newline, a lone surrogate that JSON.stringify escapes.
      client.sendText('"\ud83d\ude00"'),
      client.send('two\nlines'),
      client.send('\ud800'),
    ].map(outcomeOf);
    await pass(20);
    expect(outcomes.map(({ state, code }) => code ?? state)).toEqual([
      'invalid_json',
      'invalid_json',
      'lone_surrogate',
      'lone_surrogate',
      'invalid_json',
      'invalid_json',
      'invalid_json',
      'invalid_json',
      'resolved',
      'resolved',
      'resolved',
    ]);
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [1, '"😀"'],
      [2, '"two\\nlines"'],
      [3, '"\\ud800"'],
    ]);
  });

  test('the indexes of a receipt are those of the call, whatever was left out before', async () => {
    const { server, connect, pass } = bed();
    server.refusal = (text) => (text.includes('bad') ? 'invalid_json' : undefined);
    const client = connect({ lingerMs: 0, batchMessages: 2 });
    const receipt = client.sendBatch(['', '1', 'a\nb', '"bad"', '4', '\ud800', '"bad"', '']);
    await pass(20);
    expect((await receipt).refused).toEqual([
      { index: 0, code: 'invalid_json', message: expect.stringContaining('empty') },
      { index: 2, code: 'invalid_json', message: expect.stringContaining('has a newline') },
      { index: 3, code: 'invalid_json', message: 'no' },
      { index: 5, code: 'lone_surrogate', message: expect.stringContaining('surrogate') },
      { index: 6, code: 'invalid_json', message: 'no' },
      { index: 7, code: 'invalid_json', message: expect.stringContaining('empty') },
    ]);
    expect(server.kept.map(({ text }) => text)).toEqual(['1', '4']);
  });

  test('a batch without any good message is settled at once, an empty one too', async () => {
    const { connect, pass } = bed();
    const client = connect();
    const outcomes = [client.sendBatch([]), client.sendBatch(['', ''])].map(outcomeOf);
    await pass(1);
    expect(outcomes.map(({ value }) => value)).toEqual([
      { messages: 0, refused: [] },
      {
        messages: 2,
        refused: [
          { index: 0, code: 'invalid_json', message: expect.stringContaining('empty') },
          { index: 1, code: 'invalid_json', message: expect.stringContaining('empty') },
        ],
      },
    ]);
  });
});

describe('a full send buffer', () => {
  test('block: calls wait for room and keep their order', async () => {
    const { server, connect, pass } = bed({ storeMs: 10 });
    const client = connect({ sendBufferMessages: 5, lingerMs: 0 });
    const batch = outcomeOf(client.sendBatch(messages(1, 12)));
    const one = outcomeOf(client.sendText('{"i":13}'));
    const ready = outcomeOf(client.ready());
    expect(client.stats).toMatchObject({ unackedMessages: 5, blockedCalls: 2 });
    await pass(25);
    expect(ready.state).toBe('pending');
    await pass(100);
    expect([batch.state, one.state, ready.state]).toEqual(['resolved', 'resolved', 'resolved']);
    expect(batch.value).toEqual({ messages: 12, refused: [], firstSequence: 1 });
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 13));
    expect(client.stats).toMatchObject({ unackedMessages: 0, unackedBytes: 0, blockedCalls: 0 });
    await client.ready();
  });

  test('block: no more than 1,000 calls wait', () => {
    const { connect } = bed();
    const client = connect({ sendBufferMessages: 1 });
    const outcomes = Array.from({ length: 1_002 }, () => client.sendText('1'));
    for (const promise of outcomes.slice(0, -1)) promise.catch(() => undefined);
    expect(client.stats.blockedCalls).toBe(1_000);
    return expect(outcomes.at(-1)).rejects.toMatchObject({ code: 'send_buffer_full' });
  });

  test('the bytes are bounded as well', async () => {
    const { connect, pass } = bed();
    const client = connect({ sendBufferBytes: 100, lingerMs: 0 });
    const text = `"${'x'.repeat(47)}"`;
    const outcomes = [text, text, '1'].map((message) => outcomeOf(client.sendText(message)));
    expect(client.stats).toMatchObject({ unackedMessages: 2, unackedBytes: 100, blockedCalls: 1 });
    const tooLarge = outcomeOf(client.sendText(`"${'x'.repeat(100)}"`));
    await pass(50);
    expect(outcomes.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved']);
    expect(tooLarge.code).toBe('send_buffer_full');
  });

  test('reject: a call that does not fit leaves nothing behind', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ sendBufferMessages: 5, whenFull: 'reject', lingerMs: 0 });
    const outcomes = [
      client.sendBatch(messages(1, 3)),
      client.sendBatch(['', ...messages(50, 52)]),
      client.sendBatch(messages(4, 5)),
      client.sendText('{"i":60}'),
    ].map((promise) => outcomeOf<unknown>(promise));
    await pass(30);
    expect(outcomes.map(({ state, code }) => code ?? state)).toEqual([
      'resolved',
      'send_buffer_full',
      'resolved',
      'send_buffer_full',
    ]);
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 5));
    // Every message of a call that was refused counts, the empty one once.
    expect(client.stats).toMatchObject({
      unackedMessages: 0,
      unackedBytes: 0,
      offered: 10,
      acked: 5,
      refused: 5,
    });
  });

  test('drop-newest: what does not fit is dropped', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ sendBufferMessages: 5, whenFull: 'drop-newest', lingerMs: 0 });
    const batch = client.sendBatch(messages(1, 7));
    const one = outcomeOf(client.sendText('8'));
    await pass(30);
    expect((await batch).refused).toEqual(
      [5, 6].map((index) => ({ index, code: 'message_dropped', message: DROPPED })),
    );
    expect(one.code).toBe('message_dropped');
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 5));
    expect(client.stats).toMatchObject({ dropped: 3, acked: 5 });
    expect(events.filter(({ type }) => type === 'dropped')).toEqual([
      { type: 'dropped', messages: 2 },
      { type: 'dropped', messages: 1 },
    ]);
  });

  test('drop-oldest: drops what was never sent, and keeps its places', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ sendBufferMessages: 5, whenFull: 'drop-oldest', lingerMs: 0 });
    const first = client.sendBatch(messages(1, 3));
    const second = outcomeOf(client.sendText('{"i":4}'));
    const third = client.sendBatch(messages(5, 9));
    await pass(30);
    expect((await first).refused).toEqual(
      [0, 1, 2].map((index) => ({ index, code: 'message_dropped', message: DROPPED })),
    );
    expect(await first).toHaveProperty('firstSequence', 1);
    expect(second.code).toBe('message_dropped');
    expect(await third).toEqual({ messages: 5, refused: [], firstSequence: 5 });
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual(
      messages(5, 9).map((text, index) => [index + 5, text]),
    );
    // A line for each place, in one frame; what the server says to it is no news.
    expect(server.framesOf('batch').map(readBatch)[0]).toEqual({ seq: 1, n: 4, texts: Array(4).fill('-') });
    expect(events.filter(({ type }) => type === 'nack')).toEqual([]);
    expect(client.stats).toMatchObject({ offered: 9, acked: 5, dropped: 4, refused: 0, unsettled: 0 });
  });

  test('drop-oldest: drops the newest when everything else was sent', async () => {
    const { server, connect, pass } = bed({ storeMs: 100 });
    const client = connect({ sendBufferMessages: 5, whenFull: 'drop-oldest', lingerMs: 0 });
    await pass(10);
    const first = client.sendBatch(messages(1, 4));
    await pass(3);
    const second = client.sendBatch(messages(5, 7));
    await pass(300);
    expect((await first).refused).toEqual([]);
    expect((await second).refused).toEqual(
      [0, 1].map((index) => ({ index, code: 'message_dropped', message: DROPPED })),
    );
    expect(server.kept.map(({ text }) => text)).toEqual([...messages(1, 4), '{"i":7}']);
  });

  test('drop-oldest: a call whose first messages were sent loses one in its middle, and says which', async () => {
    const { server, connect, pass } = bed({ storeMs: 100 });
    server.refusal = (text) => (text === '{"i":7}' || text === '{"i":2}' ? 'nul_character' : undefined);
    const client = connect({
      sendBufferMessages: 8,
      batchMessages: 4,
      lingerMs: 1_000,
      whenFull: 'drop-oldest',
    });
    await pass(10);
    const first = client.sendBatch(['', ...messages(1, 7)]);
    await pass(10);
    expect(client.stats).toMatchObject({ sent: 4, waitingMessages: 3 });
    const second = client.sendBatch(messages(8, 9));
    await pass(300);
    expect(await first).toEqual({
      messages: 8,
      firstSequence: 1,
      refused: [
        { index: 0, code: 'invalid_json', message: expect.stringContaining('empty') },
        { index: 2, code: 'nul_character', message: 'no' },
        { index: 5, code: 'message_dropped', message: DROPPED },
        { index: 7, code: 'nul_character', message: 'no' },
      ],
    });
    expect(await second).toEqual({ messages: 2, refused: [], firstSequence: 8 });
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [1, '{"i":1}'],
      [3, '{"i":3}'],
      [4, '{"i":4}'],
      [6, '{"i":6}'],
      [8, '{"i":8}'],
      [9, '{"i":9}'],
    ]);
  });
});

describe('flush', () => {
  test('sends what waits, asks the server, and resolves when all of it is acked', async () => {
    const { server, connect, pass } = bed({ storeMs: 30, commitMs: 10_000 });
    const client = connect({ lingerMs: 10_000, ack: 'committed' });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    const flushed = outcomeOf(client.flush());
    await pass(2);
    expect(server.received.slice(1)).toEqual(['{"t":"batch","seq":1,"n":1}\n1', '{"t":"flush"}']);
    // Sent after it: it waits for its own linger, and the flush does not wait for it.
    const later = outcomeOf(client.sendText('2'));
    expect(flushed.state).toBe('pending');
    await pass(50);
    void client.flush();
    await pass(200);
    expect([sent.state, flushed.state, later.state]).toEqual(['resolved', 'resolved', 'resolved']);
  });

  test('with nothing to wait for it resolves at once, and is asked once for the same messages', async () => {
    const { connect, pass, server } = bed();
    const client = connect();
    await pass(10);
    await client.flush();
    void client.sendText('1');
    const [first, second] = [client.flush(), client.flush()];
    expect(first).toBe(second);
    await pass(20);
    await first;
    expect(server.framesOf('flush')).toHaveLength(2);
  });

  test('at the level none it waits for stored', async () => {
    const { connect, pass } = bed({ storeMs: 50 });
    const client = connect({ ack: 'none', lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    const flushed = outcomeOf(client.flush());
    await pass(10);
    expect([sent.state, flushed.state]).toEqual(['resolved', 'pending']);
    await pass(100);
    expect(flushed.state).toBe('resolved');
  });

  test('it waits for calls that wait for room', async () => {
    const { connect, pass, server } = bed({ storeMs: 10 });
    const client = connect({ sendBufferMessages: 2, lingerMs: 0 });
    void client.sendBatch(messages(1, 7));
    const flushed = outcomeOf(client.flush());
    await pass(30);
    expect(flushed.state).toBe('pending');
    await pass(100);
    expect(flushed.state).toBe('resolved');
    expect(server.kept).toHaveLength(7);
  });
});
