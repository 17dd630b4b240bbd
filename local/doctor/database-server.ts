/** Checks of the way to the server, and of what it promises: pooler, TLS, time limits, durability, connections. */

import { quoteName } from '../../src/core/sql-text.ts';
import type { Connection } from '../../src/database/connection.ts';
import { sqlState } from '../../src/database/connection.ts';
import { writingOf } from '../../src/writers/writers.ts';
import { type Check, type Finding, good, unwise, wrong } from './check.ts';
import { type DatabaseFacts, isLoopback, isPrivate } from './database-facts.ts';

/** Of a lesser version nothing is tested. */
const OLDEST_VERSION = 14;

/** A batch of many rows takes seconds on a busy server; with less it fails again and again. */
const SHORTEST_STATEMENT_MS = 10_000;

/** A transaction that is open for so long keeps dead rows from being removed. */
const LONG_TRANSACTION_SECONDS = 3_600;

/** From here on the next deployment, which opens connections beside the old ones, may find none. */
const NEAR_LIMIT = 0.8;

export const SERVER_CHECKS: readonly Check<DatabaseFacts>[] = [
  {
    name: 'server-version',
    about: `PostgreSQL ${OLDEST_VERSION} or later, which Sluice is tested with and which still gets corrections.`,
    remedy: 'Upgrade the server.',
    look({ version }) {
      const major = Math.floor(version / 10_000);
      if (major >= OLDEST_VERSION) return [];
      return [
        unwise(
          `The server is PostgreSQL ${major}`,
          'It gets no corrections any more, and Sluice is not tested with it. Upgrade it.',
        ),
      ];
    },
  },
  {
    name: 'pooler',
    about:
      'Transactions are possible: a pooler in the mode `statement` allows none. Settings of the address (`options=`) reach the server, which most poolers keep from it. A transaction pooler is well, but for the stores, whose statements it has parsed each time.',
    remedy: 'Set the mode `transaction`; write settings by `alter role … set`.',
    look: lookAtPooler,
  },
  {
    name: 'tls',
    about: 'The connection is encrypted, unless the server is on the same machine.',
    remedy: 'Add `sslmode=require` to the address.',
    look({ address, shown }) {
      const { host, tls } = address;
      if (tls || isLoopback(host)) return [];
      const finding = isPrivate(host) ? unwise : wrong;
      return [
        finding(
          `The connection to ${shown} is not encrypted`,
          'Everybody between here and there can read and change the messages. Add to the address:',
          'sslmode=require',
        ),
      ];
    },
  },
  {
    name: 'time-limits',
    about:
      'Limits that end a batch that would succeed (`statement_timeout`, `transaction_timeout`), and none where one protects the sinks from others: a session that forgets its transaction (`idle_in_transaction_session_timeout`) or a change of a table that waits (`lock_timeout`) stops them. What Sluice does has limits in each transaction.',
    remedy: '`alter role … set …`',
    look: lookAtTimeLimits,
  },
  {
    name: 'durability',
    about:
      'What is committed survives a crash of the server: `fsync`, `full_page_writes` and `synchronous_commit`.',
    remedy: '`alter system set … = on`',
    look: lookAtDurability,
  },
  {
    name: 'connections',
    about:
      'There is room for the connections of all shards, below the limits of the server, the database and the role; and the server is not near its limit.',
    remedy: 'Lower `connections` or `shards` of a sink, use a pooler, or raise `max_connections`.',
    look: lookAtConnections,
  },
  {
    name: 'long-transactions',
    about:
      'No transaction has been open for an hour: it keeps dead rows from being removed, and may hold locks.',
    remedy: 'Look what it is, and end it: `select pg_terminate_backend(pid)`.',
    async look({ ask }) {
      const rows = await ask<{ pid: number; role: string | null; seconds: number }>(
        `select pid, usename as role, extract(epoch from clock_timestamp() - xact_start)::float8 as seconds from pg_stat_activity
          where xact_start < clock_timestamp() - make_interval(secs => ${LONG_TRANSACTION_SECONDS})
            and backend_type = 'client backend' order by xact_start limit 5`,
      );
      return rows.map(({ pid, role, seconds }) =>
        unwise(
          `The process ${pid} of the role ${role} has had a transaction open for ${Math.round(seconds / 60)} minutes`,
          'As long as it is open, no dead row of any table is removed, and its locks stay.',
          `select pg_terminate_backend(${pid})`,
        ),
      );
    },
  },
];

