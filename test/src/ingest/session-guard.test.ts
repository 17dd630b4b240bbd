/** Sessions and the end of what was granted to them (PROTOCOL.md, "Who may connect" and `auth`). */

import { describe, expect, test } from 'vitest';
import type { Grant } from '../../../src/access/grant.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import {
  AUTH_RETRY_MS,
  AUTH_TIME_LIMIT_MS,
  AUTHORIZE_TIME_LIMIT_MS,
  HELLO_TIME_LIMIT_MS,
  MAX_HELD_CHARACTERS,
  MAX_HELD_FRAMES,
  MAX_TOKEN_LENGTH,
} from '../../../src/core/limits.ts';
import { type Opening, type Question, Shard, Socket } from './access-bed.ts';

/** A client that was welcomed and whose grant ends in a minute; or has ended, and it was asked. */
function opened(shard = new Shard(), opening: Opening = {}) {
  const grant = { expiresAtMs: shard.timers.now() + 60_000, tokenId: 'first' };
  const socket = new Socket(shard, { grant, ...opening }).say({ t: 'hello' });
  expect(socket.types()).toEqual(['welcome']);
  return { shard, socket, later: { expiresAtMs: shard.timers.now() + 600_000, tokenId: 'second' } };
}

function asked(shard = new Shard(), opening: Opening = {}) {
  const made = opened(shard, opening);
  shard.timers.advance(60_000);
  made.socket.batch(1);
  expect(made.socket.frames.at(-1)).toEqual({ t: 'auth', withinMs: AUTH_TIME_LIMIT_MS });
  return made;
}

const unauthorized = new SluiceError('unauthorized', 'this token is wrong');
const forbidden = new SluiceError('forbidden', 'this token does not allow the sink');
const unavailable = new SluiceError('authorization_unavailable', 'the keys cannot be had');

describe('a grant that ends', () => {
  test('is looked at when a frame comes: the client is asked once, and goes on', () => {
    const { shard, socket } = asked();
    socket.batch(2).batch(3);
    shard.timers.advance(20);
    expect(socket.types()).toEqual(['welcome', 'auth', 'ack']);
    expect(socket.frames.at(-1)).toMatchObject({ t: 'ack', stored: 3 });
    expect(socket.closed).toBeUndefined();
  });

  test('is looked at when an ack goes out, after the ack', () => {
    const { shard, socket } = opened();
    shard.timers.advance(59_999);
    socket.batch(1);
    expect(socket.types()).toEqual(['welcome']);
    shard.timers.advance(20);
    expect(socket.types()).toEqual(['welcome', 'ack', 'auth']);
  });

  test('wakes nobody: no timer is set for it', () => {
    const { shard, socket } = opened();
    const before = shard.timers.pending;
    const other = new Socket(shard, { grant: 'open', producer: 'other' }).say({ t: 'hello' });
    expect(other.types()).toEqual(['welcome']);
    expect(shard.timers.pending).toBe(before);
    shard.timers.advance(3_600_000);
    expect(socket.types()).toEqual(['welcome']);
    expect(socket.closed).toBeUndefined();
  });

  test('the control: one without an end is never asked', () => {
    const { shard, socket } = opened(new Shard(), { grant: {} });
    shard.timers.advance(1e12);
    socket.batch(1);
    shard.timers.advance(20);
    expect(socket.types()).toEqual(['welcome', 'ack']);
  });

  test('without a fresh token in time the next frame ends the session, and is not taken', () => {
    const { shard, socket } = asked();
    shard.timers.advance(AUTH_TIME_LIMIT_MS);
    const before = shard.buffered;
    socket.batch(2);
    expect(socket.closed).toEqual({ code: 4401, reason: expect.stringMatching(/^unauthorized: /) });
    expect(shard.buffered).toBe(before);
  });

  test('the control: a moment before, the frame is taken', () => {
    const { shard, socket } = asked();
    shard.timers.advance(AUTH_TIME_LIMIT_MS - 1);
    const before = shard.buffered;
    socket.batch(2);
    expect(socket.closed).toBeUndefined();
    expect(shard.buffered).toBe(before + 1);
  });

  test('in the time between upgrade and hello the client is welcomed, and asked then', () => {
    const shard = new Shard();
    const socket = new Socket(shard, { grant: { expiresAtMs: shard.timers.now() } })
      .say('ping')
      .say({ t: 'hello' });
    expect(socket.types()).toEqual(['pong', 'welcome', 'auth']);
  });
});

