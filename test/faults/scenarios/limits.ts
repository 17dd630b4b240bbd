/** Limits that are reached: of the outbox, of memory, of sockets, of credit, and of what a client may leave unread. */

import { setTimeout as delay } from 'node:timers/promises';
import {
  ERROR_BYTES_FORGIVEN_PER_SECOND,
  MAX_ERROR_BYTES,
  MAX_OVER_CREDIT,
  MAX_UNCONFIRMED_BYTES,
  PING_AFTER_BYTES,
} from '../../../src/core/limits.ts';
import { BareProducer } from '../bare-producer.ts';
import type { Load } from '../load.ts';
import { RawProducer } from '../raw-producer.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

/** Where the credit is nothing (src/ingest/credit.ts). */
const NO_CREDIT_AT = 0.9;

/** A raw socket that finds no room by then never will. */
const MOST_RAW_FRAMES = 300;

// The outbox.

const SMALL_BYTES = { maxOutboxBytes: 256 * 1024 } as const;
/** With little memory a shard slows everybody down, which would hide what one client does to the others. */
const ROOMY = { maxBufferBytes: 32 * 1024 * 1024 } as const;

const SMALL_ROWS = { maxOutboxRows: 1_000 } as const;

function loseDatabase({ world: { toPostgres } }: Run): void {
  toPostgres.set({ refuse: true });
  toPostgres.reset();
}

/** Clients that are told of nothing worse than a batch that has to wait. */
function patientLoad(run: Run): Load {
  return run.load({
    producers: 4,
    maxMessages: 100_000,
    onEvent(producer, event) {
      if (event.type === 'nack' && !event.temporary)
        run.fail(`${producer} was refused a message for good: ${event.code}`);
      if (event.type === 'failed' || event.type === 'missing' || event.type === 'protocol-error')
        run.fail(`${producer} was told of ${event.type}`);
    },
  });
}

async function isFull(run: Run): Promise<boolean> {
  const { outboxBytes, buffered } = await run.shard.stats();
  const { maxOutboxBytes, maxOutboxRows } = run.options;
  return outboxBytes >= maxOutboxBytes * NO_CREDIT_AT || buffered >= maxOutboxRows * NO_CREDIT_AT;
}

/** Sends one message of about `bytes` after the other until the producer is told to send nothing. */
async function useCreditUp(run: Run, producer: BareProducer, bytes = 90): Promise<void> {
  await run.until(`${producer.name} was told to send nothing`, async () => {
    if (producer.credit.messages === 0) return true;
    if (producer.unsettled === 0) await producer.sendBatch([producer.message('', bytes)]);
    else if (producer.takeAnswers().some(({ temporary }) => temporary === true)) await producer.sendAgain();
    return false;
  });
}

/** Waits until a producer without credit was given some, and goes on with it. */
async function goOnAfterFlow(run: Run, producer: BareProducer): Promise<void> {
  const isRoom = ({ t, reason }: { t: string; reason?: unknown }): boolean =>
    t === 'flow' && reason === 'room';
  await run.until(
    `${producer.name} was told of the room`,
    () => producer.credit.messages > 0 && producer.takeAnswers().some(isRoom),
  );
  await producer.sendAgain();
  for (let time = 0; time < 5; time += 1) await producer.deliver([producer.message()]);
}

/** A raw socket sends until it hears that there is no room, and finds itself closed. */
async function fillByRawSocket(run: Run): Promise<void> {
  const raw = await RawProducer.open(run, { name: 'raw' });
  for (let lines = 1; raw.socket.isOpen && lines <= MOST_RAW_FRAMES; lines += 1) {
    await raw.send(raw.messages(lines));
    await delay(2);
  }
  await run.until('the raw socket was told that the outbox is full', () => raw.socket.end !== undefined);
  if (raw.socket.end?.code !== 1013 || !raw.isFull)
    run.fail(
      `The raw socket ended with ${raw.socket.end?.code}, ${raw.isFull ? 'and' : 'without'} buffer_full`,
    );
}

/** Waits until every client has got further acks. */
async function allGoOn(run: Run, { producers }: Load): Promise<void> {
  const before = producers.map(({ client }) => client.stats.acked);
  await run.until('every client goes on', () =>
    producers.every(({ client }, index) => client.stats.acked >= (before[index] as number) + 50),
  );
}

