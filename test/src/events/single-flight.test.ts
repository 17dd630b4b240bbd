import { describe, expect, test } from 'vitest';
import type { EventRecord, ReadEvents } from '../../../src/events/engine.ts';
import { SingleFlight } from '../../../src/events/single-flight.ts';

const READ: ReadEvents = {
  query: [{ types: ['A'], tags: ['x'] }],
  after: 0n,
  before: null,
  backwards: false,
  limit: 10,
};

function record(position: bigint): EventRecord {
  return { position, id: null, type: 'A', tags: ['x'], data: '', metadata: null, timeUs: 0 };
}

/** A database that answers when it is told to, with what was committed when it was asked. */
function database() {
  const asked: { read: ReadEvents; answer: () => void; fail: (error: Error) => void }[] = [];
  let head = 0n;
  const shared = new SingleFlight(
    (read) =>
      new Promise((resolve, reject) => {
        const seen = [record(head)];
        asked.push({ read, answer: () => resolve(seen), fail: reject });
      }),
  );
  return { asked, shared, commit: () => (head += 1n) };
}

const turn = (): Promise<void> => new Promise(setImmediate);
const headOf = async (answer: Promise<readonly EventRecord[]>): Promise<bigint | undefined> =>
  (await answer)[0]?.position;

describe('reads that ask for the same', () => {
  test('in one turn are asked once', async () => {
    const { asked, shared } = database();
    const answers = Array.from({ length: 10 }, () => shared.read({ ...READ }));
    await turn();
    expect(asked).toHaveLength(1);
    asked[0]?.answer();
    expect(await Promise.all(answers.map(headOf))).toEqual(new Array(10).fill(0n));
  });

  test('while one is on its way share the one behind it, which sees what was committed meanwhile', async () => {
    const { asked, shared, commit } = database();
    const first = shared.read(READ);
    await turn();
    commit();
    const later = [shared.read(READ), shared.read(READ)];
    await turn();
    expect(asked, 'not before the first is answered').toHaveLength(1);
    commit();
    asked[0]?.answer();
    expect(await headOf(first)).toBe(0n);
    await turn();
    expect(asked).toHaveLength(2);
    asked[1]?.answer();
    expect(await Promise.all(later.map(headOf))).toEqual([2n, 2n]);
  });

  test('one after the other are asked each', async () => {
    const { asked, shared, commit } = database();
    for (const expected of [0n, 1n, 2n]) {
      const answer = shared.read(READ);
      await turn();
      asked.at(-1)?.answer();
      expect(await headOf(answer)).toBe(expected);
      commit();
    }
    expect(asked).toHaveLength(3);
  });

  test('fail together, and the next ones are asked again', async () => {
    const { asked, shared } = database();
    const failing = [shared.read(READ), shared.read(READ)];
    await turn();
    const waiting = shared.read(READ);
    asked[0]?.fail(new Error('gone'));
    for (const answer of failing) await expect(answer).rejects.toThrow('gone');
    await turn();
    asked[1]?.answer();
    expect(await headOf(waiting)).toBe(0n);
    const after = shared.read(READ);
    await turn();
    expect(asked).toHaveLength(3);
    asked[2]?.answer();
    await after;
  });

  test('are asked again also where the engine has thrown at once', async () => {
    let asked = 0;
    const shared = new SingleFlight(() => {
      asked += 1;
      if (asked === 1) throw new Error('at once');
      return Promise.resolve([record(7n)]);
    });
    await expect(shared.read(READ)).rejects.toThrow('at once');
    expect(await headOf(shared.read(READ))).toBe(7n);
  });

  test('ten rounds of racers, some late, are asked at most twice a round', async () => {
    const { asked, shared } = database();
    for (let round = 1; round <= 10; round += 1) {
      const early = Array.from({ length: 5 }, () => shared.read(READ));
      await turn();
      const late = Array.from({ length: 5 }, () => shared.read(READ));
      asked.at(-1)?.answer();
      await turn();
      asked.at(-1)?.answer();
      await Promise.all([...early, ...late]);
      expect(asked).toHaveLength(2 * round);
    }
  });
});

test.each<[string, Partial<ReadEvents>]>([
  ['query', { query: 'all' }],
  ['tag', { query: [{ types: ['A'], tags: ['y'] }] }],
  ['beginning', { after: 1n }],
  ['end', { before: 5n }],
  ['direction', { backwards: true }],
  ['limit', { limit: 11 }],
  ['limit, none', { limit: Number.POSITIVE_INFINITY }],
  ['bound in bytes', { maxBytes: 1_000 }],
])('reads with another %s are asked by themselves', async (_, more) => {
  const { asked, shared } = database();
  const answers = [shared.read(READ), shared.read({ ...READ, ...more })];
  await turn();
  expect(asked).toHaveLength(2);
  for (const { answer } of asked) answer();
  await Promise.all(answers);
});
