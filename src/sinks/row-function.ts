/** Rows made by one function of the sink: it runs once for each message, and gives a value for each column. */

import { SluiceError } from '../core/errors.ts';
import { stringifyExact } from '../core/exact-json.ts';
import type { ValueColumn } from './member-sources.ts';
import { type MessageColumns, type ReadMessage, readMessageAt } from './message-batch.ts';
import type { ReadRow } from './row-source.ts';
import { timestampOf } from './timestamps.ts';
import { missingValue, shown, unfitValue, ValueFault } from './value-fault.ts';
import { jsonReader, type ValueReader } from './value-readers.ts';

/** What a row's function may give for a column. `undefined`: the column's default. */
export type RowValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | null
  | undefined
  | readonly RowValue[]
  | { readonly [name: string]: unknown };

/** A row by the keys of the table. */
export type RowFunction = (message: ReadMessage) => Readonly<Record<string, unknown>>;

/** How the rows are read of a sink that makes them by a function. */
export function rowReader(sink: string, columns: readonly ValueColumn[], row: RowFunction): ReadRow {
  const keys = new Set(columns.map(({ key }) => key));
  return (messages, place) => {
    const made = row(readMessageAt(messages, place));
    if (typeof made !== 'object' || made === null || Array.isArray(made))
      throw faultOf(
        sink,
        `returned ${nameOf(made)}: it has to return an object, with the columns by their keys`,
      );
    const values = made as Readonly<Record<string, unknown>>;
    for (const key of Object.keys(values)) {
      if (!keys.has(key))
        throw faultOf(
          sink,
          `returned the key ${JSON.stringify(key)}, and the columns that it fills are ${[...keys].join(', ')}`,
        );
    }
    return columns.map((column) => textOf(column, values[column.key], messages, place));
  };
}

// Code of the sink, not what is in the message.
function faultOf(sink: string, what: string): SluiceError {
  return new SluiceError('sink_failed', `The function row of the sink ${sink} ${what}`);
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

function textOf(column: ValueColumn, value: unknown, messages: MessageColumns, row: number): string | null {
  if (value === undefined || value === null) {
    const text = value === undefined ? column.missing(messages, row) : null;
    if (text === null && column.isNeeded) throw missingValue(column, value === null, row);
    return text;
  }
  try {
    return textOfValue(value, column.reader);
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw unfitValue(column, shownValue(value), error, row);
  }
}

/** The text that Postgres reads a type from. @throws ValueFault */
export function textOfValue(value: unknown, reader: ValueReader): string {
  if (reader === jsonReader) return jsonOf(value);
  if (typeof value === 'string') return reader.string(withoutNul(value));
  // NaN and the infinities, which Postgres's own numbers have too.
  if (typeof value === 'number' && !Number.isFinite(value)) return reader.string(String(value));
  if (value instanceof Date) return reader.string(instantText(value));
  return reader.json(jsonOf(value));
}

function jsonOf(value: unknown): string {
  try {
    return withoutNul(stringifyExact(value), NUL_IN_JSON);
  } catch (error) {
    if (error instanceof ValueFault) throw error;
    throw new ValueFault(error instanceof Error ? error.message : String(error));
  }
}

/** A NUL as JSON.stringify writes it; after a backslash that is escaped itself, the same letters are a text. */
const NUL_IN_JSON = /(?<!\\)(?:\\\\)*\\u0000/;
const NUL = /\0/;

function withoutNul(text: string, nul = NUL): string {
  if (nul.test(text)) throw new ValueFault('it holds a NUL character, which Postgres cannot store');
  return text;
}

function instantText(value: Date): string {
  const ms = value.getTime();
  if (Number.isNaN(ms)) throw new ValueFault('the Date is not valid');
  return timestampOf(String(ms));
}

function shownValue(value: unknown): string {
  if (typeof value === 'string') return shown(JSON.stringify(value));
  try {
    return shown(stringifyExact(value));
  } catch {
    return nameOf(value);
  }
}
