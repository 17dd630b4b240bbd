import { readdirSync, readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HistogramRecord } from '../../../lab/result.ts';
import { Histogram, MAX_LATENCY_US } from '../../../lab/statistics/histogram.ts';

function histogramOf(...latencies: number[]): Histogram {
  const histogram = new Histogram();
  for (const us of latencies) histogram.record(us);
  return histogram;
}

function recordOf(hdr: string, count: number, more: Partial<HistogramRecord> = {}): HistogramRecord {
  const zeros = { minUs: 0, meanUs: 0, p50Us: 0, p90Us: 0, p99Us: 0, p999Us: 0, maxUs: 0 };
  return { count, ...zeros, hdr, ...more };
}

const latency = fc.integer({ min: 1, max: MAX_LATENCY_US });

describe('a recorder', () => {
  test('tells the percentiles of 1 to 1,000 µs exactly', () => {
    const histogram = histogramOf(...Array.from({ length: 1_000 }, (_, index) => index + 1));
    expect(histogram.toRecord()).toMatchObject({
      count: 1_000,
      minUs: 1,
      meanUs: 500.5,
      p50Us: 500,
      p90Us: 900,
      p99Us: 990,
      p999Us: 999,
      maxUs: 1_000,
    });
    expect(histogram.percentile(0)).toBe(1);
    expect(histogram.percentile(100)).toBe(1_000);
  });

  test('tells every percentile to a thousandth, by the nearest rank', () => {
    fc.assert(
      fc.property(
        fc.array(latency, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 100 }),
        (latencies, percent) => {
          const sorted = latencies.toSorted((left, right) => left - right);
          const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1] as number;
          const told = histogramOf(...latencies).percentile(percent);
          expect(told).toBeGreaterThanOrEqual(exact);
          expect(told).toBeLessThanOrEqual(exact * 1.001);
        },
      ),
    );
  });

  test('takes 1 µs to an hour, and clamps and counts what is beyond', () => {
    const histogram = histogramOf(1, 60_000_000, MAX_LATENCY_US);
    expect(histogram).toMatchObject({ count: 3, clamped: 0 });
    for (const us of [0, -5, 0.3, MAX_LATENCY_US + 1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      histogram.record(us);
    }
    expect(histogram).toMatchObject({ count: 9, clamped: 6 });
    expect(histogram.toRecord()).toMatchObject({ count: 9, minUs: 1, maxUs: MAX_LATENCY_US });
  });

  test('does not let what is not a number look fast', () => {
    const histogram = histogramOf(Number.NaN);
    expect(histogram).toMatchObject({ count: 1, clamped: 1 });
    expect(histogram.percentile(50)).toBe(MAX_LATENCY_US);
  });

  test('rounds to whole microseconds, which is no clamping', () => {
    const histogram = histogramOf(0.5, 1.4, 2.6);
    expect(histogram.clamped).toBe(0);
    expect(histogram.toRecord()).toMatchObject({ minUs: 1, p50Us: 1, maxUs: 3 });
  });

  test('records many at once, beyond 32 bits', () => {
    const histogram = histogramOf(500);
    histogram.record(10, 5_000_000_000);
    expect(histogram.count).toBe(5_000_000_001);
    expect(Histogram.fromRecord(histogram.toRecord()).toRecord()).toEqual(histogram.toRecord());
    for (const count of [0, -1, 1.5, Number.NaN])
      expect(() => histogram.record(1, count)).toThrow(RangeError);
  });

  test('has no percentiles but 0 to 100', () => {
    for (const percent of [-1, 100.1, Number.NaN]) {
      expect(() => histogramOf(1).percentile(percent)).toThrow(RangeError);
    }
  });

  test('that recorded nothing says 0', () => {
    const empty = new Histogram();
    const record = empty.toRecord();
    expect(record).toMatchObject({ count: 0, minUs: 0, meanUs: 0, p50Us: 0, p999Us: 0, maxUs: 0 });
    expect(Histogram.fromRecord(record).toRecord()).toEqual(record);
    expect(empty.points()).toEqual([]);
  });
});

describe('merging', () => {
  test('is the same as recording all in one', () => {
    fc.assert(
      fc.property(fc.array(latency), fc.array(latency), (first, second) => {
        const merged = histogramOf(...first);
        merged.merge(histogramOf(...second));
        expect(merged.toRecord()).toEqual(histogramOf(...first, ...second).toRecord());
      }),
    );
  });

  test('adds what was clamped, and leaves the other as it was', () => {
    const first = histogramOf(0, 5);
    const second = histogramOf(-1);
    first.merge(second);
    expect([first.count, first.clamped, second.count]).toEqual([3, 2, 1]);
  });
});

