/** Each check of a database: one that is broken is named, and a sound one is not. */

import { sql } from 'drizzle-orm';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check, Finding } from '../../../local/doctor/check.ts';
import { CHECKS } from '../../../local/doctor/checks.ts';
import { type DatabaseFacts, isPrivate, openDatabaseFacts } from '../../../local/doctor/database-facts.ts';
import { migrateDatabase } from '../../../local/migrate.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';
import { freshName, rowsOf } from '../../support/connect.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { startTransactionPooler, type TransactionPooler } from '../../support/transaction-pooler.ts';

const database = ownDatabase();
const doctored = pgTable('doctored', { key: text().unique(), text: text() });
const plain = defineSink('plain', { table: doctored });
const upserts = defineSink('upserts', {
  table: doctored,
  onConflict: { action: 'update', columns: ['key'] },
});
const SOUND_TABLE = 'create table doctored (id serial primary key, key text unique, text text)';

let pooler: TransactionPooler;
const weak = freshName('weak');

beforeAll(async () => {
  await migrateDatabase(database.url, { isSluiceOnly: true });
  await run(SOUND_TABLE);
  await run(`create role ${weak} login password 'weak'`);
  const { hostname, port } = new URL(database.url);
  pooler = await startTransactionPooler({ host: hostname, port: Number(port) });
});
afterAll(async () => {
  await run(`drop owned by ${weak}`);
  await run(`drop role ${weak}`);
  await pooler.close();
});

async function run(statement: string): Promise<void> {
  await rowsOf(database.connection, statement);
}

interface Asked extends Partial<DatabaseFacts> {
  /** Another way to the database. */
  at?: string;
  /** Statements that make what the server's catalog says another thing, in the schema `fake`. */
  fakes?: readonly string[];
  /** Runs before, and what takes it back after. */
  during?: readonly [before: readonly string[], after: readonly string[]];
}

/** What a check finds. */
async function look(
  name: string,
  { at, fakes = [], during = [[], []], ...facts }: Asked = {},
): Promise<Finding[]> {
  const check = CHECKS.database.find((one) => one.name === name) as Check<DatabaseFacts>;
  const schema = freshName('fake');
  if (fakes.length > 0) await run(`create schema ${schema}`);
  for (const statement of [...fakes.map((one) => one.replaceAll('fake.', `${schema}.`)), ...during[0]])
    await run(statement);
  const path = `options=${encodeURIComponent(`-c search_path=${schema},pg_catalog,public`)}`;
  const url = at ?? (fakes.length > 0 ? `${database.url}?${path}` : database.url);
  const opened = await openDatabaseFacts(url, { sinks: [plain], hasStores: false });
  try {
    return [...(await check.look({ ...opened.facts, isDevelopment: false, ...facts }))];
  } finally {
    opened.close();
    for (const statement of during[1]) await run(statement);
    if (fakes.length > 0) await run(`drop schema ${schema} cascade`);
  }
}

function as(role: string, password: string, options?: string): string {
  const url = Object.assign(new URL(database.url), { username: role, password });
  return `${url.href}${options === undefined ? '' : `?options=${encodeURIComponent(options)}`}`;
}

const withOptions = (options: string) => `${database.url}?options=${encodeURIComponent(options)}`;
const throughPooler = () => Object.assign(new URL(database.url), { port: String(pooler.port) }).href;
const settings = (values: Record<string, string | number>) =>
  `create view fake.pg_settings as select * from (values ${Object.entries(values)
    .map(([name, value]) => `('${name}', '${value}', '${value}', array['off', 'pglz', 'lz4']::text[])`)
    .join(', ')}) as settings (name, setting, reset_val, enumvals)`;
const wal = (images: number) =>
  `create view fake.pg_stat_wal as select ${images}::bigint as wal_fpi, ${1024 ** 3}::numeric as wal_bytes`;
const checkpoints = (timed: number, requested: number) =>
  `create view fake.pg_stat_checkpointer as select ${timed}::bigint as num_timed, ${requested}::bigint as num_requested`;
