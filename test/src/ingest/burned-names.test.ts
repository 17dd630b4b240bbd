/**
 * Who may use a producer's name may end its session: that is what a new epoch is for. Nobody can use the name up, or the numbers
 * of its epochs and sessions, so that its owner could never come back; and nothing that the owner sent is lost without a word.
 */

import { describe, expect, test } from 'vitest';
import { MAX_EPOCH_AHEAD_MS } from '../../../src/core/limits.ts';
import { MAX_SESSION_ORDINAL } from '../../../src/outbox/session-name.ts';
import { type Frame, Shard, Socket } from './access-bed.ts';

const MAX = Number.MAX_SAFE_INTEGER;

/** Says hello on a new socket. */
function hello(shard: Shard, fields: object = {}, producer = 'p'): { socket: Socket; welcome: Frame } {
  const socket = new Socket(shard, { grant: {}, producer });
  socket.say({ t: 'hello', ...fields });
  return { socket, welcome: socket.frames[0] as Frame };
}

/** The owner of the name: it has begun, sent two messages and was acked both. */
function owner(producer = 'p') {
  const shard = new Shard();
  const { socket, welcome } = hello(shard, { instance: 'owner' }, producer);
  socket.batch(1).batch(2);
  shard.timers.advance(20);
  expect(socket.frames.at(-1)).toMatchObject({ t: 'ack', stored: 2 });
  const { epoch, session } = welcome as unknown as { epoch: number; session: string };
  return { shard, socket, epoch, session };
}

/** The owner goes on where it is, with what was on its way. */
function goesOn({ shard, socket }: ReturnType<typeof owner>): void {
  expect(socket.closed).toBeUndefined();
  socket.batch(3);
  shard.timers.advance(20);
  expect(socket.frames.at(-1)).toMatchObject({ t: 'ack', stored: 3 });
}

/** The owner's program starts again: it begins an epoch, and gets its acks. */
function beginsAgain(shard: Shard): void {
  const { socket, welcome } = hello(shard, { instance: 'owner-later' });
  expect(welcome).toMatchObject({ t: 'welcome', stored: 0 });
  socket.batch(1);
  shard.timers.advance(20);
  expect(socket.frames.at(-1)).toMatchObject({ t: 'ack', stored: 1 });
}

describe('a high epoch', () => {
  test.each([MAX, MAX - 1, 2 ** 52])(
    'of %s is refused in a begin and in a resume, and the owner goes on',
    (epoch) => {
      const made = owner();
      expect(hello(made.shard, { epoch }).socket.closed?.code).toBe(4400);
      const resume = { resume: true, epoch, session: '1.a', next: 1 };
      expect(hello(made.shard, resume).socket.closed?.code).toBe(4400);
      goesOn(made);
      beginsAgain(made.shard);
    },
  );

  test('the control: within a day it begins; and who names no epoch comes after it at once', () => {
    const { shard, socket } = owner();
    const epoch = shard.timers.now() + MAX_EPOCH_AHEAD_MS;
    expect(hello(shard, { epoch }).welcome).toMatchObject({ t: 'welcome', epoch });
    expect(socket.closed?.code).toBe(4410);
    beginsAgain(shard);
    expect(hello(shard).welcome.epoch).toBe(epoch + 2);
  });

  test('the same epoch in a resume is refused one millisecond later, and begins within a day', () => {
    const resume = (aheadMs: number) => {
      const { shard } = owner();
      const epoch = shard.timers.now() + aheadMs;
      return hello(shard, { resume: true, epoch, session: '1.a', next: 1 });
    };
    expect(resume(MAX_EPOCH_AHEAD_MS + 1).socket.closed?.code).toBe(4400);
    expect(resume(MAX_EPOCH_AHEAD_MS).welcome.t).toBe('welcome');
  });

  test('is not come near by beginning often: each begin takes one millisecond of what is ahead', () => {
    const { shard } = owner();
    const first = shard.timers.now() + MAX_EPOCH_AHEAD_MS;
    hello(shard, { epoch: first });
    for (let count = 0; count < 500; count += 1) hello(shard, { instance: `i${count}` });
    for (let count = 0; count < 500; count += 1)
      hello(shard, { recover: true, instance: `r${count}`, next: MAX });
    expect(hello(shard).welcome.epoch).toBe(first + 1_001);
    beginsAgain(shard);
  });
});

