/**
 * What a shard does with the frames it receives. The shard itself only adapts the platform's events to this
 * interface; what implements it runs anywhere.
 */

import type { Grant } from '../access/grant.ts';
import type { HistogramSnapshot } from '../core/exponential-histogram.ts';
import type { RefusalCode } from '../protocol/frame.ts';
import type { AckLevel } from '../protocol/sluice-v1.ts';
import type { FlusherStats } from './flusher-stats.ts';
import type { MessageTotals } from './message-totals.ts';

/** A socket as a session sees it. */
export interface Peer {
  send(frame: string): void;
  close(code: number, reason: string): void;
}

/** What a session of `sluice.v1` keeps through a hibernation. */
export interface SessionMemory {
  epoch: number;
  /** The session's name; null in a recovery, which has none. */
  session: string | null;
  ack: AckLevel;
  /** True once the client had sent everything again that it had not seen acked. */
  isCaughtUp: boolean;
  /** When the client was asked for a fresh token that has not come yet. */
  askedAtMs?: number | undefined;
}

/** One socket's talk with the shard. */
export interface Session {
  readonly protocol: 'raw' | 'sluice.v1';
  /** Takes a frame that arrived at `nowMs`. Synchronous: handlers interleave at every await, and order must hold. */
  receive(frame: string | ArrayBuffer, nowMs: number): void;
  /** The socket is gone. */
  end(): void;
  /** What to give to `openSession` after a hibernation; undefined while there is nothing to remember. */
  readonly memory: SessionMemory | undefined;
  /** False until a client of `sluice.v1` was welcomed. */
  readonly isWelcome: boolean;
}

/** Who may speak over a socket, and how that is asked again. */
export interface SessionAccess {
  /** Undefined: nobody has said yet. The `hello` has to bring a token. The session sets it to each grant that follows. */
  grant: Grant | undefined;
  /**
   * Asks whose a token is that came within the session, and whether it allows this sink and producer.
   *
   * @throws SluiceError `unauthorized`, `forbidden`, or `authorization_unavailable` where it cannot be asked now
   */
  authorize(token: string): Promise<Grant>;
  /** The grant is another one from now on: it has to survive hibernation. */
  onGrant(grant: Grant): void;
}

export interface SessionRequest {
  /** Its whole name, with the tenant's (src/access/producer-name.ts). */
  producer: string;
  /** Missing: everybody may speak, without end. */
  access?: SessionAccess | undefined;
  /** Where the client connects from; undefined where nobody says it. */
  address?: string | undefined;
  /** `raw`, or the subprotocol. */
  protocol: 'raw' | 'sluice.v1';
  nowMs: number;
  /** The session was there before the shard fell asleep. */
  memory?: SessionMemory | undefined;
  /** Called when `memory` has changed. */
  onRemember?: ((memory: SessionMemory) => void) | undefined;
}

/** Reasons why messages were not taken, as counted. */
export type RefusedReason =
  | RefusalCode
  | 'message_dropped'
  | 'gap'
  | 'over_credit'
  | 'invalid_frame'
  | 'unknown_type';

/** Figures of one shard since its object was last started. */
export interface IntakeStats extends FlusherStats {
  /**
   * Messages that arrived, were found in the outbox at the start, were retried from the dead letters, or are written again
   * to a database that had lost them. Always
   * `committed + dead + duplicate + refused + buffered`.
   */
  received: number;
  /** Of these, the ones that were found in the outbox at the start. */
  recovered: number;
  /** Messages that had been taken before, and were only acked again. */
  duplicate: number;
  /** Messages accepted and not yet settled, and what they count for in memory. */
  buffered: number;
  bufferedBytes: number;
  /** Messages that were committed and are written again, because the database had lost them. */
  rewritten: number;
  /** Text in the outbox, and the messages of it that are not in memory. */
  outboxBytes: number;
  /** Text of messages that are committed and kept for a while. */
  keptBytes: number;
  spilled: number;
  /** Rows written to the shard's storage: what Cloudflare bills. */
  storageRowsWritten: number;
  /** Messages refused, by reason. */
  refused: Partial<Record<RefusedReason, number>>;
  /** How often a limit told a client to wait, and sockets that were one too many. */
  restrained: number;
  refusedConnections: number;
  /** Messages refused because the isolate had no memory left for them. */
  memoryRefused: number;
  /** What all objects of the isolate hold in memory, and from where on they take nothing. */
  isolateBufferedBytes: number;
  isolateLimitBytes: number;
  /** True while clients are told to send nothing for that. */
  isMemoryTight: boolean;
  /** Dead letters kept now. */
  deadLetters: number;
  /** True where there is no room for further ones. */
  deadLettersFull: boolean;
  /** How the sink's mapping was changed while the messages waited that were found at the start; null where it was not. */
  mappingChange: string | null;
  /** Messages in numbers over all lives of the shard; null where nothing is counted so. */
  totals: MessageTotals | null;
  /** How long the batches took to be written, in seconds. */
  latency: HistogramSnapshot;
}

export interface Intake {
  openSession(peer: Peer, request: SessionRequest): Session;
  /** True while messages wait for Postgres. */
  readonly isBusy: boolean;
  /** How near the intake is to the point where it has to slow the senders down, 0 to 1. */
  readonly fill: number;
  /** True while a batch is on its way to Postgres. */
  readonly isWriting: boolean;
  /** When the next try to write is due after one that failed; 0 where nothing holds it back. */
  readonly retryAtMs: number;
  /** True where nothing is tried before an operator says so. */
  readonly isStopped: boolean;
  /** Tries to flush everything now, whatever its age and whatever failed before. */
  flush(): void;
  /** The same, but what has failed is not tried before its time. */
  flushSoon(): void;
  /** Resolves when nothing is buffered any more. */
  drained(): Promise<void>;
  stats(): IntakeStats;
}
