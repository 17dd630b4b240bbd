import fc from 'fast-check';
import { expect, test } from 'vitest';
import { holm } from '../../../lab/statistics/holm.ts';

// Computed by the R package multtest (mt.rawp2adjp, procedure "Holm"), as statsmodels keeps them to test its own
// (statsmodels/stats/tests/test_multi.py: res_multtest1, res_multtest2, res_multtest3).
test.each([
  {
    raw: [
      5.23656777208e-5, 2.8140506198e-4, 1.49877310796e-2, 2.02732688798e-2, 1.77096952723e-1, 0.642193923795,
      0.680845947633, 0.71626938238, 0.838541367553, 0.967833824309,
    ],
    corrected: [
      5.23656777208e-4, 2.53264555782e-3, 1.199018486368e-1, 1.4191288215860001e-1, 1, 1, 1, 1, 1, 1,
    ],
  },
  {
    raw: [0.002, 0.004, 0.006, 0.008, 0.01, 0.012],
    corrected: [0.012, 0.02, 0.024, 0.024, 0.024, 0.024],
  },
  {
    raw: [0.001, 0.002, 0.003, 0.004, 0.005, 0.05, 0.06, 0.07, 0.08, 0.09],
    corrected: [0.01, 0.018, 0.024, 0.028, 0.03, 0.25, 0.25, 0.25, 0.25, 0.25],
  },
])('$raw becomes $corrected', ({ raw, corrected }) => {
  holm(raw).forEach((p, index) => {
    expect(p).toBeCloseTo(corrected[index] as number, 12);
  });
  // The order in which they are given does not matter.
  expect(holm(raw.toReversed())).toEqual(holm(raw).toReversed());
});

test('one test is not corrected, none is nothing', () => {
  expect(holm([0.03])).toEqual([0.03]);
  expect(holm([])).toEqual([]);
});

test('no corrected value falls when a raw one rises', () => {
  const pValues = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(pValues, fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (raw, at, more) => {
      const risen = raw.map((p, index) => (index === at % raw.length ? Math.max(p, more) : p));
      const before = holm(raw);
      holm(risen).forEach((p, index) => {
        expect(p).toBeGreaterThanOrEqual(before[index] as number);
        expect(p).toBeGreaterThanOrEqual(risen[index] as number);
      });
    }),
  );
});
