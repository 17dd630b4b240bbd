/**
 * Sinks of the bench whose tables have columns for the members of a message: one table, or three, of which each message goes to
 * one or two.
 */

import { type SQL, sql } from 'drizzle-orm';
import { bigint, doublePrecision, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import { messageSources } from '../../../src/sinks/column-sources.ts';
import { defineRouteSink, type RouteDefinition } from '../../../src/sinks/route-sink.ts';
import type { Sink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { BENCH_CHECKPOINTS, BENCH_TABLE_PREFIX, type BenchSinkSpec, benchTableName } from './bench-sink.ts';

/** The members of a message that say where it goes. */
interface Reading {
  temperature: number;
  humidity: number;
}

/** A table of `mapped` or `routed`, and which messages have to be there: for the sink, and in SQL for the audit. */
export interface MappedTable {
  /** Without the prefix. */
  table: string;
  takes: (reading: Reading) => boolean;
  holds: SQL;
}

/** All messages in one table. */
export function mappedTable(table: string): MappedTable {
  return { table, takes: () => true, holds: sql`true` };
}

/** Three tables. Each message is mild or warm, and a third of them are humid too. */
export function routedTables(table: string): MappedTable[] {
  return [
    { table: `${table}mild`, takes: ({ temperature }) => temperature < 27, holds: sql`temperature < 27` },
    { table: `${table}warm`, takes: ({ temperature }) => temperature >= 27, holds: sql`temperature >= 27` },
    {
      table: `${table}humid`,
      takes: ({ humidity }) => humidity >= 60,
      holds: sql`(rest->>'humidity')::int >= 60`,
    },
  ];
}

export function mappedSink({ table, options }: BenchSinkSpec): Sink {
  return defineSink('bench', { ...mappingOf(table), options, checkpointTable: BENCH_CHECKPOINTS });
}

export function routedSink({ table, options }: BenchSinkSpec): Sink {
  const routes = routedTables(table).map((route): [string, RouteDefinition] => [
    route.table,
    { ...mappingOf(route.table), when: ({ json }) => route.takes(json) },
  ]);
  return defineRouteSink('bench', {
    routes: Object.fromEntries(routes),
    options,
    checkpointTable: BENCH_CHECKPOINTS,
  });
}

/** Members go to the columns of their names, and the rest of them to one column. */
function mappingOf(table: string) {
  const { producer, epoch, sequence, receivedAt } = messageSources;
  return {
    table: pgTable(BENCH_TABLE_PREFIX + table, {
      id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
      producer: text().notNull(),
      epoch: bigint({ mode: 'bigint' }).notNull(),
      sequence: bigint({ mode: 'bigint' }).notNull(),
      device: text().notNull(),
      n: bigint({ mode: 'bigint' }).notNull(),
      temperature: doublePrecision().notNull(),
      receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
      rest: jsonb().notNull(),
    }),
    columns: { producer, epoch, sequence, receivedAt },
    rest: 'rest' as const,
  };
}

/** The statement that creates such a table. */
export function createMappedTable(table: string) {
  return sql.raw(`create table ${benchTableName(table)} (
    id bigint primary key generated always as identity,
    producer text not null,
    epoch bigint not null,
    sequence bigint not null,
    device text not null,
    n bigint not null,
    temperature double precision not null,
    received_at timestamp with time zone not null,
    rest jsonb not null
  )`);
}
