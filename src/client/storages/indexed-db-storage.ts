/**
 * A client's storage in an IndexedDB: on disk before a message is sent, in pages and in workers. Transactions are `strict`
 * where the browser knows that: they are reported once the disk has them.
 */

import type { ClientStorage } from '../storage.ts';
import { type RecordKey, recordStorage, type StorageRecord } from './record-storage.ts';
import { type WebLocks, webLock } from './web-lock.ts';

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
  transaction(names: readonly string[], mode: string, options?: { durability: string }): Transaction;
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
  getAll(): Request<{ instance: string }[]>;
  put(value: unknown): Request<unknown>;
  delete(key: unknown): Request<unknown>;
}
interface Factory {
  open(name: string, version: number): OpenRequest;
}

/** One object store for each kind of record. */
const STORES: readonly RecordKey['kind'][] = ['instances', 'batches', 'inDoubt'];

/** @param name of the database; one for each producer */
export function indexedDbStorage(name: string, options: IndexedDbStorageOptions = {}): ClientStorage {
  const platform = globalThis as { indexedDB?: unknown };
  const factory = (options.indexedDB ?? platform.indexedDB) as Factory;
  const lock = webLock(options, `sluice ${name}`, 'a database');
  let database: Database | undefined;

  return recordStorage({
    async load() {
      await lock.acquire();
      database ??= await open(factory, name);
      const transaction = database.transaction(STORES, 'readonly');
      const found = await Promise.all(
        STORES.map(async (kind) => {
          const rows = await answerOf(transaction.objectStore(kind).getAll());
          return rows.map(({ instance, ...value }) => ({ kind, instance, first: 0, value }) as StorageRecord);
        }),
      );
      return found.flat();
    },
    /** One transaction: all of it is on disk when this resolves, or nothing. */
    async write(put, removed) {
      // Opened once more where the browser has closed it, as it does when it is short of room.
      database ??= await open(factory, name);
      const opened = database;
      await new Promise<void>((resolve, reject) => {
        try {
          const transaction = opened.transaction(STORES, 'readwrite', { durability: 'strict' });
          transaction.oncomplete = () => resolve();
          transaction.onabort = () => reject(transaction.error ?? new Error('The transaction was aborted'));
          if (put) transaction.objectStore(put.kind).put({ instance: put.instance, ...put.value });
          for (const { kind, instance, first } of removed)
            transaction.objectStore(kind).delete(kind === 'instances' ? instance : [instance, first]);
        } catch (error) {
          database = undefined;
          reject(error);
        }
      });
    },
    close() {
      database?.close();
      database = undefined;
      lock.release();
    },
  });
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
    for (const kind of STORES)
      request.result.createObjectStore(kind, {
        keyPath: kind === 'instances' ? 'instance' : ['instance', 'first'],
      });
  };
  return answerOf(request);
}
