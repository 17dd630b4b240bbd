/** `sluice/client`: what a program needs to send to Sluice, from a browser, a Worker or Node. */

export type { AckLevel } from './ack-level.ts';
export { type ClientErrorCode, SluiceError } from './errors.ts';
export type {
  BatchReceipt,
  ClientEvent,
  ClientState,
  ClientStats,
  CloseReport,
  InDoubtMessages,
  RefusedMessage,
  UnsettledMessages,
} from './events.ts';
export type { ClientTimers, SluiceClientOptions, WebSocketLike, WhenFull } from './options.ts';
export { SluiceClient } from './sluice-client.ts';
export type {
  ClientStorage,
  SequenceRun,
  StorageOperationName,
  StoredBatch,
  StoredInstance,
} from './storage.ts';
export { type IndexedDbStorageOptions, indexedDbStorage } from './storages/indexed-db-storage.ts';
export { memoryStorage } from './storages/memory-storage.ts';
export type { WebLocks } from './storages/web-lock.ts';
export { type StorageArea, type WebStorageOptions, webStorage } from './storages/web-storage.ts';
