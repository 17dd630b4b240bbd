/** The command line as its users run it, in a separate process; and as a function, which takes a tenth of the time. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { runCommand } from '../../local/cli/run-command.ts';

const MAIN = path.resolve(import.meta.dirname, '../../local/cli/main.ts');

/** Variables that Node reads once, when it starts. */
const READ_AT_START = ['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS'];

export interface Ended {
  /** As a shell counts it; null for a process that a signal ended. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves once a line on stderr matches; rejects when the process ends before. */
  saidOnStderr(pattern: RegExp): Promise<void>;
  /** What it has started and what these have started, and all of its process group. */
  offspring(): Process[];
}

export interface Process {
  processId: number;
  command: string;
}

export interface CommandLine {
  /** A folder for reports, gone after the last test. */
  readonly folder: string;
  /**
   * Starts a process: for what only a process shows, such as signals, what it leaves running, and that it ends by itself.
   *
   * @param input what it reads on stdin. Default: nothing
   */
  start(args: readonly string[], env?: Record<string, string>, input?: Uint8Array): RunningCommand;
  /**
   * Runs the same command in this process (a separate process costs about a second of CPU), one at a time. With a
   * variable that Node reads when it starts, it is a process all the same.
   *
   * @param input what it reads on stdin. Default: nothing
   */
  run(args: readonly string[], env?: Record<string, string>, input?: Uint8Array): Promise<Ended>;
}

/** To be called where tests are collected: what a test leaves running is killed after it. */
export function commandLine(): CommandLine {
  let folder = '';
  const running = new Set<RunningCommand>();
  let turn: Promise<unknown> = Promise.resolve();
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'sluice-cli-'));
  });
  afterEach(() => {
    for (const { child, offspring } of running) {
      for (const { processId } of offspring()) kill(processId);
      kill(child.pid as number);
    }
    running.clear();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return {
    get folder() {
      return folder;
    },
    start(args, env = {}, input = undefined) {
      const command = start(args, env, folder, input);
      running.add(command);
      void command.ended.then(() => running.delete(command));
      return command;
    },
    run(args, env = {}, input = undefined) {
      if (READ_AT_START.some((name) => name in env)) return this.start(args, env, input).ended;
      const ended = turn.then(() => runHere(args, env, folder, input));
      turn = ended.catch(() => {});
      return ended;
    },
  };
}

// The variables of the one who runs the tests must not decide where a command goes.
function environment(env: Record<string, string>): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(DATABASE_URL|DRIVER|PG.*|CLOUDFLARE_.*)$/.test(name)),
  );
  return { ...inherited, NO_COLOR: '1', ...env };
}

/** What is written to it, as text. */
class Collected extends Writable {
  readonly #chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(chunk);
    done();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}

/** A command takes its surroundings from `process`: here they are lent to it until it ends. */
async function runHere(
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
  input: Uint8Array = new Uint8Array(),
): Promise<Ended> {
  const stdout = new Collected();
  const stderr = new Collected();
  const lent = { stdout, stderr, stdin: Readable.from([Buffer.from(input)], { objectMode: false }) };
  const names = Object.keys(lent) as (keyof typeof lent)[];
  const before = names.map((name) => [name, Object.getOwnPropertyDescriptor(process, name)] as const);
  const { exitCode: exitCodeBefore, env: envBefore } = process;
  const cwdBefore = process.cwd();
  try {
    for (const name of names) Object.defineProperty(process, name, { value: lent[name], configurable: true });
    process.env = environment(env);
    process.chdir(cwd);
    await runCommand(args);
    return { exitCode: Number(process.exitCode ?? 0), stdout: stdout.text, stderr: stderr.text };
  } finally {
    process.chdir(cwdBefore);
    process.env = envBefore;
    process.exitCode = exitCodeBefore;
    for (const [name, descriptor] of before)
      if (descriptor !== undefined) Object.defineProperty(process, name, descriptor);
  }
}

function start(
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
  input?: Uint8Array,
): RunningCommand {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: environment(env),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    // Leads its own process group, as a command in a terminal does.
    detached: true,
  });
  // A command that ends before it has read all of it is no fault of the test.
  child.stdin?.on('error', () => {}).end(input);
  let stdout = '';
  let stderr = '';
  const waiting = new Set<() => void>();
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const look of waiting) look();
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
  return {
    child,
    ended,
    saidOnStderr(pattern) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          if (stderr.split('\n').some((line) => pattern.test(line))) resolve();
        };
        waiting.add(look);
        look();
        void ended.then(({ exitCode }) =>
          reject(new Error(`ended with ${exitCode} before it said ${pattern}: ${stderr}`)),
        );
      });
    },
    offspring: () => offspringOf(child.pid as number),
  };
}

interface Listed extends Process {
  parent: number;
  group: number;
}

/** All processes but those that have ended and wait for their parent to notice. */
function listProcesses(): Listed[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat=,command='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(\d+)\s+([^Z\s]\S*)\s+(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, id, parent, group, , command]) => ({
      processId: Number(id),
      parent: Number(parent),
      group: Number(group),
      command: command ?? '',
    }));
}

function offspringOf(root: number): Process[] {
  const all = listProcesses();
  const family = new Set([root]);
  // Parents do not always come before their children in the list.
  for (let before = 0; before < family.size; ) {
    before = family.size;
    for (const { processId, parent, group } of all) {
      if (family.has(parent) || group === root) family.add(processId);
    }
  }
  family.delete(root);
  return all
    .filter(({ processId }) => family.has(processId))
    .map(({ processId, command }) => ({ processId, command }));
}

/** Those of some processes that are still there. */
export function stillAlive(processes: readonly Process[]): Process[] {
  const alive = new Set(listProcesses().map(({ processId }) => processId));
  return processes.filter(({ processId }) => alive.has(processId));
}

function kill(processId: number): void {
  try {
    process.kill(processId, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
