/** A user's project in a separate folder: its commands run as in a terminal, with the Node of the tests. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';

export interface Ended {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface RunningServer {
  /** All that it has written. */
  output(): string;
  /** Resolves with the match once the output has one; rejects when the process ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  /** Ends it as Ctrl-C does, and waits. */
  stop(): Promise<Ended>;
}

export class Project {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Runs a program of the PATH, or of the project's packages, to its end. */
  run(
    program: string,
    args: readonly string[],
    env: Record<string, string> = {},
    input = '',
  ): Promise<Ended> {
    return new Promise((resolve) => {
      const child = execFile(
        program,
        args,
        { cwd: this.folder, env: this.#environment(env), maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const code = (error as { code?: unknown } | null)?.code;
          resolve({ exitCode: error === null ? 0 : typeof code === 'number' ? code : null, stdout, stderr });
        },
      );
      // No terminal; a command that ends before it has read all of it is no fault.
      child.stdin?.on('error', () => {}).end(input);
    });
  }

  /** Like `run`. @throws Error with all of the output where the exit code is not 0 */
  async succeed(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
    const ended = await this.run(program, args, env);
    if (ended.exitCode === 0) return ended;
    throw new Error(
      `${program} ${args.join(' ')} ended with ${ended.exitCode}:\n${ended.stdout}\n${ended.stderr}`,
    );
  }

  /** `npm install`; what npm has fetched before is not asked for again. */
  async npmInstall(...args: string[]): Promise<Ended> {
    await mkdir(this.folder, { recursive: true });
    return await this.succeed('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...args]);
  }

  start(program: string, args: readonly string[], env: Record<string, string> = {}): RunningServer {
    const child = spawn(program, args, {
      cwd: this.folder,
      env: this.#environment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
      // Its own group, as a command in a terminal has.
      detached: true,
    });
    return runningServer(child);
  }

  #environment(env: Record<string, string>): NodeJS.ProcessEnv {
    // What the tests were started with must not decide where a command goes.
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(DATABASE_URL|DRIVER|PG.*|CLOUDFLARE_.*|npm_.*|INIT_CWD|NODE_ENV|VITEST.*)$/.test(name),
    );
    // What a caller puts first takes the place of the project's programs, which no terminal has in its PATH.
    const first =
      env.PATH ?? [join(this.folder, 'node_modules/.bin'), dirname(process.execPath)].join(delimiter);
    const path = [first, process.env.PATH];
    return {
      ...Object.fromEntries(inherited),
      NO_COLOR: '1',
      WRANGLER_SEND_METRICS: 'false',
      ...env,
      PATH: path.join(delimiter),
    };
  }
}

function runningServer(child: ChildProcess): RunningServer {
  let output = '';
  let stdout = '';
  const waiting = new Set<() => void>();
  const take = (text: string): void => {
    output += text;
    for (const look of waiting) look();
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    take(text);
  });
  child.stderr?.setEncoding('utf8').on('data', take);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr: output }));
  });
  return {
    output: () => output,
    said(pattern) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(output);
          if (match === null) return;
          waiting.delete(look);
          resolve(match);
        };
        waiting.add(look);
        look();
        void ended.then(({ exitCode }) =>
          reject(new Error(`It ended with ${exitCode} before it said ${pattern}:\n${output}`)),
        );
      });
    },
    stop() {
      // The whole group: a terminal sends Ctrl-C to all of it.
      if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
      return ended;
    },
  };
}
