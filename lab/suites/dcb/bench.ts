/**
 * Carries out the orders of the suite `dcb` on one engine: in this process for Node's SQLite and for Postgres, inside a
 * Durable Object for the others. Each repetition takes three steps, so that only the middle one is timed.
 */

import { SluiceError } from '../../../src/core/errors.ts';
import type { QueryItem } from '../../../src/events/engine.ts';
import type { NewEvent } from '../../../src/events/event.ts';
import type { EventStore } from '../../../src/events/event-store.ts';
import { exactLatencyRecord, percentileUs } from '../../measure/latency-record.ts';
import type { Audit, HistogramRecord } from '../../result.ts';
import type { StepBench } from '../../steps/step-bench.ts';
import { type Attempt, timeAttempts } from '../../steps/timed-attempts.ts';
import {
  auditReads,
  auditWrites,
  type Before,
  compareRead,
  hasItsEnds,
  isEvent,
  type ReadVerdict,
} from './audit.ts';
import type { BenchStore } from './bench-store.ts';
import { DataSet, type SetName } from './data-set.ts';
import { attemptRows, type FloorTable, setRows } from './floor.ts';
import type { HeapMeter } from './heap-meter.ts';
import { Ledger } from './ledger.ts';
import { type DcbOrder, eventsPerAttempt, isConditional, isWrite } from './order.ts';
import { compareStates, expectedStates, projectedEvents, projectOnce } from './projections.ts';
import { complexQueries, scopeTags, setDecisions, simpleQueries } from './set-queries.ts';
import { attemptCondition, attemptEvents, SCOPE_TYPES, scopeEvents } from './written-events.ts';

export type DcbBench = StepBench<DcbOrder, DcbRun>;

export interface DcbRun {
  elapsedMs: number;
  /** Events appended or read while the clock ran; of attempts that are all refused, the attempts. */
  units: number;
  /** Null for what has no condition. */
  wins: number | null;
  conflicts: number | null;
  /** How long a single attempt took, 50th and 99th of a hundred; null where the clock cannot tell. */
  p50Us: number | null;
  p99Us: number | null;
  /** All of them; undefined where the clock cannot tell. */
  latency?: HistogramRecord;
  /** Statements went without names: a pooler in between does not know them. */
  isUnnamed?: true;
  /** Bytes that one attempt allocates on the heap; null where the platform cannot tell. */
  heapBytesPerOperation: number | null;
  /** The most that an iteration holds on the heap beyond what was there before it; null as above. */
  peakHeapBytes: number | null;
}

/** What a place can tell besides the time of a whole run. */
export interface DcbGauges {
  /** Default: none, where the platform cannot tell. */
  heap?: HeapMeter | undefined;
  /** Whether the clock can tell how long a single attempt took. Default: true. */
  tellsLatency?: boolean;
}

/** Makes namespaces of one engine. */
export interface DcbEngineRoom {
  /** False once statements had to go without names, for a pooler in between. Default: true. */
  hasNames?(): boolean;
  /** A new namespace without events. */
  create(): Promise<DcbNamespace>;
}

export interface DcbNamespace {
  /** Where attempts go. */
  openStore(): Promise<BenchStore>;
  /** The store beside it, for preparing, reading and judging: nothing that is judged goes through what judges it. */
  openEvents(): Promise<EventStore>;
  /** Makes the table for bare statements. Without an index, it has a primary key and nothing else. */
  openFloor(hasIndex: boolean): Promise<FloorTable>;
  /** To be called once the events of a set are there: no statistics are made while the clock runs. */
  settle(): Promise<void>;
  /** Closes what is open, and deletes everything. */
  drop(): Promise<void>;
}

/** Events that one step of preparation appends: about a second of work, well within the limits of a request. */
const IMPORT_STEP_EVENTS = 20_000;
/** Appends of the preparation under way at a time. */
const IMPORT_APPENDS = 2_500;
/** Rows of one COPY into a table for bare statements. */
const FLOOR_ROWS = 10_000;
const FLOOR_PAGE_ROWS = 1_000;
/** Appends before the clock starts, with and without a condition. */
const WARM_APPENDS = 10;
const WARM_EVENT: NewEvent = { type: 'Warm', tags: ['warm'], data: null };
/** Attempts behind the clock by which the heap is measured, and events that they append or read at most. */
const HEAP_ATTEMPTS = 500;
const HEAP_EVENTS = 5_000;
/** How often an iteration stops for a look at the heap. */
const HEAP_LOOK_EVENTS = 2_000;
/**
 * A set to which more than half its size was added is made anew: what comes later must not meet another table. A small
 * one may have so much more, because to make it takes longer than to measure.
 */
