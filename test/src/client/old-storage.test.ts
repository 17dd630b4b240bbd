/**
 * Storages that lost their last writes, and copies of storages. The truth is what the server has, by content: nothing is there
 * twice, nothing that a client took and its storage still had is lost, and every promise that resolved is true.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClientEvent, ClientStorage, SluiceClient } from '../../../src/client/index.ts';
import { memoryStorage } from '../../../src/client/storages/memory-storage.ts';
import { settled } from '../../support/fake-timers.ts';
import { type Bed, bed, messages, outcomeOf, readBatch } from './support.ts';

const RUNS = Number(process.env.FAULT_RUNS ?? 300) / 2;

type Write = [method: Exclude<keyof ClientStorage, 'load' | 'close'>, args: unknown[]];

/** A disk whose writes are in a list, so that the last of them can be lost, and so that it can be copied. */
class Disk {
  writes: Write[] = [];

  /** The disk as a client opens it. */
  mount(): ClientStorage {
    const memory = memoryStorage();
    const apply = ([method, args]: Write) => (memory[method] as (...given: unknown[]) => void)(...args);
    for (const write of this.writes) apply(write);
    let isMounted = true;
    const written =
      (method: Write[0]) =>
      (...args: unknown[]) => {
        // A client that was killed writes nothing any more.
        if (!isMounted) return;
        this.writes.push([method, args]);
        apply([method, args]);
      };
    this.unmount = () => {
      isMounted = false;
    };
    return {
      load: () => memory.load(),
      begin: written('begin'),
      append: written('append'),
      saveSession: written('saveSession'),
      trim: written('trim'),
      discard: written('discard'),
      setAside: written('setAside'),
      forget: written('forget'),
      close: () => memory.close(),
    };
  }

  unmount: () => void = () => undefined;

  copy(): Disk {
    const other = new Disk();
    other.writes = [...this.writes];
    return other;
  }

  lose(writes: number): void {
    this.writes.length = Math.max(0, this.writes.length - writes);
  }

  /** The texts that a client would find: not acked, or in doubt. */
  async texts(): Promise<string[]> {
    const found = await this.copy().mount().load();
    return found.flatMap(({ acked, batches, discarded, inDoubt }) => {
      const left = batches.flatMap(({ first, text }) =>
        text.split('\n').filter((line, index) => {
          const sequence = first + index;
          const isDiscarded = discarded.some((run) => run.first <= sequence && sequence <= run.last);
          return sequence > acked && line !== '-' && !isDiscarded;
        }),
      );
      return [...left, ...inDoubt.flatMap(({ text }) => text.split('\n'))];
    });
  }
}

type Step =
  | { do: 'send'; count: number }
  | { do: 'pass'; ms: number }
  | { do: 'cut' }
  | { do: 'restart' }
  | { do: 'loseAcks'; ms: number }
  | { do: 'loseWelcomes' }
  | { do: 'credit'; messages: number }
  | { do: 'down'; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('send' as const), count: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 40 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 100, max: 800 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('loseAcks' as const), ms: fc.integer({ min: 1, max: 200 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('loseWelcomes' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('credit' as const), messages: fc.integer({ min: 0, max: 20 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('down' as const), ms: fc.integer({ min: 1, max: 300 }) }),
  },
);

/** A client that lives for some steps, and is killed; then its disk loses its last writes. */
interface Life {
  steps: Step[];
  loses: number;
  /** Its disk is copied at its end, and a second client lives on the copy while it still runs. */
  isCopied: boolean;
  /** It is cut off meanwhile. */
  isCutOff: boolean;
}

const life: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 12 }),
  loses: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 7, max: 60 })),
  isCopied: fc.constant(false),
  isCutOff: fc.boolean(),
});

interface Sabotage {
  openSocket?: (bed: Bed) => NonNullable<ConstructorParameters<typeof SluiceClient>[0]['openSocket']>;
}

