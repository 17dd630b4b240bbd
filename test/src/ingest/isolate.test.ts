import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FaultClass } from '../../../src/database/fault-class.ts';
import { type IsolationEnd, isolate } from '../../../src/ingest/isolate.ts';

class Fault extends Error {
  readonly fault: FaultClass;
  constructor(fault: FaultClass, message: string) {
    super(message);
    this.fault = fault;
  }
}

interface TableOptions {
  /** Throws what the database says to these rows; `committed` has those that are in. */
  refuse: (rows: readonly number[], committed: ReadonlySet<number>) => void;
  /** Statements that fail by themselves, counted from 1, the first failure of the whole batch included. */
  faults?: ReadonlyMap<number, Exclude<FaultClass, 'isolate'>>;
  /** Dead letters that there is room for. */
  room?: number;
}

interface Outcome {
  end: IsolationEnd;
  committed: number[];
  dead: number[];
  /** The spans that were tried, as in `0-4`, the whole batch first. */
  attempts: string[];
}

/** Writes a batch into a table that refuses some of it, with `isolate` where it is refused. */
async function write(from: number, to: number, options: TableOptions): Promise<Outcome> {
  const { refuse, faults = new Map(), room = Number.POSITIVE_INFINITY } = options;
  const committed: number[] = [];
  const inTable = new Set<number>();
  const dead: number[] = [];
  const attempts: string[] = [];
  let settledUpTo = from;
  let lastFailure: { from: number; to: number; error: unknown } | undefined;
  let isUnderWay = false;

  async function attempt(first: number, end: number): Promise<void> {
    if (isUnderWay) throw new Error('two attempts at a time');
    isUnderWay = true;
    attempts.push(`${first}-${end}`);
    const number = attempts.length;
    await Promise.resolve();
    isUnderWay = false;
    try {
      const fault = faults.get(number);
      if (fault !== undefined) throw new Fault(fault, `statement ${number}`);
      const rows = Array.from({ length: end - first }, (_, index) => first + index);
      refuse(rows, inTable);
      for (const row of rows) {
        committed.push(row);
        inTable.add(row);
      }
    } catch (error) {
      lastFailure = { from: first, to: end, error };
      throw error;
    }
  }
  function advance(first: number, end: number): void {
    // From left to right, each row once, none left out.
    if (first !== settledUpTo || end <= first) throw new Error(`${first}-${end} after ${settledUpTo}`);
    settledUpTo = end;
  }

  try {
    await attempt(from, to);
    return { end: { state: 'done' }, committed, dead, attempts };
  } catch (error) {
    const end = await isolate(from, to, error, {
      attempt,
      classify: (failure) => (failure as Fault).fault,
      settle(first, last) {
        if (committed.at(-1) !== last - 1) throw new Error('settled before it was committed');
        advance(first, last);
      },
      deadLetter(row, failure) {
        // The row was tried alone, just now, and this is what came of it.
        const isLast =
          lastFailure?.from === row && lastFailure.to === row + 1 && lastFailure.error === failure;
        if (!isLast || (failure as Fault).fault !== 'isolate')
          throw new Error(`row ${row} is a dead letter without an attempt`);
        if (dead.length >= room) return false;
        advance(row, row + 1);
        dead.push(row);
        return true;
      },
    });
    if ((end.state === 'done' ? to : end.from) !== settledUpTo) throw new Error(`it ended at ${settledUpTo}`);
    return { end, committed, dead, attempts };
  }
}

/** A table that refuses certain rows, whatever they come with. */
function refusing(bad: ReadonlySet<number>): TableOptions['refuse'] {
  return (rows) => {
    const found = rows.find((row) => bad.has(row));
    if (found !== undefined) throw new Fault('isolate', `row ${found}`);
  };
}

function boundFor(rows: number): number {
  return Math.floor(2 * Math.log2(rows) + 1);
}

/** The numbers from `from` to before `to` without some. */
function without(from: number, to: number, some: ReadonlySet<number>): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index).filter((row) => !some.has(row));
}

