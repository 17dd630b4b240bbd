/** A Postgres that is away, restarts, refuses, crawls, or changes under the load. */

import { sql } from 'drizzle-orm';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import type { LaneState } from '../../../src/outbox/lane-faults.ts';
import { type PostgresServer, WRITER } from '../postgres-server.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';
import { whyNoSmallDisk } from '../small-disk.ts';

/** Tries of a Durable Object's alarm after which the platform gives it up (Cloudflare documentation, "Alarms"). */
const ALARM_RETRIES = 6;

/** Waits until writes fail for this reason, later than those that were counted before, and the shard does this about it. */
async function untilRefused(run: Run, reason: RegExp, state: LaneState, failuresBefore = 0): Promise<void> {
  await run.until(`a write fails by ${reason}, and the shard is ${state}`, async () => {
    const stats = await run.shard.stats();
    return stats.failures > failuresBefore && stats.state === state && reason.test(stats.lastError ?? '');
  });
}

async function failuresOf(run: Run): Promise<number> {
  return (await run.shard.stats()).failures;
}

/** Waits until something is in Postgres, so that what comes is a fault in the midst of writing. */
async function untilWriting(run: Run): Promise<void> {
  await run.until('rows are written', async () => (await run.shard.stats()).committed > 0);
}

const downAtStart: Scenario = {
  name: 'postgres-down-at-start',
  title: 'Postgres away when the Worker starts and takes its first messages',
  async run(run) {
    const { postgres } = run.world;
    await postgres.stop();
    await run.world.killWorker();
    run.load({ ack: 'stored' });
    await run.until('messages are acked that cannot be written', async () => {
      const { failures, buffered, committed } = await run.shard.stats();
      return failures > 0 && buffered > 0 && committed === 0 && run.ledger.count('acked') > 0;
    });
    run.struck();
    await run.pause(0, 1_000);
    await postgres.start();
  },
};

// Each alarm finds a backoff that is not over, and leaves it at that: it only makes sure that the next try comes. Perhaps
// nobody sends, and nothing else would do so.
const downBeyondAlarms: Scenario = {
  name: 'postgres-down-beyond-alarm-retries',
  title: `Postgres stopped for more than ${ALARM_RETRIES} alarms`,
  options: { alarmMs: 100 },
  async run(run) {
    const { postgres } = run.world;
    const load = run.load();
    await untilWriting(run);
    await run.pause(50, 300);
    // Handled as ever, and counted.
    await run.shard.order({ alarm: { action: 'late', lateMs: 0, times: Number.MAX_SAFE_INTEGER } });
    await postgres.stop();
    const before = (await run.shard.strikes()).alarm;
    const wanted = ALARM_RETRIES + 1;
    if (run.random.chance(0.5)) {
      await run.pause(50, 200);
      load.pause();
      await run.stopScraping();
    }
    const alarms = async (): Promise<number> => (await run.shard.strikes()).alarm - before;
    await run.untilCount('alarms that have passed', wanted, alarms);
    const { failuresInARow } = await run.shard.stats();
    // An alarm is no separate try: but for the first, whose pauses are shorter than alarmMs, one follows each try.
    if (failuresInARow > 2 * wanted) run.fail(`${failuresInARow} tries until ${wanted} alarms had passed`);
    run.struck(wanted);
    await postgres.start();
    await run.until(
      'the next try has written something',
      async () => (await run.shard.stats()).state === 'running',
    );
  },
};

const killed: Scenario = {
  name: 'postgres-killed',
  title: 'Postgres killed with -9 under load, restarted',
  async run(run) {
    const { postgres } = run.world;
    run.load();
    for (let time = run.times(2); time > 0; time -= 1) {
      await untilWriting(run);
      await run.pause(20, 300);
      const failures = await failuresOf(run);
      await postgres.kill();
      await run.until('writes fail', async () => (await failuresOf(run)) > failures);
      run.struck();
      await run.pause(0, 300);
      await postgres.start();
    }
  },
};

