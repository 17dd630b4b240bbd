/** What a session of `sluice.v1` and its shard are to each other. */

import type { ErrorCode } from '../core/errors.ts';
import type { Timers } from '../core/timers.ts';
import type { Producer } from '../outbox/producer.ts';
import type { Resumption } from '../outbox/producer-registry.ts';
import type { Refusal } from '../outbox/refusal.ts';
import type { FrameLimits } from '../protocol/frame.ts';
import type {
  AckLevel,
  BatchBody,
  BatchHeader,
  Credit,
  FlowReason,
  Hello,
  LineLimits,
} from '../protocol/sluice-v1.ts';
import type { ClientCredit } from './client-credit.ts';
import type { SessionMemory } from './intake.ts';
import type { Measurements } from './measurements.ts';
import type { SessionQuota } from './session-quota.ts';

/** What is the same for all sessions of a shard. */
export interface SessionTerms {
  timers: Timers;
  measured: Measurements;
  /** True where new messages go to the outbox. */
  hasOutbox: boolean;
  delivery: 'exactly-once' | 'at-least-once';
  maxMessageBytes: number;
  frameLimits: FrameLimits;
  lineLimits: LineLimits;
}

/** How a client was welcomed. */
export interface Welcomed extends Resumption {
  producer: Producer;
  /** The sequence that it sends next. */
  next: number;
  /** The level that it gets: the nearest one that promises as much as it asked for. */
  ack: AckLevel;
  /** True where a later instance of the client sends what an older one has left. */
  isRecovery: boolean;
  /** The session that the welcome began; undefined where it began none. */
  session: string | undefined;
  /** How far the numbers of a recovery are sure; undefined where all are. */
  sure: number | undefined;
  credit: Credit;
}

/** What a shard has to know of the session that a batch came by. */
export interface BatchSource {
  /** How far the client's messages came on this connection. */
  readonly heard: number;
  readonly credit: ClientCredit;
  /** Undefined where nothing bounds what it may send. */
  readonly quota: SessionQuota | undefined;
}

/** What became of a batch. Lines that are never taken are in `refused`, those that were taken before included. */
export type BatchVerdict =
  /** All other lines are taken now, or were before. */
  | { kind: 'taken'; refused: BatchBody['refused'] }
  /** Nothing is taken: messages before it are missing. */
  | { kind: 'gap' }
  /** Nothing is taken: it has not as many lines as it says. */
  | { kind: 'malformed' }
  /** Nothing of it is taken from `from` on, and it may be sent again. */
  | { kind: 'deferred'; code: DeferredCode; from: number; refused: BatchBody['refused'] };

/** Why a batch was not taken that may be sent again. */
export type DeferredCode = 'over_credit' | 'buffer_full' | 'memory_full' | 'rate_limited';

/** What a session may ask of its shard. */
export interface SessionPort {
  readonly terms: SessionTerms;
  /**
   * Decides a hello and carries out what was decided: it is durable when the answer leaves.
   *
   * @returns undefined where the client is not welcome: the session was closed then
   */
  welcome(session: ShardSession, name: string, hello: Hello, nowMs: number): Welcomed | undefined;
  /**
   * A session goes on after a hibernation.
   *
   * @returns undefined where the shard has forgotten where the producer stood
   */
  wake(session: ShardSession, name: string, memory: SessionMemory): Producer | undefined;
  /** The session has ended. */
  leave(session: ShardSession, producer: Producer): void;
  /** Takes what can be taken of a batch. Call `endBatch` after the answers to it. */
  takeBatch(
    producer: Producer,
    source: BatchSource,
    frame: string,
    header: BatchHeader,
    limits: LineLimits,
    nowMs: number,
  ): BatchVerdict;
  /**
   * Tells the session what it may send, after a batch of it was deferred.
   *
   * @param isLimited the shard has room, and a limit of this session is used up
   */
  sendFlow(session: ShardSession, isLimited: boolean): void;
  /** So many bytes more of what the session was sent wait to be read; less where it is below 0. */
  addUnread(bytes: number): void;
  /** Acks the session with the group that is being gathered. Stores nothing by itself. */
  ackSoon(session: ShardSession): void;
  /** A batch was answered: the session is acked with the group that is being gathered, and what is due is started. */
  endBatch(session: ShardSession, nowMs: number): void;
  /** Stores and acks now what was gathered. */
  storeGroup(): void;
  /** Stores now what was gathered, and writes all that is stored. */
  flushSoon(): void;
}

/** What a shard may ask of a session that was welcomed. */
export interface ShardSession {
  /** What its client may send. */
  readonly credit: ClientCredit;
  /** Undefined where nothing bounds what it may send. */
  readonly quota: SessionQuota | undefined;
  /** Acks what the outbox has. Only to be called when everything that was taken is in it. */
  sendAck(credit: Credit, creditText: string): void;
  /** @param retryMs when it may be worth while to ask again, where somebody knows */
  sendFlow(credit: Credit, reason: FlowReason, retryMs?: number): void;
  /** A message that was stored is among the dead letters. */
  sendDead(epoch: number, sequence: number, refusal: Refusal): void;
  /** The producer's `committed` has moved. */
  onCommitted(): void;
  /** Tells the client to come back after so long. */
  drain(retryMs: number): void;
  close(code: ErrorCode, reason: string): void;
}
