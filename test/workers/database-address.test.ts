/** An address means the same in workerd as in Node (test/src/database/one-meaning.test.ts). */

import { env } from 'cloudflare:workers';
import { afterEach, describe, expect, it } from 'vitest';
import { connect, databaseTarget } from '../../workers/database.ts';

const WHERE =
  "select current_user as role, current_setting('search_path') as path, current_setting('application_name') as application";

async function whereNow(url: string): Promise<unknown> {
  const connection = await connect(databaseTarget({ ...env, DATABASE_URL: url }));
  const { rows } = (await connection.db.execute(WHERE)) as unknown as { rows: unknown[] };
  connection.close();
  return rows;
}

describe('the address', () => {
  it('is refused as a fault of the configuration, and repeats no password', () => {
    for (const url of [
      'postgres://me:TOPSECRET@h/db?sslmode=no-verify',
      'postgres://me:TOPSECRET@/db',
      'postgres://me:TOP%SECRET@h/db',
    ]) {
      let problem: unknown;
      try {
        databaseTarget({ ...env, DATABASE_URL: url });
      } catch (error) {
        problem = error;
      }
      expect(problem).toMatchObject({ code: 'invalid_configuration' });
      expect(String(problem)).not.toContain('SECRET');
    }
  });

  it('sets options and the name of the application', async () => {
    const url = `${env.DATABASE_URL}?options=-c%20search_path%3Dsales&application_name=shop`;
    expect(await whereNow(url)).toEqual([{ role: 'sluice', path: 'sales', application: 'shop' }]);
  });
});

describe('variables that the Worker has', () => {
  const names = [
    'PGOPTIONS',
    'PGAPPNAME',
    'PGUSER',
    'PGPASSWORD',
    'PGSSLMODE',
    'PGSSLNEGOTIATION',
    'PGREPLICATION',
  ];
  afterEach(() => {
    for (const name of names) delete process.env[name];
  });

  it.each(names)('%s changes nothing', async (name) => {
    const before = await whereNow(env.DATABASE_URL as string);
    process.env[name] = name === 'PGOPTIONS' ? '-c search_path=elsewhere' : 'require';
    expect(await whereNow(env.DATABASE_URL as string)).toEqual(before);
  });
});
