/** Bare statements on Postgres: one round trip each, by statements that the server has prepared; COPY for batches. */

import type { QueryArrayResult } from 'pg';
import { quoteName } from '../../src/core/sql-text.ts';
import type { Connection } from '../../src/database/connection.ts';
import { isNameFault } from '../../src/store/postgres-statements.ts';
import type { FloorSpec } from './floor.ts';
import type { FloorTable } from './floor-table.ts';

/** What the drivers have in common below Drizzle, which would add its own time to a bare statement. */
export interface BareClient {
  query(query: {
    name?: string;
    text: string;
    values?: unknown[];
    rowMode?: 'array';
  }): Promise<QueryArrayResult>;
}

/** The driver below Drizzle. */
export function bareClient({ db }: Connection): BareClient {
  return (db as unknown as { $client: BareClient }).$client;
}

/**
 * Statements of one connection that the server parses once each, under their names. Where a transaction pooler in between
 * does not know names, they go without, and are parsed each time.
 */
class PreparedQueries {
  readonly #client: BareClient;
  readonly #schema: string;
  readonly #onNamesLost: () => void;
  #hasNames = true;

  /** @param schema part of the names: these live as long as the server's connection, and must tell the schemas apart */
  constructor(client: BareClient, schema: string, onNamesLost: () => void) {
    this.#client = client;
    this.#schema = schema;
    this.#onNamesLost = onNamesLost;
  }

  async query(name: string, text: string, values: unknown[]): Promise<QueryArrayResult> {
    if (this.#hasNames) {
      try {
        return await this.#client.query({ name: `${this.#schema}_${name}`, text, values, rowMode: 'array' });
      } catch (error) {
        if (!isNameFault(error)) throw error;
        this.#hasNames = false;
        this.#onNamesLost();
      }
    }
    return this.#client.query({ text, values, rowMode: 'array' });
  }
}

function floorName(schema: string): string {
  return `${quoteName(schema)}.floor`;
}

/** The statements that make the table in a schema. */
export function createFloor<Row>(
  { postgres }: FloorSpec<Row>,
  schema: string,
  hasIndexes: boolean,
): string[] {
  return postgres.create(floorName(schema), hasIndexes);
}

/** The table's bare statements on a connection that nobody else uses. */
export function postgresFloor<Row>(
  { columns, key, selects, postgres }: FloorSpec<Row>,
  connection: Connection,
  schema: string,
  onNamesLost: () => void = () => {},
): FloorTable<Row> {
  const table = floorName(schema);
  const list = columns.join(', ');
  const client = bareClient(connection);
  const prepared = new PreparedQueries(client, schema, onNamesLost);
  const encoder = new TextEncoder();
  const insert = `insert into ${table} (${list}) values ${postgres.insert}`;
  const texts = new Map(
    Object.entries({ ...selects, ...postgres.selects }).map(([name, rest]) => {
      let value = 0;
      return [name, `select ${list} from ${table} ${rest.replaceAll('?', () => `$${++value}`)}`];
    }),
  );
  return {
    insert(rows) {
      const [only] = rows;
      if (rows.length === 1 && only !== undefined)
        return prepared.query('insert', insert, postgres.values(only));
      const text = rows.map((row) => `${postgres.copyFields(row).join('\t')}\n`).join('');
      return connection.copy(`copy ${table} (${list}) from stdin`, [encoder.encode(text)]);
    },
    async select(name, ...values) {
      return (await prepared.query(name, texts.get(name) ?? '', values)).rows;
    },
    async count() {
      const { rows } = await prepared.query(
        'count',
        `select count(*)::int, count(distinct (${key.join(', ')}))::int from ${table}`,
        [],
      );
      const [[found = 0, keys = 0] = []] = rows as number[][];
      return { rows: found, keys };
    },
    async settle() {
      await client.query({ text: `vacuum (analyze) ${table}` });
    },
  };
}
