/** The normal distribution, for samples too large to count every outcome. */

const SQRT_PI = Math.sqrt(Math.PI);

/** Where the series and the continued fraction of erfc are both exact to all digits and short. */
const SERIES_BELOW = 3;

/**
 * The chance that a standard normal value lies as far from 0 as `z` or farther, on both sides: erfc(|z| / √2), by its
 * Taylor series near 0 and its continued fraction beyond (Abramowitz and Stegun, 7.1.6 and 7.1.14).
 */
export function normalTwoSided(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  return x < SERIES_BELOW ? 1 - erfBySeries(x) : erfcByFraction(x);
}

/** The `z` for which `normalTwoSided` is `p`. @param p above 0, at most 1 */
export function normalTwoSidedQuantile(p: number): number {
  if (!(p > 0 && p <= 1)) throw new RangeError(`A chance lies between 0 and 1, this one is ${p}`);
  let low = 0;
  let high = 40;
  // Each step halves the interval; after 60 it is narrower than a double can tell.
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (normalTwoSided(middle) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function erfBySeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; term > (sum * Number.EPSILON) / 4; n += 1) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / SQRT_PI) * Math.exp(-x * x) * sum;
}

function erfcByFraction(x: number): number {
  let fraction = x;
  for (let n = 60; n >= 1; n -= 1) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / SQRT_PI / fraction;
}