function checkLimits(run: Run): void {
  const { maxOutboxBytes, maxOutboxRows } = run.options;
  for (const { outboxBytes, buffered } of run.scrapes) {
    if (outboxBytes > maxOutboxBytes)
      run.fail(`${outboxBytes} bytes were in an outbox for ${maxOutboxBytes}`);
    if (buffered > maxOutboxRows) run.fail(`${buffered} messages were in an outbox for ${maxOutboxRows}`);
  }
}

async function fillOutbox(run: Run, fullMs: number): Promise<void> {
  const load = patientLoad(run);
  const watcher = await BareProducer.open(run, { name: 'watcher' });
  await watcher.sendBatch(watcher.messages(5));
  await watcher.settled();
  loseDatabase(run);
  await useCreditUp(run, watcher);
  await fillByRawSocket(run);
  if (!(await isFull(run))) run.fail('The outbox has room, and says that it has none');
  await delay(fullMs);
  if (!(await isFull(run))) run.fail('The outbox has room again with the database away');
  run.struck();
  run.world.toPostgres.heal();
  await goOnAfterFlow(run, watcher);
  await allGoOn(run, load);
  checkLimits(run);
}

const outboxBytes: Scenario = {
  name: 'outbox-full-of-bytes',
  title: 'Outbox at its limit of bytes, Postgres away',
  options: SMALL_BYTES,
  run: (run) => fillOutbox(run, run.random.integer(500, 2_000)),
};

const outboxRows: Scenario = {
  name: 'outbox-full-of-rows',
  title: 'Outbox at its limit of messages, Postgres away',
  options: SMALL_ROWS,
  run: (run) => fillOutbox(run, run.random.integer(500, 2_000)),
};

const outboxForMinutes: Scenario = {
  name: 'outbox-full-for-minutes',
  title: 'Outbox at its limit for two minutes, Postgres away',
  options: SMALL_BYTES,
  longRuns: 2,
  isLong: true,
  run: (run) => fillOutbox(run, 120_000),
};

// A client that connects to a shard that is full from its first moment is told so by the welcome, and by nothing else where
// nobody sends.
async function welcomeWithoutCredit(run: Run): Promise<void> {
  const filler = await BareProducer.open(run, { name: 'filler' });
  loseDatabase(run);
  await useCreditUp(run, filler, 2_000);
  await run.shard.crash();
  const late = await BareProducer.open(run, { name: 'late' });
  if (late.credit.messages > 0) run.fail('A full shard has welcomed a client with credit');
  const { recovered } = await run.shard.stats();
  if (recovered === 0) run.fail('The shard came back with an empty outbox');
  run.struck();
  run.world.toPostgres.heal();
  await goOnAfterFlow(run, late);
}

const outboxCrash: Scenario = {
  name: 'outbox-full-crash',
  title: 'Shard aborted with its outbox at the limit',
  options: SMALL_BYTES,
  async run(run) {
    await welcomeWithoutCredit(run);
    const load = patientLoad(run);
    await run.pause(100, 300);
    loseDatabase(run);
    for (let time = run.times(3); time > 0; time -= 1) {
      await run.until('the outbox is full', () => isFull(run));
      await run.shard.crash();
      run.struck();
    }
    run.world.toPostgres.heal();
    await allGoOn(run, load);
    checkLimits(run);
  },
};

// Memory.

const spilled: Scenario = {
  name: 'memory-spilled',
  title: 'Far more waits than memory holds, read back from the outbox',
  options: { maxBufferBytes: 64 * 1024 },
  async run(run) {
    const load = patientLoad(run);
    loseDatabase(run);
    const wanted = run.times(4_000);
    await run.untilCount(
      'messages in the outbox only',
      wanted,
      async () => (await run.shard.stats()).spilled,
    );
    // Memory of a shard that starts again is empty, and all of it is in the outbox only.
    if (run.random.chance(0.5)) await run.shard.crash();
    await run.pause(100, 500);
    run.struck();
    run.world.toPostgres.heal();
    await allGoOn(run, load);
  },
};

// Sockets.

