/** Two `npm run dev` on one state, and one whose processes are killed: nobody may write beside the newest. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endProcesses, processesMarked } from '../../../local/processes.ts';
import { DEV_ROLES, DevServer, isRunning } from '../dev-server.ts';
import type { Run } from '../run.ts';
import type { Scenario } from '../scenario.ts';

/** How long a server may take to end once it was told to, or once a process of it was killed. */

const devTwice: Scenario = {
  name: 'dev-twice',
  title: 'Two npm run dev on one state; each of its processes killed with -9, then started again',
  cannot: () => (process.platform === 'linux' ? undefined : 'processes are found by /proc'),
  async run(run) {
    const dev = await Servers.open(run);
    let server = await dev.start();
    run.shard.moveTo(server.url);
    run.load();
    await refusedBeside(run, dev);
    const victims = run.random.shuffled([...DEV_ROLES, 'postgres' as const]);
    for (const victim of victims.slice(0, run.times(4))) {
      await run.pause(50, 500);
      const before = await server.processes();
      if (victim === 'postgres') {
        await run.world.postgres.kill();
        await run.world.postgres.start();
      } else {
        const id = before.get(victim);
        if (id === undefined) throw new Error(`npm run dev has no process ${victim}`);
        process.kill(id, 'SIGKILL');
      }
      server = await startedAgain(run, dev, victim);
      const now = new Set((await server.processes()).values());
      for (const [role, id] of before)
        if (!now.has(id) && (await isRunning(id)))
          run.fail(`After a kill of ${victim}, the old ${role} still runs`);
      run.struck();
    }
    await run.pause(50, 300);
  },
};

/** A start beside a living server has to be refused, and to name it. */
async function refusedBeside(run: Run, dev: Servers): Promise<void> {
  const first = await dev.newest.processes();
  const second = dev.spawn(await freePort());
  const outcome = await second.settled();
  run.struck();
  if (outcome === 'up') {
    run.fail('A second npm run dev was started on the same state');
    await second.kill();
  } else if (
    !second.said.includes(`(process ${first.get('command')}, port ${dev.newest.port}) uses`) ||
    !second.said.includes('--persist-to')
  ) {
    run.fail(`The second npm run dev ended without naming the first: ${second.said.slice(-300)}`);
  }
}

/** Starts until one is up: a server that lives on in part must be named, and ends when it is told to. */
async function startedAgain(run: Run, dev: Servers, victim: string): Promise<DevServer> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const next = dev.spawn(dev.port);
    if ((await next.settled()) === 'up') return dev.use(next);
    const holder = Number(/\(process (\d+), port \d+\) uses/.exec(next.said)?.[1]);
    if (!(holder > 0)) throw new Error(`After a kill of ${victim}: ${next.said.slice(-300)}`);
    try {
      process.kill(holder, 'SIGTERM');
    } catch {
      // It was about to end.
    }
    await run.until('the server that was named has ended', async () => !(await isRunning(holder)));
  }
  throw new Error(`After a kill of ${victim}, npm run dev does not start`);
}

class Servers {
  readonly port: number;
  readonly #state: string;
  readonly #databaseUrl: string;
  readonly #started: DevServer[] = [];
  #newest: DevServer | undefined;

  private constructor(options: { port: number; state: string; databaseUrl: string }) {
    this.port = options.port;
    this.#state = options.state;
    this.#databaseUrl = options.databaseUrl;
  }

  static async open(run: Run): Promise<Servers> {
    const state = await mkdtemp(join(tmpdir(), 'sluice-faults-dev-'));
    const servers = new Servers({ port: await freePort(), state, databaseUrl: run.world.postgres.url });
    run.atEnd('remove the state', () => rm(state, { recursive: true, force: true }));
    run.atEnd('end the servers', async () => {
      for (const server of servers.#started) await server.kill();
    });
    return servers;
  }

  get newest(): DevServer {
    if (this.#newest === undefined) throw new Error('No server was started');
    return this.#newest;
  }

  spawn(port: number): DevServer {
    const server = new DevServer({ port, state: this.#state, databaseUrl: this.#databaseUrl });
    this.#started.push(server);
    return server;
  }

  use(server: DevServer): DevServer {
    this.#newest = server;
    return server;
  }

  async start(): Promise<DevServer> {
    const server = this.spawn(this.port);
    if ((await server.settled()) === 'ended')
      throw new Error(`npm run dev ended: ${server.said.slice(-500)}`);
    return this.use(server);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A server of small processes (dev-claimer.ts): as many starts as a long form needs. */
class SmallServer {
  readonly processes = new Map<string, number>();
  readonly #child: ChildProcess;
  #said = '';
  #isOver = false;

  constructor(state: string, generation: number) {
    const program = join(import.meta.dirname, '../dev-claimer.ts');
    this.#child = spawn(process.execPath, [program, state, String(generation)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.on('exit', () => {
      this.#isOver = true;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      for (const [, role, id] of text.matchAll(/^(\w+) (\d+)$/gm))
        this.processes.set(role as string, Number(id));
    });
  }

  get said(): string {
    return this.#said;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isUp(): boolean {
    return this.processes.size === SMALL_ROLES.length;
  }

  tell(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

const SMALL_ROLES = ['command', 'launcher', 'writer'] as const;

const devKilled: Scenario = {
  name: 'dev-killed',
  title: 'The command that holds the state, or what it started, killed with -9; then started again',
  longRuns: 100,
  cannot: devTwice.cannot as () => string | undefined,
  async run(run) {
    const state = await mkdtemp(join(tmpdir(), 'sluice-faults-dev-'));
    const log = join(state, 'written.log');
    let generation = 0;
    const start = async (): Promise<SmallServer> => {
      generation += 1;
      const next = new SmallServer(state, generation);
      await run.until('the start is over', () => next.isUp || next.isOver);
      return next;
    };
    let server = await start();
    run.atEnd('remove the state', () => rm(state, { recursive: true, force: true }));
    run.atEnd('end the servers', async () => {
      server.tell('SIGKILL');
      await endProcesses(() => processesMarked('SLUICE_DEV_STATE', state));
    });
    for (const victim of run.random.shuffled(SMALL_ROLES)) {
      const command = server.processes.get('command') as number;
      const second = await start();
      if (second.isUp) throw new Error('Two servers have the state');
      if (!second.said.includes(`(process ${command}, port `))
        run.fail(`The first is not named: ${second.said}`);
      await run.pause(0, 50);
      process.kill(server.processes.get(victim) as number, 'SIGKILL');
      let next = await start();
      if (!next.isUp) {
        // What was killed left a command that holds the state.
        if (victim === 'command') throw new Error(`Nobody holds the state, and yet: ${next.said}`);
        server.tell('SIGTERM');
        await run.until('the command has ended', () => server.isOver);
        next = await start();
      }
      if (!next.isUp) throw new Error(`After a kill of the ${victim}: ${next.said}`);
      server = next;
      const own = String(generation);
      const written = async (): Promise<string[]> => (await readFile(log, 'utf8')).trimEnd().split('\n');
      await run.until('the newest server writes', async () => (await written()).includes(own));
      await run.pause(10, 50);
      // Nothing of an older generation may come after the first of this one.
      const lines = await written();
      const late = lines.slice(lines.indexOf(own)).filter((line) => line !== own).length;
      if (late > 0) run.fail(`After a kill of the ${victim}, ${late} writes of an older server came late`);
      run.struck();
    }
  },
};

export const devScenarios: readonly Scenario[] = [devTwice, devKilled];
