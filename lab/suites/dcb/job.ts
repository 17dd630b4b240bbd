/** What one repetition of the suite `dcb` does, as data. */

import { isBare, type Job } from '../../jobs/job.ts';
import type { SetName } from './data-set.ts';

/**
 * `memory`, `file`: node:sqlite in memory and in a file (WAL, synchronous NORMAL). `postgres`: one store on Postgres.
 * `object`: one store on Postgres that a Durable Object holds, as that of a namespace does; what is measured goes
 * through the object. `object-sqlite`: the SQLite of a Durable Object.
 */
export const DCB_ENGINES = ['memory', 'file', 'postgres', 'object', 'object-sqlite'] as const;
export type DcbEngine = (typeof DCB_ENGINES)[number];

/**
 * `if-own`: each client appends under a condition on its own scope, which holds. `if-shared`: all have their
 * condition on the same scope, and it holds for all. `conflict`: each on its own scope, and none holds. `race`: all
 * on the same scope, which every event that is appended touches; a client reads where the scope stands, then tries.
 * `race-blind`: the same without reading; a client goes on after the event that a conflict names.
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

/** How the clients of an object reach it: by RPC, or by the HTTP interface of a namespace, as the Worker does. */
export const DCB_THROUGH = ['rpc', 'http'] as const;
export type DcbThrough = (typeof DCB_THROUGH)[number];

export interface DcbJob extends Job<DcbEngine, DcbOperation> {
  /** The events that are there before. */
  set: SetName;
  seed: number;
  /** Only for `object`. */
  through: DcbThrough;
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

/**
 * Tells the fixtures of an engine apart: letters and digits. What is read is never written to, so that every repetition reads
 * the same.
 */
export function dcbFixtureKey(job: DcbJob): string {
  const kind = isWrite(job.operation) ? 'w' : 'r';
  if (!isBare(job)) return `${kind}${job.set}`;
  // Rows are written to an empty table, whatever the set.
  return kind === 'w' ? 'fw' : `fr${job.set}`;
}

/** What the names of objects begin with, after the run, where the events are in Postgres. */
export const OBJECT_TARGETS = 'pg';

/** Names the object that does a job, after the run. The storage of an object holds one fixture. */
export function dcbTargetOf(job: DcbJob): string {
  return `${job.engine === 'object' ? OBJECT_TARGETS : 'lite'}${dcbFixtureKey(job)}`;
}
