/** Several holders of one identity: copies of a machine that runs, of one that was paused, and of what a storage had. */

import { setTimeout as delay } from 'node:timers/promises';
import { type Identity, IdentityHolder, type Reception } from '../identity-holder.ts';
import type { LabClient } from '../lab-client.ts';
import type { LabDisk } from '../lab-disk.ts';
import type { Producer } from '../producer.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

const MOST_HOLDERS = 3;

/** A shard remembers the last four epochs of a producer: programs that start on an older image than that are said to be unknown. */
const MOST_STARTS_AFTER_IMAGE = 2;

/** What the holders of one identity do, one thing after the other, as chance has it. */
class Holders {
  readonly #run: Run;
  readonly #name: string;
  #images: { image: Identity; starts: number }[] = [];
  #starts = 0;
  #holders: IdentityHolder[] = [];
  #clients = 0;

  constructor(run: Run, name: string) {
    this.#run = run;
    this.#name = name;
  }

  get #living(): IdentityHolder[] {
    return this.#holders.filter(({ isOver }) => !isOver);
  }

  /** One more that may take part. Where all were told that they are over, a program starts that has nothing. */
  async #any(): Promise<IdentityHolder> {
    const living = this.#living;
    return living.length === 0 ? this.#startFresh() : this.#run.random.pick(living);
  }

  async #startFresh(): Promise<IdentityHolder> {
    this.#starts += 1;
    this.#images = this.#images.filter(({ starts }) => this.#starts - starts <= MOST_STARTS_AFTER_IMAGE);
    const holder = IdentityHolder.start(this.#run, this.#name, this.#nextClient());
    this.#holders.push(holder);
    await holder.connect();
    return holder;
  }

  #nextClient(): number {
    this.#clients += 1;
    return this.#clients - 1;
  }

  async step(): Promise<void> {
    const { random } = this.#run;
    const holder = await this.#any();
    const chance = random.next();
    if (chance < 0.45)
      await holder.send(random.integer(1, 8), {
        isIntoNowhere: holder.hasOwnSession && random.chance(0.5),
      });
    else if (chance < 0.55) holder.cut();
    else if (chance < 0.75) await this.#connect(holder, random.chance(0.3));
    else if (chance < 0.85) this.#copy(holder);
    else if (!holder.hasOwnSession) await this.#connect(holder, false);
    else if (chance < 0.9) this.#images.push({ image: holder.image(), starts: this.#starts });
    else if (chance < 0.95) await this.#restart(holder);
    else await holder.settled();
  }

  async #connect(holder: IdentityHolder, isWelcomeLost: boolean): Promise<void> {
    if (holder.isConnected) return;
    if ((await holder.connect({ isWelcomeLost })) === 'over') this.#run.struck();
  }

  #copy(holder: IdentityHolder): void {
    if (this.#living.length >= MOST_HOLDERS) return;
    this.#holders.push(holder.copy(this.#nextClient()));
  }

  // A program that starts on what a storage has, or had some time ago, while those before it live or not.
  async #restart(holder: IdentityHolder): Promise<void> {
    const { random } = this.#run;
    const image =
      this.#images.length > 0 && random.chance(0.5) ? random.pick(this.#images).image : holder.image();
    if (random.chance(0.5)) {
      for (const each of this.#holders) each.kill();
      this.#holders = [];
    }
    await IdentityHolder.recover(this.#run, this.#name, this.#nextClient(), image);
    await this.#startFresh();
  }

  /** Everybody who was not told that it is over gets its acks, or is told so. */
  async finish(): Promise<void> {
    for (const holder of this.#holders) {
      await this.#run.until(`${this.#name} has all its acks, or was told that it is over`, async () => {
        if (holder.isOver || (holder.isConnected && (await holder.settled()))) return true;
        return (await holder.connect()) === 'over';
      });
      holder.cut();
    }
  }
}

/**
 * Of two copies of a machine, one goes on and the other comes back later, with as many messages under the same numbers.
 *
 * @returns what the one that came back was told
 */
