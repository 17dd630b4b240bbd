/** What the engines of both stores do with connections: open the namespace at the first use, and run statements. */

import type { Connection } from '../database/connection.ts';
import type { ConnectionLender } from '../database/connection-pool.ts';
import { openStore } from './open-store.ts';
import { isMissing, namespaceError, type StoreUse } from './postgres-errors.ts';
import { type Run, type Statement, StatementNames } from './postgres-statements.ts';
import type { StoreSchema } from './store-schema.ts';

export interface PostgresEngineOptions {
  /** Lends connections; a `ConnectionPool`. Reads run beside appends, so it must bear several uses at once. */
  connections: ConnectionLender;
  /**
   * The namespace's schema, `schemaOfNamespace(name)`, made by `createNamespaceSchema`. Where an older version of Sluice
   * made it, the first use upgrades it.
   */
  schema: string;
  /**
   * Whether statements get names, so that the server parses each once per connection: about 25 µs less for each call.
   * For connections of one's own. A transaction pooler that does not know names would be left with them; where one is
   * in between all the same, the engine notices and goes on without. Default: false.
   */
  preparesStatements?: boolean;
  /** Told once where a transaction pooler turns out not to know names, so that statements go without from then on. */
  onNamesLost?: () => void;
}

export class PostgresStore {
  readonly schema: string;
  readonly #store: StoreSchema;
  readonly #connections: ConnectionLender;
  readonly #names: StatementNames;
  #opening: Promise<unknown> | undefined;

  constructor(
    store: StoreSchema,
    { connections, schema, preparesStatements = false, onNamesLost }: PostgresEngineOptions,
  ) {
    this.schema = schema;
    this.#store = store;
    this.#connections = connections;
    this.#names = new StatementNames(preparesStatements, onNamesLost);
  }

  /** @throws SluiceError as `use` */
  rows<Row>(statement: Statement, doing: StoreUse = 'read'): Promise<Row[]> {
    return this.use(doing, (run) => run<Row>(statement));
  }

  /**
   * Runs statements on a connection.
   *
   * @throws SluiceError `unknown_namespace`, `schema_version`, and what `namespaceError` makes of the driver's errors
   */
  async use<Result>(
    doing: StoreUse,
    work: (run: Run, connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    try {
      await this.#open();
      return await this.#run(work).catch(async (error: unknown) => {
        // Deleted since it was opened, or upgraded so far that the functions of this code are gone. Nothing has run.
        if (!isMissing(error)) throw error;
        this.#opening = undefined;
        await this.#open();
        return this.#run(work);
      });
    } catch (error) {
      throw namespaceError(error, this.schema, doing);
    }
  }

  /** Opens the namespace now, and not at the first use. @throws as `use` */
  async open(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      throw namespaceError(error, this.schema, 'namespaces');
    }
  }

  #run<Result>(work: (run: Run, connection: Connection) => Promise<Result>): Promise<Result> {
    return this.#connections.use((connection) =>
      work((statement) => this.#names.run(connection, statement), connection),
    );
  }

  /** Once, however many ask for it; again where it has failed. */
  #open(): Promise<unknown> {
    this.#opening ??= this.#connections
      .use((connection) => openStore(connection, this.schema, this.#store))
      .catch((error: unknown) => {
        this.#opening = undefined;
        throw error;
      });
    return this.#opening;
  }
}
