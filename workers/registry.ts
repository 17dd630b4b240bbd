/**
 * The list of the stores' namespaces: one Durable Object. It knows what there is and where; the namespaces themselves know the hashes of their tokens, so that no request but these few comes here.
 */

import { DurableObject } from 'cloudflare:workers';
import { SluiceError } from '../src/core/errors.ts';
import { MAX_LIST_NAMES, MAX_NAMESPACES } from '../src/core/limits.ts';
import {
  checkNamespace,
  type DeletedNamespace,
  type ListNamespaces,
  type NamespaceInfo,
  type NamespaceRecord,
  type NewNamespace,
  namespaceExists,
  STORE_ENGINES,
  type StoreEngine,
  unknownNamespace,
} from '../src/store/namespaces.ts';
import type { Env } from './env.ts';
import type { ListedShards, NamespaceCalls, RegistryCalls } from './objects.ts';
import { type Outcome, outcomeOf, unwrap } from './outcome.ts';
import { ShardTable } from './shard-directory.ts';
import { DurableObjectSqlite } from './sqlite.ts';

/** Namespaces that are asked at a time how many messages they have. */
const ASKED_AT_A_TIME = 25;

/** A namespace whose creation or deletion did not come to its end is unknown, but keeps its name until it does. */
type State = 'creating' | 'ready' | 'deleting';

interface Row {
  namespace: string;
  description: string;
  engine: StoreEngine;
  createdAtUs: number;
  state: State;
}

const COLUMNS = 'name as namespace, description, engine, created_at_us as createdAtUs, state';

