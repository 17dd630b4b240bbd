/**
 * Brings the tables of one schema where the steps of the code say they are. It keeps a history in that very schema, and
 * believes the tables more than the history:
 *
 * - The history is `sluice_migrations`, in the schema that the connection's search_path leads to. Drizzle's own migrator has
 *   one history for a whole database, in which an application's later migrations hide ours and ours hide the application's.
 * - Two that start at once take turns by a lock on that table, in a transaction: a lock of the session would be left at some
 *   server by a pooler.
 * - At the end it looks whether every table and column is there for a connection with this search_path. "Up to date" is said
 *   of nothing else.
 * - Where nothing is to be done, nothing is written, so that a role that may not create tables gets through.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { SluiceError } from '../src/core/errors.ts';
import { quoteName } from '../src/core/sql-text.ts';
import { HISTORY_TABLE, type SchemaStep } from '../src/schema/sluice-tables.ts';

/** What it needs of a connection. It must be one session for as long as this takes, or a pooler's for each transaction. */
export interface MigrationClient {
  // biome-ignore lint/suspicious/noExplicitAny: rows are what the statement says
  query(text: string, values?: unknown[]): Promise<{ rows: any[] }>;
}

/** Steps, and the tables to which they lead. */
export interface StepSet {
  steps: readonly (SchemaStep & { hashes?: readonly string[] })[];
  tables: readonly PgTable[];
}

export interface MigrationReport {
  /** The schema that holds the history. */
  schema: string;
  /** The steps that were taken now. */
  taken: string[];
  /** Migrations of the application that were not run, since all that they make was there. */
  found?: string[];
}

/** How long another start may take to migrate. */
const LOCK_LIMIT = '60s';
const ATTEMPTS = 20;
const PAUSE_MS = 50;

/** `create table if not exists` looks before it locks: of two at the same time, one fails. */
const MADE_BY_ANOTHER: ReadonlySet<unknown> = new Set(['23505', '42P07', '42P06', '42710', '40P01', 'XX000']);

/** Makes what is not there yet, once more where another process has made it in the meantime. */
export async function againIfMadeByAnother(make: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await make();
    } catch (error) {
      if (!MADE_BY_ANOTHER.has((error as { code?: unknown }).code) || attempt >= ATTEMPTS) throw error;
      await delay(PAUSE_MS);
    }
  }
}

/** What a role without the right, or a server that takes no writes, says. */
const MAY_NOT_WRITE = new Set(['42501', '25006']);

/** The history of drizzle's migrator, by which this code knew its migrations up to 0.2.0. */
const DRIZZLE_HISTORY = 'drizzle.__drizzle_migrations';

/**
 * The migrations that drizzle-kit wrote to a folder.
 *
 * @param formerHashes hashes that drizzle's history may have of a migration whose text has changed since, by its name
 */
export async function readDrizzleSteps(
  folder: string,
  formerHashes: Readonly<Record<string, readonly string[]>>,
): Promise<StepSet['steps']> {
  const journal = JSON.parse(await readFile(join(folder, 'meta/_journal.json'), 'utf8')) as {
    entries: { tag: string }[];
  };
  return await Promise.all(
    journal.entries.map(async ({ tag }) => {
      const text = await readFile(join(folder, `${tag}.sql`), 'utf8');
      return {
        name: tag,
        statements: text.split('--> statement-breakpoint'),
        hashes: [createHash('sha256').update(text).digest('hex'), ...(formerHashes[tag] ?? [])],
      };
    }),
  );
}

/**
 * Takes the steps that the schema has not taken yet.
 *
 * @throws SluiceError `database_refused` with what is missing, or in the way, and what to do
 */
