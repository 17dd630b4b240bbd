/** Clients that send what nobody should, beside others that are not to notice. */

import { setTimeout as delay } from 'node:timers/promises';
import { MAX_BAD_FRAMES } from '../../../src/core/limits.ts';
import { SLUICE_V1 } from '../../../src/protocol/sluice-v1.ts';
import { BareProducer, type ServerFrame } from '../bare-producer.ts';
import type { BareSender, Line } from '../bare-sender.ts';
import { RefusedUpgrade } from '../bare-socket.ts';
import { type BadFrame, badFrame, badLine, STRANGE_MEMBERS, sample } from '../malformed.ts';
import type { Random } from '../random.ts';
import { RawProducer } from '../raw-producer.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { ShardRemote } from '../shard-remote.ts';

/** Names that every object has, unless it was made without. */
const INHERITED = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];

/** The clock of a client that waits 100 s for its welcome. */
const PATIENT_SPEED = 0.1;

/** Clients that do nothing wrong: they are to hear of no refusal and lose no connection. */
function healthyLoad(run: Run): void {
  run.load({
    names: ['healthy', ...INHERITED],
    maxMessages: 100_000,
    chunk: 8,
    // On a busy machine a client that is in a hurry ends its connections by itself.
    speed: PATIENT_SPEED,
    onEvent(producer, event) {
      if (event.type === 'nack' || event.type === 'disconnected' || event.type === 'protocol-error')
        run.fail(`${producer}, who does nothing wrong, was told: ${JSON.stringify(event)}`);
    },
  });
}

/** With little memory a shard slows everybody down, which would hide what one client does to the others. */
const ROOMY = { maxBufferBytes: 32 * 1024 * 1024 } as const;

async function checkPrototypes(run: Run): Promise<void> {
  const { added, isNoticed } = await run.shard.prototypes();
  if (added.length > 0) run.fail(`Prototypes have grown: ${added.join(', ')}`);
  if (!isNoticed) run.fail('Nobody would notice if prototypes grew');
}

/** What the shard says that it has refused since it was last started. */
async function refusedCount(run: Run): Promise<number> {
  const { refused } = await run.shard.stats();
  return Object.values(refused).reduce((sum, count) => sum + count, 0);
}

function answerOf({ t, code }: ServerFrame): string {
  return t === 'nack' ? String(code) : t;
}

/** Bad lines with good messages in between. */
function mix(sender: BareSender, lines: readonly string[], good: number, random: Random): Line[] {
  const isGood = [...lines.map(() => false), ...Array.from({ length: good }, () => true)];
  for (let index = isGood.length - 1; index > 0; index -= 1) {
    const other = random.integer(0, index);
    [isGood[index], isGood[other]] = [isGood[other] as boolean, isGood[index] as boolean];
  }
  // Made in the order in which they are sent.
  let next = 0;
  return isGood.map((holds) => {
    if (holds) return sender.message(random.chance(0.5) ? random.pick(STRANGE_MEMBERS) : '');
    next += 1;
    return lines[next - 1] as string;
  });
}

// Frames that are too large.

const MIB = 2 ** 20;

/** The platform's own limit (PROTOCOL.md, "Messages"). */
const UNDELIVERED_BYTES = 33 * MIB;

const tooLarge: Scenario = {
  name: 'frames-too-large',
  title: 'Frames of 1 to 33 MiB',
  async run(run) {
    healthyLoad(run);
    const sizes = [MIB + 1, run.random.integer(MIB + 2, 8 * MIB), 31 * MIB];
    const producer = await BareProducer.open(run, { name: 'large' });
    const raw = await RawProducer.open(run, { name: 'large-raw' });
    for (const size of sizes) {
      await producer.sendBatch(producer.messages(3));
      await producer.socket.send(`{"t":"batch","seq":${producer.next},"n":1}\n"${'x'.repeat(size)}"`);
      await producer.sendBatch(producer.messages(3));
      await producer.settled();
      const answers = producer.takeAnswers().map(answerOf);
      if (answers.join() !== 'frame_too_large') run.fail(`${size} bytes were answered by ${answers.join()}`);
      await raw.send(raw.messages(3));
      await raw.sendBad('x'.repeat(size));
      await raw.send(raw.messages(3));
      run.struck(2);
    }
    await run.until('every raw frame was answered', () => raw.errors === sizes.length);
    const before = await refusedCount(run);
    for (const { socket } of [producer, raw]) {
      void socket.send('x'.repeat(UNDELIVERED_BYTES));
      await run.until('the platform has closed the socket', () => !socket.isOpen);
      // It may go on sending for a while what nobody reads.
      socket.kill();
      const { code } = await socket.ended;
      // Not every time does the close frame find its way past what is being sent.
      if (code !== 1009 && code !== 1006) run.fail(`A socket with a frame of 33 MiB ended with ${code}`);
      run.struck();
    }
    if ((await refusedCount(run)) !== before) run.fail('A frame of 33 MiB has reached the shard');
  },
};

