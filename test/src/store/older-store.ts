/** Stores as older versions of Sluice left them, and what the code of those versions sends (test/fixtures/stores). */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../../../local/repository.ts';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { Connection } from '../../../src/database/connection.ts';
import type { Sqlite, SqliteValue } from '../../../src/database/sqlite.ts';
import { type Parameter, runStatement } from '../../../src/store/postgres-statements.ts';
import { rowsOf } from '../../support/connect.ts';

const FOLDER = join(REPOSITORY, 'test/fixtures/stores/version-1');

function fixture(file: string): string {
  return readFileSync(join(FOLDER, file), 'utf8');
}

function lines<Line>(file: string): Line[] {
  return fixture(file)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

export type StoreName = 'messages' | 'events';

/** What code of version 1 runs to create stores in a schema. */
export function versionOneStatements(store: StoreName, schema: string): string {
  return fixture(`${store}.sql`).replaceAll('"sluice_fixture"', quoteName(schema));
}

/** Creates a namespace as the code of version 1 did. */
export async function createVersionOne(
  connection: Connection,
  schema: string,
  stores: readonly StoreName[] = ['messages', 'events'],
): Promise<void> {
  for (const store of stores) await rowsOf(connection, versionOneStatements(store, schema));
}

interface Sent {
  sql: string;
  params: Parameter[];
  rows: Record<string, unknown>[];
}

/** A statement that code of version 1 sends. */
export async function sendVersionOne(
  connection: Pick<Connection, 'db'>,
  schema: string,
  sql: string,
  params: Parameter[],
): Promise<Record<string, unknown>[]> {
  const rows = await runStatement<Record<string, unknown>>(connection, {
    sql: sql.replaceAll('"sluice_fixture"', quoteName(schema)),
    params,
  });
  // Of the time the fixtures say nothing.
  return rows.map((row) => ({
    ...row,
    ...('time_us' in row ? { time_us: null } : {}),
    ...('clock_timestamp' in row ? { clock_timestamp: null } : {}),
  }));
}

/** Sends all that the code of version 1 sent in its session, and returns what was answered, and what is to be answered. */
export async function replayVersionOne(
  connection: Connection,
  schema: string,
  store: StoreName,
): Promise<{ answered: unknown[]; expected: unknown[] }> {
  const answered: unknown[] = [];
  const expected: unknown[] = [];
  for (const { sql, params, rows } of lines<Sent>(`${store}.jsonl`)) {
    answered.push({ sql, rows: await sendVersionOne(connection, schema, sql, params) });
    expected.push({ sql, rows });
  }
  return { answered, expected };
}

interface SentToSqlite {
  sql: string;
  bindings: SqliteValue[];
  rows?: unknown[];
  values?: unknown[];
}

/** As `replayVersionOne`, in SQLite, where the session begins with the tables. */
export function replayVersionOneInSqlite(
  sqlite: Sqlite,
  store: StoreName,
): { answered: unknown[]; expected: unknown[] } {
  const answered: unknown[] = [];
  const expected: unknown[] = [];
  for (const { sql, bindings, rows, values } of lines<SentToSqlite>(`sqlite-${store}.jsonl`)) {
    const found = rows === undefined ? sqlite.rows(sql, ...bindings) : sqlite.run(sql, ...bindings);
    answered.push({ sql, found: found.map((row) => ({ ...(row as object) })) });
    expected.push({ sql, found: (rows ?? values ?? []).map((row) => ({ ...(row as object) })) });
  }
  return { answered, expected };
}
