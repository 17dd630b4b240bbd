/**
 * A histogram of durations with logarithmic buckets: fixed memory (about 2 KB), percentiles within 4 percent, and
 * mergeable, so that shards can be summed. Small enough for a Durable Object.
 */

// Each power of two is split into 16 steps, the largest of which is 1/16 = 6.25 % wide; the middle of a bucket is
// therefore within about 3.2 % of any value in it. 0.001 ms to 2^27 ms (37 hours) takes 37 powers of two.
const STEPS_PER_OCTAVE = 16;
const SMALLEST_MS = 2 ** -10;
const OCTAVES = 37;
const BUCKETS = STEPS_PER_OCTAVE * OCTAVES;

/** A histogram as plain data: the buckets that counted something, in two columns, and the exact maximum. */
export interface HistogramSnapshot {
  count: number;
  maxMs: number;
  indexes: number[];
  counts: number[];
}

export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  /** Counts one duration. Below 1 µs it counts as 1 µs. */
  record(durationMs: number): void {
    const index = bucketOf(durationMs);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#count += 1;
    if (durationMs > this.#maxMs) this.#maxMs = durationMs;
  }

  /**
   * The duration below which `quantile` (0 to 1) of all durations lie, by nearest rank; undefined where nothing was
   * recorded.
   */
  percentile(quantile: number): number | undefined {
    if (this.#count === 0) return undefined;
    const rank = Math.max(1, Math.ceil(quantile * this.#count));
    let seen = 0;
    for (let index = 0; index < BUCKETS; index += 1) {
      seen += this.#counts[index] as number;
      if (seen >= rank) return Math.min(bucketMiddleMs(index), this.#maxMs);
    }
    return this.#maxMs;
  }

  /** The middle of each bucket that counted something, in milliseconds, with its count; shortest first. */
  *buckets(): Generator<[middleMs: number, count: number], void, undefined> {
    for (let index = 0; index < BUCKETS; index += 1) {
      const count = this.#counts[index] as number;
      if (count > 0) yield [Math.min(bucketMiddleMs(index), this.#maxMs), count];
    }
  }

  snapshot(): HistogramSnapshot {
    const indexes: number[] = [];
    const counts: number[] = [];
    for (let index = 0; index < BUCKETS; index += 1) {
      const count = this.#counts[index] as number;
      if (count === 0) continue;
      indexes.push(index);
      counts.push(count);
    }
    return { count: this.#count, maxMs: this.#maxMs, indexes, counts };
  }

  /** Adds what another histogram counted. Buckets that do not exist here are refused: they come over a wire. */
  merge(snapshot: HistogramSnapshot): void {
    for (const [at, index] of snapshot.indexes.entries()) {
      if (!(index >= 0 && index < BUCKETS))
        throw new RangeError(`Cannot merge bucket ${index}: 0 to ${BUCKETS - 1} exist`);
      this.#counts[index] = (this.#counts[index] as number) + (snapshot.counts[at] ?? 0);
    }
    this.#count += snapshot.count;
    this.#maxMs = Math.max(this.#maxMs, snapshot.maxMs);
  }
}

function bucketOf(durationMs: number): number {
  if (!(durationMs > SMALLEST_MS)) return 0;
  const scaled = durationMs / SMALLEST_MS;
  const octave = Math.floor(Math.log2(scaled));
  const step = Math.floor((scaled / 2 ** octave - 1) * STEPS_PER_OCTAVE);
  return Math.min(BUCKETS - 1, octave * STEPS_PER_OCTAVE + step);
}

function bucketMiddleMs(index: number): number {
  const octave = Math.floor(index / STEPS_PER_OCTAVE);
  const step = index % STEPS_PER_OCTAVE;
  return SMALLEST_MS * 2 ** octave * (1 + (step + 0.5) / STEPS_PER_OCTAVE);
}
