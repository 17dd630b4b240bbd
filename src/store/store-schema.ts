/**
 * What a store is in Postgres, version by version.
 *
 * A version changes tables, functions, or both. **Functions carry in their names the version that they came with**
 * (`append_v2`), and a version creates its own beside those of the version before. So code that is one version behind
 * finds the functions that it calls, on a namespace that newer code has upgraded or created: while a deployment goes
 * on, and after it was taken back. What a step may not do is change a table so that the functions of the version before
 * fail. The functions of the version before that one are dropped.
 *
 * To make version n: append a step that creates the functions which change, with the ending `_v<n>`, and drops those
 * that version n - 1 does not call; put their new names into the engine; write fixtures and a test as there are for the
 * steps before (test/src/store/upgrades.test.ts). Steps that are released are not changed.
 */

import { SluiceError } from '../core/errors.ts';
import { quoteName } from '../core/sql-text.ts';

export interface StoreSchema {
  /** Its name in the table of versions, and in sentences: `messages` or `events`. */
  readonly name: string;
  /** The table that its appends lock. It is there from version 1 on. */
  readonly lock: string;
  /** The table with a row for each of what the store holds. It is there from version 1 on. */
  readonly table: string;
  /**
   * The statements that bring a schema from each version to the next: the first one to version 1, from nothing. Each step
   * is run in one transaction with all others that are due.
   */
  readonly steps: readonly ((schema: string) => readonly string[])[];
}

/** The version that this code reads and writes. */
export function versionOf({ steps }: { steps: readonly unknown[] }): number {
  return steps.length;
}

/** How the text of a function names things. */
export interface SqlNames {
  schema: string;
  /** The schema, in quotes. */
  own: string;
  /** The ending of the functions of a version. */
  v: string;
}

/** The names of a version. Those of version 1 have no ending: it is older than this rule. */
export function sqlNames(schema: string, version: number): SqlNames {
  return { schema, own: quoteName(schema), v: version === 1 ? '' : `_v${version}` };
}

/** The table that holds the version of each store of a namespace. */
export const VERSIONS_TABLE = 'store_versions';

export function versionsTable(schema: string): string {
  return `${quoteName(schema)}.${VERSIONS_TABLE}`;
}

/** Every role that may use the schema may read the versions: without them it could not tell whether to go on. */
export function versionsTableStatements(schema: string): string[] {
  return [
    `create table if not exists ${versionsTable(schema)} (
  store text primary key,
  version int not null,
  upgraded_at timestamptz not null default now()
)`,
    `grant select on ${versionsTable(schema)} to public`,
  ];
}

/**
 * The statements that create a schema with stores; to be run in one transaction.
 *
 * @throws SluiceError `invalid_namespace` for what cannot name a schema
 */
export function createStatements(schema: string, stores: readonly StoreSchema[]): string[] {
  if (schema === '' || schema.includes('\0'))
    throw new SluiceError('invalid_namespace', `Not the name of a schema: ${JSON.stringify(schema)}`);
  return [
    `create schema ${quoteName(schema)}`,
    ...versionsTableStatements(schema),
    ...stores.flatMap((store) => [
      ...store.steps.flatMap((step) => step(schema)),
      recordVersion(schema, store.name, versionOf(store)),
    ]),
  ];
}

/** @param store a name of this code, which needs no quoting */
export function recordVersion(schema: string, store: string, version: number): string {
  return `insert into ${versionsTable(schema)} (store, version) values ('${store}', ${version})
on conflict (store) do update set version = excluded.version, upgraded_at = now()`;
}
