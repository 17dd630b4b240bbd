import { describe, expect, test } from 'vitest';
import { clientBoundWarnings } from '../../../lab/measure/client-bound.ts';
import type { RepRecord, VariantResult, Warning } from '../../../lab/result.ts';
import { runComparisons } from '../../../lab/run/run-comparisons.ts';
import { runWarnings } from '../../../lab/run/warnings.ts';
import { variantOf } from '../../support/bench-result.ts';

function changed(variant: VariantResult, rep: number, more: Partial<RepRecord>): VariantResult {
  Object.assign(variant.reps[rep - 1] as RepRecord, more);
  return variant;
}

const codes = (variants: VariantResult[]): string[] =>
  runWarnings(variants, runComparisons({ baseline: 'base' }, variants)).map(({ code }) => code);

const STEADY = new Array<number>(20).fill(100);
const SLOWING = Array.from({ length: 20 }, (_, index) => 100 - 3 * index);
const SERVER = {
  walBytesPerRow: null,
  walFullPageImages: null,
  tableBytesPerRow: null,
  indexBytesPerRow: null,
  checkpoints: 0,
  statements: null,
  io: null,
  waits: null,
  waitSamples: 0,
  missing: [],
};

describe('a run is warned of', () => {
  test('a rate that was not steady, with how often and how far', () => {
    const variant = changed(variantOf('copy', [1, 1, 1]), 2, { windows: SLOWING });
    const [warning] = runWarnings([changed(variant, 1, { windows: STEADY })], []);
    expect(warning).toMatchObject({
      code: 'not_steady',
      where: 'copy',
      text: expect.stringMatching(/^1 of 3 repetitions ended up to \d+ % slower/),
    });
    expect(codes([changed(variantOf('copy', [1]), 1, { windows: STEADY })]), 'the control').toEqual([]);
  });

  test('a rate that began with nothing, in words without a share', () => {
    const idle = [...new Array<number>(7).fill(0), ...new Array<number>(14).fill(100)];
    const [warning, ...others] = runWarnings([changed(variantOf('copy', [1]), 1, { windows: idle })], []);
    expect(others).toEqual([]);
    expect(warning).toMatchObject({
      code: 'not_steady',
      text: expect.stringMatching(/^the repetition did nothing in its first third/),
    });
    const nothing = new Array<number>(21).fill(0);
    expect(codes([changed(variantOf('copy', [1]), 1, { windows: nothing })]), 'the control').toEqual([]);
  });

  test('a checkpoint meanwhile', () => {
    const variant = (checkpoints: number) =>
      changed(variantOf('copy', [1]), 1, { server: { ...SERVER, checkpoints } });
    expect(codes([variant(1)])).toEqual(['checkpoint_during_run']);
    expect(codes([variant(0)]), 'the control').toEqual([]);
  });

  test('a repetition far from the others, where there are enough of them', () => {
    expect(codes([variantOf('copy', [100, 101, 99, 100, 102, 98, 10])])).toEqual(['outlier']);
    expect(codes([variantOf('copy', [100, 101, 99, 100, 102, 98, 101])]), 'the control').toEqual([]);
    expect(codes([variantOf('copy', [100, 10])]), 'too few to say').toEqual([]);
  });

  test('too few repetitions for the comparison with the baseline', () => {
    expect(codes([variantOf('base', [1, 2, 3]), variantOf('copy', [10, 20, 30])])).toEqual(['too_few_runs']);
    const many = [1, 2, 3, 4, 5, 6, 7];
    expect(codes([variantOf('base', many), variantOf('copy', many)]), 'the control').toEqual([]);
  });

  test('what its host saw, once for each thing', () => {
    const warning: Warning = { code: 'client_bound', where: 'copy', text: 'busy' };
    const variant = variantOf('copy', [1, 1]);
    for (const rep of [1, 2]) changed(variant, rep, { warnings: [warning] });
    expect(runWarnings([variant], [])).toEqual([warning]);
  });
});

test('a load generator is told to be the bound beyond 20 ms of delay, and not where nobody knows', () => {
  expect(clientBoundWarnings('copy', 20.1)).toMatchObject([{ code: 'client_bound', where: 'copy' }]);
  expect(clientBoundWarnings('copy', 20)).toEqual([]);
  expect(clientBoundWarnings('copy', null)).toEqual([]);
});

describe('comparisons with the baseline', () => {
  const many = (middle: number): number[] => [-3, -2, -1, 0, 1, 2, 3].map((step) => middle + step);

  test('are one for each other measured variant', () => {
    const compared = runComparisons({ baseline: 'base' }, [
      variantOf('base', many(100)),
      variantOf('faster', many(200)),
      variantOf('alike', many(100)),
      variantOf('floor', many(900), { role: 'floor' }),
    ]);
    expect(compared.map(({ base, head, verdict }) => [base, head, verdict])).toEqual([
      ['base', 'faster', 'faster'],
      ['base', 'alike', 'same'],
    ]);
  });

  test('are none without a baseline, or where it did not run', () => {
    expect(runComparisons({}, [variantOf('base', many(1))])).toEqual([]);
    expect(runComparisons({ baseline: 'base' }, [variantOf('copy', many(10))])).toEqual([]);
  });

  test('leave out what did nothing', () => {
    const idle = changed(variantOf('idle', [1]), 1, { perSecond: 0 });
    expect(runComparisons({ baseline: 'base' }, [variantOf('base', many(10)), idle])).toEqual([]);
    // Without its idle repetition it would be the faster one.
    const halting = changed(variantOf('halting', many(200)), 1, { perSecond: 0 });
    expect(runComparisons({ baseline: 'base' }, [variantOf('base', many(100)), halting])).toEqual([]);
  });
});
