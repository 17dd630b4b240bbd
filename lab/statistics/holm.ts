/**
 * p values corrected for how many tests were made, after S. Holm ("A simple sequentially rejective multiple test
 * procedure", Scandinavian Journal of Statistics 6, 1979). Of twenty comparisons of equals one is below 0.05 by chance;
 * below a corrected 0.05 lies any of them in one table of twenty only.
 *
 * The k-th smallest of m values is multiplied by m + 1 - k, and is never below the one before it.
 *
 * @returns the corrected values in the order of the given ones, at most 1
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((p, index) => ({ p, index })).sort((left, right) => left.p - right.p);
  const corrected = new Array<number>(pValues.length);
  let floor = 0;
  order.forEach(({ p, index }, rank) => {
    floor = Math.max(floor, Math.min(1, p * (pValues.length - rank)));
    corrected[index] = floor;
  });
  return corrected;
}
