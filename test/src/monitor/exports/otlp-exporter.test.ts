import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemTimers } from '../../../../src/core/timers.ts';
import {
  GIVE_UP_MS,
  MAX_QUEUED_BATCHES,
  OtlpExporter,
  type OtlpPorts,
  REQUEST_MS,
} from '../../../../src/monitor/exports/otlp-exporter.ts';
import { readOtlpOptions } from '../../../../src/monitor/exports/otlp-options.ts';
import { retryAfterMs } from '../../../../src/monitor/exports/retry-after.ts';
import { FakeTimers } from '../../../support/fake-timers.ts';
import { fullReport } from '../full-report.ts';
import { type Collector, type CollectorAnswer, startCollector, throughTheDefinitions } from './collector.ts';
import { newFigures } from './figures.ts';

/** The full report has more. */
const POINTS = 50;

describe('to a collector', () => {
  let collector: Collector;
  beforeEach(async () => {
    collector = await startCollector();
  });
  afterEach(() => collector.close());

  test('figures arrive as the protocol defines them, with the headers', async () => {
    const options = readOtlpOptions({ OTLP_URL: collector.url, OTLP_HEADERS: 'x-key=a%20secret' });
    const exporter = new OtlpExporter(options as NonNullable<typeof options>, 'one', {
      fetch: (url, init) => fetch(url, init),
      timers: systemTimers,
      random: () => 0,
      log: () => {},
    });
    await exporter.push(newFigures());
    expect(collector.received).toMatchObject([
      { path: '/v1/metrics', headers: { 'x-key': 'a secret', 'content-type': 'application/json' } },
    ]);
    for (const { request } of collector.received) expect(throughTheDefinitions(request)).toEqual(request);
    expect(exporter.counts.sent).toBeGreaterThan(POINTS);
    expect(exporter.counts.lost).toBe(0);
  });

  test('a redirect is not followed: the headers are for one address', async () => {
    const elsewhere = await startCollector();
    try {
      collector.answers.push({ status: 307, headers: { location: `${elsewhere.url}/v1/metrics` } });
      const exporter = exporterFor(collector, new FakeTimers()).exporter;
      await exporter.push(newFigures());
      expect(elsewhere.received).toEqual([]);
      expect(exporter.counts).toMatchObject({ sent: 0 });
    } finally {
      await elsewhere.close();
    }
  });
});

function exporterFor(to: { url: string }, timers: FakeTimers, parts: Partial<OtlpPorts> = {}) {
  const lines: string[] = [];
  const exporter = new OtlpExporter(
    { url: new URL(`${to.url}/v1/metrics`), headers: {}, service: 'sluice' },
    'one',
    {
      fetch: (url, init) => fetch(url, init),
      timers,
      random: () => 0.5,
      log: (level, message) => lines.push(`${level}: ${message}`),
      ...parts,
    },
  );
  return { exporter, lines };
}

/** An exporter whose collector gives these answers, one for each try; the last one for all that follow. */
function answeredWith(...answers: (CollectorAnswer | 'broken')[]) {
  const timers = new FakeTimers();
  const tries: number[] = [];
  const { exporter, lines } = exporterFor({ url: 'http://collector.test:4318' }, timers, {
    async fetch() {
      const answer = answers[Math.min(tries.length, answers.length - 1)] ?? {};
      tries.push(timers.now());
      if (answer === 'broken') throw new TypeError('connection refused');
      return new Response(answer.body ?? '{}', {
        status: answer.status ?? 200,
        headers: answer.headers ?? {},
      });
    },
  });
  return { exporter, lines, timers, tries };
}

