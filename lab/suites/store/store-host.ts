/** Runs the variants of the suite `store`, wherever it is: the places of the engines come in as ports. */

import type { ServerWatch } from '../../measure/server-watch.ts';
import type { RepResult } from '../../result.ts';
import { UNNAMED_STATEMENTS } from '../../run/warnings.ts';
import { EngineBenches } from '../../steps/engine-benches.ts';
import { prepareAll } from '../../steps/step-bench.ts';
import type { RepContext, SuiteHost, Variant } from '../../suite.ts';
import type { StoreBench } from './store-bench.ts';
import { messagesPerOperation, type StoreEngine, type StoreOrder } from './store-order.ts';
import { type StoreParameters, storeOrderOf, storeSuite } from './store-suite.ts';

export interface StorePorts {
  /** Opens the bench of an engine. Called once for each. */
  open(engine: StoreEngine): Promise<StoreBench>;
  /** Milliseconds. */
  now(): number;
}

/** Operations of each variant before anything is measured: enough for the compiler to have seen all of the code. */
const WARM_UP_OPERATIONS = 500;
const WARM_UP_MESSAGES = 5_000;

export class StoreHost implements SuiteHost {
  readonly #ports: StorePorts;
  readonly #parameters: StoreParameters;
  readonly #benches: EngineBenches<StoreEngine, StoreBench>;
  /** Engines whose big category is there. */
  readonly #isPrepared = new Set<StoreEngine>();

  constructor(ports: StorePorts, parameters: StoreParameters) {
    this.#ports = ports;
    this.#parameters = parameters;
    this.#benches = new EngineBenches((engine) => ports.open(engine));
  }

  run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { server }: Pick<RepContext, 'server'> = { server: undefined },
  ): Promise<RepResult> {
    const order = storeOrderOf(variant, this.#parameters);
    // The other engines leave the server alone.
    return this.#measure(order, onUnits, order.engine === 'postgres' ? server : undefined);
  }

  /** Runs a little of everything, so that no measured repetition pays for code that has never run. */
  async warmUp(): Promise<void> {
    for (const variant of storeSuite.variants(this.#parameters)) {
      const order = storeOrderOf(variant, this.#parameters);
      // The big category runs the code of the small one, and is prepared for the first repetition that needs it.
      if (order.operation === 'category-big') continue;
      const operations = Math.min(
        order.operations,
        WARM_UP_OPERATIONS,
        Math.ceil(WARM_UP_MESSAGES / messagesPerOperation(order.operation)),
      );
      await this.#measure({ ...order, operations }, () => {}, undefined);
    }
  }

  /** Deletes everything that the suite has made. */
  close(): Promise<void> {
    return this.#benches.close();
  }

  async #measure(
    order: StoreOrder,
    onUnits: (done: number) => void,
    server: ServerWatch | undefined,
  ): Promise<RepResult> {
    const { operation, operations } = order;
    const bench = await this.#benches.of(order.engine);
    const preparedSeconds = await this.#prepare(bench, order);
    await server?.begin();
    const { elapsedMs, p50Us, p99Us, latency, isUnnamed } = await bench.run(order);
    const units = operations * messagesPerOperation(operation);
    // The tables are dropped by the bench itself, so only what the server counts is asked.
    const figures = await server?.end(units, []);
    onUnits(units);
    return {
      units,
      elapsedMs,
      metrics: { usPerOperation: (elapsedMs / operations) * 1_000, p50Us, p99Us, preparedSeconds },
      audit: await bench.audit(order),
      ...(latency === undefined ? {} : { histograms: { operation: latency } }),
      ...(figures === undefined ? {} : { server: figures }),
      ...(isUnnamed === true ? { warnings: [UNNAMED_STATEMENTS] } : {}),
    };
  }

  /** @returns how long the preparation of the big category took; null where there was none to be done */
  async #prepare(bench: StoreBench, order: StoreOrder): Promise<number | null> {
    const startedAtMs = this.#ports.now();
    const isFirst = order.operation === 'category-big' && !this.#isPrepared.has(order.engine);
    await prepareAll(bench, order);
    if (!isFirst) return null;
    this.#isPrepared.add(order.engine);
    return (this.#ports.now() - startedAtMs) / 1_000;
  }
}
