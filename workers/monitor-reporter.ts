/**
 * Tells the monitor how a shard stands, while it is active: every 10 s, every second while somebody watches, within a second when its
 * state changes, and once more when nothing is left to do. After that nothing of it is pending, neither a timer nor a call: each would keep the object awake.
 *
 * Messages never wait for it: one report is under way at most, for a limited time, and what fails is counted.
 */

import { withTimeLimit } from '../src/core/time-limit.ts';
import type { Timers } from '../src/core/timers.ts';
import {
  REPORT_MS,
  type ReportAnswer,
  type ShardReport,
  WATCHED_REPORT_MS,
} from '../src/monitor/shard-report.ts';

/** How long the first report of an activity waits: what begins is seen soon, and a short one is told in one report. */
const FIRST_REPORT_MS = WATCHED_REPORT_MS;
/** How long the monitor may take. */
const TIME_LIMIT_MS = 5_000;
/** How often the last report is tried: without it the monitor believes that messages wait. */
const LAST_TRIES = 3;

export interface MonitorReporterOptions {
  report: (report: ShardReport) => Promise<ReportAnswer>;
  /** Makes the report of now. */
  build: (given: Pick<ShardReport, 'number' | 'isLast' | 'sentAtMs'>) => ShardReport;
  /** True while the shard has something to do, or a connection open: further reports follow. */
  isActive: () => boolean;
  /** Called with a report that was not heard: what only it said has to be said again. */
  onLost: (report: ShardReport) => void;
  /** The monitor has heard a report. */
  onAnswer: (answer: ReportAnswer) => void;
  timers: Timers;
}

export class MonitorReporter {
  readonly #options: MonitorReporterOptions;
  #number = 0;
  #everyMs = REPORT_MS;
  #cancelTimer: (() => void) | undefined;
  #timerDueMs = 0;
  /** True where the state has changed while a report was under way that does not say so. */
  #isChanged = false;
  #isUnderWay = false;
  /** True from the first thing that is to be told until the last report was heard. */
  #isTelling = false;
  #triesOfLast = 0;

  constructor(options: MonitorReporterOptions) {
    this.#options = options;
  }

  /** True while a timer is set or a report under way. */
  get isPending(): boolean {
    return this.#cancelTimer !== undefined || this.#isUnderWay;
  }

  /** Something happened that is to be told. To be called as often as one likes. */
  noteActive(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    this.#triesOfLast = 0;
    this.#setTimer(Math.min(FIRST_REPORT_MS, this.#everyMs));
  }

  /**
   * The shard is in another state: an alert must not wait for the next report, nor its end. Told at most every second, so that one that
   * changes with each try does not flood the monitor.
   */
  noteChange(): void {
    this.noteActive();
    if (this.#isUnderWay) this.#isChanged = true;
    else if (this.#timerDueMs - this.#options.timers.now() > FIRST_REPORT_MS) this.#setTimer(FIRST_REPORT_MS);
  }

  /** The shard may have come to rest: then the last report leaves now, and not at its time. */
  noteRest(): void {
    if (!this.#isTelling || this.#isUnderWay || this.#options.isActive()) return;
    this.#send();
  }

  #setTimer(delayMs: number): void {
    const { timers } = this.#options;
    this.#cancelTimer?.();
    this.#timerDueMs = timers.now() + delayMs;
    this.#cancelTimer = timers.after(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#send();
    });
  }

  #send(): void {
    if (this.#isUnderWay) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { timers, build, isActive } = this.#options;
    this.#number += 1;
    const isLast = !isActive();
    // What happens from here on is told by a report that follows.
    if (isLast) this.#isTelling = false;
    const report = build({ number: this.#number, isLast, sentAtMs: timers.now() });
    this.#isUnderWay = true;
    this.#isChanged = false;
    void this.#tell(report);
  }

  async #tell(report: ShardReport): Promise<void> {
    const { onLost, onAnswer } = this.#options;
    let answer: ReportAnswer | undefined;
    try {
      answer = await withTimeLimit(this.#options.report(report), TIME_LIMIT_MS, 'reporting');
    } catch {
      // Counted by who gets it back.
    }
    this.#isUnderWay = false;
    if (answer === undefined) onLost(report);
    else {
      this.#everyMs = clamp(answer.everyMs);
      onAnswer(answer);
    }
    if (report.isLast && answer === undefined) this.#tryLastAgain();
    this.#goOn();
  }

  #tryLastAgain(): void {
    this.#triesOfLast += 1;
    if (this.#triesOfLast < LAST_TRIES) this.#isTelling = true;
  }

  #goOn(): void {
    if (!this.#isTelling || this.#cancelTimer !== undefined) return;
    if (this.#options.isActive()) this.#setTimer(this.#isChanged ? FIRST_REPORT_MS : this.#everyMs);
    else if (this.#triesOfLast > 0) this.#setTimer(FIRST_REPORT_MS);
    // It came to rest while the report was under way.
    else this.#send();
  }
}

// What another version of the monitor says must not make a flood of reports.
function clamp(everyMs: number): number {
  return Math.min(Math.max(everyMs, WATCHED_REPORT_MS), 6 * REPORT_MS) || REPORT_MS;
}
