/** The server process of a data directory, as its `postmaster.pid` names it. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** A running server. `port` is missing while it has not got so far. */
export interface Postmaster {
  processId: number;
  port?: number;
}

/** No system gives out a process id as large as this. */
const NO_PROCESS = 2 ** 31 - 1;

/** The server that runs in `dataDirectory`, or `undefined` when none does. */
export async function findPostmaster(dataDirectory: string): Promise<Postmaster | undefined> {
  const lines = await pidFileLines(dataDirectory);
  if (lines === undefined) return undefined;
  const processId = Number(lines[0]);
  const port = Number(lines[3]);
  if (!Number.isInteger(processId) || processId <= 0) return undefined;
  if (!isAlive(processId) || !(await isPostgresOf(processId, dataDirectory))) return undefined;
  return port > 0 ? { processId, port } : { processId };
}

/**
 * Prepares a `postmaster.pid` that a killed server left for the next start. Postgres takes any living process of
 * that id for the old server: another program that got the id since, and, in a container whose first process
 * does not collect its children, the dead server itself. So the id is replaced by one that nobody can have. The
 * file must stay: with the shared memory key in it Postgres makes sure that no child of the old server still
 * writes. Call only when `findPostmaster` found none, holding the lock of the data directory.
 */
export async function disownPidFile(dataDirectory: string): Promise<void> {
  const lines = await pidFileLines(dataDirectory);
  if (lines === undefined || !/^\d+$/.test(lines[0] ?? '')) return;
  await writeFile(pidFile(dataDirectory), [NO_PROCESS, ...lines.slice(1)].join('\n'));
}

/** Whether a process of this id exists, no matter who owns it. A dead one that nobody collected counts as existing. */
export function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isPostgresOf(processId: number, dataDirectory: string): Promise<boolean> {
  if (process.platform === 'win32') return true;
  // Both are empty for a process that is dead and not collected.
  const command =
    process.platform === 'linux'
      ? await readFile(`/proc/${processId}/cmdline`, 'utf8').catch(() => '')
      : await promisify(execFile)('ps', ['-ww', '-o', 'command=', '-p', String(processId)]).then(
          ({ stdout }) => stdout,
          () => '',
        );
  return command.includes('postgres') && command.includes(dataDirectory);
}

async function pidFileLines(dataDirectory: string): Promise<string[] | undefined> {
  const text = await readFile(pidFile(dataDirectory), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text?.split('\n');
}

function pidFile(dataDirectory: string): string {
  return path.join(dataDirectory, 'postmaster.pid');
}
