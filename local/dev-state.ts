/**
 * The folder in which the Durable Objects of `npm run dev` keep their storage, and the right to use it. Two Workers on
 * one storage overwrite each other: messages that one has acked are gone for the other. So one server has it at a time:
 *
 * - The command holds a lock that the system drops when it ends, however it ends (local/postgres/lock.ts).
 * - wrangler and workerd outlive a command that was killed, and go on writing. They inherit a mark in their environment,
 *   by which the next start finds them and ends them.
 * - A `wrangler dev` that somebody started directly has no mark. Its workerd is found by the files that it has open, and
 *   the start is refused. The other way round nothing can be refused, since wrangler asks nobody: the server that runs says
 *   what it sees.
 */

import { mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SluiceError } from '../src/core/errors.ts';
import { commandText } from './command-text.ts';
import { type FileLock, tryLock } from './postgres/lock.ts';
import { endProcesses, type FoundProcess, listProcesses, processesIn, processesMarked } from './processes.ts';

/** The variable that marks all that a server has started; its value is the folder. */
const MARK = 'SLUICE_DEV_STATE';

/** A holder writes its note right after it has the lock. */
const NOTE_ATTEMPTS = 20;
const NOTE_PAUSE_MS = 50;

/** What the holder tells others. */
interface HolderNote {
  processId: number;
  port: number;
}

/** A folder of state that this process has for itself. */
export interface DevState {
  /** Its real path. */
  readonly folder: string;
  /** Variables for the processes that are to use it. */
  readonly environment: Record<string, string>;
  /** The workerds that use it and are not of this server: somebody started a `wrangler dev` since. */
  strangers(): Promise<FoundProcess[]>;
  /** Ends what of these processes is still there, such as a workerd whose wrangler was killed. Returns who they were. */
  endLeftovers(): Promise<string[]>;
  /** Gives the folder up. Idempotent. */
  release(): Promise<void>;
}

/**
 * Takes the folder for a server on `port`, and ends what a killed server has left behind in it.
 *
 * @param folder made if it is missing
 * @param onLog told in one sentence what was ended
 * @throws SluiceError `invalid_options` when another server has it; the sentence says which, and what to do
 */
export async function claimDevState(
  folder: string,
  { port, onLog }: { port: number; onLog: (message: string) => void },
): Promise<DevState> {
  await mkdir(folder, { recursive: true });
  const path = await realpath(folder);
  const noteFile = join(path, 'sluice-dev.json');
  const lock = tryLock(join(path, 'sluice-dev.lock'));
  if (lock === undefined) throw refusal(path, await readNote(noteFile));
  const findLeftovers = () => processesMarked(MARK, path);
  const findStrangers = async (): Promise<FoundProcess[]> => {
    const users = await processesIn(path, 'workerd');
    // The marks last: a workerd that has started since is then among them.
    const own = new Set((await findLeftovers()).map((one) => one.processId));
    return users.filter((one) => !own.has(one.processId));
  };
  try {
    // What a dead holder wrote must not be read as ours.
    await rm(noteFile, { force: true });
    const note: HolderNote = { processId: process.pid, port };
    await writeFile(`${noteFile}.new`, JSON.stringify(note));
    await rename(`${noteFile}.new`, noteFile);
    const ended = await endProcesses(findLeftovers);
    if (ended.length > 0)
      onLog(`Ended what a server that was killed had left running: ${listProcesses(ended)}`);
    const others = await findStrangers();
    if (others.length > 0) {
      throw new SluiceError(
        'invalid_options',
        `A \`wrangler dev\` uses ${path}: ${listProcesses(others)}. Two servers on one state lose messages. ` +
          `End it (kill ${others.map(({ processId }) => processId).join(' ')}), or ${OWN_STATE}`,
      );
    }
  } catch (error) {
    await giveUp(lock, noteFile);
    throw error;
  }
  let released: Promise<void> | undefined;
  return {
    folder: path,
    environment: { [MARK]: path },
    strangers: findStrangers,
    endLeftovers: async () => (await endProcesses(findLeftovers)).map((one) => listProcesses([one])),
    release() {
      released ??= giveUp(lock, noteFile);
      return released;
    },
  };
}

const OWN_STATE = 'give this one its own state: --persist-to <folder>';

function refusal(folder: string, note: HolderNote | undefined): SluiceError {
  const holder =
    note === undefined
      ? `Another \`${commandText('dev')}\``
      : `Another \`${commandText('dev')}\` (process ${note.processId}, port ${note.port})`;
  const end = note === undefined ? 'End it' : `Use that one, end it (kill ${note.processId})`;
  return new SluiceError(
    'invalid_options',
    `${holder} uses ${folder}. Two servers on one state lose messages. ${end}, or ${OWN_STATE}`,
  );
}

async function readNote(file: string): Promise<HolderNote | undefined> {
  for (let attempt = 0; attempt < NOTE_ATTEMPTS; attempt += 1) {
    try {
      return JSON.parse(await readFile(file, 'utf8')) as HolderNote;
    } catch {
      // The holder has just taken the lock.
      await delay(NOTE_PAUSE_MS);
    }
  }
  return undefined;
}

async function giveUp(lock: FileLock, noteFile: string): Promise<void> {
  // The note first: it must not speak for the next holder.
  await rm(noteFile, { force: true });
  lock.release();
}
