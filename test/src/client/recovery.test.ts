import { describe, expect, test } from 'vitest';
import { bed, messages, outcomeOf, readBatch } from './support.ts';

/** What the server keeps of the messages 1 to `to`, once each and in their order. */
function all(to: number): string[] {
  return messages(1, to);
}

describe('a lost connection', () => {
  test('what was not acked is sent again under its sequences, and resumed in its epoch', async () => {
    const { server, connect, pass, events } = bed({ storeMs: 20 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const first = outcomeOf(client.sendBatch(messages(1, 3)));
    await pass(50);
    const second = outcomeOf(client.sendBatch(messages(4, 6)));
    await pass(3);
    server.restart();
    expect(client.state).toBe('connecting');
    const third = outcomeOf(client.sendBatch(messages(7, 8)));
    await pass(1_000, 5);
    expect([first.state, second.state, third.state]).toEqual(['resolved', 'resolved', 'resolved']);
    expect(server.kept.map(({ text }) => text)).toEqual(all(8));
    const [, again] = server.framesOf('hello');
    const epoch = server.kept[0]?.epoch;
    expect(again).toBe(
      `{"t":"hello","ack":"stored","instance":"${client.instance}","resume":true,"epoch":${epoch},"session":"1.fake","next":4}`,
    );
    expect(server.framesOf('batch').map((frame) => readBatch(frame).seq)).toEqual([1, 4, 4, 7]);
    expect(client.stats).toMatchObject({ sent: 8, resent: 3, acked: 8, connections: 2, reconnects: 1 });
    expect(events.map(({ type }) => type)).toEqual(['connected', 'disconnected', 'connected']);
  });

  test('a lost ack is harmless: what is stored is sent again and acked again, and not taken again', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    const sent = outcomeOf(client.sendBatch(messages(1, 3)));
    await pass(50);
    expect(server.kept).toHaveLength(3);
    expect(sent.state).toBe('pending');
    server.loses = () => false;
    server.cut();
    await pass(500, 5);
    expect(sent.state).toBe('resolved');
    expect(server.framesOf('batch')).toHaveLength(2);
    expect(server.kept.map(({ text }) => text)).toEqual(all(3));
    expect(client.stats).toMatchObject({ sent: 3, resent: 3, acked: 3 });
  });

  test('welcomes that get lost, of the first hello and of later ones, fence nobody', async () => {
    const { server, connect, pass, events } = bed();
    server.losingWelcomes = 2;
    const client = connect({ lingerMs: 0 });
    const first = outcomeOf(client.sendText('{"i":1}'));
    await pass(2_000, 5);
    expect(first.state).toBe('resolved');
    server.losingWelcomes = 3;
    server.cut();
    const second = outcomeOf(client.sendText('{"i":2}'));
    await pass(10_000, 10);
    expect([second.state, client.state]).toEqual(['resolved', 'ready']);
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [1, '{"i":1}'],
      [2, '{"i":2}'],
    ]);
    // The same session again and again: it is the last that this client was welcomed in.
    const sessions = server
      .framesOf('hello')
      .map((frame) => (JSON.parse(frame) as { session?: string }).session);
    expect(sessions).toEqual([undefined, undefined, undefined, '3.fake', '3.fake', '3.fake', '3.fake']);
    expect(events.some(({ type }) => type === 'fenced' || type === 'unknown')).toBe(false);
  });

  test('a batch of which a part is stored is sent again, and its rest is taken', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.vanishing = 1;
    const sent = outcomeOf(client.sendBatch(messages(1, 6)));
    await pass(5);
    expect(sent.state).toBe('pending');
    // As if it had arrived in another cut, and 4 of the 6 were stored.
    server.cut();
    server.setProducer('p', server.epochOf('p'), 4);
    await pass(500, 5);
    expect(sent.state).toBe('resolved');
    expect(server.framesOf('batch').map(readBatch).at(-1)).toEqual({ seq: 1, n: 6, texts: all(6) });
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [5, '{"i":5}'],
      [6, '{"i":6}'],
    ]);
  });

  test('what is left of a batch that was acked in part is counted to the byte', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.vanishing = 1;
    // 2 quotes, 2 + 3 + 4 bytes and a newline.
    void client.sendBatch(Array.from({ length: 5 }, () => '"é€𝄞"'));
    await pass(5);
    server.send({ t: 'ack', stored: 2, committed: 0, credit: server.credit });
    await pass(5);
    server.cut();
    server.setProducer('p', server.epochOf('p'), 2);
    server.credit = { messages: 0, bytes: 0 };
    await pass(500, 5);
    expect(client.stats).toMatchObject({ acked: 2, unackedMessages: 3, unackedBytes: 36 });
    server.flow({ messages: 10, bytes: 24 }, 'room');
    await pass(5);
    expect(readBatch(server.framesOf('batch').at(-1) as string)).toMatchObject({ seq: 3, n: 2 });
    await pass(50);
    expect(client.stats).toMatchObject({ acked: 5, unackedMessages: 0, unackedBytes: 0 });
    expect(server.violations).toEqual([]);
  });

  test('a flush is asked for again', async () => {
    const { server, connect, pass } = bed({ storeMs: 30 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    void client.sendText('1');
    const flushed = outcomeOf(client.flush());
    await pass(5);
    server.restart();
    await pass(500, 5);
    expect(flushed.state).toBe('resolved');
    expect(server.received.slice(-2)).toEqual(['{"t":"batch","seq":1,"n":1}\n1', '{"t":"flush"}']);
    expect(server.framesOf('flush')).toHaveLength(2);
  });

  test('what an older connection still says is not listened to', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.isSilent = true;
    const sent = outcomeOf(client.sendText('1'));
    while (client.state !== 'connecting') await pass(50);
    server.isSilent = false;
    const [older] = server.openSockets;
    older?.deliver('{"t":"ack","stored":1,"committed":1,"credit":{"messages":9,"bytes":999}}');
    older?.deliver('{"t":"bye"}');
    await pass(5);
    expect([sent.state, client.state, client.stats.creditMessages]).toEqual(['pending', 'connecting', 8_192]);
    // The server closes it as replaced; that is no news either.
    await pass(1_000);
    expect(older?.isOpen).toBe(false);
    expect([sent.state, client.state]).toEqual(['resolved', 'ready']);
    // Control: the connection that there is now is listened to.
    server.openSockets[0]?.deliver('{"t":"flow","credit":{"messages":9,"bytes":999},"reason":"room"}');
    await pass(5);
    expect(client.stats.creditMessages).toBe(9);
  });

  test('after a restart with less credit the same messages go in smaller frames', async () => {
    const { server, connect, pass } = bed({ storeMs: 20 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendBatch(messages(1, 50)));
    await pass(5);
    server.restart();
    server.credit = { messages: 7, bytes: 1_000 };
    server.limits = { ...server.limits, frameMessages: 5 };
    await pass(3_000, 5);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(all(50));
    expect(server.violations).toEqual([]);
    expect(
      Math.max(
        ...server
          .framesOf('batch')
          .slice(1)
          .map((frame) => readBatch(frame).n),
      ),
    ).toBe(5);
  });

  test('a message that no frame can hold any more is refused, and the others go on', async () => {
    const { server, connect, pass } = bed({ storeMs: 20 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const outcomes = ['1', `"${'x'.repeat(300)}"`, '3'].map((text) => outcomeOf(client.sendText(text)));
    await pass(5);
    server.restart();
    server.limits = { frameBytes: 200, messageBytes: 100, frameMessages: 100 };
    server.refusal = (text) => (text === '?' ? 'invalid_json' : undefined);
    await pass(2_000, 5);
    expect(outcomes.map(({ state, code }) => code ?? state)).toEqual([
      'resolved',
      'message_too_large',
      'resolved',
    ]);
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual([
      [1, '1'],
      [3, '3'],
    ]);
    expect(server.violations).toEqual([]);
    expect(client.stats).toMatchObject({ unackedMessages: 0, unackedBytes: 0 });
  });

  test('tries again after a random time that doubles up to 30 s, and begins again after progress', async () => {
    const { server, connect, pass, events } = bed();
    server.isDown = true;
    const client = connect({ random: () => 0.999, lingerMs: 0 });
    await pass(240_000);
    const waits = events.flatMap((event) => (event.type === 'disconnected' ? [event.retryMs] : []));
    expect(waits.slice(0, 10)).toEqual([250, 500, 999, 1_998, 3_996, 7_992, 15_984, 29_970, 29_970, 29_970]);
    server.isDown = false;
    await pass(30_000);
    const sent = outcomeOf(client.sendText('1'));
    await pass(50);
    expect(sent.state).toBe('resolved');
    events.length = 0;
    server.cut();
    await pass(10);
    expect(events).toEqual([{ type: 'disconnected', code: 1006, reason: '', retryMs: 250 }]);
  });

  test('a server that only welcomes does not count as progress', async () => {
    const { server, connect, pass, events } = bed();
    connect({ random: () => 0.999 });
    for (let times = 0; times < 5; times += 1) {
      await pass(5_000, 10);
      server.cut(4503);
    }
    await pass(10);
    const waits = events
      .filter(({ type }) => type === 'disconnected')
      .map((event) => 'retryMs' in event && event.retryMs);
    expect(waits).toEqual([250, 500, 999, 1_998, 3_996]);
  });

  test.each([1000, 1001, 1005, 1006, 1011, 1013, 4408, 4500, 4503, 4504])(
    'code %s: connects again',
    async (code) => {
      const { server, connect, pass } = bed();
      const client = connect({ lingerMs: 0 });
      await pass(10);
      server.cut(code);
      await pass(300);
      expect(client.state).toBe('ready');
      const sent = outcomeOf(client.sendText('1'));
      await pass(20);
      expect(sent.state).toBe('resolved');
    },
  );

  test('code 4429: waits for 30 s at least', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ random: () => 0 });
    await pass(10);
    server.cut(4429);
    await pass(29_990);
    expect(client.state).toBe('connecting');
    expect(server.opened).toHaveLength(1);
    await pass(50);
    expect(client.state).toBe('ready');
  });

  test.each([
    [4400, 'because', 'invalid_frame', 'failed'],
    [4400, 'hello_required: because', 'hello_required', 'failed'],
    [4400, 'invalid_options: because', 'invalid_options', 'failed'],
    [4400, 'no_code_of_ours: because', 'invalid_frame', 'failed'],
    [4401, 'unauthorized: because', 'unauthorized', 'failed'],
    [4403, 'forbidden: because', 'forbidden', 'failed'],
    [4404, 'unknown_sink: because', 'unknown_sink', 'failed'],
    [4409, 'replaced: because', 'replaced', 'replaced'],
    [4410, 'fenced: because', 'fenced', 'fenced'],
    [4410, 'because', 'fenced', 'fenced'],
  ])('code %s, %s: ends with %s, and every promise says so', async (code, reason, expected, type) => {
    const { server, connect, pass, events } = bed({ storeMs: 1_000 });
    const client = connect({ lingerMs: 0, sendBufferMessages: 4 });
    await pass(10);
    const outcomes = [
      client.sendText('1'),
      client.sendBatch(['2', '3']),
      client.flush(),
      client.sendBatch(['4', '5', '6']),
      client.ready(),
      client.flush(),
    ].map((promise) => outcomeOf<unknown>(promise));
    await pass(5);
    server.cut(code, reason);
    const late = [client.sendText('7'), client.ready(), client.flush()].map((promise) =>
      outcomeOf<unknown>(promise),
    );
    await pass(60_000);
    // What was on its way when another took over may be there or not.
    const isTakenOver = type !== 'failed';
    const sent = isTakenOver ? 'fate_unknown' : expected;
    expect([...outcomes, ...late].map((outcome) => outcome.code)).toEqual([
      sent,
      sent,
      expected,
      sent,
      ...Array(5).fill(expected),
    ]);
    expect(client.unsettled()).toEqual({ inDoubt: ['1', '2', '3', '4'], unsent: ['5', '6'] });
    expect(client.stats).toMatchObject({ offered: 7, refused: 1, unsettled: 6 });
    expect(client.state).toBe('closed');
    expect(server.opened).toHaveLength(1);
    expect(events.at(-2)).toMatchObject({
      type,
      code: expected,
      message: expect.stringContaining('because'),
    });
    expect(await client.close()).toEqual({
      unacked: 6,
      acked: 0,
      refused: 0,
      dropped: 0,
      timedOut: false,
      code: expected,
    });
    expect(events.at(-1)).toMatchObject({ type: 'closed', report: { unacked: 6 } });
  });

  test('a sink without an outbox that is asked for stored gives committed, and says so once', async () => {
    const { connect, pass, server, events } = bed({ outbox: false, commitMs: 100 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    await pass(50);
    expect(sent.state).toBe('pending');
    await pass(100);
    expect([sent.state, server.committed.length]).toEqual(['resolved', 1]);
    server.cut();
    await pass(300);
    expect(events.filter(({ type }) => type === 'level')).toEqual([
      { type: 'level', asked: 'stored', given: 'committed' },
    ]);
    expect(server.framesOf('hello').every((frame) => frame.includes('"ack":"stored"'))).toBe(true);
  });

  test('a deployment that takes the outbox away and gives it back: the level follows, and nothing ends', async () => {
    const { connect, pass, server, events } = bed({ commitMs: 1_000 });
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.hasOutbox = false;
    server.cut(1001);
    await pass(300);
    const during = outcomeOf(client.sendText('1'));
    await pass(200);
    expect(during.state).toBe('pending');
    await pass(1_000, 10);
    expect(during.state).toBe('resolved');
    server.hasOutbox = true;
    server.cut(1001);
    await pass(300);
    const after = outcomeOf(client.sendText('2'));
    await pass(20);
    expect(after.state).toBe('resolved');
    expect(events.filter(({ type }) => type === 'level')).toEqual([
      { type: 'level', asked: 'stored', given: 'committed' },
      { type: 'level', asked: 'stored', given: 'stored' },
    ]);
  });

  test('a second client of the producer fences the first, which stays away', async () => {
    const { server, connect, pass, events } = bed();
    const older = connect();
    await pass(10);
    const newer = connect({ lingerMs: 0 });
    await pass(10);
    expect([older.state, newer.state]).toEqual(['closed', 'ready']);
    await pass(60_000);
    expect([older.state, newer.state]).toEqual(['closed', 'ready']);
    expect(server.opened).toHaveLength(2);
    expect(events.some(({ type }) => type === 'fenced')).toBe(true);
  });
});

describe('a nack that gets lost with its connection', () => {
  const settledAs = (outcomes: { state: string; code?: string }[]) =>
    outcomes.map(({ state, code }) => code ?? state);

  test.each([
    ['stored', true],
    ['committed', true],
    ['committed', false],
  ] as const)('comes again with its message (%s, outbox: %s)', async (ack, outbox) => {
    // Control: a server that does not judge a duplicate leaves it to the ack, and a refused message looks like one taken.
    for (const judgesOnce of [false, true]) {
      const { server, connect, pass, events } = bed({ outbox });
      server.refusal = (text) => (text.startsWith('"bad') ? 'nul_character' : undefined);
      server.judgesOnce = judgesOnce;
      const client = connect({ ack, lingerMs: 0 });
      await pass(10);
      server.losingNacks = 1;
      const outcomes = ['1', '"bad2"', '3'].map((text) => outcomeOf(client.sendText(text)));
      const batch = outcomeOf(client.sendBatch(['4', '"bad5"', '"bad6"', '7']));
      await pass(50);
      // The others are there, and the welcome will say so.
      expect([client.state, server.kept.length]).toEqual(['connecting', 4]);
      expect(settledAs(outcomes)).toEqual(['pending', 'pending', 'pending']);
      await pass(500, 5);
      const refused = [1, 2].map((index) => ({ index, code: 'nul_character', message: 'no' }));
      expect(settledAs(outcomes)).toEqual([
        'resolved',
        judgesOnce ? 'resolved' : 'nul_character',
        'resolved',
      ]);
      expect(batch.value).toEqual({ messages: 4, firstSequence: 4, refused: judgesOnce ? [] : refused });
      expect(server.kept.map(({ text }) => text)).toEqual(['1', '3', '4', '7']);
      expect(client.stats).toMatchObject({ sent: 7, resent: 7, unackedMessages: 0 });
      if (judgesOnce) continue;
      expect(client.stats).toMatchObject({ acked: 4, refused: 3 });
      expect(events.filter(({ type }) => type === 'nack')).toMatchObject([
        { from: 2, to: 2 },
        { from: 5, to: 6 },
      ]);
    }
  });

  test('an ack of the first frame that comes again says nothing of the second', async () => {
    // Control: an ack that covers what has not come on its connection overtakes the nack.
    for (const acksUnheard of [false, true]) {
      const { server, connect, pass } = bed();
      server.refusal = (text) => (text === '3' ? 'nul_character' : undefined);
      server.acksUnheard = acksUnheard;
      const client = connect({ lingerMs: 0, batchMessages: 1 });
      await pass(10);
      server.losingNacks = 1;
      const outcomes = ['1', '2', '3'].map((text) => outcomeOf(client.sendText(text)));
      await pass(500, 5);
      expect(server.opened).toHaveLength(2);
      expect(settledAs(outcomes)).toEqual([
        'resolved',
        'resolved',
        acksUnheard ? 'resolved' : 'nul_character',
      ]);
    }
  });

  test('neither the welcome nor an ack settles what was not sent on its connection', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ ack: 'committed', lingerMs: 0 });
    await pass(10);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    const sent = outcomeOf(client.sendBatch(messages(1, 3)));
    await pass(50);
    server.loses = () => false;
    server.cut();
    server.credit = { messages: 0, bytes: 0 };
    await pass(500, 5);
    expect(client.state).toBe('paused');
    server.send({ t: 'ack', stored: 3, committed: 3, credit: server.credit });
    await pass(5);
    expect([sent.state, client.stats.acked, client.stats.resent]).toEqual(['pending', 0, 0]);
    server.flow({ messages: 10, bytes: 1_000 }, 'room');
    await pass(5);
    expect([sent.state, client.stats.acked, client.stats.resent]).toEqual(['resolved', 3, 3]);
  });

  test('what was refused before is refused again without a word', async () => {
    const { server, connect, pass, events } = bed();
    server.refusal = (text) => (text === '2' ? 'nul_character' : undefined);
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    const outcomes = ['1', '2', '3'].map((text) => outcomeOf(client.sendText(text)));
    await pass(20);
    expect(settledAs(outcomes)).toEqual(['pending', 'nul_character', 'pending']);
    server.loses = () => false;
    server.cut();
    await pass(500, 5);
    expect(settledAs(outcomes)).toEqual(['resolved', 'nul_character', 'resolved']);
    expect(client.stats).toMatchObject({ acked: 2, refused: 1, resent: 3, unackedMessages: 0 });
    expect(events.filter(({ type }) => type === 'nack')).toHaveLength(1);
  });

  test('what is sent again counts against the credit until it is acked again', async () => {
    const { server, connect, pass } = bed({ latencyMs: 5 });
    const client = connect({ lingerMs: 0 });
    await pass(20);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    const sent = outcomeOf(client.sendBatch(messages(1, 50)));
    await pass(50);
    expect(server.kept).toHaveLength(50);
    expect(server.peak.messages).toBe(50);
    server.loses = () => false;
    server.cut();
    server.credit = { messages: 7, bytes: 1_000 };
    server.peak.messages = 0;
    await pass(1_000, 5);
    expect(sent.state).toBe('resolved');
    expect(server.peak.messages).toBe(7);
    expect(server.kept.map(({ text }) => text)).toEqual(all(50));
    expect(server.violations).toEqual([]);
  });

  test('at the level none it is counted, though the promise has resolved', async () => {
    const { server, connect, pass } = bed();
    server.refusal = (text) => (text === '2' ? 'nul_character' : undefined);
    const client = connect({ ack: 'none', lingerMs: 0 });
    await pass(10);
    server.losingNacks = 1;
    const outcomes = ['1', '2', '3'].map((text) => outcomeOf(client.sendText(text)));
    await pass(500, 5);
    expect(settledAs(outcomes)).toEqual(['resolved', 'resolved', 'resolved']);
    expect(client.stats).toMatchObject({ resent: 3, acked: 2, refused: 1, unackedMessages: 0 });
  });
});

