/** What clients keep on a disk: it loses its last writes, is opened by two programs, or is all that there is before the first welcome. */

import type { LabClient } from '../lab-client.ts';
import type { LabDisk } from '../lab-disk.ts';
import type { Producer } from '../producer.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

/** Writes that are lost at once, at most. */
const MOST_LOST_WRITES = 60;

async function welcomed(run: Run, client: LabClient): Promise<void> {
  await run.until('a client was welcomed', () => client.isWelcome || client.isOver);
}

function diskOf({ disk }: Producer): LabDisk {
  if (disk === undefined) throw new Error('This producer has no disk');
  return disk;
}

/** What is on a disk once a client has recovered all of it: what nobody can know the fate of, and nothing else. */
async function expectSettled(run: Run, disk: LabDisk): Promise<void> {
  const left = (await disk.read()).reduce((sum, { batches }) => sum + batches.length, 0);
  if (left > 0) run.fail(`${left} batches are left on a disk after a client recovered it`);
}

/** Whether any were lost. What is on the disk no more is nothing that the disk can be asked for. */
async function loseWrites(run: Run, disk: LabDisk): Promise<boolean> {
  const before = await disk.texts();
  const lost = disk.loseWrites(run.random.integer(1, MOST_LOST_WRITES));
  const left = new Set(await disk.texts());
  for (const text of before) {
    const entry = run.ledger.findText(text);
    if (entry !== undefined && !left.has(text)) entry.isKept = false;
  }
  return lost > 0;
}

const old: Scenario = {
  name: 'storage-old',
  title: 'Client killed, its storage comes back without its last writes',
  longRuns: 100,
  epochsInterleave: true,
  async run(run) {
    const load = run.load({ hasDisk: true, maxMessages: 3_000 });
    for (let kill = run.times(10); kill > 0; kill -= 1) {
      await run.pause(10, 150);
      const producer = run.random.pick(load.producers);
      producer.client.kill();
      if (await loseWrites(run, diskOf(producer))) run.struck();
      await run.pause(0, 30);
      const client = producer.start();
      // Some live until they have recovered, and some are killed before.
      if (run.random.chance(0.7)) await welcomed(run, client);
    }
    load.pause();
    for (const producer of load.producers) {
      const { client } = producer;
      await welcomed(run, client);
      if (run.random.chance(0.5)) await client.sendInDoubt();
      await client.close();
      await expectSettled(run, diskOf(producer));
    }
  },
};

const shared: Scenario = {
  name: 'storage-shared',
  title: 'Two programs on one storage, with a lock and without',
  longRuns: 100,
  epochsInterleave: true,
  async run(run) {
    const locked = run.load({ hasDisk: true, producers: 2, maxMessages: 2_000 });
    const open = run.load({
      hasDisk: true,
      names: ['open0', 'open1'],
      disk: { isLocked: false },
      maxMessages: 2_000,
    });
    for (let time = run.times(6); time > 0; time -= 1) {
      await run.pause(10, 150);
      await secondIsTold(run, run.random.pick(locked.producers));
      await firstIsFenced(run, run.random.pick(open.producers));
    }
  },
};

/** With a lock, the one that has the disk keeps it. */
async function secondIsTold(run: Run, producer: Producer): Promise<void> {
  const first = producer.client;
  const second = producer.start();
  second.send(run.random.integer(1, 20));
  await run.until('the second program was told', () => second.isOver);
  if (second.code === 'storage_in_use') run.struck();
  else run.fail(`The second program on a disk was told ${second.code ?? 'nothing'}`);
  if (first.isOver) run.fail(`The program that has the disk was ended (${first.code ?? 'closed'})`);
  producer.goOnWith(first);
}

/** Without one, the second one recovers what the first has, and the first is told. */
async function firstIsFenced(run: Run, producer: Producer): Promise<void> {
  const first = producer.client;
  await welcomed(run, first);
  const second = producer.start();
  for (let chunk = run.random.integer(1, 4); chunk > 0 && !first.isOver; chunk -= 1) {
    first.send(run.random.integer(1, 20));
    await run.pause(0, 10);
  }
  await welcomed(run, second);
  await run.until('the first program was told', () => first.isOver);
  run.struck();
}

/** Programs that start while nothing can be reached, take messages, and end. */
export async function startOffline(
  run: Run,
  { isLying = false, wasWelcomed = false, name = 'offline' } = {},
): Promise<void> {
  const { toWorker } = run.world;
  const load = run.load({
    hasDisk: true,
    disk: { isLying },
    names: [`${name}0`, `${name}1`],
    maxMessages: 0,
  });
  for (const producer of load.producers) {
    if (!wasWelcomed) producer.client.kill();
    else await welcomed(run, producer.client);
  }
  toWorker.set({ refuse: true });
  toWorker.reset();
  for (let start = run.random.integer(1, 3); start > 0; start -= 1) {
    for (const producer of load.producers) {
      // The first of them lost its connection, or was never there.
      if (producer.client.isOver) producer.start();
      for (let chunk = run.random.integer(1, 5); chunk > 0; chunk -= 1) {
        producer.send(run.random.integer(1, 20));
        await run.pause(0, 10);
      }
    }
    const isKept = (): boolean => run.ledger.entries.every((entry) => entry.isKept === true);
    await run.until('the storages have every message', isKept);
    for (const { client } of load.producers) client.kill();
    run.struck();
  }
  toWorker.heal();
  for (const producer of load.producers) {
    await welcomed(run, producer.start());
    await producer.client.close();
    await expectSettled(run, diskOf(producer));
  }
}

const offline: Scenario = {
  name: 'offline-start',
  title: 'Programs start with nobody to be reached, take messages and end, time and again',
  longRuns: 100,
  async run(run) {
    await startOffline(run, { name: 'new' });
    await startOffline(run, { name: 'known', wasWelcomed: true });
    const lost = run.ledger.entries.filter(({ outcome }) => outcome.state !== 'acked').length;
    if (lost > 0) run.fail(`${lost} messages that were taken with nobody to be reached were never acked`);
  },
};

export const storageScenarios: readonly Scenario[] = [old, shared, offline];
