/** Processes of this machine, as the system tells of them: by a mark in their environment, or by a folder they use. */

import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** How long processes may take to end by themselves before they are killed, and to be gone after that. */
const PATIENCE_MS = 3_000;
const LOOK_EVERY_MS = 50;

export interface FoundProcess {
  processId: number;
  /** The name of its program: `node`, `workerd`. */
  name: string;
}

/**
 * The living processes that inherited `name=value` in their environment, but not this one. A process of another user
 * shows its environment to root only. Empty where the system does not tell (Windows).
 */
export async function processesMarked(name: string, value: string): Promise<FoundProcess[]> {
  const mark = `${name}=${value}`;
  if (process.platform === 'linux') {
    return await findByProc(async (folder) =>
      (await readFile(`${folder}/environ`, 'utf8')).split('\0').includes(mark),
    );
  }
  if (process.platform === 'win32') return [];
  // `E` shows the environment after the command, with blanks between.
  const output = await outputOf('ps', ['-A', '-E', '-ww', '-o', 'pid=,command=']);
  return output.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\S+)/.exec(line);
    const isMarked = `${line} `.includes(` ${mark} `);
    return match === null || !isMarked
      ? []
      : othersOnly({ processId: Number(match[1]), name: basename(match[2] as string) });
  });
}

/**
 * The living processes that were given `name=<process id of their parent>`, and whose parent has ended since. Empty where
 * the system does not tell (all but Linux).
 */
export async function orphansMarked(name: string): Promise<FoundProcess[]> {
  if (process.platform !== 'linux') return [];
  return await findByProc(async (folder) => {
    const environment = (await readFile(`${folder}/environ`, 'utf8')).split('\0');
    const mark = environment.find((one) => one.startsWith(`${name}=`));
    if (mark === undefined) return false;
    // `pid (name) state ppid …`; a name may hold parentheses and blanks itself.
    const parent = /^\d+ \(.*\) \S (\d+) /s.exec(await readFile(`${folder}/stat`, 'utf8'))?.[1];
    return parent !== undefined && mark !== `${name}=${parent}`;
  });
}

/** The living processes of a program, but not this one, that have files or folders open in `folder`. */
export async function processesIn(folder: string, program: string): Promise<FoundProcess[]> {
  if (process.platform === 'linux') {
    return await findByProc(async (own) => {
      if ((await programOf(own)) !== program) return false;
      for (const descriptor of await readdir(`${own}/fd`)) {
        const file = await readlink(`${own}/fd/${descriptor}`).catch(() => '');
        if (file === folder || file.startsWith(folder + sep)) return true;
      }
      return false;
    });
  }
  if (process.platform === 'win32') return [];
  // Lines of `p<process id>` and `c<program>`; it fails where nobody uses the folder.
  const output = await outputOf('lsof', ['-nP', '-F', 'pc', '+D', folder]);
  return [...output.matchAll(/^p(\d+)\nc(.+)$/gm)]
    .map(([, processId, name]) => ({ processId: Number(processId), name: name as string }))
    .filter(({ name }) => name === program)
    .flatMap(othersOnly);
}

/**
 * Ends processes, and those that they start meanwhile: asks them first, and kills what has not ended after three seconds.
 *
 * @param find finds those that are there; called again until there are none
 * @returns all that were ended
 * @throws Error where one does not go
 */
export async function endProcesses(find: () => Promise<FoundProcess[]>): Promise<FoundProcess[]> {
  const ended = new Map<number, FoundProcess>();
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const untilMs = Date.now() + PATIENCE_MS;
    const told = new Set<number>();
    for (;;) {
      const found = await find();
      if (found.length === 0) return [...ended.values()];
      for (const one of found) {
        ended.set(one.processId, one);
        // Asked once each: a second signal makes some programs hurry.
        if (!told.has(one.processId)) endOne(one.processId, signal);
        told.add(one.processId);
      }
      if (Date.now() > untilMs) break;
      await delay(LOOK_EVERY_MS);
    }
  }
  throw new Error(`${listProcesses(await find())} do not end; end them yourself`);
}

/** `node (process 12) and workerd (process 13)`. */
export function listProcesses(found: readonly FoundProcess[]): string {
  return new Intl.ListFormat('en-GB').format(
    found.map(({ processId, name }) => `${name} (process ${processId})`),
  );
}

function endOne(processId: number, signal: NodeJS.Signals): void {
  try {
    process.kill(processId, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function findByProc(isOne: (folder: string) => Promise<boolean>): Promise<FoundProcess[]> {
  const ids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(
    ids.map(async (id) => {
      const folder = `/proc/${id}`;
      // A process that ends while we look, that is of another user, or dead and not collected: it has nothing to show.
      const isFound = await isOne(folder).catch(() => false);
      if (!isFound) return [];
      return othersOnly({ processId: Number(id), name: await programOf(folder).catch(() => 'a process') });
    }),
  );
  return found.flat();
}

// Not its `comm`, which a program may set: Node calls itself by the name of its thread.
async function programOf(folder: string): Promise<string> {
  return basename(await readlink(`${folder}/exe`)).replace(/ \(deleted\)$/, '');
}

function othersOnly(found: FoundProcess): FoundProcess[] {
  return found.processId === process.pid ? [] : [found];
}

async function outputOf(program: string, args: string[]): Promise<string> {
  return await promisify(execFile)(program, args, { maxBuffer: 64 * 1024 * 1024 }).then(
    ({ stdout }) => stdout,
    (error: { stdout?: string }) => error.stdout ?? '',
  );
}