/** Rows of a batch, with a set of those that are bad. */
const batches = fc
  .record({ from: fc.nat(1_000), rows: fc.integer({ min: 1, max: 200 }) })
  .chain(({ from, rows }) =>
    fc.record({
      from: fc.constant(from),
      to: fc.constant(from + rows),
      bad: fc.oneof(
        fc.uniqueArray(fc.integer({ min: from, max: from + rows - 1 }), { minLength: 1, maxLength: 5 }),
        fc.subarray(
          Array.from({ length: rows }, (_, index) => from + index),
          { minLength: 1 },
        ),
      ),
    }),
  )
  .map(({ from, to, bad }) => ({ from, to, bad: new Set(bad) }));

describe('isolate', () => {
  test('one bad row is a dead letter, all others are written in order, in at most 2 log2(n) + 1 statements', async () => {
    // All small batches, and larger ones around the powers of two, where the halves change.
    const larger = [100, 127, 128, 129, 200, 255, 256, 257, 300];
    for (const rows of [...Array.from({ length: 65 }, (_, index) => index + 1), ...larger]) {
      let most = 0;
      for (let bad = 0; bad < rows; bad += 1) {
        const found = await write(0, rows, { refuse: refusing(new Set([bad])) });
        // Spelled out, as thousands of calls of `expect` take their time.
        const isRight =
          found.end.state === 'done' &&
          found.dead.join() === `${bad}` &&
          found.committed.length === rows - 1 &&
          found.committed.every((row, index) => row === (index < bad ? index : index + 1));
        if (!isRight) expect.fail(`row ${bad} of ${rows}`);
        most = Math.max(most, found.attempts.length);
      }
      expect(most, `${rows} rows`).toBeLessThanOrEqual(boundFor(rows));
    }
  });

  test('one bad row among 5,000 takes 25 statements at most', async () => {
    expect(boundFor(5_000)).toBe(25);
    for (const bad of [0, 1, 2_499, 2_500, 3_333, 4_998, 4_999]) {
      const { attempts, dead, committed } = await write(0, 5_000, { refuse: refusing(new Set([bad])) });
      expect({ dead, committed: committed.length }).toEqual({ dead: [bad], committed: 4_999 });
      expect(attempts.length).toBeLessThanOrEqual(25);
    }
  });

  test('tries what may be good whole, and halves what is known to be bad without trying it', async () => {
    const last = await write(0, 8, { refuse: refusing(new Set([7])) });
    expect(last.attempts).toEqual(['0-8', '0-4', '4-6', '6-7', '7-8']);
    const first = await write(0, 8, { refuse: refusing(new Set([0])) });
    expect(first.attempts).toEqual(['0-8', '0-4', '0-2', '0-1', '1-2', '2-4', '4-8']);
    const both = await write(10, 18, { refuse: refusing(new Set([11, 16])) });
    expect(both.attempts).toEqual([
      ...['10-18', '10-14', '10-12', '10-11', '11-12', '12-14'],
      ...['14-18', '14-16', '16-17', '17-18'],
    ]);
  });

  test('a batch of one row is a dead letter by the failure that is there, without a further statement', async () => {
    const { attempts, dead } = await write(3, 4, { refuse: refusing(new Set([3])) });
    expect({ attempts, dead }).toEqual({ attempts: ['3-4'], dead: [3] });
  });

  test('any set of bad rows: exactly these are dead letters, the others are written in order', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async ({ from, to, bad }) => {
        const found = await write(from, to, { refuse: refusing(bad) });
        expect(found.end).toEqual({ state: 'done' });
        expect(found.dead).toEqual([...bad].sort((a, b) => a - b));
        expect(found.committed).toEqual(without(from, to, bad));
        expect(found.attempts.length).toBeLessThanOrEqual(bad.size * boundFor(to - from));
        expect(found.attempts.length).toBeLessThanOrEqual(2 * (to - from) - 1);
      }),
      { numRuns: 300 },
    );
  });

  describe('a connection that is lost on the way', () => {
    test('makes no dead letter, whichever statement it takes, and leaves exactly the rest', async () => {
      const bad = new Set([5, 6, 20, 31]);
      const whole = await write(0, 32, { refuse: refusing(bad) });
      expect(whole.attempts.length).toBeGreaterThan(15);
      for (let number = 2; number <= whole.attempts.length; number += 1) {
        for (const fault of ['retry', 'pause'] as const) {
          const faults = new Map([[number, fault]]);
          const found = await write(0, 32, { refuse: refusing(bad), faults });
          expect(found.attempts).toEqual(whole.attempts.slice(0, number));
          const from = Number(whole.attempts[number - 1]?.split('-')[0]);
          expect(found.end).toMatchObject({ state: 'stopped', from, reason: fault });
          expect(found.end).toHaveProperty('error.message', `statement ${number}`);
          expect([...found.committed, ...found.dead].sort((a, b) => a - b)).toEqual(
            without(0, from, new Set()),
          );
          expect(found.dead).toEqual([...bad].filter((row) => row < from));
        }
      }
    });

    test('any set of bad rows, any statement: to go on from there ends as if it had held', async () => {
      await fc.assert(
        fc.asyncProperty(batches, fc.array(fc.integer({ min: 2, max: 60 })), async (batch, losses) => {
          const committed: number[] = [];
          const dead: number[] = [];
          let from = batch.from;
          for (const loss of [...losses, undefined]) {
            if (from === batch.to) break;
            const faults = new Map(loss === undefined ? [] : [[loss, 'retry'] as const]);
            const found = await write(from, batch.to, { refuse: refusing(batch.bad), faults });
            committed.push(...found.committed);
            dead.push(...found.dead);
            from = found.end.state === 'done' ? batch.to : found.end.from;
          }
          expect(from).toBe(batch.to);
          expect(dead).toEqual([...batch.bad].sort((a, b) => a - b));
          expect(committed).toEqual(without(batch.from, batch.to, batch.bad));
        }),
        { numRuns: 200 },
      );
    });
  });

  test('full dead letters stop it at the row that has no room, however many there is room for', async () => {
    const bad = new Set([2, 3, 9]);
    for (let room = 0; room < 3; room += 1) {
      const found = await write(0, 10, { refuse: refusing(bad), room });
      const from = [...bad][room] as number;
      expect(found.end).toMatchObject({ state: 'stopped', from, reason: 'dead_letters_full' });
      expect(found.end).toHaveProperty('error.message', `row ${from}`);
      expect(found.dead).toEqual([...bad].slice(0, room));
      expect(found.committed).toEqual(without(0, from, bad));
    }
    expect((await write(0, 10, { refuse: refusing(bad), room: 3 })).end).toEqual({ state: 'done' });
  });

  describe('an error that no row has by itself', () => {
    test('rows that only fail together are all written', async () => {
      for (let rows = 2; rows <= 40; rows += 1) {
        for (let one = 0; one < rows; one += 1) {
          for (let other = one + 1; other < rows; other += 1) {
            const found = await write(0, rows, {
              refuse(tried) {
                if (tried.includes(one) && tried.includes(other)) throw new Fault('isolate', 'together');
              },
            });
            if (found.end.state !== 'done' || found.dead.length > 0) expect.fail(`${one}, ${other}`);
            if (found.committed.length !== rows) expect.fail(`${one} and ${other} of ${rows}`);
            if (found.attempts.length > boundFor(rows)) expect.fail(`${one} and ${other} of ${rows}`);
          }
        }
      }
    });

    test('of two rows with one unique key, the first is written and the second is a dead letter', async () => {
      for (let one = 0; one < 20; one += 1) {
        for (let other = one + 1; other < 20; other += 1) {
          const keyOf = (row: number) => (row === other ? one : row);
          const { end, committed, dead } = await write(0, 20, {
            refuse(tried, there) {
              const keys = tried.map(keyOf);
              if (new Set(keys).size < keys.length || keys.some((key) => there.has(key)))
                throw new Fault('isolate', 'duplicate key');
            },
          });
          expect({ end, dead }).toEqual({ end: { state: 'done' }, dead: [other] });
          expect(committed).toEqual(without(0, 20, new Set([other])));
        }
      }
    });

    test('that does not come back makes no dead letter', async () => {
      let isFirst = true;
      const { end, committed, dead, attempts } = await write(0, 1_000, {
        refuse() {
          if (isFirst) {
            isFirst = false;
            throw new Fault('isolate', 'once');
          }
        },
      });
      expect({ end, dead }).toEqual({ end: { state: 'done' }, dead: [] });
      expect(committed).toHaveLength(1_000);
      expect(attempts.length).toBeLessThanOrEqual(boundFor(1_000));
    });
  });
});