const terminated: Scenario = {
  name: 'postgres-backends-terminated',
  title: "Postgres ends the Worker's connections",
  async run(run) {
    const { postgres } = run.world;
    run.load();
    await untilWriting(run);
    for (let ended = 0; ended < run.times(20); ) {
      await run.pause(5, 80);
      const count = await postgres.terminateWriters();
      ended += count;
      run.struck(count);
    }
    if ((await failuresOf(run)) === 0) run.fail('No write failed');
  },
};

/** Takes every connection that is left to others than superusers. */
async function occupy(postgres: PostgresServer, held: Connection[]): Promise<void> {
  for (;;) {
    try {
      held.push(await postgres.connect('writer'));
    } catch (error) {
      if (sqlState(error) === '53300') return;
      throw error;
    }
  }
}

const connectionLimit: Scenario = {
  name: 'postgres-connection-limit',
  title: 'Connection limit of Postgres, or of the role, reached',
  async run(run) {
    const { postgres, toPostgres } = run.world;
    const isOfRole = run.random.chance(0.5);
    const held: Connection[] = [];
    run.load();
    await untilWriting(run);
    await run.pause(20, 200);
    const failures = await failuresOf(run);
    try {
      if (isOfRole) await postgres.query(`alter role ${WRITER.user} connection limit 0`);
      else await occupy(postgres, held);
      let isWriting = true;
      await run.until('the shard gets no connection', async () => {
        // The shard's connections go through the proxy, those of the lab do not. One that it is about to open is left alone:
        // it has to be refused by Postgres, which may take its time.
        if (isWriting) toPostgres.reset();
        if (!isOfRole) await occupy(postgres, held);
        const { failures: now, state, lastError } = await run.shard.stats();
        isWriting = state === 'running';
        const isRefused = /too many (connections|clients)|connection slots are reserved/.test(
          lastError ?? '',
        );
        return now > failures && isRefused && state === 'retrying';
      });
      run.struck();
      await run.pause(100, 500);
    } finally {
      for (const connection of held) connection.close();
      await postgres.query(`alter role ${WRITER.user} connection limit -1`);
    }
  },
};

const readOnly: Scenario = {
  name: 'postgres-read-only',
  title: 'Postgres read-only for a while',
  async run(run) {
    const { postgres } = run.world;
    const isWholeServer = run.random.chance(0.5);
    const begin = isWholeServer
      ? ['alter system set default_transaction_read_only = on', 'select pg_reload_conf()']
      : [`alter role ${WRITER.user} set default_transaction_read_only = on`];
    const end = isWholeServer
      ? ['alter system reset default_transaction_read_only', 'select pg_reload_conf()']
      : [`alter role ${WRITER.user} reset default_transaction_read_only`];
    run.load();
    await untilWriting(run);
    await run.pause(20, 200);
    const failures = await failuresOf(run);
    try {
      for (const statement of begin) await postgres.query(statement);
      if (!isWholeServer) await postgres.terminateWriters();
      await untilRefused(run, /read-only transaction/, 'retrying', failures);
      run.struck();
      await run.pause(50, 500);
    } finally {
      for (const statement of end) await postgres.query(statement);
    }
    // A role's setting holds for a whole session.
    await postgres.terminateWriters();
  },
};

const diskFull: Scenario = {
  name: 'postgres-disk-full',
  title: "The table's disk full",
  cannot: whyNoSmallDisk,
  async run(run) {
    const { postgres } = run.world;
    const disk = await postgres.mountSmallDisk();
    const space = `${run.name}_space`;
    await postgres.query(`create tablespace ${space} location '${disk.folder}'`);
    try {
      await postgres.query(`alter table ${run.table} set tablespace ${space}`);
      run.load();
      for (let time = run.times(3); time > 0; time -= 1) {
        await untilWriting(run);
        await run.pause(20, 200);
        const failures = await failuresOf(run);
        await disk.fill();
        await untilRefused(run, /No space left on device|wrote only/, 'retrying', failures);
        run.struck();
        await run.pause(50, 300);
        await disk.empty();
      }
    } finally {
      await disk.empty();
      await postgres.query(`alter table ${run.table} set tablespace pg_default`);
      await postgres.query(`drop tablespace ${space}`);
      await disk.unmount();
    }
  },
};

