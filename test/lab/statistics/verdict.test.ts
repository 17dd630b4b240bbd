import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { holm } from '../../../lab/statistics/holm.ts';
import { compareFigures, type FigurePair, repetitionsNeeded } from '../../../lab/statistics/verdict.ts';

function pair(baseValues: number[], headValues: number[], isBiggerBetter = true): FigurePair {
  return { base: 'a', head: 'b', metric: 'perSecond', baseValues, headValues, isBiggerBetter };
}

const LOW = [100, 101, 102, 103, 104, 105];
const HIGH = [120, 121, 122, 123, 124, 125];

function verdicts(...pairs: FigurePair[]): string[] {
  return compareFigures(pairs).map(({ verdict }) => verdict);
}

describe('a comparison', () => {
  test('tells the change, its interval, and both p', () => {
    const [found] = compareFigures([pair(LOW, HIGH)]);
    expect(found).toMatchObject({ base: 'a', head: 'b', metric: 'perSecond', verdict: 'faster' });
    expect(found?.change).toBeCloseTo(0.195, 2);
    expect(found?.changeLow).toBeGreaterThan(0.14);
    expect(found?.changeHigh).toBeLessThan(0.25);
    expect(found?.p).toBeCloseTo(2 / 924, 12);
    expect(found?.correctedP).toBe(found?.p);
  });

  test('knows which way is better', () => {
    expect(verdicts(pair(LOW, HIGH))).toEqual(['faster']);
    expect(verdicts(pair(HIGH, LOW))).toEqual(['slower']);
    expect(verdicts(pair(LOW, HIGH, false))).toEqual(['slower']);
    expect(verdicts(pair(HIGH, LOW, false))).toEqual(['faster']);
  });

  test('of what overlaps is the same', () => {
    expect(verdicts(pair(LOW, [99, 100.5, 102.5, 103.5, 104.5, 106]))).toEqual(['same']);
    expect(verdicts(pair(LOW, LOW))).toEqual(['same']);
  });

  test('of three against three cannot tell, of four can', () => {
    expect(verdicts(pair([1, 2, 3], [100, 200, 300]))).toEqual(['too few runs']);
    expect(compareFigures([pair([1, 2, 3], [100, 200, 300])])[0]).toMatchObject({
      changeLow: null,
      changeHigh: null,
    });
    expect(verdicts(pair([1, 2, 3, 4], [100, 200, 300, 400]))).toEqual(['faster']);
    expect(verdicts(pair([1], [100]))).toEqual(['too few runs']);
  });

  test('in a table of many needs more', () => {
    const four = pair([1, 2, 3, 4], [100, 200, 300, 400]);
    // 0.0286 twice is above 0.05, even if both are as far apart as can be.
    expect(verdicts(four, four)).toEqual(['too few runs', 'too few runs']);
    const five = pair([1, 2, 3, 4, 5], [100, 200, 300, 400, 500]);
    expect(verdicts(five, five, five, five, five, five)).toEqual(new Array(6).fill('faster'));
    expect(verdicts(...new Array<FigurePair>(7).fill(five))).toEqual(new Array(7).fill('too few runs'));
  });

  test('that could have been told beside clearer ones is the same, not too few', () => {
    // The clear one is told first, which leaves 0.05 for four against four.
    expect(verdicts(pair(LOW, HIGH), pair([1, 2, 3, 4], [100, 200, 300, 400]))).toEqual(['faster', 'faster']);
    // Here it is not clear, and the other has to bear the correction for two.
    expect(verdicts(pair(LOW, LOW), pair([1, 2, 3, 4], [100, 200, 300, 400]))).toEqual(['same', 'same']);
  });

  test('takes another alpha', () => {
    expect(compareFigures([pair(LOW, HIGH)], { alpha: 0.001 })[0]).toMatchObject({
      verdict: 'too few runs',
      changeLow: null,
    });
    expect(compareFigures([pair([1, 2, 3], [4, 5, 6])], { alpha: 0.2 })[0]?.verdict).toBe('faster');
  });

  test('counts what ties make clearer than so few values could be without them', () => {
    const [tied] = compareFigures([pair([8, 8, 8, 1, 8], [9, 9])]);
    expect(tied?.correctedP).toBeCloseTo(1 / 21);
    expect(tied?.verdict).toBe('faster');
    expect(verdicts(pair([8, 7, 6, 1, 5], [9, 10])), 'the control').toEqual(['too few runs']);
  });

  test('of nothing is refused, no comparisons are none', () => {
    expect(() => compareFigures([pair([], [1])])).toThrow(RangeError);
    expect(() => compareFigures([pair([0], [1])])).toThrow(RangeError);
    expect(compareFigures([])).toEqual([]);
  });
});

const values = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });
const tables = fc.array(fc.tuple(values, values), { minLength: 1, maxLength: 5 });

describe('any table', () => {
  test('is corrected for all of its pairs, and tells nothing that its p does not bear', () => {
    fc.assert(
      fc.property(tables, (table) => {
        const found = compareFigures(table.map(([base, head]) => pair(base, head)));
        expect(found.map(({ correctedP }) => correctedP)).toEqual(holm(found.map(({ p }) => p)));
        for (const { verdict, correctedP } of found) {
          expect(verdict === 'faster' || verdict === 'slower').toBe(correctedP < 0.05);
        }
      }),
    );
  });

  test('the other way round says the opposite', () => {
    const opposite = { faster: 'slower', slower: 'faster', same: 'same', 'too few runs': 'too few runs' };
    fc.assert(
      fc.property(tables, (table) => {
        const there = compareFigures(table.map(([base, head]) => pair(base, head)));
        const back = compareFigures(table.map(([base, head]) => pair(head, base)));
        expect(back.map(({ verdict }) => verdict)).toEqual(there.map(({ verdict }) => opposite[verdict]));
      }),
    );
  });
});

test('the repetitions that a table needs', () => {
  expect([1, 2, 6, 7, 23, 24].map((comparisons) => repetitionsNeeded(comparisons))).toEqual([
    4, 5, 5, 6, 6, 7,
  ]);
  expect(repetitionsNeeded(1, 0.11)).toBe(3);
});

test('of equals, no more than the share that alpha allows is called different', () => {
  // A fixed generator: the same 2,000 samples each time. The exact test at 0.05 with 8 against 8 has a size of 0.0499.
  let state = 42;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648 + 1;
  };
  const draw = (): number[] => Array.from({ length: 8 }, random);
  let told = 0;
  for (let run = 0; run < 2_000; run += 1) if (verdicts(pair(draw(), draw()))[0] !== 'same') told += 1;
  expect(told).toBeGreaterThan(50);
  expect(told).toBeLessThan(140);
});
