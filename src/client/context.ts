import type { ClientEvent } from './events.ts';
import type { ClientTimers } from './options.ts';

/** What all parts of one client share. */
export interface ClientContext {
  readonly timers: ClientTimers;
  readonly random: () => number;
  readonly counts: ClientCounts;
  /** Tells it to the user's listener after the current turn, so that the listener may call the client. */
  readonly emit: (event: ClientEvent) => void;
}

/** The counters that only grow, see `ClientStats`. */
export interface ClientCounts {
  offered: number;
  restored: number;
  acked: number;
  refused: number;
  dropped: number;
  setAside: number;
  sent: number;
  resent: number;
  frames: number;
  putOff: number;
  gaps: number;
  connections: number;
  reconnects: number;
}

/** A pause that doubles with each failure before it, up to `maxMs`. */
export function pauseMs(baseMs: number, maxMs: number, failures: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures, 20));
}
