/**
 * What a database says of the types of a sink's columns, as far as a statement depends on it. Asked for once on each connection:
 * the table that Drizzle describes may say `text` where the database has an enum of another schema.
 */

import { sql } from 'drizzle-orm';
import { quoteName, quoteText } from '../core/sql-text.ts';
import type { Connection, Database } from '../database/connection.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import type { WriteTransaction } from './writer.ts';

/** The type of a column in Postgres. */
export interface ColumnType {
  oid: string;
  /** The type's name, quoted, with its schema. */
  name: string;
  /** The type's name where it is one of Postgres's own, as in `jsonb` or `_int4`. */
  builtIn: string | undefined;
  /** What stands between the elements of an array of it. A semicolon for `box`, a colon for PostGIS's `geometry`. */
  delimiter: string;
  /** True where `unnest` would take the values themselves apart: arrays into their elements, rows into their fields. */
  isTakenApart: boolean;
  /** False where the role may not name it, since it lies in a schema that the role may not use. */
  isNameable: boolean;
  /**
   * Whether a text is read differently where the column's modifier is known to the type's input, and not applied afterwards.
   * Missing: no text is.
   */
  isReadByModifier?: (text: string | null) => boolean;
}

export interface TableTypes {
  /** The type of the table's rows, quoted, with its schema. */
  rowType: string;
  /** The types of the sink's columns, in their order; undefined for a column that is not there. */
  columns: readonly (ColumnType | undefined)[];
  /** False where the word NULL in an array's text is a text like any other (the setting `array_nulls`). */
  hasArrayNulls: boolean;
}

/** Has NULL in an array's text be NULL until the end of the transaction, whatever the role or the database says. */
export const NULL_IN_ARRAYS = 'set local array_nulls = on';

/** Knows the types of a sink's table on the connection that was used last. */
export class TableTypesReader {
  readonly #sink: TableSink;
  #connection: Connection | undefined;
  #types: TableTypes | undefined;

  constructor(sink: TableSink) {
    this.#sink = sink;
  }

  /** What was read last; undefined where it has to be read. */
  get known(): TableTypes | undefined {
    return this.#types;
  }

  /**
   * Runs the statements of a write. In them, NULL in an array's text is NULL, whatever the database or the role says. What is
   * known of the table is forgotten when they fail, since the table may have changed.
   *
   * @param transaction `own`: the write's own one, begun only where it is needed. In the caller's, `writeOnce` has seen to NULL
   * @param isOneStatement false where the statements need a transaction to be in or not as a whole
   */
  async run(
    connection: Connection,
    transaction: WriteTransaction,
    isOneStatement: boolean,
    statements: (types: TableTypes, db: Database) => Promise<void>,
  ): Promise<void> {
    const types = await this.#read(connection);
    try {
      if (transaction === 'callers' || (isOneStatement && types.hasArrayNulls)) {
        await statements(types, connection.db);
        return;
      }
      await connection.db.transaction(async (own) => {
        await own.execute(sql.raw(NULL_IN_ARRAYS));
        await statements(types, own as unknown as Database);
      });
    } catch (error) {
      this.#types = undefined;
      throw error;
    }
  }

  /** Reads the types again, in the transaction that the connection is in. */
  async readAgain(connection: Connection): Promise<TableTypes> {
    this.#types = undefined;
    return this.#read(connection);
  }

  async #read(connection: Connection): Promise<TableTypes> {
    if (this.#types === undefined || this.#connection !== connection) {
      this.#types = undefined;
      this.#types = await readTableTypes(connection, this.#sink);
      this.#connection = connection;
    }
    return this.#types;
  }
}

/**
 * What stands before and after a text for the column itself to read it, its modifier and all, as COPY does. About 10 µs a row.
 */
export function readByTable({ rowType }: TableTypes, { name }: SinkColumn): readonly [string, string] {
  // The record's other fields are read from NULL: a domain that refuses NULL refuses it here.
  return [
    `(pg_catalog.json_populate_record(null::${rowType}, pg_catalog.json_build_object(${quoteText(name)}, `,
    `::pg_catalog.text))).${quoteName(name)}`,
  ];
}

interface CatalogRow {
  hasArrayNulls: boolean;
  /** Null for a temporary table, whose schema is another one on each connection of a pooler. */
  tableSchema: string | null;
  tableName: string | null;
  column: string | null;
  modifier: number;
  oid: string;
  schema: string;
  name: string;
  delimiter: string;
  isTakenApart: boolean;
  isNameable: boolean;
  /** Of the array's elements, or of the type itself. */
  base: string | null;
}