describe('a fresh token', () => {
  test('is verified while frames go on, and lets the session go on', async () => {
    const { shard, socket, later } = asked();
    socket.say({ t: 'auth', token: 'fresh' }).batch(2);
    expect(socket.question().token).toBe('fresh');
    await socket.question().answer(later);
    shard.timers.advance(AUTH_TIME_LIMIT_MS);
    socket.batch(3);
    shard.timers.advance(20);
    expect(socket.frames.at(-1)).toMatchObject({ t: 'ack', stored: 3 });
    expect(socket.granted).toEqual([later]);
    expect(socket.closed).toBeUndefined();
    // It ends as well, and is asked for as the first was.
    shard.timers.advance(600_000);
    socket.batch(4);
    expect(socket.types().filter((t) => t === 'auth')).toHaveLength(2);
  });

  test('may come before it is asked for', async () => {
    const { shard, socket, later } = opened();
    socket.say({ t: 'auth', token: 'early' });
    await socket.question().answer(later);
    shard.timers.advance(60_000);
    socket.batch(1);
    expect(socket.types()).toEqual(['welcome']);
  });

  test('that is wrong ends the session with 4401, and one that no longer allows this with 4403', async () => {
    for (const [error, code] of [
      [unauthorized, 4401],
      [forbidden, 4403],
    ] as const) {
      const { socket } = asked();
      socket.say({ t: 'auth', token: 'other' });
      await socket.question().fail(error);
      expect(socket.closed).toEqual({ code, reason: `${error.code}: ${error.message}` });
      expect(socket.granted).toEqual([]);
    }
  });

  test('of another tenant ends the session with 4403', async () => {
    const of = async (producer: string, grant: Grant) => {
      const { socket } = asked(new Shard(), { producer });
      socket.say({ t: 'auth', token: 'other' });
      await socket.question().answer(grant);
      return socket.closed?.code;
    };
    expect(await of('acme/p', { tenant: 'other' })).toBe(4403);
    expect(await of('acme/p', {})).toBe(4403);
    expect(await of('p', { tenant: 'acme' })).toBe(4403);
    // The controls.
    expect(await of('acme/p', { tenant: 'acme' })).toBeUndefined();
    expect(await of('p', {})).toBeUndefined();
  });

  test('that has expired already ends the session with 4401', async () => {
    const { shard, socket } = asked();
    socket.say({ t: 'auth', token: 'stale' });
    await socket.question().answer({ expiresAtMs: shard.timers.now() });
    expect(socket.closed?.code).toBe(4401);
  });

  test('one is verified at a time, and of those that come meanwhile only the newest', async () => {
    const { socket, later } = asked();
    for (const token of ['a', 'b', 'c']) socket.say({ t: 'auth', token });
    expect(socket.questions.map(({ token }) => token)).toEqual(['a']);
    await socket.question().answer(later);
    expect(socket.questions.map(({ token }) => token)).toEqual(['a', 'c']);
    await socket.question(1).answer(later);
    expect(socket.questions).toHaveLength(2);
    expect(socket.closed).toBeUndefined();
  });

  test('has a bounded length, and characters that a header can hold', () => {
    const { socket } = opened();
    for (const token of ['', 'a b', 'line\nbreak', 'é', 7, undefined, 'a'.repeat(MAX_TOKEN_LENGTH + 1)])
      socket.say({ t: 'auth', token });
    expect(socket.questions).toEqual([]);
    expect(socket.frames.filter(({ code }) => code === 'invalid_frame')).toHaveLength(7);
    expect(JSON.stringify(socket.frames)).not.toContain('line');
    socket.say({ t: 'auth', token: 'a'.repeat(MAX_TOKEN_LENGTH) });
    expect(socket.questions).toHaveLength(1);
  });

  test('that comes in an open deployment is passed over', () => {
    const { shard, socket } = opened(new Shard(), { grant: 'open' });
    socket.say({ t: 'auth', token: 'any' }).batch(1);
    shard.timers.advance(20);
    expect(socket.types()).toEqual(['welcome', 'ack']);
    expect(socket.questions).toEqual([]);
  });

  test('a session that has ended meanwhile does nothing with the answer', async () => {
    for (const end of [
      (socket: Socket) => socket.session.end(),
      (socket: Socket) => socket.say({ t: 'bye' }),
    ]) {
      for (const isGood of [true, false]) {
        const { shard, socket, later } = opened();
        socket.say({ t: 'auth', token: 'fresh' }).say({ t: 'auth', token: 'newer' });
        end(socket);
        shard.timers.advance(20);
        const before = structuredClone(socket.frames);
        const { closed } = socket;
        if (isGood) await socket.question().answer(later);
        else await socket.question().fail(unauthorized);
        expect(socket.frames).toEqual(before);
        expect(socket.closed).toBe(closed);
        expect(socket.granted).toEqual([]);
        expect(socket.questions).toHaveLength(1);
      }
    }
  });
});

