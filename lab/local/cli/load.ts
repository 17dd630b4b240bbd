/**
 * `npm run load`: numbered messages into the sink of a running Worker, while its health is asked for. It shows what a
 * Worker takes, and that it stays answerable meanwhile.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertReachesDatabase } from '../../../local/ask-health.ts';
import { commandText } from '../../../local/command-text.ts';
import { onlySink } from '../../../local/only-sink.ts';
import { operatorHeaders, senderHeaders } from '../../../local/operator-token.ts';
import { routeOf } from '../../../local/worker-address.ts';
import { type ErrorCode, SluiceError } from '../../../src/core/errors.ts';
import { type OptionTable, resolveOptions } from '../../../src/core/option-table.ts';
import { withTimeLimit } from '../../../src/core/time-limit.ts';
import { BENCH_ACKS, INGEST_PARAMETERS } from '../../suites/ingest/ingest-parameters.ts';
import { benchProducer } from '../../suites/ingest/payload.ts';
import { generateLoad } from '../load-generator.ts';

const { clients, frame, rate } = INGEST_PARAMETERS;

/** The options of `load` besides the address and the sink. */
export const LOAD_PARAMETERS = {
  clients,
  messages: { ...INGEST_PARAMETERS.messages, default: 100_000 },
  frame,
  rate,
  ack: {
    kind: 'choice',
    choices: BENCH_ACKS,
    default: 'stored',
    description: INGEST_PARAMETERS.acks.description,
  },
} satisfies OptionTable;

interface LoadFlags {
  url: string;
  sink?: string;
  [parameter: string]: unknown;
}

interface Sums {
  received: number;
  duplicate: number;
  committed: number;
  buffered: number;
  lastError: string | null;
}

/** How long after the last message the shards may take to write what they hold. */
const DRAIN_TIME_LIMIT_MS = 120_000;
const HEALTH_EVERY_MS = 100;

export async function load({ url: address, sink: named, ...flags }: LoadFlags): Promise<void> {
  if (!URL.canParse(address))
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(address)} as --url: an address such as http://localhost:8787 is allowed`,
    );
  const parameters = resolveOptions(LOAD_PARAMETERS, flags);
  const url = new URL(address);
  const sink = named ?? onlySink(Object.keys((await stats(url)).sinks ?? {}));
  const before = await sums(url, sink);
  await assertReachesDatabase(url);
  const run = randomBytes(3).toString('hex');
  const health = new HealthPoll(routeOf(url, '/health?deep=1'));
  const startedAtMs = performance.now();
  const report = await generateLoad(
    {
      target: { run, spec: null, driver: 'auto', shards: 1 },
      clients: parameters.clients,
      messagesPerClient: parameters.messages,
      messagesPerFrame: parameters.frame,
      ratePerSecond: parameters.rate,
      ack: parameters.ack,
      withHeaders: false,
    },
    (client) => socketUrl(url, sink, benchProducer(run, client)),
    undefined,
    senderHeaders(),
  );
  const sentAtMs = performance.now();
  const after = await withTimeLimit(drained(url, sink), DRAIN_TIME_LIMIT_MS, 'waiting for the last rows');
  const drainedAtMs = performance.now();
  const { answers, slowestMs, failures } = await health.stop();

  const sent = parameters.clients * parameters.messages;
  // Messages that a client sent again after a lost ack count as received too.
  const received = after.received - after.duplicate - (before.received - before.duplicate);
  const lines = [
    `sent      ${sent} messages in ${((sentAtMs - startedAtMs) / 1000).toFixed(1)} s (${Math.round((sent / (sentAtMs - startedAtMs)) * 1000)}/s)`,
    `received  ${received}, refused ${report.refused}`,
    `committed ${after.committed - before.committed}, ${((drainedAtMs - sentAtMs) / 1000).toFixed(1)} s after the last was sent`,
    `health    ${answers} answers, the slowest after ${Math.round(slowestMs)} ms, ${failures} failures`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  if (received !== sent || after.committed - before.committed + report.refused !== received) {
    throw new SluiceError('audit_failed', 'Not every message that was sent is accounted for');
  }
}

function socketUrl(base: URL, sink: string, producer: string): URL {
  const url = routeOf(base, `/ws/${encodeURIComponent(sink)}`);
  url.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
  url.searchParams.set('producer', producer);
  return url;
}

interface Stats {
  code?: ErrorCode;
  detail?: string;
  sinks?: Record<string, { shards: Sums[] }>;
}

async function stats(base: URL, sink?: string): Promise<Stats> {
  const url = routeOf(base, '/stats');
  if (sink !== undefined) url.searchParams.set('sink', sink);
  const response = await fetch(url, { headers: operatorHeaders() }).catch((error: unknown) => {
    throw new SluiceError(
      'internal',
      `Nothing answers at ${base.origin}: is the Worker running? (${commandText('dev')})`,
      { cause: error },
    );
  });
  const answer = (await response.json()) as Stats;
  if (response.ok) return answer;
  throw new SluiceError(
    answer.code ?? 'internal',
    answer.detail ?? `${base.origin} answers ${response.status}`,
  );
}

async function sums(base: URL, sink: string): Promise<Sums> {
  const body = await stats(base, sink);
  const shards = body.sinks?.[sink]?.shards;
  if (shards === undefined)
    throw new SluiceError('invalid_options', body.detail ?? `The Worker knows no sink ${sink}`);
  return {
    received: shards.reduce((sum, shard) => sum + shard.received, 0),
    duplicate: shards.reduce((sum, shard) => sum + shard.duplicate, 0),
    committed: shards.reduce((sum, shard) => sum + shard.committed, 0),
    buffered: shards.reduce((sum, shard) => sum + shard.buffered, 0),
    lastError: shards.find(({ lastError }) => lastError !== null)?.lastError ?? null,
  };
}

async function drained(base: URL, sink: string): Promise<Sums> {
  for (;;) {
    const now = await sums(base, sink);
    if (now.buffered === 0) return now;
    await sleep(50);
  }
}

/** Asks for the health again and again, one question at a time. */
class HealthPoll {
  readonly #url: URL;
  readonly #done: Promise<void>;
  #isStopped = false;
  #answers = 0;
  #failures = 0;
  #slowestMs = 0;

  constructor(url: URL) {
    this.#url = url;
    this.#done = this.#run();
  }

  async stop(): Promise<{ answers: number; failures: number; slowestMs: number }> {
    this.#isStopped = true;
    await this.#done;
    return { answers: this.#answers, failures: this.#failures, slowestMs: this.#slowestMs };
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const askedAtMs = performance.now();
      const isHealthy = await fetch(this.#url).then(
        (response) => response.ok,
        () => false,
      );
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - askedAtMs);
      if (isHealthy) this.#answers += 1;
      else this.#failures += 1;
      await sleep(HEALTH_EVERY_MS);
    }
  }
}