describe('a server that lost its memory', () => {
  test('unknown: it says so, and everything unacked comes again', async () => {
    const { server, connect, pass, events } = bed({ outbox: false, commitMs: 40 });
    const client = connect({ ack: 'committed', lingerMs: 0 });
    await pass(10);
    const first = outcomeOf(client.sendBatch(messages(1, 3)));
    await pass(60);
    expect(first.state).toBe('resolved');
    const second = outcomeOf(client.sendBatch(messages(4, 6)));
    await pass(10);
    server.restart();
    await pass(1_000, 5);
    expect(second.state).toBe('resolved');
    expect(server.kept.map(({ sequence, text }) => [sequence, text])).toEqual(
      all(6).map((text, index) => [index + 1, text]),
    );
    expect(events).toContainEqual({ type: 'unknown', epoch: server.epochOf('p'), next: 4 });
  });

  test('missing: it says what is gone, and goes on behind it', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    void client.sendBatch(messages(1, 6));
    await pass(50);
    server.rollBack(2);
    const sent = outcomeOf(client.sendText('{"i":7}'));
    await pass(500, 5);
    expect(sent.state).toBe('resolved');
    expect(events).toContainEqual({ type: 'missing', from: 5, to: 6 });
    expect(server.kept.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 7]);
  });

  test('what it stored and lost is sent again where it was not committed', async () => {
    const { server, connect, pass, events } = bed({ commitMs: 1_000 });
    const client = connect({ ack: 'committed', lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendBatch(messages(1, 6)));
    await pass(50);
    server.rollBack(2);
    await pass(5_000);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(all(6));
    expect(events.some(({ type }) => type === 'missing')).toBe(false);
    expect(client.stats.unackedMessages).toBe(0);
  });

  test('more than was sent from here: a copy of this client has, and the client ends instead of passing for it', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    void client.sendBatch(messages(1, 3));
    await pass(20);
    server.vanishing = 1;
    const sent = outcomeOf(client.sendText('{"i":4}'));
    await pass(5);
    server.cut();
    server.setProducer('p', server.epochOf('p'), 10);
    const unsent = outcomeOf(client.sendText('{"i":5}'));
    await pass(500, 5);
    expect([sent.code, unsent.code]).toEqual(['fate_unknown', 'fenced']);
    expect(events).toContainEqual({
      type: 'fenced',
      code: 'fenced',
      message: 'A copy of this client has sent in its epoch',
    });
    expect(client.unsettled()).toEqual({ inDoubt: ['{"i":4}'], unsent: ['{"i":5}'] });
    expect(server.kept).toHaveLength(3);
  });
});

