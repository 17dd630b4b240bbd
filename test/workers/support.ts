/** What the tests inside workerd share: sockets that remember what came, shards with their own options, and the database. */

import { evictDurableObject, runInDurableObject } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { type SQL, sql } from 'drizzle-orm';
import { afterAll, beforeAll } from 'vitest';
import {
  type BenchColumn,
  type BenchSinkSpec,
  benchTableName,
  createBenchTable,
} from '../../lab/suites/ingest/bench-sink.ts';
import { encodeBenchShardName } from '../../lab/workers/bench-shard-name.ts';
import type { LabEnv } from '../../lab/workers/env.ts';
import type { Connection } from '../../src/database/connection.ts';
import type { Driver } from '../../src/database/target.ts';
import { type AckLevel, type Credit, SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import type { SinkOptions } from '../../src/sinks/sink-options.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import worker from '../../workers/index.ts';
import { PRODUCER_HEADER, type ShardStats } from '../../workers/objects.ts';
import type { Shard } from '../../workers/shard.ts';
import './environment.ts';
import { arrived, eventually, NothingCame } from '../support/patience.ts';

/** Polls until `check` no longer throws; its last error if it never does. */
export function until<Value>(check: () => Value | Promise<Value>): Promise<Value> {
  return eventually(check);
}

/** How a client's socket ended. */
export interface SocketEnd {
  code: number;
  reason: string;
  wasClean: boolean;
}

/** A client's end of a socket. */
export class Client {
  readonly #socket: WebSocket;
  /** The producer that the answer of the upgrade named. */
  readonly producer: string | null;
  /** The subprotocol that it named; null for the raw mode. */
  readonly protocol: string | null;
  /** All frames that came, oldest first. */
  readonly frames: string[] = [];
  readonly #ended: Promise<SocketEnd>;
  isClosed = false;

  constructor(response: Response) {
    if (response.webSocket === null) throw new Error(`No socket in an answer of status ${response.status}`);
    this.#socket = response.webSocket;
    this.producer = response.headers.get(PRODUCER_HEADER);
    this.protocol = response.headers.get('sec-websocket-protocol');
    this.#socket.addEventListener('message', (event) => {
      this.frames.push(String(event.data));
    });
    this.#ended = new Promise((resolve) => {
      this.#socket.addEventListener('close', ({ code, reason, wasClean }) => {
        this.isClosed = true;
        resolve({ code, reason, wasClean });
      });
    });
    this.#socket.accept();
  }

  /** How the socket ended, once it has. */
  get closed(): Promise<SocketEnd> {
    return arrived(`The end of the socket of ${this.producer}`, this.#ended);
  }

  send(frame: string | ArrayBuffer): void {
    this.#socket.send(frame);
  }

  /** Closes the socket, and resolves once the other side has answered. */
  close(code?: number): Promise<SocketEnd> {
    this.#socket.close(code);
    return this.closed;
  }

  /** The frame at `index`, as soon as it is there. */
  frame<Frame = ErrorFrame>(index: number): Promise<Frame> {
    return until(() => {
      const frame = this.frames[index];
      if (frame === undefined)
        throw new Error(`Frame ${index} has not come; there are ${this.frames.length}`);
      return JSON.parse(frame) as Frame;
    });
  }

  /** All frames of a type that came, oldest first. */
  framesOf<Frame extends { t: string }>(t: Frame['t']): Frame[] {
    return this.frames.map((frame) => JSON.parse(frame) as Frame).filter((frame) => frame.t === t);
  }
}

/** A client of `sluice.v1` that was welcomed. */
export class V1Client extends Client {
  /** The answer to its hello: frame 0. */
  welcome!: WelcomeFrame;

  /** Sends messages, the first of which has the sequence `seq`. */
  sendBatch(seq: number, payloads: readonly string[]): void {
    this.send(`{"t":"batch","seq":${seq},"n":${payloads.length}}\n${payloads.join('\n')}`);
  }

  /** The first ack that covers a sequence, at a level, as soon as it is there. */
  ack(sequence: number, level: 'stored' | 'taken' | 'committed' = 'stored'): Promise<AckFrame> {
    return until(() => {
      const acks = this.framesOf<AckFrame>('ack');
      const found = acks.find((ack) => (ack[level] ?? 0) >= sequence);
      if (found === undefined) throw new Error(`No ack of ${sequence} (${level}): ${JSON.stringify(acks)}`);
      return found;
    });
  }
}

export interface ErrorFrame {
  t: string;
  refused: number;
  errors: { line: number; code: string; message: string }[];
}

