/** Shards that break their promises on purpose: what the oracle has to find, or it finds nothing. */

import { type RunReport, runOnce } from './lab.ts';
import type { Sabotage } from './orders.ts';
import type { Patience, Run } from './run.ts';
import type { Scenario } from './scenario.ts';
import {
  failOverAndBack,
  failOverAsync,
  resumeAfterLostCommit,
  resumeAfterSleep,
} from './scenarios/failovers.ts';
import { copyGoesOn } from './scenarios/identity.ts';
import { allGoOn, fill } from './scenarios/options.ts';
import { startOffline } from './scenarios/storages.ts';
import type { World } from './world.ts';

/** A broken promise, and the figure of the verdict that has to show it. */
export interface Control
  extends Pick<Scenario, 'name' | 'title' | 'options' | 'hasSink' | 'upsert' | 'copies' | 'run'> {
  breaks: 'lost' | 'doubled' | 'altered' | 'outOfOrder';
}

/** Frames that a sabotage spoils at least: more than a shard of `ack-early` holds back. */
const SPOILED_FRAMES = 10;

/** Lets the shard do something wrong with the frames that it gets. */
async function sabotaged(run: Run, sabotage: Sabotage, meanwhile: () => Promise<void>): Promise<void> {
  await run.shard.order({ sabotage });
  run.load({ ack: 'stored' });
  await run.until(
    'enough frames were spoiled, and acked',
    async () => (await run.shard.strikes()).sabotage >= SPOILED_FRAMES && run.ledger.count('acked') > 0,
  );
  await meanwhile();
  const { sabotage: strikes } = await run.shard.strikes();
  run.struck(strikes);
}

/** The frames of a resident socket take another way, which is not sabotaged. */
const HIBERNATABLE = { sockets: 'hibernatable' } as const;

const nothing = async (): Promise<void> => {};