/** Lets clients live one after the other; returns all that is wrong at the end. */
async function faultsOf(lives: readonly Life[], sabotage: Sabotage = {}): Promise<string[]> {
  const made = bed({ storeMs: 5, commitMs: 15 });
  const { server, pass } = made;
  const wrong: string[] = [];
  const promised: string[] = [];
  /** What disks still had when a client began on them, and what the last clients took. */
  const owed = new Set<string>();
  let number = 0;
  const connect = (disk: Disk): SluiceClient =>
    made.connect({
      storage: disk.mount(),
      lingerMs: 1,
      batchMessages: 4,
      ...(sabotage.openSocket === undefined ? {} : { openSocket: sabotage.openSocket(made) }),
    });
  const send = (client: SluiceClient, count: number): string[] =>
    Array.from({ length: count }, () => {
      number += 1;
      const text = `"m${number}"`;
      client.sendText(text).then(
        () => promised.push(text),
        () => undefined,
      );
      return text;
    });
  const kill = async (disk: Disk, client: SluiceClient): Promise<void> => {
    disk.unmount();
    server.cut();
    await client.close({ timeLimitMs: 0 });
    await settled();
  };
  const finish = async (client: SluiceClient): Promise<void> => {
    server.isDown = false;
    server.loses = () => false;
    server.losingWelcomes = 0;
    server.flow({ messages: 1_000, bytes: 100_000 }, 'room');
    const closed = outcomeOf(client.close({ timeLimitMs: 100_000 }));
    for (let passed = 0; passed < 120_000 && closed.state === 'pending'; passed += 100) await pass(100, 5);
    if (closed.value?.unacked !== 0) wrong.push(`closed with ${JSON.stringify(closed)}`);
  };
  const isTakenOver = ({ type }: ClientEvent) => type === 'fenced' || type === 'replaced';

  const disk = new Disk();
  const disks = [disk];
  for (const { steps, loses, isCopied, isCutOff } of lives) {
    for (const text of await disk.texts()) owed.add(text);
    const before = disk.writes.length;
    const client = connect(disk);
    for (const one of steps) await take(made, one, (count) => send(client, count));
    if (isCopied) {
      const copy = disk.copy();
      copy.lose(Math.min(loses, copy.writes.length - before));
      disks.push(copy);
      for (const text of await copy.texts()) owed.add(text);
      if (isCutOff) server.cut();
      const second = connect(copy);
      for (const text of send(second, 5)) owed.add(text);
      // The first goes on as if it were alone. One of them is told that the other has taken over.
      send(client, 3);
      await pass(400, 5);
      send(client, 3);
      await pass(400, 5);
      await kill(copy, second);
    }
    await kill(disk, client);
    server.loses = () => false;
    server.losingWelcomes = 0;
    server.isDown = false;
    server.changeCredit({ messages: 1_000, bytes: 100_000 });
    disk.lose(isCopied ? 0 : Math.min(loses, disk.writes.length - before));
  }
  const doubted = new Set<string>();
  // What the disks hold in the end comes, from each of them.
  for (const one of disks.reverse()) {
    for (const text of await one.texts()) owed.add(text);
    const last = connect(one);
    for (const text of send(last, 3)) owed.add(text);
    await finish(last);
    for (const { texts } of last.inDoubt) for (const text of texts) doubted.add(text);
  }

  const kept = server.kept.map(({ text }) => text);
  const keptSet = new Set(kept);
  if (keptSet.size !== kept.length) wrong.push('something is there twice');
  for (const text of promised) if (!keptSet.has(text)) wrong.push(`${text} was acked and is not there`);
  for (const text of owed) if (!keptSet.has(text) && !doubted.has(text)) wrong.push(`${text} is lost`);
  const recovered = new Map<string, number>();
  const hasCopies = lives.some(({ isCopied }) => isCopied);
  for (const event of made.events) {
    if (['gap', 'unknown', 'missing', 'protocol-error', 'failed', 'storage-failed'].includes(event.type))
      wrong.push(JSON.stringify(event));
    if (isTakenOver(event) && !hasCopies) wrong.push(JSON.stringify(event));
    if (event.type === 'recovered') {
      recovered.set(event.instance, (recovered.get(event.instance) ?? 0) + 1);
      if (!event.known || event.missing !== undefined) wrong.push(JSON.stringify(event));
    }
  }
  wrong.push(...server.violations);
  return wrong;
}

