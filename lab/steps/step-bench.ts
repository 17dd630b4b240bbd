/** A bench that works in steps, so that only one of them is timed, and each is short enough to be a request of its own. */

import type { Audit } from '../result.ts';

export const BENCH_STEPS = ['prepare', 'run', 'audit', 'close'] as const;
export type BenchStep = (typeof BENCH_STEPS)[number];

/** Carries out orders on one engine. */
export interface StepBench<Order, Run> {
  /** Takes one step towards the data that the order needs, and returns how much of it is still missing. */
  prepare(order: Order): Promise<number>;
  run(order: Order): Promise<Run>;
  /** Judges what the last run left or returned. */
  audit(order: Order): Promise<Audit>;
  /** Deletes everything. */
  close(): Promise<void>;
}

/** Prepares an order to the end. */
export async function prepareAll<Order>(bench: StepBench<Order, unknown>, order: Order): Promise<void> {
  let missing = await bench.prepare(order);
  while (missing > 0) {
    const before = missing;
    missing = await bench.prepare(order);
    if (missing >= before)
      throw new RangeError('The preparation of the bench does not come nearer to its end');
  }
}