describe('a record', () => {
  test('reads back as it was, extremes and mean included', () => {
    fc.assert(
      fc.property(fc.array(latency, { maxLength: 40 }), (latencies) => {
        const record = JSON.parse(JSON.stringify(histogramOf(...latencies).toRecord())) as HistogramRecord;
        expect(Histogram.fromRecord(record).toRecord()).toEqual(record);
      }),
    );
  });

  test('merges after it was read', () => {
    const merged = Histogram.fromRecord(histogramOf(10, 123_457).toRecord());
    merged.merge(Histogram.fromRecord(histogramOf(7, 99).toRecord()));
    expect(merged.toRecord()).toEqual(histogramOf(7, 10, 99, 123_457).toRecord());
  });

  test('is in the V2 encoding: compressed, zigzag, with the range in the head', () => {
    const { hdr } = histogramOf(1, 1, 2).toRecord();
    expect(hdr.startsWith('HISTFAAAA')).toBe(true);
    const bytes = Buffer.from(hdr, 'base64');
    expect(bytes.readUInt32BE(0)).toBe(0x1c849314);
    const head = inflateSync(bytes.subarray(8, 8 + bytes.readUInt32BE(4)));
    expect(head.readUInt32BE(0)).toBe(0x1c849313);
    expect([head.readInt32BE(12), head.readBigInt64BE(16), head.readBigInt64BE(24)]).toEqual([
      3,
      1n,
      BigInt(MAX_LATENCY_US),
    ]);
    // No latency of 0, two of 1, one of 2, each twice as much (zigzag).
    expect([...head.subarray(40)]).toEqual([0, 4, 2]);
  });

  test('reads what HdrHistogram_c has written', () => {
    // The samples of HdrHistogram_py's tests, made by HdrHistogram_c: ten thousand of 1 ms and one of 100 s, as they
    // are and corrected for coordinated omission.
    const plain = Histogram.fromRecord(
      recordOf('HISTFAAAACl4nJNpmSzMwMBgyAABzFCaEURcm7yEwf4DROA8/4I5jNM7mJgAlWkH9g==', 10_001),
    );
    expect(plain.percentile(50)).toBe(1_000);
    expect(plain.percentile(99.99)).toBe(1_000);
    expect(plain.percentile(100) / 100_000_000).toBeCloseTo(1, 3);
  });

  test.each([
    ['nothing', ''],
    ['no base64', '%%%'],
    ['another text', 'aGVsbG8gd29ybGQ='],
    ['a record cut off', 'HISTFAAAACl4nJNpmSzMwMBg'],
    ['a hoard', 'A'.repeat(300_000)],
    // One latency of 100 with no digits at all, from HdrHistogram (Java).
    ['a histogram of another kind', 'HISTFAAAABl4nJNpmSzMwMDAxIAKGCEU8wv7DxAWLxMASToDcw=='],
  ])('of %s is refused with one error', (_, hdr) => {
    expect(() => Histogram.fromRecord(recordOf(hdr, 1))).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    );
  });

  test('whose count is not that of its histogram is refused', () => {
    const record = histogramOf(1, 2, 3).toRecord();
    expect(() => Histogram.fromRecord({ ...record, count: 4 })).toThrow('it holds 3 of 4');
  });
});

/** What the plotter of HdrHistogram reads of a file: plotFiles.html, appendDataSeries. */
function plotted(text: string): { ms: number; oneIn: number }[] {
  return text.split('\n').flatMap((raw) => {
    const values = raw.trim().split(/[ ]+/);
    const [ms, oneIn] = [Number.parseFloat(values[0] ?? ''), Number.parseFloat(values[3] ?? '')];
    const isPoint = raw.trim()[0] !== '#' && values.length === 4 && !Number.isNaN(ms) && !Number.isNaN(oneIn);
    return isPoint ? [{ ms, oneIn }] : [];
  });
}

describe('the percentiles', () => {
  const histogram = histogramOf(...Array.from({ length: 10_000 }, (_, index) => (index + 1) * 10));

  test('are a table that the plotter loads, in milliseconds', () => {
    const text = histogram.hgrm();
    expect(text).toMatch(/^ +Value +Percentile +TotalCount +1\/\(1-Percentile\)\n\n/);
    expect(text).toContain('#[Mean    =       50.0');
    expect(text).toContain('#[Max     =      100.000, Total count    =        10000]');
    const points = plotted(text);
    expect(points.length).toBeGreaterThan(40);
    expect(points.find(({ oneIn }) => oneIn === 2)?.ms).toBeCloseTo(50, 1);
    expect(points.find(({ oneIn }) => oneIn === 10)?.ms).toBeCloseTo(90, 1);
    expect(points[0]?.oneIn).toBe(1);
  });

  test('are points that rise to the slowest of all', () => {
    const points = histogram.points();
    expect(points[0]).toEqual({ percentile: 0, oneIn: 1, us: 10 });
    expect(points.at(-1)).toEqual({ percentile: 100, oneIn: 10_000, us: 100_000 });
    points.slice(1).forEach(({ percentile, oneIn, us }, index) => {
      const before = points[index];
      expect(percentile).toBeGreaterThan(before?.percentile ?? 0);
      expect(oneIn).toBeGreaterThan(before?.oneIn ?? 0);
      expect(us).toBeGreaterThanOrEqual(before?.us ?? 0);
    });
    expect(points.find(({ percentile }) => percentile === 50)?.us).toBe(histogram.percentile(50));
  });

  test('are few points however many latencies there are', () => {
    const many = new Histogram();
    for (let us = 1; us <= MAX_LATENCY_US; us = Math.ceil(us * 1.01)) many.record(us, 1_000_000_000);
    expect(many.points().length).toBeLessThan(250);
    expect(many.toRecord().hdr.length).toBeLessThan(100_000);
  });

  test('of a single latency are that one', () => {
    expect(histogramOf(42).points()).toEqual([{ percentile: 100, oneIn: 1, us: 42 }]);
  });
});

test("nobody loads the library's entry, with which no Worker starts: it asks for `window`", () => {
  const root = new URL('../../../', import.meta.url);
  const imports = ['src', 'workers', 'lab'].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) =>
        [
          ...readFileSync(new URL(`${folder}/${path}`, root), 'utf8').matchAll(/'(hdr-histogram-js[^']*)'/g),
        ].map(([, specifier]) => specifier),
      ),
  );
  expect(imports).toContain('hdr-histogram-js/dist/JsHistogramFactory.js');
  expect(imports).not.toContain('hdr-histogram-js');
});
