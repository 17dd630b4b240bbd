/**
 * Writes the batches of a lane whose writer no checkpoint counts: at least once. Batches that were sent while each was counted
 * may be in Postgres all the same: the checkpoint knows, and is asked before anything is written.
 */

import type { ConnectionSlot } from '../database/connection-slot.ts';
import type { OutboxLane } from '../outbox/outbox-lane.ts';
import type { LaneKey } from '../writers/checkpoint-survey.ts';
import { readCheckpoint } from '../writers/write-once.ts';
import type { Write } from '../writers/writer.ts';
import type { WriteEnd } from './flusher-options.ts';

export interface UnfencedWriterOptions {
  outbox: OutboxLane;
  key: LaneKey;
  /** Called when the storage cannot be written. */
  failStorage: (error: unknown) => void;
}

export class UnfencedWriter {
  readonly #options: UnfencedWriterOptions;
  /** The question to Postgres that ends a doubt, while it is under way. */
  #doubt: Promise<number> | undefined;

  constructor(options: UnfencedWriterOptions) {
    this.#options = options;
  }

  /** What sends a batch, to be called once or more often. */
  prepare(write: Write, slot: ConnectionSlot): () => Promise<WriteEnd> {
    const { outbox } = this.#options;
    const { generation } = outbox;
    return async () => {
      let settledRows = 0;
      if (this.#doubt !== undefined) await this.#doubt;
      else if (outbox.isInDoubt) {
        this.#doubt = this.#endDoubt(slot).finally(() => {
          this.#doubt = undefined;
        });
        settledRows = await this.#doubt;
      }
      // Several workers may have had batches then.
      if (outbox.generation !== generation) return { state: 'moved', settledRows };
      return writeUncounted(slot, write);
    };
  }

  /** @returns how many messages turned out to be in Postgres */
  async #endDoubt(slot: ConnectionSlot): Promise<number> {
    const { outbox, key, failStorage } = this.#options;
    const { incarnation } = outbox;
    const position = await slot.use((connection) => readCheckpoint(connection, { ...key, incarnation }));
    try {
      if (position !== null && position > outbox.head && position <= outbox.maxSentPosition) {
        return outbox.advanceTo(position);
      }
      outbox.endDoubt();
    } catch (error) {
      failStorage(error);
    }
    return 0;
  }
}

/** Writes a batch that nothing counts: after a lost answer it is written a second time. */
export async function writeUncounted(slot: ConnectionSlot, write: Write): Promise<WriteEnd> {
  await slot.use((connection) => write(connection));
  return { state: 'committed' };
}
