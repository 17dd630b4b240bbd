/**
 * Faults in any order, then none: every message that the client said was safe is there, once, in its order, and was never
 * refused; and every promise is settled.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type {
  AckLevel,
  SluiceClient,
  SluiceClientOptions,
  WebSocketLike,
  WhenFull,
} from '../../../src/client/index.ts';
import { memoryStorage } from '../../../src/client/storages/memory-storage.ts';
import type { FakeSluiceServer } from '../../support/fake-sluice-server.ts';
import { settled } from '../../support/fake-timers.ts';
import { type Bed, bed } from './support.ts';

/** More of them for a night: `FAULT_RUNS=100000`. */
const RUNS = Number(process.env.FAULT_RUNS ?? 300);

type Step =
  | { do: 'send'; count: number; bad: number; thenMs: number }
  | { do: 'sendBatch'; count: number; bad: number; thenMs: number }
  | { do: 'pass'; ms: number }
  | { do: 'cut'; code: number }
  | { do: 'restart' }
  | { do: 'restartClient' }
  | { do: 'loseAcks'; ms: number }
  | { do: 'loseNacks'; times: number }
  | { do: 'deferred'; batches: number }
  | { do: 'vanish'; batches: number }
  | { do: 'credit'; messages: number; bytes: number }
  | { do: 'flow'; messages: number; bytes: number }
  | { do: 'latency'; ms: number }
  | { do: 'storeMs'; ms: number }
  | { do: 'limits'; frameBytes: number; frameMessages: number }
  | { do: 'drain'; ms: number }
  | { do: 'flush' }
  | { do: 'ping' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      count: fc.integer({ min: 1, max: 5 }),
      bad: fc.integer({ min: 0, max: 20 }),
      // So that the next fault hits what is on its way.
      thenMs: fc.integer({ min: 0, max: 8 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('sendBatch' as const),
      count: fc.integer({ min: 1, max: 60 }),
      bad: fc.integer({ min: 0, max: 100 }),
      // So that the next fault hits what is on its way.
      thenMs: fc.integer({ min: 0, max: 8 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 100, max: 1_000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('cut' as const),
      code: fc.constantFrom(1006, 1000, 1001, 4500, 4503),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restartClient' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('loseAcks' as const), ms: fc.integer({ min: 1, max: 300 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('loseNacks' as const), times: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('deferred' as const), batches: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('vanish' as const), batches: fc.integer({ min: 1, max: 2 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('credit' as const),
      messages: fc.integer({ min: 0, max: 40 }),
      bytes: fc.integer({ min: 0, max: 600 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('flow' as const),
      messages: fc.integer({ min: 0, max: 40 }),
      bytes: fc.integer({ min: 0, max: 600 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('latency' as const), ms: fc.integer({ min: 0, max: 30 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('storeMs' as const), ms: fc.integer({ min: 0, max: 400 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('limits' as const),
      frameBytes: fc.integer({ min: 120, max: 1_000 }),
      frameMessages: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('drain' as const), ms: fc.integer({ min: 1, max: 500 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('ping' as const) }) },
);

interface Plan {
  ack: AckLevel;
  /** Without one, a restart loses what was not committed, and the sink promises at-least-once. */
  outbox: boolean;
  options: Partial<SluiceClientOptions>;
  seed: number;
  steps: Step[];
}

const planFor = (sinks: Pick<Plan, 'ack' | 'outbox'>): fc.Arbitrary<Plan> =>
  fc.record({
    ack: fc.constant(sinks.ack),
    outbox: fc.constant(sinks.outbox),
    options: fc.record({
      batchMessages: fc.integer({ min: 1, max: 20 }),
      batchBytes: fc.integer({ min: 1, max: 300 }),
      lingerMs: fc.constantFrom(0, 1, 5),
      sendBufferMessages: fc.integer({ min: 1, max: 200 }),
      sendBufferBytes: fc.integer({ min: 50, max: 5_000 }),
      whenFull: fc.constantFrom<WhenFull>('block', 'block', 'block', 'reject', 'drop-oldest', 'drop-newest'),
    }),
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
  });

const plan = fc.oneof(
  { weight: 2, arbitrary: planFor({ ack: 'stored', outbox: true }) },
  { weight: 1, arbitrary: planFor({ ack: 'committed', outbox: true }) },
  { weight: 1, arbitrary: planFor({ ack: 'none', outbox: true }) },
);

/** What one message became. */
interface Fate {
  text: string;
  isBad: boolean;
  /** `dropped` ones were never sent; those that are `gone` were under way when the client was killed. */
  state: 'pending' | 'safe' | 'refused' | 'dropped' | 'gone';
}

/** A plan under way. */
interface Run {
  bed: Bed;
  client: SluiceClient;
  fates: Fate[];
  /** Limits became smaller behind messages whose promise had resolved. */
  mayRefuseLong: boolean;
  /** What the client claimed and that was not so. */
  lies: string[];
  /** Promises that were rejected for another reason than a refusal, though the client was not restarted. */
  failures: string[];
  flushes: Promise<unknown>[];
  /** What was taken by clients that were killed: it is in the storage, so it comes. */
  taken: Set<string>;
  clients: number;
}

interface Sabotage {
  /** Every token is the first one. */
  withoutFreshTokens?: boolean;
  server?: (server: FakeSluiceServer) => void;
  openSocket?: (server: FakeSluiceServer) => FakeSluiceServer['open'];
  withoutStorage?: boolean;
}

/** mulberry32: the same waits for the same plan. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Everything that is wrong after a plan and its healing. */
async function faultsOf(
  { ack, outbox, options, seed, steps }: Plan,
  sabotage: Sabotage = {},
  watch: (run: Run) => void = () => undefined,
): Promise<string[]> {
  const made = bed({ outbox, storeMs: 5, commitMs: 15 });
  const { server, pass, timers } = made;
  server.refusal = (text) => (text.startsWith('"bad') ? 'number_out_of_range' : undefined);
  sabotage.server?.(server);
  const random = randomFrom(seed);
  const token = seed % 3 === 0 ? expireTokens(made, random, sabotage) : undefined;
  const storage = memoryStorage();
  const hasStorage = sabotage.withoutStorage !== true && seed % 2 === 0;
  const connect = () =>
    made.connect({
      ...options,
      ack,
      random,
      ...(token === undefined ? {} : { token }),
      ...(hasStorage ? { storage } : {}),
      ...(sabotage.openSocket === undefined ? {} : { openSocket: sabotage.openSocket(server) }),
    });
  const mayRefuseLong =
    steps.some((one) => one.do === 'limits') &&
    (ack === 'none' || steps.some((one) => one.do === 'restartClient'));
  const run: Run = {
    bed: made,
    client: connect(),
    fates: [],
    mayRefuseLong,
    lies: [],
    failures: [],
    flushes: [],
    taken: new Set(),
    clients: 1,
  };
  const usual = { credit: server.credit, limits: server.limits };
  for (const one of steps) {
    await take(
      run,
      one,
      async () => {
        if (!hasStorage) return;
        // Its sockets die with it: one more hello that came late would replace its successor.
        server.cut();
        const { blockedMessages } = run.client.stats;
        const closed = run.client.close({ timeLimitMs: 0 });
        const { inDoubt, unsent } = run.client.unsettled();
        for (const text of [...inDoubt, ...unsent.slice(0, unsent.length - blockedMessages)])
          run.taken.add(text);
        await closed;
        // The storage is let go of once it has what was taken.
        await settled();
        run.clients += 1;
        run.client = connect();
      },
      ack,
    );
  }

  // Healed.
  server.losingNacks = 0;
  server.vanishing = 0;
  server.deferring = 0;
  server.loses = () => false;
  server.latencyMs = 1;
  server.limits = usual.limits;
  server.flow(usual.credit, 'room');
  const isQuiet = () => run.client.stats.unackedMessages === 0 && run.client.stats.blockedCalls === 0;
  for (let passed = 0; passed < 300_000 && !isQuiet(); passed += 500) await pass(500, 25);
  const closed = run.client.close({ timeLimitMs: 100_000 });
  for (let passed = 0; passed < 120_000 && run.client.state !== 'closed'; passed += 500) await pass(500, 25);
  await settled();
  const report = await closed;
  watch(run);
  await Promise.allSettled(run.flushes);

  const wrong = [...run.lies, ...run.failures, ...server.violations];
  if (report.unacked !== 0 || report.timedOut) wrong.push(`closed with ${JSON.stringify(report)}`);
  if (timers.pending > server.openSockets.length) {
    // The server's own timers come due; the client's are gone.
    await pass(1_000, 50);
    if (timers.pending > 0) wrong.push(`${timers.pending} timers left`);
  }
  for (const event of made.events) {
    if (event.type === 'unknown' && !outbox) continue;
    if (['unknown', 'missing', 'fenced', 'failed', 'protocol-error'].includes(event.type))
      wrong.push(JSON.stringify(event));
  }
  for (const event of made.events) {
    if (event.type !== 'recovered') continue;
    if (event.missing !== undefined || event.inDoubt !== undefined || (outbox && !event.known))
      wrong.push(JSON.stringify(event));
  }
  if (run.client.inDoubt.length > 0) wrong.push('something is in doubt');
  const stats = run.client.stats;
  const counted = stats.acked + stats.refused + stats.dropped + stats.setAside + stats.unsettled;
  if (stats.offered + stats.restored !== counted) wrong.push(`the sums of ${JSON.stringify(stats)}`);
  const epochs = new Set(server.kept.map(({ epoch }) => epoch));
  if (outbox && epochs.size > run.clients) wrong.push(`${epochs.size} epochs of ${run.clients} clients`);
  if (hasStorage) {
    const left = await storage.load();
    if (left.length > 0) wrong.push(`left in the storage: ${JSON.stringify(left)}`);
  }
  const all = server.kept.map(({ text }) => text);
  const keptSet = new Set(all);
  // Where the server has forgotten the producer, messages may come again.
  const inOrder = server.unknowns > 0 ? [...keptSet] : all;
  // A message that was too large for a while is still in the storage, and a client that is restarted sends it.
  const kept = inOrder.filter(
    (text) => !run.fates.some((fate) => fate.text === text && fate.state === 'refused'),
  );
  if (keptSet.size !== inOrder.length) wrong.push('a message is there twice');
  // A client that was killed loses what waited for room in it; all others are there, or refused.
  const expected = run.fates.filter(
    ({ text, isBad, state }) =>
      !isBad &&
      state !== 'refused' &&
      state !== 'dropped' &&
      (state !== 'gone' || run.taken.has(text) || keptSet.has(text)),
  );
  const left = expected.filter(({ text }) => !keptSet.has(text) && !isTooLarge(run, text));
  if (left.length > 0) wrong.push(`lost: ${left.map(({ text, state }) => `${text} ${state}`).join(', ')}`);
  const order = expected.map(({ text }) => text).filter((text) => keptSet.has(text));
  if (order.join() !== kept.join()) wrong.push(`the order is ${kept.join()} instead of ${order.join()}`);
  for (const { text, isBad, state } of run.fates) {
    if (state === 'pending') wrong.push(`${text} is pending`);
    if (state === 'refused' && !isBad && !isTooLarge(run, text)) wrong.push(`${text} was refused`);
    if ((isBad || state === 'dropped') && keptSet.has(text)) wrong.push(`${text} was kept`);
  }
  return wrong;
}

/**
 * Tokens that are good for some hundred milliseconds, so that sessions are asked for fresh ones at any moment; now and then there
 * is none, none in time, or one that has expired. Returns what makes them.
 */
function expireTokens(
  { server, timers }: Bed,
  random: () => number,
  { withoutFreshTokens }: Sabotage,
): () => Promise<string> {
  server.authLimitMs = 30;
  server.judgeToken = ({ token }) => {
    const untilMs = Number(token?.split('.')[1]);
    return untilMs > timers.now() ? untilMs : undefined;
  };
  let tokens = 0;
  const make = (lifeMs: number): string => `t${tokens++}.${timers.now() + lifeMs}`;
  const first = make(200);
  return async () => {
    const dice = random();
    if (withoutFreshTokens === true) return first;
    if (dice < 0.05) throw new Error('no token now');
    if (dice < 0.1) return new Promise<string>(() => undefined);
    if (dice < 0.15) await new Promise<void>((resolve) => timers.after(40, resolve));
    return make(dice < 0.28 ? -1 : 100 + 300 * random());
  };
}

/** Whether tiny limits or a tiny send buffer had to refuse a message. */
function isTooLarge({ fates, mayRefuseLong }: Run, text: string): boolean {
  if (text.length <= 40) return false;
  return mayRefuseLong || fates.some((fate) => fate.text === text && fate.state === 'refused');
}

async function take(run: Run, one: Step, restartClient: () => Promise<void>, ack: AckLevel): Promise<void> {
  const { server, pass, timers } = run.bed;
  switch (one.do) {
    case 'send':
      for (let sent = 0; sent < one.count; sent += 1) {
        const [fate] = newFates(run, 1, one.bad === sent ? 0 : -1) as [Fate];
        run.client.sendText(fate.text).then(
          () => claim(run, fate, ack),
          (error: { code: string }) => reject(run, [fate], error.code),
        );
      }
      await pass(one.thenMs);
      break;
    case 'sendBatch': {
      const fates = newFates(run, one.count, one.bad);
      run.client.sendBatch(fates.map(({ text }) => text)).then(
        ({ refused }) => {
          for (const { index, code } of refused) reject(run, [fates[index] as Fate], code);
          for (const fate of fates) if (fate.state === 'pending') claim(run, fate, ack);
        },
        (error: { code: string }) => reject(run, fates, error.code),
      );
      await pass(one.thenMs);
      break;
    }
    case 'pass':
      await pass(one.ms);
      break;
    case 'cut':
      server.cut(one.code);
      break;
    case 'restart':
      server.restart();
      break;
    case 'restartClient':
      await restartClient();
      await settled();
      break;
    case 'loseAcks':
      server.loses = (frame) => frame.startsWith('{"t":"ack"') || frame.startsWith('{"t":"flow"');
      timers.after(one.ms, () => {
        server.loses = () => false;
      });
      break;
    case 'loseNacks':
      server.losingNacks += one.times;
      break;
    case 'deferred':
      server.deferring += one.batches;
      break;
    case 'vanish':
      server.vanishing += one.batches;
      break;
    case 'credit':
      server.changeCredit({ messages: one.messages, bytes: one.bytes });
      break;
    case 'flow':
      server.flow({ messages: one.messages, bytes: one.bytes }, one.messages > 0 ? 'room' : 'outbox_full');
      break;
    case 'latency':
      server.latencyMs = one.ms;
      break;
    case 'storeMs':
      server.storeMs = one.ms;
      break;
    case 'limits':
      // Limits change with a deployment, which cuts every connection.
      server.cut();
      server.limits = {
        frameBytes: one.frameBytes,
        frameMessages: one.frameMessages,
        messageBytes: one.frameBytes,
      };
      break;
    case 'drain':
      server.drain(one.ms);
      break;
    case 'flush':
      run.flushes.push(run.client.flush().catch(() => undefined));
      break;
    case 'ping':
      server.send({ t: 'ping', id: 1 });
      break;
  }
}

function newFates(run: Run, count: number, bad: number): Fate[] {
  const fates = Array.from({ length: count }, (_, index): Fate => {
    const number = run.fates.length + index;
    // Some characters of two and four bytes, and now and then a long one.
    const padding = number % 17 === 0 ? 'é𝄞'.repeat(20) : '';
    return {
      text: `"${index === bad ? 'bad' : 'm'}${number}${padding}"`,
      isBad: index === bad,
      state: 'pending',
    };
  });
  run.fates.push(...fates);
  return fates;
}

/** The client says that a message has reached its level: is it so, now? */
function claim(run: Run, fate: Fate, ack: AckLevel): void {
  fate.state = 'safe';
  if (ack === 'none') return;
  if (fate.isBad) {
    run.lies.push(`${fate.text} was acked and refused`);
    return;
  }
  const { server } = run.bed;
  const list = ack === 'committed' ? server.committed : server.kept;
  if (!list.some(({ text }) => text === fate.text)) run.lies.push(`${fate.text} was acked and is not ${ack}`);
}

function reject(run: Run, fates: Fate[], code: string): void {
  for (const fate of fates) {
    if (fate.state !== 'pending') continue;
    if (code === 'number_out_of_range' && fate.isBad) fate.state = 'refused';
    else if (code === 'message_too_large') fate.state = 'refused';
    else if (code === 'message_dropped' || code === 'send_buffer_full') fate.state = 'dropped';
    else if (code === 'client_closed') fate.state = 'gone';
    else run.failures.push(`${fate.text}: ${code}`);
  }
}

/** A batch with a refused message is deferred and sent again: its nack comes while the client has gone back before it. */
const REFUSED_WHILE_DEFERRED: Plan = {
  ack: 'stored',
  outbox: true,
  options: {
    batchMessages: 2,
    batchBytes: 6,
    lingerMs: 1,
    sendBufferMessages: 3,
    sendBufferBytes: 50,
    whenFull: 'block',
  },
  seed: 1,
  steps: [
    { do: 'send', count: 1, bad: 0, thenMs: 0 },
    { do: 'pass', ms: 2 },
    { do: 'send', count: 1, bad: 0, thenMs: 5 },
    { do: 'deferred', batches: 2 },
    { do: 'sendBatch', count: 3, bad: 2, thenMs: 0 },
    { do: 'pass', ms: 7 },
  ],
};

/** A server without an outbox forgets an instance whose first welcome was lost and that is being recovered. */
const FORGOTTEN_IN_RECOVERY: Plan = {
  ack: 'committed',
  outbox: false,
  options: {
    batchMessages: 1,
    batchBytes: 1,
    lingerMs: 0,
    sendBufferMessages: 1,
    sendBufferBytes: 50,
    whenFull: 'block',
  },
  seed: 670171340,
  steps: [
    { do: 'send', count: 2, bad: 0, thenMs: 2 },
    { do: 'restartClient' },
    { do: 'send', count: 1, bad: 0, thenMs: 4 },
    { do: 'pass', ms: 20 },
    { do: 'restart' },
    { do: 'drain', ms: 1 },
  ],
};

/** A client is killed while it recovers a refused message, the second time in a row, and the welcome before was lost. */
const KILLED_IN_RECOVERY: Plan = {
  ack: 'stored',
  outbox: true,
  options: {
    batchMessages: 1,
    batchBytes: 1,
    lingerMs: 0,
    sendBufferMessages: 1,
    sendBufferBytes: 50,
    whenFull: 'block',
  },
  seed: 1996498526,
  steps: [
    { do: 'pass', ms: 3 },
    { do: 'restart' },
    { do: 'latency', ms: 3 },
    { do: 'pass', ms: 49 },
    { do: 'send', count: 1, bad: 0, thenMs: 3 },
    { do: 'send', count: 1, bad: 0, thenMs: 7 },
    { do: 'pass', ms: 15 },
    { do: 'restartClient' },
    { do: 'pass', ms: 8 },
    { do: 'sendBatch', count: 1, bad: 0, thenMs: 5 },
    { do: 'restartClient' },
    { do: 'send', count: 1, bad: 0, thenMs: 0 },
  ],
};

describe('any faults', () => {
  test('what may come twice after a server has lost its memory is told', async () => {
    let known: unknown[] = [];
    const wrong = await faultsOf(FORGOTTEN_IN_RECOVERY, {}, ({ bed: { events } }) => {
      known = events.flatMap((event) => (event.type === 'recovered' ? [event.known] : []));
    });
    expect([wrong, known]).toEqual([[], [false]]);
  });

  test('a nack of a message that is about to be sent again is heard', async () => {
    expect(await faultsOf(REFUSED_WHILE_DEFERRED)).toEqual([]);
  });

  test('what a recovery has sent is not in doubt for the next one', async () => {
    let hellos: string[] = [];
    const wrong = await faultsOf(KILLED_IN_RECOVERY, {}, ({ bed: { server } }) => {
      hellos = server.framesOf('hello').filter((frame) => frame.includes('"recover":true'));
    });
    expect(wrong).toEqual([]);
    expect(hellos.map((frame) => JSON.parse(frame).session)).toEqual(['1.fake', '3.fake']);
  });

  test('nothing that was acked is lost, doubled or refused, and everything is settled', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async (one) => {
        expect(await faultsOf(one)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('without an outbox: what was acked as committed is there, once as long as the server has its memory', async () => {
    await fc.assert(
      fc.asyncProperty(planFor({ ack: 'committed', outbox: false }), async (one) => {
        expect(await faultsOf(one)).toEqual([]);
      }),
      { numRuns: RUNS / 2 },
    );
  });

  test('the plans do what they are for', async () => {
    const sums: Record<string, number> = { renewals: 0, refusedTokens: 0, endedByTime: 0 };
    const add = (name: string, count: number) => {
      sums[name] = (sums[name] ?? 0) + count;
    };
    for (const one of fc.sample(plan, { seed: 7, numRuns: 200 })) {
      await faultsOf(one, {}, (run) => {
        const { server, events } = run.bed;
        const closes = events.flatMap((event) => (event.type === 'disconnected' ? [event.reason] : []));
        add('renewals', server.renewals);
        add('refusedTokens', closes.filter((reason) => reason === 'unauthorized: no good token').length);
        add('endedByTime', closes.filter((reason) => reason.includes('in time')).length);
        for (const [name, count] of Object.entries(run.client.stats)) add(name, count);
      });
    }
    const names = ['resent', 'refused', 'restored', 'deferred', 'gaps', 'reconnects', 'dropped'];
    for (const name of [...names, 'renewals', 'refusedTokens']) {
      expect([name, sums[name]]).toEqual([name, expect.toSatisfy((count: number) => count > 50)]);
    }
    expect(sums.endedByTime).toBeGreaterThan(5);
  });

  /** The first of many plans that fails as expected. */
  async function isFound(sabotage: Sabotage, expected: RegExp): Promise<boolean> {
    for (const one of fc.sample(plan, { seed: 42, numRuns: 200 })) {
      if (expected.test((await faultsOf(one, sabotage)).join())) return true;
    }
    return false;
  }

  test('control: a server that takes a message again is found, so messages do come again', async () => {
    const server = (fake: FakeSluiceServer) => {
      fake.takesTwice = true;
    };
    expect(await isFound({ server }, /a message is there twice/)).toBe(true);
  });

  test('control: a client that has no fresh token is found, so tokens do expire', async () => {
    expect(await isFound({ withoutFreshTokens: true }, /"failed","code":"unauthorized"/)).toBe(true);
  });

  test('control: acks for what is not stored are found', async () => {
    const server = (fake: FakeSluiceServer) => {
      fake.acksTooEarly = true;
    };
    expect(await isFound({ server }, /was acked and is not stored/)).toBe(true);
    expect(await isFound({ server }, /lost: /)).toBe(true);
  });

  test('control: a server that judges no duplicate is found, so nacks do get lost', async () => {
    const server = (fake: FakeSluiceServer) => {
      fake.judgesOnce = true;
    };
    expect(await isFound({ server }, /was acked and refused/)).toBe(true);
  });

  test('control: acks that cover what has not come on their connection are found', async () => {
    const server = (fake: FakeSluiceServer) => {
      fake.acksUnheard = true;
    };
    expect(await isFound({ server }, /was acked and refused/)).toBe(true);
  });

  test.each<[string, (frame: string, isFirst: boolean) => string | undefined, RegExp]>([
    [
      'a client that forgets its epoch when it comes back',
      (frame) => (frame.startsWith('{"t":"hello"') ? '{"t":"hello","ack":"stored"}' : frame),
      /protocol-error/,
    ],
    [
      'a client that resumes as if everything sent had been acked',
      (frame) => frame.replace(/"next":\d+/, '"next":1000000'),
      /missing|ahead|lost/,
    ],
    [
      'a client that does not send again what was on its way',
      (frame, isFirst) => (isFirst || !frame.startsWith('{"t":"batch"') ? frame : undefined),
      /closed with|pending/,
    ],
  ])('control: %s is found', async (_, change, expected) => {
    expect(await isFound({ withoutStorage: true, openSocket: spoiling(change) }, expected)).toBe(true);
    // Control of the control: the same sockets, left as they are.
    expect(await isFound({ withoutStorage: true, openSocket: spoiling((frame) => frame) }, /./)).toBe(false);
  });

  /** Sockets that change what the client sends: `isFirst` where a batch begins above all before it. */
  function spoiling(change: (frame: string, isFirst: boolean) => string | undefined) {
    return (server: FakeSluiceServer) => {
      let highest = 0;
      return (url: string, protocols: string | string[]): WebSocketLike => {
        const socket = server.open(url, protocols);
        const send = socket.send.bind(socket);
        socket.send = (frame) => {
          const seq = Number(/^\{"t":"batch","seq":(\d+)/.exec(frame)?.[1] ?? 0);
          const changed = change(frame, seq > highest);
          highest = Math.max(highest, seq);
          if (changed !== undefined) send(changed);
        };
        return socket;
      };
    };
  }
});