const SOCKETS = 500;

const reconnectStorm: Scenario = {
  name: 'reconnect-storm',
  title: '500 sockets of one shard, all cut at once',
  options: ROOMY,
  async run(run) {
    const welcomes = new Map<string, number>();
    const { producers } = run.load({
      producers: SOCKETS,
      chunk: 8,
      paceMs: 1_500,
      // Where 500 handshakes are made at once, on a busy machine, each may take long.
      speed: 0.2,
      onEvent(producer, { type }) {
        if (type === 'connected') welcomes.set(producer, (welcomes.get(producer) ?? 0) + 1);
      },
    });
    const { toWorker } = run.world;
    const allConnected = (times: number): Promise<void> =>
      run.untilCount(
        `clients that are connected, ${times} times`,
        SOCKETS,
        () => producers.filter(({ name }) => (welcomes.get(name) ?? 0) >= times).length,
      );
    await allConnected(1);
    for (let storm = run.times(3); storm > 0; storm -= 1) {
      await run.pause(200, 800);
      if (toWorker.stats.open < SOCKETS) run.fail(`Only ${toWorker.stats.open} sockets were open at once`);
      const before = Math.min(...producers.map(({ name }) => welcomes.get(name) as number));
      const cuts = toWorker.stats.cuts;
      toWorker.reset();
      run.struck(toWorker.stats.cuts - cuts);
      await allConnected(before + 1);
    }
  },
};

// Clients that keep to no rules.

/** Room for the frame that went over a limit, and for the one that says so. */
const SLACK_BYTES = 64 * 1024;

const neverReads: Scenario = {
  name: 'client-never-reads',
  title: 'Clients that send and never read',
  options: ROOMY,
  async run(run) {
    const load = run.load();
    const deaf = await BareProducer.open(run, { name: 'deaf', isDeaf: true });
    const raw = await RawProducer.open(run, { name: 'raw' });
    const sinceMs = performance.now();
    deaf.socket.stopReading();
    raw.socket.stopReading();
    await deaf.sendBatch(deaf.messages(200));
    await raw.send(raw.messages(200));
    // Each is answered by an ack of about 80 characters; so these are more than may be left unread.
    const acks = Math.ceil(MAX_UNCONFIRMED_BYTES / 60);
    for (let sent = 0; sent < acks; sent += 100) {
      await deaf.sendBatch(deaf.messages(1));
      for (let ping = 0; ping < 99; ping += 1) void deaf.socket.send('{"t":"ping"}');
      await deaf.socket.send('{"t":"ping"}');
    }
    // Each is answered by an error frame of more than 1,000 characters.
    const errors = Math.ceil((MAX_ERROR_BYTES * 1.2) / 1_000);
    const sendBad = (): Promise<void> =>
      raw.send([raw.message(), ...Array.from({ length: 10 }, () => 'no message')]);
    for (let sent = 0; sent < errors; sent += 1) await sendBad();
    await allGoOn(run, load);
    deaf.socket.read();
    raw.socket.read();
    await run.until('both have seen how they ended', async () => {
      // Error frames are forgiven as time goes by, so that on a busy machine those from before are too few.
      for (let sent = 0; sent < 50 && raw.socket.isOpen; sent += 1) await sendBad();
      return deaf.socket.end !== undefined && raw.socket.end !== undefined;
    });
    if (deaf.socket.end?.code !== 4504) run.fail(`The deaf client ended with ${deaf.socket.end?.code}`);
    else run.struck();
    if (raw.socket.end?.code !== 1008) run.fail(`The deaf raw socket ended with ${raw.socket.end?.code}`);
    else run.struck();
    // All that the shard had for them, so all that it ever held.
    if (deaf.socket.receivedBytes > MAX_UNCONFIRMED_BYTES + SLACK_BYTES)
      run.fail(`${deaf.socket.receivedBytes} bytes were kept for a client that does not read`);
    const forgivenBytes = ((performance.now() - sinceMs) / 1_000) * ERROR_BYTES_FORGIVEN_PER_SECOND;
    if (raw.socket.receivedBytes > MAX_ERROR_BYTES + forgivenBytes + SLACK_BYTES)
      run.fail(`${raw.socket.receivedBytes} bytes were kept for a raw socket that does not read`);
    if (deaf.socket.receivedBytes < PING_AFTER_BYTES) run.fail('The deaf client was sent nearly nothing');
    // It may come back, and is served as any other.
    const again = await BareProducer.open(run, { name: 'deaf', client: 1 });
    await again.sendBatch(again.messages(50));
    await again.settled();
  },
};

