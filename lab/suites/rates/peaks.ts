/** The most memory and connections that were seen while a load ran. */

import type { PoolUsage, QueryPool } from './fire-and-forget.ts';

const SAMPLE_EVERY_MS = 100;

export interface Peaks {
  heapBytes: number | null;
  workerBytes: number | null;
  pool: PoolUsage | null;
}

/** What is looked at, and the pause between two looks. */
export interface PeakPorts {
  /** Resolves after that time. */
  wait(ms: number): Promise<unknown>;
  /** Bytes of heap that this process uses; null where it cannot be told. */
  heapBytes(): number | null;
  /** Bytes of memory that the Worker's process has; null where it cannot be told. */
  workerBytes(): Promise<number | null>;
}

/** Nothing was seen yet. */
export function newPeaks(): Peaks {
  return { heapBytes: null, workerBytes: null, pool: null };
}

/** Looks at memory, and at the pool where there is one, now and then until the work is over; gives what the work gives. */
export async function watchPeaks<Value>(
  work: Promise<Value>,
  peaks: Peaks,
  ports: PeakPorts,
  pool?: QueryPool,
): Promise<Value> {
  let isOver = false;
  const finished = work.finally(() => {
    isOver = true;
  });
  // Awaited below; meanwhile its failure is no uncaught one.
  finished.catch(() => {});
  while (!isOver) {
    peaks.heapBytes = higher(peaks.heapBytes, ports.heapBytes());
    if (pool === undefined) peaks.workerBytes = higher(peaks.workerBytes, await ports.workerBytes());
    else peaks.pool = peakUsage(peaks.pool, pool.usage);
    await Promise.race([ports.wait(SAMPLE_EVERY_MS), finished.catch(() => {})]);
  }
  return finished;
}

function higher(left: number | null, right: number | null): number | null {
  return left === null || right === null ? (left ?? right) : Math.max(left, right);
}

function peakUsage(left: PoolUsage | null, right: PoolUsage): PoolUsage {
  return {
    active: Math.max(left?.active ?? 0, right.active),
    idle: Math.max(left?.idle ?? 0, right.idle),
    waiting: Math.max(left?.waiting ?? 0, right.waiting),
  };
}
