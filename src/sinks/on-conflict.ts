/**
 * What becomes of a message whose row meets another one under a unique key. The rule is checked against the table as Drizzle
 * describes it, and becomes one of names in Postgres, which all writers follow (src/writers/conflict-sql.ts).
 */

import { getTableColumns, is } from 'drizzle-orm';
import { type PgColumn, PgEnumColumn, type PgTable } from 'drizzle-orm/pg-core';
import { wrongDefinition as wrong } from './definition-checks.ts';
import { hasColumns, type UniqueKey, uniqueKeysOf } from './unique-keys.ts';

/**
 * Where a batch of a sink with such a rule waits to be merged (src/writers/merging.ts): in the schema of the session's temporary
 * tables, where nobody else has names.
 */
export const STAGE = 'pg_temp.sluice_batch';

/**
 * What becomes of a message whose row meets another one under a unique key. Columns are named by their keys in the Drizzle
 * table.
 *
 * - `'error'` (default): Postgres refuses the row, and the message becomes a dead letter.
 * - `'ignore'`: the first row stays, and the message counts as written. With `columns`, only for the unique key of these.
 * - `update`: the row gets the values of the last message.
 */
export type OnConflict<Key extends string = string> =
  | 'error'
  | 'ignore'
  | { action: 'ignore'; columns: readonly Key[] }
  | {
      action: 'update';
      /** The columns of a primary key, a `unique()` or a `uniqueIndex()` of the table. */
      columns: readonly Key[];
      /**
       * The row is left as it is unless the message's value of this column is greater. A row without a value is older than any
       * with one; of equals the first stays. Default: the last message always wins.
       */
      newerBy?: Key;
      /** The columns that are updated. Default: all that the sink writes, but for those of the key. */
      set?: readonly Key[];
    };

/** The rule of a sink, by the names of columns in Postgres. */
export type ConflictRule =
  | {
      action: 'ignore';
      /** The unique key; undefined: any. */
      key: readonly string[] | undefined;
      /** What rows are sorted by before they are written; empty: they go in the order of their messages. */
      order: readonly string[];
    }
  | {
      action: 'update';
      key: readonly string[];
      set: readonly string[];
      newerBy: string | undefined;
      /** Whether two rows with NULL in the key are alike. `never`: no column of the key takes NULL. */
      nulls: 'never' | 'distinct' | 'equal';
      /** Columns that a new row takes from the first of its messages, while those of `set` are the last one's. */
      keptFromFirst: readonly string[];
    };

/** A column that the sink writes, by its name in Postgres. */
type WrittenColumn = { name: string };

/**
 * Checks a rule, and finds the key that it means.
 *
 * @returns undefined for `'error'`
 * @throws SluiceError `invalid_options` with a sentence where the rule cannot work
 */
export function resolveOnConflict(
  sink: string,
  table: PgTable,
  written: readonly WrittenColumn[],
  given: OnConflict | undefined,
): ConflictRule | undefined {
  if (given === undefined || given === 'error') return undefined;
  const columns = new ColumnNames(sink, table, written);
  if (given === 'ignore') return { action: 'ignore', key: undefined, order: columns.onlyWrittenKey() };
  const action: unknown = (given as { action?: unknown } | null)?.action;
  if (action !== 'ignore' && action !== 'update')
    throw wrong(
      sink,
      `onConflict is 'error', 'ignore', { action: 'ignore', columns: [...] } or { action: 'update', columns: [...] }`,
    );
  const key = columns.writtenNames('columns', given.columns);
  const unique = columns.uniqueKey(given.columns, key);
  if (given.action === 'ignore') return { action: 'ignore', key, order: key };
  return updateRule(columns, given, key, unique);
}

function updateRule(
  columns: ColumnNames,
  given: Extract<OnConflict, { action: 'update' }>,
  key: readonly string[],
  unique: UniqueKey,
): ConflictRule {
  const { sink, written } = columns;
  const others = written.map(({ name }) => name).filter((name) => !key.includes(name));
  const set = given.set === undefined ? others : columns.settableNames(given.set, key);
  if (set.length === 0)
    throw wrong(
      sink,
      `onConflict has nothing to update besides the key: 'ignore' is what leaves a row as it is`,
    );
  const [newerBy] = given.newerBy === undefined ? [] : columns.writtenNames('newerBy', [given.newerBy]);
  if (newerBy !== undefined && !set.includes(newerBy))
    throw wrong(
      sink,
      key.includes(newerBy)
        ? `onConflict.newerBy is ${given.newerBy}, a column of the key, which is never newer`
        : `onConflict.newerBy is ${given.newerBy}, which has to be in onConflict.set: else nothing tells how new a row is`,
    );
  return {
    action: 'update',
    key,
    set,
    newerBy,
    nulls: !key.some((name) => columns.isNullable(name))
      ? 'never'
      : unique.areNullsEqual
        ? 'equal'
        : 'distinct',
    keptFromFirst: written
      .map(({ name }) => name)
      .filter((name) => !set.includes(name) && !(key.includes(name) && columns.isSpeltOneWay(name))),
  };
}

