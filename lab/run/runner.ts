/** Carries out a run from its beginning to its end in one process. */

import type { OptionsOf, OptionTable } from '../../src/core/option-table.ts';
import type { ServerWatch } from '../measure/server-watch.ts';
import type { BenchResult, RepRecord, RepResult } from '../result.ts';
import type { Suite, SuiteHost } from '../suite.ts';
import { derivedSeed } from './random.ts';
import { BenchRun } from './run.ts';
import type { RunFacts } from './summary.ts';

/** Where a run stands, for a bar or a line of text. */
export interface BenchProgress {
  variant: string;
  /** From 1. */
  rep: number;
  reps: number;
  done: number;
  total: number;
  /** Repetitions of the whole run that are over, and how many the plan has. */
  steps: { taken: number; total: number };
  /** Set once, when the repetition is over. */
  result?: RepResult & { perSecond: number };
}

export interface RunOptions<Table extends OptionTable> {
  suite: Suite<Table>;
  parameters: OptionsOf<Table>;
  reps: number;
  /** Draws the order and all that is random. */
  seed: number;
  host: Pick<SuiteHost, 'run' | 'warmUp'>;
  /** Looks at the database while repetitions run. Default: nobody does. */
  server?: ServerWatch | undefined;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Ends the run at once; the repetitions that are complete are reported, as `aborted`. */
  signal?: AbortSignal;
  onProgress?: (progress: BenchProgress) => void;
  facts: RunFacts;
}

/** Runs every variant `reps` times and sums up. A failed repetition ends the run with its error. */
export async function runSuite<Table extends OptionTable>(options: RunOptions<Table>): Promise<BenchResult> {
  const { suite, parameters, reps, seed, now, signal, facts } = options;
  const run = BenchRun.start(suite, { parameters, reps, seed, startedAtMs: now() });
  while (!isAborted(signal) && (await unlessAborted(takeStep(run, options), signal)) !== undefined);
  return run.result(facts, now(), isAborted(signal));
}

/** What a step needs besides the run. */
export type StepOptions = Pick<RunOptions<OptionTable>, 'host' | 'server' | 'now' | 'onProgress' | 'signal'>;

/** A step that was taken: a repetition, or the warm-up, which has none. */
export interface TakenStep {
  variant: string | null;
  record: RepRecord | null;
}

/**
 * Takes one step of a run: warms it up, or carries out its next repetition.
 *
 * @returns undefined where there was nothing left to do
 * @throws what the host fails with; the run then stands where it stood
 */
export async function takeStep<Table extends OptionTable>(
  run: BenchRun<Table>,
  { host, server, now, onProgress, signal }: StepOptions,
): Promise<TakenStep | undefined> {
  const entry = run.next;
  if (entry === undefined) return undefined;
  if (!run.isWarm) {
    const startedAtMs = now();
    await host.warmUp();
    run.warmedUp(now() - startedAtMs);
    return { variant: null, record: null };
  }
  const { variant, rep } = entry;
  const total = run.suite.unitsPerRep(variant, run.parameters);
  const at = { variant: variant.name, rep, reps: run.reps, total };
  onProgress?.({ ...at, steps: run.steps, done: 0 });
  // The listener of the progress may be the one that ends it.
  if (isAborted(signal)) return undefined;
  const result = await host.run(variant, rep, (done) => onProgress?.({ ...at, steps: run.steps, done }), {
    seed: derivedSeed(run.seed, variant.name, rep),
    server,
  });
  if (isAborted(signal)) return undefined;
  const record = run.record(result);
  onProgress?.({ ...at, steps: run.steps, done: total, result: record });
  return { variant: variant.name, record };
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** The value, or undefined when the signal came first; the work is then left to its host to end. */
export async function unlessAborted<Value>(
  work: Promise<Value>,
  signal: AbortSignal | undefined,
): Promise<Value | undefined> {
  if (signal === undefined) return work;
  let stop = (): void => {};
  const aborted = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
    // A signal that came while the work began tells nobody again.
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
  // What was cut off may still fail; that is no news.
  work.catch(() => {});
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
