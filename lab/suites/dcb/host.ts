/** Runs the variants of the suite `dcb`, wherever it is: the places of the engines come in as ports. */

import type { ServerWatch } from '../../measure/server-watch.ts';
import type { RepResult } from '../../result.ts';
import { UNNAMED_STATEMENTS } from '../../run/warnings.ts';
import { EngineBenches } from '../../steps/engine-benches.ts';
import { prepareAll } from '../../steps/step-bench.ts';
import type { RepContext, SuiteHost, Variant } from '../../suite.ts';
import type { DcbBench } from './bench.ts';
import { type DcbEngine, type DcbOrder, eventsPerAttempt } from './order.ts';
import { type DcbParameters, dcbOrderOf, dcbSuite } from './suite.ts';

export interface DcbPorts {
  /** Opens the bench of an engine. Called once for each. */
  open(engine: DcbEngine): Promise<DcbBench>;
}

/** Attempts of each variant before anything is measured: enough for the compiler to have seen all of the code. */
const WARM_UP_ATTEMPTS = 100;
const WARM_UP_EVENTS = 1_000;
const MIB = 1024 * 1024;

export class DcbHost implements SuiteHost {
  readonly #parameters: DcbParameters;
  readonly #seed: number;
  readonly #benches: EngineBenches<DcbEngine, DcbBench>;

  /** @param seed draws the data sets and what is read of them */
  constructor(ports: DcbPorts, parameters: DcbParameters, seed: number) {
    this.#benches = new EngineBenches((engine) => ports.open(engine));
    this.#parameters = parameters;
    this.#seed = seed;
  }

  run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { server }: Pick<RepContext, 'server'> = { server: undefined },
  ): Promise<RepResult> {
    const order = dcbOrderOf(variant, this.#parameters, this.#seed);
    // The other engines leave the server alone.
    const isOnServer = order.engine === 'postgres' || order.engine === 'object';
    return this.#measure(order, onUnits, isOnServer ? server : undefined);
  }

  /** Runs a little of everything on the smallest set, so that no repetition pays for code that has never run. */
  async warmUp(): Promise<void> {
    const done = new Set<string>();
    for (const variant of dcbSuite.variants(this.#parameters)) {
      const order = dcbOrderOf(variant, this.#parameters, this.#seed);
      const perAttempt = Math.max(1, eventsPerAttempt(order.operation));
      const operations = Math.min(order.operations, WARM_UP_ATTEMPTS, Math.ceil(WARM_UP_EVENTS / perAttempt));
      const warming: DcbOrder = { ...order, set: 'tiny', operations };
      const key = JSON.stringify(warming);
      if (done.has(key)) continue;
      done.add(key);
      await this.#measure(warming, () => {}, undefined);
    }
  }

  /** Deletes everything that the suite has made. */
  close(): Promise<void> {
    return this.#benches.close();
  }

  async #measure(
    order: DcbOrder,
    onUnits: (done: number) => void,
    server: ServerWatch | undefined,
  ): Promise<RepResult> {
    const bench = await this.#benches.of(order.engine);
    await prepareAll(bench, order);
    await server?.begin();
    const run = await bench.run(order);
    const { units, elapsedMs, wins, conflicts, p50Us, p99Us, heapBytesPerOperation, peakHeapBytes } = run;
    // The bench drops its tables by itself, so only what the server counts is asked.
    const figures = await server?.end(units, []);
    onUnits(units);
    return {
      units,
      elapsedMs,
      metrics: {
        usPerOperation: (elapsedMs / order.operations) * 1_000,
        p50Us,
        p99Us,
        wins,
        conflicts,
        heapBytesPerOperation,
        peakHeapMiB: peakHeapBytes === null ? null : peakHeapBytes / MIB,
      },
      audit: await bench.audit(order),
      ...(run.latency === undefined ? {} : { histograms: { operation: run.latency } }),
      ...(figures === undefined ? {} : { server: figures }),
      ...(run.isUnnamed === true ? { warnings: [UNNAMED_STATEMENTS] } : {}),
    };
  }
}