describe('gaps and deferred batches', () => {
  test('one gap for each batch behind it: the client goes back once', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ lingerMs: 0, batchMessages: 2 });
    await pass(10);
    server.vanishing = 1;
    const sent = outcomeOf(client.sendBatch(messages(1, 8)));
    await pass(30);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual(all(8));
    expect(server.framesOf('batch').map((frame) => readBatch(frame).seq)).toEqual([1, 3, 5, 7, 1, 3, 5, 7]);
    expect(events.filter(({ type }) => type === 'gap')).toHaveLength(3);
    expect(client.stats).toMatchObject({ gaps: 3, resent: 8 });
  });

  test('a gap before what is stored makes it ask again from the beginning', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    void client.sendBatch(messages(1, 4));
    await pass(20);
    server.send({ t: 'gap', expected: 2, got: 9 });
    await pass(300);
    expect(server.opened).toHaveLength(2);
    expect(client.state).toBe('ready');
  });

  test('deferred: goes back to where the nack says and waits before it sends again', async () => {
    const { server, connect, pass, timers } = bed();
    const client = connect({ lingerMs: 0, batchMessages: 2 });
    await pass(10);
    server.deferring = 1;
    const sent = outcomeOf(client.sendBatch(messages(1, 6)));
    await pass(3);
    expect(client.state).toBe('paused');
    expect(server.framesOf('batch')).toHaveLength(3);
    const atMs = timers.now();
    await pass(10);
    expect(server.framesOf('batch')).toHaveLength(3);
    await pass(20);
    expect(timers.now() - atMs).toBe(30);
    expect(sent.state).toBe('resolved');
    expect(server.framesOf('batch').map((frame) => readBatch(frame).seq)).toEqual([1, 3, 5, 1, 3, 5]);
    expect(client.stats.deferred).toBe(1);
  });

  test('deferred after a part that came again: that part is not sent a third time', async () => {
    const { server, connect, pass } = bed();
    server.refusal = (text) => (text === '{"i":2}' ? 'nul_character' : undefined);
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.vanishing = 1;
    const sent = outcomeOf(client.sendBatch(messages(1, 6)));
    await pass(5);
    server.cut();
    server.setProducer('p', server.epochOf('p'), 4);
    server.deferring = 1;
    await pass(500, 5);
    expect(sent.value).toEqual({
      messages: 6,
      firstSequence: 1,
      refused: [{ index: 1, code: 'nul_character', message: 'no' }],
    });
    expect(server.framesOf('batch').map((frame) => readBatch(frame).seq)).toEqual([1, 1, 5]);
    expect(client.stats).toMatchObject({ acked: 5, refused: 1, unackedMessages: 0 });
  });

  test('deferred: a flow that there is room ends the wait', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.deferring = 8;
    const sent = outcomeOf(client.sendText('1'));
    await pass(3_000, 5);
    server.deferring = 0;
    expect(client.state).toBe('paused');
    const before = server.framesOf('batch').length;
    // The pauses have grown: no more than 8 tries in 3 s, and more than one.
    expect(before).toBeGreaterThan(3);
    expect(before).toBeLessThan(9);
    server.flow({ messages: 100, bytes: 1_000 }, 'room');
    await pass(10);
    expect(sent.state).toBe('resolved');
  });

  test('deferred: an ack that moves ends the wait', async () => {
    const { server, connect, pass } = bed({ storeMs: 3 });
    const client = connect({ lingerMs: 0, batchMessages: 2 });
    await pass(10);
    void client.sendBatch(messages(1, 2));
    await pass(1);
    server.deferring = 1;
    // Held for 15 ms; the ack of the first comes 3 ms later.
    void client.sendBatch(messages(3, 4));
    await pass(8);
    expect(server.framesOf('batch').map((frame) => readBatch(frame).seq)).toEqual([1, 3, 3]);
  });

  test('what was refused stays refused when it has to be sent again', async () => {
    const { server, connect, pass } = bed({ storeMs: 30 });
    server.refusal = (text) => (text === '2' ? 'invalid_json' : undefined);
    const client = connect({ lingerMs: 0 });
    await pass(10);
    const outcomes = ['1', '2', '3'].map((text) => outcomeOf(client.sendText(text)));
    await pass(5);
    expect(outcomes.map(({ state }) => state)).toEqual(['pending', 'rejected', 'pending']);
    server.restart();
    await pass(500, 5);
    expect(outcomes.map(({ state }) => state)).toEqual(['resolved', 'rejected', 'resolved']);
    expect(server.framesOf('batch').map((frame) => readBatch(frame).texts)).toEqual([
      ['1', '2', '3'],
      ['1', '2', '3'],
    ]);
    expect(client.stats).toMatchObject({ refused: 1, acked: 2, unackedMessages: 0 });
  });

  test('a frame that cannot be read: connects again three times, then fails', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ lingerMs: 0 });
    const sent = outcomeOf(client.flush());
    for (let times = 1; times <= 4; times += 1) {
      await pass(5_000, 5);
      expect(client.state).toBe('ready');
      server.send({ t: 'nack', code: 'unknown_type', temporary: false, message: 'what is that' });
    }
    const last = outcomeOf(client.sendText('1'));
    await pass(5_000, 5);
    expect(client.state).toBe('closed');
    expect(sent.state).toBe('resolved');
    expect(last.code).toBe('unknown_type');
    expect(events.filter(({ type }) => type === 'protocol-error')).toHaveLength(4);
  });

  test('frames of the server that nobody knows are ignored, a welcome that cannot be right is not', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    for (const frame of [
      { t: 'news' },
      { t: 'ack' },
      { t: 'ack', stored: -1, credit: 'much' },
      { t: 'gap' },
      { t: 'welcome' },
    ]) {
      server.send(frame);
    }
    server.send({ t: 'ack', stored: 1_000_000, committed: 1_000_000, credit: server.credit });
    await pass(5);
    const sent = outcomeOf(client.sendText('1'));
    await pass(1);
    expect([sent.state, client.stats.acked]).toEqual(['pending', 0]);
    await pass(20);
    expect([sent.state, client.stats.acked]).toEqual(['resolved', 1]);
    expect(server.opened).toHaveLength(1);
    server.limits = { ...server.limits, frameBytes: 0 };
    server.cut();
    await pass(60_000, 10);
    expect(client.state).toBe('closed');
  });
});

