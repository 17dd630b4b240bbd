/**
 * The tables that Sluice itself needs, and how they came to be. All are called `sluice_…`. What else is in this folder is the
 * example of the clone: the table of the sink `messages`, with its migrations by drizzle-kit.
 */

import { checkpoints } from './checkpoints.ts';

/** A step that a database takes once. Its name stands in the history for ever. */
export interface SchemaStep {
  name: string;
  statements: readonly string[];
}

/** The table that says which steps a schema has taken. */
export const HISTORY_TABLE = 'sluice_migrations';

export const SLUICE_TABLES = { checkpoints };

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
];