async function readTableTypes({ db }: Connection, { quotedTable, columns }: TableSink): Promise<TableTypes> {
  const { rows } = (await db.execute(catalogQuery(quotedTable))) as unknown as { rows: CatalogRow[] };
  const types = new Map(rows.map((row) => [row.column, row.column === null ? undefined : columnType(row)]));
  const [{ hasArrayNulls, tableSchema, tableName }] = rows as [CatalogRow];
  return {
    hasArrayNulls,
    rowType:
      tableSchema === null ? quotedTable : `${quoteName(tableSchema)}.${quoteName(tableName as string)}`,
    columns: columns.map(({ name }) => types.get(name)),
  };
}

// One row even where the table is not there: the statement that follows says so in Postgres's words. The clock keeps
// Hyperdrive from answering out of its cache (Cloudflare documentation, "Query caching").
// oidvector and int2vector have arrays, and are arrays to `unnest` all the same. A domain has its base type's category (C: a row),
// and a domain that is an array is no array to `unnest`.
function catalogQuery(quotedTable: string) {
  return sql`
    select pg_catalog.current_setting('array_nulls') = 'on' as "hasArrayNulls",
      pg_catalog.clock_timestamp() as "readAt",
      case when c.relpersistence <> 't' then table_schema.nspname end as "tableSchema", c.relname as "tableName",
      a.attname as "column", a.atttypmod as "modifier",
      t.oid::pg_catalog.text as "oid", type_schema.nspname as "schema", t.typname as "name", t.typdelim as "delimiter",
      t.typarray = 0 or t.typcategory = 'C' or (t.typelem <> 0 and t.typlen = -1 and t.typtype <> 'd') as "isTakenApart",
      pg_catalog.has_schema_privilege(t.typnamespace, 'usage') as "isNameable",
      case when base.typnamespace = 'pg_catalog'::pg_catalog.regnamespace then base.typname end as "base"
    from (select pg_catalog.to_regclass(${quotedTable}) as oid) as given
    left join pg_catalog.pg_class c on c.oid = given.oid
    left join pg_catalog.pg_namespace table_schema on table_schema.oid = c.relnamespace
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_catalog.pg_type t on t.oid = a.atttypid
    left join pg_catalog.pg_namespace type_schema on type_schema.oid = t.typnamespace
    left join pg_catalog.pg_type base
      on base.oid = case when t.typarray = 0 and t.typtype = 'b' and t.typelem <> 0 then t.typelem else t.oid end`;
}

function columnType({
  oid,
  schema,
  name,
  delimiter,
  isTakenApart,
  isNameable,
  ...row
}: CatalogRow): ColumnType {
  return {
    oid,
    name: `${quoteName(schema)}.${quoteName(name)}`,
    builtIn: schema === 'pg_catalog' ? name : undefined,
    delimiter,
    isTakenApart,
    isNameable,
    ...readingByModifier(row),
  };
}

/** The bits of an interval's modifier that say which fields it has, and their value where it has all of them. */
const INTERVAL_FIELDS = 0x7fff_0000;

// Of Postgres's own types these. `5` is five hours to `interval hour`, and five seconds to `interval`, which cut to hours are
// none. What is too small even for `numeric` is 0.00 to `numeric(5,2)`. Of what is neither bits nor of the right length, `bit(3)`
// says the length.
function readingByModifier({
  base,
  modifier,
}: Pick<CatalogRow, 'base' | 'modifier'>): Pick<ColumnType, 'isReadByModifier'> {
  if (modifier < 0) return {};
  if (base === 'interval' && (modifier & INTERVAL_FIELDS) !== INTERVAL_FIELDS)
    return { isReadByModifier: () => true };
  if (base === 'numeric') return { isReadByModifier: mayBeTooSmall };
  return base === 'bit' || base === 'varbit' ? { isReadByModifier: isNoBits } : {};
}

function isNoBits(text: string | null): boolean {
  return text !== null && !/^[01]*$/.test(text);
}

// `numeric` has at most 16,383 digits after the point.
function mayBeTooSmall(text: string | null): boolean {
  return text !== null && (text.length > 16_000 || /e-[0_]*\d[\d_]{3}/i.test(text));
}
