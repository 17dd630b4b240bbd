/** The parts of wrangler.toml that the pages show (examples/wrangler), each added to the repository's own and read by wrangler. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { unstable_readConfig as readConfig } from 'wrangler';
import { REPOSITORY } from '../../local/repository.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-wrangler-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The configuration with one of the parts in the place of its own tables of that name. */
function configWith(part: string, environment?: string) {
  const base = readFileSync(join(REPOSITORY, 'wrangler.toml'), 'utf8');
  const added = readFileSync(join(REPOSITORY, 'examples/wrangler', part), 'utf8');
  const own = added.startsWith('[vars]\n') ? base.replace(/^\[vars\]\n(?:[^[\n].*\n|\n)*/m, '') : base;
  const path = join(folder, part);
  writeFileSync(path, `${own.replace('workers/index.ts', join(REPOSITORY, 'workers/index.ts'))}\n${added}`);
  return readConfig({ config: path, ...(environment === undefined ? {} : { env: environment }) });
}

describe('the parts of wrangler.toml', () => {
  test('switch /admin and /bench on', () =>
    expect(configWith('switches.toml').vars).toMatchObject({ ADMIN: 'on', BENCH: 'on' }));

  test('bind Hyperdrive', () =>
    expect(configWith('hyperdrive.toml').hyperdrive).toMatchObject([{ binding: 'HYPERDRIVE' }]));

  test('define a sink of streams', () =>
    expect(configWith('stream-sink.toml').vars).toMatchObject({
      SINKS: { accounts: { namespace: 'bank', lingerMs: 20 } },
    }));

  test('define another environment', () => {
    const staging = configWith('staging.toml', 'staging');
    expect(staging).toMatchObject({ name: 'readings-staging', vars: { ADMIN: 'on' } });
    expect(staging.durable_objects.bindings).toMatchObject([{ name: 'SHARD', class_name: 'Shard' }]);
  });

  test('are all of those that there are', () =>
    expect(readdirSync(join(REPOSITORY, 'examples/wrangler')).toSorted()).toEqual([
      'hyperdrive.toml',
      'staging.toml',
      'stream-sink.toml',
      'switches.toml',
    ]));
});
