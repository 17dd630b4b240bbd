/**
 * Carries out the orders of the suite `store` on one engine: in this process for Node's SQLite and for Postgres, inside
 * a Durable Object for its own. Each repetition takes three steps, so that only the middle one is timed.
 */

import { SluiceError } from '../../../src/core/errors.ts';
import type { ImportedMessage, Message, NewMessage } from '../../../src/messages/message.ts';
import type { MessageStore } from '../../../src/messages/message-store.ts';
import { exactLatencyRecord, percentileUs } from '../../measure/latency-record.ts';
import type { Audit, HistogramRecord } from '../../result.ts';
import type { StepBench } from '../../steps/step-bench.ts';
import { type Attempt, timeAttempts } from '../../steps/timed-attempts.ts';
import { type FloorTable, floorRow, floorRows } from './floor-table.ts';
import { auditReads, auditWrites, compareRead, type ReadVerdict } from './store-audit.ts';
import {
  BENCH_CATEGORY,
  BENCH_STREAM,
  expectedRead,
  isWrite,
  messagesOf,
  messagesPerOperation,
  type Placed,
  type Room,
  roomMessages,
  roomOf,
  roomSize,
  type StoreOrder,
  streamOf,
} from './store-order.ts';

export type StoreBench = StepBench<StoreOrder, StoreRun>;

export interface StoreRun {
  elapsedMs: number;
  /** How long a single operation took, 50th and 99th of a hundred; null where the clock cannot tell. */
  p50Us: number | null;
  p99Us: number | null;
  /** All of them; undefined where the clock cannot tell. */
  latency?: HistogramRecord;
  /** Statements went without names: a pooler in between does not know them. */
  isUnnamed?: true;
}

/** Makes namespaces of one engine. */
export interface BenchEngine {
  /** False once statements had to go without names, for a pooler in between. Default: true. */
  hasNames?(): boolean;
  /** A new namespace without messages. */
  create(): Promise<BenchNamespace>;
}

export interface BenchNamespace {
  /** Opens one more store on the namespace; on Postgres, with a connection of its own. */
  openStore(): Promise<MessageStore>;
  /** Makes the table for bare statements. Without indexes, it has a primary key and nothing else. */
  openFloor(hasIndexes: boolean): Promise<FloorTable>;
  /** Closes what is open, and deletes everything. */
  drop(): Promise<void>;
}

/** Messages that one step of preparation imports: about a second of work, well within the limits of a request. */
const IMPORT_STEP_MESSAGES = 50_000;
/** Messages of one import, which is one transaction. */
const IMPORT_MESSAGES = 5_000;
const AUDIT_PAGE_MESSAGES = 1_000;
/** Writes of each store before the clock starts, in a category that the audit passes over. */
const WARM_WRITES = 10;
const WARM_CATEGORY = 'warm';

interface PreparedRoom {
  namespace: BenchNamespace;
  store: MessageStore;
  messages: Generator<ImportedMessage>;
  missing: number;
}

/** What a run works on. */
interface Stage {
  namespace: BenchNamespace;
  stores: MessageStore[];
  floor: FloorTable | undefined;
  step: Attempt;
  verdict: () => ReadVerdict;
}

export class EngineBench implements StoreBench {
  readonly #engine: BenchEngine;
  readonly #now: () => number;
  readonly #tellsLatency: boolean;
  readonly #rooms = new Map<Room, PreparedRoom>();
  #stage: Stage | undefined;

  /**
   * @param now milliseconds with fractions, at the time of the call and not of the last I/O
   * @param tellsLatency whether that clock can tell how long a single operation took; default true
   */
  constructor(engine: BenchEngine, now: () => number, tellsLatency = true) {
    this.#engine = engine;
    this.#now = now;
    this.#tellsLatency = tellsLatency;
  }

  async prepare(order: StoreOrder): Promise<number> {
    await this.#leaveStage();
    if (order.way === 'floor' || order.way === 'indexed') {
      this.#stage = await this.#floorStage(order);
      return 0;
    }
    if (isWrite(order.operation)) {
      this.#stage = await this.#writeStage(order);
      return 0;
    }
    const room = await this.#room(order);
    await importSome(room);
    if (room.missing > 0) return room.missing;
    // A connection that was closed meanwhile is opened, and its plans are made, before the clock starts.
    await readOnce(room.store, order);
    this.#stage = readStage(room, order);
    return 0;
  }