const SOUND_CHECKPOINTS = { checkpoint_timeout: 900, checkpoint_completion_target: 0.9, max_wal_size: 4_096 };
const oldStatistics = (days: number) =>
  `create view fake.pg_stat_database as select current_database() as datname, now() - interval '${days} days' as stats_reset`;
const slot = (bytes: number) => [
  `create view fake.pg_replication_slots as select 'left' as slot_name, false as active, '0/0'::pg_lsn as restart_lsn`,
  `create function fake.pg_current_wal_lsn() returns pg_lsn language sql as $$ select '0/0'::pg_lsn + ${bytes}::numeric $$`,
];
const activity = (minutes: number) =>
  `create view fake.pg_stat_activity as select 77 as pid, 'app' as usename, 'client backend' as backend_type, now() - interval '${minutes} minutes' as xact_start`;
const index = (...definitions: string[]) =>
  [
    definitions.map((definition, n) => `create index doctored_${n} on doctored ${definition}`),
    definitions.map((_, n) => `drop index doctored_${n}`),
  ] as const;
const table = (definition: string) =>
  [
    ['drop table doctored', definition],
    ['drop table doctored', SOUND_TABLE],
  ] as const;
/** The role of the test may do these things, and then none. */
const granted = (...rights: string[]) =>
  [rights.map((right) => `grant ${right} to ${weak}`), [`drop owned by ${weak}`]] as const;
const OWN_RIGHTS = ['select, insert, update on sluice_checkpoints'];

/** A connection that refuses a statement, as a pooler does. */
function refusing(statement: string): Connection {
  return {
    close() {},
    db: {
      execute(asked: string) {
        if (asked === statement) throw Object.assign(new Error('not allowed'), { code: '08P01' });
        return Promise.resolve({ rows: [{ pid: 1 }] });
      },
    },
  } as unknown as Connection;
}

interface Case {
  broken: () => Promise<Finding[]>;
  state: Finding['state'];
  says: RegExp;
  /** A line of the remedy. */
  remedy?: RegExp;
  sound: () => Promise<Finding[]>;
}