// Malformed frames.

/** A raw socket is closed once it got so many error frames, so it takes several. */
const RAW_FRAMES_PER_SOCKET = 300;

const malformedRaw: Scenario = {
  name: 'malformed-raw',
  title: 'Malformed messages on raw sockets',
  options: ROOMY,
  longRuns: 20,
  async run(run) {
    healthyLoad(run);
    const wanted = run.times(5_000);
    const random = run.random.fork();
    let refused = 0;
    for (let client = 0; run.strikes < wanted; client += 1) {
      const raw = await RawProducer.open(run, { name: 'malformed', client });
      const lines = sample(badLine, RAW_FRAMES_PER_SOCKET * 2, random);
      for (let frame = 0; frame < RAW_FRAMES_PER_SOCKET && raw.socket.isOpen; frame += 1) {
        // In between there are good ones, which are to be taken.
        await raw.send(mix(raw, lines.splice(0, random.integer(1, 3)), random.integer(0, 2), random));
      }
      const { code } = await raw.close();
      if (code !== 1000 && code !== 1008) run.fail(`A raw socket ended with ${code}`);
      run.struck(raw.errors);
      refused += raw.refused;
    }
    const counted = await refusedCount(run);
    if (counted !== refused) run.fail(`${refused} messages were refused, and ${counted} counted`);
    await checkPrototypes(run);
  },
};

// After so many bad frames of a socket it is closed, and after that nothing is answered.
async function sendMalformed(run: Run, client: number): Promise<void> {
  const producer = await BareProducer.open(run, { name: 'malformed', client });
  const expected: BadFrame['answer'][] = [];
  let bad = 0;
  while (bad <= MAX_BAD_FRAMES) {
    // Those that count are all but the gaps.
    const frames = sample(badFrame(producer.next), 10, run.random).slice(0, MAX_BAD_FRAMES + 1 - bad);
    // A close does not wait for acks.
    if (bad + frames.length > MAX_BAD_FRAMES) await producer.settled();
    for (const { frame, answer } of frames) {
      expected.push(answer);
      if (answer !== 'gap') bad += 1;
      await producer.socket.send(frame);
    }
    if (bad <= MAX_BAD_FRAMES) await producer.sendBatch(producer.messages(run.random.integer(1, 5)));
  }
  await run.until('the socket was closed', () => producer.socket.end !== undefined);
  const answers = producer.takeAnswers().map(answerOf);
  const wrong = expected.findIndex((answer, index) => answer !== answers[index]);
  if (wrong !== -1 || answers.length !== expected.length)
    run.fail(
      `Of ${expected.length} malformed frames, ${answers.length} were answered; number ${wrong}, which is ${expected[wrong]}, by ${answers[wrong]}`,
    );
  if (producer.socket.end?.code !== 4400)
    run.fail(`A socket with too many bad frames ended with ${producer.socket.end?.code}`);
  if (producer.stored !== producer.next - 1)
    run.fail(`Of ${producer.next - 1} good messages in between, ${producer.stored} were acked`);
  run.struck(answers.length);
}

const malformedV1: Scenario = {
  name: 'malformed-v1',
  title: 'Malformed frames of sluice.v1',
  options: ROOMY,
  longRuns: 20,
  async run(run) {
    healthyLoad(run);
    const wanted = run.times(5_000);
    for (let client = 0; run.strikes < wanted; client += 1) await sendMalformed(run, client);
    await checkPrototypes(run);
  },
};

// Messages.

/** Bad lines of one batch, each beside a good one: as many nacks as there can be. */
const MANY = 5_000;

