/** Tables of the types in types.ts, and what each writer makes of a text in them. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { type ServerError, serverErrorOf } from '../../../src/database/server-error.ts';
import { fromMessage, fromProducer, fromSequence } from '../../../src/sinks/column-sources.ts';
import type { ColumnSource, TableSink } from '../../../src/sinks/sink.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import type { WriterMode } from '../../../src/sinks/writer-mode.ts';
import { rowsOf } from '../../support/connect.ts';
import { batchOf, write } from './contract.ts';
import type { TypeCase } from './types.ts';

/** A column, and the texts that go into it. */
export interface TypedColumn extends TypeCase {
  /** The column's name. */
  name: string;
}

export interface TypeTable {
  name: string;
  columns: readonly TypedColumn[];
}

/** What a writer's rows are, column by column: as SQL writes them, `NULL` for NULL. */
export type ReadRows = Record<string, string[]>;

/** What is the same in every writer's refusal. Not the text: that of a COPY names the line. */
export type Refusal = Pick<ServerError, 'sqlState' | 'column' | 'constraint' | 'dataType' | 'table'>;

/** One column for each type, named after it. Drizzle is told that all of them are texts: writers have to ask the database. */
export async function createTypeTable(
  connection: Connection,
  name: string,
  cases: readonly TypeCase[],
): Promise<TypeTable> {
  const columns = cases.map((one, index) => ({ ...one, name: `${index} ${one.type}`.slice(0, 60) }));
  const definitions = columns.map((column) => `${quoteName(column.name)} ${column.type}`);
  await rowsOf(
    connection,
    `create table ${quoteName(name)} (place integer, writer text, ${definitions.join(', ')})`,
  );
  return { name, columns };
}

/** The same cases for arrays of the types, where there are any. */
export async function arrayCases(connection: Connection, { name, columns }: TypeTable): Promise<TypeCase[]> {
  const rows = await rowsOf<{ column: string; delimiter: string }>(
    connection,
    `select attname as column, typdelim as delimiter from pg_attribute join pg_type on pg_type.oid = atttypid
     where attrelid = '${quoteName(name)}'::regclass and attnum > 2 and typarray <> 0`,
  );
  const delimiters = new Map(rows.map(({ column, delimiter }) => [column, delimiter]));
  return columns.flatMap((column) => {
    const delimiter = delimiters.get(column.name);
    return delimiter === undefined ? [] : [arrayCase(column, delimiter)];
  });
}

function arrayCase({ type, good, bad }: TypedColumn, delimiter: string): TypeCase {
  const [first, second = first] = good.map(element);
  return {
    type: `${type}[]`,
    good: [
      '{}',
      '{NULL}',
      ...(first === undefined
        ? []
        : [
            `{${[...good.map(element), 'null'].join(delimiter)}}`,
            `{{${first}${delimiter}NULL}${delimiter}{${second}${delimiter}${first}}}`,
            `[-2:-1]={${first}${delimiter}${second}}`,
          ]),
    ],
    bad: [
      ...bad.slice(0, 1).map(([text, sqlState]) => [`{${element(text)}}`, sqlState] as const),
      // What is wrong with the array itself is the same for all types with one delimiter.
      ...(MALFORMED.has(type) ? malformed(first as string, delimiter) : []),
    ],
  };
}

const MALFORMED = new Set(['integer', 'text', 'box']);

function malformed(element: string, delimiter: string): [string, string][] {
  const texts = [
    '',
    'x',
    '{',
    `{${element}}}`,
    `{${element}${delimiter}}`,
    `{{${element}}${delimiter}${element}}`,
  ];
  return [
    ...texts.map((text): [string, string] => [text, '22P02']),
    ['[2:1]={}', '2202E'],
    [`{{${element}}${delimiter}{${element}${delimiter}${element}}}`, '22P02'],
  ];
}

function element(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}

/** The texts that a source of a shape may answer with, without the columns that have none. */
export function ofShape({ name, columns }: TypeTable, shape: 'digits' | 'line'): TypeTable {
  const pattern = shape === 'digits' ? /^[-+.:0-9TZ]+$/ : /^[\t\r\u0020-\uffff]+$/;
  const shaped = columns.map((column) => ({
    ...column,
    good: column.good.filter((text) => pattern.test(text)),
  }));
  return { name, columns: shaped.filter(({ good }) => good.length > 0) };
}

/** Writes one row for each text, with NULL where a column has fewer of them, and reads them back. */
export async function writeGood(
  mode: WriterMode,
  driver: string,
  { name, columns }: TypeTable,
  connection: Connection,
  shape: ColumnSource['shape'] = 'any',
): Promise<ReadRows> {
  const rows = Math.max(...columns.map(({ good }) => good.length)) + 1;
  const writer = `${mode}-${driver}-${shape}`;
  const sink = sinkOf(
    name,
    columns.map(({ name: column, good }) => [
      column,
      // Only the shape `any` may be NULL.
      {
        ...fromMessage(({ sequence }) =>
          shape === 'any' ? (good[sequence] ?? null) : (good[sequence % good.length] as string),
        ),
        shape,
      },
    ]),
  );
  await write(
    mode,
    sink,
    batchOf(Array.from({ length: rows }, (_, sequence) => ({ producer: writer, sequence }))),
    connection,
  );
  const selected = columns.map(
    (column) => `format('%L', ${quoteName(column.name)}) as ${quoteName(column.name)}`,
  );
  const found = await rowsOf<Record<string, string>>(
    connection,
    `select ${selected.join(', ')} from ${quoteName(name)} where writer = '${writer}' order by place`,
  );
  return Object.fromEntries(
    columns.map((column) => [column.name, found.map((row) => row[column.name] as string)]),
  );
}

/** How a text is refused; undefined where it is taken. */
export async function refusalOf(
  mode: WriterMode,
  { name }: TypeTable,
  column: TypedColumn,
  text: string | null,
  connection: Connection,
): Promise<Refusal | undefined> {
  const sink = sinkOf(name, [[column.name, fromTexts([text])]]);
  try {
    await write(mode, sink, batchOf([{ producer: mode, sequence: 0 }]), connection);
    return undefined;
  } catch (error) {
    const server = serverErrorOf(error);
    if (server === undefined) throw error;
    const { sqlState, column: at, constraint, dataType, table } = server;
    return JSON.parse(JSON.stringify({ sqlState, column: at, constraint, dataType, table })) as Refusal;
  }
}

function fromTexts(texts: readonly (string | null)[]): ColumnSource {
  return fromMessage(({ sequence }) => texts[sequence] ?? null);
}

function sinkOf(name: string, columns: readonly (readonly [string, ColumnSource])[]): TableSink {
  const table = pgTable(name, {
    place: integer(),
    writer: text(),
    ...Object.fromEntries(columns.map(([column]) => [column, text(column)])),
  });
  return defineSink<typeof table>('types', {
    table,
    columns: { place: fromSequence, writer: fromProducer, ...Object.fromEntries(columns) },
  } as {
    table: typeof table;
    columns: Record<string, ColumnSource> & { [Key in keyof (typeof table)['_']['columns']]?: ColumnSource };
  });
}
