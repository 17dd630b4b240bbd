/**
 * The namespaces of the stores in Postgres: a schema each, with the stores that are handed in (`messageSchema`,
 * `eventSchema`), and a table that lists them.
 *
 * A deployment that keeps its list elsewhere, as the Worker does, takes only `createNamespaceSchema` and
 * `dropNamespaceSchema`.
 */

import { type SQL, sql } from 'drizzle-orm';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import { quoteName } from '../core/sql-text.ts';
import { type Connection, type Database, sqlState } from '../database/connection.ts';
import type { ConnectionLender } from '../database/connection-pool.ts';
import {
  checkListLimit,
  checkNamespace,
  type DeletedNamespace,
  type ListNamespaces,
  type NamespaceInfo,
  type NamespaceRecord,
  type Namespaces,
  type NewNamespace,
  namespaceExists,
  schemaOfNamespace,
  unknownNamespace,
} from './namespaces.ts';
import { isMissing, storeError } from './postgres-errors.ts';
import { createStatements, type StoreSchema, VERSIONS_TABLE } from './store-schema.ts';

/** No namespace has this schema: theirs begin with it and an underscore. */
const REGISTRY_SCHEMA = 'sluice';
const REGISTRY = `${quoteName(REGISTRY_SCHEMA)}.namespaces`;

/** How long a deletion waits for appends that are under way. */
const DROP_LOCK_TIME_LIMIT_MS = 5_000;

/** What is counted under the lock has to be seen, whatever the database's default is. */
const READ_COMMITTED = { isolationLevel: 'read committed' } as const;

type Runner = Pick<Database, 'execute'>;

/**
 * Creates the schema of a namespace, with all that belongs to it or nothing.
 *
 * @param stores what it has: `messageSchema`, `eventSchema` or both. One that is left out is created at its first use
 * @throws SluiceError `invalid_namespace`; `namespace_exists` where the schema is there already. Otherwise the driver's
 *   error
 */
export async function createNamespaceSchema(
  connection: Connection,
  namespace: string,
  stores: readonly StoreSchema[],
): Promise<void> {
  const schema = schemaOfNamespace(namespace);
  await asNamespaceExists(namespace, () =>
    connection.db.transaction((transaction) => createSchema(transaction, schema, stores)),
  );
}

/** How many messages or events a store had, by its name. What is not there is not in it. */
export type StoreCounts = ReadonlyMap<string, bigint>;

/**
 * Drops the schema of a namespace with all messages and events. Waits for appends that are under way.
 *
 * @param stores all that a namespace may have
 * @throws SluiceError `invalid_namespace`; `unknown_namespace`. Otherwise the driver's error
 */
export async function dropNamespaceSchema(
  connection: Connection,
  namespace: string,
  stores: readonly StoreSchema[],
): Promise<StoreCounts> {
  const schema = schemaOfNamespace(namespace);
  return asUnknownNamespace(namespace, () =>
    connection.db.transaction(
      (transaction) => dropSchema(transaction, namespace, schema, stores),
      READ_COMMITTED,
    ),
  );
}

export interface PostgresNamespacesOptions {
  connections: ConnectionLender;
  /** What its namespaces have: `messageSchema`, `eventSchema` or both. */
  stores: readonly StoreSchema[];
}

/** The list of namespaces is the table `sluice.namespaces`, made at the first use. */
export class PostgresNamespaces implements Namespaces {
  readonly #connections: ConnectionLender;
  readonly #stores: readonly StoreSchema[];
  #isRegistryThere = false;

  constructor({ connections, stores }: PostgresNamespacesOptions) {
    this.#connections = connections;
    this.#stores = stores;
  }

  /**
   * Creates a namespace with its schema.
   *
   * @throws SluiceError `invalid_namespace`, `namespace_exists`, or `invalid_options` for an engine other than Postgres
   */
  async create({ namespace, description, engine, tokenHash }: NewNamespace): Promise<NamespaceRecord> {
    const schema = schemaOfNamespace(namespace);
    if (engine !== undefined && engine !== 'postgres')
      throw new SluiceError(
        'invalid_options',
        `This list has namespaces in Postgres only, none in ${engine}`,
      );
    return this.#use((connection) =>
      asNamespaceExists(namespace, () =>
        connection.db.transaction(async (transaction) => {
          const [row] = await rowsOf<RegistryRow>(
            transaction,
            sql`insert into ${sql.raw(REGISTRY)} (name, description, token_hash) values (${namespace}, ${description}, ${tokenHash}) on conflict do nothing returning name, description, ${CREATED_AT_US}`,
          );
          if (row === undefined) throw namespaceExists(namespace);
          await createSchema(transaction, schema, this.#stores);
          return toRecord(row);
        }),
      ),
    );
  }