  async run({ operations, writers }: StoreOrder): Promise<StoreRun> {
    const { step } = this.#prepared();
    const { elapsedMs, sortedMs } = await timeAttempts(operations, writers, step, this.#now);
    const names: Pick<StoreRun, 'isUnnamed'> = this.#engine.hasNames?.() === false ? { isUnnamed: true } : {};
    if (!this.#tellsLatency) return { elapsedMs, p50Us: null, p99Us: null, ...names };
    return {
      ...names,
      elapsedMs,
      p50Us: percentileUs(sortedMs, 0.5),
      p99Us: percentileUs(sortedMs, 0.99),
      latency: exactLatencyRecord(sortedMs),
    };
  }

  async audit(order: StoreOrder): Promise<Audit> {
    const { stores, floor, verdict } = this.#prepared();
    const { operation, operations } = order;
    const perOperation = messagesPerOperation(operation);
    try {
      if (!isWrite(operation)) return auditReads(operations, perOperation, verdict());
      if (floor !== undefined) return await auditFloor(floor, operations * perOperation);
      const [store] = stores;
      if (store === undefined) throw new SluiceError('internal', 'The bench has no store to audit');
      const audit = await auditWrites(allMessages(store), operations, perOperation);
      // An answer that names another place than the message has is as wrong as a message in another place.
      return { ...audit, outOfOrder: audit.outOfOrder + verdict().wrong };
    } finally {
      await this.#leaveStage();
    }
  }

  async close(): Promise<void> {
    await this.#leaveStage();
    for (const { namespace } of this.#rooms.values()) await namespace.drop();
    this.#rooms.clear();
  }

  #prepared(): Stage {
    if (this.#stage === undefined) {
      throw new SluiceError(
        'internal',
        'The bench has nothing prepared: its place was started anew meanwhile',
      );
    }
    return this.#stage;
  }

  async #leaveStage(): Promise<void> {
    const stage = this.#stage;
    this.#stage = undefined;
    if (stage === undefined) return;
    const isKept = [...this.#rooms.values()].some(({ namespace }) => namespace === stage.namespace);
    if (!isKept) await stage.namespace.drop();
  }

  async #floorStage({ operation, operations, way }: StoreOrder): Promise<Stage> {
    const namespace = await this.#engine.create();
    const floor = await namespace.openFloor(way === 'indexed' || !isWrite(operation));
    const count = messagesPerOperation(operation);
    if (isWrite(operation)) {
      const rows = Array.from({ length: operations }, (_, index) => floorRows(index, count));
      return {
        namespace,
        stores: [],
        floor,
        step: (index) => floor.insert(rows[index] ?? []),
        verdict: () => ({ right: 0, wrong: 0 }),
      };
    }
    const expected = [...roomMessages(roomOf({ operation }), 0)];
    await floor.insert(
      expected.map(({ globalPosition, streamName, position }) =>
        floorRow(Number(globalPosition), streamName, Number(streamName.split('-')[1]), Number(position)),
      ),
    );
    const verdict = { right: 0, wrong: 0 };
    const take = (rows: readonly unknown[]): void => {
      verdict.right += Math.min(rows.length, count);
      verdict.wrong += Math.max(0, rows.length - count);
    };
    const select = (): Promise<readonly unknown[]> | readonly unknown[] =>
      operation === 'read-10'
        ? floor.selectStream(BENCH_STREAM, count)
        : floor.selectCategory(BENCH_CATEGORY, count);
    return {
      namespace,
      stores: [],
      floor,
      step() {
        const rows = select();
        if (rows instanceof Promise) return rows.then(take);
        take(rows);
        return undefined;
      },
      verdict: () => verdict,
    };
  }

  async #writeStage({ operation, operations, way, writers }: StoreOrder): Promise<Stage> {
    const namespace = await this.#engine.create();
    const stores: MessageStore[] = [];
    for (let store = 0; store < (way === 'stores' ? writers : 1); store += 1) {
      stores.push(await namespace.openStore());
    }
    for (const [index, store] of stores.entries()) await warmStore(store, index);
    const count = messagesPerOperation(operation);
    // Made before the clock starts, as a program has them; their ids and JSON texts are the store's work.
    const messages: NewMessage[][] = Array.from({ length: operations }, (_, index) =>
      messagesOf(index, count),
    );
    const end = BigInt(count - 1);
    const verdict = { right: 0, wrong: 0 };
    return {
      namespace,
      stores,
      floor: undefined,
      async step(index, writer) {
        const store = stores[writer % stores.length] as MessageStore;
        const { position } = await store.write(streamOf(index), messages[index] ?? []);
        if (position !== end) verdict.wrong += 1;
      },
      verdict: () => verdict,
    };
  }

