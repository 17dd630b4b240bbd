/** Names a row of the table of checkpoints. */

import { and, eq, getTableName, type SQL } from 'drizzle-orm';
import { checkpoints, createCheckpoints } from '../schema/checkpoints.ts';

/** Names a checkpoint. None of the texts may hold a NUL character. */
export interface CheckpointKey {
  /** The table of checkpoints. Default: `sluice_checkpoints`. */
  table?: string;
  /** The sink's name. */
  sink: string;
  /** The shard's name. */
  shard: string;
  /** The lane's number among those of its shard, from 0. */
  lane: number;
  /** Names one life of the shard's outbox; another one counts its positions from its own beginning. */
  incarnation: string;
}

const TABLES = new Map([[getTableName(checkpoints), checkpoints]]);

/** The table that a key's checkpoint is in. */
export function tableOf({ table: name }: Pick<CheckpointKey, 'table'>): typeof checkpoints {
  if (name === undefined) return checkpoints;
  const known = TABLES.get(name) ?? createCheckpoints(name);
  TABLES.set(name, known);
  return known;
}

/** The condition for the checkpoints of a lane, whatever their incarnation. */
export function isLane(key: Omit<CheckpointKey, 'incarnation'>): SQL | undefined {
  const table = tableOf(key);
  return and(eq(table.sink, key.sink), eq(table.shard, key.shard), eq(table.lane, key.lane));
}

/** The condition for one checkpoint. */
export function isKey(key: CheckpointKey): SQL | undefined {
  return and(isLane(key), eq(tableOf(key).incarnation, key.incarnation));
}
