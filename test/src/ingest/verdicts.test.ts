/**
 * The right verdict for every fault, over a real Postgres: a row's own fault never stops the other rows, whatever its SQLSTATE,
 * and a fault of the table or of the database makes no dead letters.
 */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../../local/migrate.ts';
import type { DatabaseTarget } from '../../../src/database/target.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { freshName, rowsOf } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { Shard, type ShardOptions, valuesOf } from './refusing-table.ts';

const database = ownDatabase();
const shards: Shard[] = [];

/** A role without any rights but those of a sink, which owns nothing. */
const role = freshName('writer');
let asRole: DatabaseTarget;

beforeAll(async () => {
  await migrateDatabase(database.url);
  await run('create extension hstore');
  await run('create extension ltree');
  await run(`create role ${role} login password 'right'`);
  await run(`grant select, insert, update on sluice_checkpoints to ${role}`);
  const url = Object.assign(new URL(database.url), { username: role, password: 'right' }).href;
  asRole = { url, driver: 'tcp' };
});

afterEach(() => {
  for (const shard of shards.splice(0)) shard.close();
});

afterAll(async () => {
  await run(`drop owned by ${role}`);
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

/** One lane, so that all messages are in one order. */
function optionsOf(writer: WriterMode): ShardOptions['options'] {
  return { writer, ...(writer === 'buffered' ? { workers: 1 } : { connections: 1 }) };
}

async function createTable(type = 'text', more = ''): Promise<string> {
  const table = freshName('verdict');
  await run(
    `create table ${table} (id bigint generated always as identity, producer text, number int, value ${type}) ${more}`,
  );
  return table;
}

/** A trigger that runs a body of PL/pgSQL for each row. */
async function createTrigger(table: string, body: string, when = 'before'): Promise<void> {
  await run(
    `create function ${table}_check() returns trigger language plpgsql as $$ begin ${body} return new; end $$`,
  );
  await run(
    `create trigger ${table}_check ${when} insert on ${table} for each row execute function ${table}_check()`,
  );
}

interface RowFault {
  name: string;
  /** The SQLSTATE of the dead letter. */
  state: string;
  type?: string;
  good?: string;
  bad: string;
  prepare?: (table: string) => Promise<void>;
  /** True where the error itself names a value, so that no other row is needed for the verdict. */
  namesValue?: boolean;
  /** Tries before the row is looked for. */
  tries?: number;
}

const raising = (state: string, message = 'not this one') => ({
  state,
  bad: 'bad',
  prepare: (table: string) =>
    createTrigger(
      table,
      `if new.value like 'bad%' then raise exception '${message}' using errcode = '${state}'; end if;`,
    ),
});

const ROW_FAULTS: readonly RowFault[] = [
  { name: 'a text search query', state: '42601', type: 'tsquery', good: 'fat & cat', bad: 'fat &' },
  { name: 'a path into JSON', state: '42601', type: 'jsonpath', good: '$.a', bad: '$.[' },
  { name: 'a label tree', state: '42601', type: 'ltree', good: 'a.b', bad: 'a..b' },
  { name: 'an hstore', state: '42601', type: 'hstore', good: 'a=>1', bad: 'a=>' },
  { name: 'the name of a table', state: '42P01', type: 'regclass', good: 'pg_class', bad: 'no_such_table' },
  { name: 'the name of a table elsewhere', state: '0A000', type: 'regclass', good: 'pg_class', bad: 'a.b.c' },
  { name: 'the name of a type', state: '42704', type: 'regtype', good: 'text', bad: 'no_such_type' },
  { name: 'the name of a function', state: '42883', type: 'regproc', good: 'now', bad: 'no_such_function' },
  {
    name: 'the name of a schema',
    state: '3F000',
    type: 'regnamespace',
    good: 'pg_catalog',
    bad: 'no_such_one',
  },
  // PostGIS, which is not here, reports a geometry that it cannot read with XX000.
  {
    name: 'an extension with a code for internal errors',
    ...raising('XX000', 'parse error - invalid geometry'),
    tries: 4,
  },
  { name: 'a trigger with a code of its own', ...raising('AB123') },
  { name: 'a trigger with a code of letters', ...raising('ABCDE') },
  { name: 'a trigger without a code', ...raising('P0001') },
  { name: 'a trigger with the code of a missing right', ...raising('42501') },
  { name: 'a trigger that asks for another try, for ever', ...raising('40001'), tries: 4 },
  { name: 'a trigger that says it is locked, for ever', ...raising('55P03'), tries: 4 },
  {
    name: 'a CASE without its case',
    state: '20000',
    bad: 'bad',
    prepare: (table) => createTrigger(table, "case new.value when 'good' then null; end case;"),
  },
  {
    name: 'a check',
    state: '23514',
    bad: 'bad',
    namesValue: true,
    prepare: async (table) => void (await run(`alter table ${table} add check (value <> 'bad')`)),
  },
  { name: 'a value of another type', state: '22P02', type: 'int', good: '7', bad: 'x', namesValue: true },
  {
    name: 'a failed assertion of a trigger',
    state: 'P0004',
    bad: 'bad',
    prepare: (table) => createTrigger(table, "assert new.value <> 'bad', 'no bad ones';"),
  },
  {
    name: 'a trigger that comes after the indexes, in a table with a unique key',
    state: 'P0001',
    bad: 'bad',
    prepare: async (table) => {
      await run(`alter table ${table} add unique (producer, number)`);
      await createTrigger(table, "if new.value = 'bad' then raise exception 'no'; end if;", 'after');
    },
  },
];

interface TableFault {
  name: string;
  type?: string;
  /** What follows the columns when the table is created. */
  more?: string;
  prepare?: (table: string) => Promise<unknown>;
  change: (table: string) => Promise<unknown>;
  undo: (table: string) => Promise<unknown>;
  /** A value from before the change, and one from after it. */
  values?: readonly [string, string];
  /** False where the error names a value, and rows of one producer that nobody can compare would be condemned. */
  isFirst?: boolean;
  state?: string;
}

const closed = (state: string) => ({
  change: (table: string) =>
    createTrigger(
      table,
      `raise exception 'closed for maintenance, row %', new.number using errcode = '${state}';`,
    ),
  undo: (table: string) => run(`drop trigger ${table}_check on ${table}`),
});

const TABLE_FAULTS: readonly TableFault[] = [
  {
    name: '23514 of a partition that is missing',
    type: 'int',
    more: 'partition by range (value)',
    prepare: (table) => run(`create table ${table}_1 partition of ${table} for values from (0) to (100)`),
    change: async () => {},
    undo: (table) => run(`create table ${table}_2 partition of ${table} for values from (100) to (200)`),
    values: ['1', '101'],
  },
  {
    name: '23502 of a new column that has no default',
    change: async (table) => {
      await run(`alter table ${table} add extra text default '' not null`);
      await run(`alter table ${table} alter extra drop default`);
    },
    undo: (table) => run(`alter table ${table} drop extra`),
  },
  {
    name: '23502 of a column that may be null no more',
    prepare: (table) => run(`alter table ${table} add extra text default ''`),
    change: (table) => run(`alter table ${table} alter extra drop default, alter extra set not null`),
    undo: (table) => run(`alter table ${table} alter extra drop not null`),
  },
  { name: 'P0001 of a trigger that is closed for maintenance', ...closed('P0001') },
  { name: 'AB123 of a trigger that is closed for maintenance', ...closed('AB123') },
  { name: '40001 of a trigger that is closed for maintenance', ...closed('40001'), state: 'retrying' },
  {
    name: '42501 of a right that was taken away',
    change: (table) => run(`revoke insert on ${table} from ${role}`),
    undo: (table) => run(`grant insert on ${table} to ${role}`),
  },
  {
    name: '42P01 of a table that is gone',
    change: (table) => run(`alter table ${table} rename to ${table}_away`),
    undo: (table) => run(`alter table ${table}_away rename to ${table}`),
  },
  {
    name: '42703 of a column that is gone',
    change: (table) => run(`alter table ${table} rename value to away`),
    undo: (table) => run(`alter table ${table} rename away to value`),
  },
  {
    name: '23514 of a check that refuses all',
    change: (table) => run(`alter table ${table} add constraint ${table}_none check (number < 0) not valid`),
    undo: (table) => run(`alter table ${table} drop constraint ${table}_none`),
  },
  {
    name: '22P02 of a column that has another type now',
    change: async (table) => {
      await run(`delete from ${table}`);
      await run(`alter table ${table} alter value type int using 1`);
    },
    undo: async (table) => {
      await run(`alter table ${table} alter value type text using value::text`);
      await run(`insert into ${table} (value) select 'again' from generate_series(1, 2)`);
    },
    isFirst: false,
  },
  {
    name: '42P01 of a table that a trigger writes to, with a unique key',
    prepare: async (table) => {
      await run(`alter table ${table} add unique (producer, number)`);
      await run(`create table ${table}_log (number int)`);
      await run(`grant insert on ${table}_log to ${role}`);
      await createTrigger(table, `insert into ${table}_log values (new.number);`, 'after');
    },
    change: (table) => run(`alter table ${table}_log rename to ${table}_away`),
    undo: (table) => run(`alter table ${table}_away rename to ${table}_log`),
  },
];

describe.each(WRITER_MODES)('the writer %s', (writer) => {
  describe("a row's own fault stops no other row:", () => {
    for (const {
      name,
      state,
      type,
      good = 'good',
      bad,
      prepare,
      namesValue = false,
      tries = 1,
    } of ROW_FAULTS) {
      test(`${state}, ${name}`, async () => {
        const table = await createTable(type);
        await prepare?.(table);
        const shard = startShard({
          table,
          ...(type === undefined ? {} : { type }),
          options: optionsOf(writer),
        });

        // The first message ever: nothing is known of the sink.
        shard.send('nonsense', bad);
        for (let time = 0; time < tries; time += 1) await shard.flush();
        expect(shard.dead.length).toBe(namesValue ? 1 : 0);
        if (!namesValue) expect(shard.lastError).toMatch(/No other row shows/);

        // The control: with another row there is a verdict.
        shard.send('sound', good);
        for (let time = 0; time < tries; time += 1) await shard.flush();
        expect({ state: shard.state, committed: shard.committed, buffered: shard.buffered }).toEqual({
          state: 'running',
          committed: 1,
          buffered: 0,
        });
        expect(shard.dead.map((letter) => [letter.producer, letter.sqlState])).toEqual([['nonsense', state]]);

        // Among good rows of its own producer, in any place.
        shard.send('sound', good, bad, good, bad);
        shard.send('other', good);
        for (let time = 0; time < tries * 2; time += 1) await shard.flush();
        expect({ state: shard.state, committed: shard.committed, dead: shard.dead.length }).toEqual({
          state: 'running',
          committed: 4,
          dead: 3,
        });
        expect(await valuesOf(database.connection, table)).toHaveLength(4);
      });
    }
  });

  test("a row that the sink's own code throws for is a dead letter, and the others are written", async () => {
    const table = await createTable();
    const shard = startShard({ table, options: optionsOf(writer) });
    shard.send('a', 'throws');
    await shard.flush();
    shard.send('a', 'one', 'throws', 'two');
    shard.send('b', 'three');
    await shard.flush();
    expect({ state: shard.state, buffered: shard.buffered }).toEqual({ state: 'running', buffered: 0 });
    expect(shard.dead.map(({ sqlState, reason }) => ({ sqlState, reason }))).toEqual(
      Array(2).fill({ sqlState: null, reason: expect.stringContaining('this value is not for me') }),
    );
    expect(await valuesOf(database.connection, table)).toEqual(['one', 'two', 'three']);
  });

  test('42501: a row that a security policy refuses is a dead letter, where the writer can write to such a table', async () => {
    const table = await createTable();
    await run(`grant select, insert on ${table} to ${role}`);
    const shard = startShard({ table, target: asRole, options: optionsOf(writer) });
    shard.send('a', 'before');
    await shard.flush();
    await run(`alter table ${table} enable row level security`);
    await run(`create policy only_good on ${table} for insert to ${role} with check (value <> 'bad')`);
    shard.send('a', 'good', 'bad', 'good');
    await shard.flush();
    if (writer === 'copy') {
      // Postgres has no COPY into such a table, for any row.
      expect({ state: shard.state, dead: shard.dead, buffered: shard.buffered }).toEqual({
        state: 'paused',
        dead: [],
        buffered: 3,
      });
      return;
    }
    expect(shard.dead.map(({ sqlState }) => sqlState)).toEqual(['42501']);
    expect({ state: shard.state, committed: shard.committed }).toEqual({ state: 'running', committed: 3 });
    // The control: without a policy every row is refused in the same way, and nobody is to blame.
    await run(`drop policy only_good on ${table}`);
    shard.send('a', 'good');
    shard.send('b', 'good');
    await shard.flush();
    expect({ state: shard.state, dead: shard.dead.length }).toEqual({ state: 'paused', dead: 1 });
  });

  test('one producer that sends nothing but nonsense stops nobody', async () => {
    const table = await createTable('int');
    await createTrigger(table, "if new.value < 0 then raise exception 'no % here', new.value; end if;");
    const shard = startShard({ table, type: 'int', options: optionsOf(writer) });
    for (let round = 0; round < 3; round += 1) {
      shard.send('nonsense', ...Array.from({ length: 20 }, (_, index) => String(-1 - index)));
      shard.send('sound', String(round));
      await shard.flush();
    }
    expect({ state: shard.state, committed: shard.committed, dead: shard.dead.length }).toEqual({
      state: 'running',
      committed: 3,
      dead: 60,
    });
  });

  test('a producer that a trigger locks out stops nobody, though it was good before', async () => {
    const table = await createTable();
    const shard = startShard({ table, options: optionsOf(writer) });
    shard.send('locked', 'one');
    shard.send('sound', 'one');
    await shard.flush();
    await createTrigger(table, "if new.producer = 'locked' then raise exception 'locked out'; end if;");
    shard.send('locked', 'two', 'three');
    shard.send('sound', 'two');
    await shard.flush();
    expect({ state: shard.state, committed: shard.committed, dead: shard.dead.length }).toEqual({
      state: 'running',
      committed: 3,
      dead: 2,
    });
  });

  test('nonsense in the key of a partitioned table is found by what comes after it', async () => {
    const table = await createTable('int', 'partition by range (value)');
    await run(`create table ${table}_1 partition of ${table} for values from (0) to (100)`);
    const shard = startShard({ table, type: 'int', options: optionsOf(writer) });
    shard.send('a', '1', '-5', '2');
    shard.send('b', '3');
    await shard.flush();
    expect({ state: shard.state, committed: shard.committed, dead: shard.dead.length }).toEqual({
      state: 'running',
      committed: 3,
      dead: 1,
    });
  });

  describe('a fault of the table or of the database makes no dead letter:', () => {
    for (const fault of TABLE_FAULTS) {
      const {
        name,
        prepare,
        type,
        change,
        undo,
        values = ['one', 'two'],
        isFirst = true,
        state = 'paused',
      } = fault;
      test.each(
        isFirst
          ? ['rows were taken before', 'after a restart', 'the first messages ever']
          : ['rows were taken before'],
      )(`${name}; %s`, async (when) => {
        const table = await createTable(type, fault.more);
        await run(`grant insert, select on ${table} to ${role}`);
        await prepare?.(table);
        const shard = startShard({
          table,
          ...(type === undefined ? {} : { type }),
          target: asRole,
          options: optionsOf(writer),
        });
        const isNew = when === 'the first messages ever';
        if (!isNew) {
          shard.send('a', values[0] as string);
          shard.send('b', values[0] as string);
          await shard.flush();
          expect(shard.committed, shard.lastError).toBe(2);
        }
        if (when === 'after a restart') shard.restart();
        await change(table);
        for (const producer of ['a', 'b']) shard.send(producer, ...Array(10).fill(values[1] as string));
        for (let time = 0; time < 5; time += 1) await shard.flush();
        expect({ state: shard.state, dead: shard.dead.length, buffered: shard.buffered }).toEqual({
          state,
          dead: 0,
          buffered: 20,
        });

        // The control: the same messages are good once the table is.
        await undo(table);
        await shard.flush();
        expect({ state: shard.state, buffered: shard.buffered }).toEqual({ state: 'running', buffered: 0 });
        expect(await valuesOf(database.connection, table)).toHaveLength(isNew ? 20 : 22);
      });
    }
  });
});

describe.each(['bulk', 'unnest', 'copy'] as const)('the table of checkpoints, with %s,', (writer) => {
  test.each([
    ['a constraint', 'add constraint no_more check (position < 2)', 'drop constraint no_more'],
    ['a column that is gone', 'rename updated_at to away', 'rename away to updated_at'],
  ])('condemns no row by %s', async (_, change, undo) => {
    const table = await createTable();
    const shard = startShard({ table, options: optionsOf(writer) });
    shard.send('a', 'one');
    await shard.flush();
    await run(`alter table sluice_checkpoints ${change} ${change.startsWith('add') ? 'not valid' : ''}`);
    shard.send('a', 'two', 'three');
    shard.send('b', 'four');
    await shard.flush();
    expect({ state: shard.state, dead: shard.dead, buffered: shard.buffered }).toEqual({
      state: 'paused',
      dead: [],
      buffered: 3,
    });
    await run(`alter table sluice_checkpoints ${undo}`);
    await shard.flush();
    expect({ state: shard.state, committed: shard.committed }).toEqual({ state: 'running', committed: 4 });
  });
});
