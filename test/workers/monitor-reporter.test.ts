import { describe, expect, it } from 'vitest';
import type { ReportAnswer, ShardReport } from '../../src/monitor/shard-report.ts';
import { MonitorReporter } from '../../workers/monitor-reporter.ts';
import { reportOf } from '../src/monitor/reports.ts';
import { FakeTimers } from '../support/fake-timers.ts';

/** Lets everything run that waits for no more than promises. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

class Bench {
  readonly timers = new FakeTimers();
  readonly sent: { number: number; isLast: boolean; atMs: number }[] = [];
  readonly lost: number[] = [];
  isActive = true;
  asked = 0;
  answer: () => Promise<ReportAnswer> = async () => ({ everyMs: 10_000, askDatabase: false });
  readonly reporter = new MonitorReporter({
    report: (report) => {
      this.sent.push({ number: report.number, isLast: report.isLast, atMs: report.sentAtMs });
      return this.answer();
    },
    build: (given) => reportOf(given),
    isActive: () => this.isActive,
    onLost: ({ number }: ShardReport) => this.lost.push(number),
    onAnswer: ({ askDatabase }) => {
      if (askDatabase) this.asked += 1;
    },
    timers: this.timers,
  });

  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.timers.advance(Math.min(stepMs, ms - passed));
      await settled();
    }
  }

  /** It has nothing more to do. */
  async rest(): Promise<void> {
    this.isActive = false;
    this.reporter.noteRest();
    await settled();
  }

  get lastOnes(): boolean[] {
    return this.sent.map(({ isLast }) => isLast);
  }
}

describe('a reporter', () => {
  it('says nothing before something happens', async () => {
    const bench = new Bench();
    bench.isActive = false;
    bench.reporter.noteRest();
    await bench.pass(60_000);
    expect([bench.sent, bench.timers.pending, bench.reporter.isPending]).toEqual([[], 0, false]);
  });

  it('reports soon after something happened, then every 10 s, however often it is told', async () => {
    const bench = new Bench();
    const fromMs = bench.timers.now();
    for (let ms = 0; ms < 61_000; ms += 100) {
      bench.reporter.noteActive();
      await bench.pass(100);
    }
    expect(bench.sent.map(({ atMs }) => atMs - fromMs)).toEqual([
      1_000, 11_000, 21_000, 31_000, 41_000, 51_000, 61_000,
    ]);
    expect(bench.sent.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it('tells a change of state within a second, and not more often than every second', async () => {
    const bench = new Bench();
    bench.reporter.noteActive();
    await bench.pass(3_000);
    const fromMs = bench.timers.now();
    const since = (): number[] => bench.sent.slice(1).map(({ atMs }) => atMs - fromMs);
    bench.reporter.noteChange();
    await bench.pass(3_000);
    expect(since()).toEqual([1_000]);
    for (let ms = 0; ms < 5_000; ms += 100) {
      bench.reporter.noteChange();
      await bench.pass(100);
    }
    expect(since().length).toBeLessThanOrEqual(6);
    // And at their usual time where nothing changes.
    const told = since().length;
    await bench.pass(9_000);
    expect(since()).toHaveLength(told);
    await bench.pass(2_000);
    expect(since()).toHaveLength(told + 1);
  });

  it('tells a change of state that comes while a report is under way by one that follows soon', async () => {
    const bench = new Bench();
    let heard: (answer: ReportAnswer) => void = () => {};
    bench.answer = () => new Promise((resolve) => (heard = resolve));
    bench.reporter.noteActive();
    await bench.pass(1_000);
    bench.reporter.noteChange();
    await bench.pass(2_000);
    expect(bench.sent).toHaveLength(1);
    heard({ everyMs: 10_000, askDatabase: false });
    await bench.pass(900);
    expect(bench.sent).toHaveLength(1);
    await bench.pass(200);
    expect(bench.sent).toHaveLength(2);
  });

  it('reports as often as the last answer says, between every second and every minute', async () => {
    const bench = new Bench();
    let everyMs = 1_000;
    bench.answer = async () => ({ everyMs, askDatabase: false });
    bench.reporter.noteActive();
    await bench.pass(5_000);
    expect(bench.sent).toHaveLength(5);
    everyMs = 0;
    await bench.pass(5_000);
    expect(bench.sent).toHaveLength(10);
    everyMs = 1e9;
    await bench.pass(61_000);
    expect(bench.sent).toHaveLength(12);
    everyMs = Number.NaN;
    await bench.pass(60_000);
    await bench.pass(10_000);
    expect(bench.sent.length, 'what is no number is taken for 10 s').toBeGreaterThan(13);
  });

  it('sends a last report when the shard comes to rest; then one hour has no report and no timer', async () => {
    const bench = new Bench();
    bench.reporter.noteActive();
    await bench.pass(15_000);
    await bench.rest();
    expect(bench.lastOnes).toEqual([false, false, true]);
    expect([bench.timers.pending, bench.reporter.isPending]).toEqual([0, false]);
    bench.reporter.noteRest();
    await bench.pass(3_600_000, 10_000);
    expect([bench.sent.length, bench.timers.pending]).toEqual([3, 0]);
    // The control: what happens then is told.
    bench.reporter.noteActive();
    await bench.pass(1_000);
    expect(bench.lastOnes).toEqual([false, false, true, true]);
  });

  it('has one report under way, and sends the last one once that was heard', async () => {
    const bench = new Bench();
    let hear: (answer: ReportAnswer) => void = () => {};
    bench.answer = () => new Promise((resolve) => (hear = resolve));
    bench.reporter.noteActive();
    await bench.pass(1_000);
    await bench.rest();
    bench.reporter.noteActive();
    await bench.pass(60_000);
    expect(bench.sent).toHaveLength(1);
    hear({ everyMs: 10_000, askDatabase: false });
    await settled();
    expect(bench.lastOnes).toEqual([false, true]);
    hear({ everyMs: 10_000, askDatabase: false });
    await settled();
    expect([bench.timers.pending, bench.reporter.isPending]).toEqual([0, false]);
  });

  it('counts what was not heard, and goes on', async () => {
    const bench = new Bench();
    bench.answer = () => Promise.reject(new Error('the monitor is away'));
    bench.reporter.noteActive();
    await bench.pass(21_000);
    expect(bench.lost).toEqual([1, 2, 3]);
    bench.answer = () => {
      throw new Error('no such binding');
    };
    await bench.pass(10_000);
    expect(bench.lost).toEqual([1, 2, 3, 4]);
  });

  it('tries the last report three times, and is at rest then', async () => {
    const bench = new Bench();
    bench.reporter.noteActive();
    await bench.pass(1_000);
    bench.answer = () => Promise.reject(new Error('the monitor is away'));
    await bench.rest();
    await bench.pass(3_600_000, 10_000);
    expect(bench.lastOnes).toEqual([false, true, true, true]);
    expect([bench.timers.pending, bench.reporter.isPending]).toEqual([0, false]);
  });

  it('hears that the database is to be asked', async () => {
    const bench = new Bench();
    bench.answer = async () => ({ everyMs: 10_000, askDatabase: bench.sent.length === 2 });
    bench.reporter.noteActive();
    await bench.pass(31_000);
    expect([bench.sent.length, bench.asked]).toEqual([4, 1]);
  });
});
