/** `npm run dev` as its users run it: npm, our command, wrangler's two processes, and workerd's two. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endProcesses, processesIn, processesMarked } from '../../local/processes.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';

/** Its processes, all but Postgres. */
export const DEV_ROLES = ['npm', 'command', 'launcher', 'wrangler', 'entry', 'workerd'] as const;
export type DevRole = (typeof DEV_ROLES)[number];

const LOOK_EVERY_MS = 50;

export class DevServer {
  readonly port: number;
  readonly #state: string;
  readonly #child: ChildProcess;
  /** Resolves when npm has ended. */
  readonly ended: Promise<number | null>;
  #isOver = false;
  #said = '';

  /** @param state the folder of the Worker's state */
  constructor({ port, state, databaseUrl }: { port: number; state: string; databaseUrl: string }) {
    this.port = port;
    this.#state = state;
    const child = spawn('npm', ['run', 'dev', '--', '--port', String(port), '--persist-to', state], {
      cwd: REPOSITORY,
      env: { ...process.env, DATABASE_URL: databaseUrl, DRIVER: 'tcp', NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#said = (this.#said + text).slice(-20_000);
      });
    }
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      // Not `close`: what npm leaves running keeps its pipes.
      child.on('exit', (code) => {
        this.#isOver = true;
        resolve(code);
      });
    });
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}`);
  }

  /** All that it printed. */
  get said(): string {
    return this.#said;
  }

  /** Waits until it answers, or has ended. */
  async settled(): Promise<'up' | 'ended'> {
    const untilMs = performance.now() + HANG_LIMIT_MS;
    for (;;) {
      if (this.#isOver) return 'ended';
      const isUp = this.#said.includes('Ready on') && (await this.#answers());
      if (isUp) return 'up';
      if (performance.now() > untilMs)
        throw new Error(`npm run dev does not start: ${this.#said.slice(-500)}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  async #answers(): Promise<boolean> {
    return await fetch(new URL('/health', this.url), { signal: AbortSignal.timeout(HANG_LIMIT_MS) }).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** The processes that there are, by what they are. */
  async processes(): Promise<Map<DevRole, number>> {
    const found = new Map<DevRole, number>();
    if (!this.#isOver && this.#child.pid !== undefined) found.set('npm', this.#child.pid);
    const note = await readFile(join(this.#state, 'sluice-dev.json'), 'utf8').catch(() => '{}');
    const { processId } = JSON.parse(note) as { processId?: number };
    if (processId !== undefined) found.set('command', processId);
    const ofState = (await processesIn(this.#state, 'workerd')).map((one) => one.processId);
    for (const { processId: id, name } of await processesMarked('SLUICE_DEV_STATE', this.#state)) {
      const line = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '');
      if (name === 'workerd') found.set(ofState.includes(id) ? 'workerd' : 'entry', id);
      else if (line.includes('bin/wrangler.js')) found.set('launcher', id);
      else if (line.includes('wrangler-dist/cli.js')) found.set('wrangler', id);
    }
    return found;
  }

  /** Ends all that is left of it. */
  async kill(): Promise<void> {
    for (const id of [-(this.#child.pid ?? 0), (await this.processes()).get('command') ?? 0]) {
      try {
        if (id !== 0) process.kill(id, 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
    await endProcesses(() => processesMarked('SLUICE_DEV_STATE', this.#state));
  }
}

/** Whether a process runs; one that is dead and not collected does not. */
export async function isRunning(processId: number): Promise<boolean> {
  const stat = await readFile(`/proc/${processId}/stat`, 'utf8').catch(() => '');
  return /^\d+ \(.*\) [^ZX] /s.test(stat);
}
