/**
 * What settings of Postgres and further indexes win or cost the writer `copy`: `node lab/local/tune-postgres.ts [rows] [rounds]`. Each
 * is measured against the same server without it, in turns, so that what else the machine does meets both alike. The table in
 * docs/doctor.md is what it printed. DATABASE_URL names a server that is there for this, as a superuser: its settings are changed, and
 * its table `sluice_checkpoints` is emptied. Without it, the embedded Postgres is started.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { bigint, jsonb, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import { migrateDatabase } from '../../local/migrate.ts';
import { startEmbeddedPostgres } from '../../local/postgres/embedded.ts';
import { NO_FAILPOINTS } from '../../src/core/failpoints.ts';
import { type Connection, openConnection } from '../../src/database/connection.ts';
import { fromPayload, fromProducer, fromReceivedAt, fromSequence } from '../../src/sinks/column-sources.ts';
import type { MessageBatch } from '../../src/sinks/message-batch.ts';
import { defineSink } from '../../src/sinks/table-sink.ts';
import { copy } from '../../src/writers/copy.ts';
import { writeOnce } from '../../src/writers/write-once.ts';
import { hodgesLehmann } from '../statistics/hodges-lehmann.ts';
import { median } from '../statistics/median.ts';
import { benchPayload } from '../suites/ingest/payload.ts';

const ROWS = Number(process.argv[2] ?? 200_000);
const ROUNDS = Number(process.argv[3] ?? 9);
const BATCH_ROWS = 5_000;

const readings = pgTable(
  'tuned',
  {
    producer: text().notNull(),
    sequence: bigint({ mode: 'number' }).notNull(),
    receivedAt: timestamp('received_at', { withTimezone: true }).notNull(),
    payload: jsonb().notNull(),
  },
  (table) => [primaryKey({ columns: [table.producer, table.sequence] })],
);
const sink = defineSink('tuned', {
  table: readings,
  columns: {
    producer: fromProducer,
    sequence: fromSequence,
    receivedAt: fromReceivedAt,
    payload: fromPayload,
  },
});

interface Change {
  name: string;
  before: readonly string[];
  after: readonly string[];
}

const set = (name: string, before: string, after: string): Change => ({
  name: `\`${name}\`: ${before} → ${after}`,
  before: [`alter system set ${name} = '${before}'`],
  after: [`alter system set ${name} = '${after}'`],
});
const index = (name: string, ...columns: string[]): Change => ({
  name,
  before: [],
  after: columns.map((column) => `create index on tuned ${column}`),
});

/** After each checkpoint the first change of a page puts all of it into the WAL. */
const OFTEN = ['create index on tuned (md5(producer || sequence))', "alter system set max_wal_size = '32MB'"];

/** The ways to compress that the server was built with. */
async function compressions({ db }: Connection): Promise<Change[]> {
  const { rows } = (await db.execute(
    sql`select unnest(enumvals) as way from pg_settings where name = 'wal_compression'`,
  )) as unknown as { rows: { way: string }[] };
  return rows
    .map(({ way }) => way)
    .filter((way) => ['pglz', 'lz4', 'zstd'].includes(way))
    .flatMap((way) => [
      set('wal_compression', 'off', way),
      {
        name: 'the same, with an index whose keys come in no order and checkpoints that come often',
        before: [...OFTEN, "alter system set wal_compression = 'off'"],
        after: [...OFTEN, `alter system set wal_compression = '${way}'`],
      },
    ]);
}

const CHANGES: readonly Change[] = [
  { name: 'nothing (the control)', before: [], after: [] },
  set('max_wal_size', '32MB', '4GB'),
  {
    name: 'the same, with an index whose keys come in no order',
    before: OFTEN,
    after: [OFTEN[0] as string, "alter system set max_wal_size = '4GB'"],
  },
  set('synchronous_commit', 'on', 'off'),
  index('one more index (`received_at`)', '(received_at)'),
  index('three more indexes', '(received_at)', '(producer, received_at)', "((payload ->> 'device'))"),
  index('one GIN index on `payload`', 'using gin (payload)'),
];

interface Figure {
  rowsPerSecond: number;
  /** What the server's process worked; null where it is not on this machine. Other load changes it less than the rate. */
  cpuMicrosPerRow: number | null;
  walBytesPerRow: number;
}

async function run(connection: Connection, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await connection.db.execute(sql.raw(statement));
}

function batchAt(from: number): MessageBatch {
  const rows = Array.from({ length: BATCH_ROWS }, (_, n) => from + n);
  const atMs = Date.now();
  return {
    columns: {
      producers: rows.map(() => 'client-0'),
      sequences: rows,
      epochs: rows.map(() => 0),
      payloads: rows.map((n) => benchPayload('client-0', n)),
      plain: rows.map(() => true),
      receivedAtMs: rows.map(() => atMs),
    },
    from: 0,
    to: BATCH_ROWS,
    position: BigInt(from),
    bytes: 0,
  };
}

