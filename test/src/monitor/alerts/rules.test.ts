/** Every default rule fires, holds and is over, by a clock that the test moves; and a steady hour is silent. */

import { describe, expect, test } from 'vitest';
import { ExponentialHistogram } from '../../../../src/core/exponential-histogram.ts';
import { ALERT_RULES } from '../../../../src/monitor/alerts/rules.ts';
import { METRICS } from '../../../../src/monitor/metrics.ts';
import { DEAD_LIMIT, Deployment, databaseOf, LIMIT_MESSAGES, type ShardNow, UNREACHABLE } from './support.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;

/** How a rule's condition looks, how the world looks when it is over, and the figures that its message has. */
interface Story {
  /** The condition holds, from the first call on. */
  bad: (passedMs: number) => ShardNow;
  /** It still holds for the end of the alert, but would not make it fire. Left out: there is nothing between. */
  between?: (passedMs: number) => ShardNow;
  good: (passedMs: number) => ShardNow;
  /** How long it takes to fire at most, and to be over. */
  firesInMs: number;
  endsInMs: number;
  says: RegExp;
}

const OUTAGE_SINCE = (passedMs: number): ShardNow => ({
  state: 'retrying',
  waiting: 500,
  oldestMs: passedMs,
  fault: UNREACHABLE,
});

