/** What all writers have in common. */

import type { Connection } from '../database/connection.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { TableSink } from '../sinks/sink.ts';
import type { SinkOptions } from '../sinks/sink-options.ts';
import type { WriterMode } from '../sinks/writer-mode.ts';

/**
 * Whose transaction the statements of a write are part of. `own` (default): the write commits by itself, all of the
 * batch or nothing, and resolves once Postgres has committed. `callers`: the caller has begun one on the connection and
 * ends it; the write neither begins nor ends any, since a COMMIT here would end the caller's too early.
 */
export type WriteTransaction = 'own' | 'callers';

/** Writes one batch on a connection. Resolves once Postgres has taken all of it. */
export type Write = (connection: Connection, transaction?: WriteTransaction) => Promise<void>;

/** Turns a batch into what will be sent: the work that can be done while Postgres is busy with the batch before. */
export type PrepareWrite = (batch: MessageBatch) => Write;

/** How a shard drives a writer. */
export interface WritePlan {
  /** Queues of a shard, each with the producers assigned to it, so that a producer's order holds. */
  lanes: number;
  /** Connections that share a lane's queue. More than one gives up the order. */
  workersPerLane: number;
  /** Waiting rows that trigger a write. */
  triggerRows: number;
  /** The most rows that one write takes. */
  maxRows: number;
  lingerMs: number;
}

export interface Writer {
  mode: WriterMode;
  /** One line for tables and help texts. */
  description: string;
  /**
   * True where a batch is one transaction, and so can be counted by a checkpoint in it. Row by row it cannot: after a
   * lost answer or a restart, rows of the batch are written a second time.
   */
  isExactlyOnce: boolean;
  plan(options: SinkOptions): WritePlan;
  /** Makes what is needed once. Each connection gets its own, so state in it is safe. */
  create(sink: TableSink): PrepareWrite;
}

/** The plan of the writers that send batches: one lane unless the sink asks for more connections. */
export function batchPlan(options: SinkOptions): WritePlan {
  return {
    lanes: options.connections === 0 ? 1 : options.connections,
    workersPerLane: 1,
    triggerRows: options.batchRows,
    maxRows: options.batchRows,
    lingerMs: options.lingerMs,
  };
}