const strange: Scenario = {
  name: 'messages-strange',
  title: 'Messages with __proto__, 2^53+1, NUL, deep nesting',
  async run(run) {
    healthyLoad(run);
    const producer = await BareProducer.open(run, { name: 'strange' });
    const raw = await RawProducer.open(run, { name: 'strange-raw' });
    const random = run.random.fork();
    const wanted = run.times(600);
    while (run.strikes < wanted) {
      const lines = sample(badLine, 12, random);
      run.struck(lines.length);
      for (const sender of [producer, raw]) {
        for (let from = 0; from < lines.length; from += 4) {
          const mixed = mix(sender, lines.slice(from, from + 4), 5, random);
          await (sender instanceof BareProducer ? sender.sendBatch(mixed) : sender.send(mixed));
        }
      }
      await producer.settled();
    }
    // Thousands of refusals at once, as a client of good will may get them.
    const many: Line[] = producer.messages(MANY).flatMap((message) => [message, 'no message']);
    const batches = [many.slice(0, MANY), many.slice(MANY)];
    for (const batch of batches) await producer.sendBatch(batch);
    await producer.settled();
    await producer.sendBatch(['none', 'nor this']);
    await producer.settled();
    await raw.close();
    await checkPrototypes(run);
  },
};

// Hellos.

interface Talk {
  producer: string;
  frames: readonly (string | Uint8Array)[];
  /** How it is to end. */
  code: number;
  reason?: string;
  url?: string;
}

/** Says something to the shard, which is to be answered by a close and nothing else. */
async function expectClose(run: Run, { producer, frames, code, reason, url }: Talk): Promise<void> {
  const said = frames.map((frame) => String(frame).slice(0, 80)).join(' ');
  const answers: string[] = [];
  const socket = await run.openSocket({
    producer,
    protocol: SLUICE_V1,
    onFrame: (frame) => answers.push(frame),
    ...(url === undefined ? {} : { url }),
  });
  for (const frame of frames) await socket.send(frame);
  await run.until(`${said} was answered`, () => !socket.isOpen);
  // The connection of a hibernatable socket that never got a message is left to the client to end.
  if (frames.length === 0) socket.kill();
  const end = await socket.ended;
  if (end.code !== code || (reason !== undefined && !end.reason.includes(reason)))
    run.fail(
      `${said} was closed with ${end.code} (${end.reason}), and not ${code} (${reason ?? 'any reason'})`,
    );
  else run.struck();
  if (answers.length > 0) run.fail(`${said} was answered by ${answers[0]?.slice(0, 120)}`);
}

const NO_WHOLE_NUMBER = [0, -1, 1.5, '5', 2 ** 53, null, true, [], {}];

const NO_NAME = ['', 'two words', 'é', 'x'.repeat(65), 7, null, {}, ['i']];

const BAD_HELLOS: readonly Record<string, unknown>[] = [
  { producer: 'somebody-else' },
  { producer: 1 },
  { producer: null },
  { producer: '__proto__' },
  { ack: 'all' },
  { ack: 'Stored' },
  { ack: 'constructor' },
  { ack: null },
  { ack: ['stored'] },
  ...NO_WHOLE_NUMBER.map((epoch) => ({ epoch })),
  ...NO_WHOLE_NUMBER.map((next) => ({ epoch: 5, session: '1.x', resume: true, next })),
  ...NO_NAME.map((session) => ({ epoch: 5, session, resume: true, next: 1 })),
  ...NO_NAME.map((instance) => ({ instance })),
  { resume: 'true', epoch: 5, session: '1.x', next: 1 },
  { resume: 1, epoch: 5, session: '1.x', next: 1 },
  { resume: null, epoch: 5, session: '1.x', next: 1 },
  { resume: true },
  { resume: true, epoch: 5, next: 1 },
  { resume: true, epoch: 5, session: '1.x' },
  { resume: true, session: '1.x', next: 1 },
  { recover: true, next: 1 },
  { recover: true, instance: 'i' },
  { recover: true, resume: true, instance: 'i', epoch: 5, session: '1.x', next: 1 },
  // More than a day after the server's clock: everybody who goes by the clock would be locked out.
  { epoch: 2 ** 53 - 1 },
  { epoch: 2 ** 53 - 1, session: '1.x', resume: true, next: 1 },
];

function hello(fields: Record<string, unknown> = {}): string {
  return JSON.stringify({ t: 'hello', ...fields });
}

