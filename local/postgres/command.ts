/** Runs one short-lived program, such as `initdb` or `pg_ctl`, and collects what it said. */
import { spawn } from 'node:child_process';
import path from 'node:path';

const OUTPUT_LIMIT_CHARS = 64 * 1024;

/** The numeric ids of an account. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

/** How to run a program. */
export interface CommandOptions {
  /** The account to run as; this process's own by default. */
  account?: Account | undefined;
  /** Run in its own session, so that Ctrl-C in the terminal does not reach it. Default false. */
  detached?: boolean;
}

/** What a program left behind. `exitCode` is null when it could not be started or a signal ended it. */
export interface CommandResult {
  exitCode: number | null;
  /** Standard output and standard error together, the last 64 Ki characters. */
  output: string;
}

/**
 * Runs `file` to its end. Never rejects: a program that cannot be started (missing, not executable for the
 * account) gives `exitCode` null and the reason as output.
 */
export function runCommand(
  file: string,
  args: readonly string[],
  { account, detached = false }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    let output = '';
    const collect = (chunk: string) => {
      output = (output + chunk).slice(-OUTPUT_LIMIT_CHARS);
    };
    const child = spawn(file, args, {
      // The account may be unable to enter our own working directory, and Postgres's programs fail without one.
      cwd: path.parse(process.cwd()).root,
      env: commandEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached,
      windowsHide: true,
      ...(account && { uid: account.uid, gid: account.gid }),
    });
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', (error) => resolve({ exitCode: null, output: `${output}${error.message}` }));
    child.on('close', (exitCode, signal) => {
      resolve({ exitCode, output: signal === null ? output : `${output}\nended by ${signal}` });
    });
  });
}

/**
 * A small environment: PGPORT, PGOPTIONS, PGDATA and the like would change what Postgres's programs do, and our
 * secrets (API tokens) are no business of a server that outlives us. Messages are in English, since we read them.
 */
function commandEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'LD_LIBRARY_PATH', 'TZ', 'SystemRoot', 'SYSTEMROOT', 'TEMP', 'TMP', 'USERPROFILE'];
  const environment: NodeJS.ProcessEnv = { LC_ALL: 'C' };
  for (const name of kept) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
