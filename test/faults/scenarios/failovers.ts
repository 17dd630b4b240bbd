/** Databases that forget what they have committed, addresses that point elsewhere for a while, and operators who resume. */

import { BENCH_CHECKPOINTS } from '../../../lab/suites/ingest/bench-sink.ts';
import type { MissingChoice } from '../../../src/outbox/missing-messages.ts';
import { POSTGRES_COMMIT } from '../fault-proxy.ts';
import { WRITER } from '../postgres-server.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

/** Of one lane, since one that gets no message after a failover has nothing to notice it by. */
const ONE_LANE = { connections: 1, keepSettledMs: 60_000 } as const;

/** What the database had of a run at some time: a copy of its rows and of its checkpoint, of one moment. */
class Past {
  static #count = 0;
  readonly #run: Run;
  readonly #rows: string;
  readonly #checkpoints: string;

  constructor(run: Run) {
    Past.#count += 1;
    this.#run = run;
    this.#rows = `${run.table}_rows_${Past.#count}`;
    this.#checkpoints = `${run.table}_checkpoints_${Past.#count}`;
  }

  static async of(run: Run): Promise<Past> {
    const past = new Past(run);
    await run.world.postgres.query(
      `begin isolation level repeatable read; ${past.#copyStatements.join('; ')}; commit`,
    );
    return past;
  }

  get #copyStatements(): string[] {
    const { table, name } = this.#run;
    return [
      `create table ${this.#rows} as table ${table}`,
      `create table ${this.#checkpoints} as select * from ${BENCH_CHECKPOINTS} where shard like '${name}/%'`,
    ];
  }

  /**
   * From now on the database has what it had then, as after a failover to a copy that lags behind. Transactions that are under
   * way end before it, and every connection does.
   *
   * @returns what it had until now
   */
  async failOver(): Promise<Past> {
    const { world, table, name } = this.#run;
    const until = new Past(this.#run);
    await world.postgres.query(
      [
        'begin',
        // In the order of the writers.
        `lock table ${BENCH_CHECKPOINTS} in access exclusive mode`,
        `lock table ${table} in access exclusive mode`,
        ...until.#copyStatements,
        `delete from ${table}`,
        `insert into ${table} overriding system value table ${this.#rows}`,
        `delete from ${BENCH_CHECKPOINTS} where shard like '${name}/%'`,
        `insert into ${BENCH_CHECKPOINTS} table ${this.#checkpoints}`,
        'commit',
      ].join('; '),
    );
    await world.postgres.terminateWriters();
    return until;
  }

  async drop(): Promise<void> {
    await this.#run.world.postgres.query(`drop table ${this.#rows}, ${this.#checkpoints}`);
  }
}

async function committedOf(run: Run): Promise<number> {
  return (await run.shard.stats()).committed;
}

/** Waits until more is committed than now. */
async function untilMore(run: Run): Promise<void> {
  const before = await committedOf(run);
  await run.until('more is committed', async () => (await committedOf(run)) > before);
}

async function untilStopped(run: Run): Promise<void> {
  await run.until('the shard has stopped', async () => (await run.shard.stats()).state === 'stopped');
  // What is durable says it too, and not what one life remembers.
  if (run.random.chance(0.3)) {
    await run.shard.crash();
    const { state } = await run.shard.stats();
    if (state !== 'stopped') run.fail(`After a crash the shard is ${state}, and not stopped`);
  }
}

/**
 * Resumes without a choice first, which has to change nothing where something is missing.
 *
 * @param mayFit true where the database may have all that the shard has written since, or more
 */
async function writeAgain(run: Run, mayFit = false): Promise<void> {
  const { isPaused, missing } = await run.shard.resume();
  if (!isPaused && mayFit) return;
  if (!isPaused || missing === null)
    run.fail('The shard went on, and was not told what to do about what is missing');
  else if (missing.held !== missing.messages)
    run.fail(`The shard has ${missing.held} of ${missing.messages} missing messages`);
  await run.shard.resume('write-again');
  await run.until('writes go on', async () => (await run.shard.stats()).state === 'running');
}