const MOST_HOG_FRAMES = 2_000;

const overCredit: Scenario = {
  name: 'credit-ignored',
  title: 'A client that sends on without credit',
  options: SMALL_BYTES,
  async run(run) {
    const load = patientLoad(run);
    const hog = await BareProducer.open(run, { name: 'hog' });
    loseDatabase(run);
    // It goes back where it is told to, and does not wait for anything.
    let refusals = 0;
    for (let frames = 0; hog.socket.isOpen && frames < MOST_HOG_FRAMES; frames += 1) {
      const answers = hog.takeAnswers();
      refusals += answers.filter(({ code }) => code === 'over_credit').length;
      if (answers.some(({ t }) => t === 'nack' || t === 'gap')) await hog.sendAgain();
      else await hog.sendBatch(hog.messages(40));
      await delay(1);
    }
    await run.until('the one without credit was closed', () => hog.socket.end !== undefined);
    refusals += hog.takeAnswers().filter(({ code }) => code === 'over_credit').length;
    if (hog.socket.end?.code !== 4429 || refusals !== MAX_OVER_CREDIT)
      run.fail(`It ended with ${hog.socket.end?.code} after ${refusals} times over_credit`);
    else run.struck();
    run.world.toPostgres.heal();
    await allGoOn(run, load);
    const again = await BareProducer.open(run, { name: 'hog', client: 1 });
    await again.deliver(again.messages(20));
    checkLimits(run);
  },
};

const FLOOD_MESSAGES = 1_000;

const flood: Scenario = {
  name: 'flood-beside-slow',
  title: 'One client floods, others send now and then',
  options: ROOMY,
  async run(run) {
    const stored = await BareProducer.open(run, { name: 'slow-stored', ack: 'stored' });
    const committed = await BareProducer.open(run, { name: 'slow-committed', ack: 'committed' });
    const isRaw = run.random.chance(0.5);
    const rows = run.random.pick(isRaw ? [1, 5, 10] : [1, 10, 50]);
    let flooded = 0;
    let isOver = false;
    const pour = async (): Promise<void> => {
      const flooder = isRaw
        ? await RawProducer.open(run, { name: 'flood' })
        : await BareProducer.open(run, { name: 'flood' });
      while (!isOver && flooder.socket.isOpen) {
        // Several at once, so that the network always has the next one.
        const frames = Array.from({ length: 20 }, () => flooder.messages(rows));
        flooded += rows * frames.length;
        await Promise.all(
          frames.map((frame) =>
            flooder instanceof RawProducer ? flooder.send(frame) : flooder.sendBatch(frame),
          ),
        );
        await delay(0);
      }
      if (!flooder.socket.isOpen) run.fail(`The flood was closed with ${flooder.socket.end?.code}`);
      if (flooder instanceof RawProducer) await flooder.close();
      else await flooder.settled();
    };
    const pouring = pour();
    const trickle = async (producer: BareProducer, times: number): Promise<void> => {
      for (let time = times; time > 0; time -= 1) {
        await producer.sendBatch([producer.message()]);
        const before = flooded;
        await producer.settled();
        // An ack that came in a pause of the flood proves nothing.
        await run.until('the flood goes on', () => flooded > before);
        run.struck();
      }
    };
    try {
      // A commit waits for what is in front of it, so for much of the flood.
      await Promise.all([trickle(stored, run.times(20)), trickle(committed, run.times(2))]);
      await run.until('the flood was one', () => flooded >= FLOOD_MESSAGES);
    } finally {
      isOver = true;
      await pouring;
    }
  },
};

export const limitScenarios: readonly Scenario[] = [
  outboxBytes,
  outboxRows,
  outboxForMinutes,
  outboxCrash,
  spilled,
  reconnectStorm,
  neverReads,
  overCredit,
  flood,
];