describe('a high `next`', () => {
  test('in a resume of an epoch that nobody knows uses up that epoch alone', () => {
    const { shard } = owner();
    const epoch = shard.timers.now() + 1_000;
    const { welcome } = hello(shard, { resume: true, epoch, session: '1.a', next: MAX });
    expect(welcome).toMatchObject({ t: 'welcome', epoch, known: false });
    beginsAgain(shard);
  });

  test("in the owner's own epoch: what the owner has not sent yet is in doubt for it, and not acked as if it were there", () => {
    const { shard, epoch, session } = owner();
    // The thief does not know the session, and says one that the shard may have forgotten.
    const thief = hello(shard, { resume: true, epoch, session: '7.stolen', next: MAX });
    expect(thief.welcome).toMatchObject({ t: 'welcome', missing: { from: 3, to: MAX - 1 } });
    const back = hello(shard, { resume: true, epoch, session, next: 3 });
    expect(back.socket.closed?.code).toBe(4410);
    const { welcome } = hello(shard, { recover: true, instance: 'owner', session, next: 3 });
    expect(welcome).toMatchObject({ t: 'welcome', sure: 2, stored: MAX - 1 });
    beginsAgain(shard);
  });

  test('in a recovery by one who knows the name of the instance: the same', () => {
    const { shard, session } = owner();
    hello(shard, { recover: true, instance: 'owner', next: MAX });
    const { welcome } = hello(shard, { recover: true, instance: 'owner', session, next: 3 });
    expect(welcome).toMatchObject({ t: 'welcome', sure: 2, stored: MAX - 1 });
    beginsAgain(shard);
  });

  test('the control: one that has nothing to skip changes nothing for the recovery', () => {
    const { shard, epoch, session } = owner();
    hello(shard, { resume: true, epoch, session, next: 3 });
    const { welcome } = hello(shard, { recover: true, instance: 'owner', session, next: 3 });
    expect(welcome).toMatchObject({ t: 'welcome', stored: 2 });
    expect(welcome.sure).toBeUndefined();
  });

  test('with batches at the end of the numbers: they end there, and the next epoch begins at 1', () => {
    const { shard } = owner();
    const epoch = shard.timers.now() + 1_000;
    const { socket } = hello(shard, { resume: true, epoch, session: '1.a', next: MAX });
    socket.batch(MAX);
    socket.say(`{"t":"batch","seq":${MAX},"n":2}\n1\n2`);
    shard.timers.advance(20);
    expect(socket.frames.map(({ t, code }) => code ?? t)).toEqual(['welcome', 'invalid_frame', 'ack']);
    beginsAgain(shard);
  });
});

