/** Rows that Postgres refuses for what is in them, among good ones: they alone become dead letters, whatever happens. */

import { setTimeout as delay } from 'node:timers/promises';
import type { DeadLetter } from '../../../src/outbox/dead-letter.ts';
import { POSTGRES_COMMIT } from '../fault-proxy.ts';
import type { Load, LoadOptions } from '../load.ts';
import { nameOf, POISON } from '../message.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

/** What the run's table refuses. */
const NO_POISON = `payload not like '%${POISON}%'`;

/** The poison's opposite, of a payload that an operator has mended. */
const CURED = POISON.replace('true', 'false');

/** Says of each message by chance whether it is poison. */
function poison(run: Run, share: number): () => boolean {
  const random = run.random.fork();
  return () => random.chance(share);
}

/**
 * Each bad row of a batch of n takes up to 2 log2(n) transactions, and each of them some milliseconds: the load is a
 * little above what a shard can take of it.
 */
function poisonScenario(percent: number, load: LoadOptions, wantedDead: number): Scenario {
  return {
    name: `poison-${percent}-percent`,
    title: `${percent} % of the rows refused by Postgres`,
    check: NO_POISON,
    async run(run) {
      run.load({ ...load, isPoison: poison(run, percent / 100) });
      const wanted = run.times(wantedDead);
      await run.untilCount('rows that are set aside', wanted, async () => (await run.shard.stats()).dead);
      run.struck((await run.shard.stats()).dead);
    },
  };
}

// Next to everything that is sent to Postgres belongs to the isolation of some batch: a batch has tens of rows, of which
// every tenth is poison, and takes as many transactions.
const ISOLATING = {
  check: NO_POISON,
  options: { connections: 1, lingerMs: 50, batchRows: 100 },
} as const satisfies Partial<Scenario>;

/** Starts a load that keeps the shard isolating, and waits until it does. */
async function isolate(run: Run): Promise<void> {
  run.load({ chunk: 4, paceMs: 60, isPoison: poison(run, 0.1) });
  await run.until('the first row was set aside', async () => (await run.shard.stats()).dead > 0);
}

/** Runs `strike` a number of times, with a look at whether the shard is still at it. */
async function duringIsolation(run: Run, times: number, strike: () => Promise<void>): Promise<void> {
  await isolate(run);
  const { dead: first } = await run.shard.stats();
  for (let time = 0; time < times; time += 1) {
    await strike();
    run.struck();
  }
  await run.until('more rows were set aside', async () => (await run.shard.stats()).dead > first);
}

const isolationCut: Scenario = {
  ...ISOLATING,
  name: 'isolation-cut',
  title: 'Connection cut at some statement of an isolation',
  async run(run) {
    const { toPostgres } = run.world;
    // Moves the checkpoint; writes rows; ends an attempt that went well; ends one that did not.
    const steps = ['begin isolation', `"${run.table}"`, POSTGRES_COMMIT.pattern, 'rollback'];
    await duringIsolation(run, run.times(12), async () => {
      const pattern = run.random.pick(steps);
      const isAfter = run.random.chance(0.5);
      const cut = toPostgres.next('cut');
      toPostgres.set({
        cutAfter: {
          pattern,
          direction: 'upstream',
          when: isAfter ? 'after' : 'before',
          ...(pattern === POSTGRES_COMMIT.pattern ? POSTGRES_COMMIT : {}),
          occurrences: run.random.integer(1, 12),
          times: 1,
        },
      });
      await cut;
    });
  },
};

const isolationTerminated: Scenario = {
  ...ISOLATING,
  name: 'isolation-terminated',
  title: 'Postgres ends the connection during an isolation',
  run: (run) =>
    duringIsolation(run, run.times(12), async () => {
      await run.pause(1, 30);
      await run.until(
        'there was a connection',
        async () => (await run.world.postgres.terminateWriters()) > 0,
      );
    }),
};

function isolationFailpoint(action: 'throw' | 'abort'): Scenario {
  return {
    ...ISOLATING,
    name: `isolation-${action}`,
    title: `${action === 'abort' ? 'Crash' : 'Failure'} at some step of an isolation`,
    run: (run) =>
      duringIsolation(run, run.times(10), async () => {
        const { failpoint: before } = await run.shard.strikes();
        const name = run.random.pick(['after_begin', 'after_rows', 'after_commit'] as const);
        await run.shard.order({ failpoint: { name, action, skip: run.random.integer(0, 12), times: 1 } });
        await run.until(`${name} was reached`, async () => (await run.shard.strikes()).failpoint > before);
      }),
  };
}

/** What an operator decided about a letter, for the ledger. */
function decide(run: Run, { payload }: DeadLetter, decision: { retriedAs: string } | 'dropped'): void {
  const name = nameOf(payload);
  if (name === undefined) throw new Error(`A dead letter that nobody sent: ${payload}`);
  run.ledger.decided(
    name,
    decision === 'dropped' ? { act: 'dropped' } : { act: 'retried', text: decision.retriedAs },
  );
}

const MAX_DEAD_LETTERS = 20;

/** Waits until the shard has stopped since there is no room for another dead letter. */
async function untilFull(run: Run): Promise<void> {
  await run.until('the shard has paused for want of room', async () => {
    const { state, lastErrorCode, deadLetters } = await run.shard.stats();
    return state === 'paused' && lastErrorCode === 'dead_letters_full' && deadLetters === MAX_DEAD_LETTERS;
  });
}

