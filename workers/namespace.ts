/**
 * A namespace: a Durable Object that holds its message store and its event store, so that all their writers meet in one
 * place, and their subscribers, so that they hear of a write from the one who made it. Both are in its own SQLite storage or
 * in Postgres.
 */

import { DurableObject } from 'cloudflare:workers';
import { decodeUtf8 } from '../src/core/decode-utf8.ts';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import { systemTimers } from '../src/core/timers.ts';
import type { Connection } from '../src/database/connection.ts';
import { type ConnectionLender, ConnectionPool } from '../src/database/connection-pool.ts';
import { PostgresEventEngine } from '../src/events/engines/postgres-engine.ts';
import { SqliteEventEngine } from '../src/events/engines/sqlite-engine.ts';
import { eventSchema } from '../src/events/sql/schema.ts';
import { PostgresMessageEngine } from '../src/messages/engines/postgres-engine.ts';
import { SqliteMessageEngine } from '../src/messages/engines/sqlite-engine.ts';
import { unauthorized } from '../src/messages/http/rpc-errors.ts';
import { messageSchema } from '../src/messages/sql/schema.ts';
import { hashToken, isSameHash, schemaOfNamespace } from '../src/store/namespaces.ts';
import { createNamespaceSchema, dropNamespaceSchema } from '../src/store/postgres-namespaces.ts';
import { connect, databaseTarget } from './database.ts';
import type { Env } from './env.ts';
import { NamespaceEvents } from './namespace-events.ts';
import { NamespaceMessages } from './namespace-messages.ts';
import {
  ACCESS_HEADER,
  type NamespaceCalls,
  type NamespaceConfig,
  type NamespaceFigures,
} from './objects.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { registryOf } from './registry-calls.ts';
import { DurableObjectSqlite } from './sqlite.ts';
import { POLL_MS, storeErrorResponse } from './store-answers.ts';

/**
 * Connections of a namespace in Postgres. Writes need two, as messages and events go in groups; reads run beside them.
 * An object may have six that are being opened.
 */
const CONNECTIONS = 4;

/** What a namespace in Postgres has. */
const STORES = [messageSchema, eventSchema];

