/** Memory that all shards of an isolate share. */

import { createBenchTable, dropBenchTable } from '../../../lab/suites/ingest/bench-sink.ts';
import type { SinkOptions } from '../../../src/sinks/sink-options.ts';
import { BareProducer } from '../bare-producer.ts';
import { type HostileKind, MemoryFlood } from '../memory-flood.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { ShardRemote } from '../shard-remote.ts';

/** Where the platform ends an isolate. */
export const ISOLATE_BYTES = 128 * 1024 * 1024;

/** What is sent in a run of the usual size: ten seconds of 100 MB/s. */
const FLOOD_BYTES = 1_000_000_000;

const HOSTILE: readonly Partial<SinkOptions>[] = [
  { durability: 'memory', maxBufferBytes: 64 * 1024 * 1024 },
  { durability: 'memory', maxBufferBytes: 64 * 1024 * 1024 },
  { durability: 'memory', maxBufferBytes: 64 * 1024 * 1024 },
  { maxBufferBytes: 64 * 1024 * 1024, maxOutboxBytes: 64 * 1024 * 1024 },
];

/** What each shard is sent at the same time. */
const HOSTILE_KINDS: readonly HostileKind[] = ['large', 'large', 'large', 'wide', 'wide', 'tiny', 'blank'];

/** Messages of the honest producer that are acked while the memory is full. */
const HONEST_MESSAGES = 20;

/**
 * Four shards of one isolate are flooded while Postgres is away, beside one that is used as it should be.
 *
 * @param isBroken the shards take whatever comes: the heap has to grow beyond what the platform allows
 */
export async function floodMemory(run: Run, isBroken = false): Promise<void> {
  const table = `${run.name}h`;
  await run.world.postgres.query(createBenchTable(table, 'text'));
  run.atEnd('drop the table of the flood', () =>
    run.world.postgres.query(dropBenchTable(table)).then(() => {}),
  );
  const shards = HOSTILE.map((options, number) => shardOf(run, table, number, options));
  if (isBroken) for (const shard of shards) await shard.order({ sabotage: 'no-breaker' });
  run.load({ producers: 4 });
  const honest = await BareProducer.open(run, { name: 'honest' });
  await honest.deliver(honest.messages(5));
  run.world.toPostgres.set({ refuse: true });
  run.world.toPostgres.reset();

  const floods = shards.map((shard) => new MemoryFlood(shard.socketUrl(Number(run.world.workerUrl.port))));
  const sent = (): number => floods.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  const heap = { mostBytes: 0 };
  const startedMs = performance.now();
  try {
    for (const flood of floods)
      for (const [number, kind] of HOSTILE_KINDS.entries()) flood.start(`hostile-${number}`, kind);
    await run.until('memory is full', () => isBroken || floods.some(({ refused }) => refused > 0));
    // What is durable is taken all the same: there is room for what only passes through.
    for (let number = 0; number < HONEST_MESSAGES; number += 1) await honest.deliver([honest.message()]);
    await run.untilCount('bytes of the flood', FLOOD_BYTES * run.scale, async () => {
      heap.mostBytes = Math.max(heap.mostBytes, await run.world.heapBytes());
      if (isBroken && heap.mostBytes > ISOLATE_BYTES) return Number.POSITIVE_INFINITY;
      return sent();
    });
  } finally {
    await Promise.all(floods.map((flood) => flood.stop()));
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const megabytes = sent() / 1e6;
  run.measured = `${megabytes.toFixed(0)} MB at ${(megabytes / seconds).toFixed(0)} MB/s, heap at most ${(heap.mostBytes / 1e6).toFixed(0)} MB`;
  if (heap.mostBytes > ISOLATE_BYTES)
    run.fail(`The heap had ${heap.mostBytes} bytes, and the platform ends an isolate at ${ISOLATE_BYTES}`);
  for (const { refused } of floods) run.struck(refused);
  if (isBroken) run.struck();
  await settle(run, shards);
}

/** Postgres comes back: all that was taken is written, and nothing counts any more. */
async function settle(run: Run, shards: readonly ShardRemote[]): Promise<void> {
  run.world.toPostgres.heal();
  for (const shard of shards) {
    const held = async (): Promise<number> => (await shard.stats()).buffered;
    let least = await held();
    while (least > 0) {
      await run.until('the shards write what they had taken', async () => (await held()) < least);
      least = await held();
    }
    const { received, committed, refused } = await shard.stats();
    const refusals = Object.values(refused).reduce((sum, count) => sum + count, 0);
    if (committed + refusals !== received)
      run.fail(`Of ${received} hostile messages, ${committed} were written and ${refusals} refused`);
  }
  await run.until('clients are given credit again', async () => !(await run.shard.stats()).isMemoryTight);
  for (const shard of shards) await shard.wipe();
}

function shardOf(run: Run, table: string, number: number, options: Partial<SinkOptions>): ShardRemote {
  return new ShardRemote(() => run.world.workerUrl, {
    run: `${run.name}h${number}`,
    spec: { table, column: 'text', options: { lingerMs: 10, ...options } },
    driver: 'tcp',
    shards: 1,
  });
}

const memoryFlood: Scenario = {
  name: 'memory-flood',
  title: 'Hostile input at full speed to four shards of an isolate, Postgres away',
  options: { maxBufferBytes: 32 * 1024 * 1024, durability: 'outbox' },
  readsHeap: true,
  run: (run) => floodMemory(run),
};

export const memoryScenarios: readonly Scenario[] = [memoryFlood];
