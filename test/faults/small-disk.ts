/** A disk of a few megabytes, to be filled to the last byte: a tmpfs, which only root of a Linux may mount. */

import { spawnSync } from 'node:child_process';
import { chown, mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../local/postgres/command.ts';

/** Above what a run writes, so that it never fills up by itself. */
const SIZE_MEGABYTES = 32;

const CHUNK = Buffer.alloc(64 * 1024);

/** Why a disk cannot be mounted here; undefined where it can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== 'linux') return 'a small disk can be mounted on Linux only';
  if (process.getuid?.() !== 0) return 'only root may mount a small disk';
  // Root of a container usually may not. In its own namespace the mount is gone with the program.
  const { status } = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/tmp']);
  return status === 0 ? undefined : 'this container may not mount a small disk';
}

export class SmallDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Mounts a disk on a new folder, which belongs to the owner of `like`. */
  static async mount(folder: string, like: string): Promise<SmallDisk> {
    await mkdir(folder);
    const disk = new SmallDisk(folder);
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MEGABYTES}m,mode=700`, 'tmpfs', folder]);
      const { uid, gid } = await stat(like);
      await chown(folder, uid, gid);
    } catch (error) {
      await disk.unmount();
      throw error;
    }
    return disk;
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, 'a');
    try {
      // In the end a write takes a part of the chunk, and the next one fails.
      for (;;) await file.write(CHUNK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      await file.close();
    }
  }

  /** Gives the room back. */
  async empty(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  /** Idempotent. Files that are open still are there until they are closed. */
  async unmount(): Promise<void> {
    await runCommand('umount', ['--lazy', this.folder]);
    await rm(this.folder, { recursive: true, force: true });
  }

  get #filler(): string {
    return join(this.folder, 'filler');
  }
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { exitCode, output } = await runCommand(program, args);
  if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${output.trim()}`);
}
