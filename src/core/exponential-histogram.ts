/**
 * A histogram of durations in seconds, of sizes, or of other values above 0, with the buckets of OpenTelemetry's exponential histogram
 * at scale 4: bucket `i` holds what is above 2^(i/16) and at most 2^((i+1)/16) of the unit, exactly. So it maps to OpenTelemetry and
 * to Prometheus without a guess. Fixed memory (about 5 KB), percentiles within 2.3 percent, and mergeable: shards can be summed.
 *
 * Values from 2^-20 (a microsecond, of seconds) to 2^20 (12 days; a million) have buckets. What is less, 0 above all, is counted in the
 * zero bucket, `ZERO_INDEX`. What is more counts as 2^20.
 */

/** Buckets of one power of two. */
export const STEPS_PER_OCTAVE = 16;
const LOWEST_OCTAVE = -20;
const HIGHEST_OCTAVE = 20;

/** The buckets' own numbers, as OpenTelemetry counts them. */
export const MIN_INDEX = LOWEST_OCTAVE * STEPS_PER_OCTAVE;
export const MAX_INDEX = HIGHEST_OCTAVE * STEPS_PER_OCTAVE - 1;
/** The bucket of all that is at most `ZERO_THRESHOLD`. OpenTelemetry has a count of its own for it. */
export const ZERO_INDEX = MIN_INDEX - 1;
export const ZERO_THRESHOLD = 2 ** LOWEST_OCTAVE;
const LARGEST = 2 ** HIGHEST_OCTAVE;

const BUCKETS = MAX_INDEX - ZERO_INDEX + 1;

/**
 * 2^(step/16), each as the largest double that is not above it: a value is above the border if it is above this number. A test proves them.
 * `Math.SQRT2` and some of `2 ** (step / 16)` are the next larger double.
 */
const STEP_BORDERS = (
  '1 1.0442737824274138 1.0905077326652575 1.1387886347566916 1.189207115002721 1.241857812073484 1.2968395546510096 1.3542555469368927 ' +
  '1.414213562373095 1.4768261459394991 1.5422108254079407 1.6104903319492543 1.681792830507429 1.7562521603732995 1.8340080864093424 ' +
  '1.9152065613971472'
)
  .split(' ')
  .map(Number);

/** The upper border of each bucket, from the zero bucket on. */
const UPPER_BORDERS = Float64Array.from(
  { length: BUCKETS },
  (_, place) =>
    2 ** (LOWEST_OCTAVE + Math.floor(place / STEPS_PER_OCTAVE)) *
    (STEP_BORDERS[place % STEPS_PER_OCTAVE] as number),
);

/** What some histogram counted: buckets with a count, lowest first, and their counts. */
export interface Buckets {
  readonly indexes: readonly number[];
  readonly counts: readonly number[];
}

/** A histogram as plain data: the buckets that counted something, in two columns, with the exact sum and the exact maximum. */
export interface HistogramSnapshot {
  count: number;
  sum: number;
  max: number;
  /** OpenTelemetry's own, and `ZERO_INDEX`; lowest first. */
  indexes: number[];
  counts: number[];
}

/** The largest value of a bucket. @param index `ZERO_INDEX` to `MAX_INDEX` */
export function upperBorder(index: number): number {
  return UPPER_BORDERS[index - ZERO_INDEX] as number;
}

/** The bucket that holds a value. What is no number counts as 0. */
export function bucketOf(value: number): number {
  if (!(value > ZERO_THRESHOLD)) return ZERO_INDEX;
  if (value >= LARGEST) return MAX_INDEX;
  // The logarithm is rounded: near a border it may name the bucket beside.
  const index = Math.ceil(Math.log2(value) * STEPS_PER_OCTAVE) - 1;
  if (value > (UPPER_BORDERS[index - ZERO_INDEX] as number)) return index + 1;
  return value > (UPPER_BORDERS[index - ZERO_INDEX - 1] as number) ? index : index - 1;
}

/**
 * The value below which `quantile` (0 to 1) of all lie, by nearest rank: the middle of its bucket, so within 2.3 percent.
 *
 * @param max the largest value, where it is known: no percentile is above it
 * @returns undefined where nothing was counted
 */
export function percentileOf(
  { indexes, counts }: Buckets,
  quantile: number,
  max = Number.POSITIVE_INFINITY,
): number | undefined {
  const count = counts.reduce((sum, one) => sum + one, 0);
  if (count === 0) return undefined;
  const rank = Math.max(1, Math.ceil(quantile * count));
  let seen = 0;
  for (const [at, index] of indexes.entries()) {
    seen += counts[at] as number;
    if (seen >= rank) return Math.min(middleOf(index), max);
  }
  return max;
}

function middleOf(index: number): number {
  return index === ZERO_INDEX ? ZERO_THRESHOLD : (upperBorder(index - 1) + upperBorder(index)) / 2;
}

export class ExponentialHistogram {
  // Doubles: some shards count more than 2^32 acks.
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** The sum of all values; what is below 0 or no number adds nothing. */
  get sum(): number {
    return this.#sum;
  }

  /**
   * Counts a value, of which there are some.
   *
   * @param times how many of it there are, a whole number; 1 by default
   */
  record(value: number, times = 1): void {
    const place = bucketOf(value) - ZERO_INDEX;
    this.#counts[place] = (this.#counts[place] as number) + times;
    this.#count += times;
    if (!(value > 0)) return;
    const counted = Math.min(value, LARGEST);
    this.#sum += counted * times;
    if (counted > this.#max) this.#max = counted;
  }

  /** As `percentileOf`. */
  percentile(quantile: number): number | undefined {
    return percentileOf(this.snapshot(), quantile, this.#max);
  }

  /** The middle of each bucket that counted something, with its count; lowest first. */
  *buckets(): Generator<[middle: number, count: number], void, undefined> {
    const { indexes, counts } = this.snapshot();
    for (const [at, index] of indexes.entries())
      yield [Math.min(middleOf(index), this.#max), counts[at] as number];
  }

  snapshot(): HistogramSnapshot {
    const indexes: number[] = [];
    const counts: number[] = [];
    for (let place = 0; place < BUCKETS; place += 1) {
      const count = this.#counts[place] as number;
      if (count === 0) continue;
      indexes.push(place + ZERO_INDEX);
      counts.push(count);
    }
    return { count: this.#count, sum: this.#sum, max: this.#max, indexes, counts };
  }

  /**
   * Adds what another histogram counted.
   *
   * @throws RangeError for buckets that do not exist: snapshots come over a wire
   */
  merge({ count, sum, max, indexes, counts }: HistogramSnapshot): void {
    for (const index of indexes) {
      if (!(index >= ZERO_INDEX && index <= MAX_INDEX && Number.isInteger(index)))
        throw new RangeError(`Cannot merge bucket ${index}: ${ZERO_INDEX} to ${MAX_INDEX} exist`);
    }
    for (const [at, index] of indexes.entries()) {
      const place = index - ZERO_INDEX;
      this.#counts[place] = (this.#counts[place] as number) + (counts[at] ?? 0);
    }
    this.#count += count;
    this.#sum += sum;
    this.#max = Math.max(this.#max, max);
  }
}
