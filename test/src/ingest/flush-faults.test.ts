/** How often a database is tried that cannot be reached. */

import { expect, test } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import { FlushFaults } from '../../../src/ingest/flush-faults.ts';
import { emptyFlusherStats } from '../../../src/ingest/flusher-stats.ts';
import type { LaneFault } from '../../../src/outbox/lane-faults.ts';
import { FakeTimers } from '../../support/fake-timers.ts';

const UNREACHABLE = new SluiceError('database_unreachable', 'The database cannot be reached');

/** The waits between the tries of so many milliseconds, of a shard whose jitter is always the longest. */
function waits(forMs: number, fault?: 'retry' | 'pause', restartAtMs = Number.POSITIVE_INFINITY): number[] {
  const timers = new FakeTimers();
  const startMs = timers.now();
  let kept: LaneFault | undefined;
  const open = (): FlushFaults =>
    new FlushFaults(emptyFlusherStats(), {
      timers,
      random: () => 1,
      fault: kept,
      onFault: (one) => {
        kept = one;
      },
    });
  let faults = open();
  const found: number[] = [];
  while (timers.now() - startMs < forMs) {
    if (timers.now() - startMs >= restartAtMs) {
      restartAtMs = Number.POSITIVE_INFINITY;
      faults = open();
    }
    faults.failed(fault ?? 'retry', UNREACHABLE);
    found.push(faults.retryAtMs - timers.now());
    timers.advance(faults.retryAtMs - timers.now());
  }
  return found;
}

test('an unreachable database is tried every ten seconds for the first ten minutes, and less often then', () => {
  const short = waits(590_000);
  expect(Math.max(...short)).toBe(10_000);
  expect(short.filter((wait) => wait === 10_000).length).toBeGreaterThan(50);
  expect(Math.max(...waits(1_200_000))).toBe(30_000);
});

test('a shard that starts again in between knows since when it lasts', () => {
  expect(Math.max(...waits(590_000, 'retry', 300_000))).toBe(10_000);
  const restarted = waits(1_200_000, 'retry', 620_000);
  expect(restarted.at(-1)).toBe(30_000);
});

test('the control: what somebody has to put right is asked for less often', () => {
  expect(Math.max(...waits(590_000, 'pause'))).toBeGreaterThan(60_000);
});
