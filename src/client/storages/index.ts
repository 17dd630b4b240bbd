/** `sluice/client/storages`: where a client in a browser keeps its messages. Node's is in `sluice/node`. */

export type { ClientStorage, SequenceRun, StoredBatch, StoredInstance } from '../storage.ts';
export { type IndexedDbStorageOptions, indexedDbStorage } from './indexed-db-storage.ts';
export { memoryStorage } from './memory-storage.ts';
export type { WebLocks } from './web-lock.ts';
export { type StorageArea, type WebStorageOptions, webStorage } from './web-storage.ts';