/** Lets everything happen that no timer holds back. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

describe('what a collector answers', () => {
  test.each([429, 502, 503, 504])('%d is tried again, later each time', async (status) => {
    const { exporter, timers, tries } = answeredWith({ status }, { status }, {});
    const pushed = exporter.push(newFigures());
    await settle();
    expect([tries.length, timers.pending]).toEqual([1, 1]);
    timers.advance(1_000);
    await settle();
    expect(tries).toHaveLength(2);
    timers.advance(2_000);
    await pushed;
    expect(tries).toHaveLength(3);
    expect((tries[2] as number) - (tries[1] as number)).toBeGreaterThan(
      (tries[1] as number) - (tries[0] as number),
    );
    expect(exporter.counts.lost).toBe(0);
    expect(exporter.counts.sent).toBeGreaterThan(POINTS);
  });

  test.each([300, 400, 401, 403, 404, 408, 413, 500, 501, 505])('%d is not tried again', async (status) => {
    const { exporter, timers, tries, lines } = answeredWith({ status });
    await exporter.push(newFigures());
    expect(tries).toHaveLength(1);
    expect(timers.pending).toBe(0);
    expect(exporter.counts).toMatchObject({ sent: 0 });
    expect(exporter.counts.lost).toBeGreaterThan(POINTS);
    expect(lines).toEqual([
      `warn: The collector collector.test:4318 does not take metrics: it answered ${status}`,
    ]);
  });

  test('Retry-After is waited for, and no longer', async () => {
    const { exporter, timers, tries } = answeredWith({ status: 503, headers: { 'retry-after': '7' } }, {});
    const pushed = exporter.push(newFigures());
    await settle();
    timers.advance(6_999);
    await settle();
    expect(tries).toHaveLength(1);
    timers.advance(1);
    await pushed;
    expect(tries).toHaveLength(2);
  });

  test('one that is longer than a batch may wait gives it up at once', async () => {
    const { exporter, timers, tries } = answeredWith({ status: 429, headers: { 'retry-after': '3600' } });
    await exporter.push(newFigures());
    expect([tries.length, timers.pending]).toEqual([1, 0]);
    expect(exporter.counts.lost).toBeGreaterThan(POINTS);
  });

  test('a connection that breaks is tried again, for a bounded time, and then nothing is pending', async () => {
    const { exporter, timers, tries, lines } = answeredWith('broken');
    let isOver = false;
    const startMs = timers.now();
    void exporter.push(newFigures()).then(() => {
      isOver = true;
    });
    while (!isOver) {
      await settle();
      timers.advance(500);
    }
    expect(timers.now() - startMs).toBeLessThanOrEqual(GIVE_UP_MS + 1_000);
    expect(timers.pending).toBe(0);
    expect(tries.length).toBeGreaterThan(3);
    expect(exporter.counts).toMatchObject({ sent: 0 });
    // One line, however often it failed.
    expect(lines).toEqual([
      'warn: The collector collector.test:4318 does not take metrics: connection refused',
    ]);
  });

  test('a return is told once', async () => {
    const { exporter, lines } = answeredWith({ status: 401 }, {}, {});
    for (let push = 0; push < 3; push += 1) await exporter.push(newFigures());
    expect(lines.map((line) => line.slice(0, 4))).toEqual(['warn', 'info']);
  });

  test('what it rejected of a request is counted, and not sent again', async () => {
    const body = JSON.stringify({ partialSuccess: { rejectedDataPoints: '3', errorMessage: 'too old' } });
    const { exporter, tries, lines } = answeredWith({ body });
    await exporter.push(newFigures());
    expect(tries).toHaveLength(1);
    expect(exporter.counts.lost).toBe(3);
    expect(exporter.counts.sent).toBeGreaterThan(POINTS);
    expect(lines[0]).toContain('3 of');
    expect(lines[0]).toContain('too old');
  });

  test.each([
    '',
    'no JSON',
    '{}',
    '{"partialSuccess":{}}',
    'null',
    '{"partialSuccess":{"rejectedDataPoints":"0"}}',
  ])('with 200 and %j it took all', async (body) => {
    const { exporter } = answeredWith({ body });
    await exporter.push(newFigures());
    expect(exporter.counts.lost).toBe(0);
    expect(exporter.counts.sent).toBeGreaterThan(POINTS);
  });

  test('one that does not answer is left after ten seconds', async () => {
    const timers = new FakeTimers();
    let aborted = 0;
    const { exporter } = exporterFor({ url: 'http://collector.test' }, timers, {
      fetch: (_, { signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => {
            aborted += 1;
            reject(signal.reason);
          });
        }),
    });
    const pushed = exporter.push(newFigures());
    await settle();
    timers.advance(REQUEST_MS);
    await settle();
    expect(aborted).toBe(1);
    while (exporter.counts.lost === 0) {
      timers.advance(1_000);
      await settle();
    }
    await pushed;
    expect(timers.pending).toBe(0);
  });
});

test('the queue is bounded, the oldest figures go first, and one that is away loses all that wait', async () => {
  const timers = new FakeTimers();
  const answer = Promise.withResolvers<Response>();
  const bodies: string[] = [];
  const { exporter } = exporterFor({ url: 'http://collector.test' }, timers, {
    fetch(_, { body }) {
      bodies.push(String(body));
      return bodies.length === 1 ? answer.promise : Promise.resolve(new Response('{}'));
    },
  });
  const few = (shard: number) =>
    newFigures([fullReport({ shard, counters: [], gauges: [], histograms: [] })], { databases: [] });
  const pushed = exporter.push(few(0));
  for (let shard = 1; shard <= MAX_QUEUED_BATCHES + 5; shard += 1) void exporter.push(few(shard));
  const perBatch = exporter.counts.lost / 5;
  expect(Number.isInteger(perBatch) && perBatch > 0).toBe(true);
  answer.resolve(new Response('{}'));
  await pushed;
  expect(bodies).toHaveLength(1 + MAX_QUEUED_BATCHES);
  expect(bodies[1]).toContain('"stringValue":"6"');
  expect(exporter.counts.sent).toBe(bodies.length * perBatch);

  const away = answeredWith({ status: 503, headers: { 'retry-after': '100' } });
  const first = away.exporter.push(few(0));
  void away.exporter.push(few(1));
  await first;
  expect(away.tries).toHaveLength(1);
  expect(away.exporter.counts).toEqual({ sent: 0, lost: 2 * perBatch });
});

describe('the variables', () => {
  test('unset, nothing is sent', () => {
    expect(readOtlpOptions({})).toBeUndefined();
    expect(readOtlpOptions({ OTLP_URL: '  ', OTLP_HEADERS: 'a=b' })).toBeUndefined();
  });

  test.each([
    ['https://otel.example.com:4318', 'https://otel.example.com:4318/v1/metrics'],
    ['https://otel.example.com/otlp/', 'https://otel.example.com/otlp/v1/metrics'],
    ['http://collector/v1/metrics', 'http://collector/v1/metrics'],
    ['https://collector/v1/metrics/?key=1', 'https://collector/v1/metrics?key=1'],
  ])('%s is asked at %s', (OTLP_URL, href) => {
    expect(readOtlpOptions({ OTLP_URL })?.url.href).toBe(href);
  });

  test('headers are read as OpenTelemetry writes them', () => {
    const OTLP_HEADERS = 'Authorization=Basic%20abc%3D%3D, x-scope = tenant=1 ,';
    expect(readOtlpOptions({ OTLP_URL: 'https://a', OTLP_HEADERS })).toMatchObject({
      headers: { authorization: 'Basic abc==', 'x-scope': 'tenant=1' },
      service: 'sluice',
    });
  });

  test.each([
    ['OTLP_URL', 'collector:4318'],
    ['OTLP_URL', 'ftp://collector'],
    ['OTLP_URL', 'https://name:secret-word@collector'],
    ['OTLP_HEADERS', 'secret-word'],
    ['OTLP_HEADERS', 'a=%zz-secret-word'],
    ['OTLP_HEADERS', 'a=line%0Asecret-word'],
    ['OTLP_HEADERS', Array.from({ length: 21 }, (_, n) => `h${n}=secret-word`).join(',')],
    ['OTLP_SERVICE', 'x'.repeat(10_000)],
  ])('%s = %s is refused without saying what it holds', (variable, value) => {
    const read = () => readOtlpOptions({ OTLP_URL: 'https://collector', [variable]: value });
    expect(read).toThrow(expect.objectContaining({ code: 'invalid_configuration' }));
    expect(read).toThrow(new RegExp(`^(?!.*secret-word).*${variable}`));
  });
});

test.each([
  ['120', 120_000],
  ['0', 0],
  [' 5 ', 5_000],
  ['Tue, 01 Dec 2026 12:00:30 GMT', 30_000],
  ['Tue, 01 Dec 2026 11:00:00 GMT', 0],
  ['-5', undefined],
  ['7.5', undefined],
  ['soon', undefined],
  ['', undefined],
  [null, undefined],
])('Retry-After: %s is %s ms', (header, ms) => {
  expect(retryAfterMs(header, Date.UTC(2026, 11, 1, 12))).toBe(ms);
});