const STORIES: Record<string, (deployment: Deployment) => Story> = {
  SluiceNotCommitting: (deployment) => {
    const { nowMs } = deployment;
    return {
      bad: (passedMs) => ({ ...OUTAGE_SINCE(passedMs), stateSinceMs: nowMs, committedAtMs: nowMs }),
      // It has given up on its own: the messages still wait.
      between: (passedMs) => ({
        state: 'paused',
        waiting: 500,
        oldestMs: passedMs + HOUR,
        committedAtMs: nowMs,
      }),
      good: () => ({}),
      firesInMs: 6_100,
      endsInMs: 4_000,
      says: /^trades, shard 0: no batch has succeeded for \d+ s, 500 messages wait: .*\(database_unreachable\)$/,
    };
  },
  SluiceSinkPaused: () => ({
    bad: () => ({
      state: 'paused',
      waiting: 1,
      fault: {
        ...UNREACHABLE,
        code: 'database_refused',
        message: 'column "price" does not exist',
        details: {
          by: 'postgres',
          sqlState: '42703',
          detail: null,
          hint: null,
          table: null,
          column: null,
          constraint: null,
        },
      },
    }),
    // The next try, which may fail again.
    between: () => ({ state: 'retrying', waiting: 1, oldestMs: MINUTE, committedAtMs: 0 }),
    good: () => ({}),
    firesInMs: 1_100,
    endsInMs: 4_000,
    says: /^trades, shard 0: it is paused, 1 message waits: column "price" does not exist \(42703\)$/,
  }),
  SluiceSinkStopped: () => ({
    bad: () => ({ state: 'stopped', waiting: 3 }),
    good: () => ({}),
    firesInMs: 1_100,
    endsInMs: 4_000,
    says: /it has stopped, 3 messages wait$/,
  }),
  SluiceQueueOld: ({ nowMs }) => ({
    bad: (passedMs) => ({ waiting: 10, oldestMs: passedMs + 2 * MINUTE }),
    between: () => ({ waiting: 10, oldestMs: 40_000 }),
    good: () => ({ waiting: 10, oldestMs: 10_000, committedAtMs: nowMs }),
    firesInMs: 1_100,
    endsInMs: 31_000,
    says: /the oldest message has waited for \d+ (s|min), 10 messages wait$/,
  }),
  SluiceQueueHalfFull: () => ({
    bad: () => ({ waiting: 0.62 * LIMIT_MESSAGES }),
    between: () => ({ waiting: 0.45 * LIMIT_MESSAGES }),
    good: () => ({ waiting: 0.3 * LIMIT_MESSAGES }),
    firesInMs: 31_100,
    endsInMs: 61_000,
    says: /the queue is 62 % full$/,
  }),
  SluiceQueueFullSoon: () => ({
    bad: (passedMs) => ({ waiting: 0.11 * LIMIT_MESSAGES + (passedMs / MINUTE) * 0.045 * LIMIT_MESSAGES }),
    good: () => ({ waiting: 100 }),
    firesInMs: 190_100,
    endsInMs: 10 * MINUTE,
    says: /the queue is \d+ % full, and at this rate is full in \d+ min$/,
  }),
  SluiceQueueFull: () => ({
    bad: () => ({ waiting: 0.99 * LIMIT_MESSAGES }),
    between: () => ({ waiting: 0.8 * LIMIT_MESSAGES }),
    good: () => ({ waiting: 0.1 * LIMIT_MESSAGES }),
    firesInMs: 6_100,
    endsInMs: 31_000,
    says: /the queue is full \(99 %\), 9,900 messages wait$/,
  }),
  SluiceErrorRateHigh: () => ({
    bad: (passedMs) => ({
      received: passedMs,
      refused: { invalid_json: passedMs / 50, rate_limited: passedMs / 2 },
    }),
    good: (passedMs) => ({ received: 20 * HOUR + passedMs, refused: { invalid_json: HOUR } }),
    firesInMs: 130_100,
    endsInMs: 7 * MINUTE,
    says: /2 % of the messages of the last five minutes became dead letters or were refused \([\d,]+\)$/,
  }),
  SluiceAckSlow: () => {
    const slow = new ExponentialHistogram();
    const quick = new ExponentialHistogram();
    const add = (histogram: ExponentialHistogram, ms: number): ExponentialHistogram => {
      for (let count = 0; count < 100; count += 1) histogram.record(ms / 1_000);
      return histogram;
    };
    return {
      bad: () => ({ ack: add(slow, 8_000) }),
      good: () => ({ ack: add(quick, 9), sinceMs: 1 }),
      firesInMs: 7 * MINUTE + 20_000,
      endsInMs: 4 * MINUTE,
      says: /1 % of the acks take longer than \d s$/,
    };
  },
  SluiceDeadLetters: () => ({
    bad: (passedMs) => ({ dead: 1 + Math.floor(passedMs / MINUTE) }),
    good: () => ({ dead: 1_000, deadKept: 0 }),
    firesInMs: 1_100,
    endsInMs: 16 * MINUTE,
    says: /1 message has become dead letters; 1 are kept$/,
  }),
  SluiceDeadLettersNearFull: () => ({
    bad: () => ({ dead: 0.85 * DEAD_LIMIT }),
    between: () => ({ dead: 0.75 * DEAD_LIMIT }),
    good: () => ({ dead: 850, deadKept: 10 }),
    firesInMs: 1_100,
    endsInMs: 61_000,
    says: /850 dead letters take 85 % of the room for them; when it is full, the sink pauses$/,
  }),
  SluicePoolSaturated: ({ nowMs }) => ({
    bad: () => ({ busy: 2, waiting: 100, oldestMs: 8_000 }),
    between: () => ({ busy: 2, waiting: 100, oldestMs: 4_000 }),
    good: () => ({ busy: 2, waiting: 100, oldestMs: 900, committedAtMs: nowMs }),
    firesInMs: 121_100,
    endsInMs: 31_000,
    says: /all 2 connections are busy, and the oldest message has waited for 8 s$/,
  }),
};

