/** What follows from the steps of the suite `rates`: the highest rate of each way, and a before and after by BedrockRelay's success criteria. */

import type { BenchResult, Conclusion, VariantResult } from '../../result.ts';

/**
 * BedrockRelay's success criteria (AndrewSamaha/BedrockRelay, docs/performance.md): 2 to 10 times the throughput, 50 to
 * 90 % less latency, under 0.1 % errors, bounded memory, and 10 to 50 times fewer INSERTs.
 */
const CRITERIA = { throughput: 2, latencyCut: 0.5, failedPercent: 0.1, rowsPerWrite: 10 } as const;

/** The label of the bad example's mode, which is BedrockRelay's "before". */
const BEFORE = 'fire-and-forget';

interface Steps {
  name: string;
  mode: string;
  pool: string;
  steps: { rate: number; variant: VariantResult }[];
  /** The highest step that every repetition held; undefined where even the first broke. */
  held: Steps['steps'][number] | undefined;
  /** The first step that some repetition did not hold, and why. */
  brokenAt: (Steps['steps'][number] & { why: string }) | undefined;
}

export function concludeRates(
  { variants }: Pick<BenchResult, 'variants'>,
  { slo, errors, pending }: { slo: number; errors: number; pending: number },
): Conclusion[] {
  const ladders = laddersOf(variants);
  if (ladders.length === 0) return [];
  const before = best(ladders.filter(({ mode }) => mode.startsWith(BEFORE)));
  const after = best(ladders.filter(({ mode }) => !mode.startsWith(BEFORE)));
  return [
    highestRates(
      ladders,
      `p99 of at most ${number(slo)} ms from due to committed, at most ${number(errors / 10_000, 4)} % failed`,
    ),
    ...(before === undefined || after === undefined ? [] : [beforeAndAfter(before, after, pending)]),
  ];
}

function laddersOf(variants: readonly VariantResult[]): Steps[] {
  const byName = new Map<string, VariantResult[]>();
  for (const variant of variants) {
    if (variant.ladder === undefined) continue;
    byName.set(variant.ladder, [...(byName.get(variant.ladder) ?? []), variant]);
  }
  return [...byName].map(([name, own]) => {
    const steps = own
      .map((variant) => ({ rate: Number(variant.labels?.rate), variant }))
      .toSorted((left, right) => left.rate - right.rate);
    const reps = steps[0]?.variant.reps.length ?? 0;
    const { mode = name, pool = '' } = steps[0]?.variant.labels ?? {};
    let held: Steps['held'];
    let brokenAt: Steps['brokenAt'];
    for (const step of steps) {
      const why = step.variant.reps.find(({ broken }) => broken !== undefined)?.broken;
      if (why !== undefined) {
        brokenAt = { ...step, why };
        break;
      }
      // A run that was ended in the middle has not shown that all repetitions hold it.
      if (step.variant.reps.length < reps) break;
      held = step;
    }
    return { name, mode, pool, steps, held, brokenAt };
  });
}

/** The ladder that held the most; of equal ones, the one with the lower p99. */
function best(ladders: readonly Steps[]): Steps | undefined {
  return ladders.toSorted(
    (left, right) =>
      (right.held?.rate ?? 0) - (left.held?.rate ?? 0) ||
      (metric(left.held, 'dueP99Ms') ?? Infinity) - (metric(right.held, 'dueP99Ms') ?? Infinity),
  )[0];
}

function highestRates(ladders: readonly Steps[], target: string): Conclusion {
  const shown = ladders.map(({ mode, pool, held, brokenAt }) => [
    mode,
    pool,
    held === undefined ? 'none' : number(held.rate),
    number(metric(held, 'dueP50Ms'), 1),
    number(metric(held, 'dueP99Ms'), 1),
    brokenAt === undefined ? 'not reached' : number(brokenAt.rate),
    brokenAt?.why ?? '',
  ]);
  return {
    title: 'Highest rate that holds',
    text: `The highest step that every repetition held: ${target}, the schedule kept, nothing lost.`,
    figures: Object.fromEntries(ladders.map(({ name, held }) => [name, held?.rate ?? 0])),
    table: {
      header: ['mode', 'pool', 'messages/s', 'p50 ms', 'p99 ms', 'breaks at', 'why'],
      rows: shown,
    },
  };
}

interface Criterion {
  title: string;
  demand: string;
  before: string;
  after: string;
  change: string;
  isMet: boolean | null;
}

