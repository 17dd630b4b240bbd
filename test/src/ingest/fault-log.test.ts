import { expect, test } from 'vitest';
import { FaultLog } from '../../../src/ingest/fault-log.ts';
import { emptyFlusherStats, type FlusherStats } from '../../../src/ingest/flusher-stats.ts';
import { detailsOf, refusalOf } from '../../../src/outbox/refusal.ts';

const AT_MS = 1_800_000_000_000;

/** The figures after Postgres has refused a batch. */
function refused(atMs: number, { value = 'x', column = 'celsius' } = {}): FlusherStats {
  const error = Object.assign(new Error(`invalid input syntax for type integer: "${value}"`), {
    code: '22P02',
    detail: 'A detail.',
    column,
  });
  return {
    ...emptyFlusherStats(),
    dead: 1,
    lastError: error.message,
    lastErrorCode: 'database_refused',
    lastErrorAtMs: atMs,
    lastErrorDetails: detailsOf(refusalOf(error)),
  };
}

test('nothing is told while nothing fails', () => {
  expect(new FaultLog().lineOf(emptyFlusherStats())).toBeUndefined();
});

test('a line has the sentence and the fields of the refusal', () => {
  expect(new FaultLog().lineOf(refused(AT_MS))).toEqual({
    message: 'invalid input syntax for type integer: "x"',
    code: 'database_refused',
    state: 'running',
    failuresInARow: 0,
    dead: 1,
    by: 'postgres',
    sqlState: '22P02',
    detail: 'A detail.',
    hint: null,
    table: null,
    column: 'celsius',
    constraint: null,
  });
});

test('the same trouble is told once a minute, whatever the values; another one at once', () => {
  const log = new FaultLog();
  const isTold = (stats: FlusherStats): boolean => log.lineOf(stats) !== undefined;
  expect(isTold(refused(AT_MS))).toBe(true);
  expect(isTold(refused(AT_MS)), 'the same error, seen again after a batch that went well').toBe(false);
  expect(isTold(refused(AT_MS + 1, { value: 'y' }))).toBe(false);
  expect(isTold(refused(AT_MS + 2, { column: 'place' }))).toBe(true);
  expect(isTold({ ...refused(AT_MS + 3, { column: 'place' }), state: 'paused' })).toBe(true);
  expect(isTold({ ...refused(AT_MS + 4, { column: 'place' }), state: 'paused' })).toBe(false);
  expect(isTold({ ...refused(AT_MS + 60_003, { column: 'place' }), state: 'paused' })).toBe(true);
});