  /** @throws SluiceError `invalid_namespace`, `unknown_namespace` */
  async delete(namespace: string): Promise<DeletedNamespace> {
    const schema = schemaOfNamespace(namespace);
    return this.#use((connection) =>
      asUnknownNamespace(namespace, () =>
        connection.db.transaction(async (transaction) => {
          const [row] = await rowsOf<{ deleted_at_us: string }>(
            transaction,
            sql`delete from ${sql.raw(REGISTRY)} where name = ${namespace} returning ${microseconds('now()')} as deleted_at_us`,
          );
          if (row === undefined) throw unknownNamespace(namespace);
          const counts = await dropSchema(transaction, namespace, schema, this.#stores);
          return {
            namespace,
            deletedAtUs: Number(row.deleted_at_us),
            messagesDeleted: counts.get('messages') ?? 0n,
            eventsDeleted: counts.get('events') ?? 0n,
          };
        }, READ_COMMITTED),
      ),
    );
  }

  /**
   * The namespaces after `after`, in byte order of their names.
   *
   * @throws SluiceError `invalid_options` for a limit that is no integer of 1 to 1,000
   */
  async list({ after, limit }: ListNamespaces): Promise<NamespaceInfo[]> {
    checkListLimit(limit);
    return this.#use(async (connection) => {
      const rows = await rowsOf<RegistryRow>(
        connection.db,
        sql`select name, description, ${CREATED_AT_US} from ${sql.raw(REGISTRY)} where name > ${after} and clock_timestamp() is not null order by name limit ${limit}`,
      );
      const infos: NamespaceInfo[] = [];
      for (const row of rows) {
        const counts = await countsOf(connection, row.name, this.#stores);
        // Deleted since the list was read.
        if (counts !== undefined) infos.push({ ...toRecord(row), ...counts });
      }
      return infos;
    });
  }

  /** @throws SluiceError `invalid_namespace`, `unknown_namespace` */
  async info(namespace: string): Promise<NamespaceInfo> {
    checkNamespace(namespace);
    return this.#use(async (connection) => {
      const [row] = await rowsOf<RegistryRow>(
        connection.db,
        sql`select name, description, ${CREATED_AT_US} from ${sql.raw(REGISTRY)} where name = ${namespace} and clock_timestamp() is not null`,
      );
      const counts = row === undefined ? undefined : await countsOf(connection, namespace, this.#stores);
      if (row === undefined || counts === undefined) throw unknownNamespace(namespace);
      return { ...toRecord(row), ...counts };
    });
  }

  /** The hash of the namespace's token, `hashToken`. @throws SluiceError `invalid_namespace`, `unknown_namespace` */
  async tokenHash(namespace: string): Promise<string> {
    checkNamespace(namespace);
    return this.#use(async (connection) => {
      const [row] = await rowsOf<{ token_hash: string }>(
        connection.db,
        sql`select token_hash from ${sql.raw(REGISTRY)} where name = ${namespace} and clock_timestamp() is not null`,
      );
      if (row === undefined) throw unknownNamespace(namespace);
      return row.token_hash;
    });
  }

  async #use<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result> {
    try {
      const answer = await this.#connections.use(async (connection) => {
        if (!this.#isRegistryThere) {
          await createRegistry(connection);
          this.#isRegistryThere = true;
        }
        // Handed out as a value: an error would cost the connection, and a caller who tries names would cost one each time.
        return work(connection).catch((error: unknown) => {
          if (isRefusal(error)) return error;
          throw error;
        });
      });
      if (isRefusal(answer)) throw answer;
      return answer;
    } catch (error) {
      // It may have been dropped since; then the next use makes it again.
      this.#isRegistryThere = false;
      throw storeError(error, 'namespaces');
    }
  }
}

function isRefusal(value: unknown): value is SluiceError {
  return isSluiceError(value) && (value.code === 'unknown_namespace' || value.code === 'namespace_exists');
}

interface RegistryRow {
  name: string;
  description: string;
  created_at_us: string;
}

function microseconds(time: string): SQL {
  return sql.raw(`(extract(epoch from ${time}) * 1000000)::bigint`);
}

const CREATED_AT_US = sql`${microseconds('created_at')} as created_at_us`;

