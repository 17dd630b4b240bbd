/** The table of dead letters follows the list of a shard: with a real Postgres, which may be away. */

import { sql } from 'drizzle-orm';
import { getTableConfig } from 'drizzle-orm/pg-core';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/database/connection.ts';
import { DeadLetterCopy } from '../../../src/ingest/dead-letter-copy.ts';
import { noteUncopied } from '../../../src/outbox/copied-letters.ts';
import { DeadLetters } from '../../../src/outbox/dead-letters.ts';
import { deadLetters } from '../../../src/schema/dead-letters.ts';
import { SLUICE_STEPS } from '../../../src/schema/sluice-tables.ts';
import { rowsOf } from '../../support/connect.ts';
import { letter, WIDE } from '../../support/dead-letters-contract.ts';
import { FakeTimers } from '../../support/fake-timers.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { openConnection } from '../../support/open-connection.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { blocksOf, readPage } from '../../support/pages.ts';

const database = ownDatabase();
const CREATE = SLUICE_STEPS.flatMap(({ name, statements }) =>
  name === 'sluice_0001_dead_letters' ? statements : [],
).join(';');

beforeEach(async () => {
  await rowsOf(database.connection, 'drop table if exists sluice_dead_letters');
  await rowsOf(database.connection, CREATE);
});

/** A shard's list and its copy, over storage that outlives them. */
class Life {
  readonly timers = new FakeTimers(1_800_000_000_000);
  readonly letters: DeadLetters;
  readonly copy: DeadLetterCopy;
  readonly sqlite: NodeSqlite;
  isAway = false;

  constructor(sqlite = new NodeSqlite()) {
    this.sqlite = sqlite;
    this.letters = new DeadLetters({ sqlite, ...WIDE });
    this.copy = new DeadLetterCopy({
      sqlite,
      deadLetters: this.letters,
      sink: 'readings',
      shard: '0',
      openConnection: (): Promise<Connection> =>
        this.isAway
          ? Promise.reject(new Error('away'))
          : openConnection({ url: database.url, driver: 'tcp' }),
      timers: this.timers,
      random: () => 0.5,
      randomId: () => crypto.randomUUID(),
    });
  }

  add(count: number): void {
    for (let index = 0; index < count; index += 1) this.letters.add(letter({ sequence: index }));
  }

  drop(ids: number[] | 'all'): void {
    this.letters.drop(ids);
    this.copy.noteRemoved();
  }
}

const ids = async (): Promise<number[]> => {
  const rows = await rowsOf<{ id: number }>(
    database.connection,
    'select id::int as id from sluice_dead_letters order by list, id',
  );
  return rows.map(({ id }) => id);
};

