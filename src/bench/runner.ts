/** Runs a suite: repetitions interleaved, so that what changes on the machine meanwhile meets every variant alike. */

import type { OptionsOf, OptionTable } from '../option-table.ts';
import { type BenchResult, passes, type RepResult, type VariantResult } from './result.ts';
import { median, spread, sumAudits } from './statistics.ts';
import type { Suite, SuiteHost, Variant } from './suite.ts';
import { judgeTargets } from './targets.ts';

/** Where a run stands, for a bar or a line of text. */
export interface BenchProgress {
  variant: string;
  /** From 1. */
  rep: number;
  reps: number;
  done: number;
  total: number;
  /** Set once, when the repetition is over. */
  result?: RepResult & { perSecond: number };
}

export interface RunOptions<Table extends OptionTable> {
  suite: Suite<Table>;
  parameters: OptionsOf<Table>;
  reps: number;
  host: SuiteHost;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Ends the run at once; the repetitions that are complete are reported, as `aborted`. */
  signal?: AbortSignal;
  onProgress?: (progress: BenchProgress) => void;
  /** Facts for the report that the runner cannot know. */
  facts: Pick<BenchResult, 'tool' | 'machine' | 'database'>;
}

/** Runs every variant `reps` times and sums up. A failed repetition ends the run with its error. */
export async function runSuite<Table extends OptionTable>(options: RunOptions<Table>): Promise<BenchResult> {
  const { suite, parameters, reps, host, now, signal, onProgress, facts } = options;
  const startedAtMs = now();
  const variants = suite.variants(parameters);
  const results = new Map<string, VariantResult['reps']>(variants.map(({ name }) => [name, []]));
  let order = 0;

  const isAborted = (): boolean => signal?.aborted === true;
  for (let rep = 1; rep <= reps && !isAborted(); rep += 1) {
    // Every other round goes backwards: what wears on in a round (a growing WAL, a filling cache) then evens out.
    const round = rep % 2 === 1 ? variants : variants.toReversed();
    for (const variant of round) {
      if (isAborted()) break;
      const total = suite.unitsPerRep(variant, parameters);
      const at = { variant: variant.name, rep, reps, total };
      onProgress?.({ ...at, done: 0 });
      const result = await unlessAborted(
        host.run(variant, rep, (done) => onProgress?.({ ...at, done })),
        signal,
      );
      if (result === undefined) break;
      const perSecond = (result.units / result.elapsedMs) * 1000;
      order += 1;
      results.get(variant.name)?.push({ ...result, perSecond, order });
      onProgress?.({ ...at, done: total, result: { ...result, perSecond } });
    }
  }

  const summaries = variants.flatMap((variant) => summarise(variant, results.get(variant.name) ?? []));
  const isValid = summaries.every(({ summary }) => summary.audit === null || passes(summary.audit, suite));
  return {
    schemaVersion: 1,
    suite: suite.name,
    title: suite.title,
    unit: suite.unit,
    state: !isValid ? 'invalid' : isAborted() ? 'aborted' : 'complete',
    startedAt: new Date(startedAtMs).toISOString(),
    durationMs: now() - startedAtMs,
    ...facts,
    config: { ...parameters, reps },
    variants: summaries,
    ...(suite.targets === undefined ? {} : { targets: judgeTargets(suite.targets(parameters), summaries) }),
    notes: suite.notes(parameters),
  };
}

/** The value, or undefined when the signal came first; the work is then left to its host to end. */
async function unlessAborted<Value>(
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

function summarise(variant: Variant, reps: VariantResult['reps']): VariantResult[] {
  if (reps.length === 0) return [];
  const metrics: Record<string, number | null> = {};
  for (const metric of new Set(reps.flatMap((rep) => Object.keys(rep.metrics)))) {
    const values = reps.flatMap((rep) => rep.metrics[metric] ?? []);
    metrics[metric] = values.length === 0 ? null : median(values);
  }
  const summary = {
    perSecond: spread(reps.map(({ perSecond }) => perSecond)),
    elapsedMs: spread(reps.map(({ elapsedMs }) => elapsedMs)),
    metrics,
    audit: sumAudits(reps.map(({ audit }) => audit)),
  };
  return [{ ...variant, reps, summary }];
}
