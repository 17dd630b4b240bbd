/**
 * `npm run outage`: Postgres is away for minutes while producers go on. Shows the heap of the shard's isolate over
 * that time, and that every message is in the table in the end.
 *
 *     npm run outage -- --minutes 10 --rate 2000 --out results
 */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { benchPayloads } from '../../lab/suites/ingest/payload.ts';
import { migrateDatabase } from '../../local/migrate.ts';
import { startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { startWorker } from '../../local/worker.ts';
import { SluiceClient } from '../../src/client/index.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import { heapUsedBytes } from './heap-gauge.ts';

const PRODUCERS = 10;
const BEFORE_S = 10;
const AFTER_S = 20;
const SAMPLE_MS = 10_000;
const TICK_MS = 10;

interface Sample {
  /** Seconds since the load began. */
  atS: number;
  postgres: 'up' | 'away';
  heapBytes: number;
  sent: number;
  acked: number;
  committed: number;
  buffered: number;
  /** Messages that are in the outbox and not in memory. */
  spilled: number;
  outboxBytes: number;
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '2000' },
    out: { type: 'string', default: 'results' },
  },
});
const outageS = Number(values.minutes) * 60;
const rate = Number(values.rate);
if (!(outageS > 0) || !(rate > 0)) throw new Error('--minutes and --rate are numbers above 0');

const folder = await mkdtemp(join(tmpdir(), 'sluice-outage-'));
const startPostgres = (port: number) => startEmbeddedPostgres({ dataDirectory: join(folder, 'data'), port });
let postgres = await startPostgres(0);
const { port, dataDirectory } = postgres;
await migrateDatabase(postgres.url);
const inspectorPort = await freePort();
const worker = await startWorker({
  bindings: { AUTHORIZE: 'open', OPERATORS: 'open', DATABASE_URL: postgres.url },
  inspectorPort,
});
const clients = Array.from(
  { length: PRODUCERS },
  (_, index) =>
    new SluiceClient({ url: new URL('/ws/messages', worker.url), producer: `outage-${index}`, lingerMs: 0 }),
);
const startedAtMs = performance.now();
let sent = 0;
let acked = 0;
let isPostgresUp = true;
const samples: Sample[] = [];

try {
  let isLoading = true;
  const load = send(() => isLoading);
  const sampling = sample(() => isLoading);
  await sleep(BEFORE_S * 1000);
  await postgres.stop();
  isPostgresUp = false;
  process.stderr.write(`Postgres is away for ${outageS} s, ${rate} messages/s go on\n`);
  await sleep(outageS * 1000);
  postgres = await startPostgres(port);
  isPostgresUp = true;
  const backAtMs = performance.now();
  const drained = backlogGone().then(() => (performance.now() - backAtMs) / 1000);
  await sleep(AFTER_S * 1000);
  isLoading = false;
  await load;
  await sampling;
  const drainS = await drained;
  const reports = await Promise.all(clients.map((client) => client.close()));
  await until(async () => (await shard()).buffered === 0);
  const found = await count();
  const unacked = reports.reduce((sum, report) => sum + report.unacked, 0);
  const result = { outageS, rate, producers: PRODUCERS, sent, acked, unacked, ...found, drainS, samples };
  const text = markdown(result);
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, 'outage.json'), `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(join(values.out, 'outage.md'), text);
  process.stdout.write(text);
  if (found.rows !== sent || found.distinct !== sent || unacked > 0 || acked !== sent) process.exitCode = 3;
} finally {
  await worker.stop();
  await postgres.stop();
  await rm(dataDirectory, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
}

async function send(isLoading: () => boolean): Promise<void> {
  const next = new Array<number>(PRODUCERS).fill(0);
  while (isLoading()) {
    const due = Math.floor((((performance.now() - startedAtMs) / 1000) * rate) / PRODUCERS);
    for (const [index, client] of clients.entries()) {
      const from = next[index] as number;
      if (due <= from) continue;
      const to = Math.min(due, from + 1_000);
      next[index] = to;
      sent += to - from;
      void client.sendBatch(benchPayloads(`outage-${index}`, from, to)).then(({ refused, messages }) => {
        acked += messages - refused.length;
      });
    }
    await sleep(TICK_MS);
  }
}

async function sample(isLoading: () => boolean): Promise<void> {
  while (isLoading()) {
    const heapBytes = await heapUsedBytes(inspectorPort, 'sluice');
    const { committed, buffered, spilled, outboxBytes } = await shard();
    samples.push({
      atS: Math.round((performance.now() - startedAtMs) / 1000),
      postgres: isPostgresUp ? 'up' : 'away',
      heapBytes,
      sent,
      acked,
      committed,
      buffered,
      spilled,
      outboxBytes,
    });
    await sleep(SAMPLE_MS);
  }
}

type ShardFigures = Pick<Sample, 'committed' | 'buffered' | 'spilled' | 'outboxBytes'>;

async function shard(): Promise<ShardFigures> {
  const response = await fetch(new URL('/stats?sink=messages', worker.url));
  const { sinks } = (await response.json()) as { sinks: { messages: { shards: ShardFigures[] } } };
  return sinks.messages.shards[0] as ShardFigures;
}

// Live messages are always some; the backlog of the outage is gone once no more than a second's worth waits.
function backlogGone(): Promise<void> {
  return until(async () => (await shard()).buffered < rate);
}

async function until(check: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + HANG_LIMIT_MS;
  while (!(await check())) {
    if (performance.now() > endMs) throw new Error('The backlog does not drain');
    await sleep(100);
  }
}

async function count(): Promise<{ rows: number; distinct: number }> {
  const client = new pg.Client(postgres.url);
  await client.connect();
  const { rows } = await client.query<{ rows: number; distinct: number }>(
    'select count(*)::int as rows, count(distinct (producer, epoch, sequence))::int as distinct from messages',
  );
  await client.end();
  return rows[0] as { rows: number; distinct: number };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

function markdown(result: {
  outageS: number;
  rate: number;
  sent: number;
  acked: number;
  unacked: number;
  rows: number;
  distinct: number;
  drainS: number;
  samples: Sample[];
}): string {
  const { samples: all, ...figures } = result;
  const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
  const most = Math.max(...all.map(({ heapBytes }) => heapBytes));
  const lines = [
    `Postgres away for ${figures.outageS} s at ${figures.rate} messages/s: ${figures.sent} sent, ${figures.acked} acked as stored, ${figures.rows} rows, ${figures.distinct} of them distinct, ${figures.unacked} unacked. The backlog was gone ${figures.drainS.toFixed(1)} s after Postgres came back. Heap after collection: at most ${megabytes(most)} MiB.`,
    '',
    '| second | Postgres | heap MiB | | acked | in the outbox | of these not in memory | outbox MiB |',
    '|---:|---|---:|---|---:|---:|---:|---:|',
    ...all
      .filter((_, index) => index % 3 === 0 || index === all.length - 1)
      .map(
        (one) =>
          `| ${one.atS} | ${one.postgres} | ${megabytes(one.heapBytes)} | ${'█'.repeat(Math.round(one.heapBytes / 1024 / 1024 / 2))} | ${one.acked} | ${one.buffered} | ${one.spilled} | ${megabytes(one.outboxBytes)} |`,
      ),
  ];
  return `${lines.join('\n')}\n`;
}
