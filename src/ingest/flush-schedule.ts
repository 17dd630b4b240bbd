/** When a flusher's next batch is due: by rows, by bytes, by age, or because somebody asked; and the timer for that moment. */

import type { FlushFaults } from './flush-faults.ts';
import type { FlusherOptions } from './flusher-options.ts';
import type { FlusherStats } from './flusher-stats.ts';

export interface FlushScheduleOptions
  extends Pick<FlusherOptions, 'buffer' | 'triggerRows' | 'batchBytes' | 'lingerMs' | 'timers'> {
  faults: FlushFaults;
  stats: Readonly<FlusherStats>;
  /** Called when the timer goes off: something may be due. */
  onTimer: () => void;
}

export class FlushSchedule {
  readonly #options: FlushScheduleOptions;
  #cancelTimer: (() => void) | undefined;
  #timerDueAtMs = Number.POSITIVE_INFINITY;
  /** Messages that a `flush` wants out whatever their age. */
  forcedRows = 0;

  constructor(options: FlushScheduleOptions) {
    this.#options = options;
  }

  /** While a timer is set and no size is reached, there is nothing to do. */
  get isAtRest(): boolean {
    return this.#cancelTimer !== undefined && !this.#isLarge;
  }

  get #isLarge(): boolean {
    const { buffer, triggerRows, batchBytes } = this.#options;
    return buffer.waitingRows >= triggerRows || buffer.waitingBytes >= batchBytes;
  }

  /** So many messages are on their way. */
  taken(rows: number): void {
    this.forcedRows = Math.max(0, this.forcedRows - rows);
  }

  get isDue(): boolean {
    const { buffer, stats, faults, timers } = this.#options;
    if (buffer.waitingRows === 0 || stats.state === 'stopped') return false;
    if (faults.retryAtMs > 0 && timers.now() < faults.retryAtMs) return false;
    return this.forcedRows > 0 || this.#isLarge || timers.now() >= this.#lingerEndsAtMs();
  }

  #lingerEndsAtMs(): number {
    const { buffer, lingerMs } = this.#options;
    return (buffer.oldestWaitingAtMs ?? Number.POSITIVE_INFINITY) + lingerMs;
  }

  /** One timer, for the next moment at which something may be due without a new message. */
  setTimer(): void {
    const { buffer, stats, faults, timers, onTimer } = this.#options;
    if (buffer.waitingRows === 0 || stats.state === 'stopped') return;
    const isDueBySize = this.forcedRows > 0 || this.#isLarge;
    const dueAtMs = isDueBySize ? faults.retryAtMs : Math.max(faults.retryAtMs, this.#lingerEndsAtMs());
    // A timer that fires too early only looks and sets the next one; moving it for each message would cost more.
    if (this.#timerDueAtMs <= dueAtMs) return;
    this.#cancelTimer?.();
    this.#timerDueAtMs = dueAtMs;
    this.#cancelTimer = timers.after(Math.max(0, dueAtMs - timers.now()), () => {
      this.#timerDueAtMs = Number.POSITIVE_INFINITY;
      this.#cancelTimer = undefined;
      onTimer();
    });
  }

  /** Cancels the timer. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerDueAtMs = Number.POSITIVE_INFINITY;
  }
}
