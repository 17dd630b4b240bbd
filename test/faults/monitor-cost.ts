/**
 * `npm run monitor-cost`: what it costs to be watched. Messages are sent to Workers that differ in the binding of the monitor alone, in
 * turns, so that what else the machine does befalls all of them alike. Two have none: what they differ by is how far a difference
 * means nothing. Of the two that have one, somebody watches the second, so that its shard reports each second.
 *
 *     npm run monitor-cost -- --rounds 20 --messages 100000
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { generateLoad } from '../../lab/local/load-generator.ts';
import { hodgesLehmann } from '../../lab/statistics/hodges-lehmann.ts';
import { median } from '../../lab/statistics/median.ts';
import { benchProducer } from '../../lab/suites/ingest/payload.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { type LocalWorker, type ObjectBinding, startWorker } from '../../local/worker.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';

const CLIENTS = 8;
const MESSAGES_PER_FRAME = 100;
const WARM_UP_ROUNDS = 2;

/** What the acceptance allows. */
const MOST_CHANGE = 0.02;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    messages: { type: 'string', default: '100000' },
    out: { type: 'string', default: 'results' },
  },
});
const rounds = Number(values.rounds);
const messages = Number(values.messages);
if (!(rounds > 0) || !(messages >= CLIENTS * MESSAGES_PER_FRAME))
  throw new Error('--rounds is a number above 0, --messages one from 800');

interface Way {
  name: string;
  objects: readonly ObjectBinding[];
  isWatched?: true;
}

const WITHOUT: readonly ObjectBinding[] = ['SHARD', 'NAMESPACE', 'REGISTRY'];
const WAYS: readonly Way[] = [
  { name: 'off', objects: WITHOUT },
  { name: 'off, again', objects: WITHOUT },
  { name: 'on', objects: [...WITHOUT, 'MONITOR'] },
  { name: 'on, watched', objects: [...WITHOUT, 'MONITOR'], isWatched: true },
];

interface Round {
  /** Until all was acked as stored, and until all was committed. */
  storedPerSecond: number;
  committedPerSecond: number;
  /** Rows written to the storage of the shard. */
  rows: number;
}

const folder = await mkdtemp(join(tmpdir(), 'sluice-monitor-cost-'));
const postgres = await startEmbeddedPostgres({ dataDirectory: join(folder, 'data'), port: 0 });
const workers: LocalWorker[] = [];
const ends: (() => void)[] = [];
try {
  for (const [index, { objects, isWatched }] of WAYS.entries()) {
    const worker = await startWorker({
      objects,
      bindings: { AUTHORIZE: 'open', OPERATORS: 'open', DATABASE_URL: await database(`way${index}`) },
    });
    workers.push(worker);
    if (isWatched) ends.push(await watch(worker));
  }
  const found = WAYS.map((): Round[] => []);
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (let turn = 0; turn < WAYS.length; turn += 1) {
      // Another one begins each round.
      const index = (turn + round + WARM_UP_ROUNDS) % WAYS.length;
      const one = await send(workers[index] as LocalWorker, round + WARM_UP_ROUNDS);
      if (round >= 0) found[index]?.push(one);
    }
  }
  const text = table(found);
  process.stdout.write(text);
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, 'monitor-cost.md'), text);
  await writeFile(join(values.out, 'monitor-cost.json'), `${JSON.stringify({ rounds, messages, found })}\n`);
} finally {
  for (const end of ends) end();
  for (const worker of workers) await worker.stop();
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}

/** A database of its own: two Workers with one sink would take each other for an older life. */
async function database(name: string): Promise<string> {
  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  const url = new URL(postgres.url);
  url.pathname = `/${name}`;
  await migrateDatabase(url.href);
  return url.href;
}

/** Somebody looks at the dashboard all the time. */
async function watch(worker: LocalWorker): Promise<() => void> {
  const ending = new AbortController();
  const response = await fetch(new URL('/monitor/events', worker.url), { signal: ending.signal });
  const read = async (): Promise<void> => {
    for await (const _ of response.body as ReadableStream<Uint8Array>);
  };
  void read().catch(() => {});
  return () => ending.abort();
}

async function send(worker: LocalWorker, round: number): Promise<Round> {
  const run = `cost${round}`;
  const before = await figures(worker);
  const startedMs = performance.now();
  await generateLoad(
    {
      target: { run, spec: null, driver: 'tcp', shards: 1 },
      clients: CLIENTS,
      messagesPerClient: messages / CLIENTS,
      messagesPerFrame: MESSAGES_PER_FRAME,
      ratePerSecond: 0,
      ack: 'stored',
      withHeaders: false,
    },
    (client) => {
      const url = new URL('/ws/messages', worker.url);
      url.protocol = 'ws:';
      url.searchParams.set('producer', benchProducer(run, client));
      return url;
    },
  );
  const storedMs = performance.now() - startedMs;
  const untilMs = performance.now() + HANG_LIMIT_MS;
  let after = await figures(worker);
  while (after.committed - before.committed < messages) {
    if (performance.now() > untilMs) throw new Error('The messages are not written');
    after = await figures(worker);
  }
  const committedMs = performance.now() - startedMs;
  return {
    storedPerSecond: (messages / storedMs) * 1_000,
    committedPerSecond: (messages / committedMs) * 1_000,
    rows: after.storageRowsWritten - before.storageRowsWritten,
  };
}

interface ShardFigures {
  committed: number;
  storageRowsWritten: number;
}

async function figures(worker: LocalWorker): Promise<ShardFigures> {
  const response = await fetch(new URL('/stats?sink=messages', worker.url));
  const { sinks } = (await response.json()) as { sinks: { messages: { shards: ShardFigures[] } } };
  return sinks.messages.shards[0] as ShardFigures;
}

function table(found: readonly Round[][]): string {
  const [base = []] = found;
  const ofBase = base.map(({ storedPerSecond }) => storedPerSecond);
  const lines = WAYS.map(({ name }, index) => {
    const own = found[index] as Round[];
    const committed = own.map(({ committedPerSecond }) => committedPerSecond);
    const stored = own.map(({ storedPerSecond }) => storedPerSecond);
    const { change, low, high } = hodgesLehmann(ofBase, stored);
    const share = (value: number | null): string => (value === null ? '?' : `${(value * 100).toFixed(1)} %`);
    const isWithin = Math.abs(change) <= MOST_CHANGE;
    return `| ${name} | ${perSecond(stored)} | ${perSecond(committed)} | ${index === 0 ? '' : `${share(change)} (${share(low)} to ${share(high)})`} | ${index === 0 ? '' : isWithin ? 'yes' : 'no'} | ${((median(own.map(({ rows }) => rows)) / messages) * 1e6).toFixed(0)} |`;
  });
  return [
    `Monitor: ${rounds} rounds of ${messages} messages each in turns, copy, ${MESSAGES_PER_FRAME} per frame, ${CLIENTS} clients, acked as stored. Medians; the change of messages/s until all is acked as stored, with an interval of 95 %.`,
    '',
    '| monitor | stored/s | committed/s | against off | within 2 % | rows of storage per million |',
    '|---|---:|---:|---:|---|---:|',
    ...lines,
    '',
  ].join('\n');
}

function perSecond(values: readonly number[]): string {
  return Math.round(median(values)).toLocaleString('en-US');
}