export class Namespace extends DurableObject<Env> implements NamespaceCalls {
  #config: NamespaceConfig | undefined;
  #pool: ConnectionPool | undefined;
  #messages: NamespaceMessages | undefined;
  #events: NamespaceEvents | undefined;
  /** The registry is making this namespace for requests without a token. */
  #ensuring: Promise<void> | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#config = ctx.storage.kv.get<NamespaceConfig>('config');
  }

  /** Takes a request that the Worker has read no further than needed to find the namespace. */
  override async fetch(request: Request): Promise<Response> {
    const { pathname, search, searchParams } = new URL(request.url);
    const lastEventId = request.headers.get('last-event-id');
    try {
      await this.#assertAccess(request.headers.get(ACCESS_HEADER) ?? '');
      assertUtf8Address(search);
      switch (pathname) {
        case '/rpc':
          return await this.#openMessages().rpc(request);
        case '/subscribe':
          return await this.#openMessages().subscribe(searchParams, lastEventId);
        case '/import':
          return this.#openMessages().import(request, searchParams);
        case '/export':
          return this.#openMessages().export(searchParams);
        case '/read':
          return await this.#openEvents().read(searchParams);
        case '/append':
          return await this.#openEvents().append(request);
        case '/events/subscribe':
          return await this.#openEvents().subscribe(searchParams, lastEventId);
        default:
          throw new SluiceError('not_found', `A namespace has nothing at ${pathname}`);
      }
    } catch (error) {
      return storeErrorResponse(pathname, error);
    }
  }

  async #assertAccess(access: string): Promise<void> {
    const token = /^token (.+)$/.exec(access)?.[1];
    if (token !== undefined) {
      if (!this.verify(token)) throw unauthorized('invalid');
      return;
    }
    if (access !== 'open') throw unauthorized('missing');
    if (this.#config !== undefined) return;
    // The registry calls back and configures this object. Asked a second time meanwhile, it would say that it is made.
    this.#ensuring ??= registryOf(this.env)
      .ensure(this.ctx.id.name ?? '')
      .finally(() => {
        this.#ensuring = undefined;
      });
    await this.#ensuring;
  }

  /** RPC: true for the namespace's token. */
  verify(token: string): boolean {
    return this.#config !== undefined && isSameHash(hashToken(token), this.#config.tokenHash);
  }

  /**
   * RPC of the registry: makes the store.
   *
   * @param isRepeated an earlier attempt may have got half of the way
   * @returns refused with `namespace_exists` where Postgres has its schema already
   */
  configure(config: NamespaceConfig, isRepeated: boolean): Promise<Outcome<void>> {
    return outcomeOf(async () => {
      if (config.engine === 'postgres') {
        await this.#createSchema(config.namespace, isRepeated);
      }
      this.ctx.storage.kv.put('config', config);
      this.#config = config;
    });
  }

  async #createSchema(namespace: string, isRepeated: boolean): Promise<void> {
    const pool = this.#newPool(1);
    try {
      await pool.use(async (connection) => {
        try {
          await createNamespaceSchema(connection, namespace, STORES);
        } catch (error) {
          if (!isRepeated || !isSluiceError(error) || error.code !== 'namespace_exists') throw error;
          // Most likely made by the earlier attempt. What is somebody else's must not get another owner.
          if (!(await isEmptySchema(connection, schemaOfNamespace(namespace)))) throw error;
        }
      });
    } finally {
      pool.close();
    }
  }

  /**
   * RPC of the registry: deletes everything, and returns how many messages there were. It may be repeated.
   */
  async destroy({ namespace, engine }: NamespaceConfig): Promise<bigint> {
    const parts = [this.#messages, this.#events];
    const pool = this.#pool;
    // No token is right from here on, and nothing is opened again.
    this.#config = undefined;
    this.#messages = undefined;
    this.#events = undefined;
    this.#pool = undefined;
    this.ctx.storage.kv.delete('config');
    await Promise.all(parts.map((part) => part?.close()));
    pool?.close();
    let messages = 0n;
    if (engine === 'postgres') {
      messages = await this.#dropSchema(namespace);
    } else {
      ({ messages } = await this.#sqliteEngine().info());
    }
    await this.ctx.storage.deleteAll();
    return messages;
  }

  /** RPC of the registry: how many messages there are. */
  messageCount(): Promise<Outcome<bigint>> {
    return outcomeOf(() => this.#openMessages().count());
  }

  /** RPC of the registry: how the namespace stands. */
  figures(): Promise<Outcome<NamespaceFigures>> {
    return outcomeOf(async () => {
      const figures = await this.#openMessages().figures();
      return { ...figures, events: await this.#openEvents().count() };
    });
  }

  #openMessages(): NamespaceMessages {
    this.#messages ??= this.#newMessages(this.#known());
    return this.#messages;
  }

  #newMessages({ engine, namespace }: NamespaceConfig): NamespaceMessages {
    if (engine === 'sqlite') return new NamespaceMessages(this.#sqliteEngine(), undefined);
    const connections = this.#openPool();
    const schema = schemaOfNamespace(namespace);
    return new NamespaceMessages(new PostgresMessageEngine({ connections, schema }), POLL_MS);
  }

  #openEvents(): NamespaceEvents {
    this.#events ??= this.#newEvents(this.#known());
    return this.#events;
  }

  #newEvents({ engine, namespace }: NamespaceConfig): NamespaceEvents {
    if (engine === 'sqlite') {
      const sqlite = new SqliteEventEngine(new DurableObjectSqlite(this.ctx.storage));
      return new NamespaceEvents(sqlite, { pollMs: undefined, prepare: async () => {} });
    }
    const connections = this.#openPool();
    const schema = schemaOfNamespace(namespace);
    const events = new PostgresEventEngine({ connections, schema });
    return new NamespaceEvents(events, { pollMs: POLL_MS, prepare: () => events.open() });
  }

  /** @throws SluiceError `unknown_namespace` */
  #known(): NamespaceConfig {
    if (this.#config === undefined) throw new SluiceError('unknown_namespace', 'The namespace is gone');
    return this.#config;
  }

  #sqliteEngine(): SqliteMessageEngine {
    return new SqliteMessageEngine(new DurableObjectSqlite(this.ctx.storage));
  }

  #openPool(): ConnectionPool {
    this.#pool ??= this.#newPool(CONNECTIONS);
    return this.#pool;
  }

  #newPool(size: number): ConnectionPool {
    return new ConnectionPool({
      open: () => connect(databaseTarget(this.env)),
      timers: systemTimers,
      size,
    });
  }

  async #dropSchema(namespace: string): Promise<bigint> {
    const pool = this.#newPool(1);
    try {
      const counts = await pool.use((connection) => dropNamespaceSchema(connection, namespace, STORES));
      return counts.get('messages') ?? 0n;
    } catch (error) {
      // An earlier attempt got so far.
      if (isSluiceError(error) && error.code === 'unknown_namespace') return 0n;
      throw error;
    } finally {
      pool.close();
    }
  }
}

/** `URLSearchParams` reads what is not UTF-8 as U+FFFD, and so as the name or the tag of something else. */
function assertUtf8Address(search: string): void {
  for (const [escaped] of search.matchAll(/(?:%[0-9a-f]{2})+/gi)) {
    const bytes = escaped.split('%').slice(1);
    decodeUtf8(
      Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16)),
      `The part ${escaped.slice(0, 100)} of the address`,
    );
  }
}

async function isEmptySchema(connection: Connection, schema: string): Promise<boolean> {
  const options = { connections: lenderOf(connection), schema };
  if ((await new PostgresMessageEngine(options).info()).messages > 0n) return false;
  return (await new PostgresEventEngine(options).head()) === 0n;
}

function lenderOf(connection: Connection): ConnectionLender {
  return {
    async use(work) {
      return work(connection);
    },
  };
}
