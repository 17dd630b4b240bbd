import { describe, expect, test } from 'vitest';
import { bed, messages, outcomeOf } from './support.ts';

describe('close', () => {
  test('sends what waits, says goodbye, and is answered when all is acked', async () => {
    const { server, connect, pass, events } = bed({ storeMs: 10 });
    const client = connect({ lingerMs: 10_000, sendBufferMessages: 4 });
    await pass(10);
    const sent = outcomeOf(client.sendBatch(messages(1, 10)));
    const closed = outcomeOf(client.close());
    expect(client.state).toBe('draining');
    const late = [client.sendText('1'), client.flush(), client.sendBatch(['2'])].map((promise) =>
      outcomeOf<unknown>(promise),
    );
    await pass(200);
    expect(sent.value).toEqual({ messages: 10, refused: [], firstSequence: 1 });
    expect(late.map(({ code }) => code)).toEqual(Array(3).fill('client_closed'));
    const report = { unacked: 0, acked: 10, refused: 2, dropped: 0, timedOut: false };
    expect(closed.value).toEqual(report);
    expect(server.received.at(-1)).toBe('{"t":"bye"}');
    expect(server.violations).toEqual([]);
    expect(server.openSockets).toEqual([]);
    expect(events.at(-1)).toEqual({ type: 'closed', report });
    expect(await client.close()).toEqual(report);
    expect(client.state).toBe('closed');
  });

  test('leaves no timer behind', async () => {
    const { connect, pass, timers } = bed();
    const client = connect();
    await pass(10);
    void client.sendText('1');
    void client.close();
    await pass(50);
    expect(client.state).toBe('closed');
    expect(timers.pending).toBe(0);
    // Control: a client that is not closed has one.
    connect();
    await pass(10);
    expect(timers.pending).toBeGreaterThan(0);
  });

  test.each(['none', 'committed'] as const)('%s: waits for Postgres', async (ack) => {
    const { server, connect, pass } = bed({ outbox: false, commitMs: 500 });
    const client = connect({ ack, lingerMs: 0 });
    await pass(10);
    void client.sendBatch(messages(1, 3));
    const closed = outcomeOf(client.close());
    await pass(600, 1);
    expect(closed.value).toMatchObject({ unacked: 0, acked: 3 });
    expect(server.committed.map(({ text }) => text)).toEqual(messages(1, 3));
  });

  test('a lost connection does not end it before all is acked', async () => {
    const { server, connect, pass } = bed({ storeMs: 20 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendBatch(messages(1, 3)));
    const closed = outcomeOf(client.close());
    await pass(5);
    server.restart();
    await pass(10);
    expect(closed.state).toBe('pending');
    await pass(1_000, 5);
    expect(closed.value).toMatchObject({ unacked: 0, acked: 3 });
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(messages(1, 3));
  });

  test('a goodbye whose answer gets lost ends with the connection', async () => {
    const { server, connect, pass } = bed();
    const client = connect();
    await pass(10);
    server.loses = (frame) => frame === '{"t":"bye"}';
    const closed = outcomeOf(client.close());
    await pass(50);
    expect(closed.value).toMatchObject({ unacked: 0 });
    expect(server.opened).toHaveLength(1);
  });

  test('a goodbye that comes too early is no end', async () => {
    const { server, connect, pass } = bed({ storeMs: 50 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    const closed = outcomeOf(client.close());
    await pass(3);
    server.send({ t: 'bye' });
    await pass(2_000, 5);
    expect(sent.state).toBe('resolved');
    expect(closed.value).toMatchObject({ unacked: 0, acked: 1 });
  });

  test('batches that were deferred are sent before the goodbye', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0, batchMessages: 2 });
    await pass(10);
    server.deferring = 3;
    const sent = outcomeOf(client.sendBatch(messages(1, 6)));
    const closed = outcomeOf(client.close());
    await pass(2_000, 5);
    expect(closed.value).toMatchObject({ unacked: 0, acked: 6 });
    expect(sent.state).toBe('resolved');
    expect(server.violations).toEqual([]);
    expect(server.opened).toHaveLength(1);
  });

  test('the time limit ends it, and the report counts what was not acked', async () => {
    const { server, connect, pass } = bed();
    server.isDown = true;
    const client = connect({ sendBufferMessages: 3 });
    const outcomes = [client.sendText('1'), client.sendBatch(messages(2, 6)), client.flush()].map((promise) =>
      outcomeOf<unknown>(promise),
    );
    const closed = outcomeOf(client.close({ timeLimitMs: 1_000 }));
    await pass(990, 10);
    expect(closed.state).toBe('pending');
    await pass(20);
    expect(closed.value).toEqual({ unacked: 6, acked: 0, refused: 0, dropped: 0, timedOut: true });
    expect(outcomes.map(({ code }) => code)).toEqual(Array(3).fill('client_closed'));
    await pass(60_000);
    expect(server.opened.length).toBeLessThan(10);
  });

  test('what was acked, refused and dropped is not counted as unacked', async () => {
    const { server, connect, pass } = bed({ storeMs: 100 });
    server.refusal = (text) => (text === '4' ? 'invalid_json' : undefined);
    const client = connect({ lingerMs: 0, sendBufferMessages: 4, whenFull: 'drop-newest' });
    await pass(10);
    const acked = outcomeOf(client.sendBatch(['1', '2']));
    await pass(150);
    for (const text of ['3', '4', '5', '6', '7']) client.sendText(text).catch(() => undefined);
    await pass(5);
    const closed = outcomeOf(client.close({ timeLimitMs: 0 }));
    await pass(1);
    expect(acked.state).toBe('resolved');
    expect(closed.value).toEqual({ unacked: 3, acked: 2, refused: 1, dropped: 1, timedOut: true });
  });

  test('nothing to send and no connection: it ends at once', async () => {
    const { server, connect, pass } = bed();
    server.isDown = true;
    const client = connect();
    const closed = outcomeOf(client.close());
    await pass(1);
    expect(closed.value).toMatchObject({ unacked: 0, timedOut: false });
  });

  test('a server that drains is not waited for when all is acked', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    await pass(2);
    server.send({ t: 'drain', retryMs: 10_000 });
    const closed = outcomeOf(client.close());
    await pass(100);
    expect([sent.state, closed.state]).toEqual(['resolved', 'resolved']);
  });

  test('an error that ends the client resolves it, with the code', async () => {
    const { server, connect, pass } = bed({ storeMs: 1_000 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    const closed = outcomeOf(client.close());
    await pass(10);
    server.cut(4410, 'fenced: the current epoch is 9');
    await pass(10);
    expect(closed.value).toMatchObject({ unacked: 1, code: 'fenced', timedOut: false });
    expect(sent.code).toBe('fate_unknown');
  });
});