/** Several for a check are told apart by what follows a colon. */
const CASES: Record<string, Case> = {
  tables: {
    broken: () =>
      look('tables', {
        at: withOptions('-c search_path=bare'),
        during: [['create schema bare'], ['drop schema bare']],
      }),
    state: 'wrong',
    says: /lacks sluice_0000_checkpoints, sluice_0001_dead_letters/,
    remedy: /^npx sluice migrate$/,
    sound: () => look('tables'),
  },
  'takes-writes': {
    broken: () => look('takes-writes', { at: withOptions('-c default_transaction_read_only=on') }),
    state: 'wrong',
    says: /only read/,
    remedy: /set default_transaction_read_only = off/,
    sound: () => look('takes-writes'),
  },
  'takes-writes: a standby': {
    broken: () =>
      look('takes-writes', {
        fakes: ['create function fake.pg_is_in_recovery() returns boolean language sql as $$ select true $$'],
      }),
    state: 'wrong',
    says: /standby/,
    sound: () => look('takes-writes'),
  },
  encoding: {
    broken: async () => {
      const name = freshName('ascii');
      await run(`create database ${name} encoding 'SQL_ASCII' locale 'C' template template0`);
      try {
        return await look('encoding', { at: Object.assign(new URL(database.url), { pathname: name }).href });
      } finally {
        await run(`drop database ${name} with (force)`);
      }
    },
    state: 'wrong',
    says: /SQL_ASCII/,
    sound: () => look('encoding'),
  },
  'sink-tables': {
    broken: () => look('sink-tables', { during: table('create table doctored (key text)') }),
    state: 'wrong',
    says: /cannot write to "doctored": column .*text.* not/,
    remedy: /^npx sluice migrate$/,
    sound: () => look('sink-tables'),
  },
  'sink-tables: no table': {
    broken: () =>
      look('sink-tables', {
        during: [['alter table doctored rename to gone'], ['alter table gone rename to doctored']],
      }),
    state: 'wrong',
    says: /"doctored" does not exist/,
    sound: () => look('sink-tables'),
  },
  'sink-tables: no unique index': {
    broken: () =>
      look('sink-tables', { sinks: [upserts], during: table('create table doctored (key text, text text)') }),
    state: 'wrong',
    says: /no unique or exclusion constraint/,
    sound: () => look('sink-tables', { sinks: [upserts] }),
  },
  'sink-tables: unlogged': {
    broken: () =>
      look('sink-tables', {
        during: [['alter table doctored set unlogged'], ['alter table doctored set logged']],
      }),
    state: 'wrong',
    says: /unlogged/,
    remedy: /^alter table "doctored" set logged$/,
    sound: () => look('sink-tables'),
  },
  rights: {
    broken: () =>
      look('rights', {
        at: as(weak, 'weak'),
        during: granted(...OWN_RIGHTS, 'usage on sequence doctored_id_seq'),
      }),
    state: 'wrong',
    says: /may not write to "doctored"/,
    remedy: /^grant insert on "doctored" to "weak_\w+"$/,
    sound: () =>
      look('rights', {
        at: as(weak, 'weak'),
        during: granted(...OWN_RIGHTS, 'insert on doctored', 'usage on sequence doctored_id_seq'),
      }),
  },
  'rights: of an upsert': {
    broken: () =>
      look('rights', {
        at: as(weak, 'weak'),
        sinks: [upserts],
        during: granted(...OWN_RIGHTS, 'insert on doctored', 'usage on sequence doctored_id_seq'),
      }),
    state: 'wrong',
    says: /may not write to "doctored"/,
    remedy: /^grant insert, update, select on/,
    sound: () =>
      look('rights', {
        at: as(weak, 'weak'),
        sinks: [upserts],
        during: granted(
          ...OWN_RIGHTS,
          'insert, update, select on doctored',
          'usage on sequence doctored_id_seq',
        ),
      }),
  },
  'rights: of a sequence': {
    broken: () =>
      look('rights', { at: as(weak, 'weak'), during: granted(...OWN_RIGHTS, 'insert on doctored') }),
    state: 'wrong',
    says: /sequence doctored_id_seq/,
    remedy: /^grant usage on sequence doctored_id_seq/,
    sound: () => look('rights'),
  },
  'rights: of the checkpoints': {
    broken: () =>
      look('rights', {
        at: as(weak, 'weak'),
        during: granted(
          'select, insert on sluice_checkpoints',
          'insert on doctored',
          'usage on sequence doctored_id_seq',
        ),
      }),
    state: 'wrong',
    says: /may not use the table sluice_checkpoints/,
    remedy: /^grant select, insert, update on "sluice_checkpoints"/,
    sound: () => look('rights'),
  },
  'rights: of the dead letters': {
    broken: () =>
      look('rights', {
        at: as(weak, 'weak'),
        sinks: [defineSink('copied', { table: doctored, options: { deadLetters: 'table' } })],
        during: granted(...OWN_RIGHTS, 'insert on doctored', 'usage on sequence doctored_id_seq'),
      }),
    state: 'wrong',
    says: /may not use the table sluice_dead_letters/,
    remedy: /^grant select, insert, delete on "sluice_dead_letters"/,
    sound: () =>
      look('rights', {
        sinks: [defineSink('copied', { table: doctored, options: { deadLetters: 'table' } })],
      }),
  },
  'temporary-tables': {
    broken: () => look('temporary-tables', { at: as(weak, 'weak'), sinks: [upserts], during: noTemporary() }),
    state: 'wrong',
    says: /may not make temporary tables/,
    remedy: /^grant temporary on database/,
    sound: () => look('temporary-tables', { at: as(weak, 'weak'), during: noTemporary() }),
  },
  'row-security': {
    broken: () => look('row-security', { at: as(weak, 'weak'), during: rowSecurity() }),
    state: 'wrong',
    says: /row security/,
    remedy: /bypassrls$/,
    // It does not hold for the owner.
    sound: () => look('row-security', { during: rowSecurity() }),
  },
  'server-version': {
    broken: () => look('server-version', { version: 130_012 }),
    state: 'unwise',
    says: /PostgreSQL 13/,
    sound: () => look('server-version'),
  },
  pooler: {
    broken: () => look('pooler', { open: () => Promise.resolve(refusing('begin')) }),
    state: 'wrong',
    says: /mode "statement"/,
    remedy: /^pool_mode = transaction$/,
    sound: () => look('pooler'),
  },
  'pooler: keeps options': {
    broken: async () => {
      const { facts, close } = await openDatabaseFacts(withOptions('-c statement_timeout=33s'), {
        sinks: [],
        hasStores: false,
      });
      close();
      return look('pooler', { address: facts.address });
    },
    state: 'wrong',
    says: /has statement_timeout = 0, and the address asks for 33s/,
    remedy: /^alter role "sluice" set statement_timeout = '33s'$/,
    sound: () => look('pooler', { at: withOptions('-c statement_timeout=33s -c search_path=a,\\ b') }),
  },
  'pooler: of transactions, before stores': {
    broken: () => look('pooler', { at: throughPooler(), hasStores: true }),
    state: 'unwise',
    says: /transaction pooler.* The message store/s,
    sound: () => look('pooler', { hasStores: true }),
  },
  tls: {
    broken: () => look('tls', { address: addressOf('postgres://a:b@db.example.com/c') }),
    state: 'wrong',
    says: /is not encrypted/,
    remedy: /^sslmode=require$/,
    sound: () => look('tls', { address: addressOf('postgres://a:b@db.example.com/c?sslmode=require') }),
  },
  'tls: in a private network': {
    broken: () => look('tls', { address: addressOf('postgres://a:b@10.0.0.7/c') }),
    state: 'unwise',
    says: /is not encrypted/,
    sound: () => look('tls'),
  },
  'time-limits': {
    broken: () => look('time-limits', { at: withOptions(`${SOUND_LIMITS} -c statement_timeout=500`) }),
    state: 'wrong',
    says: /statement_timeout of the role sluice is 500 ms/,
    remedy: /set statement_timeout = '30s'$/,
    sound: () => look('time-limits', { at: withOptions(`${SOUND_LIMITS} -c statement_timeout=60s`) }),
  },
  'time-limits: short': {
    broken: () => look('time-limits', { at: withOptions(`${SOUND_LIMITS} -c transaction_timeout=5s`) }),
    state: 'unwise',
    says: /transaction_timeout of the role sluice is 5000 ms/,
    sound: () => look('time-limits', { at: withOptions(SOUND_LIMITS) }),
  },
  'time-limits: none for forgotten transactions': {
    broken: () => look('time-limits', { at: withOptions('-c lock_timeout=10s') }),
    state: 'unwise',
    says: /idle_in_transaction_session_timeout is not set/,
    sound: () => look('time-limits', { at: withOptions(SOUND_LIMITS) }),
  },
  'time-limits: none for locks': {
    broken: () => look('time-limits', { at: withOptions('-c idle_in_transaction_session_timeout=60s') }),
    state: 'unwise',
    says: /lock_timeout of the role sluice is not set/,
    sound: () => look('time-limits', { at: withOptions(SOUND_LIMITS) }),
  },
  durability: {
    broken: () =>
      look('durability', {
        fakes: [settings({ fsync: 'on', full_page_writes: 'on', synchronous_commit: 'off' })],
      }),
    state: 'wrong',
    says: /synchronous_commit is off/,
    remedy: /set synchronous_commit = on$/,
    sound: () =>
      look('durability', {
        fakes: [settings({ fsync: 'on', full_page_writes: 'on', synchronous_commit: 'local' })],
      }),
  },
  'durability: of the disk': {
    broken: () =>
      look('durability', {
        fakes: [settings({ fsync: 'off', full_page_writes: 'on', synchronous_commit: 'on' })],
      }),
    state: 'wrong',
    says: /fsync is off/,
    remedy: /^alter system set fsync = on$/,
    // The server of the tests has it off, and nobody keeps anything there.
    sound: () => look('durability', { isDevelopment: true }),
  },
  connections: {
    broken: () => look('connections', { sinks: [many(200)] }),
    state: 'wrong',
    says: /open up to 200 connections, and max_connections of the server leaves room for 197/,
    remedy: /^alter system set max_connections/,
    sound: () => look('connections', { sinks: [many(100)] }),
  },
  'connections: of the role': {
    broken: () =>
      look('connections', {
        at: as(weak, 'weak'),
        sinks: [many(10)],
        during: [[`alter role ${weak} connection limit 9`], [`alter role ${weak} connection limit -1`]],
      }),
    state: 'wrong',
    says: /the limit of the role weak_\w+ leaves room for 9/,
    remedy: /connection limit -1$/,
    sound: () => look('connections', { at: as(weak, 'weak'), sinks: [many(10)] }),
  },
  'connections: in use': {
    broken: () =>
      look('connections', {
        fakes: [
          `create view fake.pg_stat_activity as select 'client backend' as backend_type, 1 as datid, 1 as usesysid from generate_series(1, 160)`,
        ],
      }),
    state: 'unwise',
    says: /160 of the 197 connections/,
    sound: () => look('connections'),
  },
  'long-transactions': {
    broken: () => look('long-transactions', { fakes: [activity(90)] }),
    state: 'unwise',
    says: /process 77 of the role app has had a transaction open for 90 minutes/,
    remedy: /^select pg_terminate_backend\(77\)$/,
    sound: () => look('long-transactions', { fakes: [activity(50)] }),
  },
  'wal-compression': {
    broken: () => look('wal-compression', { fakes: [wal(100_000), settings({ wal_compression: 'off' })] }),
    state: 'unwise',
    says: /about 76 % of the WAL are images of pages/,
    remedy: /^alter system set wal_compression = 'lz4'$/,
    sound: () => look('wal-compression', { fakes: [wal(100_000), settings({ wal_compression: 'lz4' })] }),
  },
  'wal-compression: where it wins something': {
    broken: () => look('wal-compression', { fakes: [wal(60_000), settings({ wal_compression: 'off' })] }),
    state: 'unwise',
    says: /about 46 %/,
    sound: () => look('wal-compression', { fakes: [wal(10_000), settings({ wal_compression: 'off' })] }),
  },
  'wal-compression: by the slow way': {
    broken: () => look('wal-compression', { fakes: [wal(100_000), settings({ wal_compression: 'pglz' })] }),
    state: 'unwise',
    says: /wal_compression is pglz/,
    remedy: /^alter system set wal_compression = 'lz4'$/,
    sound: () => look('wal-compression', { fakes: [wal(10_000), settings({ wal_compression: 'pglz' })] }),
  },
  'max-wal-size': {
    broken: () => look('max-wal-size', { fakes: [settings({ max_wal_size: 1_024 })] }),
    state: 'unwise',
    says: /max_wal_size is 1024 MB/,
    remedy: /^alter system set max_wal_size = '4GB'$/,
    sound: () => look('max-wal-size'),
  },
  checkpoints: {
    broken: () => look('checkpoints', { fakes: [checkpoints(20, 30), settings(SOUND_CHECKPOINTS)] }),
    state: 'unwise',
    says: /30 of 50 checkpoints came because the WAL was full/,
    remedy: /^alter system set max_wal_size = '8GB'$/,
    sound: () => look('checkpoints', { fakes: [checkpoints(40, 10), settings(SOUND_CHECKPOINTS)] }),
  },
  'checkpoints: of older servers': {
    broken: () =>
      look('checkpoints', { version: 160_004, fakes: [settings(SOUND_CHECKPOINTS), bgwriter(20, 30)] }),
    state: 'unwise',
    says: /30 of 50 checkpoints/,
    sound: () =>
      look('checkpoints', { version: 160_004, fakes: [settings(SOUND_CHECKPOINTS), bgwriter(40, 10)] }),
  },
  'checkpoints: near each other': {
    broken: () =>
      look('checkpoints', {
        fakes: [checkpoints(40, 0), settings({ ...SOUND_CHECKPOINTS, checkpoint_timeout: 60 })],
      }),
    state: 'unwise',
    says: /checkpoint_timeout is 60 s/,
    sound: () => look('checkpoints', { fakes: [checkpoints(40, 0), settings(SOUND_CHECKPOINTS)] }),
  },
  'checkpoints: at once': {
    broken: () =>
      look('checkpoints', {
        fakes: [checkpoints(40, 0), settings({ ...SOUND_CHECKPOINTS, checkpoint_completion_target: 0.5 })],
      }),
    state: 'unwise',
    says: /checkpoint_completion_target is 0.5/,
    sound: () => look('checkpoints', { fakes: [checkpoints(40, 0), settings(SOUND_CHECKPOINTS)] }),
  },
  'replication-slots': {
    broken: () => look('replication-slots', { fakes: slot(3 * 1024 ** 3) }),
    state: 'unwise',
    says: /slot left is read by nobody, and keeps 3\.0 GB/,
    remedy: /^select pg_drop_replication_slot\('left'\)$/,
    sound: () => look('replication-slots', { fakes: slot(1024 ** 2) }),
  },
  'unused-indexes': {
    broken: () => look('unused-indexes', { fakes: [oldStatistics(8)], during: index('(text)') }),
    state: 'unwise',
    says: /index doctored_0 of doctored was not used once in 8 days/,
    remedy: /^drop index concurrently doctored_0$/,
    sound: () => look('unused-indexes', { fakes: [oldStatistics(6)], during: index('(text)') }),
  },
  'unused-indexes: but for used ones': {
    broken: () => look('unused-indexes', { fakes: [oldStatistics(8)], during: index('(text)') }),
    state: 'unwise',
    says: /doctored_0/,
    sound: () =>
      look('unused-indexes', {
        fakes: [
          oldStatistics(8),
          'create view fake.pg_stat_user_indexes as select indexrelid, 1::bigint as idx_scan from pg_index',
        ],
        during: index('(text)'),
      }),
  },
  'invalid-indexes': {
    broken: () =>
      look('invalid-indexes', {
        during: [
          [
            'create index doctored_0 on doctored (text)',
            `update pg_index set indisvalid = false where indexrelid = 'doctored_0'::regclass`,
          ],
          ['drop index doctored_0'],
        ],
      }),
    state: 'unwise',
    says: /index doctored_0 of doctored is not valid/,
    remedy: /^drop index concurrently doctored_0$/,
    sound: () => look('invalid-indexes', { during: index('(text)') }),
  },
  'duplicate-indexes': {
    broken: () => look('duplicate-indexes', { during: index('(key)') }),
    state: 'unwise',
    says: /index doctored_0 of doctored is the same as doctored_key_key/,
    remedy: /^drop index concurrently doctored_0$/,
    sound: () =>
      look('duplicate-indexes', { during: index('(key desc)', '(key) where id > 7', '(lower(key))') }),
  },
  'many-indexes': {
    broken: () =>
      look('many-indexes', { during: index('(text)', '(text, key)', '(lower(text))', '(upper(text))') }),
    state: 'unwise',
    says: /table doctored has 6 indexes/,
    remedy: /^select indexrelname/,
    sound: () => look('many-indexes', { during: index('(text)', '(text, key)', '(lower(text))') }),
  },
  sequences: {
    broken: () => look('sequences', { during: sequenceAt(2_100_000_000) }),
    state: 'wrong',
    says: /sequence doctored_id_seq has used up 97\.8 % of what id of doctored \(integer\) holds/,
    remedy: /^alter table doctored alter column id type bigint$/,
    sound: () => look('sequences', { during: sequenceAt(1_000_000_000) }),
  },
  'sequences: near the end': {
    broken: () => look('sequences', { during: sequenceAt(1_700_000_000) }),
    state: 'unwise',
    says: /79\.2 %/,
    sound: () =>
      look('sequences', {
        during: [
          [
            'alter table doctored alter column id type bigint',
            'alter sequence doctored_id_seq as bigint',
            ...sequenceAt(1_700_000_000)[0],
          ],
          ['drop table doctored', SOUND_TABLE],
        ],
      }),
  },
};

