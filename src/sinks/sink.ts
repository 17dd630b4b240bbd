/**
 * A sink: a named destination, with the options of buffering and writing. Most join a Drizzle table and a rule for each
 * of its columns (table-sink.ts); one of routes writes to several tables (route-sink.ts); a stream sink appends to the message
 * store (stream-sink.ts).
 */

import type { PgTable } from 'drizzle-orm/pg-core';
import type { MessageColumns, ReadMessage } from './message-batch.ts';
import type { AskSchema } from './message-schema.ts';
import type { ConflictRule } from './on-conflict.ts';
import type { SinkOptions } from './sink-options.ts';

/**
 * What a column's texts may look like. Writers choose the cheapest correct encoding from it, so that the text of
 * every statement stays constant.
 *
 * - `digits`: digits, signs, points, colons, letters of a timestamp; never empty, never null, nothing to escape.
 * - `line`: any text without NUL, newline or other control characters but tabs and carriage returns; never empty, never null.
 * - `any`: any text without NUL, or null.
 */
export type TextShape = 'digits' | 'line' | 'any';

/** How a column gets its value: as the text that Postgres reads the column's type from. */
export interface ColumnSource {
  shape: TextShape;
  /** What the value is made of, in a few words. A sink whose columns have other origins than before has another mapping. */
  origin?: string;
  text(columns: MessageColumns, row: number): string | null;
  /** True where a `line` text has no backslash, tab or carriage return. Missing: it must be looked at. */
  isPlain?(columns: MessageColumns, row: number): boolean;
}

/** A column of a sink's table, ready for the writers. */
export interface SinkColumn extends ColumnSource {
  /** The key in the Drizzle table. */
  key: string;
  /** The name in Postgres. */
  name: string;
  /** The type in Postgres, as in `bigint` or `timestamp with time zone`. */
  sqlType: string;
}

/** What all sinks have. */
export interface SinkBase {
  name: string;
  options: SinkOptions;
  /** The table that counts its batches. */
  checkpointTable: string;
}

/** A sink whose messages become rows of a table. */
export interface TableSink extends SinkBase {
  kind: 'table';
  table: PgTable;
  /** The table's name in Postgres, quoted, with its schema where it has one. */
  quotedTable: string;
  columns: readonly SinkColumn[];
  /** What goes into each column, by its name in Postgres: where it is another text than before, the mapping was changed. */
  mapping: Readonly<Record<string, string>>;
  /** What becomes of rows that meet under a unique key; undefined: Postgres refuses them. */
  onConflict: ConflictRule | undefined;
  /** Asked of each message before it is stored. Undefined: the sink has no schema. */
  askSchema: AskSchema | undefined;
}

/** A sink whose messages are appended to streams of the message store. */
export interface StreamSink extends SinkBase {
  kind: 'stream';
  /** The namespace in Postgres. */
  namespace: string;
}

/** One of the tables of a sink of routes. */
export interface SinkRoute {
  name: string;
  /** Which messages go there; undefined: all. */
  takes: ((message: ReadMessage) => boolean) | undefined;
  /** The table and its mapping. Its options count for nothing: batches are those of the whole sink. */
  sink: TableSink;
}

/** A sink whose messages go to each table whose route takes them. */
export interface RouteSink extends SinkBase {
  kind: 'routes';
  routes: readonly SinkRoute[];
  /** What becomes of a message that no route takes. */
  unrouted: 'refuse' | 'ignore';
  /** The mappings of all routes, and which messages they take. */
  mapping: Readonly<Record<string, string>>;
  /** Asked of each message before it is stored. Undefined: the sink has no schema. */
  askSchema: AskSchema | undefined;
}

export type Sink = TableSink | RouteSink | StreamSink;