describe('where it cannot be found out whether a token is good', () => {
  test('the client is asked again a little later, within the same time', async () => {
    const { shard, socket, later } = asked();
    shard.timers.advance(1_000);
    socket.say({ t: 'auth', token: 'fresh' });
    await socket.question().fail(unavailable);
    socket.batch(2);
    expect(socket.types().filter((t) => t === 'auth')).toHaveLength(1);
    shard.timers.advance(AUTH_RETRY_MS);
    socket.batch(3);
    expect(socket.frames.filter(({ t }) => t === 'auth').at(-1)).toEqual({
      t: 'auth',
      withinMs: AUTH_TIME_LIMIT_MS - 1_000 - AUTH_RETRY_MS,
    });
    socket.say({ t: 'auth', token: 'fresh-again' });
    await socket.question(1).answer(later);
    shard.timers.advance(AUTH_TIME_LIMIT_MS);
    socket.batch(4);
    expect(socket.closed).toBeUndefined();
  });

  test('the time is over all the same, and the client may come again', async () => {
    const { shard, socket } = asked();
    socket.say({ t: 'auth', token: 'fresh' });
    await socket.question().fail(new Error('a function of the user that throws anything'));
    shard.timers.advance(AUTH_TIME_LIMIT_MS);
    socket.batch(2);
    expect(socket.closed).toEqual({
      code: 4503,
      reason: expect.stringMatching(/^authorization_unavailable: /),
    });
  });

  test('a token that came in time may be verified a moment longer, and not for ever', async () => {
    for (const isGood of [true, false]) {
      const { shard, socket, later } = asked();
      shard.timers.advance(AUTH_TIME_LIMIT_MS - 1);
      socket.say({ t: 'auth', token: 'late' });
      shard.timers.advance(AUTHORIZE_TIME_LIMIT_MS - 1);
      socket.batch(2);
      expect(socket.closed).toBeUndefined();
      if (isGood) await socket.question().answer(later);
      shard.timers.advance(1);
      socket.batch(3);
      expect(socket.closed?.code).toBe(isGood ? undefined : 4503);
    }
  });

  test('before it is asked for, nothing changes', async () => {
    const { shard, socket } = opened();
    socket.say({ t: 'auth', token: 'early' });
    await socket.question().fail(unavailable);
    socket.batch(1);
    shard.timers.advance(20);
    expect(socket.types()).toEqual(['welcome', 'ack']);
  });
});

describe('hibernation', () => {
  test('a session remembers when it was asked, and wakes with that', () => {
    const { shard, socket } = asked();
    shard.timers.advance(20);
    expect(socket.memory?.askedAtMs).toBeDefined();
    shard.timers.advance(10_000);
    shard.pipeline = shard.start();
    const grant = { expiresAtMs: 0 };
    const woken = new Socket(shard, { grant, memory: socket.memory });
    woken.batch(2);
    shard.timers.advance(20);
    expect(woken.types()).toEqual(['ack']);
    shard.timers.advance(AUTH_TIME_LIMIT_MS - 10_000);
    woken.batch(3);
    expect(woken.closed?.code).toBe(4401);
  });

  test('after a fresh token nothing of that is left', async () => {
    const { shard, socket, later } = asked();
    socket.say({ t: 'auth', token: 'fresh' });
    await socket.question().answer(later);
    expect(socket.memory).toBeDefined();
    expect(socket.memory?.askedAtMs).toBeUndefined();
    shard.timers.advance(AUTH_TIME_LIMIT_MS);
    shard.pipeline = shard.start();
    const woken = new Socket(shard, { grant: later, memory: socket.memory });
    woken.batch(2);
    shard.timers.advance(20);
    expect(woken.types()).toEqual(['ack']);
  });
});