async function walPosition({ db }: Connection): Promise<number> {
  const { rows } = (await db.execute(
    sql`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as at`,
  )) as unknown as { rows: { at: number }[] };
  return rows[0]?.at as number;
}

/** The processor's time that the process of a connection has used, in microseconds. */
async function cpuMicros({ db }: Connection): Promise<number | null> {
  const { rows } = (await db.execute(sql`select pg_backend_pid() as pid`)) as unknown as {
    rows: { pid: number }[];
  };
  const text = await readFile(`/proc/${rows[0]?.pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return null;
  // After the name in parentheses; of utime and stime, in hundredths of a second.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Writes the rows, as a shard does: a transaction with a checkpoint for each batch. */
async function measure(connection: Connection, setting: readonly string[]): Promise<Figure> {
  const alters = setting.filter((statement) => statement.startsWith('alter system'));
  await run(connection, ['drop table if exists tuned', 'truncate sluice_checkpoints', CREATE]);
  await run(connection, setting);
  if (alters.length > 0) {
    await run(connection, ['select pg_reload_conf()']);
    for (const alter of alters) await untilShown(connection, alter);
  }
  // Half of the rows are there before the clock starts, so that there are pages to change.
  const prepare = copy.create(sink);
  const half = Math.round(ROWS / 2 / BATCH_ROWS) * BATCH_ROWS;
  const key = { sink: 'tuned', shard: '0', lane: 0, incarnation: 'one' };
  let fence: bigint | null = null;
  const write = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += BATCH_ROWS) {
      const end = BigInt(at + BATCH_ROWS);
      await writeOnce(connection, { key, fence, from: BigInt(at), end }, prepare(batchAt(at)), NO_FAILPOINTS);
      fence = end;
    }
  };
  await write(0, half);
  await run(connection, ['checkpoint']);
  const walBefore = await walPosition(connection);
  const cpuBefore = await cpuMicros(connection);
  const startedAtMs = performance.now();
  await write(half, half + ROWS);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const cpuAfter = await cpuMicros(connection);
  const figure = {
    rowsPerSecond: ROWS / seconds,
    cpuMicrosPerRow: cpuBefore === null || cpuAfter === null ? null : (cpuAfter - cpuBefore) / ROWS,
    walBytesPerRow: ((await walPosition(connection)) - walBefore) / ROWS,
  };
  for (const alter of alters) await run(connection, [alter.replace(' set ', ' reset ').replace(/ = .*/, '')]);
  await run(connection, ['select pg_reload_conf()']);
  return figure;
}

/** A reload reaches a connection with its next statement, or the one after. */
async function untilShown(connection: Connection, alter: string): Promise<void> {
  const [, name, value] = /set (\w+) = '(.*)'/.exec(alter) as unknown as [string, string, string];
  for (;;) {
    const { rows } = (await connection.db.execute(sql.raw(`show ${name}`))) as unknown as {
      rows: Record<string, string>[];
    };
    if (rows[0]?.[name] === value) return;
  }
}

const CREATE = `create table tuned (producer text not null, sequence bigint not null, received_at timestamptz not null,
  payload jsonb not null, primary key (producer, sequence))`;

function percent(share: number | null): string {
  return share === null ? '?' : `${share > 0 ? '+' : ''}${(100 * share).toFixed(0)} %`;
}

async function measureAll(url: string): Promise<void> {
  await migrateDatabase(url, { isSluiceOnly: true });
  const connection = await openConnection({ url, driver: 'tcp' });
  process.stdout.write(
    '| what is changed | rows/s | CPU of the server, µs a row | WAL bytes a row |\n|---|---|---|---|\n',
  );
  for (const { name, before, after } of [...CHANGES, ...(await compressions(connection))]) {
    const figures: Record<'before' | 'after', Figure[]> = { before: [], after: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      const order = round % 2 === 0 ? (['before', 'after'] as const) : (['after', 'before'] as const);
      for (const which of order)
        figures[which].push(await measure(connection, which === 'before' ? before : after));
    }
    const rates = (which: 'before' | 'after') => figures[which].map(({ rowsPerSecond }) => rowsPerSecond);
    const { change, low, high } = hodgesLehmann(rates('before'), rates('after'));
    const middle = (digits: number, of: (figure: Figure) => number | null) =>
      (['before', 'after'] as const)
        .map((which) => median(figures[which].map((figure) => of(figure) ?? 0)).toFixed(digits))
        .join(' → ');
    process.stdout.write(
      `| ${name} | ${percent(change)} (${percent(low)} to ${percent(high)}) | ${middle(1, (one) => one.cpuMicrosPerRow)} | ${middle(0, (one) => one.walBytesPerRow)} |\n`,
    );
  }
  connection.close();
}

if (process.env.DATABASE_URL) {
  await measureAll(process.env.DATABASE_URL);
} else {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-tune-'));
  const postgres = await startEmbeddedPostgres({ dataDirectory: join(folder, 'data'), port: 0 });
  try {
    await measureAll(postgres.url);
  } finally {
    await postgres.stop();
    await rm(postgres.dataDirectory, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  }
}
