/** `sluice try` in a project of its own and in the clone. No database is there, and none is asked. */

import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../../local/repository.ts';
import { commandLine, type Ended } from '../../support/command-line.ts';

const cli = commandLine();

const INDEX = `
import { bigint, customType, doublePrecision, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { z } from 'zod';
import { createSluice } from '${REPOSITORY}/workers/worker.ts';
import { readings } from './schema';

const bytea = customType<{ data: string }>({ dataType: () => 'bytea' });
const others = pgTable('others', { id: bigint({ mode: 'bigint' }), bytes: bytea() });
const sluice = createSluice({
  sinks: {
    readings: { table: readings, rest: 'extra' },
    both: {
      routes: {
        warm: { table: readings, when: ({ json }) => json.celsius > 20 },
        all: { table: readings, rest: 'extra' },
      },
    },
    others: {
      table: others,
      schema: z.object({ id: z.bigint() }),
      row: ({ json }) => ({ id: json.id, bytes: new Uint8Array([1]) }),
    },
  },
});
export default sluice;
export class Shard extends sluice.Shard {}
`;

const SCHEMA = `
import { bigint, doublePrecision, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
export const readings = pgTable('readings', {
  id: bigint({ mode: 'bigint' }).generatedAlwaysAsIdentity(),
  sensor: text().notNull(),
  celsius: doublePrecision(),
  extra: jsonb(),
});
`;

const SAMPLE = [
  '{"sensor":"kitchen","celsius":21.50,"floor":12345678901234567890}',
  '',
  '{"sensor":"","celsius":null}',
  '{"sensor":"kitchen","celsius":"warm"}',
  '{"celsius":1}',
  '{"sensor":',
].join('\n');

async function project(index: string): Promise<void> {
  await mkdir(join(cli.folder, 'src'), { recursive: true });
  await writeFile(
    join(cli.folder, 'wrangler.toml'),
    'name = "w"\nmain = "src/index.ts"\ncompatibility_date = "2026-10-15"\ncompatibility_flags = ["nodejs_compat"]\n[vars.SINKS.archive]\nnamespace = "archive"\n',
  );
  await writeFile(join(cli.folder, 'src/index.ts'), index);
  await writeFile(join(cli.folder, 'src/schema.ts'), SCHEMA);
  await writeFile(join(cli.folder, 'sample.ndjson'), SAMPLE);
}

const tryIt = (args: readonly string[], input?: string): Promise<Ended> =>
  cli.run(['try', ...args], {}, input === undefined ? undefined : Buffer.from(input));

describe('sluice try', () => {
  beforeAll(async () => {
    await symlink(join(REPOSITORY, 'node_modules'), join(cli.folder, 'node_modules'));
    await project(INDEX);
  });

  test('shows the row of each message, or why it is refused, and ends with 1', async () => {
    const { stdout, stderr, exitCode } = await tryIt(['--sink', 'readings', 'sample.ndjson']);
    expect(stderr).toBe('');
    expect(stdout).toBe(`line 1
  sensor   kitchen
  celsius  21.50
  extra    {"floor":12345678901234567890}
line 3
  sensor   ""
  celsius  NULL
  extra    {}
line 4: refused (invalid_message)
  The column celsius (double precision) cannot take "warm": it is not a number
line 5: refused (invalid_message)
  The column sensor (text) must not be NULL, and the message has no value for it
line 6: refused (invalid_json)
  The message is not valid JSON: send one JSON value per line
5 messages for the sink readings: 2 rows, 3 refused. Nothing was written
`);
    expect(exitCode).toBe(1);
  });

  test('reads stdin, asks the schema, and ends with 0 where all is good', async () => {
    const { stdout, exitCode } = await tryIt(
      ['--sink', 'others', '--json', '-'],
      '{"id":9223372036854775807,"other":1}\n',
    );
    expect(stdout).toBe('{"line":1,"row":{"id":"9223372036854775807","bytes":"\\\\x01"}}\n');
    expect(exitCode).toBe(0);
    const refused = await tryIt(['--sink', 'others', '--json', '-'], '{"id":1.5}\n');
    expect(refused.stdout).toMatch(/^\{"line":1,"refused":\{"code":"invalid_message","message":".*id: /);
    expect(refused.exitCode).toBe(1);
  });

  test('shows the row of each route that takes the message', async () => {
    const { stdout, exitCode } = await tryIt(
      ['--sink', 'both', '-'],
      '{"sensor":"a","celsius":21}\n{"sensor":"b"}',
    );
    expect(stdout).toBe(`line 1
  route warm
    sensor   a
    celsius  21
    extra    NULL
  route all
    sensor   a
    celsius  21
    extra    {}
line 2
  route all
    sensor   b
    celsius  NULL
    extra    {}
2 messages for the sink both: 3 rows, 0 refused. Nothing was written
`);
    expect(exitCode).toBe(0);
  });

  test.each([
    [['sample.ndjson'], /Name the sink with --sink: there are readings, both, others, archive/],
    [
      ['--sink', 'none', 'sample.ndjson'],
      /There is no sink "none": there are readings, both, others, archive/,
    ],
    [['--sink', 'archive', 'sample.ndjson'], /appends to streams/],
    [['--sink', 'readings', 'missing.ndjson'], /Cannot read missing\.ndjson/],
  ])('%j says what is wrong', async (args, sentence) => {
    const { stderr, exitCode } = await tryIt(args);
    expect(stderr).toMatch(sentence);
    expect(exitCode).toBe(2);
  });

  test('a Worker that does not load, or exports no shards, is named with the reason', async () => {
    await project("import './nowhere';");
    expect((await tryIt(['--sink', 'readings', 'sample.ndjson'])).stderr).toMatch(
      /src\/index\.ts cannot be loaded: .*nowhere/,
    );
    await project('export default {};');
    const { stderr, exitCode } = await tryIt(['--sink', 'readings', 'sample.ndjson']);
    expect(stderr).toMatch(/src\/index\.ts exports no class of shards/);
    expect(exitCode).toBe(1);
  });
});