const MAX_GROWTH = 0.5;
const MIN_GROWTH_EVENTS = 2_000;

interface Room {
  namespace: DcbNamespace;
  store: BenchStore;
  events: EventStore;
  set: DataSet;
  /** Events of the set that are there. */
  imported: number;
  /** Events that repetitions have added. */
  added: number;
}

/** What a run works on. */
interface Stage {
  /** Closed with the stage; undefined where the room is kept. */
  own: DcbNamespace | undefined;
  step: Attempt;
  /** Events so far, and what conditions came to. */
  tally(): Pick<DcbRun, 'units' | 'wins' | 'conflicts'>;
  /** Attempts that may be made behind the clock; 0 where the heap is not measured. */
  heapAttempts: number;
  /** Goes through a set once more, looking at the heap on its way; undefined where nothing is gone through. */
  peakHeap?(heap: HeapMeter): Promise<number>;
  audit(): Promise<Audit>;
}

export class DcbEngineBench implements DcbBench {
  readonly #engine: DcbEngineRoom;
  readonly #now: () => number;
  readonly #heap: HeapMeter | undefined;
  readonly #tellsLatency: boolean;
  readonly #rooms = new Map<string, Room>();
  readonly #floors = new Map<string, { namespace: DcbNamespace; floor: FloorTable }>();
  #set: DataSet | undefined;
  #stage: Stage | undefined;

  /**
   * @param now milliseconds with fractions, at the time of the call and not of the last I/O
   */
  constructor(engine: DcbEngineRoom, now: () => number, { heap, tellsLatency = true }: DcbGauges = {}) {
    this.#engine = engine;
    this.#now = now;
    this.#heap = heap;
    this.#tellsLatency = tellsLatency;
  }

  async prepare(order: DcbOrder): Promise<number> {
    await this.#leaveStage();
    if (order.way !== 'store') {
      this.#stage = isWrite(order.operation) ? await this.#floorWrites(order) : await this.#floorReads(order);
      return 0;
    }
    const room = await this.#room(order);
    const missing = await importSome(room);
    if (missing > 0) return missing;
    this.#stage = isWrite(order.operation)
      ? await this.#writeStage(room, order)
      : await this.#readStage(room, order);
    return 0;
  }

