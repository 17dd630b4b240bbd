/**
 * A lock between processes on this machine that cannot go stale: the operating system drops it when the holder
 * ends, however it ends. It is SQLite's exclusive lock on an otherwise empty file, because Node has no other
 * door to such locks, and a file with a process id in it needs a guess whether that process still is the one
 * that wrote it.
 *
 * Never open the lock file by other means in this process: on POSIX, closing any descriptor of a file drops the
 * locks which the whole process holds on it.
 */
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/** A lock that is held. */
export interface FileLock {
  /** Gives the lock up. Idempotent. */
  release(): void;
}

/** Holders are kept here: a collected database handle would give its lock up silently. */
const held = new Set<DatabaseSync>();

/**
 * Takes the lock at `file` (created if missing), or returns `undefined` at once when anybody holds it, in this
 * process or in another.
 *
 * @throws Error when the file cannot be opened.
 */
export function tryLock(file: string): FileLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw new Error(`cannot lock ${file}: ${(error as Error).message}`, { cause: error });
  }
  held.add(database);
  return {
    release() {
      if (held.delete(database)) database.close();
    },
  };
}
