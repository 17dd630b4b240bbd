import { describe, expect, test } from 'vitest';
import { type ClientStorage, memoryStorage, type StoredBatch } from '../../../src/client/sluice-client.ts';
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
    saveEpoch: (epoch) => wait('saveEpoch', () => inner.saveEpoch(epoch)),
    saveBatch: (batch: StoredBatch) =>
      wait(`saveBatch ${batch.first}+${batch.count}`, () => inner.saveBatch(batch)),
    trim: (epoch, upTo) => wait(`trim ${upTo}`, () => inner.trim(epoch, upTo)),
  };
  return {
    storage,
    calls,
    succeed: () => answer?.resolve(),
    fail: () => answer?.reject(new Error('disk full')),
  };
}

describe('a storage', () => {
  test('a batch is saved before it is sent, one at a time, behind its epoch', async () => {
    const { server, connect, pass } = bed();
    const { storage, calls, succeed } = slowStorage();
    const client = connect({ storage, batchMessages: 2, lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendBatch(messages(1, 4)));
    await pass(50);
    expect(calls).toEqual(['saveEpoch']);
    succeed();
    await pass(50);
    expect(calls).toEqual(['saveEpoch', 'saveBatch 1+2']);
    expect(server.framesOf('batch')).toEqual([]);
    succeed();
    await pass(2);
    expect(server.framesOf('batch')).toHaveLength(1);
    expect(calls.at(-1)).toBe('saveBatch 3+2');
    await pass(50);
    expect(server.framesOf('batch')).toHaveLength(1);
    succeed();
    await pass(50);
    expect(sent.state).toBe('resolved');
    expect(calls).toEqual(['saveEpoch', 'saveBatch 1+2', 'saveBatch 3+2', 'trim 2']);
    succeed();
    await settled();
    expect(calls.at(-1)).toBe('trim 4');
  });

  test('a storage that answers at once costs no turn', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ storage: memoryStorage(), batchMessages: 2, lingerMs: 0 });
    await pass(10);
    void client.sendBatch(messages(1, 6));
    await pass(2);
    expect(server.framesOf('batch')).toHaveLength(3);
  });

  test('a restarted producer goes on in its epoch: what was not acked comes again, then what is new', async () => {
    const { server, connect, pass, events } = bed({ storeMs: 40 });
    const storage = memoryStorage();
    const first = connect({ storage, batchMessages: 3, lingerMs: 0 });
    await pass(10);
    void first.sendBatch(messages(1, 3));
    await pass(60);
    for (const text of messages(4, 9)) first.sendText(text).catch(() => undefined);
    await pass(5);
    // The process dies: its socket goes, and nobody says goodbye.
    void first.close({ timeLimitMs: 0 });
    server.restart();
    await pass(10);

    const second = connect({ storage, lingerMs: 0 });
    const sent = outcomeOf(second.sendBatch(messages(10, 11)));
    const flushed = outcomeOf(second.flush());
    await pass(500);
    expect(server.framesOf('hello').at(-1)).toBe(
      `{"t":"hello","ack":"stored","epoch":${server.epochOf('p')},"resume":true,"session":"0.lost","next":4}`,
    );
    expect(sent.value).toEqual({ messages: 2, refused: [], firstSequence: 10 });
    expect(flushed.state).toBe('resolved');
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual(
      messages(1, 11).map((text, index) => [index + 1, text]),
    );
    expect(second.stats).toMatchObject({ restored: 6, acked: 8, unackedMessages: 0, unackedBytes: 0 });
    expect(events.some(({ type }) => type === 'unknown')).toBe(false);
    expect(await storage.load()).toEqual({ epoch: server.epochOf('p'), acked: 11, batches: [] });
  });

  test('what arrived before the restart is not taken again', async () => {
    const { server, connect, pass } = bed();
    const storage = memoryStorage();
    const first = connect({ storage, lingerMs: 0 });
    await pass(10);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    first.sendBatch(messages(1, 5)).catch(() => undefined);
    await pass(50);
    void first.close({ timeLimitMs: 0 });
    server.loses = () => false;
    const second = connect({ storage });
    await pass(100);
    expect(second.stats).toMatchObject({ restored: 5, acked: 5, sent: 0, resent: 5, unackedMessages: 0 });
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 5));
  });

  test('a batch that was acked in part is kept whole, and its rest sent', async () => {
    const { server, connect, pass } = bed();
    server.setProducer('p', 1_000_001, 3);
    const batch = { epoch: 1_000_001, first: 2, count: 4, text: messages(2, 5).join('\n') };
    const storage: ClientStorage = {
      ...memoryStorage(),
      load: async () => ({ epoch: 1_000_001, acked: 2, batches: [batch] }),
    };
    const client = connect({ storage });
    await pass(50);
    expect(server.framesOf('batch').map(readBatch)).toEqual([{ seq: 3, n: 3, texts: messages(3, 5) }]);
    expect(client.stats).toMatchObject({ restored: 3, acked: 3, unackedMessages: 0, unackedBytes: 0 });
  });

  test('a refusal of a restored message is counted', async () => {
    const { server, connect, pass } = bed();
    server.refusal = (text) => (text === '2' ? 'invalid_json' : undefined);
    const storage: ClientStorage = {
      ...memoryStorage(),
      load: async () => ({
        epoch: 5,
        acked: 0,
        batches: [{ epoch: 5, first: 1, count: 3, text: '1\n2\n3' }],
      }),
    };
    const client = connect({ storage });
    await pass(50);
    expect(client.stats).toMatchObject({ acked: 2, refused: 1, unackedMessages: 0 });
  });

  test('a storage that fails is asked again, and nothing is sent meanwhile', async () => {
    const { server, connect, pass, events } = bed();
    const { storage, calls, succeed, fail } = slowStorage();
    const client = connect({ storage, lingerMs: 0 });
    await pass(10);
    succeed();
    const sent = outcomeOf(client.sendText('1'));
    await pass(10);
    fail();
    await pass(100);
    expect(server.framesOf('batch')).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: 'storage-failed', operation: 'saveBatch' });
    await pass(200);
    expect(calls).toEqual(['saveEpoch', 'saveBatch 1+1', 'saveBatch 1+1']);
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
        load: () => {
          failSome();
          return inner.load();
        },
        saveEpoch: (epoch) => {
          failSome();
          return inner.saveEpoch(epoch);
        },
        saveBatch: (batch) => inner.saveBatch(batch),
        trim: (epoch, upTo) => inner.trim(epoch, upTo),
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

  test('batches with a hole end the client: its server would wait for ever', async () => {
    const { connect, pass, server } = bed();
    const batch = (first: number) => ({ epoch: 5, first, count: 2, text: '1\n2' });
    const client = connect({
      storage: {
        ...memoryStorage(),
        load: async () => ({ epoch: 5, acked: 0, batches: [batch(1), batch(4)] }),
      },
    });
    const sent = outcomeOf(client.sendText('1'));
    await pass(10);
    expect(sent.code).toBe('internal');
    expect(server.opened).toEqual([]);
  });

  test('close waits for the last trim, but not longer than its limit', async () => {
    const { connect, pass } = bed();
    for (const answers of [true, false]) {
      const { storage, calls, succeed } = slowStorage();
      const client = connect({ storage, lingerMs: 0 });
      await pass(10);
      succeed();
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