export async function bringUpToDate(client: MigrationClient, set: StepSet): Promise<MigrationReport> {
  for (let attempt = 1; ; attempt += 1) {
    const schema = await targetSchema(client);
    const history = await readHistory(client, schema);
    const isComplete = (await missingParts(client, set.tables)).length === 0;
    if (isComplete && history !== undefined && set.steps.every(({ name }) => history.has(name))) {
      await handOver(client, set.steps);
      return { schema, taken: [] };
    }
    try {
      return { schema, taken: await inTransaction(client, () => takeSteps(client, schema, set)) };
    } catch (error) {
      const { code = '' } = error as { code?: string };
      // There was nothing to do but to write the history.
      if (isComplete && MAY_NOT_WRITE.has(code)) return { schema, taken: [] };
      if (code === '42501') throw await notAllowed(client, schema, error);
      if (code === '55P03')
        throw refused(`Another migration of the schema ${schema} has not ended within ${LOCK_LIMIT}`, error);
      if (!MADE_BY_ANOTHER.has(code) || attempt >= ATTEMPTS) throw error;
      await delay(PAUSE_MS);
    }
  }
}

/**
 * The steps that a database has not taken, or whose tables it lacks; nothing is changed.
 *
 * @throws SluiceError `database_refused` where no schema of the search_path exists
 */
export async function pendingSteps(client: MigrationClient, set: StepSet): Promise<string[]> {
  const schema = await targetSchema(client);
  const history = await readHistory(client, schema);
  const isComplete = (await missingParts(client, set.tables)).length === 0;
  // A role that may not read the history sees the tables.
  if (history === undefined) return isComplete ? [] : set.steps.map(({ name }) => name);
  const pending = set.steps.map(({ name }) => name).filter((name) => !history.has(name));
  return isComplete || pending.length > 0 ? pending : set.steps.map(({ name }) => name);
}

async function inTransaction<Result>(client: MigrationClient, work: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  }
}

async function takeSteps(
  client: MigrationClient,
  schema: string,
  { steps, tables }: StepSet,
): Promise<string[]> {
  const { rows: settings } = await client.query(`select current_setting('search_path') as path`);
  const path: string = settings[0].path;
  await client.query(`set local lock_timeout = '${LOCK_LIMIT}'`);
  const history = `${quoteName(schema)}.${quoteName(HISTORY_TABLE)}`;
  if ((await readHistory(client, schema)) === undefined) {
    await client.query(
      `create table if not exists ${history} (name text primary key, taken_at timestamptz not null default now())`,
    );
  }
  await client.query(`lock table ${history} in share row exclusive mode`);
  // Only now: another one may have taken steps before it gave us the lock.
  const known = (await readHistory(client, schema)) ?? new Set<string>();
  const formerHashes = await drizzleHashes(client);
  // What is made without a schema's name is made here.
  await client.query(`select set_config('search_path', $1, true)`, [`${quoteName(schema)}, ${path}`]);
  const taken: string[] = [];
  for (const { name, statements, hashes = [] } of steps) {
    if (known.has(name)) continue;
    const effect = await effectOf(client, schema, statements);
    if (effect.blocking !== undefined) throw inTheWay(effect.blocking);
    const wasTaken = hashes.some((hash) => formerHashes.has(hash));
    if (effect.state !== 'there' && !(effect.state === 'unknown' && wasTaken)) {
      for (const statement of statements) await client.query(statement);
      taken.push(name);
    }
    await client.query(`insert into ${history} (name) values ($1)`, [name]);
  }
  await client.query(`select set_config('search_path', $1, true)`, [path]);
  const [missing] = await missingParts(client, tables);
  if (missing !== undefined) throw await stillMissing(client, schema, missing, steps);
  await handOver(client, steps);
  return taken;
}

/** Where the tables are, or are to be: where the connection finds ours, or else where it makes new ones. */
async function targetSchema(client: MigrationClient): Promise<string> {
  const { rows } = await client.query(
    `select current_schema() as schema, current_setting('search_path') as path,
      (select nspname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where pg_class.oid in (to_regclass('${HISTORY_TABLE}'), to_regclass('sluice_checkpoints'))
        order by relname = '${HISTORY_TABLE}' desc limit 1) as found`,
  );
  const { schema, path, found } = rows[0] as {
    schema: string | null;
    path: string;
    found: string | null;
  };
  const target = found ?? schema;
  if (target !== null) return target;
  throw refused(
    `No schema of the search_path (${path}) exists: create one (create schema …), or name another one in the address`,
  );
}

