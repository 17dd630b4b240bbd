import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import { markAboutCheckpoint } from '../../../src/database/fault-class.ts';
import { type FaultKind, faultKindOf, isSameFault, shapeOf } from '../../../src/database/fault-kind.ts';
import { asServerError, type ServerError } from '../../../src/database/server-error.ts';

const error = (sqlState: string, fields: Partial<ServerError> = {}): Error =>
  asServerError({ sqlState, message: 'no', ...fields });
const raised = (sqlState: string): Error => error(sqlState, { routine: 'exec_stmt_raise' });

describe('the kind of an error', () => {
  test.each<[FaultKind, string, unknown]>([
    ['outage', 'a lost connection', new Error('read ECONNRESET')],
    ['outage', 'a time limit', new SluiceError('time_limit', 'Gave up')],
    ['outage', 'a deadlock', error('40P01', { routine: 'DeadLockReport' })],
    ['outage', 'a lock that is not to be had', error('55P03', { routine: 'ProcessInterrupts' })],
    ['outage', 'a full disk', error('53100')],
    ['outage', 'a server that shuts down', error('57P01')],
    ['passing', 'a statement that takes too long', error('57014')],
    ['passing', 'the same code raised by a function', raised('40001')],
    ['passing', 'the same code raised by a function', raised('55P03')],
    ['passing', 'an internal error', error('XX000', { routine: 'elog' })],
    ['database', 'a wrong password', error('28P01')],
    ['database', 'data that is corrupted on the disk', error('XX001')],
    ['database', 'a sequence at its end', error('2200H')],
    [
      'database',
      'a setting of the connection',
      new SluiceError('database_unreachable', 'No', { cause: error('22023') }),
    ],
    ['database', 'a checkpoint that is behind', new SluiceError('checkpoint_behind', 'No')],
    [
      'message',
      "what a sink's own code throws",
      new SluiceError('sink_failed', 'No', { cause: error('42P01') }),
    ],
    ['duplicate', 'a key twice', error('23505')],
    ['duplicate', 'an exclusion', error('23P01')],
    ['partition', 'no partition', error('23514', { routine: 'ExecFindPartition' })],
    ['value', 'a check', error('23514', { routine: 'ExecConstraints', constraint: 'c' })],
    ['value', 'a text that is no number', error('22P02')],
    ['value', 'a null in a column that is written', error('23502', { column: 'n' })],
    ['unclear', 'a null in another column', error('23502', { column: 'extra' })],
    ['unclear', 'a check raised by a function', raised('23514')],
    ['unclear', 'an exception', raised('P0001')],
    ['unclear', 'a failed assertion', error('P0004')],
    ['unclear', 'a code of its own', raised('AB123')],
    ['unclear', 'a table or the name of one', error('42P01')],
    ['unclear', 'a right', error('42501')],
    ['unclear', 'a case', error('20000')],
    [
      'unclear',
      'COPY into what takes none',
      new SluiceError('database_refused', 'No', { cause: error('0A000') }),
    ],
  ])('is %s: %s', (kind, _, given) => {
    expect(faultKindOf(given, new Set(['n']))).toBe(kind);
  });

  test('of a statement about a checkpoint is never about a row', () => {
    for (const [state, kind] of [
      ['23514', 'database'],
      ['42703', 'database'],
      ['55P03', 'outage'],
    ] as const) {
      const given = error(state);
      expect(faultKindOf(given)).not.toBe(kind === 'database' ? kind : 'value');
      markAboutCheckpoint(given);
      expect(faultKindOf(given)).toBe(kind);
    }
    expect(faultKindOf(error('23514', { table: 'sluice_checkpoints' }))).toBe('database');
  });
});

describe('two errors are the same fault', () => {
  const one = {
    sqlState: '23502',
    message: 'null value',
    table: 't',
    column: 'n',
    routine: 'ExecConstraints',
  };
  test('where all that names something is the same', () => {
    expect(isSameFault(one, { ...one, message: 'in other words', detail: 'Failing row contains (1)' })).toBe(
      true,
    );
    for (const field of ['sqlState', 'table', 'column', 'routine', 'constraint', 'dataType'] as const)
      expect(isSameFault(one, { ...one, [field]: 'other' }), field).toBe(false);
  });

  test('of what a function raises, only with the same sentence, whatever values are in it', () => {
    const closed = { sqlState: 'P0001', message: 'closed, row 17 of "a"', routine: 'exec_stmt_raise' };
    expect(isSameFault(closed, { ...closed, message: 'closed, row 4.5e3 of "b b"' })).toBe(true);
    expect(isSameFault(closed, { ...closed, message: 'negative, row 17 of "a"' })).toBe(false);
  });

  test('a shape has no values', () => {
    expect(shapeOf(`row -17 of 'x' and «y» at 2026-12-01 10:00:00`)).toBe('row 0 of " and " at 0 0');
  });
});