/** What a server answers a hello with. */
export interface WelcomeFrame {
  t: 'welcome';
  producer: string;
  epoch: number;
  session?: string;
  known: boolean;
  ack: AckLevel;
  /** With an outbox, else `taken`. */
  stored?: number;
  taken?: number;
  committed: number;
  missing?: { from: number; to: number };
  credit: Credit;
  limits: { frameBytes: number; messageBytes: number; frameMessages: number };
  delivery: 'exactly-once' | 'at-least-once';
}

export interface AckFrame {
  t: 'ack';
  stored?: number;
  taken?: number;
  committed: number;
  credit: Credit;
}

export interface NackFrame {
  t: 'nack';
  from?: number;
  to?: number;
  code: string;
  temporary: boolean;
  message: string;
}

/** The request for a WebSocket at a path, with a subprotocol where one is named. */
export function upgradeRequest(path: string, protocol?: string): Request {
  const headers = { Upgrade: 'websocket' };
  return new Request(`http://sluice${path}`, {
    headers: protocol === undefined ? headers : { ...headers, 'sec-websocket-protocol': protocol },
  });
}

/** Opens a socket through the Worker's door. */
export async function openSocket(path: string): Promise<Client> {
  const answer = exports.default.fetch(upgradeRequest(path));
  return new Client(await arrived(`The answer to an upgrade at ${path}`, answer));
}

/** Asks the router as if the Worker had been deployed with other variables. */
export async function askWith(overrides: Partial<LabEnv>, request: Request | string): Promise<Response> {
  return worker.router.fetch(typeof request === 'string' ? new Request(`http://sluice${request}`) : request, {
    ...env,
    ...overrides,
  });
}

type ShardStub = DurableObjectStub<Shard>;

/** Lets a running shard find its database elsewhere, as in an outage. */
export function moveDatabase(stub: ShardStub, url: string | undefined): Promise<void> {
  return runInDurableObject(stub, (instance) => {
    const held = instance as unknown as { env: LabEnv };
    const { DATABASE_URL: _, ...others } = held.env;
    held.env = url === undefined ? others : { ...others, DATABASE_URL: url };
  });
}

/**
 * Lets an object fall asleep, as the platform does with one that has nothing to do for a while: the next call or frame starts a
 * new instance. It waits until no timer is set and no connection is open, and fails after 30 s of that.
 *
 * @param webSockets whether those that can sleep through it do so, or are closed. Default: they sleep
 */
export function evict(
  stub: DurableObjectStub,
  webSockets: 'hibernate' | 'close' = 'hibernate',
): Promise<void> {
  return arrived('The end of an eviction', evictDurableObject(stub, { webSockets }));
}

/** Lets a shard flush now, and gives its figures once everything is settled. */
export async function drain(stub: ShardStub): Promise<ShardStats> {
  try {
    return await arrived('The answer to drain()', stub.drain() as Promise<ShardStats>);
  } catch (error) {
    if (!(error instanceof NothingCame)) throw error;
    // Whether it writes, waits or has stopped tells whose fault it is.
    const figures = await statsOf(stub).catch(String);
    throw new Error(`${error.message}. The shard says ${JSON.stringify(figures)}`, { cause: error });
  }
}

function statsOf(stub: ShardStub): Promise<ShardStats> {
  return arrived('The answer to stats()', stub.stats() as Promise<ShardStats>);
}

const ABORTED = 'aborted by a test';

/**
 * Ends a shard's instance at once, as a crash or a deployment does: what is in memory is gone, sockets are closed. The
 * stub is of no use any more.
 */
export async function abortShard(stub: ShardStub): Promise<void> {
  const aborted = runInDurableObject(stub, (_, state) => state.abort(ABORTED)).catch((error: unknown) => {
    if (!String(error).includes(ABORTED)) throw error;
  });
  await arrived('The end of an aborted shard', aborted);
}

/** When the alarm of a shard is due; null when none is set. */
export function alarmOf(stub: ShardStub): Promise<number | null> {
  return runInDurableObject(stub, (_, state) => state.storage.getAlarm());
}

export interface Row {
  producer: string;
  sequence: bigint;
  payload: string;
}

let tables = 0;

/** A shard with its own options and table. */
export class TestShard {
  readonly spec: BenchSinkSpec;
  /** A new one after each restart: one that has led to an instance stays broken when that is gone. */
  stub: ShardStub;
  /** How its checkpoints name it. */
  readonly label: string;
  readonly #name: string;
  readonly #query: Query;

