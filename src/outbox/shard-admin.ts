/**
 * What an operator may ask of a shard. The routes under `/admin` call it by RPC, so arguments and results are plain
 * data, and what an operator may get wrong is a result and no error: errors lose their class, and their code may
 * get lost, on the way between Durable Objects.
 */

import type { ErrorCode } from '../core/errors.ts';
import type { DeadLetter, DeadLetterPage, DeadLetterTotals, DroppedDeadLetters } from './dead-letter.ts';
import type { DeadLetterChoice, DeadLetterFilter } from './dead-letter-filter.ts';
import type { DeadLetterGroup } from './dead-letter-groups.ts';
import type { LaneState } from './lane-faults.ts';
import type { MissingChoice, MissingMessages } from './missing-messages.ts';

export interface RetriedDeadLetters {
  /** Letters that were taken from the dead letters, to be written. */
  retried: number;
  /** Of these, the ones that the sink's schema refuses: they are dead letters again, with new ids. */
  refused: number;
  /** Ids that were asked for and that do not exist. */
  missing: number[];
  /** Letters that were asked for and are still dead letters, because one call takes no more, or because of `isFull`. */
  remaining: number;
  /** True where the outbox had no room for all of them. */
  isFull: boolean;
}

/** A shard in a list of those of its sink. */
export interface ShardSummary extends DeadLetterTotals {
  state: LaneState;
  /** Why it writes nothing, where it has paused or stopped; null otherwise. */
  code: ErrorCode | null;
  /** Messages that were accepted and are neither in Postgres nor among the dead letters. */
  buffered: number;
}

/** How a shard's way to Postgres stands. */
export interface ShardState {
  /** True where the shard has stopped writing until somebody helps. */
  isPaused: boolean;
  /** Why it has stopped; null where it has not. */
  code: ErrorCode | null;
  /** The same for people, with the remedy; null where it has not stopped. */
  message: string | null;
  /** What the database lacks, where the shard has stopped for that; null otherwise. */
  missing: MissingMessages | null;
  /** Messages that were accepted and are neither in Postgres nor among the dead letters. */
  buffered: number;
  sockets: number;
  deadLetters: DeadLetterTotals;
}

export interface ShardAdmin {
  /** What it holds, and whether it writes. */
  summary(): Promise<ShardSummary>;
  /** The letters with ids above `after` that meet `where`, at most `limit` (100 at the most). */
  listDeadLetters(page: { after: number; limit: number; where?: DeadLetterFilter }): Promise<DeadLetterPage>;
  /** Why letters were refused, and how many for each reason, the most first. */
  groupDeadLetters(): Promise<DeadLetterGroup[]>;
  /** Null where there is none of that id. */
  readDeadLetter(id: number): Promise<DeadLetter | null>;
  /**
   * Puts letters back into the outbox, oldest first, as many as it has room for and at most `MAX_TAKEN_DEAD_LETTERS`.
   * One that fails again is a dead letter again, with a new id.
   *
   * @param request `payload` replaces that of the one letter in `ids`; it has passed `readEditedPayload`
   */
  retryDeadLetters(request: { ids: DeadLetterChoice; payload?: string }): Promise<RetriedDeadLetters>;
  dropDeadLetters(request: { ids: DeadLetterChoice }): Promise<DroppedDeadLetters>;
  /**
   * Lets a shard that has paused or stopped try again, at once, and answers with its state after that try. Where the database
   * has lost messages that the shard still has, `missing` says what becomes of them; without it the shard stays stopped.
   */
  resume(request?: { missing?: MissingChoice }): Promise<ShardState>;
  /**
   * Writes nothing to Postgres from now on, until `resume`: what is accepted waits, and a sleep, a crash and a deployment change
   * nothing of it. A batch that is on its way is not called back; the answer comes when it has ended.
   */
  pauseShard(): Promise<ShardState>;
  /** Tries at once to write what waits, and answers after that try. One that has stopped or was paused stays so. */
  flushShard(): Promise<ShardState>;
  /**
   * Writes what was accepted, and answers once all of it is in Postgres or among the dead letters, or as soon as the
   * shard is paused. With `closeSockets` clients are told to go first (`drain` and 4503; 1001 for raw sockets).
   */
  drainShard(request: { closeSockets: boolean }): Promise<ShardState>;
}
