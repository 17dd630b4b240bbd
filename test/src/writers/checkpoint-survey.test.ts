import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSluiceError } from '../../../src/core/errors.ts';
import { NO_FAILPOINTS } from '../../../src/core/failpoints.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { faultClassOf } from '../../../src/database/fault-class.ts';
import { DRIVERS } from '../../../src/database/target.ts';
import {
  handOverCheckpoint,
  type LaneKey,
  surveyCheckpoints,
} from '../../../src/writers/checkpoint-survey.ts';
import { startIncarnation, writeOnce } from '../../../src/writers/write-once.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { openConnection } from '../../support/open-connection.ts';
import { TEST_LIMIT_MS } from '../../support/patience.ts';

describe.each(DRIVERS)('with the driver %s', (driver) => {
  const database = testDatabase(driver);
  const table = freshName('survey');
  const role = freshName('role');
  let owner: Connection;
  /** A role that row security holds for. */
  let writer: Connection;

  beforeAll(async () => {
    owner = await database.open();
    await rowsOf(owner, `create table ${table} (like sluice_checkpoints including all)`);
    await rowsOf(owner, `create role ${role} login password 'secret'`);
    await rowsOf(owner, `grant select, insert, update on ${table} to ${role}`);
    const url = new URL(database.target.url);
    url.username = role;
    url.password = 'secret';
    writer = await openConnection({ ...database.target, url: url.href });
  });
  afterAll(async () => {
    writer.close();
    await rowsOf(owner, `drop table if exists ${table}`);
    await rowsOf(owner, `drop owned by ${role}`);
    await rowsOf(owner, `drop role ${role}`);
  });

  const keyOf = (): LaneKey => ({ table, sink: 'survey', shard: freshName('shard'), lane: 0 });

  test('finds the furthest of its own checkpoints, and nobody else’s', async () => {
    const key = keyOf();
    for (const [incarnation, position] of [
      ['a', 7n],
      ['b', 12n],
      ['c', 9n],
      ['foreign', 99n],
    ] as const)
      await startIncarnation(writer, { ...key, incarnation }, position);
    const found = await surveyCheckpoints(writer, key, ['a', 'b', 'c', 'unknown']);
    expect(found).toMatchObject({ state: 'found', incarnation: 'b', position: 12n });
    const ageMs = Date.now() - (found as { movedAtMs: number }).movedAtMs;
    expect(Math.abs(ageMs)).toBeLessThan(TEST_LIMIT_MS);
    for (const other of [{ lane: 1 }, { shard: 'x' }, { sink: 'x' }])
      expect(await surveyCheckpoints(writer, { ...key, ...other }, ['a'])).toMatchObject({
        state: 'missing',
      });
  });

  test('tells a table that is empty, and one that has others’ checkpoints only', async () => {
    await rowsOf(owner, `delete from ${table}`);
    const key = keyOf();
    expect(await surveyCheckpoints(writer, key, ['a'])).toEqual({ state: 'missing', isTableEmpty: true });
    await startIncarnation(writer, { ...key, incarnation: 'foreign' }, 1n);
    expect(await surveyCheckpoints(writer, key, ['a'])).toEqual({ state: 'missing', isTableEmpty: false });
  });

  test('tells what row security hides', async () => {
    const key = keyOf();
    await startIncarnation(writer, { ...key, incarnation: 'a' }, 5n);
    await rowsOf(owner, `alter table ${table} enable row level security`);
    try {
      expect(await surveyCheckpoints(writer, key, ['a'])).toEqual({ state: 'hidden' });
      expect(await surveyCheckpoints(owner, key, ['a']), 'a superuser sees all').toMatchObject({
        position: 5n,
      });
      await rowsOf(owner, `create policy everything on ${table} using (true)`);
      expect(await surveyCheckpoints(writer, key, ['a'])).toMatchObject({ position: 5n });
    } finally {
      await rowsOf(owner, `drop policy if exists everything on ${table}`);
      await rowsOf(owner, `alter table ${table} disable row level security`);
    }
  });

  test('says that the table is not there, and so does a write: a pause, for somebody has to create it', async () => {
    const key = { ...keyOf(), table: freshName('nowhere') };
    const order = { key: { ...key, incarnation: 'a' }, fence: null, from: 0n, end: 1n };
    for (const failed of [
      surveyCheckpoints(writer, key, ['a']),
      writeOnce(writer, order, async () => {}, NO_FAILPOINTS),
    ]) {
      const error = await failed.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(isSluiceError(error)).toBe(true);
      expect(error).toMatchObject({
        code: 'database_refused',
        message: expect.stringContaining(`The table of checkpoints ${key.table} is not in this database`),
      });
      expect(faultClassOf(error)).toBe('pause');
    }
    expect((await rowsOf(writer, 'select 1 as one'))[0], 'the connection is sound').toEqual({ one: 1 });
  });

  test('hands a checkpoint over once, from where it was found', async () => {
    const key = keyOf();
    await startIncarnation(writer, { ...key, incarnation: 'a' }, 5n);
    const to = { incarnation: 'b', position: 3n };
    expect(await handOverCheckpoint(writer, key, { incarnation: 'a', position: 4n }, to)).toBe(false);
    expect(await handOverCheckpoint(writer, key, { incarnation: 'a', position: 5n }, to)).toBe(true);
    expect(await handOverCheckpoint(writer, key, { incarnation: 'a', position: 5n }, to)).toBe(false);
    expect(await surveyCheckpoints(writer, key, ['a', 'b'])).toMatchObject({
      incarnation: 'b',
      position: 3n,
    });
  });

  test('waits for a transaction that was given up and is still open, and finds that it has moved', async () => {
    const key = keyOf();
    await startIncarnation(writer, { ...key, incarnation: 'a' }, 5n);
    const late = await database.open();
    await rowsOf(late, 'begin');
    await rowsOf(late, `update ${table} set position = 8 where shard = '${key.shard}' and position = 5`);
    const handed = handOverCheckpoint(
      writer,
      key,
      { incarnation: 'a', position: 5n },
      { incarnation: 'b', position: 5n },
    );
    // It waits for the row, which the server tells.
    for (;;) {
      const [blocked] = await rowsOf(
        owner,
        `select 1 from pg_stat_activity where usename = '${role}' and wait_event_type = 'Lock'`,
      );
      if (blocked !== undefined) break;
    }
    await rowsOf(late, 'commit');
    expect(await handed).toBe(false);
    expect(await surveyCheckpoints(writer, key, ['a', 'b'])).toMatchObject({
      incarnation: 'a',
      position: 8n,
    });
  });
});
