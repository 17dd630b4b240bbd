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
  RefusalReason,
  RefusedMessage,
  UnsettledMessages,
} from './events.ts';
export type { ClientTimers, Credential, SluiceClientOptions, WebSocketLike, WhenFull } from './options.ts';
export { SluiceClient } from './sluice-client.ts';
export type {
  ClientStorage,
  SequenceRun,
  StorageOperationName,
  StoredBatch,
  StoredInstance,
} from './storage.ts';