export const CONTROLS: readonly Control[] = [
  {
    name: 'acks-before-storing',
    title: 'A shard that acks before it stores, and crashes',
    breaks: 'lost',
    options: HIBERNATABLE,
    run: (run) => sabotaged(run, 'ack-early', () => run.shard.crash()),
  },
  {
    name: 'replaces-a-message',
    title: 'A shard that stores a copy of one message in the place of another',
    breaks: 'lost',
    options: HIBERNATABLE,
    run: (run) => sabotaged(run, 'replace', nothing),
  },
  {
    name: 'alters-a-message',
    title: 'A shard that changes a letter',
    breaks: 'altered',
    options: HIBERNATABLE,
    run: (run) => sabotaged(run, 'alter', nothing),
  },
  {
    name: 'reorders-messages',
    title: 'A shard that swaps two messages',
    breaks: 'outOfOrder',
    options: HIBERNATABLE,
    run: (run) => sabotaged(run, 'reorder', nothing),
  },
  {
    name: 'resumes-any-session',
    title: 'A shard that lets an older copy of a client go on in its epoch',
    breaks: 'lost',
    options: HIBERNATABLE,
    async run(run) {
      await run.shard.order({ sabotage: 'resume-any' });
      await copyGoesOn(run, 'copied');
      run.struck((await run.shard.strikes()).sabotage);
    },
  },
  {
    name: 'storage-that-lies',
    title: "A client's storage that says it has written, and has not",
    breaks: 'lost',
    run: (run) => startOffline(run, { isLying: true }),
  },
  {
    name: 'writes-without-checkpoint',
    title: 'A writer that repeats what it cannot know to be written',
    breaks: 'doubled',
    options: { writer: 'naive', connections: 1 },
    async run(run) {
      const { toPostgres } = run.world;
      // Row by row it takes its time.
      run.load({ maxMessages: 150 });
      for (let time = 0; time < 5; time += 1) {
        await run.pause(50, 100);
        const cut = toPostgres.next('cut');
        toPostgres.set({
          cutAfter: {
            pattern: 'insert into',
            direction: 'upstream',
            when: 'after',
            occurrences: 20,
            times: 1,
          },
        });
        await cut;
        run.struck();
      }
    },
  },
  {
    name: 'ignores-what-is-newer',
    title: 'A sink that lets the first message win where the last one has to',
    breaks: 'lost',
    upsert: { action: 'update', isBroken: true },
    async run(run) {
      run.load();
      await run.until('messages were merged', async () => (await run.shard.stats()).committed > 100);
      run.struck();
    },
  },
  {
    name: 'writes-to-one-table-only',
    title: 'A sink that writes some messages to one of their two tables only',
    breaks: 'lost',
    copies: { isBroken: true },
    async run(run) {
      run.load();
      await run.until('messages were written', async () => (await run.shard.stats()).committed > 100);
      run.struck();
    },
  },
  {
    name: 'gives-up-what-is-missing',
    title: 'An operator who gives up what a failover has lost',
    breaks: 'lost',
    options: { connections: 1 },
    run: (run) => failOverAsync(run, 'give-up'),
  },
  {
    name: 'forgets-before-the-way-back',
    title: 'A failover and back, with a checkpoint that is deleted',
    breaks: 'lost',
    options: { connections: 1, keepSettledMs: 60_000 },
    run: (run) => failOverAndBack(run, true),
  },
  {
    name: 'sleeps-for-good',
    title: 'A shard that has stopped and slept, and is not resumed',
    breaks: 'lost',
    options: { connections: 1, sockets: 'hibernatable' },
    run: (run) => resumeAfterSleep(run, false),
  },
  {
    name: 'resumes-without-checkpoint',
    title: 'A lost answer to COMMIT, with a checkpoint that is deleted before the shard is resumed',
    breaks: 'doubled',
    options: { connections: 1 },
    run: (run) => resumeAfterLostCommit(run, true),
  },
  {
    name: 'forgets-its-outbox',
    title: 'A shard that forgets what waits when its options have changed',
    breaks: 'lost',
    options: { shards: 2 },
    hasSink: true,
    async run(run) {
      const load = run.load({ ack: 'stored', producers: 4 });
      await allGoOn(run, load);
      await fill(run);
      await run.shard.order({ sabotage: 'forget-outbox' });
      await run.deploy({ durability: 'memory' });
      // Asking starts them.
      await run.sink.stats();
      run.struck((await run.shard.strikes()).sabotage);
    },
  },
  {
    name: 'keeps-its-producers',
    title: 'A shard that tells nothing of producers that move to another one',
    breaks: 'doubled',
    options: { shards: 2 },
    hasSink: true,
    async run(run) {
      // They send everything again that is not in Postgres.
      const load = run.load({ ack: 'committed', producers: 4 });
      await allGoOn(run, load);
      await fill(run);
      await run.shard.order({ sabotage: 'keep-producers' });
      await run.deploy({ shards: 1 });
      run.world.toPostgres.heal();
      await allGoOn(run, load);
      run.struck((await run.shard.strikes()).sabotage);
    },
  },
];

/** What a broken promise has lost never comes, so that nobody has to wait for it long. */
const IMPATIENT: Patience = { standstillMs: 20_000, asleepMs: 3_000 };

export interface ControlReport {
  control: Control;
  isCaught: boolean;
  report: RunReport;
}

/** Lets a shard break its promise, and looks whether the verdict says so. */
export async function runControl(world: World, control: Control, seed: number): Promise<ControlReport> {
  const report = await runOnce(world, control, seed, 1, IMPATIENT);
  const isCaught = report.strikes > 0 && !report.pass && report[control.breaks] > 0;
  return { control, isCaught, report };
}

/** Runs every control. One that is not caught means that no verdict of the lab can be trusted. */
export async function runControls(
  world: World,
  seed: number,
  onReport: (report: ControlReport) => void = () => {},
): Promise<ControlReport[]> {
  const reports: ControlReport[] = [];
  for (const control of CONTROLS) {
    const report = await runControl(world, control, seed);
    reports.push(report);
    onReport(report);
  }
  return reports;
}