describe('the rule', () => {
  test.each(Object.keys(STORIES))('%s fires, holds for hours, and is over', async (rule) => {
    const deployment = new Deployment();
    const { bad, between, good, firesInMs, endsInMs, says } = (STORIES[rule] as (typeof STORIES)[string])(
      deployment,
    );
    const since = deployment.nowMs;
    // No earlier than it has to, and at its time.
    let firedAtMs = 0;
    await deployment.run(firesInMs, (passedMs) => {
      if (firedAtMs === 0 && deployment.firing().includes(rule)) firedAtMs = deployment.nowMs;
      return bad(passedMs);
    });
    const alert = deployment.find(rule);
    expect(alert).toMatchObject({ rule, state: 'firing', sink: 'trades', shard: 0 });
    expect(alert?.message).toMatch(says);
    expect(Number(alert?.firedAtMs) - since).toBeLessThanOrEqual(firesInMs);
    const forMs = 1_000 * (ALERT_RULES.find(({ name }) => name === rule)?.forSeconds ?? 0);
    expect(Number(alert?.firedAtMs) - since).toBeGreaterThanOrEqual(forMs);

    const heldMs = 1.5 * HOUR;
    if (rule === 'SluiceQueueFullSoon') {
      // A queue that grows for hours is full: this one holds for as long as it has room.
      await deployment.run(8 * MINUTE, (passedMs) => bad(passedMs + firesInMs));
    } else {
      await deployment.run(heldMs, (passedMs) => bad(passedMs + firesInMs));
    }
    expect(deployment.find(rule)).toMatchObject({ id: alert?.id, state: 'firing' });
    if (between !== undefined) {
      await deployment.run(10 * MINUTE, between);
      expect(deployment.find(rule)).toMatchObject({ id: alert?.id, state: 'firing' });
    }

    const backAtMs = deployment.nowMs;
    await deployment.run(endsInMs + 20_000, good);
    expect(deployment.firing()).not.toContain(rule);
    const [over] = deployment.alerts.history().filter((one) => one.rule === rule);
    expect(over).toMatchObject({ id: alert?.id, state: 'resolved' });
    expect(Number(over?.resolvedAtMs) - backAtMs).toBeLessThanOrEqual(endsInMs);

    // And it stays so: what was told is one beginning and one end.
    await deployment.run(20 * MINUTE, (passedMs) => good(passedMs + endsInMs + 20_000));
    expect(deployment.told().filter((told) => told.endsWith(rule))).toEqual([
      `firing ${rule}`,
      `resolved ${rule}`,
    ]);
  });

  test('SluiceMonitorDeaf fires where a shard with messages falls silent, and is over when it reports', async () => {
    const deployment = new Deployment();
    deployment.report({ waiting: 5 });
    await deployment.pass(59_000);
    expect(deployment.firing()).toEqual([]);
    await deployment.pass(3_000);
    expect(deployment.firing()).toEqual(['SluiceMonitorDeaf']);
    expect(deployment.find('SluiceMonitorDeaf')?.message).toMatch(
      /^trades, shard 0: it has not reported for 6[01] s, and 5 messages wait by what it said last$/,
    );
    await deployment.pass(3 * HOUR);
    expect(deployment.firing()).toContain('SluiceMonitorDeaf');
    deployment.report({});
    expect(deployment.firing()).not.toContain('SluiceMonitorDeaf');
  });

  test('SluiceMonitorDeaf says nothing of a shard that sleeps, and nothing has to be looked at then', async () => {
    const deployment = new Deployment();
    deployment.report({ waiting: 5 });
    expect(deployment.alerts.nextDueMs()).toBeDefined();
    await deployment.pass(1_000);
    deployment.report({ isLast: true });
    expect(deployment.alerts.nextDueMs()).toBeUndefined();
    await deployment.pass(12 * HOUR);
    deployment.evaluate();
    expect(deployment.alerts.current()).toEqual([]);
  });

  test('SluicePostgresConnectionsNearLimit fires, holds, and is over', async () => {
    const rule = 'SluicePostgresConnectionsNearLimit';
    const deployment = new Deployment();
    const asked = async (connections: number, ms: number): Promise<void> => {
      for (let passedMs = 0; passedMs < ms; passedMs += 30_000) {
        deployment.databases = [databaseOf(connections, deployment.nowMs)];
        deployment.evaluate();
        await deployment.pass(30_000);
      }
    };
    await asked(79, HOUR);
    expect(deployment.alerts.current()).toEqual([]);
    await asked(91, 2 * MINUTE);
    expect(deployment.find(rule)).toMatchObject({
      state: 'firing',
      sink: null,
      message: 'database "app": 91 of 100 connections are in use (91 %)',
    });
    await asked(91, 2 * HOUR);
    await asked(75, HOUR);
    expect(deployment.firing()).toEqual([rule]);
    await asked(60, 2 * MINUTE);
    expect(deployment.firing()).toEqual([]);
    expect(deployment.told()).toEqual([`firing ${rule}`, `resolved ${rule}`]);
  });

  test('of every rule there is a story', () => {
    const told = [...Object.keys(STORIES), 'SluiceMonitorDeaf', 'SluicePostgresConnectionsNearLimit'];
    expect(told.toSorted()).toEqual(ALERT_RULES.map(({ name }) => name).toSorted());
  });
});

