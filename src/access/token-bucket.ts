/**
 * A token bucket: so much a second over time, some of it at once. It has no clock, and waits for nobody: who asks says what time
 * it is.
 */

export interface BucketSize {
  /** Tokens that come in a second, above 0. */
  perSecond: number;
  /** Tokens that it holds at most, above 0. Default: a second's worth, at least 1. */
  burst?: number;
  /**
   * How far below nothing it may go, for what was on its way when it ran dry. Default: as much as `burst`. Over any time `t` in
   * seconds it gives at most `burst + debt + t × perSecond`.
   */
  debt?: number;
}

export class TokenBucket {
  #perSecond = 0;
  #burst = 0;
  #debt = 0;
  // In thousandths: whole rates and whole milliseconds add up without an error of rounding.
  #level = 0;
  #atMs: number;

  /** It begins full. */
  constructor(size: BucketSize, nowMs: number) {
    this.#atMs = nowMs;
    this.#resize(size);
    this.#level = this.#burst;
  }

  #resize({ perSecond, burst = Math.max(1, perSecond), debt = burst }: BucketSize): void {
    this.#perSecond = perSecond;
    this.#burst = burst * 1000;
    this.#debt = debt * 1000;
  }

  /** It has another size from now on. It keeps what it holds as far as there is room for it, and its debt. */
  resize(size: BucketSize, nowMs: number): void {
    this.#refill(nowMs);
    this.#resize(size);
    this.#level = Math.min(this.#burst, this.#level);
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  get burst(): number {
    return this.#burst / 1000;
  }

  // A clock that goes back gives nothing, and takes nothing away.
  #refill(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (elapsedMs <= 0) return;
    this.#level = Math.min(this.#burst, this.#level + elapsedMs * this.#perSecond);
  }

  /** What it holds; below 0 in debt. */
  level(nowMs: number): number {
    this.#refill(nowMs);
    return this.#level / 1000;
  }

  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#level === this.#burst;
  }

  /** True where so much can be taken, in debt if need be. */
  allows(amount: number, nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#level - amount * 1000 >= -this.#debt;
  }

  /** How long until `allows` says yes, in ms, rounded up; infinite where it never will. */
  msUntilAllowed(amount: number, nowMs: number): number {
    if (amount * 1000 > this.#burst + this.#debt) return Number.POSITIVE_INFINITY;
    return this.msUntil(amount - this.#debt / 1000, nowMs);
  }

  /** Takes it. The caller has asked `allows`, or answers for going further into debt. */
  take(amount: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#level -= amount * 1000;
  }

  /** How long until it holds so much, at most `burst`, in ms, rounded up; 0 where it does. */
  msUntil(level: number, nowMs: number): number {
    this.#refill(nowMs);
    const missing = level * 1000 - this.#level;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perSecond);
  }
}