export async function copyGoesOn(run: Run, name: string): Promise<Reception> {
  const first = IdentityHolder.start(run, name, 0);
  await first.connect();
  await first.send(run.random.integer(1, 20));
  await first.settled();
  const copy = first.copy(1);
  first.cut();
  const count = run.random.integer(1, 20);
  // Before the copy is heard of, after it, or some of each.
  const before = run.random.integer(0, count);
  await first.send(before, { isIntoNowhere: true });
  await copy.connect();
  await copy.send(count);
  await copy.settled();
  await first.send(count - before, { isIntoNowhere: true });
  const told = await first.connect();
  await first.settled();
  if (!first.isOver) await first.send(1);
  await copy.send(1);
  for (const holder of [first, copy]) {
    await holder.settled();
    holder.kill();
  }
  return told;
}

/**
 * A machine is copied, its copy goes on, and the program of the first one starts again on its own storage: it sends what
 * that still has. The copy, which was cut off meanwhile and does not know it, comes back with as many of its own.
 *
 * @returns what the copy was told
 */
export async function copiedRestarts(run: Run, name: string): Promise<Reception> {
  const first = IdentityHolder.start(run, name, 0);
  await first.connect();
  await first.send(run.random.integer(1, 20));
  await first.settled();
  const copy = first.copy(1);
  first.cut();
  await copy.connect();
  const count = run.random.integer(1, 20);
  if (run.random.chance(0.5)) {
    await copy.send(count);
    await copy.settled();
    await first.send(count, { isIntoNowhere: true });
  }
  copy.cut();
  await first.send(count);
  await copy.send(count, { isIntoNowhere: true });
  const image = first.image();
  first.kill();
  await IdentityHolder.recover(run, name, 2, image);
  const told = await copy.connect();
  await copy.settled();
  copy.kill();
  return told;
}

async function walk(run: Run): Promise<void> {
  const told = await copyGoesOn(run, 'copied');
  if (told === 'over') run.struck();
  else run.fail(`The machine that was copied came back after its copy, and was ${told}`);
  await copiedRestarts(run, 'restarted');
  await Promise.all(
    ['a', 'b', 'c'].map(async (name) => {
      const holders = new Holders(run, name);
      for (let step = run.times(120); step > 0; step -= 1) await holders.step();
      await holders.finish();
    }),
  );
}

// With the client library: what it keeps in its storage is copied, and it is told what it can be told.

/** Messages that a machine takes while its copy is at work. */
const MOST_MEANWHILE = 20;

/** A copy of what a client's disk has now, looked at once more at the end. */
function copyDisk(run: Run, client: LabClient): LabDisk {
  const copy = diskOf(client).copy();
  run.askAtEnd(() => copy.texts());
  return copy;
}

function diskOf({ disk }: LabClient): LabDisk {
  if (disk === undefined) throw new Error('This client has no disk');
  return disk;
}

async function welcomed(run: Run, client: LabClient): Promise<void> {
  await run.until('a client was welcomed', () => client.isWelcome || client.isOver);
}

/** A client starts on a disk, and leaves nothing on it but what nobody can know the fate of. */
async function settleDisk(run: Run, producer: Producer, disk: LabDisk): Promise<void> {
  const client = producer.start(disk);
  await welcomed(run, client);
  if (run.random.chance(0.5)) await client.sendInDoubt();
  if ((await client.close()) > 0) run.fail('A client on a copied disk did not get its acks');
  const left = (await disk.read()).reduce((sum, { batches }) => sum + batches.length, 0);
  if (left > 0) run.fail(`${left} batches are left on a disk after a client recovered it`);
}

/** What a client is told that finds another one in its place. */
function expectFenced(run: Run, client: LabClient): void {
  if (client.code !== 'fenced' && client.code !== 'replaced')
    run.fail(`A client whose copy went on was told ${client.code ?? 'nothing'}`);
  run.struck();
}

/** A client takes some messages while another one has its identity. */
async function sendMeanwhile(run: Run, client: LabClient): Promise<void> {
  for (let chunk = run.random.integer(0, 3); chunk > 0 && !client.isOver; chunk -= 1) {
    client.send(run.random.integer(1, MOST_MEANWHILE));
    await run.pause(0, 20);
  }
}