const wrongHellos: Scenario = {
  name: 'hellos-wrong',
  title: 'Hellos that are not valid, or come too late',
  async run(run) {
    healthyLoad(run);
    const silent = expectClose(run, { producer: 'silent', frames: [], code: 4408 });
    for (const fields of BAD_HELLOS)
      await expectClose(run, { producer: 'nobody', frames: [hello(fields)], code: 4400 });

    const known = await BareProducer.open(run, { name: 'known' });
    const { epoch } = known;
    const fenced = { producer: 'known', code: 4410, reason: String(epoch) };
    for (const fields of [
      { epoch },
      { epoch: 1 },
      { epoch: epoch - 1 },
      { epoch: epoch - 1, session: '1.x', resume: true, next: 1 },
      { epoch: 1, session: '1.x', resume: true, next: 2 ** 53 - 1 },
    ])
      await expectClose(run, { ...fenced, frames: [hello(fields)] });
    // In the current epoch, of which this session is none.
    await expectClose(run, {
      producer: 'known',
      code: 4410,
      frames: [hello({ epoch, session: '1.stolen', resume: true, next: 1 })],
    });
    // Those who were refused have not disturbed the one who is there.
    await known.sendBatch(known.messages(5));
    await known.settled();
    await known.socket.send(hello());
    await known.socket.send(hello({ ack: 'all' }));
    await run.until('a second hello was answered', () => known.acks > 0);
    await known.sendBatch(known.messages(5));
    await known.settled();
    const answers = known.takeAnswers().map(answerOf).join();
    if (answers !== 'invalid_frame,invalid_frame') run.fail(`A second hello was answered by ${answers}`);

    await withoutOutbox(run);
    await silent;
  },
};

async function withoutOutbox(run: Run): Promise<void> {
  const shard = new ShardRemote(() => run.world.workerUrl, {
    run: `${run.name}m`,
    spec: { table: run.name, column: 'text', options: { durability: 'memory' } },
    driver: 'tcp',
    shards: 1,
  });
  const url = shard.socketUrl(run.world.toWorker.port);
  for (const [asked, given] of [
    ['stored', 'committed'],
    ['committed', 'committed'],
    ['none', 'none'],
  ]) {
    const frames: string[] = [];
    const socket = await run.openSocket({
      url,
      producer: `forgetful-${asked}`,
      protocol: SLUICE_V1,
      onFrame: (frame) => frames.push(frame),
    });
    await socket.send(hello({ ack: asked, unknown: 'field' }));
    await run.until(`level ${asked} was welcomed`, () => frames.length > 0);
    const welcome = JSON.parse(frames[0] as string) as ServerFrame;
    if (welcome.ack !== given) run.fail(`Who asked for ${asked} got ${welcome.ack}, and not ${given}`);
    await socket.close();
  }
  await shard.wipe();
}

const beforeHello: Scenario = {
  name: 'frames-before-hello',
  title: 'Other frames before the hello',
  async run(run) {
    healthyLoad(run);
    const frames = [
      '{"t":"batch","seq":1,"n":1}\n{"stray":true}',
      '{"t":"ping"}',
      '{"t":"pong","id":1}',
      '{"t":"flush"}',
      '{"t":"bye"}',
      '{"t":"unknown"}',
      '{"t":"hello"',
      '[{"t":"hello"}]',
      '"hello"',
      'hello',
      '',
      '\n{"t":"hello"}',
      new Uint8Array([0xff, 0x0a]),
      new Uint8Array(0),
      `{"t":"hello","x":"${'x'.repeat(MIB)}"}`,
    ];
    for (let time = run.times(3); time > 0; time -= 1) {
      for (const frame of frames) {
        // What follows is too late, whatever it is.
        const talk = [frame, hello(), '{"t":"batch","seq":1,"n":1}\n{"stray":true}'];
        await expectClose(run, { producer: 'hasty', frames: talk, code: 4400 });
      }
    }
    // The control: the text `ping` is no frame of the protocol, and may come first.
    const answers: string[] = [];
    const socket = await run.openSocket({
      producer: 'hasty',
      protocol: SLUICE_V1,
      onFrame: (frame) => answers.push(frame),
    });
    await socket.send('ping');
    await socket.send(hello());
    await run.until('a ping and a hello were answered', () => answers.length === 2);
    if (answers[0] !== 'pong') run.fail(`A ping before the hello was answered by ${answers[0]}`);
  },
};

