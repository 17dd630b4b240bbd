import { describe, expect, test } from 'vitest';
import { familiesOf } from '../../../src/monitor/families.ts';
import { METRICS } from '../../../src/monitor/metrics.ts';
import { acceptedFormat } from '../../../src/monitor/metrics-format.ts';
import { familyName, prometheusText } from '../../../src/monitor/prometheus-text.ts';
import { AWKWARD, fullReport, fullSources, NOW_MS } from './full-report.ts';
import { readMetricsText } from './metrics-text-rules.ts';

const FORMATS = ['prometheus', 'openmetrics'] as const;

const several = fullSources([
  fullReport(),
  fullReport({ shard: 1 }),
  fullReport({ sink: 'a "sink"\\\n', shard: 0 }),
]);

describe.each(FORMATS)('the text for %s', (format) => {
  const text = prometheusText(familiesOf(several), format);

  test('keeps the rules of the format', () => {
    const { faults, samples } = readMetricsText(text, format);
    expect(faults).toEqual([]);
    expect(samples.length).toBeGreaterThan(500);
  });

  test('has every metric of the table that anybody has reported', () => {
    const reported = METRICS.filter(({ of }) => of !== 'monitor');
    for (const metric of reported)
      expect(text).toContain(`\n# TYPE ${familyName(metric, format)} ${metric.type}\n`);
    expect(text).toContain('sluice_build_info{version="1.2.3"} 1\n');
    expect(text).toContain('sluice_monitor_points_left_out 0\n');
  });

  test('gives labels back as they were', () => {
    const { samples } = readMetricsText(text, format);
    const dead = samples.filter(({ name }) => name === 'sluice_messages_dead_total');
    expect(new Set(dead.map(({ labels }) => labels.reason))).toEqual(new Set([AWKWARD, 'other']));
    expect(new Set(dead.map(({ labels }) => labels.sink))).toEqual(new Set(['readings', 'a "sink"\\\n']));
  });

  test('counts durations up to each border, exactly', () => {
    const { samples } = readMetricsText(text, format);
    // 1 ms to 1,000 ms, five of 0 and one of a million seconds.
    const found = samples
      .filter(
        ({ name, labels }) =>
          name === 'sluice_flush_duration_seconds_bucket' &&
          labels.sink === 'readings' &&
          labels.shard === '0',
      )
      .map(({ labels, value }) => [Number(labels.le?.replace('+Inf', 'Infinity')), value]);
    const exact = (border: number): number =>
      5 + Math.min(1_000, Math.floor(border * 1_000)) + (border === Number.POSITIVE_INFINITY ? 1 : 0);
    expect(found).toHaveLength(21);
    expect(found).toEqual(found.map(([border]) => [border, exact(border as number)]));
    const batches = samples.filter(
      ({ name, labels }) =>
        name === 'sluice_batch_messages_bucket' && labels.sink === 'readings' && labels.shard === '0',
    );
    expect(batches.map(({ value }) => value).slice(0, 4)).toEqual([6, 7, 9, 13]);
  });
});

describe('the two formats', () => {
  const sources = fullSources();
  test('show the same series', () => {
    const [first, second] = FORMATS.map((format) =>
      readMetricsText(prometheusText(familiesOf(sources), format), format)
        .samples.filter(({ name }) => !name.endsWith('_created'))
        .map(({ name, labels: { le, ...labels }, value }) => ({ name, labels, le: Number(le), value })),
    );
    expect(second).toEqual(first);
  });

  test('of OpenMetrics: when histograms began, borders as floating-point numbers, units, an info', () => {
    const text = prometheusText(familiesOf(sources), 'openmetrics');
    expect(text).toContain(
      `sluice_flush_duration_seconds_created{sink="readings",shard="0"} ${NOW_MS / 1_000 - 3_600}\n`,
    );
    expect(text).toContain('le="1.0"');
    expect(text).toContain('# UNIT sluice_received_bytes bytes\n');
    expect(text).toContain('# TYPE sluice_build info\n');
    expect(prometheusText(familiesOf(sources), 'prometheus')).not.toContain('_created');
  });

  test('without any report, what the monitor says of itself is there', () => {
    const text = prometheusText(familiesOf({ ...sources, reports: [], databases: [] }), 'openmetrics');
    expect(readMetricsText(text, 'openmetrics')).toMatchObject({ faults: [] });
  });
});

describe('controls: a broken text is found', () => {
  const text = prometheusText(familiesOf(fullSources()), 'openmetrics');
  test.each<[string, (text: string) => string, string]>([
    ['a series twice', (good) => good.replace(/^sluice_queue_bytes\{.*\n/m, (line) => line + line), 'twice'],
    [
      'a HELP twice',
      (good) => good.replace(/^# HELP sluice_sockets .*\n/m, (line) => line + line),
      'HELP twice',
    ],
    ['no head', (good) => good.replace(/^# TYPE sluice_queue_bytes .*\n/m, ''), 'without its head'],
    ['a bucket that falls', (good) => good.replace(/(le="1.0"\}) \d+/, '$1 999999'), 'buckets fall'],
    [
      'a count that is not +Inf',
      (good) => good.replace(/(_seconds_count\{.*\}) \d+/, '$1 3'),
      'not the count',
    ],
    ['a label that is not escaped', (good) => good.replaceAll('\\"', '"'), 'no line of the format'],
    ['no end', (good) => good.replace('# EOF\n', ''), 'no # EOF'],
    ['a wrong unit', (good) => good.replace(/^(# UNIT \S+) bytes/m, '$1 seconds'), 'unit seconds'],
  ])('%s', (_, breaking, fault) => {
    const broken = breaking(text);
    expect(broken).not.toBe(text);
    expect(readMetricsText(broken, 'openmetrics').faults.join('\n')).toContain(fault);
  });
});

test.each([
  [undefined, 'prometheus'],
  ['', 'prometheus'],
  ['*/*', 'prometheus'],
  ['text/html,*/*;q=0.8', 'prometheus'],
  ['application/openmetrics-text', 'openmetrics'],
  // What Prometheus 2 and 3 ask with.
  [
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    'openmetrics',
  ],
  [
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    'openmetrics',
  ],
  ['text/plain;version=0.0.4;q=1, application/openmetrics-text;version=1.0.0;q=0.5', 'prometheus'],
  ['application/openmetrics-text;version=0.0.1', 'prometheus'],
  ['application/openmetrics-text; version="1.0.0"; q=0', 'prometheus'],
  ['application/openmetrics-text;q=nonsense', 'prometheus'],
])('Accept: %s is answered with %s', (accept, format) => {
  expect(acceptedFormat(accept)).toBe(format);
});
