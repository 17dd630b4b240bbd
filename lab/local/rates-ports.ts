/** The suite `rates` from the command line: sockets and the bad example's pool from this process. */

import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalWorker } from '../../local/worker.ts';
import { pgPool } from '../../src/database/client.ts';
import type { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { type QueryPool, RELAY_POOL } from '../suites/rates/fire-and-forget.ts';
import type { RatesPorts } from '../suites/rates/rates-host.ts';
import { localIngestPorts } from './ingest-ports.ts';

/** How long a pool's connections may take to end: one that hangs is left to the end of the process. */
const CLOSE_TIME_LIMIT_MS = 10_000;
const PAGE_BYTES = 4_096;

export function localRatesPorts(
  worker: Pick<LocalWorker, 'url' | 'processId'>,
  slot: ConnectionSlot,
  target: DatabaseTarget,
): RatesPorts {
  // Finding a process means to look through all of them: once is enough, a bench restarts no Worker.
  let processId: Promise<number | undefined> | undefined;
  return {
    ...localIngestPorts(worker.url, slot),
    wait: (ms) => sleep(ms),
    openPool: (size) => openPool(target, size),
    heapBytes: () => process.memoryUsage().heapUsed,
    async workerBytes() {
      processId ??= worker.processId();
      return residentBytes(await processId);
    },
    watchLoop() {
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      return () => {
        delay.disable();
        return delay.percentile(99) / 1e6;
      };
    },
  };
}

/** The pool that BedrockRelay has, by its own library and with its settings. Always over TCP, whatever the bench's driver. */
export function openPool({ url }: DatabaseTarget, size: number): QueryPool {
  const pool = pgPool(url, { max: size, ...RELAY_POOL });
  // An idle connection that is lost would end the process otherwise. Whose query was on it learns of it by itself.
  pool.on('error', () => {});
  return {
    query: (text, values) => pool.query(text, values as unknown[]),
    get usage() {
      return {
        active: pool.totalCount - pool.idleCount,
        idle: pool.idleCount,
        waiting: pool.waitingCount,
      };
    },
    async close() {
      const ended = pool.end().catch(() => {});
      await Promise.race([ended, sleep(CLOSE_TIME_LIMIT_MS, undefined, { ref: false })]);
    },
  };
}

/** What a process has in memory, where the system tells in Linux's way. */
async function residentBytes(processId: number | undefined): Promise<number | null> {
  if (processId === undefined) return null;
  const text = await readFile(`/proc/${processId}/statm`, 'utf8').catch(() => '');
  const pages = Number(text.split(' ')[1]);
  return Number.isFinite(pages) && pages > 0 ? pages * PAGE_BYTES : null;
}
