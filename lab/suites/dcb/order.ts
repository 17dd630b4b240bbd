/**
 * What one repetition of the suite `dcb` does, as data. Everything that it appends and reads follows from the order, so
 * that the place that runs it and the audit that judges it need nothing from each other.
 */

import type { SetName } from './data-set.ts';

/**
 * `memory`, `file`: node:sqlite in memory and in a file (WAL, synchronous NORMAL). `postgres`: one store on Postgres.
 * `object`: one store on Postgres that a Durable Object holds, as that of a namespace does; what is measured goes
 * through the object. `object-sqlite`: the SQLite of a Durable Object.
 */
export const DCB_ENGINES = ['memory', 'file', 'postgres', 'object', 'object-sqlite'] as const;
export type DcbEngine = (typeof DCB_ENGINES)[number];

/**
 * `if-own`: each client appends under a condition on a scope of its own, which holds. `if-shared`: all have their
 * condition on the same scope, and it holds for all. `conflict`: each on a scope of its own, and none holds. `race`: all
 * on the same scope, which every event that is appended touches; a client reads where the scope stands, then tries.
 * `race-blind`: the same without reading; a client goes on behind the event that a conflict names.
 */
export const DCB_OPERATIONS = [
  'append-1',
  'append-10',
  'append-100',
  'append-1000',
  'if-own',
  'if-shared',
  'conflict',
  'race',
  'race-blind',
  'read-simple',
  'read-complex',
  'read-stream',
  'project-1',
  'project-5',
] as const;
export type DcbOperation = (typeof DCB_OPERATIONS)[number];

/** `store`: the event store. `floor`: bare statements on a table with a primary key. `indexed`: with an index of tags. */
export type DcbWay = 'store' | 'floor' | 'indexed';

/** How the clients of an object reach it: by RPC, or by the HTTP interface of a namespace, as the Worker does. */
export const DCB_WAYS_TO_OBJECT = ['rpc', 'http'] as const;
export type DcbThrough = (typeof DCB_WAYS_TO_OBJECT)[number];

export interface DcbOrder {
  engine: DcbEngine;
  /** The events that are there before. */
  set: SetName;
  seed: number;
  operation: DcbOperation;
  way: DcbWay;
  /** Only for `object`. */
  through: DcbThrough;
  /** At the same time, each waiting for its answer before its next attempt. */
  clients: number;
  /** Attempts of all clients together. */
  operations: number;
}

export function isAppend(operation: DcbOperation): boolean {
  return operation.startsWith('append-');
}

export function isConditional(operation: DcbOperation): boolean {
  return ['if-own', 'if-shared', 'conflict', 'race', 'race-blind'].includes(operation);
}

export function isWrite(operation: DcbOperation): boolean {
  return isAppend(operation) || isConditional(operation);
}

/** Events that one attempt appends, where it is not refused. 0 for reads. */
export function eventsPerAttempt(operation: DcbOperation): number {
  if (isAppend(operation)) return Number(operation.slice('append-'.length));
  return isConditional(operation) ? 1 : 0;
}
