import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { migrateDatabase } from '../../local/migrate.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { commandLine } from '../support/command-line.ts';
import { freshName } from '../support/connect.ts';
import { drizzleFolder } from '../support/drizzle-folder.ts';
import { eventually } from '../support/patience.ts';

const ALL_STEPS = [
  'sluice_0000_checkpoints',
  'sluice_0001_dead_letters',
  '0000_messages',
  '0001_checkpoints',
];
/** What a database of 0.2.0 lacks. */
const SINCE_0_2_0 = ['sluice_0001_dead_letters'];
const SLUICE_0_2_0 = {
  '0000_messages': 1_795_257_329_112,
  '0001_checkpoints': 1_795_267_931_032,
};

let name: string;
let url: string;
let server: pg.Client;

beforeAll(async () => {
  server = new pg.Client(inject('databaseUrl'));
  await server.connect();
});
afterAll(() => server.end());

// A database for each test, since drizzle has one history for all of it.
beforeEach(async () => {
  name = freshName('migrations');
  url = Object.assign(new URL(inject('databaseUrl')), { pathname: `/${name}` }).href;
  await server.query(`create database ${name}`);
  return async () => {
    await server.query(`drop database ${name} with (force)`);
  };
});

async function query<Row = Record<string, unknown>>(statement: string, address = url): Promise<Row[]> {
  const client = new pg.Client(address);
  await client.connect();
  try {
    return (await client.query(statement)).rows as Row[];
  } finally {
    await client.end();
  }
}

function withPath(path: string): string {
  return `${url}?options=${encodeURIComponent(`-c search_path=${path}`)}`;
}

/** The names of the steps in a schema's history, as they were taken. */
async function history(schema = 'public'): Promise<string[]> {
  const rows = await query<{ name: string }>(`select name from ${schema}.sluice_migrations order by ctid`);
  return rows.map((row) => row.name);
}

