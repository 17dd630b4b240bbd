import { describe, expect, test } from 'vitest';
import { parseGoal, recommend } from '../../lab/recommend.ts';
import type { RepRecord, VariantResult } from '../../lab/result.ts';
import { FIRE_AND_FORGET, RATES_PARAMETERS, ratesSuite } from '../../lab/suites/rates/rates-suite.ts';
import { resolveOptions } from '../../src/core/option-table.ts';
import { CLEAN_AUDIT, resultOf, variantOf } from '../support/bench-result.ts';

const SUITE = { keepsOrder: false };
const near = (middle: number, step: number) =>
  [-3, -2, -1, 0, 1, 2, 3].map((offset) => middle + offset * step);
const latency = (...values: number[]) => values.map((ackP99Ms) => ({ ackP99Ms }));

const RESULT = resultOf([
  variantOf('naive', near(10, 0.1), { metrics: latency(1, 1, 1, 1, 1, 1, 1) }),
  variantOf('copy', near(100, 1), { metrics: latency(30, 30, 30, 30, 30, 30, 30) }),
  variantOf('unnest', near(99, 1), { metrics: latency(12, 12, 12, 12, 12, 12, 25) }),
  variantOf('floor: copy', near(400, 1), { role: 'floor' }),
]);

describe('a goal', () => {
  test('is the fastest, or bounds', () => {
    expect(parseGoal('fastest')).toEqual({ bounds: [] });
    expect(parseGoal('ackP99Ms<20, perSecond >= 50.5, ack.p99<20ms').bounds).toMatchObject([
      { figure: 'ackP99Ms', operator: '<', bound: 20 },
      { figure: 'perSecond', operator: '>=', bound: 50.5 },
      { figure: 'ack.p99', operator: '<', bound: 20_000 },
    ]);
  });

  test.each([
    '',
    'slowest',
    'ackP99Ms',
    'ackP99Ms<',
    'ackP99Ms=5',
    '<20',
    'perSecond<-5%',
    'copy.perSecond>5',
    'a<1,b',
  ])('that is %j is refused, with what is allowed', (text) => {
    expect(() => parseGoal(text)).toThrow(/^Cannot use ".*" as a (goal|threshold): ./);
  });
});

describe('the recommendation', () => {
  test('is the fastest measured variant, with those that are not shown to be slower beside it', () => {
    const { choice, tied, evidence } = recommend(RESULT, SUITE, parseGoal('fastest'));
    expect(choice?.name).toBe('copy');
    expect(tied.map(({ name }) => name)).toEqual(['unnest']);
    expect(evidence.join('\n')).toMatch(/naive: .*; slower, p = /);
  });

  test('keeps the bounds in every repetition, not in the middle one', () => {
    const { choice, evidence } = recommend(RESULT, SUITE, parseGoal('ackP99Ms<20'));
    expect(choice?.name, 'unnest once had 25').toBe('naive');
    expect(evidence.join('\n')).toContain('unnest is out: ackP99Ms<20, and it had 25');
    expect(recommend(RESULT, SUITE, parseGoal('ackP99Ms<26')).choice?.name, 'the control').toBe('unnest');
  });

  test('is none where nothing keeps the bounds, and says why of each', () => {
    const { choice, evidence } = recommend(RESULT, SUITE, parseGoal('ackP99Ms<0.5'));
    expect(choice).toBeUndefined();
    expect(evidence).toHaveLength(3);
  });

  test('calls nothing as good where repetitions are too few to tell', () => {
    const few = resultOf([variantOf('a', [100, 101, 102]), variantOf('b', [10, 11, 12])]);
    const { tied, untold, evidence } = recommend(few, SUITE, parseGoal('fastest'));
    expect(tied).toEqual([]);
    expect(untold.map(({ name }) => name)).toEqual(['b']);
    expect(evidence.join()).toContain('too few repetitions');
    expect(recommend(RESULT, SUITE, parseGoal('fastest')).untold, 'the control').toEqual([]);
  });

  test('is no step of a ladder that broke, or that a repetition did not reach', () => {
    const step = (name: string, rates: number[], broken: Record<number, string> = {}): VariantResult => {
      const variant = variantOf(name, rates, { ladder: 'copy' });
      for (const [index, why] of Object.entries(broken)) {
        (variant.reps[Number(index)] as RepRecord).broken = why;
      }
      return variant;
    };
    const ladder = resultOf([
      step('copy 100/s', [100, 100]),
      step('copy 500/s', [500, 500]),
      step('copy 1000/s', [1000, 1000], { 1: 'p99 was 900 ms, 500 ms may be' }),
      step('copy 5000/s', [5000]),
    ]);
    const { choice, evidence } = recommend(ladder, SUITE, parseGoal('fastest'));
    expect(choice?.name).toBe('copy 500/s');
    expect(evidence).toEqual(
      expect.arrayContaining([
        'copy 1000/s is out: it did not hold: p99 was 900 ms, 500 ms may be',
        'copy 5000/s is out: 1 of 2 repetitions came to it',
      ]),
    );
  });

  test('is never what no sink can be given', () => {
    const parameters = resolveOptions(RATES_PARAMETERS, {
      from: 100,
      to: 100,
      modes: `${FIRE_AND_FORGET},naive`,
    });
    const variants = ratesSuite
      .variants(parameters)
      .map(({ name, labels = {} }) =>
        variantOf(name, near(name.startsWith('naive') ? 90 : 100, 0.1), { labels }),
      );
    const { choice, evidence } = recommend(resultOf(variants), ratesSuite, parseGoal('fastest'));
    expect(choice?.name).toBe('naive 100/s');
    expect(evidence.join()).toContain('fire-and-forget ×20 100/s is out: no sink can be given it');
  });

  test('is refused for a run that lost messages, and for a figure that nobody has', () => {
    expect(() => recommend({ ...RESULT, state: 'invalid' }, SUITE, parseGoal('fastest'))).toThrow(
      /none of its/,
    );
    expect(() => recommend(RESULT, SUITE, parseGoal('size<3'))).toThrow(/no figure size|No variant/);
  });

  test('passes over a variant that lost messages', () => {
    const lossy = variantOf('lossy', near(900, 1), { audit: { ...CLEAN_AUDIT, lost: 1 } });
    const result = resultOf([...RESULT.variants, lossy]);
    expect(recommend(result, SUITE, parseGoal('fastest')).choice?.name).toBe('copy');
  });
});
