/** What a client tells: events, counters, receipts and reports. */

import type { AckLevel } from './ack-level.ts';
import type { ClientErrorCode } from './errors.ts';
import type { StorageOperationName } from './storage.ts';

export type ClientState = 'connecting' | 'recovering' | 'ready' | 'paused' | 'draining' | 'closed';

/** A message that was not taken: its index in the call, and why. */
/** Who refused a message and where, as far as the server says it: with `dead_letter`, and `by` with the sink's schema. */
export interface RefusalReason {
  /** `postgres`, `mapping` (it does not fit the sink's columns), `schema`, or `sink` (the sink's own code). */
  by?: string;
  column?: string;
  constraint?: string;
  /** Postgres's code of the error. */
  sqlState?: string;
}

export interface RefusedMessage extends RefusalReason {
  index: number;
  code: ClientErrorCode;
  /** Why, in a sentence: the server's own where it was the server that refused. */
  message: string;
}

export interface BatchReceipt {
  /** Messages of the call. */
  messages: number;
  /** Those of them that were refused or dropped, by index; all others have reached the level. */
  refused: RefusedMessage[];
  /** Sequence of the first message that got one. Missing when none did. */
  firstSequence?: number;
}

export interface CloseReport {
  /** Messages that were neither acknowledged nor refused nor dropped. Some may have reached the server all the same. */
  unacked: number;
  acked: number;
  refused: number;
  dropped: number;
  /** True when the time limit ended the wait. */
  timedOut: boolean;
  /** The error that ended the client before it was closed. */
  code?: ClientErrorCode;
}

/**
 * Counters since the start, and what there is at the moment. Every message is counted once:
 * `offered + restored = acked + refused + dropped + setAside + unsettled`.
 */
export interface ClientStats {
  /** Messages given to `send`, `sendText`, `sendBatch` and `post`. */
  offered: number;
  /** Messages that a storage brought back. */
  restored: number;
  /** Messages acknowledged at the level (`stored` for `none`), without those refused. */
  acked: number;
  /** Messages refused for whatever reason: by the server, before they were sent, or because the client was over. */
  refused: number;
  /** Messages dropped because the send buffer was full. */
  dropped: number;
  /** Restored messages whose fate is unknown, see `inDoubt`. */
  setAside: number;
  /** Messages of which nothing is known yet; after the end, those of which nothing was ever known. */
  unsettled: number;
  /** Messages sent for the first time. */
  sent: number;
  /** Messages sent again. The server takes none of them twice. */
  resent: number;
  /** Batch frames sent. */
  frames: number;
  /** Batches that the server deferred (`temporary`). */
  deferred: number;
  gaps: number;
  /** Connections that were welcomed. */
  connections: number;
  /** Connections that were lost or could not be made. */
  reconnects: number;
  /** Messages, and their bytes with newlines, that are in the send buffer: until they are acknowledged. */
  unackedMessages: number;
  unackedBytes: number;
  /** Those of them that were not put into a frame yet. */
  waitingMessages: number;
  /** Calls that wait for room, and their messages that do. */
  blockedCalls: number;
  blockedMessages: number;
  creditMessages: number;
  creditBytes: number;
}

/** Messages of an older instance whose fate is unknown: a copy of it may have sent others under their sequences. */
export interface InDoubtMessages {
  instance: string;
  /** Sequence of the first. */
  first: number;
  texts: string[];
}

/** What a client still held when it ended. */
export interface UnsettledMessages {
  /** Sent and not acknowledged: the server may have them. */
  inDoubt: string[];
  /** Never sent. */
  unsent: string[];
}

export type ClientEvent =
  | { type: 'connected'; epoch: number; resumed: boolean; delivery: string }
  | { type: 'disconnected'; code: number; reason: string; retryMs: number }
  /** The first tries have all failed. `url` is without its parameters. Said once; the client goes on trying. */
  | { type: 'never-connected'; url: string; failures: number; message: string }
  /** The sink gives another level than the one asked for, or that one again. */
  | { type: 'level'; asked: AckLevel; given: AckLevel }
  /** The server had no memory of the epoch: messages sent and not acked before may come a second time. */
  | { type: 'unknown'; epoch: number; next: number }
  /** Messages that were acknowledged and that the server does not have: its storage was lost or went back in time. */
  | { type: 'missing'; from: number; to: number }
  /**
   * What an older instance has left in the storage is settled: `messages` were sent (again), `refused` of them refused;
   * `inDoubt` were set aside, `missing` are acked ones that the server does not have. `known: false`: it had no
   * memory of that instance, and messages may have come a second time.
   */
  | {
      type: 'recovered';
      instance: string;
      messages: number;
      refused: number;
      inDoubt?: { from: number; to: number; messages: number };
      missing?: { from: number; to: number };
      known: boolean;
    }
  | ({
      type: 'nack';
      from?: number;
      to?: number;
      code: string;
      temporary: boolean;
      message: string;
    } & RefusalReason)
  /** A message given to `post` was refused before it was sent. */
  | { type: 'refused'; code: ClientErrorCode; message: string }
  | { type: 'gap'; expected: number; got: number }
  | { type: 'drain'; retryMs: number }
  | { type: 'dropped'; messages: number }
  /** A frame from the server that cannot be right, or an answer that a frame from here could not be read. */
  | { type: 'protocol-error'; message: string }
  /** A storage that failed and is asked again. */
  | { type: 'storage-failed'; operation: StorageOperationName; error: unknown }
  /** Another client of this producer has taken over: `fenced` by a newer epoch or session, or `replaced` in this one. */
  | { type: 'fenced' | 'replaced'; code: ClientErrorCode; message: string }
  /** Something else that connecting again does not repair. */
  | { type: 'failed'; code: ClientErrorCode; message: string }
  | { type: 'closed'; report: CloseReport };