/** How an upgrade ends: refused with a code, closed with a code, or open. */
async function endOfUpgrade(
  run: Run,
  url: URL,
  protocol: string | undefined,
  isMeantToOpen: boolean,
): Promise<string | number> {
  try {
    const socket = await run.openSocket({ url: url.href, protocol });
    if (!isMeantToOpen) return (await socket.ended).code;
    // It answers: so it was not closed at once.
    await socket.send('ping');
    await run.until('the socket answered', () => socket.receivedFrames > 0 || !socket.isOpen);
    const isOpen = socket.isOpen;
    socket.kill();
    return isOpen ? 'open' : (await socket.ended).code;
  } catch (error) {
    return error instanceof RefusedUpgrade ? (error.code ?? 'refused') : String(error);
  }
}

const wrongUpgrades: Scenario = {
  name: 'upgrades-wrong',
  title: 'Upgrades that are refused',
  async run(run) {
    healthyLoad(run);
    const cases: [change: (url: URL) => void, protocol: string | undefined, found: string | number][] = [
      [() => {}, 'sluice.v2', 'unsupported_subprotocol'],
      [(url) => url.searchParams.set('producer', ''), SLUICE_V1, 4400],
      [(url) => url.searchParams.set('producer', 'two words'), SLUICE_V1, 4400],
      [(url) => url.searchParams.set('producer', 'é'), undefined, 1008],
      [(url) => url.searchParams.set('producer', 'x'.repeat(129)), undefined, 1008],
      [(url) => url.searchParams.set('producer', '\0'), SLUICE_V1, 4400],
      [(url) => (url.search += '&producer=a&producer=b'), SLUICE_V1, 4400],
      // What libraries and campaigns add is none of our business.
      [(url) => url.searchParams.set('__proto__', 'x'), SLUICE_V1, 'open'],
      [(url) => url.searchParams.set('constructor', 'x'), undefined, 'open'],
      [(url) => (url.search += '&_pk=1&utm_source=x'), SLUICE_V1, 'open'],
    ];
    for (let time = run.times(5); time > 0; time -= 1) {
      for (const [change, protocol, expected] of cases) {
        const url = new URL(run.shard.socketUrl(run.world.toWorker.port));
        change(url);
        const found = await endOfUpgrade(run, url, protocol, expected === 'open');
        if (found !== expected)
          run.fail(`${url.search.slice(-60)} (${protocol}) was answered by ${found}, and not ${expected}`);
        else run.struck();
      }
    }
    await checkPrototypes(run);
  },
};

// Frames that come too often.

const binary: Scenario = {
  name: 'frames-binary',
  title: 'Binary frames, also such as would be good as text',
  async run(run) {
    healthyLoad(run);
    const encoder = new TextEncoder();
    const raw = await RawProducer.open(run, { name: 'binary-raw' });
    for (let time = run.times(300); time > 0; time -= 1) {
      await raw.send(raw.messages(1));
      await raw.sendBad(encoder.encode('{"stray":true}'));
      await raw.sendBad(new Uint8Array(run.random.integer(0, 100)).map(() => run.random.integer(0, 255)));
      run.struck(2);
    }
    await raw.close();
    // In sluice.v1 a binary frame is a text as UTF-8; what is not is refused, with nothing beside it.
    const producer = await BareProducer.open(run, { name: 'binary' });
    const expected: string[] = [];
    for (let frame = 0; frame < MAX_BAD_FRAMES; frame += 1) {
      await producer.sendBatchAsBytes(producer.messages(2));
      await producer.socket.send(new Uint8Array([0x7b, 0x80 + run.random.integer(0, 127), 0x7d]));
      expected.push('invalid_utf8');
      await producer.sendBatchAsBytes([...producer.messages(1), new Uint8Array([0x22, 0xb0, 0x43, 0x22])]);
      expected.push('invalid_utf8');
      run.struck(2);
    }
    await producer.settled();
    const answers = producer.takeAnswers().map(answerOf);
    if (answers.join() !== expected.join())
      run.fail(
        `${expected.length} broken frames and messages got ${answers.length} answers: ${[...new Set(answers)].join()}`,
      );
    if (producer.stored !== producer.next - 1) run.fail('Good messages beside broken ones were not acked');
  },
};

