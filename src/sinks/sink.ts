/**
 * A sink: a named destination, with the options of buffering and writing. Most join a Drizzle table and a rule for each
 * of its columns; a stream sink (src/sinks/stream-sink.ts) appends to the message store.
 */

import { getTableColumns, getTableName } from 'drizzle-orm';
import { getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core';
import { SluiceError } from '../core/errors.ts';
import { quoteName } from '../core/sql-text.ts';
import { checkpoints } from '../schema/checkpoints.ts';
import { type Message, type MessageColumns, messageAt } from './message-batch.ts';
import { resolveSinkOptions, type SinkOptions } from './sink-options.ts';
import type { StreamSink } from './stream-sink.ts';

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
}

export type Sink = TableSink | StreamSink;

export interface SinkDefinition<Table extends PgTable> {
  table: Table;
  /** The columns that are written. Columns left out get their default from Postgres. */
  columns: { [Key in keyof Table['_']['columns']]?: ColumnSource };
  options?: Partial<SinkOptions>;
  /** The table that counts its batches, in the form of `checkpoints`. Default: `sluice_checkpoints`. */
  checkpointTable?: string;
}

/** The producer's name. */
export const fromProducer: ColumnSource = {
  shape: 'line',
  text: (columns, row) => columns.producers[row] as string,
  // assertProducerName lets no backslash and no white space through.
  isPlain: () => true,
};

/** The producer's epoch; 0 for raw sockets. */
export const fromEpoch: ColumnSource = {
  shape: 'digits',
  text: (columns, row) => epochText(columns.epochs[row] as number),
};

/** The message's sequence among its producer's, within an epoch. */
export const fromSequence: ColumnSource = {
  shape: 'digits',
  text: (columns, row) => sequenceText(columns.sequences[row] as number),
};

/** The message's own text. */
export const fromPayload: ColumnSource = {
  shape: 'line',
  text: (columns, row) => columns.payloads[row] as string,
  isPlain: (columns, row) => columns.plain[row] as boolean,
};

/** When the shard received the message, as an ISO timestamp. */
export const fromReceivedAt: ColumnSource = {
  shape: 'digits',
  text: (columns, row) => timestampText(columns.receivedAtMs[row] as number),
};

/** What goes into a table of the columns that `messages` has. */
export const messageSources = {
  producer: fromProducer,
  epoch: fromEpoch,
  sequence: fromSequence,
  payload: fromPayload,
  receivedAt: fromReceivedAt,
} satisfies Record<string, ColumnSource>;

/**
 * A value computed from a message, as the text that Postgres reads it from; null for NULL. It runs once per row on
 * the write path, so it should be quick, and it must not throw: validate at the producer.
 */
export function fromMessage(compute: (message: Message) => string | null): ColumnSource {
  return { shape: 'any', text: (columns, row) => compute(messageAt(columns, row)) };
}

/**
 * Makes a sink of a table from its definition.
 *
 * @throws SluiceError `invalid_options` for wrong options, an unknown column, or a sink without columns
 */
export function defineSink<Table extends PgTable>(
  name: string,
  definition: SinkDefinition<Table>,
): TableSink {
  const tableColumns = getTableColumns(definition.table) as Record<string, PgColumn>;
  const columns: SinkColumn[] = [];
  for (const [key, source] of Object.entries(definition.columns) as [string, ColumnSource | undefined][]) {
    if (source === undefined) continue;
    const column = tableColumns[key];
    if (column === undefined) {
      throw new SluiceError(
        'invalid_options',
        `Sink ${name}: the table has no column ${JSON.stringify(key)}, only ${Object.keys(tableColumns).join(', ')}`,
      );
    }
    columns.push({ ...source, key, name: column.name, sqlType: castableType(column.getSQLType()) });
  }
  if (columns.length === 0)
    throw new SluiceError('invalid_options', `Sink ${name}: name at least one column to write`);
  const { schema, name: tableName } = getTableConfig(definition.table);
  return {
    kind: 'table',
    name,
    table: definition.table,
    quotedTable: schema === undefined ? quoteName(tableName) : `${quoteName(schema)}.${quoteName(tableName)}`,
    columns,
    options: resolveSinkOptions(definition.options ?? {}, name),
    checkpointTable: definition.checkpointTable ?? getTableName(checkpoints),
  };
}

// `serial` is a notation of CREATE TABLE and no type that a text can be cast to.
function castableType(sqlType: string): string {
  return { serial: 'integer', bigserial: 'bigint', smallserial: 'smallint' }[sqlType] ?? sqlType;
}

// V8 formats integers above 2^31 by its slow path for doubles, about 200 ns each. The high digits of neighbouring
// sequences are the same, so they are formatted once and the low six are joined to them.
const LOW_SPAN = 1_000_000;
let highNumber = -1;
let highText = '';

/** A whole number from 0 to 2^53 - 1 as decimal text. */
export function sequenceText(sequence: number): string {
  if (sequence < LOW_SPAN) return String(sequence);
  const high = Math.floor(sequence / LOW_SPAN);
  if (high !== highNumber) {
    highNumber = high;
    highText = String(high);
  }
  const low = sequence - high * LOW_SPAN;
  return highText + String(LOW_SPAN + low).slice(1);
}

let lastEpoch = 0;
let lastEpochText = '0';

// A frame's messages are all of one epoch, and raw sockets have none but 0.
function epochText(epoch: number): string {
  if (epoch !== lastEpoch) {
    lastEpoch = epoch;
    lastEpochText = sequenceText(epoch);
  }
  return lastEpochText;
}

let timestampMs = Number.NaN;
let timestamp = '';

// Messages come in runs of the same millisecond.
function timestampText(atMs: number): string {
  if (atMs !== timestampMs) {
    timestampMs = atMs;
    timestamp = new Date(atMs).toISOString();
  }
  return timestamp;
}
