/** Settings of a role or a database change how Postgres reads a text. All writers have to be changed alike. */

import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BENCH_CHECKPOINTS, createBenchCheckpoints } from '../../../lab/suites/ingest/bench-sink.ts';
import { NO_FAILPOINTS } from '../../../src/core/failpoints.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import { fromMessage } from '../../../src/sinks/column-sources.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { writeOnce } from '../../../src/writers/write-once.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { batchOf, write } from './contract.ts';

const SETTINGS = {
  DateStyle: "'SQL, DMY'",
  IntervalStyle: "'sql_standard'",
  TimeZone: "'Asia/Kolkata'",
  xmloption: "'document'",
  array_nulls: 'off',
  bytea_output: "'escape'",
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
  backslash_quote: 'off',
  quote_all_identifiers: 'on',
  transform_null_equals: 'on',
  client_encoding: "'LATIN1'",
  default_transaction_isolation: "'serializable'",
  // With a type of the name `text` that is found before Postgres's own, and takes one character.
  search_path: 'shadow, pg_catalog, public',
};

/** What is written, and what Postgres has under these settings, as a session with the usual ones shows it. */
const VALUES: Record<string, { type: string; text: string | null; row: string | null }> = {
  day: { type: 'date', text: '02/03/2024', row: '2024-03-02' },
  lasting: { type: 'interval', text: '-1 2:03:04', row: '-1 days -02:03:04' },
  at: { type: 'timestamptz', text: '2024-02-29 12:00:00', row: '2024-02-29 06:30:00+00' },
  doc: { type: 'xml', text: '<a>\\</a>', row: '<a>\\</a>' },
  bytes: { type: 'bytea', text: '\\x00ff', row: '\\x00ff' },
  exact: { type: 'double precision', text: '0.1234567890123456', row: '0.1234567890123456' },
  word: { type: 'pg_catalog.text', text: "ö €\\'日", row: "ö €\\'日" },
  tags: {
    type: 'pg_catalog.text[]',
    text: '{a,NULL,null,"NULL","\\\\"}',
    row: '{a,NULL,NULL,"NULL","\\\\"}',
  },
  numbers: { type: 'integer[]', text: '{{1,NULL},{NULL,2}}', row: '{{1,NULL},{NULL,2}}' },
  hours: { type: 'interval hour[]', text: '{5,NULL}', row: '{05:00:00,NULL}' },
  missing: { type: 'integer', text: null, row: null },
  nothing: { type: 'pg_catalog.text[]', text: null, row: null },
};

const table = pgTable('settings', {
  place: integer(),
  ...Object.fromEntries(Object.keys(VALUES).map((name) => [name, text(name)])),
});

function sinkOf(doc: string | null) {
  const texts = Object.entries(VALUES).map(([name, value]) => [
    name,
    fromMessage(() => (name === 'doc' && doc !== null ? doc : value.text)),
  ]);
  return defineSink('settings', { table, columns: { place: 'default', ...Object.fromEntries(texts) } });
}

describe.each(['role', 'database'])('settings of the %s', (of) => {
  const own = ownDatabase();
  const role = freshName('role');
  const url = Object.assign(new URL(own.url), { username: role, password: 'word' }).href;
  const databases = DRIVERS.map((driver) => ({ driver, database: testDatabase(driver, url) }));

  beforeAll(async () => {
    const { connection } = own;
    await rowsOf(connection, `set timezone = 'UTC'`);
    await rowsOf(connection, 'create schema shadow');
    await rowsOf(connection, 'create domain shadow.text as pg_catalog.varchar(1)');
    const columns = Object.entries(VALUES).map(([name, { type }]) => `${name} ${type}`);
    await rowsOf(connection, `create table settings (place serial, ${columns.join(', ')})`);
    await rowsOf(connection, createBenchCheckpoints());
    await rowsOf(connection, `create role ${role} login password 'word'`);
    await rowsOf(connection, `grant all on all tables in schema public to ${role}`);
    await rowsOf(connection, `grant usage on all sequences in schema public to ${role}`);
    await rowsOf(connection, `grant usage on schema shadow to ${role}`);
    const target = of === 'role' ? `role ${role}` : `database ${new URL(own.url).pathname.slice(1)}`;
    for (const [name, value] of Object.entries(SETTINGS))
      await rowsOf(connection, `alter ${target} set ${name} = ${value}`);
  });

  afterAll(async () => {
    await rowsOf(own.connection, `drop owned by ${role}`);
    await rowsOf(own.connection, `drop role ${role}`);
  });

  async function written(): Promise<Record<string, string | null>[]> {
    const columns = Object.keys(VALUES).map((name) => `${name}::pg_catalog.text`);
    const rows = await rowsOf<Record<string, string | null>>(
      own.connection,
      `select ${columns.join(', ')} from settings order by place`,
    );
    await rowsOf(own.connection, 'truncate settings');
    return rows;
  }

  const EXPECTED = Object.fromEntries(Object.entries(VALUES).map(([name, { row }]) => [name, row]));

  test.each(DRIVERS)(
    'all writers read texts by them, and NULL in an array is NULL, over the driver %s',
    async (driver) => {
      const connection = await (databases
        .find((one) => one.driver === driver)
        ?.database.open() as Promise<Connection>);
      // The control: they are in force.
      expect(
        await rowsOf(
          connection,
          `select pg_catalog.array_to_json('{NULL}'::pg_catalog.text[])::pg_catalog.text as nulls, current_setting('datestyle') as style`,
        ),
      ).toEqual([{ nulls: '["NULL"]', style: 'SQL, DMY' }]);
      for (const mode of WRITER_MODES) {
        await write(mode, sinkOf(null), batchOf([{}, {}]), connection);
        expect(await written(), mode).toEqual([EXPECTED, EXPECTED]);
        await expect(
          write(mode, sinkOf('no document'), batchOf([{}]), connection).catch(sqlState),
          mode,
        ).resolves.toBe('2200M');
      }
      for (const mode of ['bulk', 'unnest', 'copy'] as const) {
        const key = {
          table: BENCH_CHECKPOINTS,
          sink: 'settings',
          shard: `${mode} ${driver}`,
          lane: 0,
          incarnation: 'a',
        };
        const order = { key, fence: null, from: 0n, end: 2n };
        await writeOnce(
          connection,
          order,
          WRITERS[mode].create(sinkOf(null))(batchOf([{}, {}])),
          NO_FAILPOINTS,
        );
        expect(await written(), mode).toEqual([EXPECTED, EXPECTED]);
      }
    },
  );

  test('the same texts are read differently without them', async () => {
    await write('copy', sinkOf('no document'), batchOf([{}]), own.connection);
    const [row] = await written();
    expect(row).toMatchObject({ day: '2024-02-03', lasting: '-1 days +02:03:04', doc: 'no document' });
  });
});
