/** Options that change in a deployment, while messages wait and clients send. */

import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { POSTGRES_COMMIT } from '../fault-proxy.ts';
import type { Load } from '../load.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

const BASE: Partial<SinkOptions> = { shards: 2 };

/** Messages that wait in the outbox when the options change. */
const WAITING = 60;

interface Change {
  name: string;
  /** What is deployed: options over those of the run, or no sink. */
  to: (run: Run) => Partial<SinkOptions> | 'no sink';
  /** Messages are written at least once then: nothing may be under way when a shard ends. */
  isLoose?: boolean;
}

const CHANGES: readonly Change[] = [
  { name: 'durability', to: () => ({ durability: 'memory' }), isLoose: true },
  { name: 'shards', to: (run) => ({ shards: run.random.pick([1, 3, 4]) }) },
  { name: 'writer', to: () => ({ writer: 'naive' }), isLoose: true },
  { name: 'connections', to: (run) => ({ connections: run.random.pick([3, 4]) }) },
  { name: 'sink', to: () => 'no sink' },
];

/**
 * Takes Postgres away, and waits until the outbox holds something; every second time behind a COMMIT, so that a batch is there
 * and the shard does not know.
 */
export async function fill(run: Run): Promise<void> {
  const { toPostgres } = run.world;
  if (run.random.chance(0.5)) {
    const cut = toPostgres.next('cut');
    toPostgres.set({
      cutAfter: { ...POSTGRES_COMMIT, direction: 'upstream', when: 'after', occurrences: 1, times: 1 },
    });
    await cut;
  }
  toPostgres.set({ refuse: true });
  toPostgres.reset();
  await run.untilCount('messages in the outbox', WAITING, async () => (await run.sink.stats()).buffered);
}

/** Deploys other options with a full outbox. */
async function change(run: Run, options: Partial<SinkOptions> | 'no sink'): Promise<void> {
  await fill(run);
  const before = await run.sink.shardStats();
  await run.deploy(options);
  const after = await run.sink.stats();
  const held = before.reduce((sum, { outboxBytes }) => sum + Number(outboxBytes > 0), 0);
  if (held > 0 && after.buffered === 0) run.fail('What waits is out of sight after the options have changed');
  if (options === 'no sink') {
    const stats = await run.sink.shardStats();
    if (!stats.every(({ lastErrorCode }) => lastErrorCode === 'unknown_sink'))
      run.fail('A shard without a sink does not say so');
  }
  // Those that hold something are found, whatever the options say.
  await run.until('the directory lists all that hold something', async () => {
    const listed = await run.sink.listed();
    const stats = await run.sink.shardStats();
    return stats.every(({ shard, buffered }) => buffered === 0 || listed.includes(shard));
  });
  await run.pause(20, 200);
}

async function heal(run: Run, load: Load, isThere: boolean): Promise<void> {
  run.world.toPostgres.heal();
  if (isThere) await allGoOn(run, load);
}

/** Waits until every client has got further acks. */
export async function allGoOn(run: Run, { producers }: Pick<Load, 'producers'>): Promise<void> {
  const before = producers.map(({ client }) => client.stats.acked);
  await run.until('every client goes on', () =>
    producers.every(({ client }, index) => client.stats.acked > (before[index] as number)),
  );
}

/** Waits until all is acked and written. */
async function settle(run: Run, load: Load): Promise<void> {
  load.pause();
  await run.until(
    'all is acked and written',
    async () =>
      load.producers.every(({ client }) => client.stats.unackedMessages === 0) &&
      (await run.sink.stats()).buffered === 0,
  );
}

const optionsChanged: Scenario = {
  name: 'options-changed',
  title:
    'Durability, shards, writer, connections changed, the sink taken away, with messages waiting; and back',
  options: BASE,
  hasSink: true,
  longRuns: 100,
  async run(run) {
    const load = run.load({
      producers: 4,
      chunk: 8,
      paceMs: 60,
      onEvent(producer, event) {
        if (event.type === 'missing') run.fail(`${producer} was told that messages are missing`);
      },
    });
    await allGoOn(run, load);
    for (const { to, isLoose } of shuffled(run, CHANGES)) {
      const options = to(run);
      await change(run, options);
      await heal(run, load, options !== 'no sink');
      if (isLoose === true) {
        await settle(run, load);
        await run.deploy({});
        load.resume();
      } else if (options === 'no sink') {
        await run.deploy({});
      } else await change(run, {});
      await heal(run, load, true);
      run.struck();
    }
  },
};

function shuffled<Item>(run: Run, items: readonly Item[]): Item[] {
  const rest = [...items];
  return items.map(() => rest.splice(run.random.integer(0, rest.length - 1), 1)[0] as Item);
}

export const optionScenarios: readonly Scenario[] = [optionsChanged];
