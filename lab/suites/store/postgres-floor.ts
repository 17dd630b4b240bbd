/** Bare statements on Postgres: one round trip each, by statements that the server has prepared; COPY for batches. */

import type { QueryArrayResult } from 'pg';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { isNameFault } from '../../../src/store/postgres-statements.ts';
import { FLOOR_COLUMNS, type FloorRow, type FloorTable } from './floor-table.ts';

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
export class PreparedQueries {
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

/** The statements that make the table in a schema. Without indexes, it has a primary key and nothing else. */
export function createFloor(schema: string, hasIndexes: boolean): string[] {
  const table = `${quoteName(schema)}.floor`;
  return [
    `create table ${table} (global_position bigint primary key, stream_name text not null, category text not null,
      position bigint not null, type text not null, data jsonb not null, metadata jsonb, id uuid not null, time timestamptz not null)`,
    ...(hasIndexes
      ? [
          `create unique index on ${table} (stream_name, position)`,
          `create index on ${table} (category, global_position)`,
          `create unique index on ${table} (id)`,
        ]
      : []),
  ];
}

/** The table's bare statements on a connection that nobody else uses. */
export function postgresFloor(
  connection: Connection,
  schema: string,
  onNamesLost: () => void = () => {},
): FloorTable {
  const table = `${quoteName(schema)}.floor`;
  const columns = FLOOR_COLUMNS.join(', ');
  const prepared = new PreparedQueries(bareClient(connection), schema, onNamesLost);
  const encoder = new TextEncoder();
  return {
    insert(rows) {
      const [only] = rows;
      if (rows.length === 1 && only !== undefined) {
        return prepared.query(
          'insert',
          `insert into ${table} (${columns}) values ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9::bigint / 1e6))`,
          only,
        );
      }
      return connection.copy(`copy ${table} (${columns}) from stdin`, [encoder.encode(copyText(rows))]);
    },
    async selectStream(stream, limit) {
      const { rows } = await prepared.query(
        'stream',
        `select ${columns} from ${table} where stream_name = $1 and position >= 0 order by position limit $2`,
        [stream, limit],
      );
      return rows;
    },
    async selectCategory(category, limit) {
      const { rows } = await prepared.query(
        'category',
        `select ${columns} from ${table} where category = $1 and global_position >= 1 order by global_position limit $2`,
        [category, limit],
      );
      return rows;
    },
    async count() {
      const { rows } = await prepared.query(
        'count',
        `select count(*)::int, count(distinct (stream_name, position))::int from ${table}`,
        [],
      );
      const [[found = 0, places = 0] = []] = rows as number[][];
      return { rows: found, places };
    },
  };
}

// The bench's own texts hold no tab, line break or backslash, so nothing has to be escaped.
function copyText(rows: readonly FloorRow[]): string {
  let text = '';
  for (const [global, stream, category, position, type, data, , id, timeUs] of rows) {
    const time = new Date(timeUs / 1_000).toISOString();
    text += `${global}\t${stream}\t${category}\t${position}\t${type}\t${data}\t\\N\t${id}\t${time}\n`;
  }
  return text;
}