describe('letters', () => {
  test('are in the table as they are in the list, each once, and go with it', async () => {
    const life = new Life();
    expect(life.copy.stats()).toEqual({ isBehind: false, failuresInARow: 0, lastError: null });
    life.letters.add(letter({ payload: '{"celsius":9007199254740993}' }));
    life.add(204);
    expect(life.copy.isBehind).toBe(true);
    await life.copy.copy();
    expect(life.copy.stats()).toEqual({ isBehind: false, failuresInARow: 0, lastError: null });
    expect(await ids()).toEqual(Array.from({ length: 205 }, (_, index) => index + 1));
    const [row] = await rowsOf(
      database.connection,
      sql`select ${deadLetters.by}, column_name, sql_state, sequence::int, payload::jsonb ->> 'celsius' as celsius,
        received_at = to_timestamp(1795266607.001) as received from ${deadLetters} where id = 1`,
    );
    expect(row).toEqual({
      by: 'postgres',
      column_name: 'celsius',
      sql_state: '22P02',
      sequence: 17,
      celsius: '9007199254740993',
      received: true,
    });
    life.letters.take({ column: 'celsius', untilMs: letter().failedAtMs });
    life.drop([2, 3, 205]);
    await life.copy.copy();
    expect(await ids()).toEqual(Array.from({ length: 201 }, (_, index) => index + 4).toSpliced(0, 0, 1));
    life.drop('all');
    await life.copy.copy();
    expect([await ids(), life.copy.isBehind]).toEqual([[], false]);
  });

  test('wait in the list while Postgres is away, and what left it meanwhile never comes', async () => {
    const life = new Life();
    life.isAway = true;
    life.add(3);
    await life.copy.copy();
    expect(life.copy.stats()).toEqual({ isBehind: true, failuresInARow: 1, lastError: 'away' });
    // The next try is due after its pause, and not before.
    await life.copy.copy();
    expect(life.copy.stats().failuresInARow).toBe(1);
    life.drop([2]);
    expect(life.letters.count).toBe(2);
    life.isAway = false;
    await life.copy.copyNow();
    expect([await ids(), life.copy.stats()]).toEqual([
      [1, 3],
      { isBehind: false, failuresInARow: 0, lastError: null },
    ]);
  });

  test('wait for a table that is missing, and the figures say what makes it', async () => {
    const life = new Life();
    await rowsOf(database.connection, 'drop table sluice_dead_letters');
    life.add(1);
    await life.copy.copy();
    expect(life.copy.stats()).toMatchObject({
      isBehind: true,
      lastError: expect.stringMatching(/sluice_dead_letters is missing: npx sluice migrate makes it/),
    });
    expect(life.copy.retryAtMs).toBeGreaterThan(life.timers.now());
    await rowsOf(database.connection, CREATE);
    await life.copy.copyNow();
    expect(await ids()).toEqual([1]);
  });

  test('a restart goes on where the copy was, also where the answer to a step was lost', async () => {
    const life = new Life();
    life.add(2);
    await life.copy.copy();
    life.sqlite.run('update dead_letter_copy set copied_up_to = 1');
    life.drop([1]);
    const again = new Life(life.sqlite);
    again.add(1);
    await again.copy.copy();
    expect(await ids()).toEqual([2, 3]);
  });

  test('what leaves a list while it is not copied is taken out when it is copied again', async () => {
    const life = new Life();
    life.add(2);
    await life.copy.copy();
    noteUncopied(life.sqlite);
    life.letters.drop([1]);
    expect(await ids()).toEqual([1, 2]);
    await new Life(life.sqlite).copy.copy();
    expect(await ids()).toEqual([2]);
  });

  test('of a list whose storage was lost stay, and those of the next one beside them', async () => {
    for (const life of [new Life(), new Life()]) {
      life.add(1);
      await life.copy.copy();
    }
    expect(await ids()).toEqual([1, 1]);
  });
});

test('the queries of the page find what was refused', async () => {
  const queries = blocksOf('docs/dead-letters.md', readPage('docs/dead-letters.md')).filter(
    ({ language }) => language === 'sql',
  );
  const life = new Life();
  life.letters.add(letter({ payload: '{"celsius":"warm"}' }));
  life.letters.add(letter({ sqlState: null, by: 'sink', column: null }));
  await life.copy.copy();
  const [reasons, sent] = await Promise.all(queries.map(({ text }) => rowsOf(database.connection, text)));
  expect(queries).toHaveLength(2);
  expect(reasons).toHaveLength(2);
  expect(sent).toMatchObject([{ shard: '0', sent: 'warm', detail: letter().detail }]);
});

test('the migration makes the table that the schema names', async () => {
  const columns = await rowsOf<{ name: string; type: string; required: boolean }>(
    database.connection,
    `select column_name as name, data_type as type, is_nullable = 'NO' as required from information_schema.columns
      where table_name = 'sluice_dead_letters' order by ordinal_position`,
  );
  expect(columns).toEqual(
    getTableConfig(deadLetters).columns.map((column) => ({
      name: column.name,
      type: column.getSQLType(),
      required: column.notNull,
    })),
  );
});