const REGISTRY_STATEMENTS = [
  `create schema if not exists ${quoteName(REGISTRY_SCHEMA)}`,
  `create table if not exists ${REGISTRY} (
  name text collate "C" primary key,
  description text not null,
  token_hash text not null,
  created_at timestamptz not null default now()
)`,
];

async function createRegistry({ db }: Connection): Promise<void> {
  const [known] = await rowsOf<{ there: boolean }>(
    db,
    sql`select to_regclass(${REGISTRY}) is not null as there, clock_timestamp()`,
  );
  if (known?.there === true) return;
  for (const statement of REGISTRY_STATEMENTS) {
    try {
      await db.execute(sql.raw(statement));
    } catch (error) {
      // IF NOT EXISTS looks, then creates: of two that do so at once, one still gets an error. What it wanted is there.
      if (!EXISTS_STATES.has(sqlState(error) ?? '')) throw error;
    }
  }
}

async function createSchema(
  transaction: Runner,
  schema: string,
  stores: readonly StoreSchema[],
): Promise<void> {
  // One message, one round trip: without parameters, several statements are possible.
  await transaction.execute(sql.raw(createStatements(schema, stores).join(';\n')));
}

async function dropSchema(
  transaction: Runner,
  namespace: string,
  schema: string,
  stores: readonly StoreSchema[],
): Promise<StoreCounts> {
  const own = quoteName(schema);
  // Appends that wait for the lock fail when it falls; with another order, one could have got in between.
  // After one who waits for this lock, all appends wait; so it is not waited for longer than they would wait.
  await transaction.execute(sql.raw(`set local lock_timeout = '${DROP_LOCK_TIME_LIMIT_MS}ms'`));
  const counts = new Map<string, bigint>();
  let isNamespace = await hasTable(transaction, schema, VERSIONS_TABLE);
  for (const { name, lock, table } of stores) {
    if (!(await hasTable(transaction, schema, lock))) continue;
    isNamespace = true;
    await transaction.execute(sql.raw(`lock table ${own}.${lock} in access exclusive mode`));
    counts.set(name, await countRows(transaction, schema, table));
  }
  if (!isNamespace) throw unknownNamespace(namespace);
  await transaction.execute(sql.raw(`drop schema ${own} cascade`));
  return counts;
}

/** Undefined where the namespace is not there. */
async function countsOf(
  { db }: Connection,
  namespace: string,
  stores: readonly StoreSchema[],
): Promise<{ messages: bigint; events: bigint } | undefined> {
  const schema = schemaOfNamespace(namespace);
  const counts = new Map<string, bigint>();
  for (const { name, table } of stores) {
    try {
      counts.set(name, await countRows(db, schema, table));
    } catch (error) {
      // A store that is not there yet, or no namespace.
      if (!isMissing(error)) throw error;
    }
  }
  if (counts.size === 0 && !(await hasTable(db, schema, VERSIONS_TABLE))) return undefined;
  return { messages: counts.get('messages') ?? 0n, events: counts.get('events') ?? 0n };
}

async function hasTable(runner: Runner, schema: string, table: string): Promise<boolean> {
  const [row] = await rowsOf<{ there: boolean }>(
    runner,
    sql`select to_regclass(${`${quoteName(schema)}.${table}`}) is not null as there, clock_timestamp()`,
  );
  return row?.there === true;
}

async function countRows(runner: Runner, schema: string, table: string): Promise<bigint> {
  const [row] = await rowsOf<{ count: string }>(
    runner,
    sql.raw(
      `select count(*) as count from ${quoteName(schema)}.${quoteName(table)} where clock_timestamp() is not null`,
    ),
  );
  return BigInt(row?.count ?? 0);
}

// 23505 and 42710 too: two that create the same thing at once meet in the system catalogues, at the type of a table as well.
const EXISTS_STATES = new Set(['23505', '42710', '42P06', '42P07']);

async function asNamespaceExists<Result>(namespace: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw EXISTS_STATES.has(sqlState(error) ?? '') ? namespaceExists(namespace, error) : error;
  }
}

async function asUnknownNamespace<Result>(namespace: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw isMissing(error) ? unknownNamespace(namespace, error) : error;
  }
}

async function rowsOf<Row>(runner: Runner, query: SQL): Promise<Row[]> {
  const result = await runner.execute(query);
  return (result as unknown as { rows: Row[] }).rows;
}

function toRecord({ name, description, created_at_us }: RegistryRow): NamespaceRecord {
  return { namespace: name, description, engine: 'postgres', createdAtUs: Number(created_at_us) };
}
