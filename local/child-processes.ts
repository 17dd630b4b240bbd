/** The programs that this process has started, as the system knows them. */

import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';

/** Process ids of the living children of this process whose program has this name. Empty where the system does not tell. */
export async function childrenNamed(program: string): Promise<number[]> {
  const listed = process.platform === 'linux' ? await listByProc() : await listByPs();
  return listed
    .filter(({ parentId, name }) => parentId === process.pid && name === program)
    .map(({ processId }) => processId);
}

interface ListedProcess {
  processId: number;
  parentId: number;
  name: string;
}

// Containers often have no `ps`.
async function listByProc(): Promise<ListedProcess[]> {
  const ids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const stats = await Promise.all(ids.map((id) => readFile(`/proc/${id}/stat`, 'utf8').catch(() => '')));
  // `pid (name) state ppid …`; a name may hold parentheses and blanks itself. Z is dead and not collected.
  return stats.flatMap((stat) => {
    const match = /^(\d+) \((.*)\) ([^Z]) (\d+) /s.exec(stat);
    return match === null
      ? []
      : [{ processId: Number(match[1]), parentId: Number(match[4]), name: match[2] as string }];
  });
}

async function listByPs(): Promise<ListedProcess[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,comm=']).catch(() => ({
    stdout: '',
  }));
  return stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(.+?)\s*$/.exec(line);
    return match === null
      ? []
      : [{ processId: Number(match[1]), parentId: Number(match[2]), name: basename(match[3] as string) }];
  });
}