/** What is left out after the failover makes the control. */
export async function failOverAsync(run: Run, choice: MissingChoice): Promise<void> {
  run.load();
  for (let time = run.times(3); time > 0; time -= 1) {
    await untilMore(run);
    await run.pause(20, 200);
    const past = await Past.of(run);
    await untilMore(run);
    await run.pause(0, 500);
    const until = await past.failOver();
    await untilStopped(run);
    if (choice === 'write-again') await writeAgain(run);
    else await run.shard.resume(choice);
    run.struck();
    await Promise.all([past.drop(), until.drop()]);
  }
  await untilMore(run);
}

const failoverAsync: Scenario = {
  name: 'failover-async',
  title: 'Failover to a copy of Postgres that lags behind; resumed, the rest is written again',
  options: ONE_LANE,
  longRuns: 100,
  run: (run) => failOverAsync(run, 'write-again'),
};

/** With `forget`, nobody knows the old checkpoint any more when the old database is back. */
export async function failOverAndBack(run: Run, forget = false): Promise<void> {
  const { postgres, toPostgres } = run.world;
  run.load();
  for (let time = run.times(2); time > 0; time -= 1) {
    await untilMore(run);
    await run.pause(20, 200);
    const past = await Past.of(run);
    await untilMore(run);
    // The last batch may be one of which nobody knows whether it was committed.
    if (run.random.chance(0.5)) toPostgres.reset();
    const before = await past.failOver();
    await untilStopped(run);
    await writeAgain(run);
    await untilMore(run);
    await run.pause(0, 300);
    const between = await before.failOver();
    if (forget) await postgres.query(`delete from ${BENCH_CHECKPOINTS} where shard like '${run.name}/%'`);
    await untilStopped(run);
    if (forget) await run.shard.resume();
    // Where little was written to the copy yet, the database of before is further.
    else await writeAgain(run, true);
    run.struck(2);
    await Promise.all([past.drop(), before.drop(), between.drop()]);
  }
  await untilMore(run);
}

const failoverAndBack: Scenario = {
  name: 'failover-and-back',
  title: 'Failover to a copy that lags behind, and back to the database of before',
  options: ONE_LANE,
  longRuns: 100,
  run: (run) => failOverAndBack(run),
};

/** With `isResumed` false nobody ever says that it may go on. */
export async function resumeAfterSleep(run: Run, isResumed = true): Promise<void> {
  const { postgres } = run.world;
  const load = run.load({ ack: 'stored' });
  const mine = `where shard like '${run.name}/%'`;
  const rename = async (shard: string): Promise<boolean> => {
    const renamed = await postgres.query(
      `update ${BENCH_CHECKPOINTS} set shard = ${shard} ${mine} returning position`,
    );
    return renamed.length > 0;
  };
  await run.pause(50, 300);
  await run.until('there is a checkpoint to hide', () => rename("shard || '-hidden'"));
  await run.until('the shard has stopped', async () => (await run.shard.stats()).state === 'stopped');
  await run.pause(50, 300);
  await run.stopScraping();
  for (let sleep = run.random.integer(1, 2); sleep > 0; sleep -= 1) {
    load.pause();
    if (run.random.chance(0.8)) await run.shard.hibernate();
    else await run.shard.crash();
    const { state, lastErrorCode, buffered } = await run.shard.stats();
    if (state !== 'stopped' || lastErrorCode !== 'checkpoint_missing' || buffered === 0)
      run.fail(`The shard woke up ${state} (${lastErrorCode}), with ${buffered} messages`);
    load.resume();
    await run.pause(20, 200);
  }
  // Given back, the shard goes on as before; where it is gone for good, it begins another life.
  if (run.random.chance(0.7)) await rename("replace(shard, '-hidden', '')");
  run.struck();
  if (!isResumed) return;
  const { isPaused, message } = await run.shard.resume();
  if (isPaused) run.fail(`Resumed, the shard is stopped: ${message}`);
  await run.until('writes go on', async () => (await run.shard.stats()).committed > 0);
}