const SOUND_LIMITS = '-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s';

function addressOf(url: string): DatabaseFacts['address'] {
  const { hostname, searchParams } = new URL(url);
  return {
    user: 'a',
    password: 'b',
    host: hostname,
    port: 5432,
    database: 'c',
    tls: searchParams.has('sslmode'),
    options: undefined,
    applicationName: undefined,
  };
}

function noTemporary(): [string[], string[]] {
  const name = new URL(database.url).pathname.slice(1);
  return [
    [`revoke temporary on database ${name} from public`],
    [`grant temporary on database ${name} to public`],
  ];
}

function rowSecurity(): [string[], string[]] {
  return [
    ['alter table doctored enable row level security', `grant insert on doctored to ${weak}`],
    ['alter table doctored disable row level security', `drop owned by ${weak}`],
  ];
}

function sequenceAt(last: number): [string[], string[]] {
  return [[`select setval('doctored_id_seq', ${last})`], [`select setval('doctored_id_seq', 1)`]];
}

function bgwriter(timed: number, requested: number): string {
  return `create view fake.pg_stat_bgwriter as select ${timed}::bigint as checkpoints_timed, ${requested}::bigint as checkpoints_req`;
}

function many(connections: number) {
  return defineSink('many', {
    table: pgTable('many', { id: integer() }),
    options: { shards: connections / 2, connections: 2 },
  });
}

