/**
 * A run of a suite as a state that steps forward one repetition at a time. The state is plain data: the process that carries out
 * the steps may be gone after any of them, and another goes on from what was kept.
 */

import { type OptionsOf, type OptionTable, resolveOptions } from '../../src/core/option-table.ts';
import type { BenchResult, RepRecord, RepResult } from '../result.ts';
import type { Suite } from '../suite.ts';
import { type PlanEntry, planOf } from './plan.ts';
import type { RunState } from './run-state.ts';
import { type RunFacts, resultOf } from './summary.ts';

export class BenchRun<Table extends OptionTable> {
  readonly suite: Suite<Table>;
  readonly parameters: OptionsOf<Table>;
  readonly #plan: readonly PlanEntry[];
  readonly #state: RunState;

  private constructor(suite: Suite<Table>, parameters: OptionsOf<Table>, state: RunState) {
    this.suite = suite;
    this.parameters = parameters;
    this.#state = state;
    this.#plan = planOf(suite.variants(parameters), state.reps, state.seed);
  }

  /** A run that has not begun. @param startedAtMs milliseconds since 1970 */
  static start<Table extends OptionTable>(
    suite: Suite<Table>,
    given: { parameters: OptionsOf<Table>; reps: number; seed: number; startedAtMs: number },
  ): BenchRun<Table> {
    const { parameters, reps, seed, startedAtMs } = given;
    return new BenchRun(suite, parameters, {
      seed,
      reps,
      parameters: { ...parameters },
      startedAtMs,
      warmUpMs: null,
      taken: 0,
      records: {},
      recorded: 0,
      broken: [],
    });
  }

  /** A run as it stood. @throws SluiceError `invalid_options` where its parameters are none of the suite's */
  static resume<Table extends OptionTable>(suite: Suite<Table>, state: RunState): BenchRun<Table> {
    return new BenchRun(suite, resolveOptions(suite.parameters, state.parameters), structuredClone(state));
  }

  /** All that `resume` needs. A copy. */
  get state(): RunState {
    return structuredClone(this.#state);
  }

  get seed(): number {
    return this.#state.seed;
  }

  get reps(): number {
    return this.#state.reps;
  }

  /** How many repetitions the plan has, and how many of them are over. */
  get steps(): { taken: number; total: number } {
    return { taken: this.#state.taken, total: this.#plan.length };
  }

  get isWarm(): boolean {
    return this.#state.warmUpMs !== null;
  }

  /** The warm-up is over. @param elapsedMs how long it took; no figure includes it */
  warmedUp(elapsedMs: number): void {
    this.#state.warmUpMs = elapsedMs;
  }

  /** The repetition to run next; undefined where all are over. Steps of a ladder that broke are passed over. */
  get next(): PlanEntry | undefined {
    const { taken, broken } = this.#state;
    for (let index = taken; index < this.#plan.length; index += 1) {
      const entry = this.#plan[index] as PlanEntry;
      if (!broken.includes(ladderKey(entry) ?? '')) return entry;
    }
    return undefined;
  }

  /** Takes the result of the repetition that `next` named. */
  record(result: RepResult): RepRecord {
    const entry = this.next;
    if (entry === undefined) throw new RangeError('The run has no repetition left to record');
    const state = this.#state;
    state.recorded += 1;
    const perSecond = result.elapsedMs > 0 ? (result.units / result.elapsedMs) * 1000 : 0;
    const record: RepRecord = { ...result, perSecond, order: state.recorded, rep: entry.rep };
    const { name } = entry.variant;
    state.records[name] = [...(state.records[name] ?? []), record];
    state.taken = this.#plan.indexOf(entry) + 1;
    const ladder = ladderKey(entry);
    if (result.broken !== undefined && ladder !== undefined) state.broken.push(ladder);
    if (this.next === undefined) state.taken = this.#plan.length;
    return record;
  }

  /** What the run has shown so far. @param endedAtMs milliseconds since 1970 */
  result(facts: RunFacts, endedAtMs: number, isAborted: boolean): BenchResult {
    return resultOf(this.suite, this.parameters, this.#state, { facts, endedAtMs, isAborted });
  }
}

function ladderKey({ variant, rep }: PlanEntry): string | undefined {
  return variant.ladder === undefined ? undefined : `${rep}/${variant.ladder}`;
}
