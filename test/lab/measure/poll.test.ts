import { expect, test } from 'vitest';
import { poll } from '../../../lab/measure/poll.ts';

/** A wait that is over when the test says so. */
function waiting(): { wait: (ms: number) => Promise<void>; next: () => Promise<void>; waits: number[] } {
  const waits: number[] = [];
  let end = (): void => {};
  return {
    waits,
    wait: (ms) =>
      new Promise((resolve) => {
        waits.push(ms);
        end = resolve;
      }),
    async next() {
      end();
      await new Promise(setImmediate);
    },
  };
}

test('asks once for each wait, and passes on the answers until it is stopped', async () => {
  const { wait, next, waits } = waiting();
  const answers: number[] = [];
  let asked = 0;
  const stop = poll(
    async () => ++asked,
    (answer) => answers.push(answer),
    { everyMs: 7, wait },
  );
  expect(answers).toEqual([]);
  await next();
  await next();
  expect(answers).toEqual([1, 2]);
  expect(waits).toEqual([7, 7, 7]);
  stop();
  await next();
  expect([asked, answers, waits.length]).toEqual([2, [1, 2], 3]);
});

test("an answer that comes after it was stopped is nobody's", async () => {
  const { wait, next } = waiting();
  let answer = (_: number): void => {};
  const answers: number[] = [];
  const stop = poll(
    () =>
      new Promise<number>((resolve) => {
        answer = resolve;
      }),
    (given) => answers.push(given),
    { everyMs: 1, wait },
  );
  await next();
  stop();
  answer(1);
  await new Promise(setImmediate);
  expect(answers).toEqual([]);
});

test('a question that fails ends it, and nothing else', async () => {
  const { wait, next, waits } = waiting();
  poll(
    () => Promise.reject(new Error('gone')),
    () => {},
    { everyMs: 1, wait },
  );
  await next();
  await next();
  expect(waits).toHaveLength(1);
});
