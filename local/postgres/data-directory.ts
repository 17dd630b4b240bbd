/** The folder that holds a Postgres cluster: where it lies, how it is made, and its settings. */
import { createHash, randomBytes } from 'node:crypto';
import { chown, lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ensureOwnFolder, reachablePlaces } from './account.ts';
import type { PostgresBinaries } from './binaries.ts';
import { type Account, runCommand } from './command.ts';
import { startFailure } from './failure.ts';

/** User, password and name of the database, the same as in local/docker-compose.yml. Reachable from loopback only. */
export const CREDENTIALS = { user: 'sluice', password: 'sluice', database: 'sluice' } as const;

/** Settings of the server by their names in postgresql.conf. */
export type PostgresSettings = Readonly<Record<string, string | number | boolean>>;

const SETTINGS_FILE = 'sluice.conf';

const DEFAULT_SETTINGS: PostgresSettings = {
  // The bench tries a pool of 100 beside the connections of its shards.
  max_connections: 200,
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // The log would grow by every refused row otherwise, and hold its content.
  log_min_error_statement: 'panic',
};

/** Settings that the caller cannot give: what is measured must be durable, and reachable from here only. */
const FIXED_SETTINGS: PostgresSettings = {
  fsync: true,
  listen_addresses: '127.0.0.1',
  // No socket file, so that no folder's permissions matter.
  unix_socket_directories: '',
  logging_collector: false,
};

/**
 * Where the cluster for `requested` really lies. Without an account it is `requested` itself. When root starts
 * Postgres as `account`, it is a folder under `/var/tmp` named after this user and `requested`, because the
 * account could not reach a checkout that only root may enter. The folder around it is made, owned by root.
 *
 * @throws Error when the path cannot be given to pg_ctl, or the place belongs to somebody else.
 */
export async function placeData(requested: string, account?: Account): Promise<string> {
  const absolute = path.resolve(requested);
  if (account === undefined) {
    // pg_ctl builds a shell command and does not escape these.
    if (process.platform !== 'win32' && /["$`\\\n]/.test(absolute)) {
      throw new Error(
        `Postgres cannot be started in ${JSON.stringify(absolute)}: the path has one of " $ \` \\ or a line ` +
          'break. Move the checkout to another folder.',
      );
    }
    await mkdir(path.dirname(absolute), { recursive: true });
    return absolute;
  }
  const name = createHash('sha256').update(absolute).digest('hex').slice(0, 16);
  const [place] = await reachablePlaces(account);
  const folder = path.join(place as string, `sluice-${process.getuid?.()}-data-${name}`);
  await ensureOwnFolder(folder);
  // For somebody who finds the folder and wonders.
  await writeFile(path.join(folder, 'README'), `Postgres data of Sluice, for ${absolute}\n`);
  const dataDirectory = path.join(folder, 'data');
  const found = await lstat(dataDirectory).catch(() => undefined);
  if (found !== undefined && (!found.isDirectory() || found.uid !== account.uid)) {
    throw new Error(
      `${dataDirectory} does not belong to the user "${account.name}" that Postgres runs as. ` +
        'Remove it (its data is lost), or give it to that user.',
    );
  }
  return dataDirectory;
}

/**
 * Makes the cluster if it is not there yet. It is made under another name and renamed when complete, so that an
 * interrupted initdb never leaves half a cluster behind. The caller holds the lock of the data directory.
 *
 * @returns true when it was made, false when it was there.
 * @throws Error when initdb fails, or when the folder holds something else.
 */
export async function ensureCluster(
  dataDirectory: string,
  binaries: PostgresBinaries,
  account?: Account,
): Promise<boolean> {
  const parent = path.dirname(dataDirectory);
  const unfinished = `${path.basename(dataDirectory)}.initializing-`;
  for (const name of await readdir(parent)) {
    if (!name.startsWith(unfinished)) continue;
    // Tried again, because an initdb whose starter was killed may still be writing there.
    await rm(path.join(parent, name), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  const entries = await readdir(dataDirectory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  if (entries.includes('PG_VERSION')) return false;
  if (entries.length > 0) {
    throw new Error(
      `${dataDirectory} holds files that are no Postgres cluster. Choose another folder, or empty it.`,
    );
  }

  const fresh = path.join(parent, unfinished + randomBytes(6).toString('hex'));
  const passwordFile = path.join(fresh, 'password');
  const cluster = path.join(fresh, 'cluster');
  try {
    await makeFolder(fresh, account);
    await writeOwned(passwordFile, `${CREDENTIALS.password}\n`, account);
    const { exitCode, output } = await runCommand(
      binaries.initdb,
      [
        `--pgdata=${cluster}`,
        `--username=${CREDENTIALS.user}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C',
      ],
      { account },
    );
    if (exitCode !== 0)
      throw startFailure('Postgres could not make its data directory.', output, dataDirectory);
    await writeFile(path.join(cluster, 'postgresql.conf'), `\ninclude '${SETTINGS_FILE}'\n`, { flag: 'a' });
    await rename(cluster, dataDirectory);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return true;
}

/**
 * Writes the settings for the next start: the defaults, then `settings`, then what is fixed.
 *
 * @throws RangeError for a name that is no setting's, or that the caller cannot give.
 */
export async function writeSettings(
  dataDirectory: string,
  port: number,
  settings: PostgresSettings,
  account?: Account,
): Promise<void> {
  for (const name of Object.keys(settings)) {
    if (!/^[a-z_][a-z0-9_.]*$/.test(name)) throw new RangeError(`"${name}" is not the name of a setting`);
    if (name in FIXED_SETTINGS || name === 'port') {
      throw new RangeError(`the setting "${name}" cannot be changed here`);
    }
  }
  const lines = Object.entries({ ...DEFAULT_SETTINGS, ...settings, ...FIXED_SETTINGS, port }).map(
    ([name, value]) => `${name} = ${quote(value)}\n`,
  );
  const text = `# Written by Sluice at every start.\n${lines.join('')}`;
  await writeOwned(path.join(dataDirectory, SETTINGS_FILE), text, account);
}

function quote(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return `'${String(value).replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', ' ')}'`;
}

async function makeFolder(folder: string, account?: Account): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  if (account !== undefined) await chown(folder, account.uid, account.gid);
}

/** Writes a file that only `account` can read. */
export async function writeOwned(file: string, text: string, account?: Account): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  if (account !== undefined) await chown(file, account.uid, account.gid);
}
