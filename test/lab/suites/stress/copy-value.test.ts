/** Large values in and out of real rows, in pieces. */

import { beforeAll, describe, expect, test } from 'vitest';
import { readValue, type ValueRead, writeValue } from '../../../../lab/suites/stress/copy-value.ts';
import type { Connection } from '../../../../src/database/connection.ts';
import { rowsOf, testDatabase } from '../../../support/connect.ts';
import { openConnection } from '../../../support/open-connection.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const database = ownDatabase();
const neon = testDatabase('neon');

beforeAll(async () => {
  await rowsOf(
    database.connection,
    'create table as_bytea (id bigserial primary key, payload bytea not null)',
  );
  await rowsOf(
    database.connection,
    'create table as_jsonb (id bigserial primary key, payload jsonb not null)',
  );
});

/** Every byte, in an order that no text has. */
const BYTES = Uint8Array.from({ length: 70_000 }, (_, index) => (index * 167 + (index >> 8)) & 255);

function inPieces(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

async function collect({ chunks }: ValueRead): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  for await (const chunk of chunks) kept.push(chunk);
  return Buffer.concat(kept);
}

describe.each([
  ['whose length is known', BYTES.length],
  ['whose length is not known', undefined],
])('a bytea %s', (_, length) => {
  test.each([1_000, 65_536, 70_000])('comes back byte by byte, in pieces of %i', async (size) => {
    const value = { column: 'bytea', length, chunks: inPieces(BYTES, size) } as const;
    const id = await writeValue(database.connection, 'as_bytea', value);
    const read = await readValue(database.connection, 'as_bytea', id, 'bytea');
    expect(read.length).toBe(BYTES.length);
    expect((await collect(read)).equals(BYTES)).toBe(true);
  });

  test('may be empty', async () => {
    const value = { column: 'bytea', length: length === undefined ? undefined : 0, chunks: [] } as const;
    const id = await writeValue(database.connection, 'as_bytea', value);
    expect(await collect(await readValue(database.connection, 'as_bytea', id, 'bytea'))).toHaveLength(0);
  });
});

test('a jsonb comes back as its text', async () => {
  const text = new TextEncoder().encode('{"a":[1,2,"\\u00e4\\\\"]}');
  const value = { column: 'jsonb', length: text.length, chunks: [text] } as const;
  const id = await writeValue(database.connection, 'as_jsonb', value);
  const read = await collect(await readValue(database.connection, 'as_jsonb', id, 'jsonb'));
  expect(JSON.parse(read.toString())).toEqual({ a: [1, 2, 'ä\\'] });
});

test('through the driver of Neon, whose socket is no stream, both ways work too', async () => {
  const connection = await openConnection({
    ...neon.target,
    url: Object.assign(new URL(neon.target.url), { pathname: new URL(database.url).pathname }).href,
  }).catch(() => neon.open());
  await rowsOf(connection, 'create temp table as_neon (id bigserial primary key, payload bytea not null)');
  for (const length of [BYTES.length, undefined]) {
    const id = await writeValue(connection, 'as_neon', {
      column: 'bytea',
      length,
      chunks: inPieces(BYTES, 9_999),
    });
    const read = await readValue(connection, 'as_neon', id, 'bytea');
    expect((await collect(read)).equals(BYTES)).toBe(true);
    await expect(readValue(connection, 'as_neon', '999', 'bytea')).rejects.toThrow('Row id=999 not found');
  }
  connection.close();
});

describe('what fails', () => {
  const opened = async (): Promise<Connection> => openConnection(database.target);

  test('a row that is not there', async () => {
    await expect(readValue(database.connection, 'as_bytea', '999', 'bytea')).rejects.toMatchObject({
      code: 'not_found',
      message: 'Row id=999 not found for read benchmark.',
    });
    // The connection is still of use.
    expect(await rowsOf(database.connection, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('a connection that the server ends while a piece is still being made', async () => {
    const connection = await opened();
    const [{ pid } = { pid: 0 }] = await rowsOf<{ pid: number }>(
      connection,
      'select pg_backend_pid() as pid',
    );
    const chunks = (async function* stuck() {
      yield BYTES;
      await new Promise(() => {});
    })();
    const writing = writeValue(connection, 'as_bytea', { column: 'bytea', length: undefined, chunks });
    writing.catch(() => {});
    const isWaiting = `select 1 from pg_stat_activity where pid = ${pid} and query like 'copy%' and wait_event = 'ClientRead'`;
    while ((await rowsOf(database.connection, isWaiting)).length === 0) {
      await rowsOf(database.connection, 'select pg_sleep(0.01)');
    }
    await rowsOf(database.connection, `select pg_terminate_backend(${pid})`);
    await expect(writing).rejects.toMatchObject({ code: '57P01' });
    connection.close();
  });

  test('a statement beyond its time limit', async () => {
    const connection = await opened();
    await rowsOf(connection, 'set statement_timeout = 100');
    const chunks = (async function* slow() {
      yield BYTES;
      // The server looks at its clock between rows, and this one is not over before the limit is.
      await rowsOf(database.connection, 'select pg_sleep(0.2)');
    })();
    await expect(
      writeValue(connection, 'as_bytea', { column: 'bytea', length: undefined, chunks }),
    ).rejects.toMatchObject({ code: '57014' });
    connection.close();
  });

  test('pieces that cannot be made, and nothing of them stays', async () => {
    const connection = await opened();
    const before = await rowsOf(database.connection, 'select id from as_bytea');
    const chunks = (async function* failing() {
      yield BYTES;
      throw new Error('no more pieces');
    })();
    await expect(
      writeValue(connection, 'as_bytea', { column: 'bytea', length: undefined, chunks }),
    ).rejects.toThrow('no more pieces');
    connection.close();
    expect(await rowsOf(database.connection, 'select id from as_bytea')).toEqual(before);
  });

  test('a value beyond what a field may hold, before anything is sent', async () => {
    const connection = await opened();
    await expect(
      writeValue(connection, 'as_bytea', { column: 'bytea', length: 2 ** 31, chunks: [] }),
    ).rejects.toThrow('A value of 2147483648 bytes is longer than a field of Postgres may be (1 GB)');
    connection.close();
  });

  test('fewer bytes than were announced', async () => {
    const connection = await opened();
    await expect(
      writeValue(connection, 'as_bytea', { column: 'bytea', length: 10, chunks: [Uint8Array.of(1, 2, 3)] }),
    ).rejects.toMatchObject({ code: '22P04' });
    connection.close();
  });

  test('text that is not JSON', async () => {
    const connection = await opened();
    const text = new TextEncoder().encode('{nonsense');
    await expect(
      writeValue(connection, 'as_jsonb', { column: 'jsonb', length: text.length, chunks: [text] }),
    ).rejects.toMatchObject({ code: '22P02' });
    connection.close();
  });
});
