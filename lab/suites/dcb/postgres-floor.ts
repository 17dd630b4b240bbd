/** Bare statements on Postgres: one round trip each, by statements that the server has prepared; COPY for batches. */

import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { bareClient, PreparedQueries } from '../store/postgres-floor.ts';
import type { FloorRow, FloorTable, FloorValues } from './floor.ts';

const COLUMNS = 'position, time, id, type, tags, data, metadata';

/** The statements that make the table in a schema. Without an index of tags, it has a primary key and nothing else. */
export function createEventFloor(schema: string, hasIndex: boolean): string[] {
  const table = `${quoteName(schema)}.floor`;
  return [
    `create table ${table} (position bigint primary key, time timestamptz not null, id uuid, type text collate "C" not null,
      tags text[] collate "C" not null, data text not null, metadata text)`,
    // Without its pending list, whose turn comes at any time and makes figures jump.
    ...(hasIndex ? [`create index floor_tags on ${table} using gin (tags) with (fastupdate = off)`] : []),
  ];
}

/** The table's bare statements on a connection that nobody else uses. */
export function postgresEventFloor(
  connection: Connection,
  schema: string,
  onNamesLost: () => void = () => {},
): FloorTable {
  const table = `${quoteName(schema)}.floor`;
  const client = bareClient(connection);
  const prepared = new PreparedQueries(client, schema, onNamesLost);
  const encoder = new TextEncoder();
  return {
    insert(rows) {
      const [only] = rows;
      if (rows.length === 1 && only !== undefined) {
        return prepared.query(
          'insert',
          `insert into ${table} (${COLUMNS}) values ($1, to_timestamp($2::bigint / 1e6), null, $3, $4, $5, null)`,
          [only.position, only.timeUs, only.type, arrayLiteral(only.tags), only.data],
        );
      }
      return connection.copy(`copy ${table} (${COLUMNS}) from stdin`, [encoder.encode(copyText(rows))]);
    },
    async selectTag(tag) {
      const { rows } = await prepared.query(
        'tag',
        `select ${COLUMNS} from ${table} where tags @> array[$1] order by position`,
        [tag],
      );
      return rows;
    },
    async selectPage(after, limit) {
      const { rows } = await prepared.query(
        'page',
        `select ${COLUMNS} from ${table} where position > $1 order by position limit $2`,
        [after, limit],
      );
      return rows as unknown as FloorValues[];
    },
    async count() {
      const { rows } = await prepared.query(
        'count',
        `select count(*)::int, count(distinct position)::int from ${table}`,
        [],
      );
      const [[found = 0, places = 0] = []] = rows as number[][];
      return { rows: found, places };
    },
    async settle() {
      await client.query({ text: `vacuum (analyze) ${table}` });
    },
  };
}

// The bench's own tags and texts have nothing that would have to be escaped, in an array or in COPY.
function arrayLiteral(tags: readonly string[]): string {
  return `{${tags.join(',')}}`;
}

function copyText(rows: readonly FloorRow[]): string {
  let text = '';
  for (const { position, timeUs, type, tags, data } of rows) {
    const time = new Date(timeUs / 1_000).toISOString();
    text += `${position}\t${time}\t\\N\t${type}\t${arrayLiteral(tags)}\t${data}\t\\N\n`;
  }
  return text;
}
