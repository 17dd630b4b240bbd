import type { ClientTimers } from './options.ts';

export type Alarm = ReturnType<typeof createAlarm>;

/** One timer, which can be set, set again and stopped. */
export function createAlarm(timers: ClientTimers) {
  let cancel: (() => void) | undefined;
  const stop = (): void => {
    cancel?.();
    cancel = undefined;
  };
  return {
    get isSet(): boolean {
      return cancel !== undefined;
    },

    set(delayMs: number, callback: () => void): void {
      stop();
      cancel = timers.after(delayMs, () => {
        cancel = undefined;
        callback();
      });
    },

    stop,
  };
}
