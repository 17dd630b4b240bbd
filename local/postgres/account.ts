/**
 * The operating system account that Postgres runs as, and the folders it can reach.
 *
 * Postgres refuses to run as root. Started by root (containers, CI), Sluice runs it as an ordinary account
 * that already exists; it creates none, because a development tool must not change the machine's accounts.
 */
import { lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Account, runCommand } from './command.ts';

/**
 * The account to run Postgres as: `undefined` when this process is not root (Postgres then runs as we do),
 * otherwise the user `postgres` if the machine has it, else `nobody`.
 *
 * @throws Error when root finds neither of them.
 */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([numericId('-u', name), numericId('-g', name)]);
    if (uid !== undefined && gid !== undefined && uid !== 0) return { name, uid, gid };
  }
  throw new Error(
    'Postgres refuses to run as root, and this machine has neither a user "postgres" nor "nobody". ' +
      'Run as an ordinary user, or start the database with: docker compose -f local/docker-compose.yml up',
  );
}

async function numericId(flag: '-u' | '-g', name: string): Promise<number | undefined> {
  const result = await runCommand('id', [flag, name]);
  const id = Number(result.output.trim());
  return result.exitCode === 0 && Number.isInteger(id) ? id : undefined;
}

/**
 * The world-reachable temporary folders that `account` can enter, best first. `/var/tmp` leads because it
 * survives a reboot, and because TMPDIR often points into a folder that only root may enter.
 *
 * @throws Error when there is none.
 */
export async function reachablePlaces(account: Account): Promise<string[]> {
  const places: string[] = [];
  for (const candidate of ['/var/tmp', '/tmp', tmpdir()]) {
    const folder = await realpath(candidate).catch(() => undefined);
    if (folder !== undefined && !places.includes(folder) && (await canEnter(folder, account))) {
      places.push(folder);
    }
  }
  if (places.length === 0) {
    throw new Error(
      `none of /var/tmp, /tmp and ${tmpdir()} can be entered by the user "${account.name}" that Postgres ` +
        'runs as. Make /var/tmp a folder of mode 1777, or run as an ordinary user.',
    );
  }
  return places;
}

async function canEnter(folder: string, account: Account): Promise<boolean> {
  for (let current = folder; ; current = path.dirname(current)) {
    const { uid, gid, mode } = await stat(current);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (current === path.dirname(current)) return true;
  }
}

/**
 * Makes sure that `folder` exists, is a real folder of this process's user, and can be written by nobody else.
 * Its parent may be world-writable: somebody else could have put a folder or a link of that name there first,
 * and would then control the binaries that root starts.
 *
 * @throws Error when the folder belongs to somebody else, is a link, or is writable by others.
 */
export async function ensureOwnFolder(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(folder);
  const own = found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0;
  if (!own) {
    throw new Error(
      `${folder} is not a folder that only this user can write (owner ${found.uid}, ` +
        `mode ${(found.mode & 0o7777).toString(8)}). Remove it, or find out who put it there.`,
    );
  }
}
