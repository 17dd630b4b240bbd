/** What one repetition of the suite `store` does, as data. */

import { isBare, type Job } from '../../jobs/job.ts';

/**
 * `memory`, `file`, `full`: node:sqlite in memory, in a file (WAL, synchronous NORMAL), and in a file with synchronous
 * FULL. `object`: the SQLite of a Durable Object.
 */
export const STORE_ENGINES = ['memory', 'file', 'full', 'postgres', 'object'] as const;
export type StoreEngine = (typeof STORE_ENGINES)[number];

export const STORE_OPERATIONS = [
  'write-1',
  'write-10',
  'write-100',
  'write-1000',
  'read-10',
  'category-100',
  'category-big',
] as const;
export type StoreOperation = (typeof STORE_OPERATIONS)[number];

export interface StoreJob extends Job<StoreEngine, StoreOperation> {
  /** Messages of other categories beside the category that `category-big` reads. */
  others: number;
}

/** The data that a job works on: namespaces that are prepared once, or one that is new for each repetition of writes. */
export type StoreFixtureName = 'writes' | 'stream' | 'small' | 'big';

export function fixtureOf({ operation }: Pick<StoreJob, 'operation'>): StoreFixtureName {
  switch (operation) {
    case 'read-10':
      return 'stream';
    case 'category-100':
      return 'small';
    case 'category-big':
      return 'big';
    default:
      return 'writes';
  }
}

/** Tells the fixtures of an engine apart: letters and digits. A table for bare statements is one too. */
export function storeFixtureKey(job: StoreJob): string {
  return isBare(job) ? `floor${fixtureOf(job)}` : fixtureOf(job);
}

/** Messages of one operation: what it writes, or what it must return. */
export function messagesPerOperation(operation: StoreOperation): number {
  return {
    'write-1': 1,
    'write-10': 10,
    'write-100': 100,
    'write-1000': 1_000,
    'read-10': 10,
    'category-100': 100,
    'category-big': 100,
  }[operation];
}

export function isWrite(operation: StoreOperation): boolean {
  return operation.startsWith('write');
}
