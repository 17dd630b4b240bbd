/** What a client gives to its storage, in which order, and what it finds there. */

import { describe, expect, test } from 'vitest';
import type { ClientStorage, SluiceClient, StoredBatch, StoredInstance } from '../../../src/client/index.ts';
import { memoryStorage } from '../../../src/client/storages/memory-storage.ts';
import { settled } from '../../support/fake-timers.ts';
import { bed, messages, outcomeOf, readBatch } from './support.ts';

/** A storage whose answers the test gives, and the calls that it got. */
function slowStorage(inner: ClientStorage = memoryStorage()) {
  const calls: string[] = [];
  let answer: { resolve: () => void; reject: (error: Error) => void } | undefined;
  const wait = async (call: string, act: () => unknown) => {
    if (answer !== undefined) throw new Error(`${call} while another call is not answered`);
    calls.push(call);
    await new Promise<void>((resolve, reject) => {
      answer = { resolve, reject };
    }).finally(() => {
      answer = undefined;
    });
    await act();
  };
  const storage: ClientStorage = {
    load: () => inner.load(),
    begin: (instance) => wait('begin', () => inner.begin(instance)),
    append: (instance, batch: StoredBatch) =>
      wait(`append ${batch.first}+${batch.count}`, () => inner.append(instance, batch)),
    saveSession: (instance, session) => wait('saveSession', () => inner.saveSession(instance, session)),
    trim: (instance, upTo) => wait(`trim ${upTo}`, () => inner.trim(instance, upTo)),
    discard: (instance, run) => wait(`discard ${run.first}-${run.last}`, () => inner.discard(instance, run)),
    setAside: (instance, batch) =>
      wait(`setAside ${batch.first}+${batch.count}`, () => inner.setAside(instance, batch)),
    forget: (instance) => wait('forget', () => inner.forget(instance)),
    close: () => inner.close(),
  };
  return {
    storage,
    calls,
    succeed: () => answer?.resolve(),
    fail: () => answer?.reject(new Error('disk full')),
  };
}

/** A storage that has what the test says, and takes what comes. */
function filled(...instances: Partial<StoredInstance>[]): ClientStorage {
  const empty = { instance: 'older', acked: 0, batches: [], discarded: [], inDoubt: [] };
  const inner = memoryStorage();
  return { ...inner, load: async () => instances.map((instance) => ({ ...empty, ...instance })) };
}

/** The process dies: its sockets go, nobody says goodbye, and what was not written down is lost. */
async function kill(client: SluiceClient): Promise<void> {
  await client.close({ timeLimitMs: 0 });
  await settled();
}

