/** The matrix of types, writers and drivers: the same rows and the same refusals from all of them. */

import { beforeAll, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { DRIVERS, type Driver } from '../../../src/database/target.ts';
import { WRITER_MODES } from '../../../src/sinks/writer-mode.ts';
import { rowsOf, type TestDatabase, testDatabase } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import {
  arrayCases,
  createTypeTable,
  ofShape,
  type ReadRows,
  refusalOf,
  type TypeTable,
  writeGood,
} from './type-tables.ts';
import { CREATE_TYPES, TYPES } from './types.ts';

const own = ownDatabase();
const databases = Object.fromEntries(
  DRIVERS.map((driver) => [driver, testDatabase(driver, own.url)]),
) as Record<Driver, TestDatabase>;
let scalars: TypeTable;
let arrays: TypeTable;

beforeAll(async () => {
  for (const statement of CREATE_TYPES) await rowsOf(own.connection, statement);
  scalars = await createTypeTable(own.connection, 'scalars', TYPES);
  arrays = await createTypeTable(own.connection, 'arrays', await arrayCases(own.connection, scalars));
});

test('the matrix has every type of Postgres itself that a column may have', async () => {
  const rows = await rowsOf<{ type: string }>(
    own.connection,
    `select typname as type from pg_type where typnamespace = 'pg_catalog'::regnamespace
       and typtype in ('b', 'r', 'm') and typarray <> 0
     union all
     select typname from pg_type where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm')
       and typarray = 0 and typcategory not in ('A')
     except
     select typname from pg_attribute join pg_type on pg_type.oid = atttypid where attrelid = 'scalars'::regclass`,
  );
  expect(rows).toEqual([]);
});

test.each(['scalars', 'arrays'])('all writers make the same rows of the same texts: %s', async (name) => {
  const table = name === 'scalars' ? scalars : arrays;
  const found: { by: string; rows: ReadRows }[] = [];
  for (const driver of DRIVERS) {
    const connection = await databases[driver].open();
    for (const mode of WRITER_MODES)
      found.push({ by: `${mode} over ${driver}`, rows: await writeGood(mode, driver, table, connection) });
  }
  const expected = found[0]?.rows as ReadRows;
  for (const column of table.columns) {
    const values = expected[column.name] as string[];
    expect(
      values.filter((value) => value !== 'NULL'),
      column.name,
    ).toHaveLength(column.good.length);
    for (const { by, rows } of found) expect(rows[column.name], `${column.name}, ${by}`).toEqual(values);
  }
});

test.each(['digits', 'line'] as const)(
  'texts of the shape %s make the same rows as any other',
  async (shape) => {
    const connection = await databases.tcp.open();
    const table = ofShape(scalars, shape);
    const expected = await writeGood('naive', `of ${shape}`, table, connection);
    for (const mode of WRITER_MODES) {
      const rows = await writeGood(mode, 'shapes', table, connection, shape);
      for (const { name, good } of table.columns) {
        const values = expected[name]?.slice(0, good.length) as string[];
        const repeated = rows[name]?.map((_, row) => values[row % good.length]);
        expect(rows[name], `${name}, ${mode}`).toEqual(repeated);
      }
    }
  },
);

test.each(['scalars', 'arrays'])('all writers refuse the same texts in the same way: %s', async (name) => {
  const table = name === 'scalars' ? scalars : arrays;
  await rowsOf(own.connection, `truncate ${table.name}`);
  for (const driver of DRIVERS) {
    const connections = await Promise.all(WRITER_MODES.map(() => databases[driver].open()));
    for (const column of table.columns) {
      // What a driver could change is the way of the text to Postgres, and that of the error back.
      for (const [text, sqlState] of driver === 'tcp' ? column.bad : column.bad.slice(0, 1)) {
        const refusals = await Promise.all(
          WRITER_MODES.map((mode, index) =>
            refusalOf(mode, table, column, text, connections[index] as Connection),
          ),
        );
        const by = Object.fromEntries(WRITER_MODES.map((mode, index) => [mode, refusals[index]]));
        expect(by.copy, `${column.name} ${text}`).toMatchObject({ sqlState });
        expect(by, `${column.name} ${text}`).toEqual(
          Object.fromEntries(WRITER_MODES.map((mode) => [mode, by.copy])),
        );
      }
    }
  }
  expect(await rowsOf(own.connection, `select * from ${table.name}`)).toEqual([]);
});
