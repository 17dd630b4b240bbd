/** Calls of a namespace's functions in Postgres: their texts, their parameters, and how they are run. */

import { md5 } from '@noble/hashes/legacy.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { quoteName } from '../core/sql-text.ts';
import { type Connection, sqlState } from '../database/connection.ts';

export type Parameter = string | number | boolean | null;

export interface Statement {
  sql: string;
  params: Parameter[];
}

/** Runs one statement, and returns its rows. */
export type Run = <Row>(statement: Statement) => Promise<Row[]>;

/** An array as Postgres reads it, of values that need no quotes: numbers and UUIDs. */
export function arrayText(values: readonly (bigint | number | string | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}

/** An array of any texts, as Postgres reads it. */
export function textArrayText(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quotedElement(value))).join(',')}}`;
}

/** An element of an array. Quoted, it may hold anything: only quotes and backslashes need a backslash, and the word NULL is a text. */
export function quotedElement(value: string): string {
  return `"${/["\\]/.test(value) ? value.replaceAll(/["\\]/g, '\\$&') : value}"`;
}

/**
 * A call of one of the schema's functions that answer with rows. Hyperdrive answers a SELECT from its cache for a
 * minute unless it calls a function that it knows to be volatile (Cloudflare documentation, "Query caching"), hence the
 * clock.
 */
export function call(schema: string, name: string, params: Parameter[]): Statement {
  return {
    sql: `select * from ${callText(schema, name, params)} where clock_timestamp() is not null`,
    params,
  };
}

/** A call of a procedure, whose last parameter is its `answer`. */
export function procedureCall(schema: string, name: string, params: Parameter[]): Statement {
  return { sql: `call ${callText(schema, name, params).slice(0, -1)}, null)`, params };
}

/** A call of a function that answers with one value, `answer`: cheaper to plan than one that answers with rows. */
export function scalarCall(schema: string, name: string, params: Parameter[]): Statement {
  return { sql: `select ${callText(schema, name, params)} as answer, clock_timestamp()`, params };
}

function callText(schema: string, name: string, params: readonly Parameter[]): string {
  return `${quoteName(schema)}.${name}(${params.map((_, index) => `$${index + 1}`).join(', ')})`;
}

/** A limit as a parameter: null is none to Postgres. */
export function limitText(limit: number): string | null {
  return Number.isFinite(limit) ? String(limit) : null;
}

/**
 * Runs a statement; without a name, as every pooler takes it. Its text is made already, so that it goes past the part
 * of Drizzle that joins texts (measured: 11 µs of a write's 400).
 */
export async function runStatement<Row>(
  { db }: Pick<Connection, 'db'>,
  statement: Statement,
  name?: string,
): Promise<Row[]> {
  const result = await db._.session.prepareQuery(statement, undefined, name, false).execute();
  return (result as unknown as { rows: Row[] }).rows;
}

// 26000: a pooler switched to a server connection that does not know the name. 42P05: to one that knows it already.
// Either way the statement has not run.
const NAME_STATES = new Set(['26000', '42P05']);

/** Whether a statement has failed for its name, because of a pooler that does not know names. It has not run. */
export function isNameFault(error: unknown): boolean {
  return NAME_STATES.has(sqlState(error) ?? '');
}

/**
 * Gives statements names, so that the server parses each once per connection, until a pooler turns out to be in between
 * that does not know names.
 */
export class StatementNames {
  readonly #names = new Map<string, string>();
  readonly #onLost: () => void;
  #isOn: boolean;

  /** @param onLost told once when statements go without names from now on */
  constructor(isOn: boolean, onLost: () => void = () => {}) {
    this.#isOn = isOn;
    this.#onLost = onLost;
  }

  async run<Row>(connection: Connection, statement: Statement): Promise<Row[]> {
    if (!this.#isOn) return runStatement(connection, statement);
    try {
      return await runStatement(connection, statement, this.#nameOf(statement.sql));
    } catch (error) {
      if (!isNameFault(error)) throw error;
      if (this.#isOn) this.#onLost();
      this.#isOn = false;
      return runStatement(connection, statement);
    }
  }

  // By its text: what another client of a pooler has left under a name is the same statement.
  #nameOf(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const name = `sluice_${bytesToHex(md5(utf8ToBytes(text)))}`;
    this.#names.set(text, name);
    return name;
  }
}