describe('a storage', () => {
  test('holds what send takes before there is any connection, and the name of the instance before that', async () => {
    const { server, connect } = bed();
    server.isDown = true;
    const { storage, calls, succeed } = slowStorage();
    const client = connect({ storage, lingerMs: 1_000 });
    for (const text of messages(1, 3)) client.sendText(text).catch(() => undefined);
    await settled();
    expect(calls).toEqual(['begin']);
    succeed();
    await settled();
    expect(calls).toEqual(['begin', 'append 1+3']);
    // What comes while one is under way gathers for the next.
    for (const text of messages(4, 9)) client.sendText(text).catch(() => undefined);
    await settled();
    expect(calls).toHaveLength(2);
    succeed();
    await settled();
    expect(calls).toEqual(['begin', 'append 1+3', 'append 4+6']);
    succeed();
    await settled();
    await kill(client);
  });

  test.each(['no connection', 'no credit', 'a server that drains'])(
    'what could not be sent for %s is sent by the next client, under its places',
    async (why) => {
      const { server, connect, pass, events } = bed();
      if (why === 'no connection') server.isDown = true;
      if (why === 'no credit') server.credit = { messages: 0, bytes: 0 };
      const storage = memoryStorage();
      const first = connect({ storage, lingerMs: 0 });
      await pass(10);
      if (why === 'a server that drains') server.send({ t: 'drain', retryMs: 60_000 });
      await pass(5);
      for (const text of messages(1, 10)) first.sendText(text).catch(() => undefined);
      await pass(10);
      expect(server.framesOf('batch')).toEqual([]);
      await kill(first);
      server.cut();
      server.isDown = false;
      server.credit = { messages: 100, bytes: 10_000 };

      const second = connect({ storage, lingerMs: 0 });
      const sent = outcomeOf(second.sendText('{"i":11}'));
      await pass(500, 5);
      expect(sent.state).toBe('resolved');
      expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 11));
      expect(server.kept.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]);
      expect(events.filter(({ type }) => type === 'recovered')).toEqual([
        { type: 'recovered', instance: first.instance, messages: 10, refused: 0, known: true },
      ]);
      expect(second.stats).toMatchObject({ offered: 1, restored: 10, acked: 11, unsettled: 0 });
      const closed = outcomeOf(second.close());
      await pass(50);
      expect(closed.value).toMatchObject({ unacked: 0 });
      expect(await storage.load()).toEqual([]);
    },
  );

  test('a message is in it before it is sent, and so is the session that it is sent in', async () => {
    const { server, connect, pass } = bed();
    const { storage, calls, succeed } = slowStorage();
    const client = connect({ storage, batchMessages: 2, lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendBatch(messages(1, 4)));
    await pass(50);
    expect(calls).toEqual(['begin']);
    succeed();
    await pass(50);
    expect(calls).toEqual(['begin', 'saveSession']);
    succeed();
    await pass(50);
    expect(calls).toEqual(['begin', 'saveSession', 'append 1+4']);
    expect(server.framesOf('batch')).toEqual([]);
    succeed();
    await pass(1);
    expect(server.framesOf('batch')).toHaveLength(2);
    await pass(50);
    expect(sent.state).toBe('resolved');
    expect(calls.slice(3)).toEqual(['trim 4']);
    // A new session is written down before anything is sent in it.
    succeed();
    server.cut();
    await pass(500, 5);
    expect(calls.at(-1)).toBe('saveSession');
    void client.sendText('5');
    await pass(50);
    expect(server.framesOf('batch')).toHaveLength(2);
  });

  test('a storage that answers at once costs no turn', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ storage: memoryStorage(), batchMessages: 2, lingerMs: 0 });
    await pass(10);
    void client.sendBatch(messages(1, 6));
    await pass(2);
    expect(server.framesOf('batch')).toHaveLength(3);
  });

  test('a restarted producer recovers in the older epoch what was not acked, then begins its own', async () => {
    const { server, connect, pass, events } = bed({ storeMs: 40 });
    const storage = memoryStorage();
    const first = connect({ storage, batchMessages: 3, lingerMs: 0 });
    await pass(10);
    void first.sendBatch(messages(1, 3));
    await pass(60);
    for (const text of messages(4, 9)) first.sendText(text).catch(() => undefined);
    await pass(5);
    const epoch = server.epochOf('p');
    await kill(first);
    server.restart();
    await pass(10);

    const second = connect({ storage, lingerMs: 0 });
    const sent = outcomeOf(second.sendBatch(messages(10, 11)));
    const flushed = outcomeOf(second.flush());
    await pass(20);
    expect([second.state, flushed.state]).toEqual(['recovering', 'pending']);
    await pass(500);
    expect(server.framesOf('hello').slice(1)).toEqual([
      `{"t":"hello","ack":"stored","instance":"${first.instance}","recover":true,"session":"1.fake","next":4}`,
      `{"t":"hello","ack":"stored","instance":"${second.instance}"}`,
    ]);
    expect(sent.value).toEqual({ messages: 2, refused: [], firstSequence: 1 });
    expect(flushed.state).toBe('resolved');
    expect(server.kept.map((kept) => [kept.epoch === epoch, kept.sequence, kept.text])).toEqual(
      messages(1, 11).map((text, index) => [index < 9, index < 9 ? index + 1 : index - 8, text]),
    );
    expect(second.stats).toMatchObject({ restored: 6, acked: 8, unackedMessages: 0, unackedBytes: 0 });
    expect(events.some(({ type }) => type === 'unknown')).toBe(false);
    expect(events).toContainEqual({
      type: 'recovered',
      instance: first.instance,
      messages: 6,
      refused: 0,
      known: true,
    });
    void second.close();
    await pass(100);
    expect(await storage.load()).toEqual([]);
  });

  test('what arrived before the restart is not taken again', async () => {
    const { server, connect, pass } = bed();
    const storage = memoryStorage();
    const first = connect({ storage, lingerMs: 0 });
    await pass(10);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    first.sendBatch(messages(1, 5)).catch(() => undefined);
    await pass(50);
    await kill(first);
    server.loses = () => false;
    const second = connect({ storage });
    await pass(100);
    expect(second.stats).toMatchObject({ restored: 5, acked: 5, sent: 0, resent: 5, unackedMessages: 0 });
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 5));
  });

  test('several instances are recovered in their order, each on its own socket', async () => {
    const { server, connect, pass, events } = bed();
    server.isDown = true;
    const storage = memoryStorage();
    for (const first of [1, 4, 7]) {
      const client = connect({ storage });
      client.sendBatch(messages(first, first + 2)).catch(() => undefined);
      await pass(10);
      await kill(client);
    }
    server.isDown = false;
    const opened = server.opened.length;
    const last = connect({ storage });
    const sent = outcomeOf(last.sendText('{"i":10}'));
    await pass(500, 5);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 10));
    expect(server.opened.length - opened).toBe(4);
    expect(new Set(server.kept.map(({ epoch }) => epoch)).size).toBe(4);
    expect(events.filter(({ type }) => type === 'recovered')).toHaveLength(3);
    // Nothing else was said about it, and no connection counts as lost.
    expect(last.stats).toMatchObject({ connections: 4, reconnects: 0 });
  });

  test('a connection that is lost while an instance is recovered comes back to it', async () => {
    const { server, connect, pass } = bed({ storeMs: 30 });
    const storage = memoryStorage();
    const first = connect({ storage, lingerMs: 0 });
    await pass(10);
    first.sendBatch(messages(1, 4)).catch(() => undefined);
    await pass(5);
    await kill(first);
    server.restart();
    const second = connect({ storage, lingerMs: 0 });
    const sent = outcomeOf(second.sendText('{"i":5}'));
    await pass(10);
    expect(second.state).toBe('recovering');
    server.restart();
    await pass(1_000, 5);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 5));
  });

  test.each([
    ['a copy has come in between', true],
    ['the control: none has', false],
  ])('what a recovery sends again on a second connection is its own, unless %s', async (_, isCopied) => {
    const { server, connect, pass, events } = bed({ storeMs: 5 });
    const storage = memoryStorage();
    const first = connect({ storage, lingerMs: 0 });
    await pass(10);
    server.vanishing = 1;
    first.sendText('"mine"').catch(() => undefined);
    await pass(10);
    await kill(first);
    // The session of the storage is not the newest, and nothing came in that.
    server.copySends('p', []);
    server.vanishing = isCopied ? 1 : 0;
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    const second = connect({ storage, lingerMs: 0 });
    await pass(10);
    expect(second.state).toBe('recovering');
    server.cut();
    server.loses = () => false;
    if (isCopied) server.copySends('p', ['"theirs"']);
    await pass(1_000, 5);
    expect(server.kept.map(({ text }) => text)).toEqual([isCopied ? '"theirs"' : '"mine"']);
    const inDoubt = [{ instance: first.instance, first: 1, texts: ['"mine"'] }];
    expect(second.inDoubt).toEqual(isCopied ? inDoubt : []);
    expect(events.filter(({ type }) => type === 'recovered')).toMatchObject([
      isCopied ? { messages: 0, inDoubt: { from: 1, to: 1, messages: 1 } } : { messages: 1 },
    ]);
  });

  test('close waits for what older instances have left', async () => {
    const { server, connect, pass } = bed();
    const storage = filled({ batches: [{ first: 1, count: 3, text: messages(1, 3).join('\n') }] });
    const closed = outcomeOf(connect({ storage }).close());
    await pass(100);
    expect(closed.value).toMatchObject({ unacked: 0, acked: 3, timedOut: false });
    expect(server.kept).toHaveLength(3);
    // Its own epoch never began.
    expect(server.framesOf('hello')).toHaveLength(1);
  });

  test('a batch that was acked in part is kept whole, and its rest sent', async () => {
    const { server, connect, pass } = bed();
    server.setProducer('p', 1_000_001, 3, { instance: 'older', session: '1.a' });
    const batch = { first: 2, count: 4, text: messages(2, 5).join('\n') };
    const client = connect({ storage: filled({ session: '1.a', acked: 2, batches: [batch] }) });
    await pass(50);
    expect(server.framesOf('batch').map(readBatch)).toEqual([{ seq: 3, n: 3, texts: messages(3, 5) }]);
    expect(client.stats).toMatchObject({ restored: 3, acked: 3, unackedMessages: 0, unackedBytes: 0 });
  });

  test('a refusal of a restored message is counted, and told when the instance is recovered', async () => {
    const { server, connect, pass, events } = bed();
    server.refusal = (text) => (text === '2' ? 'invalid_json' : undefined);
    const client = connect({ storage: filled({ batches: [{ first: 1, count: 3, text: '1\n2\n3' }] }) });
    await pass(50);
    expect(client.stats).toMatchObject({ acked: 2, refused: 1, unackedMessages: 0, unsettled: 0 });
    expect(events).toContainEqual({
      type: 'recovered',
      instance: 'older',
      messages: 3,
      refused: 1,
      known: true,
    });
  });

  test('holes are dropped messages: a line stands in the place of each', async () => {
    const { server, connect, pass, events } = bed();
    const storage = filled({
      acked: 1,
      batches: [
        { first: 3, count: 2, text: '3\n4' },
        { first: 8, count: 4, text: '8\n-\n10\n11' },
      ],
      discarded: [{ first: 10, last: 10 }],
    });
    const client = connect({ storage });
    await pass(50);
    const lines = server
      .framesOf('batch')
      .map(readBatch)
      .flatMap(({ texts }) => texts);
    expect(lines).toEqual(['-', '3', '4', '-', '-', '-', '8', '-', '-', '11']);
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [3, '3'],
      [4, '4'],
      [8, '8'],
      [11, '11'],
    ]);
    expect(client.stats).toMatchObject({ restored: 4, acked: 4, refused: 0, dropped: 0 });
    expect(events.filter(({ type }) => type === 'nack')).toEqual([]);
    expect(client.state).toBe('ready');
  });

  test('what was dropped is forgotten in it, and stays dropped', async () => {
    const { server, connect, pass } = bed();
    server.isDown = true;
    const storage = memoryStorage();
    const first = connect({ storage, sendBufferMessages: 4, whenFull: 'drop-oldest' });
    await settled();
    const outcomes = messages(1, 10).map((text) => outcomeOf(first.sendText(text)));
    await pass(10);
    expect(outcomes.map(({ code }) => code)).toEqual([
      ...Array(6).fill('message_dropped'),
      ...Array(4).fill(undefined),
    ]);
    await kill(first);
    const [left] = await storage.load();
    expect(left?.batches.flatMap(({ text }) => text)).toEqual(messages(7, 10));
    await storage.close();
    server.isDown = false;
    connect({ storage });
    await pass(200);
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual(
      messages(7, 10).map((text, index) => [index + 7, text]),
    );
  });

  test('of two clients on one storage the second is told, ends, and does not try again', async () => {
    const { server, connect, pass, events } = bed();
    const storage = memoryStorage();
    const first = connect({ storage, lingerMs: 0 });
    await pass(10);
    const second = connect({ storage });
    const sent = outcomeOf(second.sendText('1'));
    await pass(60_000);
    expect([sent.code, second.state]).toEqual(['storage_in_use', 'closed']);
    expect(server.opened).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'failed')).toEqual([
      {
        type: 'failed',
        code: 'storage_in_use',
        message: expect.stringContaining('The storage is in use by another client'),
      },
    ]);
    expect((await second.close()).code).toBe('storage_in_use');
    // The first has noticed nothing, and still has the storage.
    const other = outcomeOf(first.sendText('2'));
    await pass(20);
    expect([other.state, first.state]).toEqual(['resolved', 'ready']);
    await expect(storage.load()).rejects.toMatchObject({ code: 'storage_in_use' });
    // Once it has ended, the storage is free.
    void first.close();
    await pass(50);
    const third = connect({ storage });
    await pass(50);
    expect(third.state).toBe('ready');
  });

  test('a storage that fails is asked again, and nothing is sent meanwhile', async () => {
    const { server, connect, pass, events } = bed();
    const { storage, calls, succeed, fail } = slowStorage();
    const client = connect({ storage, lingerMs: 0 });
    await pass(10);
    succeed();
    await settled();
    succeed();
    await settled();
    const sent = outcomeOf(client.sendText('1'));
    await pass(10);
    fail();
    await pass(100);
    expect(server.framesOf('batch')).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: 'storage-failed', operation: 'append' });
    await pass(200);
    expect(calls).toEqual(['begin', 'saveSession', 'append 1+1', 'append 1+1']);
    succeed();
    await pass(20);
    expect(sent.state).toBe('resolved');
  });

  test('a storage that throws is one that fails', async () => {
    const { connect, pass, events } = bed();
    let failing = 3;
    const inner = memoryStorage();
    const failSome = () => {
      failing -= 1;
      if (failing >= 0) throw new Error('locked');
    };
    const client = connect({
      lingerMs: 0,
      storage: {
        ...inner,
        load: () => {
          failSome();
          return inner.load();
        },
        begin: (instance) => {
          failSome();
          return inner.begin(instance);
        },
      },
    });
    const sent = outcomeOf(client.sendText('1'));
    await pass(5_000, 5);
    expect(sent.state).toBe('resolved');
    expect(events.filter(({ type }) => type === 'storage-failed')).toHaveLength(3);
    failing = 1;
    const other = connect({
      producer: 'q',
      storage: { ...inner, load: () => Promise.reject(new Error('gone')) },
    });
    await pass(5_000, 5);
    expect(other.state).toBe('connecting');
    expect(
      events.filter((event) => event.type === 'storage-failed' && event.operation === 'load').length,
    ).toBeGreaterThan(3);
  });

  test('close waits for the last trim, but not longer than its limit', async () => {
    const { connect, pass } = bed();
    for (const answers of [true, false]) {
      const { storage, calls, succeed } = slowStorage();
      const client = connect({ storage, lingerMs: 0 });
      await pass(10);
      succeed();
      await settled();
      succeed();
      await settled();
      const sent = outcomeOf(client.sendText('1'));
      await pass(10);
      succeed();
      await pass(20);
      expect(sent.state).toBe('resolved');
      const closed = outcomeOf(client.close({ timeLimitMs: 500 }));
      await pass(100);
      expect(calls.at(-1)).toBe('trim 1');
      expect(closed.state).toBe('pending');
      if (answers) succeed();
      await pass(10);
      expect(calls.at(-1)).toBe(answers ? 'forget' : 'trim 1');
      if (answers) succeed();
      await pass(10);
      expect(closed.state).toBe(answers ? 'resolved' : 'pending');
      await pass(500);
      expect(closed.value).toMatchObject({ unacked: 0, timedOut: false });
    }
  });

  test('a client that is closed while it loads ends when it knows that there is nothing', async () => {
    const { connect, pass, server } = bed();
    const empty = outcomeOf(connect({ storage: memoryStorage() }).close());
    const waiting = connect({ storage: { ...memoryStorage(), load: () => new Promise(() => undefined) } });
    const unanswered = outcomeOf(waiting.close({ timeLimitMs: 100 }));
    await pass(50);
    expect([empty.state, unanswered.state]).toEqual(['resolved', 'pending']);
    await pass(100);
    expect(unanswered.value).toMatchObject({ timedOut: true });
    expect(server.opened).toEqual([]);
  });
});
