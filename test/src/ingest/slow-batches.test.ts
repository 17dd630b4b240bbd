/** Batches that Postgres does not write in time, over a real Postgres. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../../local/migrate.ts';
import type { DatabaseTarget } from '../../../src/database/target.ts';
import { freshName, rowsOf } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { Shard, type ShardOptions, valuesOf } from './refusing-table.ts';

const database = ownDatabase();
const shards: Shard[] = [];
/** A role whose statements may take a second. */
const role = freshName('hasty');
let asRole: DatabaseTarget;

beforeAll(async () => {
  await migrateDatabase(database.url);
  await run(`create role ${role} login superuser password 'right'`);
  await run(`alter role ${role} set statement_timeout = '1s'`);
  const url = Object.assign(new URL(database.url), { username: role, password: 'right' }).href;
  asRole = { url, driver: 'tcp' };
});

afterEach(() => {
  for (const shard of shards.splice(0)) shard.close();
});

afterAll(async () => {
  await run(`drop role ${role}`);
});

function run(statement: string): Promise<Record<string, unknown>[]> {
  return rowsOf(database.connection, statement);
}

function startShard(given: Omit<ShardOptions, 'target'> & { target?: DatabaseTarget }): Shard {
  const shard = new Shard({ target: database.target, ...given });
  shards.push(shard);
  return shard;
}

async function createTable(trigger: (table: string) => string): Promise<string> {
  const table = freshName('slow');
  await run(
    `create table ${table} (id bigint generated always as identity, producer text, number int, value text)`,
  );
  await run(trigger(table));
  return table;
}

function numbered(rows: number): string[] {
  return Array.from({ length: rows }, (_, index) => `v${index}`);
}

async function flushAll(shard: Shard): Promise<void> {
  for (let tries = 0; shard.buffered > 0; tries += 1) {
    expect(tries).toBeLessThan(200);
    await shard.flush();
  }
}

describe.each(['copy', 'unnest', 'bulk'] as const)('the writer %s', (writer) => {
  test('writes in smaller batches what is too much for one, in order, and gives nothing up', async () => {
    // Whatever the machine's speed: more than ten rows of a statement take too long.
    const table = await createTable(
      (name) => `create function ${name}_limit() returns trigger language plpgsql as $$ begin
          if (select count(*) from new_rows) > 10 then
            raise exception 'canceling statement due to statement timeout' using errcode = '57014';
          end if; return null; end $$;
        create trigger ${name}_limit after insert on ${name} referencing new table as new_rows
          for each statement execute function ${name}_limit()`,
    );
    const shard = startShard({ table, options: { writer, connections: 1 } });
    shard.send('p', ...numbered(150));
    await flushAll(shard);
    expect(await valuesOf(database.connection, table)).toEqual(numbered(150));
    expect(shard.dead).toEqual([]);
    expect(shard.state).toBe('running');
    expect(shard.pipeline.stats()).toMatchObject({ committed: 150, maxBatchRows: expect.any(Number) });
    expect(shard.pipeline.stats().maxBatchRows).toBeLessThanOrEqual(10);
  });
});

test('a row that alone takes too long, for ever, is a dead letter, and stops no other row', async () => {
  const table = await createTable(
    (name) => `create function ${name}_wait() returns trigger language plpgsql as $$ begin
        if new.value = 'slow' then perform pg_sleep(3600); end if; return new; end $$;
      create trigger ${name}_wait before insert on ${name} for each row execute function ${name}_wait()`,
  );
  const shard = startShard({ target: asRole, table, options: { writer: 'copy', connections: 1 } });
  shard.send('p', 'a', 'b');
  shard.send('q', 'slow');
  shard.send('p', 'c', 'd');
  await flushAll(shard);
  expect(await valuesOf(database.connection, table)).toEqual(['a', 'b', 'c', 'd']);
  expect(shard.dead).toMatchObject([{ producer: 'q', sqlState: '57014', excerpt: '"slow"' }]);
});

test('a table in which nothing is written in time makes no dead letters: all rows wait', async () => {
  const table = await createTable(
    (name) => `create function ${name}_wait() returns trigger language plpgsql as $$ begin
        perform pg_sleep(3600); return new; end $$;
      create trigger ${name}_wait before insert on ${name} for each row execute function ${name}_wait()`,
  );
  const shard = startShard({ target: asRole, table, options: { writer: 'copy', connections: 1 } });
  shard.send('p', 'a');
  shard.send('q', 'b');
  for (let tries = 0; tries < 6; tries += 1) await shard.flush();
  expect(shard.dead).toEqual([]);
  expect(shard.buffered).toBe(2);
  // The control: without the trigger, they are written.
  await run(`drop trigger ${table}_wait on ${table}`);
  await flushAll(shard);
  expect(await valuesOf(database.connection, table)).toEqual(['a', 'b']);
});
