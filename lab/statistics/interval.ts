/** Where the median lies, from the values alone: no shape of their distribution is assumed. */

/**
 * The ranks (from 1) of the two values between which the median lies with at least this confidence, and the confidence
 * that they have. A value lies below the median with a chance of one half, so how many do is binomial; the ranks are
 * the innermost ones, k and n + 1 - k, that still leave out no more than allowed (K. R. Nair, "Table of confidence
 * interval for the median", Sankhyā 4, 1940). Null where even the extremes would not do: below six values for 95 %.
 *
 * @param confidence above 0 and below 1
 */
export function medianRanks(
  n: number,
  confidence = 0.95,
): { low: number; high: number; confidence: number } | null {
  if (!(confidence > 0 && confidence < 1))
    throw new RangeError(`A confidence lies between 0 and 1, this one is ${confidence}`);
  let found: { low: number; high: number; confidence: number } | null = null;
  // In logarithms, since 2 to the power of -n is not a number any more for a thousand values.
  let logChance = -n * Math.LN2;
  let tail = 0;
  for (let rank = 1; rank <= n / 2; rank += 1) {
    tail += Math.exp(logChance);
    const reached = 1 - 2 * tail;
    // What rounding took must not cost a rank whose confidence is exactly the one asked for.
    if (reached < confidence - 1e-12) break;
    found = { low: rank, high: n + 1 - rank, confidence: reached };
    logChance += Math.log((n - rank + 1) / rank);
  }
  return found;
}

/**
 * The interval that holds the median of all runs like these with at least this confidence. Null where there are too few
 * values to tell: below six for 95 %.
 */
export function medianInterval(
  values: readonly number[],
  confidence = 0.95,
): { low: number; high: number } | null {
  const ranks = medianRanks(values.length, confidence);
  if (ranks === null) return null;
  const sorted = values.toSorted((left, right) => left - right);
  return { low: sorted[ranks.low - 1] as number, high: sorted[ranks.high - 1] as number };
}
