/** What a lane of the outbox is given. */

import type { Failpoints } from '../core/failpoints.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { KeptGroupsOptions } from './kept-groups.ts';
import type { Producer } from './producer.ts';
import type { ProducerRegistry } from './producer-registry.ts';

export interface OutboxLaneOptions {
  sqlite: Sqlite;
  lane: number;
  producers: ProducerRegistry;
  failpoints: Failpoints;
  /** Text of messages, with their overhead, that memory may hold. */
  maxMemoryBytes: number;
  /** True where Postgres counts the batches by a checkpoint: their boundaries are then written before they are sent. */
  isFenced: boolean;
  /** How long settled groups are kept, and how much text of them. Default: they are not. */
  keep?: KeptGroupsOptions;
  now: () => number;
  /** A random text that no other lane ever had. */
  randomId: () => string;
  /** Called when a producer's `committed` has moved. */
  onCommitted: (producer: Producer) => void;
  /** True while a socket of the producer is open. */
  hasSession: (producer: Producer) => boolean;
  /** The shard's figures, as JSON text: written with the lane's row. Default: none. */
  counts?: () => string;
  /**
   * True where memory may keep so many bytes more of messages that are in storage too. Default: up to `maxMemoryBytes`.
   *
   * @param laneBytes what the lane has in memory
   */
  mayKeep?: (memoryBytes: number, laneBytes: number) => boolean;
  /** Called when memory holds another amount, but for what is gathered. */
  onHeld?: () => void;
  /** Called before a batch is settled. */
  onSettling?: (batch: MessageBatch) => void;
}