async function lookAtPooler({ open, address, hasStores, role }: DatabaseFacts): Promise<Finding[]> {
  const [one, other] = [await open(), await open()];
  try {
    const processes = new Set<number>();
    // A pooler may give the same server each time while nobody else needs it, so another transaction is opened in between.
    for (let n = 0; n < 4; n += 1) processes.add(await processOf(one));
    try {
      await run(other, 'begin');
    } catch (error) {
      if (sqlState(error) === undefined) throw error;
      return [
        wrong(
          'There is a pooler in the mode "statement" before the server',
          'It allows no transactions, and without them no message is written exactly once.',
          'pool_mode = transaction',
        ),
      ];
    }
    processes.add(await processOf(one));
    await processOf(other);
    for (let n = 0; n < 2; n += 1) processes.add(await processOf(one));
    await run(other, 'rollback');
    const isPooled = processes.size > 1;
    return [
      ...(await lostSettings(one, address.options, role)),
      ...(!isPooled
        ? []
        : hasStores
          ? [
              unwise(
                'There is a transaction pooler before the server',
                'Sinks do not mind it. The message store and the event store lose the names of their statements there, and have each parsed again: give them a direct address, or a pooler that knows names (PgBouncer from 1.21 on, max_prepared_statements).',
              ),
            ]
          : [good('There is a transaction pooler before the server, which the sinks do not mind')]),
    ];
  } finally {
    one.close();
    other.close();
  }
}

/** Settings of the address that the session does not have. */
async function lostSettings(
  connection: Connection,
  options: string | undefined,
  role: string,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [, name = '', value = ''] of (options ?? '').matchAll(/(?:-c\s*|--)([\w.]+)=((?:\\.|\S)*)/g)) {
    const wanted = value.replaceAll(/\\(.)/g, '$1');
    const [row] = await run<{ value: string | null }>(
      connection,
      // In the setting's own spelling: 5s and 5000ms are one.
      `select current_setting('${name.replaceAll("'", "''")}', true) as value`,
    );
    const isKept =
      row?.value != null && (row.value === wanted || simplified(row.value) === simplified(wanted));
    if (isKept) continue;
    findings.push(
      wrong(
        `The session has ${name} = ${row?.value ?? 'nothing'}, and the address asks for ${wanted}`,
        'A pooler keeps the options of the address from the server. Write the setting at the role:',
        `alter role ${quoteName(role)} set ${name} = '${wanted.replaceAll("'", "''")}'`,
      ),
    );
  }
  return findings;
}

