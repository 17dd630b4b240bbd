/**
 * Latencies as an HdrHistogram (Gil Tene's High Dynamic Range histogram): every latency is kept to three digits, the
 * rare long ones like the common short ones, in memory that does not grow.
 *
 * It runs where Node does and in workerd. The library's entry does not: it asks for `window` as it loads, for its
 * WebAssembly, which no Worker has. So the parts are taken that have nothing to do with that; where their way to Node's
 * zlib is closed they use pako.
 */

import { decompress, doDecode } from 'hdr-histogram-js/dist/JsHistogram.encoding.js';
import type JsHistogram from 'hdr-histogram-js/dist/JsHistogram.js';
import { constructorFromBucketSize } from 'hdr-histogram-js/dist/JsHistogramFactory.js';
import { errorText, SluiceError } from '../../src/core/errors.ts';
import type { HistogramRecord } from '../result.ts';

/** The shortest and the longest latency that are told apart: 1 µs and one hour. */
export const MIN_LATENCY_US = 1;
export const MAX_LATENCY_US = 3_600_000_000;

/** Values are kept to a thousandth of themselves. */
const DIGITS = 3;

/** Steps of the percentile table and of the chart, in each half of the way that is left to 100 %. */
const TICKS_PER_HALF = 5;

/** A full histogram takes below 100,000 characters; more than this is none. */
const MAX_ENCODED_CHARACTERS = 262_144;

/** Counts of 64 bits: those of 32 would begin at 0 again after four thousand million. */
const COUNT_BITS = 64;
const Counts = constructorFromBucketSize(COUNT_BITS);

/** A point of the percentile chart. */
export interface PercentilePoint {
  /** 0 to 100. */
  percentile: number;
  /** One in so many is slower: 1 / (1 - percentile / 100), the chart's logarithmic axis. The count for the slowest. */
  oneIn: number;
  us: number;
}

/** Records latencies in microseconds. It takes 188 KiB however many there are. */
export class Histogram {
  readonly #counts = new Counts(MIN_LATENCY_US, MAX_LATENCY_US, DIGITS);
  #sumUs = 0;
  #clamped = 0;

  /** How many latencies were recorded. */
  get count(): number {
    return this.#counts.totalCount;
  }

  /** How many of them were shorter or longer than can be told, and count as the shortest or longest that can. */
  get clamped(): number {
    return this.#clamped;
  }

  /**
   * Records a latency, rounded to whole microseconds. What is out of range is clamped to it and counted: a clock that
   * stands still or goes back must not end a run. What is not a number counts as the longest, so that it cannot make a
   * figure look better.
   *
   * @param count how many such latencies; a whole number from 1
   */
  record(us: number, count = 1): void {
    if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`Cannot record ${count} latencies`);
    const rounded = Math.round(us);
    const kept = Number.isNaN(rounded)
      ? MAX_LATENCY_US
      : Math.min(Math.max(rounded, MIN_LATENCY_US), MAX_LATENCY_US);
    if (kept !== rounded) this.#clamped += count;
    this.#counts.recordValueWithCount(kept, count);
    this.#sumUs += kept * count;
  }

  /** Adds all that another has recorded. */
  merge(other: Histogram): void {
    this.#counts.add(other.#counts);
    this.#sumUs += other.#sumUs;
    this.#clamped += other.#clamped;
  }

  /**
   * The latency in microseconds that this share of all does not exceed, to three digits; 0 where there is none.
   *
   * @param percent 0 to 100
   */
  percentile(percent: number): number {
    if (!(percent >= 0 && percent <= 100)) throw new RangeError(`There is no percentile ${percent}`);
    if (percent === 0) return this.#minUs;
    // The upper end of the slowest one's step may be above the slowest, which is known exactly.
    return Math.min(this.#counts.getValueAtPercentile(percent), this.#counts.maxValue);
  }

  /** All of it as data: percentiles to be read, and the counts in HdrHistogram's V2 encoding. */
  toRecord(): HistogramRecord {
    return {
      count: this.count,
      minUs: this.#minUs,
      meanUs: this.count === 0 ? 0 : Math.round((this.#sumUs / this.count) * 1_000) / 1_000,
      p50Us: this.percentile(50),
      p90Us: this.percentile(90),
      p99Us: this.percentile(99),
      p999Us: this.percentile(99.9),
      maxUs: this.#counts.maxValue,
      hdr: this.#counts.encodeIntoCompressedBase64(),
    };
  }

  /**
   * Reads a record back. How many latencies were clamped is not part of it.
   *
   * @throws SluiceError `invalid_options` where the encoded counts cannot be read or are not those of the record
   */
  static fromRecord(record: HistogramRecord): Histogram {
    const histogram = new Histogram();
    const counts = histogram.#counts;
    counts.add(decode(record.hdr));
    if (counts.totalCount !== record.count)
      throw unreadable(`it holds ${counts.totalCount} of ${record.count}`);
    if (record.count === 0) return histogram;
    // The encoding knows the extremes to three digits only.
    if (counts.countsArrayIndex(record.maxUs) === counts.countsArrayIndex(counts.maxValue))
      counts.maxValue = record.maxUs;
    if (counts.countsArrayIndex(record.minUs) === counts.countsArrayIndex(counts.minNonZeroValue))
      counts.minNonZeroValue = record.minUs;
    histogram.#sumUs = record.meanUs * record.count;
    return histogram;
  }

  /**
   * The percentiles as a table of text (`.hgrm`), in milliseconds, which is what the plotter of HdrHistogram takes
   * files for (hdrhistogram.github.io/HdrHistogram/plotFiles.html).
   */
  hgrm(): string {
    return this.#counts.outputPercentileDistribution(TICKS_PER_HALF, 1_000);
  }

  /** The percentiles as the points of a chart, from the fastest to the slowest; none where nothing was recorded. */
  points(): PercentilePoint[] {
    const points: PercentilePoint[] = [];
    if (this.count === 0) return points;
    const iterator = this.#counts.percentileIterator;
    iterator.reset(TICKS_PER_HALF);
    while (iterator.hasNext()) {
      const { percentileLevelIteratedTo: percentile, valueIteratedTo } = iterator.next();
      const oneIn = 100 / (100 - percentile);
      // One in a thousand of a hundred latencies is none of them.
      if (oneIn < this.count)
        points.push({ percentile, oneIn, us: Math.min(valueIteratedTo, this.#counts.maxValue) });
    }
    points.push({ percentile: 100, oneIn: this.count, us: this.#counts.maxValue });
    return points;
  }

  get #minUs(): number {
    return this.count === 0 ? 0 : this.#counts.minNonZeroValue;
  }
}

function decode(hdr: string): JsHistogram {
  if (typeof hdr !== 'string' || hdr.length > MAX_ENCODED_CHARACTERS) throw unreadable('it is too long');
  let decoded: JsHistogram;
  try {
    const bytes = Uint8Array.from(atob(hdr), (character) => character.charCodeAt(0));
    decoded = doDecode(decompress(bytes), COUNT_BITS);
  } catch (error) {
    throw unreadable(errorText(error));
  }
  const isOfThisKind =
    decoded.numberOfSignificantValueDigits === DIGITS &&
    decoded.lowestDiscernibleValue === MIN_LATENCY_US &&
    decoded.maxValue <= MAX_LATENCY_US * 1.001;
  if (!isOfThisKind) throw unreadable('it is not in microseconds up to an hour with three digits');
  return decoded;
}

function unreadable(why: string): SluiceError {
  return new SluiceError('invalid_options', `Cannot read a latency histogram: ${why}`);
}
