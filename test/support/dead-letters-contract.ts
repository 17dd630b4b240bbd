/** What dead letters do on any SQLite: run on Node's, and on that of a real Durable Object. Synchronous, as both are. */

import { expect } from 'vitest';
import { MAX_LISTED_DEAD_LETTERS, MAX_TAKEN_DEAD_LETTERS } from '../../src/core/limits.ts';
import type { Sqlite } from '../../src/database/sqlite.ts';
import {
  DEAD_LETTER_OVERHEAD_BYTES,
  type DeadLetter,
  type NewDeadLetter,
} from '../../src/outbox/dead-letter.ts';
import { DeadLetters } from '../../src/outbox/dead-letters.ts';

/** Bounds that no case reaches unless it sets its own. */
export const WIDE = { maxRows: 100_000, maxBytes: 1024 * 1024 * 1024 };

/** A letter whose fields all differ from their neighbours'. */
export function letter(changes: Partial<NewDeadLetter> = {}): NewDeadLetter {
  return {
    producer: 'dev-7f3a',
    epoch: 1_795_266_606_000,
    sequence: 17,
    receivedAtMs: 1_795_266_607_001,
    failedAtMs: 1_795_266_607_042,
    sqlState: '22P02',
    by: 'postgres',
    reason: 'invalid input syntax for type integer: "x"',
    detail: 'Only digits are taken.',
    hint: 'Send a number.',
    table: 'readings',
    column: 'celsius',
    constraint: 'celsius_is_warm',
    payload: '{"celsius":"x"}',
    ...changes,
  };
}

function addMany(letters: DeadLetters, count: number, changes: Partial<NewDeadLetter> = {}): void {
  for (let index = 1; index <= count; index += 1)
    expect(letters.add(letter({ sequence: index, payload: String(index), ...changes }))).toBe(true);
}

const idsOf = (letters: readonly { id: number }[]): number[] => letters.map(({ id }) => id);

/** Throws to have a transaction undone. */
class Undo extends Error {}

function undone(sqlite: Sqlite, step: () => void): void {
  expect(() =>
    sqlite.transaction(() => {
      step();
      throw new Undo();
    }),
  ).toThrow(Undo);
}

