import { expect, test } from 'vitest';
import { whileLess } from './while-less.ts';

/** Far less than the forty looks of the first test take together. */
const STANDSTILL_MS = 30;

test('waits for as long as what is left becomes less', async () => {
  const work = Promise.withResolvers<void>();
  let left = 40;
  const countDown = (): number => {
    left -= 1;
    if (left === 0) work.resolve();
    return left;
  };
  expect(await whileLess(work.promise, countDown, STANDSTILL_MS)).toBe(true);
  expect(left).toBe(0);
});

test('gives up where it does not, even if it becomes more', async () => {
  const never = new Promise<void>(() => {});
  expect(await whileLess(never, () => 7, STANDSTILL_MS)).toBe(false);
  let more = 7;
  const countUp = (): number => {
    more += 1;
    return more;
  };
  expect(await whileLess(never, countUp, STANDSTILL_MS)).toBe(false);
});

test('throws what the work throws', async () => {
  await expect(whileLess(Promise.reject(new Error('no')), () => 7, STANDSTILL_MS)).rejects.toThrow('no');
});
