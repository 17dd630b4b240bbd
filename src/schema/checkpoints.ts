/** The table of checkpoints: how far each lane of each shard is settled in this database. */

import { bigint, integer, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * One row for each lane of a shard that writes exactly once. It moves in the transaction that writes the rows, so it
 * tells for certain what this database has, even where the answer to a COMMIT was lost (src/writers/write-once.ts).
 * It is updated once per batch. To delete a row stops its lane: a shard does not write what it cannot place.
 */
export const checkpoints = createCheckpoints('sluice_checkpoints');

/** The same table by another name, as the bench has it. */
export function createCheckpoints(name: string) {
  return pgTable(
    name,
    {
      /** The sink's name. */
      sink: text().notNull(),
      /** The shard's name. */
      shard: text().notNull(),
      /** The lane's number among those of its shard, from 0. */
      lane: integer().notNull(),
      /** Names one life of the shard's outbox: an outbox that was lost and begins again counts its positions again. */
      incarnation: text().notNull(),
      /** Every message of the lane below this position is settled: it is in the sink's table, or was set aside for good. */
      position: bigint({ mode: 'bigint' }).notNull(),
      /** When the position moved last, by the clock of the database. */
      updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
    },
    (table) => [primaryKey({ columns: [table.sink, table.shard, table.lane, table.incarnation] })],
  );
}
