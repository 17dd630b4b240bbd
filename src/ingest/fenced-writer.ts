/**
 * Writes the batches of one lane exactly once, and deals with a checkpoint that is not where the lane knows it: the lane
 * moves on, or stops until an operator resumes it.
 */

import { sql } from 'drizzle-orm';
import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import type { Failpoints } from '../core/failpoints.ts';
import { type Connection, sqlState } from '../database/connection.ts';
import type { ConnectionSlot } from '../database/connection-slot.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { MissingChoice } from '../outbox/missing-messages.ts';
import type { OutboxLane } from '../outbox/outbox-lane.ts';
import { type MessageBatch, rowsOf } from '../sinks/message-batch.ts';
import { handOverCheckpoint, type LaneKey, surveyCheckpoints } from '../writers/checkpoint-survey.ts';
import { startIncarnation, writeOnce } from '../writers/write-once.ts';
import type { Write } from '../writers/writer.ts';
import { planResume, stopError } from './checkpoint-stop.ts';
import type { WriteEnd } from './flusher-options.ts';

export interface FencedWriterOptions {
  outbox: OutboxLane;
  key: LaneKey;
  sqlite: Sqlite;
  slot: ConnectionSlot;
  failpoints: Failpoints;
  /** Called when the storage cannot be written. */
  failStorage: (error: unknown) => void;
}

/** How a lane was resumed; or why it was not. */
export type ResumeEnd =
  | {
      state: 'resumed';
      /** Messages that turned out to be in the database. */
      settledRows: number;
      /** Messages that had been committed, and are written again. */
      rewrittenRows: number;
    }
  | { state: 'stopped'; error: SluiceError };

/** How often a checkpoint is asked for that moves while it is resumed. */
const RESUME_TRIES = 3;

export class FencedWriter {
  readonly #options: FencedWriterOptions;

  constructor(options: FencedWriterOptions) {
    this.#options = options;
  }

  /**
   * What sends a batch, to be called once or more often.
   *
   * @param settling where more is settled than the rows of the batch: up to which position, and what has to be done about that
   *   once Postgres has taken the rows. It is durable before they are committed
   */
  prepare(
    batch: MessageBatch,
    write: Write,
    settling?: { end: bigint; beforeCommit: () => void },
  ): () => Promise<WriteEnd> {
    const { outbox, key, sqlite, slot, failpoints } = this.#options;
    const end = settling?.end ?? batch.position + BigInt(rowsOf(batch));
    const writeRows: Write = async (connection, transaction) => {
      await write(connection, transaction);
      if (settling !== undefined) {
        // What COMMIT would refuse, it refuses now.
        await connection.db.execute(sql.raw('set constraints all immediate'));
        settling.beforeCommit();
        await sqlite.sync();
      }
      outbox.noteSent(end);
    };
    return async () => {
      // Postgres must never have what the outbox could still lose: positions would be given a second time. Asked here
      // and not earlier: with the input gate shut, only what was begun after that is answered.
      await sqlite.sync();
      const { incarnation, fence } = outbox;
      const order = { key: { ...key, incarnation }, fence, from: batch.position, end };
      const written = await slot.use((connection) => writeOnce(connection, order, writeRows, failpoints));
      return written.state === 'committed' ? written : this.#reconcile(end, written.position);
    };
  }

  // The checkpoint was not where this shard knew it. Usually it is at the batch's end: the batch was committed, and the
  // answer got lost.
  async #reconcile(end: bigint, position: bigint | null): Promise<WriteEnd> {
    const { outbox, key, slot } = this.#options;
    const { fence, maxSentPosition } = outbox;
    if (position === end && end <= maxSentPosition) return { state: 'committed' };
    if (position !== null && position <= maxSentPosition && (fence === null || position >= fence))
      return this.#moveTo(position);
    const survey = await slot.use((connection) => surveyCheckpoints(connection, key, outbox.incarnations));
    throw stopError(survey, outbox);
  }

  #moveTo(position: bigint): WriteEnd {
    const { outbox, failStorage } = this.#options;
    try {
      const settledRows = outbox.advanceTo(position > outbox.head ? position : outbox.head);
      outbox.setFence(position);
      return { state: 'moved', settledRows };
    } catch (error) {
      // Thrown on, it would pass for a failure of the database, and the batch be put back into a lane that has moved.
      failStorage(error);
      return { state: 'moved', settledRows: 0 };
    }
  }

  /**
   * An operator lets the lane go on after it has stopped. Where the checkpoint is, is asked first: an address that was
   * wrong for a moment leaves nothing to decide. To be called while the lane writes nothing.
   *
   * @param choice what becomes of messages that the database lacks
   */
  async resume(choice: MissingChoice | undefined): Promise<ResumeEnd> {
    const { outbox, key, sqlite, slot } = this.#options;
    // The one that is open may lead to where the address pointed before.
    slot.close();
    for (let tries = 0; tries < RESUME_TRIES; tries += 1) {
      const survey = await this.#ask((connection) => surveyCheckpoints(connection, key, outbox.incarnations));
      const plan = planResume(survey, outbox, choice);
      if (plan.do === 'stop') return { state: 'stopped', error: plan.error };
      if (plan.do === 'go-on') return { state: 'resumed', settledRows: 0, rewrittenRows: 0 };
      const { from, position, isNewCount } = plan;
      const incarnation = outbox.proposeIncarnation();
      await sqlite.sync();
      const to = { incarnation, position };
      const isMoved = await this.#ask((connection) =>
        from === undefined
          ? startIncarnation(connection, { ...key, incarnation }, position).then(() => true)
          : handOverCheckpoint(connection, key, from, to),
      );
      if (isMoved) return this.#begin(incarnation, position, isNewCount);
    }
    throw new SluiceError(
      'database_refused',
      'The checkpoint moves while the shard is resumed: resume again',
    );
  }

  // For an operator, who may be far away: an error without a code would lose its text on the way.
  async #ask<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    try {
      return await this.#options.slot.use(work);
    } catch (error) {
      if (isSluiceError(error)) throw error;
      throw new SluiceError(
        sqlState(error) === undefined ? 'database_unreachable' : 'database_refused',
        `The shard stays stopped, since its checkpoint could not be asked for: ${errorText(error)}`,
        { cause: error },
      );
    }
  }

  #begin(incarnation: string, position: bigint, isNewCount: boolean): ResumeEnd {
    const { outbox, failStorage } = this.#options;
    try {
      const { head } = outbox;
      const settledRows = position > head ? outbox.advanceTo(position) : 0;
      const rewrittenRows = position < head ? outbox.rewindTo(position) : 0;
      outbox.startIncarnation(incarnation, position, isNewCount);
      return { state: 'resumed', settledRows, rewrittenRows };
    } catch (error) {
      failStorage(error);
      throw error;
    }
  }
}
