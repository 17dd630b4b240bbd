import { describe, expect, test } from 'vitest';
import { assertCanFail } from '../../lab/gate.ts';
import type { BenchResult } from '../../lab/result.ts';
import { INGEST_PARAMETERS } from '../../lab/suites/ingest/ingest-parameters.ts';
import { parseThresholds } from '../../lab/threshold-text.ts';
import { resultOf, variantOf } from '../support/bench-result.ts';

const CONFIG = { modes: ['naive', 'copy'], batch: [5_000], messages: 500, clients: 10, reps: 3 };
const rates = (count: number): number[] => Array.from({ length: count }, (_, index) => 100 + index);
const latency = { metrics: rates(9).map((ackP99Ms) => ({ ackP99Ms })) };

function baseOf(reps: number, config: Record<string, unknown> = {}): BenchResult {
  return resultOf([variantOf('naive', rates(reps), latency), variantOf('copy', rates(reps), latency)], {
    config: { ...CONFIG, ...config },
  });
}

/** Judges what may be asked of a run of `reps` repetitions against a base. */
function gate(
  expressions: string[],
  base: BenchResult,
  {
    reps = 5,
    names = ['naive', 'copy'],
    ...config
  }: { reps?: number; names?: string[]; [name: string]: unknown } = {},
): () => void {
  return () =>
    assertCanFail(
      parseThresholds(expressions),
      base,
      {
        config: { ...CONFIG, ...config, reps },
        variants: names.map((name) => ({ name, reps })),
        metrics: ['perSecond'],
      },
      INGEST_PARAMETERS,
    );
}

describe('a change that must not be', () => {
  test('is judged where the two runs are alike, or differ in what they chose to compare', () => {
    expect(gate(['perSecond<-5%'], baseOf(5))).not.toThrow();
    expect(
      gate(['perSecond<-5%'], baseOf(5), { modes: ['copy'], names: ['copy'], batch: [1, 5_000] }),
    ).not.toThrow();
    expect(gate(['perSecond<-5%'], baseOf(5, { older: 1 })), 'an option that is no more').not.toThrow();
    expect(gate([], baseOf(1, { messages: 1 })), 'nothing is to be judged').not.toThrow();
  });

  test('is not judged between runs with other parameters', () => {
    expect(gate(['perSecond<-5%'], baseOf(5, { messages: 5_000 }))).toThrow(
      'Cannot judge "perSecond<-5%": the runs differ in messages (5000 and 500), so their figures mean different things',
    );
  });

  test.each([
    [3, 3, 'take 5 (--reps) in both'],
    [2, 9, 'take 5 (--reps) in both'],
    [4, 4, 'take 5 (--reps) in both'],
  ])('is not judged by %d repetitions against %d, which show no difference', (before, now, what) => {
    expect(gate(['perSecond<-5%'], baseOf(before), { reps: now })).toThrow(
      new RegExp(`could never fail: so few repetitions .*${what.replaceAll(/[()]/g, '\\$&')}`),
    );
  });

  test('is judged by as many repetitions as its table needs, and by fewer where that is smaller', () => {
    expect(gate(['perSecond<-5%'], baseOf(5), { reps: 5 })).not.toThrow();
    expect(gate(['perSecond<-5%'], baseOf(4), { reps: 4, names: ['copy'] })).not.toThrow();
  });

  test('is not judged by a run that lost messages', () => {
    expect(gate(['perSecond<-5%'], { ...baseOf(5), state: 'invalid' })).toThrow(/lost or doubled messages/);
  });

  test('of a figure or a variant that the base has not is refused', () => {
    expect(gate(['ackP98Ms>5%'], baseOf(5))).toThrow(/the base run has no figure ackP98Ms.*ackP99Ms/);
    expect(gate(['unnest.perSecond<-5%'], baseOf(5))).toThrow(
      /the base run has no variant unnest.*naive, copy/,
    );
    expect(gate(['copy.perSecond<-5%'], baseOf(5), { names: ['naive'] })).toThrow(
      /none of its variants is in both runs/,
    );
  });
});