/** Without quotes and blanks, and times in milliseconds. */
function simplified(value: string): string {
  const [, number, unit] = /^(\d+)\s*(ms|s|min|h)?$/.exec(value.trim()) ?? [];
  if (number === undefined) return value.replaceAll(/["\s]/g, '').toLowerCase();
  const factor = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 }[unit ?? 'ms'] ?? 1;
  return String(Number(number) * factor);
}

async function processOf(connection: Connection): Promise<number> {
  const [row] = await run<{ pid: number }>(connection, 'select pg_backend_pid() as pid');
  return row?.pid as number;
}

async function run<Row>({ db }: Connection, statement: string): Promise<Row[]> {
  return ((await db.execute(statement)) as unknown as { rows: Row[] }).rows;
}

async function lookAtTimeLimits({ ask, role, isDevelopment }: DatabaseFacts): Promise<Finding[]> {
  // Not what a question of the doctor has set for itself: what a session of this role begins with.
  const rows = await ask<{ name: string; ms: number }>(
    `select name, coalesce(reset_val, '0')::float8 as ms from pg_settings
      where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout')`,
  );
  const limits = new Map(rows.map(({ name, ms }) => [name, ms]));
  const setting = (name: string, value: string) => `alter role ${quoteName(role)} set ${name} = '${value}'`;
  const findings: Finding[] = [];
  for (const name of ['statement_timeout', 'transaction_timeout']) {
    const ms = limits.get(name) ?? 0;
    if (ms <= 0 || ms >= SHORTEST_STATEMENT_MS) continue;
    findings.push(
      (ms < 1_000 ? wrong : unwise)(
        `${name} of the role ${role} is ${ms} ms`,
        'A batch of many rows may take longer, is ended each time, and waits in the shard for ever.',
        setting(name, '30s'),
      ),
    );
  }
  if (isDevelopment) return findings;
  if (limits.get('idle_in_transaction_session_timeout') === 0)
    findings.push(
      unwise(
        'idle_in_transaction_session_timeout is not set',
        'A program that forgets its transaction keeps its locks for ever: the sinks wait for them, and no dead row is removed.',
        "alter system set idle_in_transaction_session_timeout = '5min'",
        'select pg_reload_conf()',
      ),
    );
  if (limits.get('lock_timeout') === 0)
    findings.push(
      unwise(
        `lock_timeout of the role ${role} is not set`,
        'An ALTER TABLE that waits for a long query makes every write after it wait too. Sluice sets its own limit; a person who changes tables with this role has none.',
        setting('lock_timeout', '10s'),
      ),
    );
  return findings;
}

async function lookAtDurability({ ask, role, isDevelopment }: DatabaseFacts): Promise<Finding[]> {
  if (isDevelopment) return [];
  const rows = await ask<{ name: string; value: string }>(
    `select name, setting as value from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
  );
  return rows
    .filter(({ value }) => value === 'off')
    .map(({ name }) =>
      name === 'synchronous_commit'
        ? wrong(
            'synchronous_commit is off',
            'A crash of the server takes back the last commits, whose messages the shards no longer have: their lanes stop (checkpoint_behind).',
            `alter role ${quoteName(role)} set synchronous_commit = on`,
          )
        : wrong(
            `${name} is off`,
            'A crash of the machine may destroy the database.',
            `alter system set ${name} = on`,
            'select pg_reload_conf()',
          ),
    );
}

async function lookAtConnections({ ask, sinks, role, address }: DatabaseFacts): Promise<Finding[]> {
  const [row] = await ask<{ server: number; database: number; role: number; used: number }>(
    `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
          - coalesce(current_setting('reserved_connections', true), '0')::int as server,
        (select datconnlimit from pg_database where datname = current_database()) as database,
        (select case when rolsuper then -1 else rolconnlimit end from pg_roles where rolname = current_user) as role,
        (select count(*)::int from pg_stat_activity
          where backend_type = 'client backend' or backend_type is null and datid is not null and usesysid is not null) as used`,
  );
  if (row === undefined) return [];
  const limits = [
    {
      name: 'max_connections of the server',
      limit: row.server,
      remedy: 'alter system set max_connections = 200',
    },
    {
      name: `the limit of the database ${address.database}`,
      limit: row.database,
      remedy: `alter database ${quoteName(address.database)} connection limit -1`,
    },
    {
      name: `the limit of the role ${role}`,
      limit: row.role,
      remedy: `alter role ${quoteName(role)} connection limit -1`,
    },
  ].filter(({ limit }) => limit >= 0);
  const needed = sinks.reduce((sum, sink) => {
    const { lanes, workersPerLane } = writingOf(sink).plan;
    return sum + sink.options.shards * lanes * workersPerLane;
  }, 0);
  const findings: Finding[] = limits
    .filter(({ limit }) => needed > limit)
    .map(({ name, limit, remedy }) =>
      wrong(
        `The shards open up to ${needed} connections, and ${name} leaves room for ${limit}`,
        'Shards that get none wait. Lower connections or shards of a sink, use a pooler, or:',
        remedy,
      ),
    );
  if (row.used >= NEAR_LIMIT * row.server)
    findings.push(
      unwise(
        `${row.used} of the ${row.server} connections that the server has for all are in use`,
        'A deployment opens new ones beside the old ones, and may find no room.',
        'select usename, application_name, count(*) from pg_stat_activity group by 1, 2 order by 3 desc',
      ),
    );
  return findings;
}
