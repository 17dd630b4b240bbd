import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FaultClass } from '../../../src/database/fault-class.ts';
import { asServerError } from '../../../src/database/server-error.ts';
import type { Judgement } from '../../../src/ingest/evidence.ts';
import { type BatchEnd, isolateBatch } from '../../../src/ingest/isolation.ts';
import { type MessageBatch, rowsOf } from '../../../src/sinks/message-batch.ts';
import { batchOf } from '../writers/contract.ts';

class Fault extends Error {
  readonly fault: FaultClass;
  constructor(fault: FaultClass) {
    super(fault);
    this.fault = fault;
  }
}

const DISK_FULL = new Error('disk full');

interface World {
  rows: number;
  bad: ReadonlySet<number>;
  /** Rows of one look. */
  lookRows?: number;
  /** What the look answers instead of the truth. */
  answer?: 'nothing' | 'unusable' | 'wrong';
  /** Statements that fail by themselves, counted from 1. `late`: after the dead letters are in storage. */
  losses?: ReadonlyMap<number, 'early' | 'late'>;
  room?: number;
  /** The storage cannot keep the dead letter of this row. */
  brokenAt?: number;
  judge?: (row: number) => 'condemn' | 'pause' | 'retry';
}

interface Outcome {
  end: BatchEnd;
  committed: number[];
  dead: number[];
  statements: number;
}

function numbersOf({ columns, from, to }: MessageBatch): number[] {
  return columns.sequences.slice(from, to);
}

/** Deals with rows of a batch, some of which a table refuses. */
async function isolateRows(batch: MessageBatch, world: World): Promise<Outcome> {
  const { bad, lookRows = 10, answer, losses = new Map(), judge = () => 'condemn' } = world;
  let { room = Number.POSITIVE_INFINITY } = world;
  const committed: number[] = [];
  const dead: number[] = [];
  let statements = 0;
  let pending: number[] = [];
  const commit = (rows: readonly number[], beforeCommit?: () => void): void => {
    statements += 1;
    const loss = losses.get(statements);
    if (loss === 'early') throw new Fault('retry');
    if (rows.some((row) => bad.has(row))) throw new Fault('isolate');
    beforeCommit?.();
    if (loss === 'late') throw new Fault('retry');
    pending.push(...rows);
  };
  // What is refused is a batch that has a bad row.
  if (!numbersOf(batch).some((row) => bad.has(row)))
    return { end: { state: 'done' }, committed: numbersOf(batch), dead, statements: 1 };
  const end = await isolateBatch(batch, new Fault('isolate'), {
    write: async (rows) => commit(numbersOf(rows)),
    classify: (error) =>
      error instanceof Fault
        ? error.fault
        : (error as { code?: string }).code === 'dead_letters_full'
          ? 'pause'
          : error === DISK_FULL
            ? // Without a SQLSTATE it passes for a lost connection.
              'retry'
            : 'isolate',
    judge: async ({ row, error }): Promise<Judgement> => {
      statements += 1;
      const number = numbersOf(row)[0] as number;
      if (!bad.has(number)) return { do: 'taken' };
      const act = judge(number);
      return act === 'condemn'
        ? { do: act, error: error ?? new Fault('isolate') }
        : { do: act, error, isUndecided: true };
    },
    settle: (rows) => {
      const numbers = numbersOf(rows);
      expect(pending.splice(0, numbers.length)).toEqual(numbers);
      committed.push(...numbers);
    },
    deadLetter: (row) => {
      if (numbersOf(row)[0] === world.brokenAt) throw DISK_FULL;
      if (room === 0) return false;
      room -= 1;
      dead.push(...numbersOf(row));
      return true;
    },
    roomFor: (rows) => Math.min(room, rows.length),
    look: {
      maxRows: lookRows,
      maxCharacters: 1_000_000,
      find: async (rows) => {
        statements += 1;
        if (answer === 'unusable') return undefined;
        if (answer === 'nothing') return [];
        const found = numbersOf(rows)
          .map((number, index) => ({ number, row: rows.from + index }))
          .filter(({ number }) => bad.has(number) !== (answer === 'wrong'));
        return found.map(({ row }) => ({ row, error: asServerError({ sqlState: '22P02', message: 'x' }) }));
      },
      writeWithout: async (rows, left, beforeCommit) =>
        commit(
          numbersOf(rows).filter((_, index) => !left.has(rows.from + index)),
          beforeCommit,
        ),
    },
  });
  pending = [];
  return { end, committed, dead, statements };
}

const batchWith = (rows: number): MessageBatch => batchOf(Array.from({ length: rows }, () => ({})));
const all = (rows: number): number[] => Array.from({ length: rows }, (_, index) => index);

const worlds = fc.integer({ min: 1, max: 60 }).chain((rows) =>
  fc.record({
    rows: fc.constant(rows),
    bad: fc.subarray(all(rows)).map((bad) => new Set(bad)),
    lookRows: fc.integer({ min: 1, max: 25 }),
    answer: fc.constantFrom(undefined, undefined, 'nothing', 'unusable', 'wrong'),
  }),
);