  async run({ operations, clients }: DcbOrder): Promise<DcbRun> {
    const stage = this.#prepared();
    const { elapsedMs, sortedMs } = await timeAttempts(operations, clients, stage.step, this.#now);
    // Before the heap is measured, which makes attempts of its own.
    const tally = stage.tally();
    return {
      elapsedMs,
      ...tally,
      p50Us: percentileUs(sortedMs, 0.5),
      p99Us: percentileUs(sortedMs, 0.99),
      ...(this.#tellsLatency ? { latency: exactLatencyRecord(sortedMs) } : {}),
      ...(this.#engine.hasNames?.() === false ? { isUnnamed: true } : {}),
      heapBytesPerOperation: await this.#heapPerAttempt(stage, operations),
      peakHeapBytes:
        this.#heap === undefined || stage.peakHeap === undefined ? null : await stage.peakHeap(this.#heap),
    };
  }

  async audit(_order: DcbOrder): Promise<Audit> {
    const stage = this.#prepared();
    try {
      return await stage.audit();
    } finally {
      await this.#leaveStage();
    }
  }

  async close(): Promise<void> {
    await this.#leaveStage();
    const namespaces = [...this.#rooms.values(), ...this.#floors.values()].map(({ namespace }) => namespace);
    this.#rooms.clear();
    this.#floors.clear();
    for (const namespace of namespaces) await namespace.drop();
  }

  /** After the clock: the sampling of allocations takes time of its own. */
  async #heapPerAttempt({ step, heapAttempts }: Stage, operations: number): Promise<number | null> {
    if (this.#heap === undefined || heapAttempts === 0) return null;
    const bytes = await this.#heap.allocatedBy(async () => {
      for (let extra = 0; extra < heapAttempts; extra += 1) await step(operations + extra, 0);
    });
    return bytes / heapAttempts;
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
    const own = this.#stage?.own;
    this.#stage = undefined;
    await own?.drop();
  }

  /** Attempts behind the clock: enough to know what one allocates, and few where each is large. */
  #heapAttempts({ operations, clients }: DcbOrder, eventsEach: number): number {
    if (this.#heap === undefined || clients > 1) return 0;
    return Math.min(operations, HEAP_ATTEMPTS, Math.ceil(HEAP_EVENTS / Math.max(1, eventsEach)));
  }

  #dataSet(name: SetName, seed: number): DataSet {
    if (this.#set?.name !== name || this.#set.seed !== seed) this.#set = new DataSet(name, seed);
    return this.#set;
  }

  async #room({ set: name, seed, operation }: DcbOrder): Promise<Room> {
    // What is read is never written to, so that every repetition reads the same.
    const key = `${isWrite(operation) ? 'write' : 'read'} ${name} ${seed}`;
    const known = this.#rooms.get(key);
    if (known !== undefined && !hasOutgrown(known)) return known;
    if (known !== undefined) {
      this.#rooms.delete(key);
      await known.namespace.drop();
    }
    const namespace = await this.#engine.create();
    const room: Room = {
      namespace,
      store: await namespace.openStore(),
      events: await namespace.openEvents(),
      set: this.#dataSet(name, seed),
      imported: 0,
      added: 0,
    };
    this.#rooms.set(key, room);
    return room;
  }

  async #writeStage(room: Room, order: DcbOrder): Promise<Stage> {
    const { operation, operations, clients } = order;
    const { store, events, set } = room;
    const perAttempt = eventsPerAttempt(operation);
    const isIf = isConditional(operation);
    const scopes = isIf
      ? scopeTags(set, operation === 'if-own' || operation === 'conflict' ? clients : 1)
      : [];
    if (isIf) await events.append(scopeEvents(scopes));
    await warm(store);
    const before: Before = { head: await events.head(), firstOfScope: await firstOfScopes(events, scopes) };
    const heapAttempts = this.#heapAttempts(order, perAttempt);
    const attempts = operations + heapAttempts;
    const scopeOf = (client: number): string => scopes[client % Math.max(1, scopes.length)] ?? '';
    // Made before the clock starts, as a program has them; which client makes an attempt is known only then.
    const prepared = isIf
      ? []
      : Array.from({ length: attempts }, (_, attempt) => attemptEvents(operation, attempt, ''));
    const ledger = new Ledger(attempts);
    // How far each client has seen its scope. For `conflict` and `if-shared` that is nothing at all.
    const seesNothing = operation === 'conflict' || operation === 'if-shared';
    const seen = new Array<bigint>(clients).fill(seesNothing ? 0n : before.head);
    room.added += (attempts + scopes.length + WARM_APPENDS * 2) * Math.max(1, perAttempt);
    return {
      own: undefined,
      async step(attempt, client) {
        const scope = scopeOf(client);
        const after = operation === 'race' ? await store.last(scopeQuery(scope)) : (seen[client] as bigint);
        const written = prepared[attempt] ?? attemptEvents(operation, attempt, scope);
        const answer = await store.append(written, attemptCondition(operation, scope, after));
        // The client's own event, or the one that was in its way.
        if (!seesNothing) seen[client] = answer.position;
        ledger.note(attempt, { client, scope, after, answer });
      },
      tally: () => ({
        units: (operation === 'conflict' ? ledger.conflicts : ledger.wins) * perAttempt,
        wins: isIf ? ledger.wins : null,
        conflicts: isIf ? ledger.conflicts : null,
      }),
      heapAttempts,
      async audit() {
        const audit = await auditWrites(
          operation,
          events.iterate('all', { after: before.head }),
          ledger,
          before,
        );
        return audit;
      },
    };
  }

