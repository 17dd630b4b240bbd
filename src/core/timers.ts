/** Time as an argument, so that tests decide what time it is. */
export interface Timers {
  /** Milliseconds since 1970. In a deployed Worker it only moves when I/O happens. */
  now(): number;
  /** Calls back once after at least `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The platform's own clock and timers. */
export const systemTimers: Timers = {
  now: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