describe('the name of a session', () => {
  const resumeAs = (session: string) => {
    const made = owner();
    const { socket, welcome } = hello(made.shard, { resume: true, epoch: made.epoch, session, next: 3 });
    return { ...made, thief: socket, welcome };
  };

  test.each([
    '1.stolen',
    '0.stolen',
    'stolen',
    '-5.stolen',
    '1e9.stolen',
    `${MAX_SESSION_ORDINAL}.stolen`,
    `${MAX_SESSION_ORDINAL - 1}.stolen`,
    '9999999999999999.stolen',
    '1000002.stolen',
  ])('%s is refused, and the owner goes on', (session) => {
    const { thief, ...made } = resumeAs(session);
    expect(thief.closed?.code).toBe(4410);
    goesOn(made);
    // It keeps its place when its connection is lost.
    const { welcome } = hello(made.shard, {
      resume: true,
      epoch: made.epoch,
      session: made.session,
      next: 4,
    });
    expect(welcome).toMatchObject({ t: 'welcome', stored: 3, session: expect.stringMatching(/^2\./) });
  });

  test('the control: one that the shard may have forgotten goes on', () => {
    expect(resumeAs('2.forgotten').welcome).toMatchObject({ t: 'welcome', known: false });
    expect(resumeAs('1000001.forgotten').welcome).toMatchObject({ t: 'welcome', known: false });
  });

  test('numbers never become so high that they are no numbers any more, also in an epoch that nobody knows', () => {
    const resume = (ordinal: number) => {
      const { shard } = owner();
      const epoch = shard.timers.now() + 1_000;
      return { shard, epoch, ...hello(shard, { resume: true, epoch, session: `${ordinal}.a`, next: 1 }) };
    };
    const highest = resume(MAX_SESSION_ORDINAL - 1);
    expect(highest.welcome.session).toMatch(new RegExp(`^${MAX_SESSION_ORDINAL}\\.`));
    // Who is there cannot go on, and a copy with an older session cannot either.
    const { shard, epoch, welcome } = highest;
    const again = { resume: true, epoch, next: 1 };
    expect(hello(shard, { ...again, session: welcome.session }).socket.closed?.code).toBe(4400);
    expect(hello(shard, { ...again, session: '5.older' }).socket.closed?.code).toBe(4410);
    beginsAgain(shard);
    expect(resume(MAX_SESSION_ORDINAL).socket.closed?.code).toBe(4400);
  });
});

describe('instances and recoveries', () => {
  test("recoveries in a row of instances that nobody knows: the owner's program begins again", () => {
    const { shard, socket } = owner();
    for (let count = 0; count < 10; count += 1)
      hello(shard, { recover: true, instance: `x${count}`, next: MAX });
    expect(socket.closed?.code).toBe(4410);
    beginsAgain(shard);
  });

  test('an epoch with messages that are not in Postgres is kept, however many others begin', () => {
    const recover = (epochs: number) => {
      const { shard, session } = owner();
      for (let count = 0; count < epochs; count += 1)
        hello(shard, { instance: `x${count}` }).socket.session.end();
      return hello(shard, { recover: true, instance: 'owner', session, next: 3 }).welcome;
    };
    // Its messages are not in Postgres, so it is kept whatever comes; the control is an epoch that nobody knows.
    expect(recover(10)).toMatchObject({ known: true, stored: 2 });
    const { shard } = owner();
    expect(hello(shard, { recover: true, instance: 'other', next: 3 }).welcome).toMatchObject({
      known: false,
    });
  });

  test('an instance is named by a text that nobody else knows: another text is another instance', () => {
    for (const instance of ['Owner', 'owner-', '__proto__', 'constructor']) {
      const { shard, epoch } = owner();
      const { welcome } = hello(shard, { recover: true, instance, next: 1 });
      expect(welcome).toMatchObject({ t: 'welcome', known: false });
      expect(welcome.epoch).not.toBe(epoch);
      beginsAgain(shard);
    }
  });
});

describe('another tenant', () => {
  test('with the same name does nothing to the owner, whatever it says', () => {
    const made = owner('acme/p');
    const { shard, epoch, session } = made;
    for (const fields of [
      {},
      { epoch: shard.timers.now() + MAX_EPOCH_AHEAD_MS },
      { instance: 'owner' },
      { resume: true, epoch, session, next: MAX },
      { resume: true, epoch: epoch + 1, session: '9.a', next: MAX },
      { recover: true, instance: 'owner', session, next: MAX },
    ])
      hello(shard, fields, 'bolt/p');
    goesOn(made);
  });

  test('the control: the same tenant would have fenced it', () => {
    const { shard, socket } = owner('acme/p');
    hello(shard, {}, 'acme/p');
    expect(socket.closed?.code).toBe(4410);
  });
});
