/** Attacked: the database, by strangers who ask `/health` as fast as they can. Each question is a connection to it. */

import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/core/errors.ts';
import { HealthMemory } from '../../workers/health-memory.ts';
import { problemResponse } from '../../workers/problem.ts';

const tooMany = (): Error => new Error('too many');

describe('questions of strangers after the health of the database', () => {
  test('reach it once a second, and each is answered', async () => {
    let nowMs = 0;
    let asked = 0;
    const memory = new HealthMemory(() => nowMs);
    const ask = async (): Promise<void> => {
      asked += 1;
    };
    for (nowMs = 0; nowMs < 10_000; nowMs += 10) await memory.ask('one', ask, tooMany);
    expect(asked).toBe(10);
    // The control: another database is another question.
    await memory.ask('other', ask, tooMany);
    expect(asked).toBe(11);
  });

  test('hear what is wrong, from the answer that stands as from a new one', async () => {
    let nowMs = 0;
    let isAway = true;
    const memory = new HealthMemory(() => nowMs);
    const ask = async (): Promise<void> => {
      if (isAway) throw new Error('away');
    };
    await expect(memory.ask('one', ask, tooMany)).rejects.toThrow('away');
    isAway = false;
    await expect(memory.ask('one', ask, tooMany)).rejects.toThrow('away');
    nowMs = 1_000;
    await memory.ask('one', ask, tooMany);
  });

  test('are four at a time while it does not answer; others hear what is known, or are told to come again', async () => {
    let nowMs = 0;
    let asked = 0;
    const memory = new HealthMemory(() => nowMs);
    let pending = Promise.withResolvers<void>();
    const ask = (): Promise<void> => {
      asked += 1;
      return pending.promise;
    };
    const first = Array.from({ length: 4 }, () => memory.ask('one', ask, tooMany));
    for (let index = 0; index < 100; index += 1)
      await expect(memory.ask('one', ask, tooMany)).rejects.toThrow('too many');
    pending.resolve();
    await Promise.all(first);
    expect(asked).toBe(4);
    nowMs = 5_000;
    pending = Promise.withResolvers();
    const second = Array.from({ length: 4 }, () => memory.ask('one', ask, tooMany));
    for (let index = 0; index < 100; index += 1) await memory.ask('one', ask, tooMany);
    expect(asked).toBe(8);
    pending.resolve();
    await Promise.all(second);
  });

  test('that are too many are told when to come again, and other errors are not', () => {
    const headerOf = (code: 'rate_limited' | 'unauthorized') =>
      problemResponse(new SluiceError(code, 'no')).headers.get('retry-after');
    expect([headerOf('rate_limited'), headerOf('unauthorized')]).toEqual(['1', null]);
  });
});
