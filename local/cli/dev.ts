/** `npm run dev`: Postgres, migrations, and wrangler's dev server on top of them. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describeTarget, resolveTarget } from '../../src/database/target.ts';
import { resolveOptions } from '../../src/option-table.ts';
import { openLocalDatabase } from '../local-database.ts';
import { migrateDatabase } from '../migrate.ts';
import { REPOSITORY } from '../repository.ts';
import { Cleanup } from './cleanup.ts';

const PORT = {
  kind: 'integer',
  min: 1,
  max: 65_535,
  default: 8787,
  description: 'Port of the Worker',
} as const;

export async function dev(flags: { port: string }): Promise<void> {
  const { port } = resolveOptions({ port: PORT }, flags);
  const driver = process.env.DRIVER ?? 'auto';
  const cleanup = new Cleanup();
  // A terminal sends Ctrl-C to wrangler as well; it ends by itself, and then everything else is stopped here.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  try {
    const database = await openLocalDatabase(driver, cleanup, (message) =>
      process.stderr.write(`${message}\n`),
    );
    await migrateDatabase(database.url);
    const address = describeTarget(resolveTarget({ databaseUrl: database.url, driver }));
    process.stderr.write(`The tables of ${address} are up to date\n`);

    const folder = await mkdtemp(join(tmpdir(), 'sluice-dev-'));
    cleanup.add('remove the variables', () => rm(folder, { recursive: true, force: true }));
    // In a file that only this user can read: arguments and environments of processes can be seen by others.
    const variables = { ...database.bindings, BENCH: 'on', ADMIN: 'on', OPEN_NAMESPACE: 'default' };
    const envFile = join(folder, 'dev.env');
    await writeFile(
      envFile,
      Object.entries(variables)
        .map(([name, value]) => `${name}=${quoteEnv(value)}\n`)
        .join(''),
      { mode: 0o600 },
    );
    process.exitCode = await runWrangler([
      'dev',
      '--port',
      String(port),
      '--ip',
      '127.0.0.1',
      '--env-file',
      envFile,
    ]);
  } finally {
    await cleanup.run();
    process.removeListener('SIGINT', ignore);
  }
}

function quoteEnv(value: string): string {
  // Single quotes keep `$` and `#` of a password as they are.
  return value.includes("'") ? JSON.stringify(value) : `'${value}'`;
}

function runWrangler(args: string[]): Promise<number> {
  const wrangler = join(
    dirname(createRequire(import.meta.url).resolve('wrangler/package.json')),
    'bin/wrangler.js',
  );
  const child = spawn(process.execPath, [wrangler, ...args], {
    cwd: REPOSITORY,
    stdio: 'inherit',
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      // wrangler would record every frame of a hibernatable socket for its local log view, at about 1 ms each.
      X_LOCAL_OBSERVABILITY: 'false',
      // wrangler's debugger proxy attaches to workerd, whose tracing of asynchronous work then searches a growing list
      // at every frame: 31,000 frames/s fall to 3,000 within a million, and /health takes seconds. wrangler has no flag
      // against the proxy; it stays away where it believes a debugger of VS Code to be in charge.
      VSCODE_INSPECTOR_OPTIONS: process.env.VSCODE_INSPECTOR_OPTIONS ?? '{}',
    },
  });
  const stop = (): void => void child.kill('SIGTERM');
  process.on('SIGTERM', stop);
  // Only a terminal sends the signal to wrangler too; whoever sends it to this process alone means both.
  const stopSoon = (): void => void setTimeout(stop, 2_000).unref();
  process.on('SIGINT', stopSoon);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.removeListener('SIGTERM', stop);
      process.removeListener('SIGINT', stopSoon);
      resolve(code ?? (signal === null ? 1 : 0));
    });
  });
}