async function take({ server, pass, timers }: Bed, one: Step, send: (count: number) => void): Promise<void> {
  switch (one.do) {
    case 'send':
      send(one.count);
      break;
    case 'pass':
      await pass(one.ms);
      break;
    case 'cut':
      server.cut();
      break;
    case 'restart':
      server.restart();
      break;
    case 'loseAcks':
      server.loses = (frame) => frame.startsWith('{"t":"ack"');
      timers.after(one.ms, () => {
        server.loses = () => false;
      });
      break;
    case 'loseWelcomes':
      server.losingWelcomes += 1;
      break;
    case 'credit':
      server.flow({ messages: one.messages, bytes: 100_000 }, 'room');
      break;
    case 'down':
      server.isDown = true;
      server.cut();
      timers.after(one.ms, () => {
        server.isDown = false;
      });
      break;
  }
}

/** Up to three restarts; the server remembers four epochs of a producer. */
const lives = fc.array(life, { minLength: 1, maxLength: 3 });
const livesWithCopy = fc
  .tuple(fc.array(life, { maxLength: 1 }), life)
  .map(([before, one]) => [...before, { ...one, isCopied: true }]);

describe('a storage that lost its last writes', () => {
  test('nothing is doubled, nothing that it still had is lost, and nothing goes in circles', async () => {
    await fc.assert(
      fc.asyncProperty(lives, async (some) => {
        expect(await faultsOf(some)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('nor where a second client begins on a copy while the first still runs', async () => {
    await fc.assert(
      fc.asyncProperty(livesWithCopy, async (some) => {
        expect(await faultsOf(some)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  /** Changes what clients say. */
  const spoiling =
    (change: (frame: string) => string): Sabotage['openSocket'] =>
    ({ server }) =>
    (url, protocol) => {
      const socket = server.open(url, protocol);
      const sendFrame = socket.send.bind(socket);
      socket.send = (frame) => sendFrame(change(frame));
      return socket;
    };

  async function isFound(change: (frame: string) => string, expected: RegExp): Promise<boolean> {
    for (const some of fc.sample(lives, { seed: 7, numRuns: 150 })) {
      const openSocket = spoiling(change) as NonNullable<Sabotage['openSocket']>;
      if (expected.test((await faultsOf(some, { openSocket })).join())) return true;
    }
    return false;
  }

  test('controls: clients that do it otherwise are found', async () => {
    // One that begins an epoch for what an older instance left.
    const again = (frame: string) =>
      frame.includes('"recover":true')
        ? frame.replace(/"instance":"(\w+)"/, (_, name: string) => `"instance":"n${name.slice(1)}"`)
        : frame;
    expect(await isFound(again, /twice|known/)).toBe(true);
    // One that counts from 1 in one epoch for all its instances, as if a number were a message.
    const same = (frame: string) => frame.replace(/"instance":"\w+"/, '"instance":"same"');
    expect(await isFound(same, /lost|not there|closed with/)).toBe(true);
    // Control of the controls.
    expect(await isFound((frame) => frame, /./)).toBe(false);
  });
});

describe('sessions of an older instance', () => {
  const older = async (made: Bed, disk: Disk) => {
    const { server, connect, pass } = made;
    const first = connect({ storage: disk.mount(), lingerMs: 0 });
    await pass(10);
    void first.sendBatch(messages(1, 3)).catch(() => undefined);
    await pass(20);
    // Taken, and never sent.
    server.credit = { messages: 0, bytes: 0 };
    server.flow(server.credit, 'outbox_full');
    await pass(5);
    first.sendBatch(messages(4, 8)).catch(() => undefined);
    await pass(5);
    disk.unmount();
    server.cut();
    await first.close({ timeLimitMs: 0 });
    server.credit = { messages: 100, bytes: 10_000 };
    return first;
  };

  test('a copy of the running client has sent under its numbers: those are set aside, the others sent', async () => {
    const made = bed();
    const { server, connect, pass, events } = made;
    const disk = new Disk();
    const first = await older(made, disk);
    server.copySends('p', ['"copy 4"', '"copy 5"']);
    await pass(20);
    const second = connect({ storage: disk.mount(), lingerMs: 0 });
    const sent = outcomeOf(second.sendText('"new"'));
    await pass(200);
    expect(sent.state).toBe('resolved');
    expect(server.kept.map(({ text }) => text)).toEqual([
      ...messages(1, 3),
      '"copy 4"',
      '"copy 5"',
      ...messages(6, 8),
      '"new"',
    ]);
    expect(events.filter(({ type }) => type === 'recovered')).toEqual([
      {
        type: 'recovered',
        instance: first.instance,
        messages: 3,
        refused: 0,
        known: true,
        inDoubt: { from: 4, to: 5, messages: 2 },
      },
    ]);
    expect(second.inDoubt).toEqual([{ instance: first.instance, first: 4, texts: messages(4, 5) }]);
    expect(second.stats).toMatchObject({ restored: 5, setAside: 2, acked: 4, unsettled: 0 });
    // In their places stands a line each.
    const lines = server
      .framesOf('batch')
      .map(readBatch)
      .flatMap(({ texts }) => texts);
    expect(lines.filter((line) => line === '-')).toHaveLength(2);

    // They outlive the next restart, and are not told or sent again by themselves.
    void second.close();
    await pass(100);
    const third = connect({ storage: disk.mount(), lingerMs: 0 });
    await pass(100);
    expect(third.inDoubt).toEqual(second.inDoubt);
    expect(server.kept).toHaveLength(9);
    const receipt = outcomeOf(third.sendInDoubt());
    expect(third.sendInDoubt()).toBe(third.sendInDoubt());
    await pass(50);
    expect(receipt.value).toMatchObject({ messages: 2, refused: [] });
    expect(server.kept.slice(9).map(({ text }) => text)).toEqual(messages(4, 5));
    expect(third.inDoubt).toEqual([]);
    void third.close();
    await pass(100);
    expect(await disk.copy().mount().load()).toEqual([]);
  });

  test('or dropped, by an explicit call', async () => {
    const made = bed();
    const { server, connect, pass } = made;
    const disk = new Disk();
    await older(made, disk);
    server.copySends('p', ['"copy 4"']);
    const second = connect({ storage: disk.mount() });
    await pass(200);
    expect(second.dropInDoubt()).toBe(1);
    expect([second.inDoubt, second.dropInDoubt()]).toEqual([[], 0]);
    void second.close();
    await pass(100);
    expect(await disk.copy().mount().load()).toEqual([]);
    expect(server.kept.map(({ text }) => text)).toEqual([...messages(1, 3), '"copy 4"', ...messages(5, 8)]);
  });

  test("control: a server that tells no session apart lets them pass for the copy's", async () => {
    const made = bed();
    const { server, connect, pass } = made;
    const disk = new Disk();
    await older(made, disk);
    server.knowsNoSessions = true;
    server.copySends('p', ['"copy 4"', '"copy 5"']);
    const second = connect({ storage: disk.mount() });
    await pass(200);
    // Acked, and not there: what the session is for.
    expect(second.stats).toMatchObject({ restored: 5, acked: 5, setAside: 0 });
    expect(server.kept.some(({ text }) => text === '{"i":4}')).toBe(false);
  });

  test('a running client whose copy went on is fenced, and its storage still has what it holds', async () => {
    const made = bed();
    const { server, connect, pass } = made;
    const disk = new Disk();
    const first = connect({ storage: disk.mount(), lingerMs: 0 });
    await pass(10);
    void first.sendBatch(messages(1, 3));
    await pass(20);
    server.vanishing = 1;
    const sent = outcomeOf(first.sendText('{"i":4}'));
    await pass(5);
    server.isDown = true;
    server.cut();
    const unsent = outcomeOf(first.sendText('{"i":5}'));
    server.copySends('p', ['"copy 4"']);
    server.isDown = false;
    await pass(1_000, 5);
    expect([sent.code, unsent.code]).toEqual(['fate_unknown', 'fenced']);
    await settled();
    expect(await disk.texts()).toEqual(['{"i":4}', '{"i":5}']);
    const second = connect({ storage: disk.mount(), lingerMs: 0 });
    await pass(200);
    expect(server.kept.map(({ text }) => text)).toEqual([...messages(1, 3), '"copy 4"', '{"i":5}']);
    expect(second.inDoubt.map(({ texts }) => texts)).toEqual([['{"i":4}']]);
  });
});
