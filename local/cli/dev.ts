/** `sluice dev`: Postgres, migrations, and wrangler's dev server on top of them. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { errorText, SluiceError } from '../../src/core/errors.ts';
import { resolveOptions } from '../../src/core/option-table.ts';
import { describeTarget, resolveTarget } from '../../src/database/target.ts';
import { claimDevState, type DevState } from '../dev-state.ts';
import {
  HYPERDRIVE_VARIABLE,
  planDatabase,
  readDevSettings,
  workerVariables,
  writeVariables,
} from '../dev-variables.ts';
import { openLocalDatabase } from '../local-database.ts';
import { migrateDatabase } from '../migrate.ts';
import { openTexts } from '../open-variables.ts';
import { projectFolder, wranglerConfigIn, wranglerProgram } from '../project.ts';
import { routeOf } from '../worker-address.ts';
import { Cleanup } from './cleanup.ts';
import { ReadableLog } from './readable-log.ts';
import { reportHealth } from './report-health.ts';

const PORT = {
  kind: 'integer',
  min: 1,
  max: 65_535,
  default: 8787,
  description: 'Port of the Worker',
} as const;

/** How often a running server looks whether it is alone. */
const STRANGERS_EVERY_MS = 5_000;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface DevFlags {
  port: string;
  persistTo?: string;
  config?: string;
  sluiceOnly?: true;
  path?: string;
}

export async function dev({ persistTo, config, sluiceOnly, path = '/', ...flags }: DevFlags): Promise<void> {
  const { port } = resolveOptions({ port: PORT }, flags);
  if (!path.startsWith('/')) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(path)} as --path: a path such as /sluice is allowed`,
    );
  }
  const project = projectFolder();
  const configFile = config === undefined ? wranglerConfigIn(project) : resolve(config);
  if (configFile === undefined) {
    throw new SluiceError(
      'invalid_options',
      'There is no wrangler.toml here. `npx sluice init` writes a Worker; for another configuration, say --config <file>',
    );
  }
  const cleanup = new Cleanup();
  // A signal before wrangler runs ends the start after the step that it is in; later wrangler is what ends.
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const signal of SIGNALS) process.on(signal, stop);
  const log = (message: string): void => void process.stderr.write(`${message}\n`);
  try {
    // First of all: a start that does not get the state must not migrate or stop anything either.
    const folder = persistTo === undefined ? join(project, '.wrangler', 'state') : resolve(persistTo);
    const state = await claimDevState(folder, { port, onLog: log });
    cleanup.add('give the state up', () => state.release());
    await assertFree(port);
    const settings = await readDevSettings(configFile, process.env);
    const plan = planDatabase(settings, process.env);
    for (const text of plan.notices) log(text);
    const database = plan.isRemote ? undefined : await openLocalDatabase({ ...plan, cleanup, onLog: log });
    if (stopping.signal.aborted) throw stopped();
    if (database === undefined) {
      log(
        'The binding HYPERDRIVE has remote = true: the Worker uses a database that is not migrated from here',
      );
    } else {
      await migrateDatabase(database.url, { isSluiceOnly: sluiceOnly === true, project });
      const address = describeTarget(resolveTarget({ databaseUrl: database.url, driver: plan.driver }));
      const way = plan.isHyperdrive ? '; the Worker reaches it through the binding HYPERDRIVE' : '';
      log(`The tables of ${address} are up to date${way}`);
    }
    if (stopping.signal.aborted) throw stopped();

    const variablesFolder = await mkdtemp(join(tmpdir(), 'sluice-dev-'));
    cleanup.add('remove the variables', () => rm(variablesFolder, { recursive: true, force: true }));
    // In a file that only this user can read: arguments and environments of processes can be seen by others.
    const envFile = join(variablesFolder, 'dev.env');
    const variables = workerVariables(settings, plan, database);
    await writeFile(envFile, writeVariables(variables), { mode: 0o600 });
    for (const text of openTexts({ ...settings.configured, ...variables })) log(text);
    const args = [
      'dev',
      '--port',
      String(port),
      '--ip',
      '127.0.0.1',
      '--config',
      configFile,
      '--env-file',
      envFile,
      '--persist-to',
      state.folder,
    ];
    cleanup.add('end what wrangler has left running', async () => {
      // Its esbuild goes when it notices that wrangler has gone, which may be a moment later: not worth a word.
      const left = (await state.endLeftovers()).filter((one) => !one.startsWith('esbuild '));
      if (left.length > 0) log(`Ended what wrangler had left running: ${left.join(', ')}`);
    });
    const looking = warnOfStrangers(state, log);
    cleanup.add('stop looking at the state', async () => clearInterval(looking));
    const environment = {
      ...state.environment,
      ...(plan.isHyperdrive && database !== undefined ? { [HYPERDRIVE_VARIABLE]: database.url } : {}),
    };
    const address = new URL(path, `http://127.0.0.1:${port}`);
    void reportHealth(address, log).then((isThere) => {
      if (isThere) log(whatToOpen(address));
    });
    process.exitCode = await runWrangler(project, args, environment, stopping.signal);
  } finally {
    await cleanup.run();
    for (const signal of SIGNALS) process.removeListener(signal, stop);
  }
}