describe('a steady hour', () => {
  // A generator that is the same in every run.
  function noise(): () => number {
    let state = 42;
    return () => {
      state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
      return state / 2 ** 32;
    };
  }

  test('of load gives no alert: queues that go up and down, some errors, acks of 50 ms, connections that are busy', async () => {
    const deployment = new Deployment();
    const random = noise();
    const ack = new ExponentialHistogram();
    let received = 0;
    let invalid = 0;
    for (let second = 0; second < 3_600; second += 10) {
      deployment.databases = [databaseOf(30 + Math.round(10 * random()), deployment.nowMs)];
      for (let shard = 0; shard < 4; shard += 1) {
        received += 50_000;
        invalid += Math.round(100 * random());
        for (let count = 0; count < 50; count += 1) ack.record((20 + 60 * random()) / 1_000);
        deployment.report(
          {
            waiting: Math.round(LIMIT_MESSAGES * 0.2 * random()),
            oldestMs: 2_000 * random(),
            committedAtMs: deployment.nowMs - 900 * random(),
            triedAtMs: deployment.nowMs - 5,
            busy: 2,
            received,
            refused: { invalid_json: invalid, rate_limited: received / 5 },
            ack,
          },
          'trades',
          shard,
        );
      }
      await deployment.pass(10_000);
    }
    expect(deployment.events).toEqual([]);
    expect(deployment.received).toEqual([]);
    expect(deployment.alerts.current()).toEqual([]);
    // The control: the same with the database gone for seven seconds.
    deployment.report({
      ...OUTAGE_SINCE(0),
      stateSinceMs: deployment.nowMs,
      committedAtMs: deployment.nowMs,
    });
    await deployment.pass(7_000);
    expect(deployment.told()).toEqual(['firing SluiceNotCommitting']);
  });

  test('of messages that gather for half a minute each (lingerMs) gives no alert', async () => {
    const deployment = new Deployment();
    await deployment.run(HOUR, (passedMs) => {
      const committedAtMs = deployment.nowMs - (passedMs % 30_000) - 1_000;
      return {
        waiting: 20,
        oldestMs: deployment.nowMs - committedAtMs - 500,
        committedAtMs,
        triedAtMs: committedAtMs - 40,
      };
    });
    expect(deployment.events).toEqual([]);
  });
});

describe('the table', () => {
  test('has names that Prometheus takes, limits within their bounds, and a place to come back to', () => {
    expect(new Set(ALERT_RULES.map(({ name }) => name)).size).toBe(ALERT_RULES.length);
    for (const { name, limit, forSeconds, keepFiringSeconds } of ALERT_RULES) {
      expect(name).toMatch(/^Sluice[A-Z]\w+$/);
      expect(forSeconds).toBeGreaterThanOrEqual(0);
      expect(keepFiringSeconds).toBeGreaterThanOrEqual(0);
      if (limit === null) continue;
      expect(limit.value).toBeGreaterThanOrEqual(limit.min);
      expect(limit.value).toBeLessThanOrEqual(limit.max);
      expect(limit.option === 'above' ? limit.resolvesAt <= 1 : limit.resolvesAt >= 1).toBe(true);
    }
  });

  test('names only metrics that there are, with labels that they have', () => {
    const known = new Map(METRICS.map((metric) => [`sluice_${metric.name}`, metric]));
    let named = 0;
    for (const { promql, limit, name } of ALERT_RULES) {
      const text = promql(limit?.value ?? 0);
      expect(text).not.toContain('undefined');
      for (const [, metric = '', matcher] of text.matchAll(/(sluice_\w+)(?:\{(\w+)[^}]*\})?/g)) {
        const found = known.get(metric) ?? known.get(metric.replace(/_bucket$/, ''));
        expect([name, metric, found !== undefined]).toEqual([name, metric, true]);
        if (matcher !== undefined) expect([name, matcher]).toEqual([name, found?.label]);
        named += 1;
      }
      expect((text.match(/\(/g) ?? []).length).toBe((text.match(/\)/g) ?? []).length);
    }
    expect(named).toBeGreaterThan(20);
  });
});
