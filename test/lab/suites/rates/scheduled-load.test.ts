import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HistogramRecord } from '../../../../lab/result.ts';
import { Histogram } from '../../../../lab/statistics/histogram.ts';
import {
  type LoadSchedule,
  type MessageTaker,
  mergeScheduled,
  messagesOf,
  type OnSettled,
  runScheduledLoad,
  type ScheduledReport,
} from '../../../../lab/suites/rates/scheduled-load.ts';
import { FakeTimers, settled } from '../../../support/fake-timers.ts';

const SCHEDULE: LoadSchedule = {
  seed: 1,
  ratePerSecond: 1_000,
  warmUpMs: 0,
  measuredMs: 4_000,
  pendingLimit: 100_000,
  giveUpMs: 60_000,
};
/** What one message takes where nothing is wrong. */
const USUAL_MS = 5;

/** A server that commits after `USUAL_MS`, and stands still for a while. */
class FakeServer implements MessageTaker {
  readonly #timers: FakeTimers;
  readonly #stall: { fromMs: number; toMs: number } | undefined;
  /** Takes nothing new while it stands still, as a server does that makes its sender wait for each answer. */
  readonly #refusesWhileStalled: boolean;
  readonly taken: number[] = [];

  constructor(timers: FakeTimers, stall?: { fromMs: number; toMs: number }, refusesWhileStalled = false) {
    this.#timers = timers;
    this.#stall = stall;
    this.#refusesWhileStalled = refusesWhileStalled;
  }

  get #stallLeftMs(): number {
    const nowMs = this.#timers.now();
    return this.#stall !== undefined && nowMs >= this.#stall.fromMs && nowMs < this.#stall.toMs
      ? this.#stall.toMs - nowMs
      : 0;
  }

  room(): number {
    return this.#refusesWhileStalled && this.#stallLeftMs > 0 ? 0 : Number.POSITIVE_INFINITY;
  }

  take(from: number, to: number, onSettled: OnSettled): void {
    for (let n = from; n < to; n += 1) this.taken.push(n);
    this.#timers.after(this.#stallLeftMs + USUAL_MS, () => onSettled(from, to, true));
  }
}

async function runWith(
  schedule: LoadSchedule,
  timers: FakeTimers,
  takers: readonly MessageTaker[],
  clients = takers.length,
): Promise<ScheduledReport> {
  let report: ScheduledReport | undefined;
  const numbers = takers.map((_, index) => index);
  const ports = {
    now: () => timers.now(),
    wait: (ms: number) => new Promise<void>((resolve) => timers.after(ms, resolve)),
  };
  void runScheduledLoad(schedule, clients, numbers, takers, ports).then((done) => {
    report = done;
  });
  for (;;) {
    await settled();
    if (report !== undefined) return report;
    timers.advance(1);
  }
}

function percentileMs(record: HistogramRecord, percent: number): number {
  return Histogram.fromRecord(record).percentile(percent) / 1000;
}

/** Whether at least so many messages took longer than a time. */
function slower(record: HistogramRecord, thanMs: number, messages: number): boolean {
  return percentileMs(record, 100 * (1 - messages / record.count)) > thanMs;
}

describe('latency counts from the time at which a message was due', () => {
  const stall = { fromMs: 1_001_000, toMs: 1_002_000 };

  test.each([
    ['that takes messages and does not answer', false],
    ['that takes none', true],
  ])('a stall of a server %s is in the latency of all messages due meanwhile', async (_, refuses) => {
    const timers = new FakeTimers(1_000_000);
    const server = new FakeServer(timers, stall, refuses);
    const report = await runWith(SCHEDULE, timers, [server]);
    expect(report.measured).toEqual({ due: 4_000, failed: 0, committed: 4_000 });
    // A thousand messages were due in the second of the stall: each waited for its end.
    expect(slower(report.sinceDue, 100, 850)).toBe(true);
    expect(slower(report.sinceDue, 500, 450)).toBe(true);
    expect(percentileMs(report.sinceDue, 99)).toBeGreaterThan(900);
    expect(percentileMs(report.sinceDue, 50)).toBeLessThan(10);
  });

  test('control: counted from sending, the same stall of a server that takes nothing is nowhere to be seen', async () => {
    const timers = new FakeTimers(1_000_000);
    const report = await runWith(SCHEDULE, timers, [new FakeServer(timers, stall, true)]);
    expect(report.sinceSent.maxUs).toBeLessThan(100_000);
    expect(percentileMs(report.sinceSent, 99)).toBeLessThan(10);
    expect(report.sentLateMaxMs).toBeGreaterThan(950);
  });

  test('control: without a stall both are the same', async () => {
    const timers = new FakeTimers(1_000_000);
    const report = await runWith(SCHEDULE, timers, [new FakeServer(timers)]);
    expect(report.sinceDue.maxUs).toBeLessThan(10_000);
    expect(report.sinceSent.maxUs).toBeLessThan(10_000);
    expect(report.sentLateMaxMs).toBeLessThanOrEqual(1);
    expect(report.endedLateMs).toBe(0);
  });
});

