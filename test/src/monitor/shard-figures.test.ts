import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Measurements } from '../../../src/ingest/measurements.ts';
import { METRICS } from '../../../src/monitor/metrics.ts';
import { sampleValue } from '../../../src/monitor/report-samples.ts';
import { type ShardSamples, shardSamples } from '../../../src/monitor/shard-figures.ts';
import { LimitedShard, type LimitedShardOptions } from '../../support/limited-shard.ts';

class Bench {
  readonly shard: LimitedShard;
  readonly measured: Measurements;

  constructor(options: LimitedShardOptions = {}) {
    this.shard = new LimitedShard(options);
    this.measured = this.shard.measured;
  }

  samples(): ShardSamples {
    return shardSamples({
      measured: this.measured,
      state: this.shard.pipeline.state,
      figures: this.shard.pipeline.figures,
      sockets: { raw: 1, v1: 2, producers: 3 },
      deadLetters: { count: 0, maxRows: 100 },
      heapBytes: 1,
    });
  }

  counter(name: Parameters<typeof sampleValue>[1], label?: string): number {
    return sampleValue(this.samples().counters, name, label);
  }

  gauge(name: Parameters<typeof sampleValue>[1], label?: string): number {
    return sampleValue(this.samples().gauges, name, label);
  }

  /** How many values a histogram has, and the largest of them. */
  spread(name: string, label = ''): [count: number, max: number] {
    const found = this.samples().histograms.find(([metric, of]) => metric === name && of === label);
    return found === undefined ? [0, 0] : [found[2].count, found[2].max];
  }
}

describe('the figures of a shard', () => {
  test('tell what came, what waits, how old it is, and how long acks and batches took', async () => {
    const bench = new Bench({ options: { groupMs: 2, connections: 2 } });
    const { shard } = bench;
    shard.isAway = true;
    const client = shard.hello('p');
    const cameAtMs = shard.timers.now();
    client.batch(3);
    await shard.pass(100);
    expect([bench.counter('messages_received_total'), bench.counter('messages_stored_total')]).toEqual([
      3, 3,
    ]);
    expect(bench.gauge('queue_messages')).toBe(3);
    expect(bench.gauge('queue_oldest_timestamp_seconds')).toBe(cameAtMs / 1_000);
    expect(bench.gauge('outbox_bytes')).toBeGreaterThan(0);
    expect(bench.gauge('credit_messages')).toBeGreaterThan(0);
    expect(bench.spread('ack_duration_seconds', 'stored')).toEqual([3, expect.closeTo(0.002, 2)]);
    expect(bench.spread('ack_duration_seconds', 'committed')).toEqual([0, 0]);
    expect(bench.counter('connections_failed_total')).toBeGreaterThan(0);
    expect(bench.counter('retries_total', 'internal') + bench.counter('retries_total')).toBeGreaterThan(0);
    expect(bench.gauge('state', 'retrying')).toBe(1);
    expect(
      bench
        .samples()
        .gauges.filter(([name]) => name === 'lane_state')
        .map(([, , state]) => state)
        .sort(),
    ).toEqual([0, 1]);

    shard.isAway = false;
    await shard.pass(60_000, 1_000);
    expect([bench.counter('messages_committed_total'), bench.counter('batches_total')]).toEqual([3, 1]);
    expect([bench.gauge('queue_messages'), bench.gauge('queue_oldest_timestamp_seconds')]).toEqual([0, 0]);
    const [messages, oldest] = bench.spread('ack_duration_seconds', 'committed');
    expect(messages).toBe(3);
    expect(oldest).toBeGreaterThan(0.1);
    expect(bench.spread('batch_messages')).toEqual([1, 3]);
    expect(bench.spread('flush_duration_seconds')[0]).toBe(1);
    expect(bench.spread('connect_duration_seconds')[0]).toBe(1);
    expect(bench.gauge('last_commit_timestamp_seconds')).toBeGreaterThan(cameAtMs / 1_000);
    expect(bench.gauge('database_connections_limit')).toBe(2);
    expect(bench.gauge('database_connections', 'open'), 'closed after a while without work').toBe(0);
  });

  test('go on in the next life', async () => {
    const first = new Bench();
    const client = first.shard.hello('p');
    client.batch(5);
    client.send('{"t":"batch","seq":1,"n":1}\n1');
    await first.shard.pass(1_000);
    const before = first.samples().counters;
    const { sqlite, timers } = first.shard;
    const second = new Bench({ sqlite, timers });
    for (const name of [
      'messages_received_total',
      'messages_stored_total',
      'messages_committed_total',
      'batches_total',
    ] as const)
      expect(second.counter(name), name).toBe(sampleValue(before, name));
    expect(second.shard.pipeline.stats()).toMatchObject({
      received: 0,
      committed: 0,
      totals: { committed: 5 },
    });
  });

  test('take up what the monitor knows that the storage does not', async () => {
    const first = new Bench();
    first.shard.hello('p').batch(5);
    await first.shard.pass(1_000);
    const { sqlite, timers } = first.shard;
    const second = new Bench({ sqlite, timers });
    const known = {
      messages_stored_total: 5,
      messages_committed_total: 9,
      'messages_refused_total|gap': 3,
      requests_total: 70,
    };
    second.shard.pipeline.counts.raise(known);
    expect([second.counter('requests_total'), second.counter('messages_refused_total', 'gap')]).toEqual([
      70, 3,
    ]);
    expect(second.shard.pipeline.stats().totals).toMatchObject({
      received: 8,
      stored: 5,
      committed: 5,
      refused: 3,
    });
    // Of a storage that was there before, and was lost.
    second.shard.pipeline.counts.raise({ messages_stored_total: 6, requests_total: 1_000 });
    expect(second.counter('requests_total')).toBe(70);
  });

  test('name the producers that sent most since they were last asked', async () => {
    const { shard } = new Bench();
    const [small, large] = [shard.hello('small'), shard.hello('large')];
    const raw = shard.raw('raw');
    small.batch(1);
    large.batch(3);
    raw.session.receive('1\n2', shard.timers.now());
    await shard.pass(100);
    const credit = expect.any(Number);
    expect(shard.pipeline.takeSenders(2)).toEqual([
      { producer: 'large', messages: 3, creditMessages: credit },
      { producer: 'raw', messages: 2, creditMessages: null },
    ]);
    expect(shard.pipeline.takeSenders(20)).toEqual([]);
    small.batch(2);
    expect(shard.pipeline.takeSenders(20)).toEqual([
      { producer: 'small', messages: 2, creditMessages: credit },
    ]);
  });

  test('say `taken` of acks where messages are in memory only', async () => {
    const bench = new Bench({ options: { durability: 'memory' } });
    bench.shard.hello('p').batch(2);
    await bench.shard.pass(100);
    expect(bench.spread('ack_duration_seconds', 'taken')[0]).toBe(2);
    expect([bench.counter('messages_stored_total'), bench.counter('messages_committed_total')]).toEqual([
      0, 2,
    ]);
  });
});