  async #readStage(room: Room, order: DcbOrder): Promise<Stage> {
    switch (order.operation) {
      case 'read-simple':
      case 'read-complex':
        return this.#queryStage(room, order);
      case 'read-stream':
        return this.#streamStage(room, order);
      default:
        return this.#projectStage(room, order);
    }
  }

  async #queryStage({ events, set }: Room, order: DcbOrder): Promise<Stage> {
    const queries = order.operation === 'read-simple' ? simpleQueries(set) : complexQueries(set);
    const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
    const add = ({ sent, right, wrong }: ReadVerdict): void => {
      sum.sent += sent;
      sum.right += right;
      sum.wrong += wrong;
    };
    // Each of them once before the clock starts, every field of it compared. A connection is then open, and plans made.
    for (const { items, expected } of queries) add(compareRead(set, await events.read(items), expected));
    let units = 0;
    return {
      own: undefined,
      async step(attempt) {
        const { items, expected } = pick(queries, attempt);
        const found = await events.read(items);
        units += found.length;
        if (hasItsEnds(set, found, expected)) add({ sent: found.length, right: found.length, wrong: 0 });
        else add(compareRead(set, found, expected));
      },
      tally: () => ({ units, wins: null, conflicts: null }),
      heapAttempts: this.#heapAttempts(order, pick(queries, 0).expected.length),
      audit: async () => auditReads(sum),
    };
  }

  async #streamStage({ events, set }: Room, order: DcbOrder): Promise<Stage> {
    const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
    let units = 0;
    let isCompared = false;
    /** Goes through everything and compares every field, in no time that counts. */
    const compareAll = async (look: () => void): Promise<void> => {
      isCompared = true;
      let index = 0;
      let last = 0n;
      let right = 0;
      for await (const event of events.iterate('all')) {
        if (index % HEAP_LOOK_EVENTS === 0) look();
        if (event.position > last && index < set.events && isEvent(set, event, index)) right += 1;
        last = event.position;
        index += 1;
      }
      look();
      sum.sent += set.events;
      sum.right += right;
      sum.wrong += index - right;
    };
    return {
      own: undefined,
      async step() {
        let count = 0;
        let rising = 0;
        let last = 0n;
        for await (const event of events.iterate('all')) {
          count += 1;
          if (event.position > last) rising += 1;
          last = event.position;
        }
        units += count;
        const right = Math.min(rising, set.events);
        sum.sent += set.events;
        sum.right += right;
        sum.wrong += count - right;
      },
      tally: () => ({ units, wins: null, conflicts: null }),
      heapAttempts: this.#heapAttempts(order, set.events),
      async peakHeap(heap) {
        const baseline = heap.usedBytes();
        let peak = baseline;
        await compareAll(() => {
          peak = Math.max(peak, heap.usedBytes());
        });
        return peak - baseline;
      },
      async audit() {
        if (!isCompared) await compareAll(() => {});
        return auditReads(sum);
      },
    };
  }

  async #projectStage({ events, set }: Room, order: DcbOrder): Promise<Stage> {
    const { operation } = order;
    const decisions = setDecisions(set);
    const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
    let units = 0;
    const step = async (attempt: number): Promise<void> => {
      const decision = pick(decisions, attempt);
      const expected = expectedStates(operation, decision);
      const { right, wrong } = compareStates(await projectOnce(operation, events, decision), expected);
      units += projectedEvents(operation, decision);
      sum.sent += Object.keys(expected).length;
      sum.right += right;
      sum.wrong += wrong;
    };
    for (let warming = 0; warming < WARM_APPENDS; warming += 1) await step(warming);
    units = 0;
    return {
      own: undefined,
      step,
      tally: () => ({ units, wins: null, conflicts: null }),
      heapAttempts: this.#heapAttempts(order, projectedEvents(operation, pick(decisions, 0))),
      audit: async () => auditReads(sum),
    };
  }

  async #floorWrites({ operation, operations, way }: DcbOrder): Promise<Stage> {
    const namespace = await this.#engine.create();
    const floor = await namespace.openFloor(way === 'indexed');
    const perAttempt = eventsPerAttempt(operation);
    const rows = Array.from({ length: operations }, (_, attempt) => attemptRows(operation, attempt));
    return {
      own: namespace,
      step: (attempt) => floor.insert(rows[attempt] ?? []),
      tally: () => ({ units: operations * perAttempt, wins: null, conflicts: null }),
      heapAttempts: 0,
      audit: async () => auditFloor(await floor.count(), operations * perAttempt),
    };
  }

  async #floorReads(order: DcbOrder): Promise<Stage> {
    const { operation } = order;
    const set = this.#dataSet(order.set, order.seed);
    const floor = await this.#filledFloor(set);
    const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
    const take = (rows: number, expected: number): void => {
      sum.sent += expected;
      sum.right += Math.min(rows, expected);
      sum.wrong += Math.max(0, rows - expected);
    };
    const tally = (): ReturnType<Stage['tally']> => ({ units: sum.right, wins: null, conflicts: null });
    const audit = async (): Promise<Audit> => auditReads(sum);
    if (operation === 'read-stream') {
      return {
        own: undefined,
        async step() {
          let count = 0;
          let after = 0;
          for (;;) {
            const rows = await floor.selectPage(after, FLOOR_PAGE_ROWS);
            count += rows.length;
            if (rows.length < FLOOR_PAGE_ROWS) break;
            after = Number(rows.at(-1)?.[0]);
          }
          take(count, set.events);
        },
        tally,
        heapAttempts: 0,
        audit,
      };
    }
    const queries = simpleQueries(set);
    const tagOf = ({ items }: (typeof queries)[number]): string => items[0]?.tags[0] as string;
    // The server makes its plan before the clock starts.
    for (const query of queries.slice(0, WARM_APPENDS)) await floor.selectTag(tagOf(query));
    return {
      own: undefined,
      step(attempt) {
        const query = pick(queries, attempt);
        const rows = floor.selectTag(tagOf(query));
        if (rows instanceof Promise) return rows.then((found) => take(found.length, query.expected.length));
        take(rows.length, query.expected.length);
        return undefined;
      },
      tally,
      heapAttempts: 0,
      audit,
    };
  }

  /** A table with its index and the events of a set, kept for all repetitions. */
  async #filledFloor(set: DataSet): Promise<FloorTable> {
    const key = `${set.name} ${set.seed}`;
    const known = this.#floors.get(key);
    if (known !== undefined) return known.floor;
    const namespace = await this.#engine.create();
    const floor = await namespace.openFloor(true);
    this.#floors.set(key, { namespace, floor });
    for (let from = 0; from < set.events; from += FLOOR_ROWS)
      await floor.insert(setRows(set, from, FLOOR_ROWS));
    await floor.settle();
    return floor;
  }
}