describe('a hello that has to bring a token', () => {
  test('is welcomed once it is verified, and what came after it is taken in order', async () => {
    const shard = new Shard();
    const socket = new Socket(shard, { grant: 'none' });
    socket.say({ t: 'hello', token: 'mine' }).batch(1).batch(2).say('ping').say({ t: 'ping' });
    expect(socket.types()).toEqual(['pong']);
    expect(shard.buffered).toBe(0);
    await socket.question().answer({ tokenId: 'mine' });
    shard.timers.advance(20);
    expect(socket.types()).toEqual(['pong', 'welcome', 'ack']);
    expect(socket.frames.at(-1)).toMatchObject({ stored: 2 });
    expect(socket.granted).toEqual([{ tokenId: 'mine' }]);
  });

  test('without one it is refused, and nothing is asked', () => {
    const socket = new Socket(new Shard(), { grant: 'none' }).say({ t: 'hello' });
    expect(socket.closed?.code).toBe(4401);
    expect(socket.questions).toEqual([]);
  });

  test('ends the session where the token is wrong, of another tenant, or cannot be verified', async () => {
    const end = async (act: (question: Question) => Promise<void>) => {
      const shard = new Shard();
      const socket = new Socket(shard, { grant: 'none', producer: 'acme/p' });
      socket.say({ t: 'hello', token: 'mine' }).batch(1);
      await act(socket.question());
      expect(socket.types()).toEqual(socket.closed === undefined ? ['welcome'] : []);
      expect(shard.buffered).toBe(socket.closed === undefined ? 1 : 0);
      return socket.closed?.code;
    };
    expect(await end((question) => question.fail(unauthorized))).toBe(4401);
    expect(await end((question) => question.fail(forbidden))).toBe(4403);
    expect(await end((question) => question.fail(unavailable))).toBe(4503);
    expect(await end((question) => question.answer({ tenant: 'other' }))).toBe(4403);
    expect(await end((question) => question.answer({}))).toBe(4403);
    expect(await end((question) => question.answer({ tenant: 'acme' }))).toBeUndefined();
  });

  test('what waits for it is bounded, in frames and in characters', () => {
    const waits = (frames: number, characters: number) => {
      const shard = new Shard();
      const socket = new Socket(shard, { grant: 'none' }).say({ t: 'hello', token: 'mine' });
      for (let count = 0; count < frames; count += 1) if (!socket.closed) socket.say(' '.repeat(characters));
      return socket.closed?.code;
    };
    expect(waits(MAX_HELD_FRAMES, 10)).toBeUndefined();
    expect(waits(MAX_HELD_FRAMES + 1, 10)).toBe(4429);
    expect(waits(1, MAX_HELD_CHARACTERS)).toBeUndefined();
    expect(waits(2, MAX_HELD_CHARACTERS / 2 + 1)).toBe(4429);
  });

  test('the time for the hello counts while it is verified', async () => {
    const shard = new Shard();
    const socket = new Socket(shard, { grant: 'none' }).say({ t: 'hello', token: 'mine' });
    shard.timers.advance(HELLO_TIME_LIMIT_MS);
    expect(socket.closed?.code).toBe(4408);
    await socket.question().answer({});
    expect(socket.types()).toEqual([]);
    expect(socket.granted).toEqual([]);
  });

  test('where the upgrade said already who the client is, a token in the hello is refused; an open deployment passes it over', () => {
    expect(new Socket(new Shard()).say({ t: 'hello', token: 'mine' }).closed?.code).toBe(4400);
    const open = new Socket(new Shard(), { grant: 'open' }).say({ t: 'hello', token: 'mine' });
    expect(open.types()).toEqual(['welcome']);
  });
});

describe('a raw socket', () => {
  test('is closed by the first frame after its grant has ended, and nothing of that is taken', () => {
    const shard = new Shard();
    const grant = { expiresAtMs: shard.timers.now() + 1_000 };
    const socket = new Socket(shard, { grant, protocol: 'raw' }).say('{"n":1}');
    expect(shard.buffered).toBe(1);
    shard.timers.advance(1_000);
    socket.say('{"n":2}').say('{"n":3}');
    expect(socket.closed).toEqual({ code: 1008, reason: expect.stringMatching(/^unauthorized: /) });
    expect(shard.buffered).toBe(1);
  });

  test('the control: one without an end goes on', () => {
    const shard = new Shard();
    const socket = new Socket(shard, { protocol: 'raw' });
    shard.timers.advance(1e12);
    socket.say('{"n":1}');
    expect(shard.buffered).toBe(1);
  });

  test('nobody speaks on one without a grant: it has no hello that could bring a token', () => {
    const shard = new Shard();
    const socket = new Socket(shard, { grant: 'none', protocol: 'raw' }).say('{"n":1}');
    expect(socket.closed?.code).toBe(1008);
    expect(shard.buffered).toBe(0);
  });
});