/** The steps that a schema has taken; undefined where it has no history, or none that the role may read. */
async function readHistory(client: MigrationClient, schema: string): Promise<Set<string> | undefined> {
  const name = `${quoteName(schema)}.${quoteName(HISTORY_TABLE)}`;
  const { rows: found } = await client.query(
    `select coalesce(has_table_privilege(to_regclass($1), 'select'), false) as is_readable`,
    [name],
  );
  if (!found[0].is_readable) return undefined;
  const { rows } = await client.query(`select name from ${name}`);
  return new Set(rows.map((row: { name: string }) => row.name));
}

interface MissingPart {
  table: string;
  /** The columns that it lacks; none where the table itself is missing. */
  columns: string[];
}

/** What of the tables a connection with this search_path does not find. */
async function missingParts(client: MigrationClient, tables: readonly PgTable[]): Promise<MissingPart[]> {
  const missing: MissingPart[] = [];
  for (const table of tables) {
    const { name, schema, columns } = getTableConfig(table);
    const found = await columnsOf(client, schema, name);
    if (found === undefined) missing.push({ table: name, columns: [] });
    else {
      const lacks = columns.map((column) => column.name).filter((column) => !found.has(column));
      if (lacks.length > 0) missing.push({ table: name, columns: lacks });
    }
  }
  return missing;
}

async function columnsOf(
  client: MigrationClient,
  schema: string | undefined,
  table: string,
): Promise<Set<string> | undefined> {
  const name = schema === undefined ? quoteName(table) : `${quoteName(schema)}.${quoteName(table)}`;
  const { rows } = await client.query(
    `select to_regclass($1) is not null as is_there, array(select attname::text from pg_attribute
      where attrelid = to_regclass($1) and attnum > 0 and not attisdropped) as columns`,
    [name],
  );
  return rows[0].is_there ? new Set(rows[0].columns as string[]) : undefined;
}

interface Effect {
  /** `unknown` where the statements make no table and no column that could be looked for. */
  state: 'there' | 'missing' | 'unknown';
  /** A table of that name that the statements did not make: it lacks columns which they give it. */
  blocking?: MissingPart;
}

/** Whether a schema shows what the statements of a step make. */
async function effectOf(
  client: MigrationClient,
  schema: string,
  statements: readonly string[],
): Promise<Effect> {
  let parts = 0;
  let there = 0;
  for (const { table, columns, isNew } of statements.flatMap(partsOf)) {
    parts += 1;
    const found = await columnsOf(client, schema, table);
    const lacks = columns.filter((column) => found?.has(column) !== true);
    if (lacks.length === 0) there += 1;
    else if (isNew && found !== undefined) return { state: 'missing', blocking: { table, columns: lacks } };
  }
  return { state: parts === 0 ? 'unknown' : there === parts ? 'there' : 'missing' };
}

/** Whether statements make nothing but tables and columns, and all of these are there for a connection with this search_path. */
export async function isMadeAlready(
  client: MigrationClient,
  statements: readonly string[],
): Promise<boolean> {
  for (const statement of statements) {
    const parts = partsOf(statement);
    if (parts.length === 0) return false;
    for (const { table, columns } of parts) {
      const found = await columnsOf(client, undefined, table);
      if (found === undefined || columns.some((column) => !found.has(column))) return false;
    }
  }
  return true;
}