/** Drops every letter there is, as often as it fills up again, until nothing is left to write. */
async function dropUntilDrained(run: Run): Promise<void> {
  await run.until('all is written', async () => {
    const { state, buffered } = await run.shard.stats();
    if (state !== 'paused') return buffered === 0;
    const letters = await run.shard.deadLetters();
    const { dropped } = await run.shard.dropDeadLetters({ ids: letters.map(({ id }) => id) });
    if (dropped !== letters.length)
      run.fail(`${letters.length} letters were dropped, and ${dropped} were there`);
    for (const letter of letters) decide(run, letter, 'dropped');
    const { isPaused, code } = await run.shard.resume();
    if (isPaused && code !== 'dead_letters_full') run.fail(`After resume: ${code}`);
    return false;
  });
}

/** The table takes everything from now on, and what was refused is written after all. */
async function liftAndRetry(run: Run): Promise<void> {
  const { postgres } = run.world;
  const [constraint] = await postgres.query<{ name: string }>(
    `select conname as name from pg_constraint where conrelid = '${run.table}'::regclass and contype = 'c'`,
  );
  await postgres.query(`alter table ${run.table} drop constraint "${constraint?.name}"`);
  await run.shard.resume();
  const letters = await run.shard.deadLetters();
  let left = letters.slice(await retry(run, letters, { ids: 'all' }));
  await run.until('there was room for all letters', async () => {
    if (left.length > 0) left = left.slice(await retry(run, left));
    return left.length === 0;
  });
}

/**
 * Retries letters: the oldest first, as far as the shard has room at this moment.
 *
 * @returns how many of them were retried
 */
async function retry(
  run: Run,
  letters: readonly DeadLetter[],
  request: { ids?: 'all'; payload?: string } = {},
): Promise<number> {
  const answer = await run.shard.retryDeadLetters({ ids: letters.map(({ id }) => id), ...request });
  const { retried, missing, remaining } = answer;
  if (missing.length > 0 || retried + remaining !== letters.length)
    run.fail(`${letters.length} letters were there, and could not be retried: ${JSON.stringify(answer)}`);
  for (const letter of letters.slice(0, retried))
    decide(run, letter, { retriedAs: request.payload ?? letter.payload });
  return retried;
}

function fullScenario(
  name: string,
  title: string,
  options: { load: LoadOptions; makeRoom: (run: Run, load: Load) => Promise<void> },
): Scenario {
  return {
    name,
    title,
    options: { maxDeadLetters: MAX_DEAD_LETTERS },
    check: NO_POISON,
    async run(run) {
      const isPoison = poison(run, 0.05);
      let isPoisoning = true;
      const load = run.load({ ...options.load, ack: 'stored', isPoison: () => isPoisoning && isPoison() });
      await untilFull(run);
      run.struck();
      const acked = run.ledger.count('acked');
      await run.pause(100, 500);
      await run.until('more is taken meanwhile', () => run.ledger.count('acked') > acked);
      await untilFull(run);
      isPoisoning = false;
      await options.makeRoom(run, load);
    },
  };
}

const fullThenDropped = fullScenario(
  'dead-letters-full-dropped',
  'No room for another dead letter, until an operator drops them',
  {
    load: { chunk: 10, paceMs: 60 },
    async makeRoom(run, load) {
      load.pause();
      await dropUntilDrained(run);
      load.resume();
      await run.pause(50, 200);
    },
  },
);

const fullThenRetried = fullScenario(
  'dead-letters-full-retried',
  'No room for another dead letter, until the table takes them and they are retried',
  { load: { paceMs: 60 }, makeRoom: liftAndRetry },
);

const retried: Scenario = {
  name: 'dead-letters-retried',
  title: 'Dead letters retried under load, mended or as they are',
  check: NO_POISON,
  async run(run) {
    run.load({ chunk: 10, paceMs: 60, isPoison: poison(run, 0.02) });
    const wanted = run.times(15);
    let mended = 0;
    let unmended = 0;
    while (mended < wanted) {
      const letters = await run.shard.deadLetters();
      if (letters.length === 0) {
        await delay(10);
        continue;
      }
      let retried: number;
      if (run.random.chance(0.7)) {
        const letter = run.random.pick(letters);
        retried = await retry(run, [letter], { payload: letter.payload.replace(POISON, CURED) });
        mended += retried;
      } else {
        retried = await retry(run, letters.slice(0, 5));
        unmended += retried;
      }
      // No room in the shard: it is busy with what came before.
      if (retried === 0) await delay(10);
    }
    run.struck(mended + unmended);
    if (unmended === 0) return;
    const { deadLetters, dead } = await run.shard.stats();
    if (dead <= deadLetters) run.fail('No letter came back');
  },
};

export const poisonScenarios: readonly Scenario[] = [
  poisonScenario(1, { paceMs: 80 }, 12),
  poisonScenario(10, { chunk: 4, paceMs: 80 }, 30),
  poisonScenario(50, { chunk: 1, paceMs: 80 }, 60),
  isolationCut,
  isolationTerminated,
  isolationFailpoint('throw'),
  isolationFailpoint('abort'),
  fullThenDropped,
  fullThenRetried,
  retried,
];