/** What one of two holders does until the other one has to be told. Returns the two, the one that goes on last. */
type Turn = (run: Run, producer: Producer, first: LabClient) => Promise<LabClient>;

/** Lets producers go through turns; after each, both disks are settled, and the load goes on with the newer one. */
async function takeTurns(run: Run, turn: Turn, { turns = 5 } = {}): Promise<void> {
  const load = run.load({ hasDisk: true, producers: 2, maxMessages: 2_000, paceMs: 30 });
  for (let time = run.times(turns); time > 0; time -= 1) {
    await run.pause(10, 150);
    const producer = run.random.pick(load.producers);
    const first = producer.client;
    await welcomed(run, first);
    const second = await turn(run, producer, first);
    load.pause();
    first.kill();
    await settleDisk(run, producer, diskOf(first));
    second.kill();
    await settleDisk(run, producer, diskOf(second));
    producer.start(diskOf(second));
    load.resume();
  }
}

/** The machine is cut off, and its copy goes on. */
const copyOfStorage: Turn = async (run, producer, first) => {
  first.pause();
  first.cut();
  const second = producer.start(copyDisk(run, first));
  await welcomed(run, second);
  await sendMeanwhile(run, second);
  first.wake();
  await sendMeanwhile(run, first);
  await run.until('the first one was told', () => first.isOver);
  expectFenced(run, first);
  return second;
};

const copied: Scenario = {
  name: 'identity-copied',
  title: 'A machine copied, both copies go on',
  longRuns: 100,
  epochsInterleave: true,
  async run(run) {
    await walk(run);
    await takeTurns(run, copyOfStorage, { turns: 3 });
  },
};

/** A machine stands still for so long, as its clock has it. */
const PAUSED_MINUTES = { least: 1, most: 60 };

/** The connection of the machine lives on while it stands still. */
const pauseAndReplace =
  (pauseMs: (run: Run) => number, skippedMs: (run: Run) => number): Turn =>
  async (run, producer, first) => {
    first.pause();
    const second = producer.start(copyDisk(run, first));
    await welcomed(run, second);
    await sendMeanwhile(run, second);
    await delay(pauseMs(run));
    first.wake(skippedMs(run));
    await sendMeanwhile(run, first);
    await run.until('the one that was paused was told', () => first.isOver);
    expectFenced(run, first);
    return second;
  };

const paused: Scenario = {
  name: 'identity-paused',
  title: 'A machine paused for up to an hour by its clock; its replacement goes on',
  longRuns: 100,
  epochsInterleave: true,
  run: (run) =>
    takeTurns(
      run,
      pauseAndReplace(
        ({ random }) => random.integer(0, 100),
        ({ random }) => random.integer(PAUSED_MINUTES.least, PAUSED_MINUTES.most) * 60_000,
      ),
    ),
};

const pausedForMinutes: Scenario = {
  name: 'identity-paused-for-minutes',
  title: 'A machine paused for two minutes; its replacement goes on',
  longRuns: 3,
  isLong: true,
  epochsInterleave: true,
  run: (run) =>
    takeTurns(
      run,
      pauseAndReplace(
        () => 120_000,
        () => 0,
      ),
      { turns: 1 },
    ),
};

/** A client starts on an older state of the disk, while the first one lives or after its end. */
const olderImage: Turn = async (run, producer, first) => {
  const image = copyDisk(run, first);
  await sendMeanwhile(run, first);
  await run.pause(0, 100);
  const isDead = run.random.chance(0.5);
  if (isDead) first.kill();
  const second = producer.start(image);
  await welcomed(run, second);
  await sendMeanwhile(run, second);
  if (isDead) {
    run.struck();
    return second;
  }
  await sendMeanwhile(run, first);
  await run.until('the first one was told', () => first.isOver);
  expectFenced(run, first);
  return second;
};

const restored: Scenario = {
  name: 'identity-restored',
  title: 'An older image of a client started, while the first lives or after its end',
  longRuns: 100,
  epochsInterleave: true,
  run: (run) => takeTurns(run, olderImage),
};

export const identityScenarios: readonly Scenario[] = [copied, paused, pausedForMinutes, restored];
