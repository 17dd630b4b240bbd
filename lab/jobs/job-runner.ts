/**
 * Does the jobs of one engine: in this process for Node's SQLite and for Postgres, inside a Durable Object for the others.
 * Each repetition is prepared, run and judged by separate calls, so that only the middle one is timed.
 */

import { SluiceError } from '../../src/core/errors.ts';
import { exactLatencyRecord, percentileUs } from '../measure/latency-record.ts';
import type { Audit } from '../result.ts';
import type { Fixture, Plan } from './fixture.ts';
import type { HeapMeter } from './heap-meter.ts';
import type { Job, JobBench, JobRun } from './job.ts';
import type { Step } from './step.ts';
import { timeAttempts } from './timed-attempts.ts';

/** What a platform can tell besides the time of a whole run. */
export interface Gauges {
  /** Milliseconds with fractions, at the time of the call and not of the last I/O. */
  now(): number;
  /** Default: none, where the platform cannot tell. */
  heap?: HeapMeter | undefined;
  /** Whether the clock can tell how long a single attempt took. Default: true. */
  tellsLatency?: boolean;
  /** False once statements had to go without names. Default: true. */
  hasNames?: (() => boolean) | undefined;
}

export class JobRunner<J extends Job, F extends Fixture> implements JobBench<J> {
  readonly #plan: Plan<J, F>;
  readonly #gauges: Gauges;
  readonly #fixtures = new Map<string, F>();
  #step: Step | undefined;

  constructor(plan: Plan<J, F>, gauges: Gauges) {
    this.#plan = plan;
    this.#gauges = gauges;
  }

  async prepare(job: J): Promise<number> {
    await this.#leaveStep();
    const key = this.#plan.fixtureKey(job);
    let fixture = this.#fixtures.get(key);
    if (fixture === undefined) {
      fixture = await this.#plan.makeFixture(job);
      this.#fixtures.set(key, fixture);
    }
    const missing = await fixture.fill();
    if (missing === 0)
      this.#step = await this.#plan.makeStep(
        fixture,
        job,
        this.#gauges.heap !== undefined && job.clients === 1,
      );
    return missing;
  }

  async run({ operations, clients }: J): Promise<JobRun> {
    const step = this.#prepared();
    const { now, heap, tellsLatency = true, hasNames } = this.#gauges;
    const { elapsedMs, sortedMs } = await timeAttempts(operations, clients, step.attempt, now);
    // Before the heap is measured, which makes its own attempts.
    const tally = step.tally();
    return {
      elapsedMs,
      ...tally,
      p50Us: tellsLatency ? percentileUs(sortedMs, 0.5) : null,
      p99Us: tellsLatency ? percentileUs(sortedMs, 0.99) : null,
      ...(tellsLatency ? { latency: exactLatencyRecord(sortedMs) } : {}),
      ...(hasNames?.() === false ? { isUnnamed: true } : {}),
      heapBytesPerOperation: await heapPerAttempt(heap, step, operations),
      peakHeapBytes: heap === undefined || step.peakHeap === undefined ? null : await step.peakHeap(heap),
    };
  }

  async audit(_job: J): Promise<Audit> {
    const step = this.#prepared();
    try {
      return await step.audit();
    } finally {
      await this.#leaveStep();
    }
  }

  async close(): Promise<void> {
    this.#step = undefined;
    const fixtures = [...this.#fixtures.values()];
    this.#fixtures.clear();
    for (const fixture of fixtures) await fixture.drop();
  }

  #prepared(): Step {
    if (this.#step === undefined)
      throw new SluiceError('internal', 'The bench has nothing prepared: its object was restarted meanwhile');
    return this.#step;
  }

  async #leaveStep(): Promise<void> {
    this.#step = undefined;
    for (const [key, fixture] of this.#fixtures) {
      if (!fixture.isWorn()) continue;
      this.#fixtures.delete(key);
      await fixture.drop();
    }
  }
}

/** After the clock: the sampling of allocations takes time too. */
async function heapPerAttempt(
  heap: HeapMeter | undefined,
  { attempt, heapAttempts = 0 }: Step,
  operations: number,
): Promise<number | null> {
  if (heap === undefined || heapAttempts === 0) return null;
  const bytes = await heap.allocatedBy(async () => {
    for (let extra = 0; extra < heapAttempts; extra += 1) await attempt(operations + extra, 0);
  });
  return bytes / heapAttempts;
}