async function tablesOf(schema: string): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = '${schema}' order by 1`,
  );
  return rows.map((row) => row.name);
}

/** What 0.2.0 (07b5b89) did: drizzle's migrator, with the files as they were then. */
async function migrateAs020(address = url, count = 2): Promise<void> {
  const texts = await Promise.all(
    Object.keys(SLUICE_0_2_0).map((tag) =>
      readFile(join(REPOSITORY, `src/schema/migrations/${tag}.sql`), 'utf8'),
    ),
  );
  const entries = Object.entries(SLUICE_0_2_0).slice(0, count);
  await migrateWithDrizzle(
    address,
    entries.map(([tag, when], index) => ({
      tag,
      when,
      text: (texts[index] as string).replace('IF NOT EXISTS "sluice_checkpoints"', '"sluice_checkpoints"'),
    })),
  );
}

/** An application that uses drizzle's migrator on the same database. */
async function migrateWithDrizzle(
  address: string,
  migrations: readonly { tag: string; when: number; text: string }[],
): Promise<void> {
  const { folder, remove } = await drizzleFolder(migrations);
  const client = new pg.Client(address);
  await client.connect();
  try {
    await migrate(drizzle(client), { migrationsFolder: folder });
  } finally {
    await client.end();
    await remove();
  }
}

const COMPLETE = ['messages', 'sluice_checkpoints', 'sluice_dead_letters', 'sluice_migrations'];
const APPLICATION = { tag: '0000_orders', text: 'CREATE TABLE "orders" ("id" bigint PRIMARY KEY);' };
const LATER = 1_900_000_000_000;
const EARLIER = 1_700_000_000_000;

describe('a database', () => {
  test('that is empty gets all tables, and the second time nothing', async () => {
    expect(await migrateDatabase(url)).toEqual({ schema: 'public', taken: ALL_STEPS });
    expect(await tablesOf('public')).toEqual(COMPLETE);
    expect(await history()).toEqual(ALL_STEPS);
    expect(await migrateDatabase(url)).toEqual({ schema: 'public', taken: [] });
    expect(await query(`select to_regnamespace('drizzle') as drizzle`)).toEqual([{ drizzle: null }]);
  });

  test('that 0.2.0 migrated is recognised, keeps its rows, and gets nothing twice', async () => {
    await migrateAs020();
    await query(
      `insert into messages (producer, sequence, payload, received_at) values ('p', 7, '{"a":1}', now());
       insert into sluice_checkpoints (sink, shard, lane, incarnation, position) values ('s', 'h', 0, 'i', 9)`,
    );
    expect(await migrateDatabase(url)).toEqual({ schema: 'public', taken: SINCE_0_2_0 });
    expect(await history()).toEqual(ALL_STEPS);
    expect(
      await query('select position::int, (select count(*)::int from messages) from sluice_checkpoints'),
    ).toEqual([{ position: 9, count: 1 }]);
    expect(await query('select * from drizzle.__drizzle_migrations')).toEqual([]);
    expect(await migrateDatabase(url)).toEqual({ schema: 'public', taken: [] });
  });

  test('that 0.1.0 migrated gets what it lacks', async () => {
    await migrateAs020(url, 1);
    expect(await migrateDatabase(url)).toEqual({
      schema: 'public',
      taken: ['sluice_0000_checkpoints', 'sluice_0001_dead_letters', '0001_checkpoints'],
    });
    expect(await query(`select epoch from messages`)).toEqual([]);
  });

  test('that was restored without the schema drizzle is recognised by its tables', async () => {
    await migrateAs020();
    await query('drop schema drizzle cascade');
    expect(await migrateDatabase(url)).toEqual({ schema: 'public', taken: SINCE_0_2_0 });
    expect(await history()).toEqual(ALL_STEPS);
  });

  test('whose application has a later history in drizzle gets all tables all the same', async () => {
    await migrateWithDrizzle(url, [{ ...APPLICATION, when: LATER }]);
    expect((await migrateDatabase(url)).taken).toEqual(ALL_STEPS);
    expect(await tablesOf('public')).toEqual([
      'messages',
      'orders',
      'sluice_checkpoints',
      'sluice_dead_letters',
      'sluice_migrations',
    ]);
    expect(await query('select count(*)::int from drizzle.__drizzle_migrations')).toEqual([{ count: 1 }]);
  });

  test.each(['0.2.0', 'this version'])(
    "that %s migrated first still gets the application's migrations that are older than ours",
    async (version) => {
      if (version === '0.2.0') await migrateAs020();
      await migrateDatabase(url);
      await migrateWithDrizzle(url, [{ ...APPLICATION, when: EARLIER }]);
      expect(await tablesOf('public')).toContain('orders');
    },
  );

  test('of two search_paths gets tables in both; drizzle would have said that the second has them', async () => {
    await query('create schema one; create schema two');
    await migrateAs020(withPath('one'));
    expect(await migrateDatabase(withPath('one'))).toEqual({ schema: 'one', taken: SINCE_0_2_0 });
    expect(await migrateDatabase(withPath('two'))).toEqual({ schema: 'two', taken: ALL_STEPS });
    expect(await tablesOf('one')).toEqual(COMPLETE);
    expect(await tablesOf('two')).toEqual(COMPLETE);
    expect(await tablesOf('public')).toEqual([]);
    await query('create schema "Three""3"');
    expect((await migrateDatabase(withPath('"Three""3"'))).taken).toEqual(ALL_STEPS);
  });

  test('whose role got a schema of its own name later goes on with the tables that it used', async () => {
    await migrateAs020();
    await query('create schema sluice');
    expect(await migrateDatabase(url)).toEqual({ schema: 'public', taken: SINCE_0_2_0 });
    expect(await tablesOf('sluice')).toEqual([]);
  });

  test('with a search_path to nowhere is refused with the reason', async () => {
    await expect(migrateDatabase(withPath('nowhere'))).rejects.toThrow(
      'No schema of the search_path (nowhere) exists: create one',
    );
  });

  test.each(['messages', 'sluice_checkpoints'])(
    'whose table %s was dropped is not up to date',
    async (table) => {
      await migrateDatabase(url);
      await query(`drop table ${table}`);
      const step = table === 'messages' ? '0000_messages' : 'sluice_0000_checkpoints';
      const remedy = `delete from "public"."sluice_migrations" where name = '${step}'`;
      await expect(migrateDatabase(url)).rejects.toMatchObject({
        code: 'database_refused',
        message: expect.stringContaining(
          `says that ${step} was taken, but the table ${table} is missing: somebody dropped it`,
        ),
      });
      await expect(migrateDatabase(url)).rejects.toThrow(remedy);
      await query(remedy);
      if (table === 'messages') {
        // The next thing that is missing is named in its turn.
        await expect(migrateDatabase(url)).rejects.toThrow(
          '0001_checkpoints was taken, but the column epoch of messages',
        );
        await query(`delete from sluice_migrations where name = '0001_checkpoints'`);
      }
      await migrateDatabase(url);
      expect(await tablesOf('public')).toEqual(COMPLETE);
    },
  );

  test('with a table messages of somebody else is refused with a way on, and the table is left alone', async () => {
    await query('create table messages (id uuid primary key, producer text, body text)');
    const before = await query(`select * from information_schema.columns where table_name = 'messages'`);
    const failure = migrateDatabase(url);
    await expect(failure).rejects.toMatchObject({ code: 'database_refused' });
    await expect(failure).rejects.toThrow(
      "There is a table messages already, and it is not Sluice's: it has no column sequence, payload, received_at. " +
        'Give Sluice its own schema: create schema sluice, and ?options=-csearch_path%3Dsluice at the end of the address',
    );
    expect(await query(`select * from information_schema.columns where table_name = 'messages'`)).toEqual(
      before,
    );
    // Both ways on.
    expect(await migrateDatabase(url, { isSluiceOnly: true })).toEqual({ schema: 'public', taken: [] });
    await query('create schema sluice_own');
    expect((await migrateDatabase(`${url}?options=-csearch_path%3Dsluice_own`)).taken).toEqual(ALL_STEPS);
    expect(
      await query(
        `select * from information_schema.columns where table_name = 'messages' and table_schema = 'public'`,
      ),
    ).toEqual(before);
  });

  test('where another table hides ours is not up to date', async () => {
    await migrateDatabase(url);
    await query('create schema hidden; create table hidden.messages (id int)');
    await expect(migrateDatabase(withPath('hidden,public'))).rejects.toThrow(
      'The tables of the schema public are complete, but a connection with this address finds another messages first',
    );
  });
});

describe('two starts at once', () => {
  test.each(['an empty database', 'a database of 0.2.0', 'a database of 0.1.0'])(
    'on %s all succeed',
    async (state) => {
      if (state !== 'an empty database') await migrateAs020(url, state.includes('0.1.0') ? 1 : 2);
      const reports = await Promise.all(Array.from({ length: 8 }, () => migrateDatabase(url)));
      const taken = reports.flatMap((report) => report.taken);
      // Nothing is done twice.
      expect(new Set(taken).size).toBe(taken.length);
      expect((await history()).toSorted()).toEqual(ALL_STEPS.toSorted());
      expect(await tablesOf('public')).toEqual(COMPLETE);
    },
  );

  test('one whose role waits for a migration of another gets through when that has ended', async () => {
    await migrateDatabase(url);
    await query(
      `delete from sluice_migrations where name = '0001_checkpoints'; alter table messages drop column epoch`,
    );
    const other = new pg.Client(url);
    await other.connect();
    await other.query('begin; lock table sluice_migrations in share row exclusive mode');
    const waiting = migrateDatabase(url);
    const blocked = `select 1 from pg_stat_activity where datname = '${name}' and wait_event_type = 'Lock'`;
    await eventually(async () => expect(await query(blocked)).toHaveLength(1));
    await other.query(
      `alter table messages add column epoch bigint default 0 not null;
       insert into sluice_migrations (name) values ('0001_checkpoints'); commit`,
    );
    expect((await waiting).taken).toEqual([]);
    await other.end();
  });
});

describe('a role without CREATE', () => {
  let role: string;
  let roleUrl: string;

  beforeEach(async () => {
    role = freshName('role');
    await server.query(`create role ${role} login password 'secret'`);
    roleUrl = Object.assign(new URL(url), { username: role, password: 'secret' }).href;
    return async () => {
      await query(`drop owned by ${role}`);
      await server.query(`drop role ${role}`);
    };
  });

  test.each(['this version', '0.2.0'])(
    'succeeds where %s has migrated, whatever it may read',
    async (version) => {
      if (version === '0.2.0') await migrateAs020();
      await migrateDatabase(url);
      expect(await migrateDatabase(roleUrl)).toEqual({ schema: 'public', taken: [] });
      await query(`grant select, insert, update on all tables in schema public to ${role}`);
      expect(await migrateDatabase(roleUrl)).toEqual({ schema: 'public', taken: [] });
    },
  );

  test.each(['an empty database', 'a database of 0.1.0'])('is told what it lacks on %s', async (state) => {
    if (state !== 'an empty database') await migrateAs020(url, 1);
    const failure = migrateDatabase(roleUrl);
    await expect(failure).rejects.toMatchObject({ code: 'database_refused' });
    await expect(failure).rejects.toThrow(
      new RegExp(
        `The role ${role} may not make or change tables in the schema public \\(.*grant create on schema "public" to "${role}"`,
      ),
    );
    expect(await tablesOf('public')).toEqual(state === 'an empty database' ? [] : ['messages']);
  });
});

describe('after any history', () => {
  const STEPS = [
    'migrate one',
    'migrate two',
    'migrate one and two, each twice, at once',
    '0.2.0 migrates one',
    '0.1.0 migrates two',
    'the application migrates',
    'the schema drizzle is dropped',
    'the history of one is dropped',
    'a message is written',
  ] as const;

  test('a migration succeeds, every table is there, no message and no migration of the application is lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...STEPS), { minLength: 2, maxLength: 7 }),
        fc.constantFrom(EARLIER, LATER),
        async (steps, firstWhen) => {
          await query(
            'drop schema if exists one, two, app, drizzle cascade; create schema one; create schema two; create schema app',
          );
          const application: { tag: string; when: number; text: string }[] = [];
          const written = { one: 0, two: 0 };
          for (const step of [...steps, 'migrate one', 'migrate two', 'the application migrates'] as const) {
            if (step === '0.2.0 migrates one' || step === '0.1.0 migrates two') {
              // It fails where it does not know what it finds; that was so.
              const isOne = step === '0.2.0 migrates one';
              await migrateAs020(withPath(isOne ? 'one' : 'two'), isOne ? 2 : 1).catch(() => {});
            } else if (step === 'the application migrates') {
              const tag = `${application.length}_app`;
              application.push({
                tag,
                when: firstWhen + application.length,
                text: `CREATE TABLE IF NOT EXISTS "t${tag}" ("id" int)`,
              });
              // What 0.2.0 left in drizzle's history would hide these: that is what our migration takes away.
              await migrateDatabase(withPath('one'));
              await migrateWithDrizzle(withPath('app'), application);
              const there = await tablesOf('app');
              expect(there).toEqual(application.map((one) => `t${one.tag}`).toSorted());
            } else if (step === 'the schema drizzle is dropped') {
              await query('drop schema if exists drizzle cascade');
            } else if (step === 'the history of one is dropped') {
              await query('drop table if exists one.sluice_migrations');
            } else if (step === 'a message is written') {
              for (const schema of ['one', 'two'] as const) {
                if (!(await tablesOf(schema)).includes('messages')) continue;
                await query(
                  `insert into ${schema}.messages (producer, sequence, payload, received_at) values ('p', 1, '1', now())`,
                );
                written[schema] += 1;
              }
            } else {
              const schemas = (['one', 'two'] as const).filter((schema) => step.includes(schema));
              const times = step.includes('twice') ? 2 : 1;
              await Promise.all(
                schemas.flatMap((schema) =>
                  Array.from({ length: times }, () => migrateDatabase(withPath(schema))),
                ),
              );
              for (const schema of schemas) {
                expect(await tablesOf(schema)).toEqual(COMPLETE);
                expect((await history(schema)).toSorted()).toEqual(ALL_STEPS.toSorted());
                expect(await query(`select count(epoch)::int as count from ${schema}.messages`)).toEqual([
                  { count: written[schema] },
                ]);
              }
            }
          }
        },
      ),
      {
        numRuns: 12,
        // Found by chance once: our row in drizzle's history came after our own migration of another schema was complete.
        examples: [[['migrate one', '0.1.0 migrates two', 'the application migrates'], EARLIER]],
      },
    );
  });
});

describe('npm run migrate', () => {
  const cli = commandLine();

  test('says what it did and where, and with --sluice-only leaves src/schema alone', async () => {
    const only = await cli.run(['migrate', '--sluice-only'], { DATABASE_URL: url });
    expect(only).toMatchObject({ exitCode: 0, stderr: '' });
    expect(only.stdout).toMatch(
      /^Done: sluice_0000_checkpoints\nDone: sluice_0001_dead_letters\nThe tables of .* are up to date \(schema public\)\n$/,
    );
    expect(await tablesOf('public')).toEqual([
      'sluice_checkpoints',
      'sluice_dead_letters',
      'sluice_migrations',
    ]);
    const all = await cli.run(['migrate'], { DATABASE_URL: url });
    expect(all.stdout).toMatch(/^Done: 0000_messages\nDone: 0001_checkpoints\nThe tables of /);
  });
});