function beforeAndAfter(before: Steps, after: Steps, pending: number): Conclusion {
  const criteria: Criterion[] = [
    throughput(before, after),
    latency('p99 at the highest rate that both hold', after, sharedStep(before, after)),
    latency('p99 at the rate that breaks the before', after, before.brokenAt),
    failures(before, after),
    memory(before, after, pending),
    writes(before, after),
  ];
  const judged = criteria.filter(({ isMet }) => isMet !== null);
  const met = judged.filter(({ isMet }) => isMet).length;
  return {
    title: 'Before and after, by the success criteria of BedrockRelay',
    text: `Before: ${before.name}, the bad example. After: ${after.name}, of the measured ways the one that holds the most. ${met} of ${judged.length} criteria are met.`,
    figures: {
      before: before.name,
      after: after.name,
      met,
      judged: judged.length,
      ...Object.fromEntries(criteria.map(({ title, isMet }) => [title, isMet])),
    },
    table: {
      header: ['criterion', 'demand', 'before', 'after', 'change', 'verdict'],
      rows: criteria.map(({ title, demand, before: old, after: young, change, isMet }) => [
        title,
        demand,
        old,
        young,
        change,
        isMet === null ? 'not measured' : isMet ? 'pass' : 'FAIL',
      ]),
    },
  };
}

function throughput(before: Steps, after: Steps): Criterion {
  const [from, to] = [before.held?.rate ?? 0, after.held?.rate ?? 0];
  const isUnknown = (from === 0 && to === 0) || after.brokenAt === undefined;
  return {
    title: 'throughput',
    demand: `at least ${CRITERIA.throughput} ×`,
    before: `${number(from)}/s`,
    after: `${number(to)}/s`,
    change: from === 0 ? '' : `${number(to / from, 1)} ×`,
    // Where the ladder of the after was not long enough to break it, it may take more.
    isMet: to > 0 && to >= from * CRITERIA.throughput ? true : isUnknown ? null : false,
  };
}

/** The highest step of the before that the after held as well. */
function sharedStep(before: Steps, after: Steps): Steps['held'] {
  const limit = Math.min(before.held?.rate ?? 0, after.held?.rate ?? 0);
  return before.steps.findLast(({ rate }) => rate <= limit);
}

function latency(title: string, after: Steps, step: Steps['held']): Criterion {
  const from = metric(step, 'dueP99Ms');
  const to = metric(
    after.steps.find(({ rate }) => rate === step?.rate),
    'dueP99Ms',
  );
  const isKnown = from !== null && to !== null && from > 0;
  return {
    title,
    demand: `at least ${CRITERIA.latencyCut * 100} % less`,
    before: from === null ? '' : `${number(from, 1)} ms at ${number(step?.rate ?? 0)}/s`,
    after: to === null ? '' : `${number(to, 1)} ms`,
    change: isKnown ? `${to > from ? '+' : ''}${number((to / from - 1) * 100)} %` : '',
    isMet: isKnown ? to <= from * (1 - CRITERIA.latencyCut) : null,
  };
}

function failures(before: Steps, after: Steps): Criterion {
  const [from, to] = [highest(before, 'failedPercent'), highest(after, 'failedPercent')];
  return {
    title: 'errors',
    demand: `under ${CRITERIA.failedPercent} % in every step`,
    before: from === null ? '' : `${number(from, 2)} %`,
    after: to === null ? '' : `${number(to, 2)} %`,
    change: '',
    isMet: to === null ? null : to < CRITERIA.failedPercent,
  };
}

/** Memory is bounded where what waits is: beyond its highest rate, too, and by the way of writing, not by the bench. */
function memory(before: Steps, after: Steps, limit: number): Criterion {
  const most = (
    steps: Steps,
  ): { pending: number | null; heapMb: number | null; workerMb: number | null } => ({
    pending: highest(steps, 'pendingMax'),
    heapMb: highest(steps, 'heapMaxMb'),
    workerMb: highest(steps, 'workerMaxMb'),
  });
  const text = ({ pending, heapMb, workerMb }: ReturnType<typeof most>): string =>
    [
      pending === null ? '' : `${number(pending)} pending`,
      heapMb === null ? '' : `heap ${number(heapMb)} MB`,
      workerMb === null ? '' : `Worker ${number(workerMb)} MB`,
    ]
      .filter((part) => part !== '')
      .join(', ');
  const [from, to] = [most(before), most(after)];
  return {
    title: 'memory',
    demand: 'bounded, also beyond the highest rate',
    before: text(from),
    after: text(to),
    change: '',
    isMet: to.pending === null ? null : to.pending < limit,
  };
}

function writes(before: Steps, after: Steps): Criterion {
  const [from, to] = [metric(before.held, 'rowsPerWrite'), metric(after.held, 'rowsPerWrite')];
  return {
    title: 'rows in one write',
    demand: `at least ${CRITERIA.rowsPerWrite} × as many`,
    before: number(from, 1),
    after: number(to, 1),
    change: from === null || to === null ? '' : `${number(to / from, 0)} ×`,
    isMet: from === null || to === null ? null : to >= from * CRITERIA.rowsPerWrite,
  };
}

/** The highest that any repetition of any step had. */
function highest({ steps }: Steps, name: string): number | null {
  const values = steps.flatMap(({ variant }) => variant.reps.flatMap(({ metrics }) => metrics[name] ?? []));
  return values.length === 0 ? null : Math.max(...values);
}

function metric(step: Steps['held'], name: string): number | null {
  return step?.variant.summary.metrics[name] ?? null;
}

function number(value: number | null, digits = 0): string {
  return value === null ? '' : value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