describe.each(Object.entries(CASES))('%s', (_, { broken, state, says, remedy, sound }) => {
  test('a broken database is named, with its remedy', async () => {
    const found = (await broken()).filter((finding) => finding.state !== 'good');
    expect(found).toHaveLength(1);
    const [finding] = found as [Finding];
    expect(finding.state).toBe(state);
    expect(`${finding.what} ${finding.why}`).toMatch(says);
    if (remedy !== undefined) expect(finding.remedy).toContainEqual(expect.stringMatching(remedy));
  });

  test('and a sound one is not', async () => {
    expect((await sound()).filter((finding) => finding.state !== 'good')).toEqual([]);
  });
});

test('every check has a case', () => {
  const tested = new Set(Object.keys(CASES).map((name) => name.split(':')[0]));
  expect([...tested]).toEqual(CHECKS.database.map(({ name }) => name));
});

test('what comes from a transaction pooler is told, and is well for sinks', async () => {
  expect(await look('pooler', { at: throughPooler() })).toEqual([
    expect.objectContaining({ state: 'good', what: expect.stringContaining('transaction pooler') }),
  ]);
});

test('what a role may not see is not known, and no fault', async () => {
  const { runChecks } = await import('../../../local/doctor/checks.ts');
  await database.connection.db.execute(sql`revoke all on pg_stat_wal from public`);
  const { facts, close } = await openDatabaseFacts(as(weak, 'weak'), { sinks: [], hasStores: false });
  try {
    const [report] = await runChecks(
      'database',
      CHECKS.database.filter(({ name }) => name === 'wal-compression'),
      { ...facts, isDevelopment: false },
      () => {},
    );
    expect(report?.findings).toEqual([
      {
        state: 'unknown',
        what: 'The check wal-compression could not look',
        why: expect.stringMatching(/permission denied/),
      },
    ]);
  } finally {
    close();
    await database.connection.db.execute(sql`grant select on pg_stat_wal to public`);
  }
});

test.each([
  ['10.1.2.3', true],
  ['172.20.0.1', true],
  ['172.32.0.1', false],
  ['192.168.0.9', true],
  ['fd00::1', true],
  ['2001:db8::1', false],
  ['postgres', true],
  ['db.internal', true],
  ['db.example.com', false],
])('%s: of a private network %s', (host, expected) => expect(isPrivate(host)).toBe(expected));
