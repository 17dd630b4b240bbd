/** What can go wrong at night, and what is said of it then. */

import { setTimeout as delay } from 'node:timers/promises';
import { SluiceClient } from '../../src/client/index.ts';
import type { DrillBed, HealthAnswer, LogLine } from './drill-bed.ts';
import type { Incident } from './incident.ts';
import type { Samples } from './samples.ts';
import type { Told } from './webhook-receiver.ts';

/** How long the usual form takes Postgres away. */
const MINUTE_MS = 60_000;

/** A batch of the slow Postgres takes so many seconds. */
const SLOW_S = 8;

const POISONED = 3;

const hasReason =
  (sink: string, reason: string, sqlState?: string) =>
  ({ reasons }: HealthAnswer): boolean =>
    reasons.some(
      (one) =>
        one.sink === sink && one.reason === reason && (sqlState === undefined || one.sqlState === sqlState),
    );

const isWell =
  (sink: string) =>
  ({ sinks, httpStatus }: HealthAnswer): boolean =>
    sinks[sink] === 'ok' && httpStatus === 200;

/** No load balancer would take it out, and nobody has to get up. */
const isAlive = ({ httpStatus, sinks }: HealthAnswer): boolean =>
  httpStatus === 200 && sinks.readings !== 'failing';

const isIn =
  (sink: string, ...states: string[]) =>
  (samples: Samples): boolean =>
    states.some((state) => samples.value('sluice_state', { sink, state }) === 1);

const hears =
  (type: string, rule: string, sink: string) =>
  (told: Told): boolean =>
    told.type === `alert.${type}` &&
    told.rule === rule &&
    told.sink === sink &&
    told.runbook.includes(`#alert-`);

const logged =
  (sink: string, fields: Record<string, unknown>, pattern = /./) =>
  (line: LogLine): boolean =>
    line.sink === sink &&
    Object.entries(fields).every(([name, value]) => line[name] === value) &&
    pattern.test(line.message);

/** The list "Needs attention" of the dashboard. */
function attention(text: string): string {
  const [, list = ''] =
    /Needs attention \(\d+\)([\s\S]*?)(?:\n(?:Sinks|Received|Shards)\b|$)/.exec(text) ?? [];
  return list;
}

const needsAttention =
  (pattern: RegExp) =>
  (text: string): boolean =>
    pattern.test(attention(text).replaceAll(/\s+/g, ' '));

/** The dashboard's list of alerts. */
const isFiring =
  (rule: string) =>
  (text: string): boolean =>
    new RegExp(`firing\\s+${rule}`).test(text);

const needsNone =
  (sink: string) =>
  (text: string): boolean =>
    text.includes('Overview') && !attention(text).includes(sink);

const postgresAway: Incident = {
  title: 'Postgres is away',
  table: 'readings',
  lastsMs: [MINUTE_MS, 5_000],
  strike: async (bed) => bed.losePostgres(),
  end: async (bed) => bed.healPostgres(),
  begins: {
    health: hasReason('readings', 'retrying'),
    metrics: isIn('readings', 'retrying'),
    log: logged('readings', { kind: 'retrying' }),
    dashboard: needsAttention(/degraded readings.*tries again by itself/),
    webhook: hears('firing', 'SluiceNotCommitting', 'readings'),
  },
  ends: {
    health: isWell('readings'),
    metrics: isIn('readings', 'running'),
    log: logged('readings', { kind: 'resumed' }),
    dashboard: needsNone('readings'),
    webhook: hears('resolved', 'SluiceNotCommitting', 'readings'),
  },
};

const postgresSlow: Incident = {
  title: 'Postgres is slow',
  table: 'readings',
  lastsMs: [20_000, 0],
  async strike({ postgres }) {
    await postgres.query(
      `create function drag() returns trigger language plpgsql as $$ begin perform pg_sleep(${SLOW_S}); return null; end $$`,
    );
    await postgres.query(
      'create trigger drag before insert on readings for each statement execute function drag()',
    );
  },
  async end({ postgres }) {
    await postgres.query('drop trigger drag on readings');
    await postgres.query('drop function drag()');
  },
  // Batches succeed: it is well, and late.
  stays: { health: isAlive },
  begins: {
    metrics: (samples) =>
      (samples.value('sluice_queue_oldest_timestamp_seconds', { sink: 'readings' }) ?? 0) > 0 &&
      Date.now() / 1_000 -
        (samples.value('sluice_queue_oldest_timestamp_seconds', { sink: 'readings' }) as number) >
        5,
    log: (line) => JSON.stringify(line).includes('SluiceNotCommitting'),
    dashboard: isFiring('SluiceNotCommitting'),
    webhook: hears('firing', 'SluiceNotCommitting', 'readings'),
  },
  ends: {
    dashboard: (text) => text.includes('Overview') && !isFiring('SluiceNotCommitting')(text),
    webhook: hears('resolved', 'SluiceNotCommitting', 'readings'),
  },
  // It comes and goes with each batch, and what comes and goes is damped.
  within: {
    webhook: { begins: 60, ends: 60 },
    log: { begins: 60 },
    dashboard: { begins: 60, ends: 60 },
    metrics: { begins: 60 },
  },
};

