/** The suite `ingest` inside the Worker: sockets from load objects, figures by RPC. */

import { SluiceError } from '../../src/core/errors.ts';
import { ExponentialHistogram } from '../../src/core/exponential-histogram.ts';
import type { ConnectionSlot } from '../../src/database/connection-slot.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { bound } from '../../workers/bound.ts';
import type { ShardStats } from '../../workers/objects.ts';
import { poll } from '../measure/poll.ts';
import type { BenchTarget, IngestPorts, LoadJob, LoadReport } from '../suites/ingest/load.ts';
import { benchProducer } from '../suites/ingest/payload.ts';
import { mergeScheduled } from '../suites/rates/scheduled-load.ts';
import type { LabEnv } from './env.ts';
import { benchShardName } from './target.ts';

/** How often the figures of the shards are read while a load runs. */
const PROGRESS_EVERY_MS = 500;

export function workerIngestPorts(env: LabEnv, slot: ConnectionSlot): IngestPorts {
  // What `abandon` ends.
  let underWay: BenchTarget | undefined;
  let isAbandoned = false;
  return {
    slot,
    tableSuffix: randomId(),
    async load(order, onSent) {
      if (isAbandoned) throw new SluiceError('aborted', 'The run was ended before its load began');
      underWay = order.target;
      const loads = clientsByShard(order).map(([shard, clients]) =>
        loadObjectOf(env, order.target, shard).run(order, shard, clients),
      );
      const reports = await showingProgress(Promise.all(loads), async () => {
        const figures = await Promise.all(shardsOf(env, order.target).map((stub) => stub.stats()));
        onSent(figures.reduce((sum, { received }) => sum + received, 0));
      });
      return {
        firstFrameAtMs: Math.min(...reports.map(({ firstFrameAtMs }) => firstFrameAtMs)),
        refused: reports.reduce((sum, { refused }) => sum + refused, 0),
        loopDelayP99Ms: null,
        ackLatency: mergeLatency(reports),
        ...(order.schedule === undefined
          ? {}
          : {
              scheduled: mergeScheduled(reports.flatMap(({ scheduled }) => scheduled ?? [])),
              makingUs: null,
            }),
      };
    },
    async drain(target) {
      const stats = await drainShards(env, target);
      underWay = undefined;
      return stats;
    },
    async abandon() {
      isAbandoned = true;
      if (underWay !== undefined) await abandonShards(env, underWay);
    },
    watchCommitted: (target, onCommitted) =>
      poll(
        async () => {
          const figures = await Promise.all(shardsOf(env, target).map((stub) => stub.stats()));
          return figures.reduce((sum, { committed }) => sum + committed, 0);
        },
        onCommitted,
        { everyMs: PROGRESS_EVERY_MS, wait: (ms) => scheduler.wait(ms) },
      ),
    now: Date.now,
    randomId,
  };
}

function randomId(): string {
  return crypto.randomUUID().slice(0, 8);
}

function loadObjectOf(env: LabEnv, { run }: BenchTarget, shard: number) {
  return bound(env, 'LOAD_OBJECT').getByName(`${run}/${shard}`);
}

/** Ends the load and the shards of a run at once. What is not written is gone. */
async function abandonShards(env: LabEnv, target: BenchTarget): Promise<void> {
  // An object that ends itself answers nobody. The loads go first: they would connect again.
  for (const shard of shardsOf(env, target).keys())
    await loadObjectOf(env, target, shard)
      .end()
      .catch(() => {});
  for (const stub of shardsOf(env, target)) await stub.abandon().catch(() => {});
}

/** Flushes the shards of a run, and deletes what they stored: nobody asks them again, and storage is billed. */
export function drainShards(env: LabEnv, target: BenchTarget): Promise<ShardStats[]> {
  return Promise.all(
    shardsOf(env, target).map(async (stub) => {
      const stats = await stub.drain();
      await stub.wipe();
      return stats;
    }),
  );
}

function mergeLatency(reports: readonly LoadReport[]): LoadReport['ackLatency'] {
  const merged = new ExponentialHistogram();
  for (const { ackLatency } of reports) if (ackLatency !== null) merged.merge(ackLatency);
  return reports.some(({ ackLatency }) => ackLatency !== null) ? merged.snapshot() : null;
}

/** The stubs of a target's shards. */
export function shardsOf(env: LabEnv, target: BenchTarget) {
  return Array.from({ length: target.shards }, (_, shard) =>
    bound(env, 'BENCH_SHARD').getByName(benchShardName(target, shard)),
  );
}

function clientsByShard({ target, clients }: LoadJob): [shard: number, clients: number[]][] {
  const byShard = new Map<number, number[]>();
  for (let client = 0; client < clients; client += 1) {
    const shard = shardOf(benchProducer(target.run, client), target.shards);
    byShard.set(shard, [...(byShard.get(shard) ?? []), client]);
  }
  return [...byShard];
}

async function showingProgress<Value>(work: Promise<Value>, show: () => Promise<void>): Promise<Value> {
  let isDone = false;
  const finished = work.finally(() => {
    isDone = true;
  });
  finished.catch(() => {});
  while (!isDone) {
    await Promise.race([finished, scheduler.wait(PROGRESS_EVERY_MS)]);
    if (!isDone) await show();
  }
  return finished;
}
