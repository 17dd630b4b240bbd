/**
 * Versions of the stores in SQLite: one database is one namespace, in a Durable Object or in a file.
 *
 * SQLite has no functions that could carry a version: all that is kept are tables. A version only adds to them what the
 * statements of the version before pass over (a column with a default, an index, a table), so that code one version
 * behind goes on with the database: another process on the same file, or a Durable Object after a deployment was taken
 * back. Opening a database that is older upgrades it, in one transaction with whatever else is opened in it.
 *
 * To make version n: append a step, and a test as there is for the steps before. Steps that are released are not changed.
 */

import { SluiceError } from '../core/errors.ts';
import { hasTable, type Sqlite } from '../database/sqlite.ts';
import { VERSIONS_TABLE, versionOf } from './store-schema.ts';

export interface SqliteStoreSchema {
  /** Its name in the table of versions, and in sentences: `messages` or `events`. */
  readonly name: string;
  /** A table that is there from version 1 on. */
  readonly table: string;
  /** The statements that bring a database from each version to the next: the first one to version 1, from nothing. */
  readonly steps: readonly (readonly string[])[];
}

/**
 * Makes sure that a store is there, at a version that this code can use: its own or the next one.
 *
 * @throws SluiceError `schema_version` where it is further ahead (details: `found`), and then nothing was changed
 */
export function openSqliteStore(sqlite: Sqlite, store: SqliteStoreSchema): void {
  const version = versionOf(store);
  sqlite.transaction(() => {
    const found = foundVersion(sqlite, store);
    if (found > version + 1) throw tooNew(found, store);
    if (found >= version) return;
    for (const step of store.steps.slice(found)) for (const statement of step) sqlite.run(statement);
    record(sqlite, store.name, version);
  });
}

function foundVersion(sqlite: Sqlite, { name, table }: SqliteStoreSchema): number {
  if (hasTable(sqlite, VERSIONS_TABLE)) {
    const [row] = sqlite.run<{ version: number }>(
      `select version from ${VERSIONS_TABLE} where store = ?`,
      name,
    );
    if (row !== undefined) return row.version;
  }
  // What has no row was made by code of version 1, which knew no versions.
  return hasTable(sqlite, table) ? 1 : 0;
}

function record(sqlite: Sqlite, store: string, version: number): void {
  sqlite.run(
    `create table if not exists ${VERSIONS_TABLE} (store text primary key, version integer not null) strict`,
  );
  sqlite.run(
    `insert into ${VERSIONS_TABLE} (store, version) values (?, ?)
     on conflict (store) do update set version = excluded.version`,
    store,
    version,
  );
}

function tooNew(found: number, store: SqliteStoreSchema): SluiceError {
  const version = versionOf(store);
  return new SluiceError(
    'schema_version',
    `The ${store.name} of this database are at version ${found}; this version of Sluice works with ${version} and ${version + 1}: deploy a newer one`,
    { details: { store: store.name, found, supported: [version, version + 1] } },
  );
}
