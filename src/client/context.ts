import type { CheckedOptions } from './check-options.ts';
import type { ClientEvent } from './events.ts';
import type { ClientTimers } from './options.ts';
import type { SendBuffer } from './send-buffer.ts';
import type { SendWindow } from './send-window.ts';

/** What all parts of one client share. */
export interface ClientContext {
  /** The options with all that has a default. */
  readonly settings: CheckedOptions;
  readonly clock: ClientTimers;
  readonly counts: ClientCounts;
  readonly buffer: SendBuffer;
  /** The messages of this client, as opposed to those of older instances. */
  readonly own: SendWindow;
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
  deferred: number;
  gaps: number;
  connections: number;
  reconnects: number;
}

export function newCounts(): ClientCounts {
  return {
    offered: 0,
    restored: 0,
    acked: 0,
    refused: 0,
    dropped: 0,
    setAside: 0,
    sent: 0,
    resent: 0,
    frames: 0,
    deferred: 0,
    gaps: 0,
    connections: 0,
    reconnects: 0,
  };
}

/** A pause that doubles with each failure before it, up to `maxMs`. */
export function pauseMs(baseMs: number, maxMs: number, failures: number): number {
  return Math.min(maxMs, baseMs * 2 ** Math.min(failures, 20));
}
