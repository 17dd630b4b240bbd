/**
 * A client's storage in an IndexedDB: on disk before a message is sent, in pages and in workers. Transactions are `strict`
 * where the browser knows that: they are reported once the disk has them.
 */

import type { ClientStorage, SequenceRun, StoredBatch, StoredInstance } from '../storage.ts';
import { platformLocks, takeWebLock, type WebLocks } from './web-lock.ts';

export interface IndexedDbStorageOptions {
  /** Default: the platform's. */
  indexedDB?: unknown;
  /** Keeps two pages from using one storage. Default: `navigator.locks`, where there is one (pages over TLS). */
  locks?: WebLocks | undefined;
}

// What is used of IndexedDB: this file is checked without the types of browsers.
interface Request<T> {
  result: T;
  error: unknown;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface OpenRequest extends Request<Database> {
  onupgradeneeded: (() => void) | null;
  onblocked: (() => void) | null;
}
interface Database {
  createObjectStore(name: string, options: { keyPath: string | string[] }): unknown;
  transaction(names: string[], mode: string, options?: { durability: string }): Transaction;
  close(): void;
  onversionchange: (() => void) | null;
}
interface Transaction {
  objectStore(name: string): ObjectStore;
  abort(): void;
  error: unknown;
  oncomplete: (() => void) | null;
  onabort: (() => void) | null;
}
interface ObjectStore {
  get(key: unknown): Request<unknown>;
  getAll(): Request<unknown[]>;
  put(value: unknown): Request<unknown>;
  delete(key: unknown): Request<unknown>;
}
interface Factory {
  open(name: string, version: number): OpenRequest;
}

interface Head {
  instance: string;
  order: number;
  session?: string;
  acked: number;
  discarded: SequenceRun[];
}

type Row = StoredBatch & { instance: string };

const HEADS = 'instances';
const BATCHES = 'batches';
const IN_DOUBT = 'inDoubt';
const STORES = [HEADS, BATCHES, IN_DOUBT];

/** @param name of the database; one for each producer */
export function indexedDbStorage(name: string, options: IndexedDbStorageOptions = {}): ClientStorage {
  const platform = globalThis as { indexedDB?: unknown };
  const factory = (options.indexedDB ?? platform.indexedDB) as Factory;
  const locks = 'locks' in options ? options.locks : platformLocks();
  const heads = new Map<string, Head>();
  // The first sequences and the counts of what there is, so that a trim need not read texts.
  const batches = new Map<string, Map<number, number>>();
  const inDoubt = new Map<string, Map<number, number>>();
  let database: Database | undefined;
  let release: (() => void) | undefined;

  const indexOf = (index: Map<string, Map<number, number>>, instance: string): Map<number, number> => {
    const known = index.get(instance) ?? new Map<number, number>();
    index.set(instance, known);
    return known;
  };
  /** One transaction: all of it is on disk when this resolves, or nothing. */
  const write = async (act: (store: (name: string) => ObjectStore) => void): Promise<void> => {
    // Opened once more where the browser has closed it, as it does when it is short of room.
    database ??= await open(factory, name);
    const opened = database;
    await new Promise<void>((resolve, reject) => {
      try {
        const transaction = opened.transaction(STORES, 'readwrite', { durability: 'strict' });
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error('The transaction was aborted'));
        act((store) => transaction.objectStore(store));
      } catch (error) {
        database = undefined;
        reject(error);
      }
    });
  };
  const saveHead = async (
    instance: string,
    change: Partial<Head>,
    also: (store: (name: string) => ObjectStore) => void = () => undefined,
  ): Promise<void> => {
    const head = heads.get(instance);
    if (head === undefined) return;
    const next = { ...head, ...change };
    await write((store) => {
      store(HEADS).put(next);
      also(store);
    });
    heads.set(instance, next);
  };
  const firstsOf = (
    index: Map<string, Map<number, number>>,
    instance: string,
    isGone: (first: number, last: number) => boolean,
  ): number[] =>
    [...indexOf(index, instance)]
      .filter(([first, count]) => isGone(first, first + count - 1))
      .map(([first]) => first);
  const removeAll = (store: ObjectStore, instance: string, firsts: readonly number[]): void => {
    for (const first of firsts) store.delete([instance, first]);
  };
  const forgetAll = (
    index: Map<string, Map<number, number>>,
    instance: string,
    firsts: readonly number[],
  ): void => {
    for (const first of firsts) indexOf(index, instance).delete(first);
  };

