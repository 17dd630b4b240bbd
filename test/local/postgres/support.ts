/** What the tests of the embedded Postgres share. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import pg from 'pg';
import { inject } from 'vitest';
import { serverAccount } from '../../../local/postgres/account.ts';
import { placeData } from '../../../local/postgres/data-directory.ts';

export const isRoot = process.getuid?.() === 0;

/** Small, so that several servers fit beside each other. */
export const SETTINGS = { shared_buffers: '16MB' };

/**
 * A folder for one cluster. `remove` removes the place where the data really lies too.
 *
 * @param holds `cluster`: one in which nothing is yet. `nothing`: the start makes it, which takes a second more of CPU
 */
export async function temporaryData(
  holds: 'cluster' | 'nothing' = 'cluster',
): Promise<{ dataDirectory: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sluice-test-'));
  const dataDirectory = path.join(folder, 'data');
  if (holds === 'cluster') {
    const place = await placeData(dataDirectory, await serverAccount());
    await promisify(execFile)('cp', ['-a', inject('emptyCluster'), place]);
  }
  return {
    dataDirectory,
    async remove() {
      const real = await placeData(dataDirectory, await serverAccount());
      await rm(path.dirname(real), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Runs one statement on its own connection. */
export async function query(url: string, text: string, values: unknown[] = []): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url, ssl: false });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** Kills a server and all its children at once, as a power cut would. */
export function killServer(processId: number): void {
  const children = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === processId)
    .map(([child]) => child as number);
  process.kill(processId, 'SIGKILL');
  for (const child of children) {
    try {
      process.kill(child, 'SIGKILL');
    } catch (error) {
      // Those that notice that the server is gone end by themselves, some before their turn here.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Another process that owns, or has joined, a server. */
export interface Holder {
  server: { url: string; port: number; dataDirectory: string; processId: number; owned: boolean };
  /** Ends the process without giving it a chance. */
  kill(): Promise<void>;
  /** Lets it stop its server and end. */
  finish(): Promise<void>;
}

/** Starts Postgres from another process, with the sources below `checkout`. */
export async function hold(
  dataDirectory: string,
  port: number,
  checkout = path.resolve(import.meta.dirname, '../../..'),
): Promise<Holder> {
  const script = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(path.join(checkout, 'local/postgres/embedded.ts'))});
    const server = await startEmbeddedPostgres(${JSON.stringify({ dataDirectory, port, settings: SETTINGS })});
    console.log(JSON.stringify(server));
    process.stdin.once('end', () => server.stop()).resume();
  `;
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: checkout,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const first = await Promise.race([once(lines, 'line'), ended.then(() => undefined)]);
  if (first === undefined) throw new Error('the other process ended before its Postgres ran');
  return {
    server: JSON.parse(first[0]),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async finish() {
      child.stdin?.end();
      await ended;
    },
  };
}