/** The tables and columns that a statement of drizzle-kit makes in the target schema. */
function partsOf(statement: string): { table: string; columns: string[]; isNew: boolean }[] {
  const create = /^\s*CREATE TABLE (?:IF NOT EXISTS )?"([^"]+)" \(([\s\S]*)\)/i.exec(statement);
  if (create !== null) {
    const [, table, body] = create as unknown as [string, string, string];
    const columns = [...body.matchAll(/^\s*"([^"]+)" /gm)].map((match) => match[1] as string);
    return [{ table, columns, isNew: true }];
  }
  const add = /^\s*ALTER TABLE "([^"]+)" ADD COLUMN (?:IF NOT EXISTS )?"([^"]+)"/i.exec(statement);
  return add === null ? [] : [{ table: add[1] as string, columns: [add[2] as string], isNew: false }];
}

async function drizzleHashes(client: MigrationClient): Promise<Set<string>> {
  const { rows: found } = await client.query(
    `select coalesce(has_schema_privilege(to_regnamespace('drizzle'), 'usage')
      and has_table_privilege(to_regclass('${DRIZZLE_HISTORY}'), 'select'), false) as is_readable`,
  );
  if (!found[0].is_readable) return new Set();
  const { rows } = await client.query(`select hash from ${DRIZZLE_HISTORY}`);
  return new Set(rows.map((row: { hash: string }) => row.hash));
}

/**
 * Takes our rows out of drizzle's history. Its migrator skips all that is older than the latest row, so an application that
 * uses it on the same database would lose those of its own migrations that are older than ours.
 */
async function handOver(client: MigrationClient, steps: StepSet['steps']): Promise<void> {
  const ours = steps.flatMap((step) => step.hashes ?? []);
  const known = ours.length === 0 ? new Set<string>() : await drizzleHashes(client);
  if (!ours.some((hash) => known.has(hash))) return;
  const { rows } = await client.query(
    `select has_table_privilege('${DRIZZLE_HISTORY}', 'delete') and not pg_is_in_recovery()
      and current_setting('transaction_read_only') = 'off' as may_delete`,
  );
  if (rows[0].may_delete) await client.query(`delete from ${DRIZZLE_HISTORY} where hash = any($1)`, [ours]);
}

function inTheWay({ table, columns }: MissingPart): SluiceError {
  const what = `There is a table ${table} already, and it is not Sluice's: it has no column ${columns.join(', ')}. `;
  const ownSchema =
    'Give Sluice its own schema: create schema sluice, and ?options=-csearch_path%3Dsluice at the end of the address';
  return refused(
    `${what}${ownSchema}. Or, if no sink writes to src/schema's ${table}: --sluice-only makes the tables of Sluice itself ` +
      '(sluice_…) and no others',
  );
}

async function stillMissing(
  client: MigrationClient,
  schema: string,
  { table, columns }: MissingPart,
  steps: StepSet['steps'],
): Promise<SluiceError> {
  const what =
    columns.length === 0 ? `the table ${table} is` : `the column ${columns.join(', ')} of ${table} is`;
  const step = steps.find(({ statements }) =>
    statements
      .flatMap(partsOf)
      .some(
        (part) =>
          part.table === table &&
          (columns.length === 0 ? part.isNew : columns.some((column) => part.columns.includes(column))),
      ),
  );
  if (step === undefined)
    return refused(
      `The code needs more than its migrations make: ${what} missing. Run npx drizzle-kit generate`,
    );
  const inSchema = await columnsOf(client, schema, table);
  if (inSchema !== undefined && columns.every((column) => inSchema.has(column))) {
    return refused(
      `The tables of the schema ${schema} are complete, but a connection with this address finds another ${table} first: ` +
        `put ${schema} first in its search_path`,
    );
  }
  return refused(
    `${HISTORY_TABLE} in the schema ${schema} says that ${step.name} was taken, but ${what} missing: somebody dropped it. ` +
      `Restore it from a backup; or, to begin with an empty one, run ` +
      `delete from ${quoteName(schema)}.${quoteName(HISTORY_TABLE)} where name = '${step.name}', and migrate again`,
  );
}

async function notAllowed(client: MigrationClient, schema: string, error: unknown): Promise<SluiceError> {
  const { rows } = await client.query('select current_user as role');
  const role: string = rows[0].role;
  return refused(
    `The role ${role} may not make or change tables in the schema ${schema} (${(error as Error).message}). ` +
      `Migrate as the owner of the tables, or: grant create on schema ${quoteName(schema)} to ${quoteName(role)}`,
    error,
  );
}

function refused(message: string, cause?: unknown): SluiceError {
  return new SluiceError('database_refused', message, cause === undefined ? {} : { cause });
}
