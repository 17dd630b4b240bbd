import { sql } from 'drizzle-orm';
import { beforeAll, describe, expect, test } from 'vitest';
import { SluiceError } from '../../../src/core/errors.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { MAX_SERVER_TEXT, serverErrorOf, sqlState } from '../../../src/database/server-error.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';

async function errorOf(work: PromiseLike<unknown>): Promise<unknown> {
  return Promise.resolve(work).then(
    () => {
      throw new Error('It did not fail');
    },
    (error: unknown) => error,
  );
}

describe.each(DRIVERS)('the fields of an error, by the driver %s', (driver) => {
  const database = testDatabase(driver);
  const table = freshName('fields');
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
    await rowsOf(connection, `create table ${table} (n integer not null constraint above_0 check (n > 0))`);
  });

  test('a constraint: table, constraint, detail and routine', async () => {
    const error = await errorOf(rowsOf(connection, `insert into ${table} values (-1)`));
    expect(serverErrorOf(error)).toEqual({
      sqlState: '23514',
      message: `new row for relation "${table}" violates check constraint "above_0"`,
      detail: 'Failing row contains (-1).',
      schema: 'public',
      table,
      constraint: 'above_0',
      routine: 'ExecConstraints',
    });
  });

  test('a null: the column', async () => {
    const error = await errorOf(rowsOf(connection, `insert into ${table} values (null)`));
    expect(serverErrorOf(error)).toMatchObject({ sqlState: '23502', table, column: 'n' });
  });

  test('COPY: the line and the column are in `where`', async () => {
    const data = [new TextEncoder().encode('1\nx\n')];
    const error = await errorOf(connection.copy(`copy ${table} from stdin`, data));
    expect(serverErrorOf(error)).toMatchObject({
      sqlState: '22P02',
      where: `COPY ${table}, line 2, column n: "x"`,
    });
  });

  test('all that a function may say, cut where it is long', async () => {
    const raise = `do $$ begin raise exception '%', repeat('m', 2000) using errcode = 'ABCDE', detail = repeat('d', 2000),
      hint = 'a hint', column = 'a column', datatype = 'a type', constraint = repeat('c', 2000), table = 'a table',
      schema = 'a schema'; end $$`;
    const fields = serverErrorOf(await errorOf(connection.db.execute(sql.raw(raise))));
    expect(fields).toMatchObject({
      sqlState: 'ABCDE',
      hint: 'a hint',
      column: 'a column',
      dataType: 'a type',
      table: 'a table',
      schema: 'a schema',
    });
    expect(fields?.message).toBe(`${'m'.repeat(MAX_SERVER_TEXT - 1)}…`);
    expect(fields?.detail).toHaveLength(MAX_SERVER_TEXT);
    expect(fields?.constraint).toHaveLength(128);
  });
});

describe('what is no error of the server', () => {
  test.each([
    ['a socket, whose code has five letters', Object.assign(new Error('write'), { code: 'EPIPE' })],
    ['an error of Sluice', new SluiceError('internal', 'It failed')],
    ['nothing', undefined],
    ['a text', '22P02'],
  ])('%s', (_, error) => {
    expect(serverErrorOf(error)).toBeUndefined();
    expect(sqlState(error)).toBeUndefined();
  });

  test('the control: the same below a cause is one', () => {
    const cause = Object.assign(new Error('no'), { code: '22P02', detail: '' });
    const error = new SluiceError('sink_failed', 'It failed', { cause });
    expect(serverErrorOf(error)).toEqual({ sqlState: '22P02', message: 'no' });
    expect(sqlState(error)).toBe('22P02');
  });

  test('a cut text is well formed', () => {
    const message = `${'x'.repeat(MAX_SERVER_TEXT - 2)}😀 and more`;
    const fields = serverErrorOf(Object.assign(new Error(message), { code: '22P02' }));
    expect(fields?.message.isWellFormed()).toBe(true);
  });
});