  /** The table is not created. */
  constructor(
    query: Query,
    options: Partial<SinkOptions>,
    column: BenchColumn = 'text',
    driver: Driver = 'tcp',
  ) {
    tables += 1;
    // Test files share the database, and each counts from the beginning.
    const table = `${crypto.randomUUID().slice(0, 8)}_${tables}`;
    this.spec = { table, column, options };
    // All write to one table of checkpoints: a test that removes those of its shard must not stop those of other files.
    const bench = `test-${table}`;
    this.label = `${bench}/0`;
    this.#name = encodeBenchShardName({ bench, spec: this.spec, driver, shard: 0 });
    this.stub = env.BENCH_SHARD.getByName(this.#name);
    this.#query = query;
  }

  async createTable(): Promise<this> {
    await this.#query(createBenchTable(this.spec.table, this.spec.column));
    return this;
  }

  async connect(producer: string): Promise<Client> {
    return new Client(await this.#upgrade({ [PRODUCER_HEADER]: producer }));
  }

  #upgrade(headers: Record<string, string>): Promise<Response> {
    const answer = this.stub.fetch('http://shard/', { headers: { Upgrade: 'websocket', ...headers } });
    return arrived(`The answer to an upgrade of ${headers[PRODUCER_HEADER]}`, answer);
  }

  /** Opens a socket of `sluice.v1` and says nothing yet. */
  async openV1(producer: string): Promise<V1Client> {
    return new V1Client(
      await this.#upgrade({ [PRODUCER_HEADER]: producer, 'sec-websocket-protocol': SLUICE_V1 }),
    );
  }

  /**
   * Opens a socket of `sluice.v1` and says hello. Rejects with the close code where there is no welcome.
   *
   * @param hello fields of the frame beside `t`
   */
  async connectV1(producer: string, hello: Record<string, unknown> = {}): Promise<V1Client> {
    const client = await this.openV1(producer);
    client.send(JSON.stringify({ t: 'hello', ...hello }));
    const end = await Promise.race([client.frame<WelcomeFrame>(0), client.closed]);
    if (!('t' in end)) throw new Error(`No welcome, but a close with ${end.code}: ${end.reason}`);
    client.welcome = end;
    return client;
  }

  /** All rows of the table in the order of writing. */
  async rows(): Promise<Row[]> {
    const rows = await this.#query<{ producer: string; sequence: string; payload: string }>(
      sql`select producer, sequence::text, payload::text from ${sql.raw(benchTableName(this.spec.table))} order by id`,
    );
    return rows.map((row) => ({ ...row, sequence: BigInt(row.sequence) }));
  }

  /** The payloads of all rows in the order of writing. */
  async payloads(): Promise<string[]> {
    return (await this.rows()).map(({ payload }) => payload);
  }

  /** Ends the shard's instance at once, as `abortShard` says; the next call starts a new one. */
  async restart(): Promise<void> {
    await abortShard(this.stub);
    this.stub = env.BENCH_SHARD.getByName(this.#name);
  }

  /** Messages in the outbox, from its tables; 0 where there are none. */
  inOutbox(): Promise<number> {
    return runInDurableObject(this.stub, (_, { storage: { sql: sqlite } }) => {
      const names = sqlite.exec("select name from sqlite_master where name = 'outbox_groups'").toArray();
      if (names.length === 0) return 0;
      // What is settled is kept for a while.
      const [sums] = sqlite.exec<{ rows: number | null }>(
        `select sum(rows) as rows from outbox_groups join outbox_lanes on lane = key / ${2 ** 48}
           where key % ${2 ** 48} + rows > head`,
      );
      return sums?.rows ?? 0;
    });
  }

  stats(): Promise<ShardStats> {
    return statsOf(this.stub);
  }

  /** Flushes now, and gives the figures once everything is settled. */
  drain(): Promise<ShardStats> {
    return drain(this.stub);
  }

  /** The figures, as soon as that many messages have been received. */
  received(messages: number): Promise<ShardStats> {
    return until(async () => {
      const stats = await this.stats();
      if (stats.received < messages) throw new Error(`Received ${stats.received} of ${messages}`);
      return stats;
    });
  }
}

export type Query = <Result = Record<string, unknown>>(statement: SQL) => Promise<Result[]>;

/** A connection for the tests of a file: call it at the top of the file. */
export function useDatabase(): Query {
  let connection: Connection | undefined;
  beforeAll(async () => {
    connection = await connect(databaseTarget(env));
  });
  afterAll(() => connection?.close());
  return async <Result>(statement: SQL) => {
    if (connection === undefined) throw new Error('The database can be asked once the tests have begun');
    return ((await connection.db.execute(statement)) as unknown as { rows: Result[] }).rows;
  };
}

/** The rows of a producer in the table `messages`, in the order of writing. */
export async function messagesOf(query: Query, producer: string): Promise<Row[]> {
  const rows = await query<{ producer: string; sequence: string; payload: string }>(
    sql`select producer, sequence::text, payload::text from messages where producer = ${producer} order by id`,
  );
  return rows.map((row) => ({ ...row, sequence: BigInt(row.sequence) }));
}

/** True when each is larger than the one before it. */
export function isIncreasing(sequences: readonly bigint[]): boolean {
  return sequences.every((sequence, index) => index === 0 || sequence > (sequences[index - 1] as bigint));
}