export class Registry extends DurableObject<Env> implements RegistryCalls {
  readonly #sqlite: DurableObjectSqlite;
  /** Names of which something is being done right now. */
  readonly #busy = new Set<string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sqlite = new DurableObjectSqlite(ctx.storage);
    this.#sqlite.run(`create table if not exists namespaces (
      name text primary key,
      description text not null,
      engine text not null,
      created_at_us integer not null,
      state text not null
    ) strict, without rowid`);
  }

  /** RPC: the list of shards, which was kept here until version 0.3 (shard-directory.ts). */
  async exportShards(): Promise<ListedShards> {
    return new ShardTable(this.#sqlite).all();
  }

  /** RPC. */
  create(namespace: NewNamespace): Promise<Outcome<NamespaceRecord>> {
    return outcomeOf(() => this.#create(namespace));
  }

  async #create({
    namespace,
    description,
    engine = this.#standardEngine(),
    tokenHash,
  }: NewNamespace): Promise<NamespaceRecord> {
    checkNamespace(namespace);
    const known = this.#find(namespace);
    if (known?.state === 'ready' || this.#busy.has(namespace)) throw namespaceExists(namespace);
    if (known?.state === 'deleting') {
      // The one who deleted it has had no answer, and what is left must not become part of the new one.
      await this.#destroy(known);
      if (this.#busy.has(namespace) || this.#find(namespace) !== undefined) throw namespaceExists(namespace);
    }
    const [{ count } = { count: 0 }] = this.#sqlite.run<{ count: number }>(
      'select count(*) as count from namespaces',
    );
    if (known === undefined && count >= MAX_NAMESPACES)
      throw new SluiceError(
        'invalid_options',
        `There are ${MAX_NAMESPACES} namespaces, which is as many as there may be`,
      );
    const createdAtUs = Date.now() * 1_000;
    this.#busy.add(namespace);
    try {
      this.#sqlite.run(
        `insert into namespaces (name, description, engine, created_at_us, state) values (?, ?, ?, ?, 'creating')
         on conflict (name) do update set description = excluded.description, engine = excluded.engine, created_at_us = excluded.created_at_us`,
        namespace,
        description,
        engine,
        createdAtUs,
      );
      const isRepeated = known?.state === 'creating' && known.engine === engine;
      try {
        await unwrap(this.#objectOf(namespace).configure({ namespace, engine, tokenHash }, isRepeated));
      } catch (error) {
        // After a lost connection nobody knows how far it got: the name stays, and the next attempt goes on from there.
        if (errorCode(error) === 'namespace_exists') this.#forget(namespace);
        throw error;
      }
      this.#sqlite.run("update namespaces set state = 'ready' where name = ?", namespace);
    } finally {
      this.#busy.delete(namespace);
    }
    return { namespace, description, engine, createdAtUs };
  }

  /** RPC. */
  ensure(namespace: string): Promise<Outcome<void>> {
    return outcomeOf(async () => {
      if (this.#find(namespace)?.state === 'ready') return;
      try {
        const description = 'Open to requests without a token';
        await this.#create({ namespace, description, engine: undefined, tokenHash: '' });
      } catch (error) {
        if (errorCode(error) !== 'namespace_exists') throw error;
      }
    });
  }

  /** RPC. */
  delete(namespace: string): Promise<Outcome<DeletedNamespace>> {
    return outcomeOf(async () => {
      const known = this.#find(namespace);
      if (known === undefined || known.state === 'creating' || this.#busy.has(namespace))
        throw unknownNamespace(namespace);
      const messagesDeleted = await this.#destroy(known);
      return { namespace, deletedAtUs: Date.now() * 1_000, messagesDeleted };
    });
  }

  async #destroy({ namespace, engine }: Row): Promise<bigint> {
    this.#busy.add(namespace);
    try {
      this.#sqlite.run("update namespaces set state = 'deleting' where name = ?", namespace);
      const messages = await this.#objectOf(namespace).destroy({ namespace, engine, tokenHash: '' });
      this.#forget(namespace);
      return messages;
    } finally {
      this.#busy.delete(namespace);
    }
  }

  /** RPC. */
  async list({ after, limit }: ListNamespaces): Promise<NamespaceInfo[]> {
    const rows = this.#sqlite.run<Row>(
      `select ${COLUMNS} from namespaces where state = 'ready' and name > ? order by name limit ?`,
      after,
      Math.min(limit, MAX_LIST_NAMES),
    );
    const infos: NamespaceInfo[] = [];
    for (let index = 0; index < rows.length; index += ASKED_AT_A_TIME) {
      const some = rows.slice(index, index + ASKED_AT_A_TIME);
      const counts = await Promise.all(some.map(({ namespace }) => this.#countOf(namespace)));
      for (const [at, row] of some.entries()) {
        const messages = counts[at];
        if (messages !== undefined) infos.push({ ...recordOf(row), messages });
      }
    }
    return infos;
  }

  /** RPC. */
  info(namespace: string): Promise<Outcome<NamespaceInfo>> {
    return outcomeOf(async () => {
      const row = this.#find(namespace);
      if (row?.state !== 'ready') throw unknownNamespace(namespace);
      return { ...recordOf(row), ...(await unwrap(this.#objectOf(namespace).figures())) };
    });
  }

  /** Undefined where it was deleted meanwhile. */
  async #countOf(namespace: string): Promise<bigint | undefined> {
    try {
      return await unwrap(this.#objectOf(namespace).messageCount());
    } catch (error) {
      if (errorCode(error) === 'unknown_namespace') return undefined;
      throw error;
    }
  }

  #find(namespace: string): Row | undefined {
    return this.#sqlite.run<Row>(`select ${COLUMNS} from namespaces where name = ?`, namespace)[0];
  }

  #forget(namespace: string): void {
    this.#sqlite.run('delete from namespaces where name = ?', namespace);
  }

  #objectOf(namespace: string): NamespaceCalls {
    return this.env.NAMESPACE.getByName(namespace);
  }

  #standardEngine(): StoreEngine {
    return standardEngine(this.env);
  }
}

/** The engine of namespaces that name none. @throws SluiceError `invalid_configuration` */
export function standardEngine({ STORE_ENGINE: engine = 'sqlite' }: Env): StoreEngine {
  if ((STORE_ENGINES as readonly string[]).includes(engine)) return engine as StoreEngine;
  throw new SluiceError(
    'invalid_configuration',
    `The variable STORE_ENGINE is ${JSON.stringify(engine)}; ${STORE_ENGINES.join(' and ')} are allowed`,
  );
}

function recordOf({ namespace, description, engine, createdAtUs }: Row): NamespaceRecord {
  return { namespace, description, engine, createdAtUs };
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