/** Finds columns by their keys in Drizzle, and says what is wrong with those that a rule names. */
class ColumnNames {
  readonly sink: string;
  readonly written: readonly WrittenColumn[];
  readonly #columns: Readonly<Record<string, PgColumn>>;
  readonly #keys: readonly UniqueKey[];

  constructor(sink: string, table: PgTable, written: readonly WrittenColumn[]) {
    this.sink = sink;
    this.written = written;
    this.#columns = getTableColumns(table) as Record<string, PgColumn>;
    this.#keys = uniqueKeysOf(table);
  }

  /** The names of columns that the sink writes. */
  writtenNames(option: string, keys: readonly string[]): string[] {
    const names = this.#names(option, keys);
    names.forEach((name, index) => {
      if (this.#isWritten(name)) return;
      throw wrong(
        this.sink,
        `onConflict.${option} names ${keys[index]}, which the sink does not write: Postgres gives it a value of its own, so that no message meets another one by it`,
      );
    });
    return names;
  }

  /** The names of columns that an update may set. */
  settableNames(keys: readonly string[], key: readonly string[]): string[] {
    const names = this.#names('set', keys);
    names.forEach((name, index) => {
      const column = this.#columns[keys[index] as string] as PgColumn;
      const reason = key.includes(name)
        ? 'is a column of the key: it is the same in both rows'
        : column.generated !== undefined || column.generatedIdentity?.type === 'always'
          ? 'only Postgres can fill'
          : !this.#isWritten(name) && column.default === undefined
            ? 'the sink does not write, and which has no default in Postgres'
            : undefined;
      if (reason !== undefined)
        throw wrong(this.sink, `onConflict.set names ${keys[index]}, which ${reason}`);
    });
    return names;
  }

  /** The unique key of exactly these columns. */
  uniqueKey(keys: readonly string[], names: readonly string[]): UniqueKey {
    const found = this.#keys.filter((key) => hasColumns(key, names));
    const whole = found.find(({ isPartial }) => !isPartial);
    if (whole !== undefined) return whole;
    const known = this.#keys
      .filter(({ isPartial }) => !isPartial)
      .flatMap(({ columns }) => (columns === undefined ? [] : [`(${columns.join(', ')})`]));
    throw wrong(
      this.sink,
      found.length > 0
        ? `the unique index on (${keys.join(', ')}) has a condition, and onConflict.columns needs one for all rows. onConflict: 'ignore' works with it`
        : `onConflict.columns are (${keys.join(', ')}), and the table has no unique key on exactly these in Drizzle: ${known.length === 0 ? 'there is none' : `there are ${known.join(', ')}`}. If the database has one, add it to the table, as uniqueIndex().on(...)`,
    );
  }

  /** The columns of the only unique key that messages can meet under; empty where there are several, or none. */
  onlyWrittenKey(): readonly string[] {
    const keys = this.#keys.filter(({ columns }) => columns?.every((name) => this.#isWritten(name)) ?? true);
    const [only] = keys;
    return keys.length === 1 ? (only?.columns ?? []) : [];
  }

  isNullable(name: string): boolean {
    return Object.values(this.#columns).some(
      (column) => column.name === name && !column.notNull && !column.primary,
    );
  }

  /** True where values of a column that are alike look alike: not 1.0 and 1.00, nor two cases of a letter in citext. */
  isSpeltOneWay(name: string): boolean {
    const column = Object.values(this.#columns).find((one) => one.name === name);
    return column !== undefined && (is(column, PgEnumColumn) || SPELT_ONE_WAY.test(column.getSQLType()));
  }

  #names(option: string, keys: readonly string[]): string[] {
    if (!Array.isArray(keys) || keys.length === 0)
      throw wrong(this.sink, `onConflict.${option} is a list of one column or more`);
    return keys.map((key, index) => {
      if (!Object.hasOwn(this.#columns, key))
        throw wrong(
          this.sink,
          `onConflict.${option} names ${JSON.stringify(key)}, and the table has only ${Object.keys(this.#columns).join(', ')}`,
        );
      if (keys.indexOf(key) !== index) throw wrong(this.sink, `onConflict.${option} names ${key} twice`);
      return (this.#columns[key] as PgColumn).name;
    });
  }

  #isWritten(name: string): boolean {
    return this.written.some((column) => column.name === name);
  }
}

const SPELT_ONE_WAY =
  /^(smallint|integer|bigint|smallserial|serial|bigserial|boolean|uuid|text|varchar|date|timestamp|bytea)\b(?!.*\[)/;
