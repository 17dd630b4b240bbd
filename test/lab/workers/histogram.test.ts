import { expect, it } from 'vitest';
import { Histogram } from '../../../lab/statistics/histogram.ts';

// What Node writes of the latencies 1, 1 and 2 µs: made with Node's zlib, where workerd has pako.
const FROM_NODE = 'HISTFAAAACF4nJNpmSzMwMDAzMDAwAilGaBshmuTlzDA+SxMAFL0A2M=';

it('records, writes and reads latencies in workerd, without WebAssembly or Node', () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 10_000; us += 1) histogram.record(us);
  const record = histogram.toRecord();
  expect(record).toMatchObject({ count: 10_000, minUs: 1, maxUs: 10_000 });
  // To three digits, rounded up.
  expect(record.p50Us).toBeGreaterThanOrEqual(5_000);
  expect(record.p50Us).toBeLessThanOrEqual(5_005);
  expect(record.hdr.startsWith('HISTFAAAA')).toBe(true);
  expect(Histogram.fromRecord(record).toRecord()).toEqual(record);
  expect(histogram.hgrm()).toContain('Total count    =        10000');
  expect(histogram.points().at(-1)).toEqual({ percentile: 100, oneIn: 10_000, us: 10_000 });
});

it('reads what Node has written', () => {
  const figures = { minUs: 1, meanUs: 1.333, p50Us: 1, p90Us: 2, p99Us: 2, p999Us: 2, maxUs: 2 };
  const histogram = Histogram.fromRecord({ count: 3, ...figures, hdr: FROM_NODE });
  expect(histogram.percentile(50)).toBe(1);
  expect(histogram.percentile(100)).toBe(2);
  expect(() => Histogram.fromRecord({ count: 3, ...figures, hdr: `${FROM_NODE.slice(0, 20)}AAAA` })).toThrow(
    'Cannot read a latency histogram',
  );
});
