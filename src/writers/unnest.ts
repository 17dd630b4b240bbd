import { type SQL, sql } from 'drizzle-orm';
import { quoteName } from '../core/sql-text.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { SinkColumn } from '../sinks/sink.ts';
import { batchPlan, type Writer } from './writer.ts';

/**
 * One statement of constant text with one array per column. It has as many parameters as columns, whatever the
 * number of rows, so Postgres parses a short statement and the parameter limit is far away.
 */
export const unnest: Writer = {
  mode: 'unnest',
  description: 'one INSERT … SELECT FROM unnest, one array per column',
  isExactlyOnce: true,
  plan: batchPlan,
  create({ quotedTable, columns }) {
    const names = columns.map(({ name }) => quoteName(name));
    const head = sql.raw(
      `insert into ${quotedTable} (${names.join(', ')}) select ${columns.map(selected).join(', ')} from unnest(`,
    );
    const tail = sql.raw(`) as rows (${names.join(', ')})`);
    return function prepareArrays(batch) {
      const statement: SQL[] = [head];
      arrayTexts(columns, batch).forEach((text, index) => {
        const { shape, sqlType } = columns[index] as SinkColumn;
        if (index > 0) statement.push(sql.raw(', '));
        statement.push(ARRAY_SQL[shape](sql.param(text), sqlType));
      });
      statement.push(tail);
      const joined = sql.join(statement);
      return async function insertArrays({ db }) {
        await db.execute(joined);
      };
    };
  },
};

// An array of digits is cheapest as the array literal of its type. A text full of quotes, such as JSON, would have to
// be escaped into a literal here and unescaped there; split at newlines, which it never holds, it goes as it is
// (measured: 181k against 112k rows/s). Only a text that may be anything pays for the literal.
const ARRAY_SQL: Record<
  SinkColumn['shape'],
  (array: SQL | ReturnType<typeof sql.param>, sqlType: string) => SQL
> = {
  digits: (array, sqlType) => sql`${array}::${sql.raw(castType(sqlType))}[]`,
  line: (array) => sql`string_to_array(${array}, E'\n')`,
  any: (array) => sql`${array}::text[]`,
};

function selected({ name, shape, sqlType }: SinkColumn): string {
  return shape === 'digits' ? quoteName(name) : `${quoteName(name)}::${castType(sqlType)}`;
}

// A cast to varchar(3) or bit(3) cuts what is longer in silence; an assignment of what has no length refuses it, as all
// writers should.
function castType(sqlType: string): string {
  const array = /(\[\d*\])+$/.test(sqlType) ? '[]' : '';
  if (/^((var)?char|character|bpchar)\b/i.test(sqlType)) return `text${array}`;
  return /^(bit|varbit)\b/i.test(sqlType) ? `bit varying${array}` : sqlType;
}

/** One array for each column. Read row by row, so that a row whose values come from one reading is read once. */
function arrayTexts(sinkColumns: readonly SinkColumn[], { columns, from, to }: MessageBatch): string[] {
  const parts = sinkColumns.map((): string[] => []);
  for (let row = from; row < to; row += 1) {
    for (let index = 0; index < sinkColumns.length; index += 1) {
      const column = sinkColumns[index] as SinkColumn;
      const text = column.text(columns, row);
      (parts[index] as string[]).push(column.shape === 'any' ? literalElement(text) : (text as string));
    }
  }
  return parts.map((texts, index) =>
    (sinkColumns[index] as SinkColumn).shape === 'line' ? texts.join('\n') : `{${texts.join(',')}}`,
  );
}

// Quoted, an element may hold anything: only quotes and backslashes need a backslash, and the word NULL is a text.
function literalElement(text: string | null): string {
  return text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}
