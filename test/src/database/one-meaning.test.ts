/** An address means the same to all who take it, and the environment's variables change nothing. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { openPool } from '../../../lab/local/rates-ports.ts';
import { migrateDatabase } from '../../../local/migrate.ts';
import { probePostgres } from '../../../local/postgres/probe.ts';
import { formatAddress, parseAddress } from '../../../src/database/address.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { awkwardDatabase, WHERE_AM_I } from '../../support/awkward-database.ts';
import { rowsOf, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';

const awkward = awkwardDatabase();
const here = {
  database: awkward.name,
  role: awkward.role,
  path: 'sales',
  application: 'awkward',
  encoding: 'UTF8',
};

describe('an address full of marks and settings leads to the same place by', () => {
  test.each(DRIVERS)('the driver %s', async (driver) => {
    const connection = await openConnection({ ...targets[driver].target, url: awkward.url });
    expect(await rowsOf(connection, WHERE_AM_I)).toEqual([here]);
    connection.close();
  });

  test('the pool of the suite rates', async () => {
    const pool = openPool({ url: awkward.url, driver: 'tcp' }, 2);
    const answer = (await pool.query(WHERE_AM_I, [])) as pg.QueryResult;
    expect(answer.rows).toEqual([here]);
    await pool.close();
  });

  test('migrate', async () => {
    await migrateDatabase(awkward.url);
    const connection = await openConnection({ url: awkward.url, driver: 'tcp' });
    const tables = await rowsOf(
      connection,
      "select schemaname as schema from pg_tables where tablename = 'messages'",
    );
    expect(tables).toEqual([{ schema: 'sales' }]);
    connection.close();
    const short = formatAddress({ ...parseAddress(awkward.url), database: awkward.shortName });
    const beside = await openConnection({ url: short, driver: 'tcp' });
    expect(await rowsOf(beside, "select 1 from pg_tables where tablename = 'messages'")).toEqual([]);
    beside.close();
  });

  test('the probe of the development Postgres', async () => {
    expect(await probePostgres(awkward.url)).toEqual({ state: 'answers' });
    const wrong = formatAddress({ ...parseAddress(awkward.url), password: 'wrong' });
    expect(await probePostgres(wrong)).toMatchObject({ state: 'fails' });
  });
});

const targets = { tcp: testDatabase('tcp'), neon: testDatabase('neon') };

/** What would lead a session elsewhere, or keep it from beginning. */
const VARIABLES: Record<string, string> = {
  PGHOST: '192.0.2.1',
  PGHOSTADDR: '192.0.2.1',
  PGPORT: '1',
  PGUSER: 'nobody',
  PGPASSWORD: 'wrong',
  PGDATABASE: 'elsewhere',
  PGOPTIONS: '-c search_path=elsewhere -c no_such_setting=1',
  PGAPPNAME: 'elsewhere',
  PGSSLMODE: 'require',
  PGSSLNEGOTIATION: 'no such word',
  PGSSLROOTCERT: '/nowhere',
  PGREPLICATION: 'database',
  PGCLIENT_ENCODING: 'LATIN1',
  PGCLIENTENCODING: 'LATIN1',
  PGBINARY: 'true',
  PGSERVICE: 'elsewhere',
  PGSERVICEFILE: '/nowhere',
  PGPASSFILE: '/nowhere',
  PGCONNECT_TIMEOUT: '1',
  PGTARGETSESSIONATTRS: 'standby',
  PGREQUIREAUTH: 'none',
  PGCHANNELBINDING: 'require',
};

describe('a variable of the environment', () => {
  let set: Record<string, string | undefined> = {};
  function setVariables(values: Record<string, string>): void {
    for (const [name, value] of Object.entries(values)) {
      set[name] = process.env[name];
      process.env[name] = value;
    }
  }
  afterEach(() => {
    for (const [name, value] of Object.entries(set)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    set = {};
  });

  const url = inject('databaseUrl');
  async function whereNow(driver: 'tcp' | 'neon', address = url): Promise<unknown> {
    const connection = await openConnection({ ...targets[driver].target, url: address });
    const rows = await rowsOf(connection, WHERE_AM_I);
    connection.close();
    return rows;
  }

  describe.each(DRIVERS)('by the driver %s', (driver) => {
    test.each(Object.keys(VARIABLES))('%s changes nothing', async (name) => {
      const before = await whereNow(driver);
      setVariables({ [name]: VARIABLES[name] as string });
      expect(await whereNow(driver)).toEqual(before);
    });

    test('none changes anything, nor all together', async () => {
      const before = await whereNow(driver);
      setVariables(VARIABLES);
      expect(await whereNow(driver)).toEqual(before);
      expect(await whereNow(driver, awkward.url)).toEqual([here]);
    });

    test('or a file of passwords is not asked where the address has no password', async () => {
      const { password, ...rest } = parseAddress(url);
      const folder = await mkdtemp(join(tmpdir(), 'sluice-pass-'));
      const file = join(folder, 'pass');
      await writeFile(file, `*:*:*:*:${password}\n`, { mode: 0o600 });
      setVariables({ PGPASSWORD: password as string, PGPASSFILE: file });
      const opening = openConnection({
        ...targets[driver].target,
        url: formatAddress({ ...rest, password: undefined }),
      });
      await expect(opening).rejects.toMatchObject({
        code: 'database_unreachable',
        message: expect.stringContaining('the server asks for a password, and the address has none'),
      });
      await rm(folder, { recursive: true });
    });
  });

  test('does lead node-postgres elsewhere when that reads the address by itself', async () => {
    setVariables({ PGOPTIONS: '-c search_path=elsewhere' });
    const client = new pg.Client({ connectionString: url, ssl: false });
    await client.connect();
    const { rows } = await client.query(WHERE_AM_I);
    expect(rows).toMatchObject([{ path: 'elsewhere' }]);
    await client.end();
  });
});
