/** The sinks of the bench: separate tables, prefixed so that nothing else can be meant. */

import { sql } from 'drizzle-orm';
import { bigint, jsonb, pgTable, text, timestamp, unique } from 'drizzle-orm/pg-core';
import { quoteName } from '../../../src/core/sql-text.ts';
import { messageSources } from '../../../src/sinks/column-sources.ts';
import type { TableSink } from '../../../src/sinks/sink.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { readingSource, type UpsertSpec } from './upsert-keys.ts';

/** Every table of the bench begins with this; nothing else is ever created or dropped by it. */
export const BENCH_TABLE_PREFIX = 'sluice_bench_';

/** The bench's own checkpoints, so that it needs no migration and leaves nothing behind. */
export const BENCH_CHECKPOINTS = `${BENCH_TABLE_PREFIX}checkpoints`;

/** The type of the payload column. `text` costs Postgres about 1.3 µs less per row than `jsonb`. */
export const BENCH_COLUMNS = ['jsonb', 'text'] as const;
export type BenchColumn = (typeof BENCH_COLUMNS)[number];

/**
 * What becomes of a message:
 *
 * - `mapped`: its members go to columns of their own.
 * - `routed`: the same, in one or two of three tables.
 * - `copied`: it goes to two tables, as it is to each.
 * - `half-copied`: only messages of even sequences go to the second table, where all have to be.
 */
export const BENCH_FORMS = ['mapped', 'routed', 'copied', 'half-copied'] as const;
export type BenchForm = (typeof BENCH_FORMS)[number];

/** A bench sink as data, small enough to travel in a shard's name. */
export interface BenchSinkSpec {
  /** The table's name without the prefix. */
  table: string;
  column: BenchColumn;
  options: Partial<SinkOptions>;
  /** What becomes of messages whose key another message has. Missing: the table has no such key. */
  upsert?: UpsertSpec;
  /** What else becomes of a message. Missing: it is a row of the table, as it is. */
  form?: BenchForm;
}

/** The sink of a spec without a form: the columns of `messages`, in a table of the bench. */
export function benchSink({ table, column, options, upsert }: BenchSinkSpec): TableSink {
  const columns = {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    producer: text().notNull(),
    epoch: bigint({ mode: 'bigint' }).notNull().default(sql`0`),
    sequence: bigint({ mode: 'bigint' }).notNull(),
    payload: column === 'jsonb' ? jsonb().notNull() : text().notNull(),
    receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
  };
  const name = BENCH_TABLE_PREFIX + table;
  const common = { options, checkpointTable: BENCH_CHECKPOINTS };
  if (upsert === undefined)
    return defineSink('bench', { table: pgTable(name, columns), columns: messageSources, ...common });
  const keyed = pgTable(name, { ...columns, reading: bigint({ mode: 'bigint' }).notNull() }, (made) => [
    unique().on(made.producer, made.reading),
  ]);
  const key = ['producer', 'reading'] as const;
  return defineSink('bench', {
    table: keyed,
    columns: { ...messageSources, reading: readingSource(upsert) },
    onConflict: { action: upsert.action, columns: key },
    ...common,
  });
}

/** The statement that creates a bench table; it has the columns, key and constraints of `messages`, and the key of upserts. */
export function createBenchTable(table: string, column: BenchColumn, upsert?: UpsertSpec) {
  return sql.raw(`create table ${benchTableName(table)} (
    id bigint primary key generated always as identity,
    producer text not null,
    epoch bigint not null default 0,
    sequence bigint not null,
    payload ${column} not null,
    received_at timestamp with time zone not null${upsert === undefined ? '' : ',\n    reading bigint not null,\n    unique (producer, reading)'}
  )`);
}

/** The statement that creates the bench's table of checkpoints, in the form of `checkpoints`. Safe to repeat. */
export function createBenchCheckpoints() {
  return sql.raw(`create table if not exists ${quoteName(BENCH_CHECKPOINTS)} (
    sink text not null,
    shard text not null,
    lane integer not null,
    incarnation text not null,
    position bigint not null,
    updated_at timestamp with time zone not null default now(),
    primary key (sink, shard, lane, incarnation)
  )`);
}

export function dropBenchTable(table: string) {
  return sql.raw(`drop table if exists ${benchTableName(table)}`);
}

/** A bench table's name, quoted. */
export function benchTableName(table: string): string {
  return quoteName(BENCH_TABLE_PREFIX + table);
}
