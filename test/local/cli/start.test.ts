import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../../local/repository.ts';

interface Package {
  engines: { node: string };
  dependencies: Record<string, string>;
  scripts: Record<string, string>;
}

const manifest = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as Package;

let folder: string;

/** A checkout whose node_modules has what `npm ci --omit=dev` installs, and nothing else. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-production-'));
  for (const part of ['lab', 'local', 'src', 'package.json', 'wrangler.toml'])
    await cp(join(REPOSITORY, part), join(folder, part), { recursive: true });
  const lock = JSON.parse(await readFile(join(REPOSITORY, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  for (const [path, { dev, devOptional, optional }] of Object.entries(lock.packages)) {
    if (!/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) || dev || devOptional || optional) continue;
    await mkdir(join(folder, path, '..'), { recursive: true });
    await symlink(join(REPOSITORY, path), join(folder, path));
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  { program = process.execPath, env = {} }: { program?: string; env?: Record<string, string> } = {},
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const { DATABASE_URL: _, ...inherited } = process.env;
  const options = { cwd: folder, env: { ...inherited, NO_COLOR: '1', ...env } };
  return await promisify(execFile)(program, ['--preserve-symlinks', ...args], options).then(
    ({ stdout, stderr }) => ({ exitCode: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ exitCode: code, stdout, stderr }),
  );
}

const START = 'local/cli/start.js';

/** Runs commands one after the other in one process, and prints what each ended with and said on stderr, as JSON. */
const ONE_BY_ONE = `
import { runCommand } from './local/cli/run-command.ts';
const ended = [];
let stderr = '';
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true;
process.stderr.write = (text) => { stderr += text; return true; };
for (const args of JSON.parse(process.argv[2])) {
  stderr = '';
  await runCommand(args);
  ended.push({ args, exitCode: process.exitCode, stderr });
}
process.exitCode = 0;
write(JSON.stringify(ended));
`;

describe('without the development packages', () => {
  const unreachable = { DATABASE_URL: 'postgres://a:b@127.0.0.1:1/x' };

  test('a command begins, ends and prints as a process of the script', async () => {
    const help = await run([START, '--help']);
    expect(help).toEqual({ exitCode: 0, stdout: expect.stringContaining('migrate'), stderr: '' });
    const migrate = await run([START, 'migrate'], { env: unreachable });
    expect(migrate).toMatchObject({
      exitCode: 4,
      stderr: expect.stringMatching(/Cannot reach the database/),
    });
  });

  // Each loads its own code when it runs. One process has all of them: a start takes a second or more of CPU.
  test('each command does its work', async () => {
    const expected = [
      { args: ['bench', 'list'], exitCode: 0, says: /There are no results/ },
      { args: ['migrate'], exitCode: 4, says: /Cannot reach the database/ },
      {
        args: ['dead-letters', 'summary', '--url', 'http://127.0.0.1:1'],
        exitCode: 1,
        says: /Nothing answers/,
      },
      { args: ['shard', 'resume', '--url', 'http://127.0.0.1:1'], exitCode: 1, says: /Nothing answers/ },
      { args: ['export', '--url', 'http://127.0.0.1:1'], exitCode: 1, says: /Nothing answers/ },
      { args: ['load', '--url', 'http://127.0.0.1:1'], exitCode: 1, says: /Nothing answers/ },
    ];
    await writeFile(join(folder, 'one-by-one.ts'), ONE_BY_ONE);
    const list = JSON.stringify(expected.map(({ args }) => args));
    const { stdout, exitCode } = await run(['one-by-one.ts', list], { env: unreachable });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(
      expected.map(({ args, exitCode, says }) => ({
        args,
        exitCode,
        stderr: expect.stringMatching(says),
      })),
    );
  });

  test.each([
    {
      args: ['bench', '--quick'],
      says: /^sluice: The package wrangler is not installed. Run npm ci; .* npm ci --include=dev/,
    },
    {
      args: ['dev', '--port', '1'],
      says: /^sluice: The package wrangler is not installed. Run npm ci; .* npm ci --include=dev/,
    },
  ])('$args says in one line what is missing', async ({ args, says }) => {
    const { exitCode, stderr } = await run([START, ...args]);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringMatching(says) });
  });

  test('nor any other one, it says so too', async () => {
    await rename(join(folder, 'node_modules'), join(folder, 'packages'));
    const { exitCode, stderr } = await run([START, 'migrate']);
    await rename(join(folder, 'packages'), join(folder, 'node_modules'));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringMatching(/^sluice: The package \S+ is not installed. Run npm ci;.*\n$/),
    });
  });
});

describe('an old Node', () => {
  test.each(['20.20.2', '22.17.1', '18.0.0'])('%s gets a sentence', async (version) => {
    // Pretends to be that version, before the first file of ours is read.
    await writeFile(
      join(folder, 'pretend.cjs'),
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`,
    );
    const { exitCode, stdout, stderr } = await run([
      '--require',
      join(folder, 'pretend.cjs'),
      START,
      'migrate',
    ]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(
      new RegExp(
        `^sluice: This needs Node 22\\.18 or later, and runs in Node ${version}\\. .*npm ci --include=dev.*\\n$`,
      ),
    );
  });

  test('and what package.json asks for is what is checked; every script of the command line begins there', async () => {
    expect(manifest.engines.node).toBe('>=22.18.0');
    const scripts = Object.values(manifest.scripts).filter((script) => /local\/cli\/\w+\.[jt]s/.test(script));
    expect(scripts.length).toBeGreaterThan(5);
    for (const script of scripts) expect(script).toMatch(/^node local\/cli\/start\.js /);
    // It has to be read by any Node: no syntax of this decade.
    expect(await readFile(join(REPOSITORY, START), 'utf8')).not.toMatch(/\?\?|\?\.|^await|import .* from/m);
  });
});
