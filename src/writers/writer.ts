/** What all writers have in common. */

import type { Connection } from '../database/connection.ts';
import type { MessageBatch } from '../ingest/message-batch.ts';
import type { Sink } from '../sink.ts';
import type { SinkOptions } from '../sink-options.ts';
import type { WriterMode } from './mode.ts';

/** Writes a batch on a connection. Resolves once Postgres has committed all of it; rejects when nothing of it is in. */
export type WriteBatch = (connection: Connection, batch: MessageBatch) => Promise<void>;

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
  plan(options: SinkOptions): WritePlan;
  /** Prepares what can be prepared once. Each connection gets its own, so state in it is safe. */
  create(sink: Sink): WriteBatch;
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
