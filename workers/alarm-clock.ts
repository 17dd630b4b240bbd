/**
 * A Durable Object's alarm, armed at most once per interval. Every `setAlarm` is a row written and billed, so it is
 * not moved for each message; and an alarm that is overdue counts as not armed, because one that got lost would
 * otherwise never be set again.
 */

/**
 * How long an alarm may be late before it counts as lost. Under load one that has gone off waits for its turn after
 * the frames; setting it again just then would cancel it.
 */
const GRACE_MS = 1_000;

export class AlarmClock {
  readonly #storage: Pick<DurableObjectStorage, 'setAlarm'>;
  // Not read back from storage at a start: setting it once more costs a row, trusting a stale one costs the promise.
  #armedForMs = Number.NEGATIVE_INFINITY;

  constructor(storage: Pick<DurableObjectStorage, 'setAlarm'>) {
    this.#storage = storage;
  }

  /** True while an alarm is expected to go off, within `delayMs` of now. */
  isArmed(nowMs: number, delayMs = Number.POSITIVE_INFINITY): boolean {
    return this.#armedForMs + GRACE_MS > nowMs && this.#armedForMs <= nowMs + delayMs;
  }

  /**
   * Makes sure that the alarm goes off within `delayMs` of now, or a little later. One that is armed for later, as in a long
   * backoff that is over, is brought forward.
   */
  armWithin(delayMs: number, nowMs: number): void {
    if (this.isArmed(nowMs, delayMs)) return;
    this.#armedForMs = nowMs + delayMs;
    // The write is part of this turn; a failure of the storage resets the object, nobody needs to wait for it here.
    void this.#storage.setAlarm(this.#armedForMs);
  }

  /** Call when the alarm goes off. */
  fired(): void {
    this.#armedForMs = Number.NEGATIVE_INFINITY;
  }
}