/** An empty set is made anew for each repetition. */
function hasOutgrown({ added, set: { events } }: Room): boolean {
  return events === 0 || added > Math.max(events * MAX_GROWTH, MIN_GROWTH_EVENTS);
}

/** What matches the condition on a scope, but for `if-shared`. */
function scopeQuery(scope: string): QueryItem[] {
  return [{ types: SCOPE_TYPES, tags: [scope] }];
}

/**
 * Appends more of the set, each event by an append of its own, as in life: an engine that keeps something for each append
 * must not find it easier here.
 *
 * @returns how many events are still missing
 */
async function importSome(room: Room): Promise<number> {
  const { namespace, events, set } = room;
  const isThere = room.imported === set.events;
  for (let step = 0; step < IMPORT_STEP_EVENTS && room.imported < set.events; step += IMPORT_APPENDS) {
    const count = Math.min(IMPORT_APPENDS, set.events - room.imported);
    const from = room.imported;
    await Promise.all(Array.from({ length: count }, (_, index) => events.append(set.event(from + index))));
    room.imported += count;
  }
  if (!isThere && room.imported === set.events) await namespace.settle();
  return set.events - room.imported;
}

/** What a connection does first takes longer: it is opened, and the server makes its plans. */
async function warm(store: BenchStore): Promise<void> {
  for (let count = 0; count < WARM_APPENDS; count += 1) {
    await store.append([WARM_EVENT], undefined);
    await store.append([WARM_EVENT], { failIfEventsMatch: [{ types: ['Cold'], tags: ['warm'] }], after: 0n });
  }
}

async function firstOfScopes(
  events: EventStore,
  scopes: readonly string[],
): Promise<ReadonlyMap<string, bigint>> {
  const first = new Map<string, bigint>();
  for (const scope of scopes) {
    const [event] = await events.read(scopeQuery(scope), { limit: 1 });
    if (event !== undefined) first.set(scope, event.position);
  }
  return first;
}

function auditFloor({ rows, places }: { rows: number; places: number }, sent: number): Audit {
  return {
    sent,
    refused: 0,
    found: rows,
    lost: Math.max(0, sent - places),
    duplicated: rows - places,
    outOfOrder: 0,
  };
}

/** The queries again and again, whatever the number of the attempt. */
function pick<Item>(items: readonly Item[], attempt: number): Item {
  return items[attempt % items.length] as Item;
}
