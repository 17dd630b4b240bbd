/**
 * The bench of a Durable Object, as seen from outside: an object for each kind of data, which carries out the orders
 * that it is sent. A run is one request and is timed here, since the object's own clock may stand still.
 */

import type { Audit } from '../result.ts';
import type { BenchStep, StepBench } from './step-bench.ts';

/** Has the object of a place take a step, and returns its answer. The order of `close` is the last one that was sent. */
export type AskPlace<Order> = (place: string, step: BenchStep, order: Order) => Promise<unknown>;

/** What every run is told with, as far as the object's clock cannot tell it. */
interface TimedRun {
  elapsedMs: number;
  p50Us: number | null;
  p99Us: number | null;
}

export class RemoteBench<Order, Run extends TimedRun> implements StepBench<Order, Run> {
  readonly #ask: AskPlace<Order>;
  readonly #placeOf: (order: Order) => string;
  readonly #now: () => number;
  readonly #places = new Map<string, Order>();

  /**
   * @param placeOf the place of an order: letters and digits, with the run among them, so that no other run is met
   * @param now milliseconds
   */
  constructor(ask: AskPlace<Order>, placeOf: (order: Order) => string, now: () => number) {
    this.#ask = ask;
    this.#placeOf = placeOf;
    this.#now = now;
  }

  async prepare(order: Order): Promise<number> {
    return (await this.#send('prepare', order)) as number;
  }

  async run(order: Order): Promise<Run> {
    const startedAtMs = this.#now();
    const run = (await this.#send('run', order)) as Run;
    // Timed here: the object's own clock may stand still while it works.
    return { ...run, elapsedMs: this.#now() - startedAtMs, p50Us: null, p99Us: null };
  }

  async audit(order: Order): Promise<Audit> {
    return (await this.#send('audit', order)) as Audit;
  }

  async close(): Promise<void> {
    for (const [place, order] of this.#places) await this.#ask(place, 'close', order);
    this.#places.clear();
  }

  #send(step: BenchStep, order: Order): Promise<unknown> {
    const place = this.#placeOf(order);
    this.#places.set(place, order);
    return this.#ask(place, step, order);
  }
}