const poisoned: Incident = {
  title: 'A message that Postgres refuses',
  table: 'readings',
  lastsMs: [0, 0],
  strike: async ({ load }) => load.poison(POISONED),
  end: async (bed) => bed.operate('readings/0/dead-letters/drop', { ids: 'all' }),
  // All others are written.
  stays: { health: isAlive },
  begins: {
    metrics: (samples) =>
      (samples.value('sluice_messages_dead_total', { sink: 'readings', reason: '22P02' }) ?? 0) >= POISONED,
    log: (line) => line.sink === 'readings' && (line.sqlstate === '22P02' || line.sqlState === '22P02'),
    dashboard: isFiring('SluiceDeadLetters'),
    webhook: hears('firing', 'SluiceDeadLetters', 'readings'),
  },
  ends: {
    metrics: (samples) => samples.value('sluice_dead_letters', { sink: 'readings' }) === 0,
  },
};

const tableMissing: Incident = {
  title: 'A table is missing',
  table: 'readings',
  lastsMs: [5_000, 0],
  strike: async ({ postgres }) => void (await postgres.query('alter table readings rename to readings_away')),
  async end(bed) {
    await bed.postgres.query('alter table readings_away rename to readings');
    await bed.operate('readings/0/resume', {});
  },
  begins: {
    health: (health) => hasReason('readings', 'paused', '42P01')(health) && health.httpStatus === 503,
    metrics: isIn('readings', 'paused'),
    log: (line) => line.sink === 'readings' && (line.sqlstate === '42P01' || line.sqlState === '42P01'),
    dashboard: needsAttention(/failing readings.*paused.*does not exist/),
    webhook: hears('firing', 'SluiceSinkPaused', 'readings'),
  },
  ends: {
    health: isWell('readings'),
    metrics: isIn('readings', 'running'),
    dashboard: needsNone('readings'),
    webhook: hears('resolved', 'SluiceSinkPaused', 'readings'),
  },
};

/** More than the outbox of the sink `small` holds, in messages of about a kilobyte. */
const FILLING_MESSAGES = 400;

let filler: SluiceClient | undefined;

const outboxFull: Incident = {
  title: 'The outbox is full',
  table: 'small',
  lastsMs: [5_000, 0],
  async strike(bed) {
    filler = new SluiceClient({ url: bed.url('/ws/small'), producer: 'filler', lingerMs: 0 });
    await filler.send({ number: 0, celsius: 1 });
    bed.losePostgres();
    for (let number = 1; number <= FILLING_MESSAGES; number += 1)
      void filler.send({ number, celsius: 1, text: 'x'.repeat(1_000) }).catch(() => {});
    await delay(0);
  },
  async end(bed) {
    bed.healPostgres();
  },
  begins: {
    health: (health) => hasReason('small', 'queue-full')(health) && health.httpStatus === 503,
    metrics: (samples) => {
      const bytes = samples.value('sluice_queue_bytes', { sink: 'small' }) ?? 0;
      return (
        bytes >
        0.85 * (samples.value('sluice_queue_limit_bytes', { sink: 'small' }) ?? Number.POSITIVE_INFINITY)
      );
    },
    log: logged('small', { kind: 'full' }),
    dashboard: needsAttention(/failing small.*full/),
    webhook: hears('firing', 'SluiceQueueFull', 'small'),
  },
  ends: {
    health: isWell('small'),
    dashboard: needsNone('small'),
  },
  // The rule waits for 5 s, and what fills the outbox takes its time.
  within: { webhook: { begins: 30 }, log: { begins: 30 }, health: { begins: 30 }, dashboard: { begins: 30 } },
};

/** What was committed before the shard was killed, by its own count. */
let committedBefore = 0;
const committed = (samples: Samples): number =>
  samples.value('sluice_messages_committed_total', { sink: 'readings' }) ?? 0;

const shardKilled: Incident = {
  title: 'A shard was killed',
  table: 'readings',
  lastsMs: [0, 0],
  async strike(bed: DrillBed) {
    const { latest } = bed.witnesses.metrics;
    committedBefore = latest === undefined ? 0 : committed(latest);
    await bed.killShard('readings');
  },
  end: async () => {
    await filler?.close();
  },
  // It comes back by itself, and nobody has to be woken up.
  stays: { health: isAlive, dashboard: (text) => !/failing readings/.test(attention(text)) },
  begins: {},
  ends: {
    health: isWell('readings'),
    // Its counts go on where they were.
    metrics: (samples) => committed(samples) > committedBefore && isIn('readings', 'running')(samples),
    dashboard: needsNone('readings'),
  },
};

export const INCIDENTS: readonly Incident[] = [
  postgresAway,
  postgresSlow,
  poisoned,
  tableMissing,
  outboxFull,
  shardKilled,
];