describe('a connection that is dead, slow or draining', () => {
  test('is asked after 25 s of silence, and given up 10 s later', async () => {
    const { server, connect, pass } = bed();
    const client = connect();
    await pass(10);
    await pass(60_000);
    expect(server.received.filter((frame) => frame === 'ping')).toHaveLength(2);
    expect(server.opened).toHaveLength(1);
    server.isSilent = true;
    await pass(24_000);
    expect(client.state).toBe('ready');
    await pass(13_000);
    expect(client.state).toBe('connecting');
    server.isSilent = false;
    await pass(15_000);
    expect(client.state).toBe('ready');
  });

  test('a handshake has 10 s', async () => {
    const { server, connect, pass } = bed();
    server.isDeafToHello = true;
    const client = connect();
    await pass(9_000);
    expect(server.opened).toHaveLength(1);
    server.isDeafToHello = false;
    await pass(3_000);
    expect(server.opened).toHaveLength(2);
    expect(client.state).toBe('ready');
  });

  test('an ack that is late is asked for once', async () => {
    const { server, connect, pass } = bed({ commitMs: 30_000 });
    const client = connect({ ack: 'committed', lingerMs: 0 });
    await pass(10);
    const sent = outcomeOf(client.sendText('1'));
    await pass(20_000);
    expect(server.framesOf('ping')).toHaveLength(1);
    await pass(15_000);
    expect(sent.state).toBe('resolved');
    expect(server.opened).toHaveLength(1);
  });

  test('a lost ack is recovered by it', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.loses = (frame) => frame.startsWith('{"t":"ack"');
    const sent = outcomeOf(client.sendText('1'));
    await pass(100);
    server.loses = () => false;
    await pass(7_000);
    expect(sent.state).toBe('resolved');
    expect(server.opened).toHaveLength(1);
    expect(client.stats.resent).toBe(0);
  });

  test('a batch that vanished with nothing behind it is found out by a new connection', async () => {
    const { server, connect, pass } = bed();
    const client = connect({ lingerMs: 0 });
    await pass(10);
    server.vanishing = 1;
    const sent = outcomeOf(client.sendText('1'));
    await pass(29_000);
    expect(sent.state).toBe('pending');
    await pass(3_000);
    expect(sent.state).toBe('resolved');
    expect(server.opened).toHaveLength(2);
  });

  test('answers the ping of the server', async () => {
    const { server, connect, pass } = bed();
    connect();
    await pass(10);
    server.send({ t: 'ping', id: 7 });
    await pass(5);
    expect(server.framesOf('pong')).toEqual(['{"t":"pong","id":7}']);
  });

  test('drain: sends no more, and comes back after a random time', async () => {
    const { server, connect, pass, events } = bed({ storeMs: 20 });
    const client = connect({ lingerMs: 0, random: () => 0.5 });
    await pass(10);
    const before = outcomeOf(client.sendText('1'));
    await pass(2);
    server.drain(3_000);
    await pass(2);
    const after = outcomeOf(client.sendText('2'));
    expect(client.state).toBe('paused');
    await pass(200);
    expect([before.state, after.state]).toEqual(['resolved', 'pending']);
    expect(server.framesOf('batch')).toHaveLength(1);
    await pass(1_250, 10);
    expect(server.opened).toHaveLength(1);
    await pass(100);
    expect(after.state).toBe('resolved');
    expect(events).toContainEqual({ type: 'drain', retryMs: 3_000 });
  });

  test('drain: is no failure, and pauses do not grow', async () => {
    const { server, connect, pass, events } = bed();
    const client = connect({ random: () => 0.999 });
    for (let times = 0; times < 6; times += 1) {
      await pass(1_100, 10);
      expect(client.state).toBe('ready');
      server.drain(1_000);
    }
    await pass(1_100, 10);
    server.cut();
    await pass(10);
    const waits = events.flatMap((event) => (event.type === 'disconnected' ? [event.retryMs] : []));
    expect(waits.slice(0, -1).every((ms) => ms <= 1_000)).toBe(true);
    // The first failure.
    expect(waits.at(-1)).toBe(250);
  });

  test.each([0, 3_000])('drain within %s ms: comes back even when the close gets lost', async (retryMs) => {
    const { server, connect, pass } = bed();
    const client = connect({ random: () => 0.5 });
    await pass(10);
    server.send({ t: 'drain', retryMs });
    await pass(retryMs / 2 + 20);
    expect(server.opened).toHaveLength(2);
    expect(client.state).toBe('ready');
  });

  test('a server that answers without the subprotocol never gets a frame: it would store the hello', async () => {
    const { server, connect, pass } = bed();
    server.subprotocol = '';
    const client = connect();
    await pass(5_000);
    expect(server.received).toEqual([]);
    expect(server.opened.length).toBeGreaterThan(1);
    server.subprotocol = 'sluice.v1';
    await pass(10_000);
    expect(client.state).toBe('ready');
  });

  test('a socket that cannot be opened, or takes no frame, is tried again', async () => {
    const { server, connect, pass } = bed();
    let failing = 2;
    const client = connect({
      lingerMs: 0,
      openSocket: (url, protocol) => {
        failing -= 1;
        if (failing >= 0) throw new Error('no socket today');
        return server.open(url, protocol);
      },
    });
    await pass(2_000, 5);
    expect(client.state).toBe('ready');
    const [socket] = server.sockets;
    if (socket === undefined) throw new Error('no socket');
    socket.failure = new Error('closed already');
    const sent = outcomeOf(client.sendText('1'));
    await pass(1_000);
    expect(sent.state).toBe('resolved');
    expect(server.sockets).toHaveLength(2);
  });

  test('an error that no close follows ends the connection', async () => {
    const { server, connect, pass } = bed();
    connect();
    await pass(10);
    server.sockets[0]?.fail();
    await pass(5_000);
    expect(server.opened).toHaveLength(2);
  });
});
