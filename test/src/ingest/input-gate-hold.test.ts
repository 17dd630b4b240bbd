import { expect, test } from 'vitest';
import { InputGateHold } from '../../../src/ingest/input-gate-hold.ts';

/** Timers that fire when told, and a log of what happened. */
function setUp(fillOf: () => number) {
  const log: string[] = [];
  const due: { delayMs: number; callback: () => void }[] = [];
  const hold = new InputGateHold({
    fill: fillOf,
    holdFrames: async (work) => {
      log.push('held');
      await work();
      log.push('flows');
    },
    timers: {
      now: () => 0,
      after(delayMs, callback) {
        const timer = { delayMs, callback };
        due.push(timer);
        return () => void (due.includes(timer) && due.splice(due.indexOf(timer), 1));
      },
    },
    maxHoldMs: 500,
  });
  const fire = (delayMs: number): void => {
    for (const timer of due.filter((each) => each.delayMs === delayMs)) {
      due.splice(due.indexOf(timer), 1);
      timer.callback();
    }
  };
  return { hold, log, fire, due };
}

function write(log: string[], name: string) {
  let end: (error?: Error) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  const start = (): Promise<void> => {
    log.push(`${name} starts`);
    return done;
  };
  return { start, end };
}

/** Lets everything happen that needs no timer. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('with room in the buffer, writes run and frames flow', async () => {
  const { hold, log } = setUp(() => 0.2);
  const a = write(log, 'a');
  const running = hold.run(a.start);
  a.end();
  await running;
  expect(log).toEqual(['a starts']);
});

test('a hold begins when the writes under way are done, and new ones run within it', async () => {
  let fill = 0.1;
  const { hold, log } = setUp(() => fill);
  const [a, b] = [write(log, 'a'), write(log, 'b')];
  const first = hold.run(a.start);
  fill = 0.5;
  const second = hold.run(b.start);
  await settle();
  expect(log).toEqual(['a starts']);
  a.end();
  await first;
  await settle();
  expect(log).toEqual(['a starts', 'held', 'b starts']);
  fill = 0.1;
  b.end();
  await second;
  await settle();
  expect(log).toEqual(['a starts', 'held', 'b starts', 'flows']);
});

test('writes follow each other within one hold until the buffer has room again', async () => {
  let fill = 0.5;
  const { hold, log } = setUp(() => fill);
  for (const name of ['a', 'b', 'c']) {
    if (name === 'c') fill = 0.12;
    const each = write(log, name);
    const running = hold.run(each.start);
    await settle();
    each.end();
    await running;
  }
  await settle();
  expect(log).toEqual(['held', 'a starts', 'b starts', 'c starts', 'flows']);
});

test('a hold with nothing to write ends, so that a broken database does not keep the frames away', async () => {
  const { hold, log, fire } = setUp(() => 0.9);
  const a = write(log, 'a');
  const running = hold.run(a.start);
  await settle();
  a.end(new Error('refused'));
  await expect(running).rejects.toThrow('refused');
  await settle();
  expect(log).toEqual(['held', 'a starts']);
  fire(1);
  await settle();
  expect(log).toEqual(['held', 'a starts', 'flows']);
});

test('a write that takes too long goes on with frames flowing, and the next hold waits for it', async () => {
  const { hold, log, fire } = setUp(() => 0.9);
  const [a, b] = [write(log, 'a'), write(log, 'b')];
  const first = hold.run(a.start);
  await settle();
  fire(500);
  await settle();
  expect(log).toEqual(['held', 'a starts', 'flows']);
  const second = hold.run(b.start);
  await settle();
  expect(log).toEqual(['held', 'a starts', 'flows']);
  a.end();
  await first;
  await settle();
  expect(log).toEqual(['held', 'a starts', 'flows', 'held', 'b starts']);
  b.end();
  await second;
});

test('several writes at once share a hold', async () => {
  let fill = 0.9;
  const { hold, log } = setUp(() => fill);
  const all = ['a', 'b', 'c'].map((name) => write(log, name));
  const running = all.map(({ start }) => hold.run(start));
  await settle();
  expect(log).toEqual(['held', 'a starts', 'b starts', 'c starts']);
  fill = 0;
  for (const { end } of all) end();
  await Promise.all(running);
  await settle();
  expect(log.at(-1)).toBe('flows');
});
