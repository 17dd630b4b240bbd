import { describe, expect, test } from 'vitest';
import { withTimeLimit } from '../../../src/core/time-limit.ts';

const NEVER = 2 ** 31 - 1;

describe('withTimeLimit', () => {
  test('gives what the work gives, be it a value or a failure', async () => {
    await expect(withTimeLimit(Promise.resolve(42), NEVER, 'waiting')).resolves.toBe(42);
    await expect(withTimeLimit(Promise.reject(new Error('no')), NEVER, 'waiting')).rejects.toThrow(/^no$/);
  });

  test('gives up work that never ends, and says what it was', async () => {
    const giving = withTimeLimit(new Promise(() => {}), 1, 'connecting');
    await expect(giving).rejects.toMatchObject({
      code: 'time_limit',
      message: 'Gave up connecting after 1 ms',
    });
  });

  test('starts a lazy thenable exactly once: a query of Drizzle runs again at every then', async () => {
    let starts = 0;
    const lazy: PromiseLike<string> = {
      // biome-ignore lint/suspicious/noThenProperty: that is what a lazy query is
      then(onFulfilled, onRejected) {
        starts += 1;
        return Promise.resolve('rows').then(onFulfilled, onRejected);
      },
    };
    await expect(withTimeLimit(lazy, NEVER, 'reading')).resolves.toBe('rows');
    expect(starts).toBe(1);
  });

  test('a failure after the limit disturbs nobody', async () => {
    let failLate: (error: Error) => void = () => {};
    const work = new Promise((_, reject) => {
      failLate = reject;
    });
    await expect(withTimeLimit(work, 1, 'waiting')).rejects.toMatchObject({ code: 'time_limit' });
    const unhandled: unknown[] = [];
    const listen = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', listen);
    failLate(new Error('too late'));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});
