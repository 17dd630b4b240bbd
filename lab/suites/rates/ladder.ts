/** The rates that a ladder asks for. */

/** BedrockRelay's baseline (its plan, step 4). Beyond, every step doubles the one before. */
const BASELINE_RATES = [100, 500, 1_000, 5_000] as const;

/**
 * The baseline's rates between two bounds, then doubled ones. The first is `from`, whether it is the baseline's or not;
 * none is above `to`.
 */
export function ladderRates(from: number, to: number): number[] {
  const rates = [from, ...BASELINE_RATES.filter((rate) => rate > from && rate <= to)];
  for (let next = 2 * (rates.at(-1) as number); next <= to; next *= 2) rates.push(next);
  return rates.filter((rate) => rate <= to);
}
