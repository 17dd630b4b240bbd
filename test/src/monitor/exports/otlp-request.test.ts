import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExponentialHistogram, upperBorder, ZERO_INDEX } from '../../../../src/core/exponential-histogram.ts';
import { otlpBatches } from '../../../../src/monitor/exports/otlp-request.ts';
import { METRICS } from '../../../../src/monitor/metrics.ts';
import { AWKWARD, fullReport, NOW_MS } from '../full-report.ts';
import { type OtlpMetric, type OtlpRequest, throughTheDefinitions } from './collector.ts';
import { newFigures } from './figures.ts';

const RESOURCE = { service: 'sluice', instance: 'one' };

function requestsOf(...args: Parameters<typeof newFigures>): OtlpRequest[] {
  return otlpBatches(newFigures(...args), RESOURCE).map(({ body }) => JSON.parse(body()) as OtlpRequest);
}

const metricsOf = (requests: readonly OtlpRequest[]): OtlpMetric[] =>
  requests.flatMap(({ resourceMetrics }) =>
    resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics)),
  );

const pointsOf = ({ gauge, sum, exponentialHistogram }: OtlpMetric) =>
  (gauge ?? sum ?? exponentialHistogram)?.dataPoints ?? [];

describe('figures as OTLP', () => {
  const requests = requestsOf([fullReport(), fullReport({ shard: 1 })]);
  const metrics = metricsOf(requests);
  const metricNamed = (name: string): OtlpMetric => metrics.find((one) => one.name === name) as OtlpMetric;

  test('are what the protocol defines: nothing of them is lost on the way through its messages', () => {
    for (const request of requests) expect(throughTheDefinitions(request)).toEqual(request);
  });

  test.each<[string, (request: OtlpRequest) => unknown]>([
    ['a name that is unknown', (request) => Object.assign(metricIn(request), { units: 's' })],
    ['a 64-bit number that is no text', (request) => Object.assign(pointIn(request), { timeUnixNano: 17 })],
    ['a type that is unknown', (request) => Object.assign(metricIn(request), { distribution: {} })],
    ['a text as a number', (request) => Object.assign(pointIn(request), { asDouble: 'many' })],
  ])('a control: %s is found', (_, breaking) => {
    const [request] = structuredClone(requests) as [OtlpRequest];
    breaking(request);
    expect(throughTheDefinitions(request)).not.toEqual(request);
  });

  function metricIn(request: OtlpRequest): OtlpMetric {
    return metricsOf([request]).find(({ sum }) => sum !== undefined) as OtlpMetric;
  }

  function pointIn(request: OtlpRequest): object {
    return pointsOf(metricIn(request))[0] as object;
  }

  test('have every metric that was reported, with its type', () => {
    for (const { name, type, of } of METRICS.filter((metric) => metric.of !== 'monitor')) {
      const metric = metricNamed(`sluice_${name}`);
      expect(pointsOf(metric).length, name).toBeGreaterThan(of === 'database' ? 0 : 1);
      const kinds = { counter: 'sum', gauge: 'gauge', histogram: 'exponentialHistogram' };
      expect(metric, name).toHaveProperty(kinds[type]);
    }
  });

  test('say of whom they are, when, and that they are cumulative', () => {
    expect(requests[0]?.resourceMetrics[0]?.resource.attributes).toEqual([
      { key: 'service.name', value: { stringValue: 'sluice' } },
      { key: 'service.version', value: { stringValue: '1.2.3' } },
      { key: 'service.instance.id', value: { stringValue: 'one' } },
    ]);
    const dead = metricNamed('sluice_messages_dead_total');
    expect(dead.sum).toMatchObject({ aggregationTemporality: 2, isMonotonic: true });
    expect(dead.sum?.dataPoints[0]).toMatchObject({
      attributes: [
        { key: 'sink', value: { stringValue: 'readings' } },
        { key: 'shard', value: { stringValue: '0' } },
        { key: 'reason', value: { stringValue: AWKWARD } },
      ],
      timeUnixNano: `${NOW_MS - 1_000}000000`,
    });
    expect(metrics.filter(({ unit }) => unit === '1')).toEqual([]);
  });

  test('a histogram keeps each count in its bucket at scale 4, and what is 0 apart', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.constant(0),
            fc.double({ min: 1e-7, max: 1e5, noNaN: true }),
            fc.double({ min: 1, max: 2, noNaN: true }),
          ),
        ),
        (values) => {
          const histogram = new ExponentialHistogram();
          for (const value of values) histogram.record(value);
          const report = fullReport({ histograms: [['flush_duration_seconds', '', histogram.snapshot()]] });
          const metric = metricsOf(requestsOf([report])).find(({ name }) => name.includes('flush_duration'));
          expect(metric?.exponentialHistogram?.aggregationTemporality).toBe(2);
          const [point] = metric?.exponentialHistogram?.dataPoints ?? [];
          expect(point).toMatchObject({
            scale: 4,
            zeroThreshold: upperBorder(ZERO_INDEX),
            count: String(values.length),
            sum: histogram.sum,
            startTimeUnixNano: `${NOW_MS - 3_600_000}000000`,
          });
          const { offset, bucketCounts } = point?.positive ?? { offset: 0, bucketCounts: [] };
          const zeros = values.filter((value) => value <= (point?.zeroThreshold ?? 0)).length;
          expect(point?.zeroCount).toBe(String(zeros));
          // As the specification says: bucket i holds what is above base^i and at most base^(i + 1).
          const base = 2 ** (2 ** -4);
          bucketCounts.forEach((count, at) => {
            const lower = base ** (offset + at) * (1 + 1e-12);
            const upper = base ** (offset + at + 1) * (1 - 1e-12);
            const inside = values.filter((value) => value > lower && value <= upper).length;
            expect(Number(count)).toBeGreaterThanOrEqual(inside);
          });
          expect(bucketCounts.reduce((sum, count) => sum + Number(count), zeros)).toBe(values.length);
          expect([bucketCounts[0], bucketCounts.at(-1)]).not.toContain('0');
        },
      ),
      { numRuns: 100 },
    );
  });

  test('many points go in several requests, each of a bounded size, and none is lost', () => {
    const reports = Array.from({ length: 20 }, (_, shard) => fullReport({ shard, sink: 'many' }));
    const batches = requestsOf(reports);
    const sizes = batches.map((batch) =>
      metricsOf([batch]).reduce((sum, metric) => sum + pointsOf(metric).length, 0),
    );
    expect(sizes.length).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000);
    const all = metricsOf(batches).flatMap((metric) =>
      pointsOf(metric).map(({ attributes }) => JSON.stringify([metric.name, attributes])),
    );
    expect(new Set(all).size).toBe(all.length);
    expect(all.filter((one) => one.includes('sluice_queue_bytes'))).toHaveLength(20);
  });
});