describe('rows of a batch that are refused', () => {
  test('are dead letters, exactly these, and the others are written in order, whatever the look says', async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ({ answer, ...given }) => {
        const world = answer === undefined ? given : { ...given, answer };
        const { end, committed, dead } = await isolateRows(batchWith(given.rows), world);
        expect(end).toEqual({ state: 'done' });
        expect(dead).toEqual([...given.bad]);
        expect(committed).toEqual(all(given.rows).filter((row) => !given.bad.has(row)));
      }),
      { numRuns: 500 },
    );
  });

  test('are found with a look, a judgement and a write for each part, however many there are', async () => {
    for (const bad of [(row: number) => row % 2 === 0, () => true, (row: number) => row % 10 === 3]) {
      const found = await isolateRows(batchWith(5_000), {
        rows: 5_000,
        bad: new Set(all(5_000).filter(bad)),
        lookRows: 1_000,
      });
      expect(found.end).toEqual({ state: 'done' });
      // A failed write before each.
      expect(found.statements).toBeLessThanOrEqual(5 * 4);
    }
    // The control: without the look each takes its own.
    const halved = await isolateRows(batchWith(500), {
      rows: 500,
      bad: new Set(all(500).filter((row) => row % 2 === 0)),
      lookRows: 1_000,
      answer: 'unusable',
    });
    expect(halved.statements).toBeGreaterThan(500);
  });

  test('what is lost on the way loses and doubles nothing: what is left goes on', async () => {
    await fc.assert(
      fc.asyncProperty(
        worlds,
        fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom('early', 'late')), {
          maxLength: 6,
        }),
        async ({ answer: _, ...given }, losses) => {
          let left = [batchWith(given.rows)];
          const committed: number[] = [];
          const dead: number[] = [];
          for (const loss of [...losses, undefined]) {
            const rest: MessageBatch[] = [];
            const losing = loss === undefined ? new Map() : new Map([loss]);
            for (const batch of left) {
              const found = await isolateRows(batch, { ...given, losses: losing });
              committed.push(...found.committed);
              dead.push(...found.dead);
              if (found.end.state === 'stopped') rest.push(...found.end.rest);
            }
            left = rest;
          }
          expect(left).toEqual([]);
          expect(dead.toSorted((a, b) => a - b)).toEqual([...given.bad]);
          expect(committed.toSorted((a, b) => a - b)).toEqual(
            all(given.rows).filter((row) => !given.bad.has(row)),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  test('one that is not at fault stops at its place: all before it is dealt with, and all from it on is left', async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ({ answer: _, ...given }) => {
        const pausing = [...given.bad][Math.floor(given.bad.size / 2)];
        if (pausing === undefined) return;
        // All refusals of one part are alike: the first of them is what is judged.
        const { end, committed, dead } = await isolateRows(batchWith(given.rows), {
          ...given,
          judge: (row) => (row >= pausing ? 'pause' : 'condemn'),
        });
        if (end.state === 'done') return;
        const left = end.rest.flatMap(numbersOf);
        expect(left).toEqual(all(given.rows).slice(left[0]));
        expect(left[0]).toBeGreaterThanOrEqual(pausing);
        expect([...committed, ...dead].toSorted((a, b) => a - b)).toEqual(all(left[0] as number));
      }),
      { numRuns: 300 },
    );
  });

  test('full dead letters stop it at the first row that has no room', async () => {
    const bad = new Set([2, 3, 9, 15]);
    for (let room = 0; room < 4; room += 1) {
      const { end, dead, committed } = await isolateRows(batchWith(30), { rows: 30, bad, room });
      const from = [...bad][room] as number;
      expect(end).toMatchObject({ state: 'stopped', reason: 'pause', error: { code: 'dead_letters_full' } });
      if (end.state === 'stopped') expect(end.rest.flatMap(numbersOf)).toEqual(all(30).slice(from));
      expect(dead).toEqual([...bad].slice(0, room));
      expect(committed).toEqual(all(from).filter((row) => !bad.has(row)));
    }
    expect((await isolateRows(batchWith(30), { rows: 30, bad, room: 4 })).end).toEqual({ state: 'done' });
  });
});

test.each([
  ['in the transaction that writes the others', [3, 5], undefined],
  ['where no others are left', all(8), undefined],
  ['where it is found by halving', [3, 5], 'unusable'],
] as const)(
  'a storage that cannot keep a dead letter ends it, %s: no row is put back',
  async (_, rows, answer) => {
    const world: World = { rows: 8, bad: new Set(rows), ...(answer === undefined ? {} : { answer }) };
    await expect(isolateRows(batchWith(8), { ...world, brokenAt: 5 })).rejects.toBe(DISK_FULL);
    const { end, dead } = await isolateRows(batchWith(8), world);
    expect([end.state, dead], 'the control: with a storage that works').toEqual(['done', rows]);
  },
);

test('a part holds no more characters than a look takes', async () => {
  const batch = batchOf(Array.from({ length: 10 }, () => ({ payload: `"${'x'.repeat(98)}"` })));
  const parts: number[] = [];
  await isolateBatch(batch, new Fault('isolate'), {
    write: async (rows) => {
      parts.push(rowsOf(rows));
    },
    classify: () => 'isolate',
    judge: async () => ({ do: 'taken' }),
    settle: () => {},
    deadLetter: () => true,
    roomFor: (rows) => rows.length,
    look: {
      maxRows: 100,
      maxCharacters: 350,
      find: async () => [],
      writeWithout: async () => {},
    },
  });
  expect(parts).toEqual([3, 3, 3, 1]);
});
