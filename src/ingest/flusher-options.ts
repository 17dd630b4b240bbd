/** What a flusher is given, and how its writes end. */

import type { Timers } from '../core/timers.ts';
import type { MessageBuffer } from '../outbox/message-buffer.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { FlushFault, FlushFaultsOptions } from './flush-faults.ts';
import type { IsolationPorts, RowLook } from './isolation.ts';
import type { Measurements } from './measurements.ts';

/**
 * How a write ended: the batch is committed, or the buffer itself learned that it and perhaps more was settled
 * elsewhere and has moved on, so that everything taken from it is void.
 */
export type WriteEnd = { state: 'committed' } | { state: 'moved'; settledRows: number };

export interface FlusherOptions extends FlushFaultsOptions {
  buffer: MessageBuffer;
  /**
   * Turns a batch into what will be sent, and returns what sends it: that resolves once Postgres has committed the
   * batch. `worker` counts from 0.
   */
  prepare: (batch: MessageBatch, worker: number) => () => Promise<WriteEnd>;
  /** What kind of failure it was. `failuresInARow`: how many tries failed before it. */
  classify: (error: unknown, failuresInARow: number) => FlushFault;
  /** Takes a message that Postgres refused alone; false where there is no room. Missing: it is tried for ever. */
  deadLetter?: (message: MessageBatch, error: unknown) => boolean;
  /** What isolation has beside that. Missing: every message that is refused alone is at fault, and is found by halving. */
  isolation?: (worker: number, failuresInARow: number) => Partial<IsolationAids>;
  /** Waiting rows that trigger a flush. */
  triggerRows: number;
  /** The most rows that one batch holds. */
  maxRows: number;
  /** Waiting bytes that trigger a flush, and the most that one batch holds. */
  batchBytes: number;
  /** How long the oldest message waits for company. 0: a flush starts with whatever is there. */
  lingerMs: number;
  /** Batches in flight at the most. */
  workers: number;
  timers: Timers;
  /** Where the work is noted. Missing: nobody watches. */
  measured?: Measurements | undefined;
  /** Called with messages that Postgres has committed. */
  onCommitted?: (batch: MessageBatch) => void;
  /** Called after each batch that was settled or put back. */
  onProgress?: () => void;
  /**
   * Called when the buffer itself fails, as when its storage cannot be written. Nobody knows then what it holds, so
   * this flusher is of no further use. Missing: the error is thrown where nobody catches it.
   */
  onBufferFailure?: (error: unknown) => void;
}

/** What a writer of batches adds to isolation. */
export interface IsolationAids extends Pick<IsolationPorts, 'judge' | 'roomFor'> {
  look: Omit<RowLook, 'writeWithout'> & {
    writeWithout: (...given: Parameters<RowLook['writeWithout']>) => Promise<WriteEnd>;
  };
}
