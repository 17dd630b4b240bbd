/** Bodies of Server-Sent Events that do not end by themselves, with time in the test's hands. */

import { describe, expect, it } from 'vitest';
import { type EventStream, streamFrom } from '../../workers/event-stream.ts';
import { streamOf } from '../../workers/streamed-body.ts';
import { FakeTimers, settled } from '../support/fake-timers.ts';

const KIB = 1024;

interface Source {
  stream: EventStream;
  timers: FakeTimers;
  /** Hands the stream an event, once it asks for one. */
  give(text: string): void;
  close(): void;
  fail(error: Error): void;
  /** How many events the stream has taken. */
  taken(): number;
  failures: unknown[];
  /** How often it was told of the end. */
  ends(): number;
}

function source(): Source {
  const timers = new FakeTimers();
  const waiting: (string | Error | undefined)[] = [];
  const failures: unknown[] = [];
  let wake = (): void => {};
  let taken = 0;
  let ends = 0;
  async function* events(): AsyncGenerator<string, void, undefined> {
    for (;;) {
      while (waiting.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      const next = waiting.shift();
      if (next === undefined) return;
      if (next instanceof Error) throw next;
      taken += 1;
      yield next;
    }
  }
  const put = (what: string | Error | undefined): void => {
    waiting.push(what);
    wake();
  };
  const stream = streamFrom(events(), {
    timers,
    onFailure: (error) => failures.push(error),
    onEnd: () => {
      ends += 1;
      put(undefined);
    },
  });
  return {
    stream,
    timers,
    give: put,
    close: () => put(undefined),
    fail: put,
    taken: () => taken,
    failures,
    ends: () => ends,
  };
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** What comes next, as text; undefined at the end. */
async function next(reader: Reader): Promise<string | undefined> {
  const { done, value } = await reader.read();
  return done ? undefined : new TextDecoder().decode(value);
}

describe('a stream of events', () => {
  it('begins at once, and sends what comes', async () => {
    const own = source();
    const reader = own.stream.body.getReader();
    expect(await next(reader)).toBe(': ready\n\n');
    const coming = next(reader);
    own.give('data: 1\n\n');
    expect(await coming).toBe('data: 1\n\n');
    own.close();
    expect(await next(reader)).toBeUndefined();
    expect([own.ends(), own.failures, own.timers.pending]).toEqual([1, [], 0]);
  });

  it('is not quiet for longer than 15 seconds', async () => {
    const own = source();
    const reader = own.stream.body.getReader();
    await next(reader);
    for (let n = 0; n < 3; n += 1) {
      const coming = next(reader);
      own.timers.advance(15_000);
      expect(await coming).toBe(': keep-alive\n\n');
    }
    // Nothing is said before it is due: the event comes first.
    own.timers.advance(14_999);
    own.give('data: 1\n\n');
    expect(await next(reader)).toBe('data: 1\n\n');
    await reader.cancel();
    expect(own.timers.pending).toBe(0);
  });

  it('takes from its source no more than its reader does', async () => {
    const own = source();
    for (let n = 0; n < 100; n += 1) own.give('x'.repeat(4 * KIB));
    await settled();
    expect(own.taken()).toBe(4);
    // It is not told that it is alive either: that would be kept for it.
    own.timers.advance(15_000);
    const reader = own.stream.body.getReader();
    expect(await next(reader)).toBe(': ready\n\n');
    for (let n = 1; n <= 50; n += 1) {
      expect(await next(reader)).toBe('x'.repeat(4 * KIB));
      await settled();
      expect(own.taken()).toBeLessThanOrEqual(n + 4);
    }
    await reader.cancel();
  });

  it('hands a large event over in pieces, and asks for the next one when it has given all of them', async () => {
    const own = source();
    const large = `data: ${'é'.repeat(500 * KIB)}\n\n`;
    own.give(large);
    own.give('data: 2\n\n');
    const reader = own.stream.body.getReader();
    expect(await next(reader)).toBe(': ready\n\n');
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    const all = new TextEncoder().encode(large).byteLength;
    while (bytes < all) {
      await settled();
      // The last piece may wait while the next event is asked for.
      if (all - bytes > 64 * KIB) expect(own.taken()).toBe(1);
      // Nothing gets in between.
      own.timers.advance(15_000);
      const { value } = await reader.read();
      pieces.push(value as Uint8Array);
      bytes += value?.byteLength ?? 0;
    }
    expect(Math.max(...pieces.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(64 * KIB);
    // Of memory of their own.
    expect(Math.max(...pieces.slice(0, -1).map(({ buffer }) => buffer.byteLength))).toBeLessThanOrEqual(
      64 * KIB,
    );
    const decoder = new TextDecoder();
    expect(pieces.map((piece) => decoder.decode(piece, { stream: true })).join('')).toBe(large);
    expect(await next(reader)).toBe('data: 2\n\n');
    await reader.cancel();
  });

  it('ends where its reader takes nothing of what is there, for half a minute', async () => {
    const own = source();
    for (let n = 0; n < 100; n += 1) own.give('x'.repeat(4 * KIB));
    const reader = own.stream.body.getReader();
    await settled();
    for (let n = 0; n < 5; n += 1) {
      // A reader that takes little, but something, is a slow one.
      own.timers.advance(30_000);
      expect(await next(reader)).toBeDefined();
      await settled();
    }
    expect(own.ends()).toBe(0);
    own.timers.advance(45_000);
    expect(own.ends()).toBe(0);
    own.timers.advance(15_000);
    expect(own.ends()).toBe(1);
    // What was there for it, it still gets; then it may come back.
    let rest = 0;
    while ((await next(reader)) !== undefined) rest += 1;
    expect(rest).toBe(own.taken() + 1 - 5);
    expect(own.timers.pending).toBe(0);
  });

  it('ends where a reader of nothing but signs of life takes none of them', async () => {
    const own = source();
    own.timers.advance(30_000);
    expect(own.ends()).toBe(0);
    own.timers.advance(15_000);
    expect([own.ends(), own.timers.pending]).toEqual([1, 0]);
  });

  it('does not end where there is only nothing to be sent', async () => {
    const own = source();
    const reader = own.stream.body.getReader();
    await next(reader);
    for (let n = 0; n < 10; n += 1) {
      const coming = next(reader);
      own.timers.advance(15_000);
      await coming;
    }
    expect(own.ends()).toBe(0);
    await reader.cancel();
  });

  it('ends where its source fails, which is told', async () => {
    const own = source();
    const reader = own.stream.body.getReader();
    await next(reader);
    const coming = next(reader);
    const error = new Error('gone');
    own.fail(error);
    expect(await coming).toBeUndefined();
    expect([own.ends(), own.failures, own.timers.pending]).toEqual([1, [error], 0]);
  });

  it.each([
    ['by its owner', (own: Source, _: Reader) => own.stream.end()],
    ['by its reader', (_: Source, reader: Reader) => reader.cancel()],
  ])('is ended %s, once', async (_, end) => {
    const own = source();
    const reader = own.stream.body.getReader();
    await next(reader);
    const coming = next(reader);
    await end(own, reader);
    expect(await coming).toBeUndefined();
    // Whatever comes now comes too late.
    own.give('data: 1\n\n');
    own.stream.keepAlive();
    own.stream.end();
    own.timers.advance(60_000);
    await settled();
    expect([own.ends(), own.failures, own.timers.pending]).toEqual([1, [], 0]);
  });
});

describe('a body of pieces', () => {
  it('tells what they have failed with, and is cut off', async () => {
    const failures: unknown[] = [];
    const error = new Error('the database is gone');
    const body = streamOf(
      (async function* () {
        yield '[1';
        throw error;
      })(),
      (failure) => failures.push(failure),
    );
    const reader = body.getReader();
    expect(await next(reader)).toBe('[1');
    await expect(reader.read()).rejects.toThrow('the database is gone');
    expect(failures).toEqual([error]);
  });

  it('tells nothing where all is well, or its reader is gone', async () => {
    const failures: unknown[] = [];
    const pieces = async function* () {
      yield '[1';
      yield ']';
    };
    const whole = streamOf(pieces(), (failure) => failures.push(failure));
    expect(await new Response(whole).text()).toBe('[1]');
    const left = streamOf(pieces(), (failure) => failures.push(failure)).getReader();
    await next(left);
    await left.cancel();
    expect(failures).toEqual([]);
  });
});