const sleepers: Scenario = {
  name: 'resume-after-sleep',
  title: 'A shard that has stopped sleeps, and is resumed when it is awake again',
  options: { connections: 1, sockets: 'hibernatable' },
  longRuns: 100,
  run: (run) => resumeAfterSleep(run),
};

/** What another database says of the shard's checkpoint. */
const ELSEWHERE = ['missing', 'hidden', 'behind', 'ahead'] as const;

/** Another database, for the Worker: a schema that its role finds everything in. */
class Elsewhere {
  readonly #run: Run;
  readonly #schema: string;

  private constructor(run: Run) {
    this.#run = run;
    this.#schema = `${run.name}_elsewhere`;
  }

  static async open(run: Run, kind: (typeof ELSEWHERE)[number]): Promise<Elsewhere> {
    const elsewhere = new Elsewhere(run);
    const schema = elsewhere.#schema;
    const mine = `from public.${BENCH_CHECKPOINTS} where shard like '${run.name}/%'`;
    const checkpoints = `${schema}.${BENCH_CHECKPOINTS}`;
    const by = run.random.integer(1, 1_000);
    const rows = {
      missing: [],
      hidden: [
        `insert into ${checkpoints} select * ${mine}`,
        `alter table ${checkpoints} enable row level security`,
      ],
      behind: [
        `insert into ${checkpoints} select sink, shard, lane, incarnation, greatest(0, position - ${by}), updated_at ${mine}`,
      ],
      ahead: [
        `insert into ${checkpoints} select sink, shard, lane, incarnation, position + 1000000, updated_at ${mine}`,
      ],
    }[kind];
    await run.world.postgres.query(
      [
        `create schema ${schema}`,
        `grant usage on schema ${schema} to ${WRITER.user}`,
        `create table ${checkpoints} (like public.${BENCH_CHECKPOINTS} including all)`,
        `create table ${schema}.${run.table} (like public.${run.table} including all)`,
        `grant select, insert, update on all tables in schema ${schema} to ${WRITER.user}`,
        ...rows,
      ].join('; '),
    );
    return elsewhere;
  }

  /** New connections of the Worker come here. */
  async attract(): Promise<void> {
    await this.#run.world.postgres.query(`alter role ${WRITER.user} set search_path = ${this.#schema}`);
  }

  /** They go where they belong again. */
  async close(): Promise<void> {
    const { postgres } = this.#run.world;
    await postgres.query(`alter role ${WRITER.user} reset search_path`);
    await postgres.terminateWriters();
    await postgres.query(`drop schema ${this.#schema} cascade`);
  }
}

/** With `forget`, the checkpoint is deleted before the shard is resumed: nobody can know any more what was committed. */
export async function resumeAfterLostCommit(run: Run, forget = false): Promise<void> {
  const { postgres, toPostgres } = run.world;
  run.load();
  for (let time = run.times(3); time > 0; time -= 1) {
    await untilMore(run);
    await run.pause(0, 200);
    const elsewhere = await Elsewhere.open(run, forget ? 'missing' : run.random.pick(ELSEWHERE));
    try {
      await elsewhere.attract();
      const cut = toPostgres.next('cut');
      toPostgres.set({
        cutAfter: { ...POSTGRES_COMMIT, direction: 'upstream', when: 'after', occurrences: 1, times: 1 },
      });
      await cut;
      await untilStopped(run);
    } finally {
      await elsewhere.close();
    }
    if (forget) await postgres.query(`delete from ${BENCH_CHECKPOINTS} where shard like '${run.name}/%'`);
    const { isPaused, message } = await run.shard.resume();
    if (isPaused) run.fail(`Resumed, the shard is stopped: ${message}`);
    await run.until('writes go on', async () => (await run.shard.stats()).state === 'running');
    run.struck();
  }
}

const lostCommit: Scenario = {
  name: 'resume-after-lost-commit',
  title: 'COMMIT without its answer, an address that points elsewhere until it is put right, resumed',
  options: { connections: 1 },
  longRuns: 100,
  run: (run) => resumeAfterLostCommit(run),
};

export const failoverScenarios: readonly Scenario[] = [failoverAsync, failoverAndBack, sleepers, lostCommit];
