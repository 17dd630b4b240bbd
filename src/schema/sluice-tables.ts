/**
 * The tables that Sluice itself needs, and how they came to be. All are called `sluice_…`. What else is in this folder is the
 * example of the clone: the table of the sink `messages`, with its migrations by drizzle-kit.
 */

import { checkpoints } from './checkpoints.ts';
import { deadLetters } from './dead-letters.ts';

/** A step that a database takes once. Its name stands in the history for ever. */
export interface SchemaStep {
  name: string;
  statements: readonly string[];
}

/** The table that says which steps a schema has taken. */
export const HISTORY_TABLE = 'sluice_migrations';

export const SLUICE_TABLES = { checkpoints, deadLetters };

/** The steps to these tables, in their order. A later version appends; what stands here never changes. */
export const SLUICE_STEPS: readonly SchemaStep[] = [
  {
    name: 'sluice_0000_checkpoints',
    statements: [
      `CREATE TABLE "sluice_checkpoints" (
        "sink" text NOT NULL,
        "shard" text NOT NULL,
        "lane" integer NOT NULL,
        "incarnation" text NOT NULL,
        "position" bigint NOT NULL,
        "updated_at" timestamp with time zone DEFAULT now() NOT NULL,
        CONSTRAINT "sluice_checkpoints_sink_shard_lane_incarnation_pk" PRIMARY KEY("sink","shard","lane","incarnation")
      )`,
    ],
  },
  {
    name: 'sluice_0001_dead_letters',
    statements: [
      `CREATE TABLE "sluice_dead_letters" (
        "sink" text NOT NULL,
        "shard" text NOT NULL,
        "list" text NOT NULL,
        "id" bigint NOT NULL,
        "producer" text NOT NULL,
        "epoch" bigint NOT NULL,
        "sequence" bigint NOT NULL,
        "received_at" timestamp with time zone NOT NULL,
        "failed_at" timestamp with time zone NOT NULL,
        "by" text,
        "sql_state" text,
        "reason" text NOT NULL,
        "detail" text,
        "hint" text,
        "table_name" text,
        "column_name" text,
        "constraint_name" text,
        "payload" text NOT NULL,
        CONSTRAINT "sluice_dead_letters_sink_shard_list_id_pk" PRIMARY KEY("sink","shard","list","id")
      )`,
    ],
  },
];