  async #room(order: StoreOrder): Promise<PreparedRoom> {
    const name = roomOf(order);
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const namespace = await this.#engine.create();
    const room = {
      namespace,
      store: await namespace.openStore(),
      messages: roomMessages(name, order.others),
      missing: roomSize(name, order.others),
    };
    this.#rooms.set(name, room);
    return room;
  }
}

async function importSome(room: PreparedRoom): Promise<void> {
  for (let step = 0; step < IMPORT_STEP_MESSAGES && room.missing > 0; step += IMPORT_MESSAGES) {
    const batch: ImportedMessage[] = [];
    while (batch.length < Math.min(IMPORT_MESSAGES, room.missing)) {
      const { value, done } = room.messages.next();
      if (done === true) break;
      batch.push(value);
    }
    await room.store.import(batch);
    room.missing -= batch.length;
  }
}

/** What a connection does first takes longer: it is opened, and the server makes its plans. */
async function warmStore(store: MessageStore, index: number): Promise<void> {
  for (let n = 0; n < WARM_WRITES; n += 1) {
    await store.write(`${WARM_CATEGORY}-${index}`, { type: 'Warm', data: { n } });
  }
}

function readOnce(store: MessageStore, { operation }: StoreOrder): Promise<Message[]> {
  const batchSize = messagesPerOperation(operation);
  return operation === 'read-10'
    ? store.readStream(BENCH_STREAM, { position: 0n, batchSize })
    : store.readCategory(BENCH_CATEGORY, { globalPosition: 1n, batchSize });
}

function readStage({ namespace, store }: PreparedRoom, order: StoreOrder): Stage {
  const expected = expectedRead(order.operation);
  let last: Message[] = [];
  let right = 0;
  let wrong = 0;
  const take = (messages: Message[]): void => {
    last = messages;
    if (hasItsEnds(messages, expected)) {
      right += messages.length;
    } else {
      const verdict = compareRead(messages, expected);
      right += verdict.right;
      wrong += verdict.wrong;
    }
  };
  return {
    namespace,
    stores: [store],
    floor: undefined,
    async step() {
      take(await readOnce(store, order));
    },
    verdict() {
      // The ends of each read are looked at on the way; every field of the last one is compared now.
      if (!hasItsEnds(last, expected)) return { right, wrong };
      const verdict = compareRead(last, expected);
      return { right: right - last.length + verdict.right, wrong: wrong + verdict.wrong };
    },
  };
}

/** A look that costs next to nothing: as many as expected, and the first and the last in their places. */
function hasItsEnds(messages: readonly Message[], expected: readonly Placed[]): boolean {
  return (
    messages.length === expected.length &&
    isAt(messages[0], expected[0]) &&
    isAt(messages.at(-1), expected.at(-1))
  );
}

function isAt(message: Message | undefined, placed: Placed | undefined): boolean {
  return (
    message !== undefined &&
    placed !== undefined &&
    message.streamName === placed.stream &&
    message.position === BigInt(placed.position)
  );
}

async function* allMessages(store: MessageStore): AsyncGenerator<Message> {
  let globalPosition = 1n;
  for (;;) {
    const page = await store.readCategory('', { globalPosition, batchSize: AUDIT_PAGE_MESSAGES });
    yield* page.filter(({ streamName }) => !streamName.startsWith(`${WARM_CATEGORY}-`));
    const last = page.at(-1);
    if (last === undefined || page.length < AUDIT_PAGE_MESSAGES) return;
    globalPosition = last.globalPosition + 1n;
  }
}

async function auditFloor(floor: FloorTable, sent: number): Promise<Audit> {
  const { rows, places } = await floor.count();
  return {
    sent,
    refused: 0,
    found: rows,
    lost: Math.max(0, sent - places),
    duplicated: rows - places,
    outOfOrder: 0,
  };
}