test('each metric of a shard is measured somewhere, and nothing else is', () => {
  const sources = ['ingest/shard-counts.ts', 'monitor/shard-figures.ts']
    .map((file) => readFileSync(new URL(`../../../src/${file}`, import.meta.url), 'utf8'))
    .join('\n');
  const measured = new Set(
    [...sources.matchAll(/'([a-z_]+(?:_total|_seconds|_bytes|_messages))'/g)].map(([, name]) => name),
  );
  // Its own time is added by who shows it.
  const ofShards = METRICS.filter(
    ({ name, of: owner = 'shard' }) => owner === 'shard' && name !== 'report_timestamp_seconds',
  ).map(({ name }) => name);
  expect(ofShards.filter((name) => !sources.includes(`'${name}'`))).toEqual([]);
  expect([...measured].filter((name) => !ofShards.includes(name as string))).toEqual([]);
});

test('messages of a batch are noted in parts, by their ages', () => {
  const measured = new Measurements(0);
  const receivedAtMs = Array.from({ length: 1_000 }, (_, row) => row);
  const columns = { producers: [], sequences: [], epochs: [], payloads: [], plain: [], receivedAtMs };
  measured.committed({ columns, from: 0, to: 1_000, position: 0n, bytes: 0 }, 1_000);
  expect(measured.ackCommitted.count).toBe(1_000);
  const middle = measured.ackCommitted.percentile(0.5) as number;
  expect(middle > 0.4 && middle < 0.6, String(middle)).toBe(true);
  expect(measured.ackCommitted.percentile(0.99)).toBeGreaterThan(0.9);
});

test('an object counts as awake for a while after each event, and no longer', () => {
  const measured = new Measurements(0);
  measured.touch(5_000);
  measured.touch(3_600_000);
  measured.touch(3_601_000);
  expect(measured.awakeMs).toBe(5_000 + 10_000 + 1_000);
});
