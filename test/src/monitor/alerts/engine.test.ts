/** From conditions to what is told: groups, flapping, silences, names, and an object that is evicted at any moment. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_HISTORY } from '../../../../src/monitor/alerts/alert-table.ts';
import type { AlertView } from '../../../../src/monitor/view.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';
import { Deployment, dataOf, SECRET, type ShardNow, START_MS, UNREACHABLE } from './support.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;

const WELL: ShardNow = {};
const STOPPED: ShardNow = { state: 'stopped', waiting: 7 };

function alertsOf(body: Record<string, unknown>): AlertView[] {
  return dataOf(body).alerts as AlertView[];
}

describe('an outage of Postgres', () => {
  test('is told within 15 s of its beginning, and its end within 15 s of the first success', async () => {
    const deployment = new Deployment();
    await deployment.run(5 * MINUTE, () => ({ waiting: 40 }));
    const goneAtMs = deployment.nowMs;
    // The shard says at once that it retries, and then every ten seconds.
    for (let ago = 0; ago < 60_000; ago += 10_000) {
      deployment.report({
        state: 'retrying',
        stateSinceMs: goneAtMs,
        committedAtMs: goneAtMs,
        waiting: 100 + ago / 100,
        oldestMs: ago,
        fault: UNREACHABLE,
      });
      await deployment.pass(10_000);
    }
    deployment.report(WELL);
    const backAtMs = deployment.nowMs;
    await deployment.pass(MINUTE);
    const [first, ...others] = deployment.received;
    const last = others.at(-1);
    expect(deployment.told()).toEqual(['firing SluiceNotCommitting', 'resolved SluiceNotCommitting']);
    expect(Number(first?.atMs) - goneAtMs).toBeLessThanOrEqual(7_000);
    expect(Number(last?.atMs) - backAtMs).toBeLessThanOrEqual(4_000);
    expect(dataOf(last?.body ?? {}).title).toMatch(
      /^trades, shard 0: SluiceNotCommitting is over, it lasted 5\d s$/,
    );
    expect(deployment.events.map(({ kind, code, message }) => [kind, code, message])).toEqual([
      [
        'alert',
        'SluiceNotCommitting',
        expect.stringMatching(/^SluiceNotCommitting fires \(page\): trades, shard 0: no batch/),
      ],
      ['alert', 'SluiceNotCommitting', expect.stringMatching(/^SluiceNotCommitting is over after 5\d s: /)],
    ]);
  });

  test('of which no report comes but those of every ten seconds, as a host that swallows everything, is told within 15 s', async () => {
    const deployment = new Deployment();
    await deployment.run(2 * MINUTE, () => ({ waiting: 40 }));
    const goneAtMs = deployment.nowMs;
    // The worst moment: it was gone just after the last report.
    await deployment.run(20_000, (passedMs) => ({
      waiting: 40,
      oldestMs: passedMs,
      committedAtMs: goneAtMs,
      triedAtMs: goneAtMs + 10,
    }));
    expect(deployment.told()).toEqual(['firing SluiceNotCommitting']);
    expect(Number(deployment.received[0]?.atMs) - goneAtMs).toBeLessThanOrEqual(15_000);
  });
});

describe('shards of one sink', () => {
  test('that fail together are one message, and one when all are back', async () => {
    const deployment = new Deployment();
    for (let shard = 0; shard < 4; shard += 1) {
      deployment.report({ ...STOPPED, waiting: shard }, 'trades', shard);
      await deployment.pass(200);
    }
    deployment.report(STOPPED, 'readings', 0);
    await deployment.pass(5_000);
    expect(deployment.received.map(({ body }) => [body.type, dataOf(body).sink])).toEqual([
      ['alert.firing', 'trades'],
      ['alert.firing', 'readings'],
    ]);
    const [trades] = deployment.received;
    expect(dataOf(trades?.body ?? {}).title).toBe('trades, 4 shards: it has stopped, 0 messages wait');
    expect(alertsOf(trades?.body ?? {}).map(({ shard }) => shard)).toEqual([0, 1, 2, 3]);
    expect(new Set(alertsOf(trades?.body ?? {}).map(({ id }) => id)).size).toBe(4);

    for (let shard = 0; shard < 4; shard += 1) {
      deployment.report(WELL, 'trades', shard);
      await deployment.pass(10_000);
      expect(deployment.received).toHaveLength(shard === 3 ? 3 : 2);
    }
    const over = deployment.received[2]?.body ?? {};
    expect([over.type, dataOf(over).incident]).toEqual([
      'alert.resolved',
      dataOf(trades?.body ?? {}).incident,
    ]);
    expect(alertsOf(over).map(({ state }) => state)).toEqual([
      'resolved',
      'resolved',
      'resolved',
      'resolved',
    ]);
  });

  test('that fail later are told as they join, under the same incident', async () => {
    const deployment = new Deployment();
    deployment.report(STOPPED, 'trades', 0);
    await deployment.pass(MINUTE);
    deployment.report(STOPPED, 'trades', 1);
    await deployment.pass(MINUTE);
    expect(deployment.told()).toEqual(['firing SluiceSinkStopped', 'firing SluiceSinkStopped']);
    const [first, second] = deployment.received.map(({ body }) => dataOf(body));
    expect(second?.incident).toBe(first?.incident);
    expect(second?.id).not.toBe(first?.id);
  });

  test('that are back before they were told are not told at all', async () => {
    const deployment = new Deployment({
      options: {
        webhooks: [{ url: 'https://alerts.example.com/', secret: SECRET }],
        rules: { SluiceSinkStopped: { keepFiring: 0 } },
      },
    });
    deployment.report(STOPPED);
    await deployment.pass(600);
    expect(deployment.firing()).toEqual(['SluiceSinkStopped']);
    deployment.report(WELL);
    await deployment.pass(HOUR);
    expect(deployment.received).toEqual([]);
    expect(deployment.alerts.history()).toHaveLength(1);
  });
});

test('more than twenty shards are counted, not spelled out', async () => {
  const deployment = new Deployment();
  for (let shard = 0; shard < 256; shard += 1) deployment.report(STOPPED, 'trades', shard);
  await deployment.pass(5_000);
  expect(deployment.received).toHaveLength(1);
  const { alerts, moreAlerts, title } = dataOf(deployment.received[0]?.body ?? {});
  expect([(alerts as unknown[]).length, moreAlerts, title]).toEqual([
    20,
    236,
    'trades, 256 shards: it has stopped, 7 messages wait',
  ]);
  expect(deployment.received[0]?.text.length).toBeLessThan(20_000);
});

test('what comes and goes is damped: an hour of a fault every forty seconds is a few messages', async () => {
  const deployment = new Deployment();
  await deployment.run(HOUR, (passedMs) => (passedMs % 40_000 < 20_000 ? STOPPED : WELL));
  // Undamped it would be one message every twenty seconds.
  expect(deployment.received.length).toBeGreaterThanOrEqual(5);
  expect(deployment.received.length).toBeLessThanOrEqual(12);
  expect(deployment.firing()).toEqual(['SluiceSinkStopped']);
  await deployment.run(20 * MINUTE, () => WELL);
  expect(deployment.firing()).toEqual([]);
  // The next fault, much later, is over as quickly as the first.
  await deployment.run(30 * MINUTE, () => WELL);
  await deployment.run(20_000, () => STOPPED);
  await deployment.run(10_000, () => WELL);
  expect(deployment.firing()).toEqual([]);
});

test('a condition that does not last is pending, and nobody hears of it', async () => {
  const deployment = new Deployment();
  await deployment.run(20_000, () => ({ waiting: 6_000 }));
  expect(deployment.find('SluiceQueueHalfFull')).toMatchObject({ state: 'pending', firedAtMs: null });
  await deployment.run(MINUTE, () => WELL);
  expect(deployment.alerts.current()).toEqual([]);
  expect(deployment.alerts.history()).toEqual([]);
  expect(deployment.received).toEqual([]);
});

describe('a silence', () => {
  test('keeps alerts from being told until it ends; they are shown, with its end', async () => {
    const deployment = new Deployment();
    const silence = deployment.alerts.silence({ sink: 'trades', forMs: HOUR, by: 'Ann' });
    expect(deployment.alerts.silences()).toEqual([silence]);
    deployment.report(STOPPED);
    deployment.report(STOPPED, 'readings');
    await deployment.pass(30 * MINUTE);
    expect(deployment.received.map(({ body }) => dataOf(body).sink)).toEqual(['readings']);
    expect(deployment.alerts.current().map(({ sink, silencedUntilMs }) => [sink, silencedUntilMs])).toEqual([
      ['trades', START_MS + HOUR],
      ['readings', null],
    ]);
    await deployment.pass(31 * MINUTE);
    expect(deployment.received.map(({ body }) => dataOf(body).sink)).toEqual(['readings', 'trades']);
    expect(deployment.alerts.silences()).toEqual([]);
  });

  test('that outlasts the alert: it is in the history, and its end is not told either', async () => {
    const deployment = new Deployment();
    deployment.alerts.silence({ rule: 'SluiceSinkStopped', forMs: HOUR, by: 'Ann' });
    deployment.report(STOPPED);
    await deployment.pass(10 * MINUTE);
    deployment.report(WELL);
    await deployment.pass(2 * HOUR);
    expect(deployment.received).toEqual([]);
    expect(deployment.alerts.history().map(({ rule }) => rule)).toEqual(['SluiceSinkStopped']);
  });

  test('of what was told already: its end is told', async () => {
    const deployment = new Deployment();
    deployment.report(STOPPED);
    await deployment.pass(MINUTE);
    deployment.alerts.silence({ forMs: HOUR, by: 'Ann' });
    deployment.report(WELL);
    await deployment.pass(MINUTE);
    expect(deployment.told()).toEqual(['firing SluiceSinkStopped', 'resolved SluiceSinkStopped']);
  });

  test('is ended by one of no length, survives an eviction, and is bounded', async () => {
    const deployment = new Deployment();
    deployment.alerts.silence({ sink: 'trades', shard: 0, forMs: HOUR, by: 'Ann' });
    deployment.restart();
    deployment.report(STOPPED);
    await deployment.pass(MINUTE);
    expect(deployment.received).toEqual([]);
    deployment.alerts.silence({ sink: 'trades', shard: 0, forMs: 0, by: 'Bob' });
    await deployment.pass(MINUTE);
    expect(deployment.told()).toEqual(['firing SluiceSinkStopped']);
    for (let count = 0; count < 100; count += 1)
      deployment.alerts.silence({ sink: `sink-${count}`, forMs: HOUR, by: 'Ann' });
    expect(() => deployment.alerts.silence({ sink: 'one-more', forMs: HOUR, by: 'Ann' })).toThrow(
      /100 silences/,
    );
    // One about the same takes its place, and those that have ended make room.
    deployment.alerts.silence({ sink: 'sink-7', forMs: 2 * HOUR, by: 'Bob' });
    await deployment.pass(90 * MINUTE);
    expect(deployment.alerts.silences().map(({ sink }) => sink)).toEqual(['sink-7']);
    deployment.alerts.silence({ sink: 'one-more', forMs: HOUR, by: 'Ann' });
  });

  test.each([
    [{ rule: 'SluiceNothing', forMs: 1, by: 'Ann' }, /no rule "SluiceNothing"/],
    [{ forMs: -1, by: 'Ann' }, /from 0 to 2592000 seconds/],
    [{ forMs: Number.NaN, by: 'Ann' }, /from 0 to/],
    [{ forMs: 1, by: ' ' }, /who you are/],
  ])('of %j is refused', (request, why) => {
    expect(() => new Deployment().alerts.silence(request)).toThrow(why);
  });
});

describe('an alert that somebody acknowledges', () => {
  test('has the name, also after an eviction, and its receivers hear of it once', async () => {
    const deployment = new Deployment();
    deployment.report(STOPPED);
    await deployment.pass(MINUTE);
    const [alert] = deployment.alerts.current();
    expect(deployment.alerts.acknowledge(alert?.id ?? '', 'Ann').acknowledgedBy).toBe('Ann');
    await deployment.alerts.deliver();
    deployment.restart();
    expect(deployment.alerts.current()[0]).toMatchObject({ id: alert?.id, acknowledgedBy: 'Ann' });
    deployment.report(WELL);
    await deployment.pass(MINUTE);
    expect(deployment.told()).toEqual([
      'firing SluiceSinkStopped',
      'acknowledged SluiceSinkStopped',
      'resolved SluiceSinkStopped',
    ]);
    expect(deployment.received.map(({ body }) => dataOf(body).by)).toEqual([null, 'Ann', null]);
    expect(deployment.alerts.history()[0]).toMatchObject({ acknowledgedBy: 'Ann' });
  });

  test('that is not there, or without a name, is refused', () => {
    const { alerts } = new Deployment();
    expect(() => alerts.acknowledge('nothing', 'Ann')).toThrow(/no alert "nothing"/);
    expect(() => alerts.acknowledge('nothing', '')).toThrow(/who you are/);
  });
});

describe('what is kept', () => {
  test('is the last 500 alerts of 90 days', async () => {
    const deployment = new Deployment({
      options: { rules: { SluiceSinkStopped: { keepFiring: 0 } } },
    });
    for (let count = 0; count < MAX_HISTORY + 20; count += 1) {
      deployment.report(STOPPED, 'trades', count % 200);
      await deployment.pass(1_000);
      deployment.forget('trades', count % 200);
      // It flaps: shards that are gone end only some time later.
      await deployment.pass(11 * MINUTE);
    }
    expect(deployment.alerts.history()).toHaveLength(MAX_HISTORY);
    expect(deployment.alerts.history(3)).toHaveLength(3);
    await deployment.pass(91 * 24 * HOUR);
    deployment.report(STOPPED);
    await deployment.pass(1_000);
    deployment.report(WELL);
    await deployment.pass(1_000);
    expect(deployment.alerts.history()).toHaveLength(1);
  });

  test('costs no row while nothing changes its state', async () => {
    const deployment = new Deployment();
    deployment.report({ dead: 3 });
    deployment.report(STOPPED, 'readings');
    await deployment.pass(2 * MINUTE);
    const before = deployment.sqlite.rowsWritten;
    for (let minute = 0; minute < 10; minute += 1) {
      await deployment.run(MINUTE, () => ({ dead: 3, waiting: minute }));
      deployment.report({ ...STOPPED, waiting: 7 + minute }, 'readings');
    }
    expect(deployment.sqlite.rowsWritten).toBe(before);
    // The control.
    deployment.report({ dead: 4 });
    expect(deployment.sqlite.rowsWritten).toBeGreaterThan(before);
  });

  test('is the whole state: an eviction at each moment of an outage changes nothing of what is told', async () => {
    const story = async (restartsAt: number): Promise<string[]> => {
      const deployment = new Deployment();
      await deployment.run(30_000, () => ({ waiting: 6_000 }));
      for (let step = 0; step < 40; step += 1) {
        if (step === restartsAt) deployment.restart();
        deployment.report(
          step < 20 ? { ...STOPPED, waiting: 6_000, dead: step > 10 ? 5 : 0 } : { dead: 5, deadKept: 5 },
        );
        await deployment.pass(5_000);
      }
      await deployment.pass(20 * MINUTE);
      return deployment.told();
    };
    const expected = await story(-1);
    expect(expected).toContain('resolved SluiceDeadLetters');
    for (let at = 0; at < 40; at += 3) expect([at, await story(at)]).toEqual([at, expected]);
  });

  test('knows the dead letters that were told: a restart is no news, and old ones of a new monitor are', async () => {
    const deployment = new Deployment();
    deployment.report({ dead: 3 });
    await deployment.pass(30 * MINUTE);
    deployment.restart();
    deployment.report({ dead: 3 });
    await deployment.pass(30 * MINUTE);
    expect(deployment.told()).toEqual(['firing SluiceDeadLetters', 'resolved SluiceDeadLetters']);
    deployment.report({ dead: 5 });
    await deployment.pass(2_000);
    expect(deployment.find('SluiceDeadLetters')?.message).toMatch(
      /2 messages have become dead letters; 5 are kept/,
    );
  });
});

test('nothing has to be looked at, and no alarm to be set, while all is well or asleep', async () => {
  const deployment = new Deployment();
  deployment.report({ waiting: 0 });
  deployment.report({ isLast: true, dead: 0 }, 'readings');
  expect(deployment.alerts.nextDueMs()).toBeUndefined();
});

interface Act {
  shard: number;
  now: ShardNow;
  waitMs: number;
  restart: boolean;
  silence: boolean;
  answer: number;
}

const someAct: fc.Arbitrary<Act> = fc.record({
  shard: fc.integer({ min: 0, max: 2 }),
  now: fc.constantFrom<ShardNow>(
    WELL,
    WELL,
    STOPPED,
    { state: 'paused', waiting: 3, oldestMs: 90_000 },
    { state: 'retrying', waiting: 9_900, oldestMs: 30_000, committedAtMs: 0 },
    { waiting: 6_000, dead: 900 },
    { isLast: true },
  ),
  waitMs: fc.constantFrom(10, 700, 4_000, 11_000, 70_000, 400_000),
  restart: fc.boolean(),
  silence: fc.boolean(),
  answer: fc.constantFrom(200, 200, 204, 500, 429, 404),
});

test('whatever happens: each alert that fires ends once, ids are unique, and nothing is told out of its order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someAct, { maxLength: 25 }), async (acts) => {
      let status = 200;
      const accepted: Record<string, unknown>[] = [];
      const sqlite = new NodeSqlite();
      const deployment = new Deployment({
        sqlite,
        answer: ({ body }) => {
          if (status < 300) accepted.push(body);
          return new Response(null, { status });
        },
      });
      const states = new Map<string, string[]>();
      const look = (): void => {
        for (const { id, state } of [...deployment.alerts.current(), ...deployment.alerts.history()]) {
          const seen = states.get(id) ?? [];
          if (seen.at(-1) !== state) states.set(id, [...seen, state]);
        }
      };
      for (const { shard, now, waitMs, restart, silence, answer } of acts) {
        status = answer;
        if (silence) deployment.alerts.silence({ shard, forMs: waitMs * 3, by: 'Ann' });
        deployment.report(now, 'trades', shard);
        look();
        if (restart) deployment.restart();
        await deployment.pass(waitMs);
        look();
      }
      status = 204;
      for (let shard = 0; shard < 3; shard += 1) deployment.report(WELL, 'trades', shard);
      await deployment.pass(48 * HOUR);
      look();
      // Every one is over, and was so once: no state came again.
      for (const [id, seen] of states) {
        const order = ['pending', 'firing', 'resolved'].filter((state) => seen.includes(state));
        expect([id, seen]).toEqual([id, order]);
        if (seen.includes('firing')) expect(seen.at(-1)).toBe('resolved');
      }
      expect(deployment.alerts.current()).toEqual([]);
      expect(deployment.alerts.nextDueMs()).toBeUndefined();
      expect(deployment.alerts.receivers()[0]?.waiting).toBe(0);

      // A receiver takes each change once. Its incidents begin, may go on, and end once.
      const ids = accepted.map((body) => dataOf(body).id);
      expect(new Set(ids).size).toBe(ids.length);
      const incidents = new Map<unknown, string[]>();
      for (const body of accepted) {
        const { incident } = dataOf(body);
        incidents.set(incident, [...(incidents.get(incident) ?? []), String(body.type)]);
      }
      for (const types of incidents.values()) {
        expect(types.at(0)).toBe('alert.firing');
        expect(types.indexOf('alert.resolved')).toBe(types.length - 1);
      }
      // A retry is the same message: the same id and the same text.
      const texts = new Map<unknown, string>();
      for (const { body, text } of deployment.received) {
        expect(texts.get(dataOf(body).id) ?? text).toBe(text);
        texts.set(dataOf(body).id, text);
      }
    }),
    { numRuns: 60 },
  );
});