describe('the schedule', () => {
  test('the clients take turns, at equal distances, and each sends its own messages once', async () => {
    const timers = new FakeTimers();
    const servers = [0, 1, 2].map(() => new FakeServer(timers));
    const schedule = { ...SCHEDULE, ratePerSecond: 100, measuredMs: 1_000 };
    const report = await runWith(schedule, timers, servers);
    expect(report.sent).toEqual([
      { client: 0, messages: 34 },
      { client: 1, messages: 33 },
      { client: 2, messages: 33 },
    ]);
    for (const [client, server] of servers.entries()) {
      expect(server.taken).toEqual(Array.from({ length: messagesOf(schedule, client, 3) }, (_, n) => n));
    }
  });

  test('every message belongs to one client, whatever the rate and the clients', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 5_000 }),
        fc.integer({ min: 1, max: 5_000 }),
        (ratePerSecond, clients, warmUpMs, measuredMs) => {
          const schedule = { ...SCHEDULE, ratePerSecond, warmUpMs, measuredMs };
          const all = Array.from({ length: clients }, (_, client) => messagesOf(schedule, client, clients));
          expect(all.reduce((sum, count) => sum + count, 0)).toBe(
            Math.round((ratePerSecond * (warmUpMs + measuredMs)) / 1000),
          );
        },
      ),
    );
  });

  test('the warm-up is sent and not measured', async () => {
    const timers = new FakeTimers(1_000_000);
    // All of the stall lies in the warm-up.
    const server = new FakeServer(timers, { fromMs: 1_000_000, toMs: 1_000_500 });
    const report = await runWith({ ...SCHEDULE, warmUpMs: 1_000, measuredMs: 1_000 }, timers, [server]);
    expect(report.sent).toEqual([{ client: 0, messages: 2_000 }]);
    expect(report.measured).toEqual({ due: 1_000, failed: 0, committed: 1_000 });
    expect(report.sinceDue.maxUs).toBeLessThan(10_000);
  });

  test('at a steady rate the windows are alike from the first to the last', async () => {
    const timers = new FakeTimers(1_000_000);
    const report = await runWith({ ...SCHEDULE, warmUpMs: 500, measuredMs: 1_000 }, timers, [
      new FakeServer(timers),
    ]);
    expect(report.windows).toHaveLength(4);
    for (const count of report.windows) expect(Math.abs(count - 250)).toBeLessThanOrEqual(2);
  });

  test('ends where as many messages are on their way as may be', async () => {
    const timers = new FakeTimers(1_000_000);
    const server = new FakeServer(timers, { fromMs: 1_000_000, toMs: 1_010_000 });
    const report = await runWith({ ...SCHEDULE, pendingLimit: 300 }, timers, [server]);
    expect(report).toMatchObject({
      stopped: 'pending',
      pendingMax: 300,
      sent: [{ client: 0, messages: 300 }],
      unsettled: 0,
    });
  });

  test('ends where the oldest message is too old', async () => {
    const timers = new FakeTimers(1_000_000);
    const server = new FakeServer(timers, { fromMs: 1_000_000, toMs: 1_010_000 });
    const report = await runWith({ ...SCHEDULE, giveUpMs: 1_000 }, timers, [server]);
    expect(report.stopped).toBe('behind');
    expect(report.sent[0]?.messages).toBeLessThan(1_010);
  });

  test('does not wait for ever for what never settles', async () => {
    const timers = new FakeTimers();
    const never: MessageTaker = { room: () => 10, take() {} };
    const report = await runWith({ ...SCHEDULE, measuredMs: 5, giveUpMs: 100 }, timers, [never]);
    expect(report).toMatchObject({ unsettled: 5, measured: { due: 5, failed: 0, committed: 0 } });
  });

  test('what failed is counted, and has no latency', async () => {
    const timers = new FakeTimers();
    const failing: MessageTaker = {
      room: () => 10,
      take: (from, to, onSettled) => {
        for (let n = from; n < to; n += 1) onSettled(n, n + 1, n % 10 !== 0);
      },
    };
    const report = await runWith({ ...SCHEDULE, measuredMs: 100 }, timers, [failing]);
    expect(report).toMatchObject({ failed: 10, measured: { due: 100, failed: 10, committed: 90 } });
    expect(report.sinceDue.count).toBe(90);
  });
});

test('reports of loads that ran at the same time are added up', async () => {
  const timers = new FakeTimers();
  const one = await runWith({ ...SCHEDULE, measuredMs: 500 }, timers, [new FakeServer(timers)], 2);
  const merged = mergeScheduled([
    one,
    { ...one, stopped: 'behind', endedLateMs: 7, sent: [{ client: 1, messages: 250 }] },
  ]);
  expect(merged).toMatchObject({
    sent: [
      { client: 0, messages: 250 },
      { client: 1, messages: 250 },
    ],
    measured: { due: 500, failed: 0, committed: 500 },
    stopped: 'behind',
    endedLateMs: 7,
  });
  expect(merged.sinceDue.count).toBe(500);
  expect(() => mergeScheduled([])).toThrow(RangeError);
});