const unknownTypes: Scenario = {
  name: 'types-unknown',
  title: 'Frames of unknown types',
  async run(run) {
    healthyLoad(run);
    for (let client = 0; client < run.times(5); client += 1) {
      const producer = await BareProducer.open(run, { name: 'unknown', client });
      for (let frame = 0; frame < MAX_BAD_FRAMES; frame += 1) {
        await producer.socket.send(
          JSON.stringify({ t: run.random.pick([...INHERITED, 'Hello', 'resume', '']) }),
        );
        run.struck();
      }
      // So many are borne with, and one more is not.
      await producer.sendBatch(producer.messages(5));
      await producer.settled();
      if (!producer.socket.isOpen)
        run.fail(`The socket was closed with ${producer.socket.end?.code} too early`);
      await producer.socket.send('{"t":"one more"}');
      await run.until('the socket was closed', () => producer.socket.end !== undefined);
      if (producer.socket.end?.code !== 4400) run.fail(`It was closed with ${producer.socket.end?.code}`);
      const answers = producer.takeAnswers().filter((answer) => answerOf(answer) === 'unknown_type').length;
      if (answers !== MAX_BAD_FRAMES + 1) run.fail(`${answers} of ${MAX_BAD_FRAMES + 1} were answered`);
    }
  },
};

const KEPT = 50;

const duplicates: Scenario = {
  name: 'duplicates-endless',
  title: 'Small batches of duplicates without end',
  options: ROOMY,
  async run(run) {
    healthyLoad(run);
    const producer = await BareProducer.open(run, { name: 'repeater' });
    const messages = producer.messages(KEPT);
    await producer.sendBatch(messages);
    await producer.settled();
    const wanted = run.times(20_000);
    let doubled = 0;
    while (run.strikes < wanted) {
      for (let frame = 0; frame < 50; frame += 1) {
        const from = run.random.integer(0, KEPT - 1);
        const lines = messages.slice(from, from + run.random.integer(1, 3));
        void producer.sendLines(from + 1, lines);
        doubled += lines.length;
        run.struck();
      }
      await producer.sendBatch(producer.messages(1));
    }
    await producer.settled();
    const { duplicate } = await run.shard.stats();
    if (duplicate < doubled) run.fail(`${doubled} messages were sent again, and ${duplicate} counted`);
    const answers = producer.takeAnswers();
    if (answers.length > 0) run.fail(`Duplicates were answered by ${JSON.stringify(answers[0])}`);
  },
};

const PINGS = 100_000;

// Resident sockets, since the platform itself answers the pings of hibernatable ones. The others send one message at a
// time: frames of a load would wake the shard, whatever became of its timers.
const pings: Scenario = {
  name: 'pings-unread',
  title: 'Pings without end whose answers nobody reads',
  options: { ...ROOMY, sockets: 'resident' },
  async run(run) {
    const besides = [
      await BareProducer.open(run, { name: 'stored', ack: 'stored' }),
      await BareProducer.open(run, { name: 'committed', ack: 'committed' }),
    ];
    const pinger = await BareProducer.open(run, { name: 'pinger', isDeaf: true });
    const sockets = [pinger.socket, await run.openSocket({ producer: 'pinger-raw' })];
    for (const socket of sockets) socket.stopReading();
    const wanted = run.times(PINGS);
    const least = run.times(5);
    const isBehind = ({ acks }: BareProducer): boolean => acks < least;
    for (let sent = 0; sent < wanted || besides.some(isBehind); sent += 500) {
      for (const socket of sockets) for (let ping = 1; ping < 500; ping += 1) void socket.send('ping');
      // Where the shard reads no further the network is full, and a client would have to wait.
      await Promise.race([Promise.all(sockets.map((socket) => socket.send('ping'))), delay(1_000)]);
      for (const beside of besides) {
        if (beside.unsettled > 0) continue;
        await beside.sendBatch([beside.message()]);
        run.struck();
      }
      await delay(0);
    }
    for (const beside of besides) await beside.settled();
    for (const socket of sockets) {
      socket.read();
      await run.until(
        'all pings were answered, or the socket was closed',
        () => socket.end !== undefined || socket.receivedFrames >= wanted,
      );
    }
  },
};

export const hostileScenarios: readonly Scenario[] = [
  tooLarge,
  malformedRaw,
  malformedV1,
  strange,
  wrongHellos,
  beforeHello,
  wrongUpgrades,
  binary,
  unknownTypes,
  duplicates,
  pings,
];
