/** The parts of wrangler.toml that the pages show (examples/wrangler), read by wrangler; most are added to the repository's own. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { unstable_readConfig as readConfig } from 'wrangler';
import { REPOSITORY } from '../../local/repository.ts';
import { Origins } from '../../src/access/origins.ts';

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
  test('name where metrics go', () => {
    expect(configWith('otlp.toml').vars).toEqual({ OTLP_URL: 'https://otel.example.com:4318' });
    const { analytics_engine_datasets } = configWith('analytics.toml');
    expect(analytics_engine_datasets).toEqual([{ binding: 'ANALYTICS', dataset: 'sluice' }]);
  });

  test('switch /bench on', () => expect(configWith('switches.toml').vars).toMatchObject({ BENCH: 'on' }));

  test('list origins', () => {
    const { ORIGINS } = configWith('origins.toml').vars as { ORIGINS: string };
    const origins = new Origins(ORIGINS.split(' '));
    for (const origin of ['https://app.example.com', 'https://a.example.org'])
      expect(origins.allow(origin, new URL('https://sluice.example.net'))).toBe(true);
  });

  test('bind Hyperdrive', () =>
    expect(configWith('hyperdrive.toml').hyperdrive).toMatchObject([{ binding: 'HYPERDRIVE' }]));

  test('define a sink of streams', () =>
    expect(configWith('stream-sink.toml').vars).toMatchObject({
      SINKS: { accounts: { namespace: 'bank', lingerMs: 20 } },
    }));

  test('bind every class of a Worker with all parts', () => {
    const { exports, durable_objects, compatibility_flags } = readConfig({
      config: join(REPOSITORY, 'examples/wrangler/all-parts.toml'),
    });
    const classes = Object.keys(exports ?? {}).toSorted();
    const worker = readFileSync(join(REPOSITORY, 'examples/workers/all-parts.ts'), 'utf8');
    expect(classes).toEqual([...worker.matchAll(/^export class (\w+)/gm)].map(([, name]) => name).toSorted());
    expect(
      durable_objects.bindings.map(({ class_name }: { class_name: string }) => class_name).toSorted(),
    ).toEqual(classes);
    // The names under which this repository's own Worker has them.
    const own = readConfig({ config: join(REPOSITORY, 'wrangler.toml') }).durable_objects.bindings;
    expect(durable_objects.bindings).toEqual(expect.arrayContaining(own));
    expect(compatibility_flags).toEqual(['nodejs_compat']);
  });

  test('define another environment', () => {
    const staging = configWith('staging.toml', 'staging');
    expect(staging).toMatchObject({ name: 'readings-staging', vars: { OPERATORS: 'closed' } });
    expect(staging.durable_objects.bindings).toMatchObject([
      { name: 'SHARD', class_name: 'Shard' },
      { name: 'MONITOR', class_name: 'Monitor' },
    ]);
  });

  test('are all of those that there are', () =>
    expect(readdirSync(join(REPOSITORY, 'examples/wrangler')).toSorted()).toEqual([
      'all-parts.toml',
      'analytics.toml',
      'hyperdrive.toml',
      'origins.toml',
      'otlp.toml',
      'staging.toml',
      'stream-sink.toml',
      'switches.toml',
    ]));
});
