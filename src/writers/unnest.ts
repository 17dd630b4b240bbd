import type { SQL } from 'drizzle-orm';
import { quoteName } from '../core/sql-text.ts';
import type { Database } from '../database/connection.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import { knownStatement } from './known-statement.ts';
import { type ColumnType, readByTable, type TableTypes, TableTypesReader } from './table-types.ts';
import { batchPlan, type Writer } from './writer.ts';

/**
 * One statement with one array per column. It has as many parameters as columns, whatever the number of rows, so Postgres
 * parses a short statement and the parameter limit is far away.
 */
export const unnest: Writer = {
  mode: 'unnest',
  description: 'one INSERT … SELECT FROM unnest, one array per column',
  isExactlyOnce: true,
  plan: batchPlan,
  create(sink) {
    const reader = new TableTypesReader(sink);
    return function prepareArrays(batch) {
      const texts = sink.columns.map((): (string | null)[] => []);
      for (let row = batch.from; row < batch.to; row += 1) {
        for (let index = 0; index < texts.length; index += 1) {
          texts[index]?.push((sink.columns[index] as SinkColumn).text(batch.columns, row));
        }
      }
      let encoded: { types: TableTypes; statement: SQL } | undefined;
      function encode(types: TableTypes): SQL {
        if (encoded?.types !== types) encoded = { types, statement: insertStatement(sink, types, texts) };
        return encoded.statement;
      }
      if (reader.known !== undefined) encode(reader.known);
      return function insertArrays(connection, transaction = 'own') {
        return reader.run(connection, transaction, true, async (types, db) => {
          if ((await insertedRows(db, encode(types))) > 0) return;
          // A trigger has taken all rows, or a column has another type by now. In this transaction it keeps that.
          const now = await reader.readAgain(connection);
          if (haveChanged(types, now)) await insertedRows(db, encode(now));
        });
      };
    };
  },
};

async function insertedRows(db: Database, statement: SQL): Promise<number> {
  const result = (await db.execute(statement)) as unknown as { rowCount: number | null };
  return result.rowCount ?? 0;
}

function haveChanged(types: TableTypes, now: TableTypes): boolean {
  return types.columns.some((type, index) => type?.oid !== now.columns[index]?.oid);
}

/** How a column goes: its parameter, what unnest is given, and what is selected. */
interface Encoded {
  parameter: string;
  array: string;
  selected: string;
  /** The type that the column has to have still: otherwise no row is written. */
  assumed?: ColumnType;
}

function insertStatement(
  { quotedTable, columns }: TableSink,
  types: TableTypes,
  texts: readonly (readonly (string | null)[])[],
): SQL {
  const encoded = columns.map((column, index) =>
    encodeColumn(column, index, types, texts[index] as (string | null)[]),
  );
  const names = columns.map(({ name }) => quoteName(name)).join(', ');
  const selected = encoded.map((column) => column.selected).join(', ');
  const arrays = encoded.map((column) => column.array).join(', ');
  const conditions = encoded.flatMap(({ assumed }, index) =>
    assumed === undefined
      ? []
      : `pg_catalog.pg_typeof((null::${types.rowType}).${quoteName((columns[index] as SinkColumn).name)})::pg_catalog.oid = ${assumed.oid}`,
  );
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
  return knownStatement(
    `insert into ${quotedTable} (${names}) select ${selected} from unnest(${arrays}) as rows (${names})${where}`,
    encoded.map(({ parameter }) => parameter),
  );
}

// No type is named where that can be avoided, and no value is cast to its column's type: a cast to varchar(3) or bit(3) cuts what
// is longer without a word, and the assignment of a value refuses it, as all writers should. So an array of the column's own type
// is asked for, and Postgres finds the type in the table.
function encodeColumn(
  column: SinkColumn,
  index: number,
  types: TableTypes,
  texts: readonly (string | null)[],
): Encoded {
  const place = `$${index + 1}`;
  const name = quoteName(column.name);
  const type = types.columns[index];
  // Where the column is not there, Postgres says so.
  if (type === undefined || needsTable(type, texts)) {
    const selected = type === undefined ? name : readByTable(types, column).join(name);
    return { parameter: literal(column, texts, ','), array: `${place}::pg_catalog.text[]`, selected };
  }
  if (type.isTakenApart) {
    return {
      parameter: literal(column, texts, ','),
      array: `${place}::pg_catalog.text[]`,
      selected: `${name}::${type.name}`,
      assumed: type,
    };
  }
  const cast = column.shape === 'line' ? LINE_CASTS.get(type.builtIn) : undefined;
  if (cast !== undefined) {
    return {
      parameter: texts.join('\n'),
      array: `pg_catalog.string_to_array(${place}, E'\\n')`,
      selected: name + cast,
      assumed: type,
    };
  }
  return {
    parameter: literal(column, texts, type.delimiter),
    array: `coalesce(${place}, array[(null::${types.rowType}).${name}])`,
    selected: name,
  };
}

/**
 * Types that a text may have on its way. JSON, full of quotes, would have to be escaped into an array's literal here and unescaped
 * there; split at newlines, which it never holds, it goes as it is (measured: 181k against 112k rows/s).
 */
const LINE_CASTS: ReadonlyMap<string | undefined, string> = new Map([
  ['text', ''],
  ['varchar', ''],
  ['bpchar', ''],
  ['json', '::pg_catalog.json'],
  ['jsonb', '::pg_catalog.jsonb'],
]);

function needsTable(
  { isTakenApart, isNameable, isReadByModifier }: ColumnType,
  texts: readonly (string | null)[],
) {
  return (isTakenApart && !isNameable) || (isReadByModifier !== undefined && texts.some(isReadByModifier));
}

/** An array's text. Digits go as they are, and only what may be anything is escaped. */
function literal({ shape }: SinkColumn, texts: readonly (string | null)[], delimiter: string): string {
  return `{${(shape === 'digits' ? texts : texts.map(literalElement)).join(delimiter)}}`;
}

// Quoted, an element may hold anything: only quotes and backslashes need a backslash, and the word NULL is a text.
function literalElement(text: string | null): string {
  return text === null ? 'NULL' : `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}
