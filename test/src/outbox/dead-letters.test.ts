import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DEAD_LETTER_OVERHEAD_BYTES,
  type DeadLetter,
  type NewDeadLetter,
} from '../../../src/outbox/dead-letter.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { DEAD_LETTER_CASES, letter, WIDE } from '../../support/dead-letters-contract.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

/** Runs with a database that is closed again. */
function withSqlite<Result>(use: (sqlite: NodeSqlite) => Result): Result {
  const sqlite = new NodeSqlite();
  try {
    return use(sqlite);
  } finally {
    sqlite.close();
  }
}

test.each(DEAD_LETTER_CASES)('$name', ({ run }) => withSqlite(run));

describe('against a list that does the same', () => {
  const payload = fc.oneof(
    fc.json({ maxDepth: 1 }),
    fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text)),
  );
  const newLetter = fc.record<NewDeadLetter>({
    producer: fc.string({ minLength: 1, maxLength: 20 }),
    epoch: fc.maxSafeNat(),
    sequence: fc.maxSafeNat(),
    receivedAtMs: fc.maxSafeNat(),
    failedAtMs: fc.maxSafeNat(),
    sqlState: fc.option(fc.constantFrom('22P02', '23505')),
    reason: fc.string({ maxLength: 500 }),
    by: fc.constantFrom('mapping', 'postgres'),
    detail: fc.option(fc.string()),
    hint: fc.option(fc.string()),
    table: fc.option(fc.string()),
    column: fc.option(fc.string()),
    constraint: fc.option(fc.string()),
    payload,
  });
  const ids = fc.oneof(
    fc.constant('all' as const),
    fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 8 }),
  );
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ act: fc.constant('add' as const), letter: newLetter }) },
    fc.record({
      act: fc.constant('take' as const),
      ids,
      maxRows: fc.integer({ min: 0, max: 6 }),
      maxBytes: fc.integer({ min: 0, max: 60 }),
    }),
    fc.record({ act: fc.constant('drop' as const), ids }),
    fc.record({
      act: fc.constant('list' as const),
      afterId: fc.nat(30),
      limit: fc.integer({ min: 1, max: 5 }),
    }),
    fc.record({ act: fc.constant('restart' as const) }),
  );
  const bytesOf = ({ payload }: { payload: string }): number => Buffer.byteLength(payload);

  test('whatever is done in whatever order, letters, ids, counts and answers are the same', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 12 * DEAD_LETTER_OVERHEAD_BYTES }),
        (steps, maxRows, maxBytes) =>
          withSqlite((sqlite) => {
            let letters = new DeadLetters({ sqlite, maxRows, maxBytes });
            let model: DeadLetter[] = [];
            let lastId = 0;
            const bytes = (): number =>
              model.reduce((sum, each) => sum + bytesOf(each) + DEAD_LETTER_OVERHEAD_BYTES, 0);
            for (const given of steps) {
              if (given.act === 'restart') letters = new DeadLetters({ sqlite, maxRows, maxBytes });
              else if (given.act === 'add') {
                const hasRoom = model.length < maxRows && bytes() < maxBytes;
                expect(letters.add(given.letter)).toBe(hasRoom);
                if (hasRoom) {
                  lastId += 1;
                  model.push({ id: lastId, ...given.letter });
                }
              } else if (given.act === 'list') {
                const behind = model.filter(({ id }) => id > given.afterId);
                const page = letters.list(given);
                expect(page.letters.map(({ id }) => id)).toEqual(
                  behind.slice(0, given.limit).map(({ id }) => id),
                );
                expect(page.next).toBe(behind.length > given.limit ? page.letters.at(-1)?.id : null);
              } else {
                const asked = given.ids;
                const chosen = model.filter(({ id }) => asked === 'all' || asked.includes(id));
                const missing =
                  asked === 'all'
                    ? []
                    : [...new Set(asked)].filter((id) => !model.some((each) => each.id === id));
                if (given.act === 'drop') {
                  expect(letters.drop(asked)).toEqual({ dropped: chosen.length, missing });
                  model = model.filter((each) => !chosen.includes(each));
                } else {
                  const out: DeadLetter[] = [];
                  let taken = 0;
                  for (const each of chosen) {
                    if (out.length === given.maxRows || taken + bytesOf(each) > given.maxBytes) break;
                    out.push(each);
                    taken += bytesOf(each);
                  }
                  expect(letters.take(asked, given)).toEqual({
                    letters: out,
                    missing,
                    remaining: chosen.length - out.length,
                  });
                  model = model.filter((each) => !out.includes(each));
                }
              }
              expect(letters.totals).toEqual({
                count: model.length,
                bytes: bytes(),
                maxRows,
                maxBytes,
                isFull: model.length >= maxRows || bytes() >= maxBytes,
              });
            }
            expect(model.map(({ id }) => letters.read(id))).toEqual(model);
          }),
      ),
      { numRuns: 200 },
    );
  });
});

test('a statement has at most as many bindings as a Durable Object takes, for any number of ids', () =>
  withSqlite((sqlite) => {
    let most = 0;
    const counting = Object.create(sqlite, {
      run: {
        value: (statement: string, ...bindings: (string | number | null)[]) => {
          most = Math.max(most, bindings.length);
          return sqlite.run(statement, ...bindings);
        },
      },
    }) as NodeSqlite;
    const letters = new DeadLetters({ sqlite: counting, ...WIDE });
    const ids = Array.from({ length: 1_000 }, (_, index) => index + 1);
    for (const _ of ids) letters.add(letter());
    expect(letters.take(ids.slice(0, 500)).letters).toHaveLength(500);
    expect(letters.drop(ids)).toMatchObject({ dropped: 500 });
    expect(most).toBeGreaterThan(5);
    expect(most).toBeLessThanOrEqual(100);
  }));

test('what there is room for is what is then kept, by rows and by bytes', () => {
  for (const bounds of [{ maxRows: 3 }, { maxBytes: 2 * DEAD_LETTER_OVERHEAD_BYTES + 20 }, {}]) {
    withSqlite((sqlite) => {
      const letters = new DeadLetters({ sqlite, ...WIDE, ...bounds });
      letters.add(letter({ payload: '"é"' }));
      const payloads = ['1', '"ééééééééé"', '3', '4'];
      const room = letters.roomFor(payloads);
      expect(payloads.filter((payload) => letters.add(letter({ payload })))).toEqual(payloads.slice(0, room));
      expect(room).toBe('maxRows' in bounds || 'maxBytes' in bounds ? 2 : 4);
    });
  }
});
