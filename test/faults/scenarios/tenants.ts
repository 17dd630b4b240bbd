/** Tenants beside each other: one sends ten times what it may, in every way there is, and the other must not feel it. */

import { setTimeout as delay } from 'node:timers/promises';
import { mannWhitney } from '../../../lab/statistics/mann-whitney.ts';
import type { LimitsOf } from '../../../src/access/limits.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { Flood, type Flooded, nameOn, nextClient, QUOTA, SHARDS } from '../flood.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { TimedProducer } from '../timed-producer.ts';

/** The calm tenant is on the first shard; the flood is there, or on the second one. */
const HERE = 0;
const ELSEWHERE = 1;

const LIMITS: LimitsOf = {
  tenant: { messagesPerSecond: SHARDS * QUOTA, connections: SHARDS * 16, outboxShare: 0.3 },
};

/** A small outbox: while the database is away, it is what the tenants have to share. */
const OPTIONS: Partial<SinkOptions> = {
  shards: SHARDS,
  connections: 1,
  groupMs: 2,
  maxOutboxRows: 1_000,
  maxBufferBytes: 32 * 1024 * 1024,
};

const CALM_PRODUCERS = 4;
const CALM_PACE_MS = 15;
const ROUNDS = 6;
const CONTROL_ROUNDS = 4;
const PHASE_MS = 2_000;

/** The share by which another tenant's p99 may move. */
const ALLOWED = 0.1;

interface Measured {
  /** The p99 of each phase, in ms: without the flood, with the flood on another shard, and with it on the same one. */
  quiet: number[];
  elsewhere: number[];
  here: number[];
  sentPerSecond: number;
  flood: Flooded;
}

/** Phases of each kind in turn, over one deployment. */
async function measure(run: Run, rounds: number): Promise<Measured> {
  const calm = await Promise.all(
    Array.from({ length: CALM_PRODUCERS }, (_, index) =>
      TimedProducer.open(
        run,
        { name: nameOn(HERE, 'calm', `p${index}`), client: nextClient() },
        CALM_PACE_MS,
      ),
    ),
  );
  const flood = new Flood(run);
  const measured = { quiet: [] as number[], elsewhere: [] as number[], here: [] as number[] };
  // The database is away for all of a phase: it is then that tenants have to share something.
  const phase = async (): Promise<number> => {
    const times: number[] = [];
    for (const producer of calm) producer.times = times;
    run.world.toPostgres.set({ refuse: true });
    run.world.toPostgres.reset();
    await delay(PHASE_MS);
    for (const producer of calm) producer.endMeasurement();
    return percentile(times, 0.99);
  };
  const heal = async (): Promise<void> => {
    run.world.toPostgres.heal();
    await run.until('the backlog is gone', async () => (await run.sink.stats()).buffered < 20);
  };
  try {
    // What comes first is slow for reasons that have nothing to do with the flood.
    await phase();
    await heal();
    for (let round = 0; round < rounds; round += 1) {
      measured.quiet.push(await phase());
      await heal();
      for (const [shard, times] of [
        [ELSEWHERE, measured.elsewhere],
        [HERE, measured.here],
      ] as const) {
        flood.start(shard);
        times.push(await phase());
        await flood.stop();
        await heal();
      }
    }
  } finally {
    run.world.toPostgres.heal();
    await flood.stop();
    await Promise.all(calm.map((producer) => producer.stop()));
  }
  const seconds = (2 * rounds * PHASE_MS) / 1_000;
  return { ...measured, sentPerSecond: flood.flooded.sent / seconds, flood: flood.flooded };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const median = (values: readonly number[]): number => percentile(values, 0.5);

/**
 * Whether a flood on the same shard is felt by more than is allowed, beside the same flood on another shard. All of it runs on one machine,
 * clients and proxies included, and what the flood costs there is no work of the shard. How long an ack takes still varies from
 * phase to phase, on a machine with other things to do by much more than what is allowed. So it is asked whether the phases show it: by
 * the test of Mann and Whitney, with the other phases slower by what is allowed. At 0.02 two-sided, one run in a hundred says so by chance.
 */
function isFelt({ elsewhere, here }: Measured, level: number): boolean {
  const allowed = elsewhere.map((ms) => ms * (1 + ALLOWED));
  const { u, p } = mannWhitney(allowed, here);
  return u > (elsewhere.length * here.length) / 2 && p <= level;
}

function tell(name: string, { quiet, elsewhere, here, sentPerSecond, flood }: Measured): void {
  const text = (values: readonly number[]): string =>
    `${median(values).toFixed(1)} ms (${values.map((value) => value.toFixed(0)).join(' ')})`;
  const change = (median(here) / median(elsewhere) - 1) * 100;
  process.stderr.write(
    `     ${name}: the calm tenant's ack p99 is ${text(quiet)} without the flood, ${text(elsewhere)} with it on another shard, ` +
      `${text(here)} with it on the same one: ${change.toFixed(0)} % more. The flood sends ${Math.round(sentPerSecond)} messages/s ` +
      `(${flood.rawRefused} raw frames refused, ${flood.closed} sockets closed, ${flood.turnedAway} turned away)\n`,
  );
}

const tenantFlood: Scenario = {
  name: 'tenant-flood',
  title: 'A tenant at ten times its quota, beside one that is calm',
  options: OPTIONS,
  hasSink: true,
  longRuns: 10,
  async run(run) {
    const rounds = Math.max(4, run.times(ROUNDS));
    await run.deploy({}, LIMITS);
    const limited = await measure(run, rounds);
    const { restrained, refused } = (await run.sink.shardStats())[HERE] as {
      restrained: number;
      refused: object;
    };
    tell('with limits', limited);
    await run.deploy({});
    const free = await measure(run, CONTROL_ROUNDS);
    tell('without limits', free);

    if (limited.sentPerSecond < 10 * QUOTA * 0.9)
      run.fail(
        `The flood sent ${Math.round(limited.sentPerSecond)} messages/s, which is not ten times ${QUOTA}`,
      );
    if (restrained === 0 || !('rate_limited' in refused)) run.fail('No limit was ever met');
    const { rawRefused, closed, turnedAway } = limited.flood;
    if (rawRefused === 0) run.fail('No frame of a raw socket was refused');
    if (closed + turnedAway === 0) run.fail('No socket of the flood was closed or turned away');
    if (isFelt(limited, 0.02)) run.fail("The flood moves the calm tenant's acks by more than 10 %");
    // The smallest that four phases of each kind can show is 0.029.
    if (!isFelt(free, 0.03)) run.fail('Without limits the flood is not felt either: nothing is proved');
    run.struck(restrained);
  },
};

export const tenantScenarios: readonly Scenario[] = [tenantFlood];
