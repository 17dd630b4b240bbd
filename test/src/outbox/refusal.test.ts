import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import { detailsOf, type Refusal, refusalOf } from '../../../src/outbox/refusal.ts';

const NOTHING: Omit<Refusal, 'by' | 'reason'> = {
  sqlState: null,
  detail: null,
  hint: null,
  table: null,
  column: null,
  constraint: null,
};

/** An error as a driver throws it. */
function serverError(fields: Record<string, unknown>): Error {
  return Object.assign(new Error('invalid input syntax for type integer: "x"'), { code: '22P02', ...fields });
}

describe('a refusal of Postgres', () => {
  test('has what the server says in its fields', () => {
    const error = serverError({
      message: 'duplicate key value violates unique constraint "readings_pkey"',
      code: '23505',
      detail: 'Key (device)=(7) already exists.',
      hint: 'Take another.',
      table: 'readings',
      column: 'device',
      constraint: 'readings_pkey',
    });
    expect(refusalOf(error)).toEqual({
      by: 'postgres',
      sqlState: '23505',
      reason: error.message,
      detail: 'Key (device)=(7) already exists.',
      hint: 'Take another.',
      table: 'readings',
      column: 'device',
      constraint: 'readings_pkey',
    });
  });

  test.each([
    ['English', 'COPY readings, line 3, column celsius: "x"', 'readings', 'celsius'],
    ['German', 'COPY readings, Zeile 3, Spalte celsius: »x«', 'readings', 'celsius'],
    ['below a trigger', 'PL/pgSQL function f() line 3 at RAISE\nCOPY readings, line 3', 'readings', null],
    ['none of COPY', "unnamed portal parameter $1 = '...'", null, null],
  ])('has the place that COPY says: %s', (_, where, table, column) => {
    expect(refusalOf(serverError({ where }))).toMatchObject({ table, column });
  });

  test('is found below the error of Drizzle, without its statement and parameters', () => {
    const wrapped = Object.assign(new Error('Failed query: insert into t values ($1)\nparams: topsecret'), {
      query: 'insert into t values ($1)',
      params: ['topsecret'],
      cause: serverError({ where: 'COPY messages, line 3, column n: "of-somebody-else"' }),
    });
    expect(refusalOf(wrapped)).toEqual({
      ...NOTHING,
      by: 'postgres',
      sqlState: '22P02',
      reason: 'invalid input syntax for type integer: "x"',
      table: 'messages',
      column: 'n',
    });
  });

  test('shows 60 characters of a value, wherever the server repeats it', () => {
    const value = 'v'.repeat(400);
    const cut = `${'v'.repeat(60)}…`;
    const error = serverError({
      message: `invalid input syntax for type integer: "${value}"`,
      detail: `Failing row contains (${value}).`,
      hint: `Not "${value}"`,
    });
    expect(refusalOf(error)).toMatchObject({
      reason: `invalid input syntax for type integer: "${cut}"`,
      detail: `Failing row contains (${cut}).`,
      hint: `Not "${cut}"`,
    });
    const key = refusalOf(serverError({ detail: `Key (device)=(${value}) already exists.` })).detail ?? '';
    const cutBefore = refusalOf(
      serverError({ detail: `Failing row contains (${'v'.repeat(5_000)}).` }),
    ).detail;
    expect(cutBefore).toBe(`Failing row contains (${cut})`);
    expect(key).toMatch(/^Key \(device\)=\(v{40,60}…\) already exists\.$/);
  });

  test('has no password, no NUL and no half of a character, and each text a bound', () => {
    const error = serverError({
      message: `\0 ${'\u{1f600}'.repeat(1_000)}`,
      detail: `see postgres://role:secret@db.example/app and ${'d '.repeat(1_000)}`,
      hint: 'h '.repeat(1_000),
      constraint: 'c'.repeat(1_000),
    });
    const refusal = refusalOf(error);
    expect(refusal.detail).toContain('see postgres://…@db.example/app');
    for (const text of Object.values(refusal)) {
      expect(text ?? '').not.toMatch(/secret|\0/);
      expect((text ?? '').isWellFormed()).toBe(true);
      expect((text ?? '').length).toBeLessThanOrEqual(500);
    }
    expect([refusal.detail?.length, refusal.hint?.length, refusal.constraint?.length]).toEqual([
      300, 300, 128,
    ]);
  });
});

describe('another refusal says who it was', () => {
  test.each([
    ['sink_failed', {}, 'sink'],
    ['invalid_message', {}, 'mapping'],
    ['invalid_stream_name', {}, 'mapping'],
    ['invalid_message', { by: 'schema' }, 'schema'],
    ['invalid_message', { by: 'nobody' }, 'mapping'],
  ] as const)('%s %j: %s', (code, details, by) => {
    const error = new SluiceError(code, 'It does not fit', { details: { ...details, column: 'celsius' } });
    expect(refusalOf(error)).toEqual({ ...NOTHING, by, reason: 'It does not fit', column: 'celsius' });
  });

  test("an SQLSTATE that the sink's own code has thrown is not Postgres's", () => {
    const error = new SluiceError('sink_failed', 'It failed', { cause: serverError({ table: 'other' }) });
    expect(refusalOf(error)).toMatchObject({ by: 'sink', sqlState: null, table: null });
  });
});

test('an error about no message names nobody, and says nothing beside its sentence', () => {
  const refusal = refusalOf(new Error('socket\n hang up'));
  expect(refusal).toEqual({ ...NOTHING, by: null, reason: 'socket hang up' });
  expect(detailsOf(refusal)).toBeNull();
  const unreachable = new SluiceError('database_unreachable', 'Cannot reach it', {
    cause: serverError({ code: '28P01' }),
  });
  expect(detailsOf(refusalOf(unreachable))).toEqual({ ...NOTHING, by: 'postgres', sqlState: '28P01' });
});