/** Looks now and then for a `wrangler dev` that somebody has started on the same state, and says so once. */
function warnOfStrangers(state: DevState, log: (message: string) => void): NodeJS.Timeout {
  const known = new Set<number>();
  const look = async (): Promise<void> => {
    for (const { processId } of await state.strangers()) {
      if (known.has(processId)) continue;
      known.add(processId);
      log(
        `A \`wrangler dev\` was started on the state of this server (workerd, process ${processId}): each overwrites what the ` +
          'other has stored, so messages get lost. End one of the two',
      );
    }
  };
  // Nothing that is seen here may end the server.
  return setInterval(() => void look().catch(() => {}), STRANGERS_EVERY_MS).unref();
}

function stopped(): SluiceError {
  return new SluiceError('aborted', 'Stopped before the Worker was started');
}

/** @throws SluiceError `invalid_options` where another program listens on the port */
async function assertFree(port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolved, reject) => {
      server.once('error', reject).listen(port, '127.0.0.1', resolved);
    });
  } catch (error) {
    throw new SluiceError(
      'invalid_options',
      `Cannot listen on port ${port} (${errorText(error)}): another program may have it. End that one, or choose another --port`,
      { cause: error },
    );
  }
  await new Promise((closed) => server.close(closed));
}

/** What a Worker that has just started has to show. */
function whatToOpen(worker: URL): string {
  return [
    'What to open:',
    `  ${routeOf(worker, '/dashboard')}  sinks, shards, queues and alerts, live`,
    `  ${routeOf(worker, '/health')}  whether it is well; 503 where not`,
    `  ${routeOf(worker, '/metrics')}  the same for Prometheus`,
    `  ${routeOf(worker, '/ws/messages')}  where clients connect (ws://), by the name of a sink`,
  ].join('\n');
}

// wrangler's own lines as they are, those of the Worker's log as sentences.
function passOn(from: Readable, to: NodeJS.WriteStream): void {
  const log = new ReadableLog((text) => to.write(text), to.isTTY === true);
  from.on('data', (chunk: Buffer) => log.add(chunk));
  from.on('end', () => log.end());
}

function runWrangler(
  project: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
  stopping: AbortSignal,
): Promise<number> {
  const child = spawn(process.execPath, [wranglerProgram(), ...args], {
    cwd: project,
    // Its keys still come from the terminal.
    stdio: ['inherit', 'pipe', 'pipe'],
    env: {
      ...(process.stdout.isTTY && process.env.NO_COLOR === undefined
        ? { FORCE_COLOR: process.env.FORCE_COLOR ?? '1' }
        : {}),
      ...process.env,
      ...environment,
      // Or wrangler would leave out the file of variables.
      CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV: 'true',
      WRANGLER_SEND_METRICS: 'false',
      // wrangler would record every frame of a hibernatable socket for its local log view, at about 1 ms each.
      X_LOCAL_OBSERVABILITY: 'false',
      // wrangler's debugger proxy attaches to workerd, whose tracing of asynchronous work then searches a growing list
      // at every frame: 31,000 frames/s fall to 3,000 within a million, and /health takes seconds. wrangler has no flag
      // against the proxy; it stays away where it believes a debugger of VS Code to be in charge.
      VSCODE_INSPECTOR_OPTIONS: process.env.VSCODE_INSPECTOR_OPTIONS ?? '{}',
    },
  });
  passOn(child.stdout, process.stdout);
  passOn(child.stderr, process.stderr);
  const stop = (): void => void child.kill('SIGTERM');
  process.on('SIGTERM', stop);
  process.on('SIGHUP', stop);
  // Only a terminal sends this one to wrangler too; one that is sent to this process alone is meant for both.
  const stopSoon = (): void => void setTimeout(stop, 2_000).unref();
  process.on('SIGINT', stopSoon);
  // A signal may have come while the variables were written.
  if (stopping.aborted) stop();
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.removeListener('SIGTERM', stop);
      process.removeListener('SIGHUP', stop);
      process.removeListener('SIGINT', stopSoon);
      if (signal === 'SIGKILL') process.stderr.write('wrangler was killed\n');
      resolve(code ?? (signal === null || signal === 'SIGKILL' ? 1 : 0));
    });
  });
}