  const read = async (opened: Database): Promise<StoredInstance[]> => {
    const transaction = opened.transaction(STORES, 'readonly');
    const [foundHeads, foundBatches, foundInDoubt] = (await Promise.all(
      STORES.map((store) => answerOf(transaction.objectStore(store).getAll())),
    )) as [Head[], Row[], Row[]];
    heads.clear();
    batches.clear();
    inDoubt.clear();
    const rowsOf = (
      rows: readonly Row[],
      of: string,
      index: Map<string, Map<number, number>>,
    ): StoredBatch[] => {
      const own = rows.filter(({ instance }) => instance === of).map(({ instance: _, ...batch }) => batch);
      for (const { first, count } of own) indexOf(index, of).set(first, count);
      return own.sort((one, other) => one.first - other.first);
    };
    return foundHeads
      .sort((one, other) => one.order - other.order)
      .map((head) => {
        const { instance, session, acked, discarded } = head;
        heads.set(instance, head);
        return {
          instance,
          ...(session === undefined ? {} : { session }),
          acked,
          discarded,
          batches: rowsOf(foundBatches, instance, batches),
          inDoubt: rowsOf(foundInDoubt, instance, inDoubt),
        };
      });
  };

  return {
    async load() {
      release ??= await takeWebLock(locks, `sluice ${name}`, 'a database');
      database ??= await open(factory, name);
      return read(database);
    },
    async begin(instance) {
      if (heads.has(instance)) return;
      const order = Math.max(0, ...[...heads.values()].map((head) => head.order)) + 1;
      const head: Head = { instance, order, acked: 0, discarded: [] };
      await write((store) => store(HEADS).put(head));
      heads.set(instance, head);
    },
    async append(instance, { first, count, text }) {
      await write((store) => store(BATCHES).put({ instance, first, count, text } satisfies Row));
      indexOf(batches, instance).set(first, count);
    },
    saveSession: (instance, session) => saveHead(instance, { session }),
    async trim(instance, upTo) {
      const { acked = 0, discarded = [] } = heads.get(instance) ?? {};
      const gone = firstsOf(batches, instance, (_, last) => last <= upTo);
      const change = {
        acked: Math.max(acked, upTo),
        discarded: discarded.filter(({ last }) => last > upTo),
      };
      await saveHead(instance, change, (store) => removeAll(store(BATCHES), instance, gone));
      forgetAll(batches, instance, gone);
    },
    async discard(instance, { first, last }) {
      const { acked = 0, discarded = [] } = heads.get(instance) ?? {};
      const isGone = (from: number, to: number) => from >= first && to <= last;
      const goneBatches = firstsOf(batches, instance, isGone);
      const goneInDoubt = firstsOf(inDoubt, instance, isGone);
      const change = last > acked ? { discarded: withRun(discarded, { first, last }) } : {};
      await saveHead(instance, change, (store) => {
        removeAll(store(BATCHES), instance, goneBatches);
        removeAll(store(IN_DOUBT), instance, goneInDoubt);
      });
      forgetAll(batches, instance, goneBatches);
      forgetAll(inDoubt, instance, goneInDoubt);
    },
    async setAside(instance, { first, count, text }) {
      await write((store) => store(IN_DOUBT).put({ instance, first, count, text } satisfies Row));
      indexOf(inDoubt, instance).set(first, count);
    },
    async forget(instance) {
      const all = () => true;
      await write((store) => {
        removeAll(store(BATCHES), instance, firstsOf(batches, instance, all));
        removeAll(store(IN_DOUBT), instance, firstsOf(inDoubt, instance, all));
        store(HEADS).delete(instance);
      });
      heads.delete(instance);
      batches.delete(instance);
      inDoubt.delete(instance);
    },
    close() {
      database?.close();
      database = undefined;
      release?.();
      release = undefined;
    },
  };
}

/** Adds a run; one that follows the last makes it longer, so that a long outage makes no long list. */
function withRun(runs: readonly SequenceRun[], { first, last }: SequenceRun): SequenceRun[] {
  const before = runs.at(-1);
  if (before === undefined || first < before.first || first > before.last + 1)
    return [...runs, { first, last }];
  return [...runs.slice(0, -1), { first: before.first, last: Math.max(before.last, last) }];
}

function answerOf<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function open(factory: Factory, name: string): Promise<Database> {
  const request = factory.open(name, 1);
  request.onupgradeneeded = () => {
    const { result } = request;
    result.createObjectStore(HEADS, { keyPath: 'instance' });
    result.createObjectStore(BATCHES, { keyPath: ['instance', 'first'] });
    result.createObjectStore(IN_DOUBT, { keyPath: ['instance', 'first'] });
  };
  return answerOf(request);
}