const slow: Scenario = {
  name: 'postgres-slow-line',
  title: 'A line to Postgres that is slower than the load',
  async run(run) {
    const { toPostgres } = run.world;
    run.load();
    await untilWriting(run);
    toPostgres.set({
      bytesPerSecond: run.random.integer(10_000, 40_000),
      latencyMs: run.random.integer(0, 30),
      jitterMs: run.random.integer(0, 10),
    });
    await run.untilCount('messages in a backlog', 800, async () => (await run.shard.stats()).buffered);
    run.struck();
    await run.pause(100, 500);
  },
};

/** Locks the run's table against everything. Returns how to unlock it. */
async function lockTable(run: Run): Promise<() => Promise<void>> {
  const connection = await run.world.postgres.connect('lab');
  try {
    await connection.db.execute(sql.raw('begin'));
    await connection.db.execute(sql.raw(`lock table ${run.table} in access exclusive mode`));
  } catch (error) {
    connection.close();
    throw error;
  }
  return async () => {
    await connection.db.execute(sql.raw('commit'));
    connection.close();
  };
}

/** Waits until somebody waits for the table. */
async function untilBlocked(run: Run): Promise<void> {
  const waiting = `select 1 from pg_locks where relation = '${run.table}'::regclass and not granted`;
  await run.until(
    'a write waits for the lock',
    async () => (await run.world.postgres.query(waiting)).length > 0,
  );
}

const locked: Scenario = {
  name: 'postgres-table-locked',
  title: 'LOCK TABLE, for less than the limit for locks',
  async run(run) {
    run.load();
    for (let time = run.times(3); time > 0; time -= 1) {
      await untilWriting(run);
      await run.pause(20, 200);
      const unlock = await lockTable(run);
      await untilBlocked(run);
      run.struck();
      await run.pause(100, 600);
      await unlock();
    }
  },
};

const lockedLong: Scenario = {
  name: 'postgres-table-locked-long',
  title: 'LOCK TABLE, for longer than the limit for locks (10 s)',
  isLong: true,
  longRuns: 3,
  async run(run) {
    run.load({ paceMs: 100 });
    await untilWriting(run);
    const failures = await failuresOf(run);
    const unlock = await lockTable(run);
    await run.until('a write has waited too long', async () => {
      const { failures: now, lastError } = await run.shard.stats();
      return now > failures && /lock timeout/.test(lastError ?? '');
    });
    run.struck();
    await run.pause(0, 3_000);
    await unlock();
  },
};

/** Changes the schema so that no write is possible any more, and back. */
async function changeSchema(
  run: Run,
  { change, reason, restore }: { change: string; reason: RegExp; restore: string },
): Promise<void> {
  const { postgres } = run.world;
  run.load();
  for (let time = run.times(3); time > 0; time -= 1) {
    await untilWriting(run);
    await run.pause(20, 200);
    const failures = await failuresOf(run);
    await postgres.query(change);
    try {
      await untilRefused(run, reason, 'paused', failures);
      run.struck();
      await run.pause(0, 400);
    } finally {
      await postgres.query(restore);
    }
    // An operator may say that it is mended, and need not.
    if (run.random.chance(0.5)) await run.shard.resume();
    await run.until('writes go on', async () => (await run.shard.stats()).state === 'running');
  }
}

const columnDropped: Scenario = {
  name: 'postgres-column-dropped',
  title: 'A column dropped under load, and restored',
  run: (run) =>
    changeSchema(run, {
      // Of all columns the one that the oracle does not look at: what was in it is lost.
      change: `alter table ${run.table} drop column received_at`,
      reason: /column "received_at" .*does not exist/,
      restore: `alter table ${run.table} add column received_at timestamp with time zone not null default now()`,
    }),
};

const tableRenamed: Scenario = {
  name: 'postgres-table-renamed',
  title: 'The table renamed under load, and back',
  run: (run) =>
    changeSchema(run, {
      change: `alter table ${run.table} rename to ${run.table}_away`,
      reason: /relation .* does not exist/,
      restore: `alter table ${run.table}_away rename to ${run.table}`,
    }),
};

export const postgresScenarios: readonly Scenario[] = [
  downAtStart,
  downBeyondAlarms,
  killed,
  terminated,
  connectionLimit,
  readOnly,
  diskFull,
  slow,
  locked,
  lockedLong,
  columnDropped,
  tableRenamed,
];
