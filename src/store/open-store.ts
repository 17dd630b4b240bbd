/**
 * Opens a store of a namespace in Postgres: looks at its version, and upgrades it where it is older than this code.
 *
 * An upgrade is one transaction. Those who open a namespace at the same time take turns by an advisory lock, so that one
 * upgrades and the others find it done. Appends and reads go on meanwhile: a step creates functions beside those that
 * are in use, and waits for a lock no longer than appends do where it has to change a table. Where it fails or is cut
 * off, nothing of it stays, and the next one who opens the namespace begins again.
 */

import { type SQL, sql } from 'drizzle-orm';
import { SluiceError } from '../core/errors.ts';
import { LOCK_TIME_LIMIT_MS } from '../core/limits.ts';
import { quoteName } from '../core/sql-text.ts';
import { type Connection, type Database, sqlState } from '../database/connection.ts';
import { isMissing, unknownSchema } from './postgres-errors.ts';
import {
  recordVersion,
  type StoreSchema,
  VERSIONS_TABLE,
  versionOf,
  versionsTable,
  versionsTableStatements,
} from './store-schema.ts';

type Runner = Pick<Database, 'execute'>;

/** Namespaces that are older than the table of versions have this table: by it they are told from other schemas. */
const FIRST_TABLE = 'append_lock';

/** The first of the two numbers of the advisory lock: those of other programs in the database are others. */
const ADVISORY_LOCK = 0x51_0c_e0_01;

// What code of version 1 creates at the same time, without the advisory lock: it meets this transaction in the system
// catalogues (23505 and 42710, at the type of a table as well; 42723: a function; 42P07: a table).
const EXISTS_STATES = new Set(['23505', '42710', '42723', '42P07']);

/**
 * Makes sure that a store is at a version that this code can use: its own, or the next one, whose code has kept the
 * functions of this one.
 *
 * @param transaction `own`: in a new one, where it has to upgrade; `callers`: in the one that is open on the
 *   connection, which has to be at READ COMMITTED
 * @returns whether it was upgraded, which is undone where the caller's transaction is rolled back
 * @throws SluiceError `unknown_namespace`; `schema_version` where the store is further ahead (details: `found`), or has to
 *   be upgraded and the role may not do it (details: `reason` is `not_allowed`). Otherwise the driver's error
 */
export async function openStore(
  connection: Pick<Connection, 'db'>,
  schema: string,
  store: StoreSchema,
  transaction: 'own' | 'callers' = 'own',
): Promise<boolean> {
  const { db } = connection;
  const found = await readVersion(db, schema, store, transaction);
  if (found !== undefined && found >= versionOf(store)) {
    checkVersion(found, schema, store);
    return false;
  }
  try {
    if (transaction === 'callers') await upgrade(db, schema, store);
    else await upgradeAlone(db, schema, store);
    return true;
  } catch (error) {
    if (isMissing(error)) throw unknownSchema(schema, error);
    if (sqlState(error) === '42501') throw notAllowed(found, schema, store, error);
    throw error;
  }
}

/** Undefined where the table of versions, or the store's row in it, is not there. */
async function readVersion(
  db: Runner,
  schema: string,
  { name }: StoreSchema,
  transaction: 'own' | 'callers',
): Promise<number | undefined> {
  // In a transaction, a table that is missing would cost all that was done in it.
  if (transaction === 'callers' && !(await hasTable(db, schema, VERSIONS_TABLE))) return undefined;
  try {
    const [row] = await rowsOf<{ version: number }>(
      db,
      sql`select version from ${sql.raw(versionsTable(schema))} where store = ${name} and clock_timestamp() is not null`,
    );
    return row?.version;
  } catch (error) {
    if (!isMissing(error)) throw error;
    return undefined;
  }
}

async function upgradeAlone(db: Database, schema: string, store: StoreSchema): Promise<void> {
  const attempt = () =>
    db.transaction((transaction) => upgrade(transaction, schema, store), {
      isolationLevel: 'read committed',
    });
  try {
    await attempt();
  } catch (error) {
    if (!EXISTS_STATES.has(sqlState(error) ?? '')) throw error;
    // It is there by now, or it would not be there to be met.
    await attempt();
  }
}

async function upgrade(db: Runner, schema: string, store: StoreSchema): Promise<void> {
  await db.execute(sql.raw(`set local lock_timeout = ${LOCK_TIME_LIMIT_MS}`));
  const [namespace] = await rowsOf(
    db,
    sql`select pg_advisory_xact_lock(${sql.raw(String(ADVISORY_LOCK))}, oid::int) from pg_namespace where nspname = ${schema}`,
  );
  if (namespace === undefined) throw unknownSchema(schema);
  // A second look: it sees what was committed under the lock before.
  const isVersioned = await hasTable(db, schema, VERSIONS_TABLE);
  const isThere = await hasTable(db, schema, store.lock);
  if (!isVersioned && !isThere && !(await hasTable(db, schema, FIRST_TABLE))) throw unknownSchema(schema);
  if (isThere) {
    // A deletion of the namespace locks this table first: the deletion waits for the upgrade, or the upgrade for it.
    await db.execute(sql.raw(`lock table ${quoteName(schema)}.${store.lock} in access share mode`));
  }
  if (!isVersioned) await runAll(db, versionsTableStatements(schema));
  const [row] = await rowsOf<{ version: number }>(
    db,
    sql`select version from ${sql.raw(versionsTable(schema))} where store = ${store.name} and clock_timestamp() is not null`,
  );
  // What has no row was made by code of version 1, which knew no versions.
  const found = row?.version ?? (isThere ? 1 : 0);
  const version = versionOf(store);
  if (found >= version) {
    checkVersion(found, schema, store);
    return;
  }
  await runAll(db, [
    ...store.steps.slice(found).flatMap((step) => step(schema)),
    recordVersion(schema, store.name, version),
  ]);
}

/** One message, one round trip: without parameters, several statements are possible. */
async function runAll(db: Runner, statements: readonly string[]): Promise<void> {
  await db.execute(sql.raw(statements.join(';\n')));
}

function checkVersion(found: number, schema: string, store: StoreSchema): void {
  const version = versionOf(store);
  if (found <= version + 1) return;
  throw new SluiceError(
    'schema_version',
    `The ${store.name} of the schema ${schema} are at version ${found}; this version of Sluice works with ${version} and ${version + 1}: deploy a newer one`,
    { details: { schema, store: store.name, found, supported: [version, version + 1] } },
  );
}

function notAllowed(
  found: number | undefined,
  schema: string,
  store: StoreSchema,
  cause: unknown,
): SluiceError {
  const version = versionOf(store);
  return new SluiceError(
    'schema_version',
    `The ${store.name} of the schema ${schema} have to be upgraded to version ${version}, and the role of the connection may not do it: open the namespace once with the role that owns the schema, or let this role create in it`,
    {
      cause,
      details: { schema, store: store.name, found: found ?? null, needed: version, reason: 'not_allowed' },
    },
  );
}

async function hasTable(db: Runner, schema: string, table: string): Promise<boolean> {
  const [row] = await rowsOf<{ there: boolean }>(
    db,
    sql`select to_regclass(${`${quoteName(schema)}.${table}`}) is not null as there, clock_timestamp()`,
  );
  return row?.there === true;
}

async function rowsOf<Row>(db: Runner, query: SQL): Promise<Row[]> {
  const result = await db.execute(query);
  return (result as unknown as { rows: Row[] }).rows;
}