export const DEAD_LETTER_CASES: { name: string; run: (sqlite: Sqlite) => void }[] = [
  {
    name: 'letters are grouped by why they were refused, and a group is listed, taken and dropped alone',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      expect(letters.groups()).toEqual([]);
      addMany(letters, 3);
      addMany(letters, 4, { column: null, failedAtMs: 5, reason: 'the first' });
      expect(letters.add(letter({ column: null, failedAtMs: 9, reason: 'the last' }))).toBe(true);
      addMany(letters, 1, { sqlState: null, by: 'sink', column: null, constraint: null });
      const key = { by: 'postgres', sqlState: '22P02', column: null, constraint: 'celsius_is_warm' } as const;
      const [first, second, third, ...others] = letters.groups();
      expect(first).toEqual({ key, count: 5, reason: 'the last', firstFailedAtMs: 5, lastFailedAtMs: 9 });
      expect(second).toMatchObject({ key: { ...key, column: 'celsius' }, count: 3 });
      expect(third?.key).toEqual({ by: 'sink', sqlState: null, column: null, constraint: null });
      expect(others).toEqual([]);
      expect(letters.list({ where: { group: key } }).letters).toHaveLength(5);
      expect(letters.take({ group: key }, { maxRows: 2 })).toMatchObject({ remaining: 3 });
      expect(letters.drop({ group: key }).dropped).toBe(3);
      expect(letters.groups().map(({ count }) => count)).toEqual([3, 1]);
    },
  },
  {
    name: 'a letter is read back as it was given, and outlives the object',
    run(sqlite) {
      const given = [
        letter(),
        letter({ sqlState: null, epoch: 0, sequence: Number.MAX_SAFE_INTEGER }),
        letter({ payload: '"\u{1f600} é \\u00e9"', reason: '' }),
      ];
      const letters = new DeadLetters({ sqlite, ...WIDE });
      for (const each of given) expect(letters.add(each)).toBe(true);
      const again = new DeadLetters({ sqlite, ...WIDE });
      for (const [index, each] of given.entries()) {
        expect(letters.read(index + 1)).toEqual({ id: index + 1, ...each });
        expect(again.read(index + 1)).toEqual({ id: index + 1, ...each });
      }
      expect(letters.read(4)).toBeNull();
      expect(again.totals).toEqual(letters.totals);
    },
  },
  {
    name: 'bytes are those of UTF-8, and the same when they are counted again',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      letters.add(letter({ payload: '"é€\u{1f600}"' }));
      letters.add(letter({ payload: '12' }));
      const bytes = 2 + 2 + 3 + 4 + 2 + 2 * DEAD_LETTER_OVERHEAD_BYTES;
      expect(letters.totals).toEqual({ count: 2, bytes, ...WIDE, isFull: false });
      expect(new DeadLetters({ sqlite, ...WIDE }).totals).toEqual(letters.totals);
      letters.drop([1]);
      expect(letters.bytes).toBe(2 + DEAD_LETTER_OVERHEAD_BYTES);
      letters.drop('all');
      expect(letters.totals).toEqual({ count: 0, bytes: 0, ...WIDE, isFull: false });
      expect(new DeadLetters({ sqlite, ...WIDE }).totals).toEqual(letters.totals);
    },
  },
  {
    name: 'at the bound of rows nothing more is written, until there is room again',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, maxRows: 2, maxBytes: WIDE.maxBytes });
      addMany(letters, 2);
      expect(letters.isFull).toBe(true);
      const before = sqlite.rowsWritten;
      expect(letters.add(letter())).toBe(false);
      expect(sqlite.rowsWritten).toBe(before);
      expect(letters.count).toBe(2);
      expect(new DeadLetters({ sqlite, maxRows: 2, maxBytes: WIDE.maxBytes }).isFull).toBe(true);
      letters.take([1]);
      expect(letters.isFull).toBe(false);
      expect(letters.add(letter())).toBe(true);
      expect(letters.isFull).toBe(true);
    },
  },
  {
    name: 'at the bound of bytes nothing more is written; the letter that reaches it is kept, however large',
    run(sqlite) {
      const maxBytes = 3 * DEAD_LETTER_OVERHEAD_BYTES;
      const letters = new DeadLetters({ sqlite, maxRows: WIDE.maxRows, maxBytes });
      addMany(letters, 2);
      expect(letters.isFull).toBe(false);
      expect(letters.add(letter({ payload: `"${'x'.repeat(2 * maxBytes)}"` }))).toBe(true);
      expect(letters.isFull).toBe(true);
      expect(letters.add(letter())).toBe(false);
      expect(letters.count).toBe(3);
      // One that was taken for a retry and is refused again is nowhere else.
      const [first] = letters.take([1]).letters;
      expect([letters.isFull, letters.add(letter())]).toEqual([true, false]);
      letters.putBack(first as DeadLetter);
      expect(letters.list().letters.map(({ id }) => id)).toEqual([2, 3, 4]);
      letters.drop([3]);
      expect(letters.isFull).toBe(false);
    },
  },
  {
    name: 'a listing goes through all letters page by page, oldest first',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      expect(letters.list()).toEqual({ letters: [], next: null, totals: letters.totals });
      addMany(letters, MAX_LISTED_DEAD_LETTERS + 3);
      letters.drop([2]);
      const first = letters.list({ limit: 2 });
      expect(idsOf(first.letters)).toEqual([1, 3]);
      expect(first.next).toBe(3);
      expect(idsOf(letters.list({ afterId: 3, limit: 2 }).letters)).toEqual([4, 5]);
      const long = letters.list({ limit: 10 * MAX_LISTED_DEAD_LETTERS });
      expect(long.letters).toHaveLength(MAX_LISTED_DEAD_LETTERS);
      const last = letters.list({ afterId: long.next as number });
      expect(idsOf(last.letters)).toEqual([MAX_LISTED_DEAD_LETTERS + 2, MAX_LISTED_DEAD_LETTERS + 3]);
      expect(last.next).toBeNull();
      // A page that ends with the last letter has no next one.
      expect(letters.list({ afterId: MAX_LISTED_DEAD_LETTERS + 1, limit: 2 }).next).toBeNull();
    },
  },
  {
    name: 'a listing shows the first 200 characters of a payload and its whole length',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      const payload = `"${'\u{1f600}'.repeat(300)}"`;
      letters.add(letter({ payload }));
      letters.add(letter({ payload: '1' }));
      const { payload: _, ...rest } = letter();
      expect(letters.list().letters).toEqual([
        { id: 1, ...rest, excerpt: `"${'\u{1f600}'.repeat(199)}`, payloadBytes: 1_202 },
        { id: 2, ...rest, excerpt: '1', payloadBytes: 1 },
      ]);
      expect(letters.read(1)?.payload).toBe(payload);
    },
  },
  {
    name: 'what is taken is handed out once, oldest first, with what is missing',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      addMany(letters, 5);
      const taken = letters.take([4, 99, 2, 4, 99]);
      expect(taken).toEqual({
        letters: [2, 4].map((id) => ({ id, ...letter({ sequence: id, payload: String(id) }) })),
        missing: [99],
        remaining: 0,
      });
      expect(letters.take([4, 2])).toEqual({ letters: [], missing: [4, 2], remaining: 0 });
      expect(idsOf(letters.list().letters)).toEqual([1, 3, 5]);
      expect(idsOf(letters.take('all').letters)).toEqual([1, 3, 5]);
      expect(letters.take('all')).toEqual({ letters: [], missing: [], remaining: 0 });
      expect(letters.totals).toMatchObject({ count: 0, bytes: 0 });
    },
  },
  {
    name: 'taking keeps to its bounds, tells what remains, and lets none overtake an older one',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      for (const payload of ['1234', '123456', '12', '1']) letters.add(letter({ payload }));
      expect(letters.take('all', { maxBytes: 3 })).toEqual({ letters: [], missing: [], remaining: 4 });
      expect(letters.take('all', { maxRows: 0 })).toMatchObject({ letters: [], remaining: 4 });
      const byBytes = letters.take([3, 2, 1, 7], { maxBytes: 9 });
      expect(idsOf(byBytes.letters)).toEqual([1]);
      expect(byBytes).toMatchObject({ missing: [7], remaining: 2 });
      const byRows = letters.take('all', { maxRows: 2 });
      expect(idsOf(byRows.letters)).toEqual([2, 3]);
      expect(byRows.remaining).toBe(1);
      expect(letters.count).toBe(1);
    },
  },
  {
    name: 'no call takes more than 1,000 letters or 8 MiB, whatever it is asked',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      addMany(letters, MAX_TAKEN_DEAD_LETTERS + 2);
      const many = letters.take('all', { maxRows: 1_000_000 });
      expect(many.letters).toHaveLength(MAX_TAKEN_DEAD_LETTERS);
      expect(many.remaining).toBe(2);
      letters.drop('all');
      const payload = `"${'x'.repeat(1024 * 1024 - 2)}"`;
      for (let index = 0; index < 9; index += 1) letters.add(letter({ payload }));
      const large = letters.take('all', { maxBytes: 1024 * 1024 * 1024 });
      expect(large.letters).toHaveLength(8);
      expect(large.remaining).toBe(1);
      const ids = Array.from({ length: MAX_TAKEN_DEAD_LETTERS + 1 }, (_, index) => index + 1);
      expect(() => letters.take(ids)).toThrow(/at most 1000/);
      expect(() => letters.drop(ids)).toThrow(/at most 1000/);
      expect(letters.take(ids.slice(1)).missing).toContain(MAX_TAKEN_DEAD_LETTERS);
    },
  },
  {
    name: 'what is dropped is gone, and others stay',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      addMany(letters, 4);
      expect(letters.drop([2, 2, 9])).toEqual({ dropped: 1, missing: [9] });
      expect(letters.drop([])).toEqual({ dropped: 0, missing: [] });
      expect(idsOf(letters.list().letters)).toEqual([1, 3, 4]);
      expect(letters.drop('all')).toEqual({ dropped: 3, missing: [] });
      expect(letters.list().letters).toEqual([]);
      expect(letters.drop('all')).toEqual({ dropped: 0, missing: [] });
    },
  },
  {
    name: 'an id is never given twice, not even when the last letter is gone',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      addMany(letters, 3);
      letters.drop([3]);
      letters.add(letter());
      letters.drop('all');
      const again = new DeadLetters({ sqlite, ...WIDE });
      again.add(letter());
      expect(idsOf(again.list().letters)).toEqual([5]);
    },
  },
  {
    name: 'after an undone transaction the count is right again once it was counted again',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      addMany(letters, 3);
      const before = letters.totals;
      for (const step of [
        () => void letters.add(letter()),
        () => void letters.take([1, 2]),
        () => void letters.drop('all'),
      ]) {
        undone(sqlite, step);
        expect(letters.totals).not.toEqual(before);
        letters.recount();
        expect(letters.totals).toEqual(before);
        expect(idsOf(letters.list().letters)).toEqual([1, 2, 3]);
      }
    },
  },
  {
    name: 'letters of one reason, column or time are listed, taken and dropped, and no others',
    run(sqlite) {
      const letters = new DeadLetters({ sqlite, ...WIDE });
      const given = [
        letter({ sqlState: '23505', column: 'device', failedAtMs: 10 }),
        letter({ sqlState: null, by: 'mapping', reason: 'The Column n cannot take it', failedAtMs: 20 }),
        letter({ failedAtMs: 30 }),
        letter({ failedAtMs: 40, payload: '12' }),
      ];
      for (const each of given) letters.add(each);
      for (const [where, ids] of [
        [{}, [1, 2, 3, 4]],
        [{ reason: '23505' }, [1]],
        [{ reason: 'postgres' }, [1, 3, 4]],
        [{ reason: 'the column N' }, [2]],
        [{ reason: "' or true --" }, []],
        [{ column: 'celsius' }, [2, 3, 4]],
        [{ sinceMs: 20, untilMs: 40 }, [2, 3]],
        [{ reason: '22P02', sinceMs: 31 }, [4]],
      ] as const) {
        expect(idsOf(letters.list({ where }).letters)).toEqual(ids);
        expect(letters.countOf(where)).toBe(ids.length);
      }
      expect(letters.list({ where: { reason: 'postgres' }, limit: 2 }).next).toBe(3);
      expect(idsOf(letters.list({ where: { reason: 'postgres' }, afterId: 3 }).letters)).toEqual([4]);
      const first = letters.take({ reason: 'postgres' }, { maxRows: 2 });
      expect([idsOf(first.letters), first.missing, first.remaining]).toEqual([[1, 3], [], 1]);
      expect(letters.drop({ reason: '22P02' })).toEqual({ dropped: 1, missing: [] });
      expect(letters.drop({ reason: '22P02' })).toEqual({ dropped: 0, missing: [] });
      expect(idsOf(letters.list().letters)).toEqual([2]);
      const { totals } = letters;
      letters.recount();
      expect(letters.totals).toEqual(totals);
    },
  },
  {
    name: 'the table of an older version gets the columns that it lacks, and keeps its letters and ids',
    run(sqlite) {
      sqlite.run(`create table dead_letters (
        id integer primary key autoincrement, producer text not null, epoch integer not null, sequence integer not null,
        received_at_ms integer not null, failed_at_ms integer not null, sql_state text, reason text not null,
        payload_bytes integer not null, payload text not null
      )`);
      for (const state of [null, '22P02'])
        sqlite.run(
          `insert into dead_letters (producer, epoch, sequence, received_at_ms, failed_at_ms, sql_state, reason,
            payload_bytes, payload) values ('old', 1, 2, 3, 4, ?, 'wrong', 1, '7')`,
          state,
        );
      const letters = new DeadLetters({ sqlite, ...WIDE });
      const empty = { detail: null, hint: null, table: null, column: null, constraint: null };
      const old = { producer: 'old', epoch: 1, sequence: 2, receivedAtMs: 3, failedAtMs: 4, payload: '7' };
      expect(letters.read(1)).toEqual({ id: 1, ...old, ...empty, by: null, sqlState: null, reason: 'wrong' });
      expect(letters.read(2)).toEqual({
        id: 2,
        ...old,
        ...empty,
        by: 'postgres',
        sqlState: '22P02',
        reason: 'wrong',
      });
      expect(letters.add(letter())).toBe(true);
      expect(letters.read(3)).toEqual({ id: 3, ...letter() });
      // A second start finds nothing to add.
      const before = sqlite.rowsWritten;
      expect(idsOf(new DeadLetters({ sqlite, ...WIDE }).take('all').letters)).toEqual([1, 2, 3]);
      expect(sqlite.rowsWritten).toBeLessThanOrEqual(before + 3);
    },
  },
];
