import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { BENCH_SCHEMA_PREFIX } from '../../../../lab/jobs/postgres-engine.ts';
import type { BenchResult } from '../../../../lab/result.ts';
import { REPOSITORY } from '../../../../local/repository.ts';
import { commandLine, type Ended } from '../../../support/command-line.ts';
import { rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';
import { eventually } from '../../../support/patience.ts';

const cli = commandLine();
const database = ownDatabase();

const TINY = ['--rounds', '2', '--others', '120', '--writers', '2', '--reps', '1'];

async function bench(args: readonly string[]): Promise<Ended & { result: BenchResult | undefined }> {
  const out = await mkdtemp(path.join(cli.folder, 'out-'));
  const ended = await cli.run(['bench', 'store', ...args, '--out', out], { DATABASE_URL: database.url });
  const json = (await readdir(out)).find((name) => /^store-\d{8}-\d{6}\.json$/.test(name));
  const result =
    json === undefined
      ? undefined
      : (JSON.parse(await readFile(path.join(out, json), 'utf8')) as BenchResult);
  return { ...ended, result };
}

function schemas(): Promise<unknown[]> {
  return rowsOf(
    database.connection,
    `select nspname from pg_namespace where nspname like '${BENCH_SCHEMA_PREFIX}%'`,
  );
}

async function files(): Promise<string[]> {
  const names = await readdir(path.join(REPOSITORY, '.sluice')).catch(() => []);
  return names.filter((name) => name.startsWith('bench-'));
}

describe('npm run bench -- store', () => {
  test('compares all engines, exits 0, and leaves no schema and no file', async () => {
    const before = await files();
    const run = await bench(TINY);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).toContain('Starting Postgres and the Worker');
    expect(run.stderr).not.toContain('could not');
    expect(run.result).toMatchObject({
      suite: 'store',
      state: 'complete',
      config: { rounds: 2, others: 120, writers: 2, reps: 1 },
      database: { version: expect.stringMatching(/^PostgreSQL \d+/) },
    });
    for (const engine of ['memory', 'file', 'full', 'postgres', 'object']) {
      expect(run.stdout).toMatch(new RegExp(`^${engine} write-1 ×2 `, 'm'));
      expect(run.stdout).toMatch(new RegExp(`^floor: ${engine} write-1000 `, 'm'));
    }
    expect(run.stdout).toMatch(/^Targets: \d+ met, \d+ missed$/m);
    for (const { name, summary } of run.result?.variants ?? []) {
      expect([name, summary.audit?.lost, summary.audit?.duplicated]).toEqual([name, 0, 0]);
    }
    expect(await schemas()).toEqual([]);
    // Other files' runs may have theirs at the same time; those of this one are gone at its end, or never.
    await eventually(async () =>
      expect((await files()).filter((name) => !before.includes(name))).toEqual([]),
    );
  });

  test('starts neither Postgres nor the Worker for engines that need none', async () => {
    const run = await bench([...TINY, '--engines', 'memory,file', '--operations', 'write-1,read-10']);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).not.toMatch(/Postgres|Worker/);
    expect(run.result).toMatchObject({ state: 'complete', database: {} });
  });

  test('exits 3 and calls itself invalid when the database loses a message', async () => {
    await rowsOf(
      database.connection,
      `create function lose_row() returns trigger language plpgsql as $$ begin return null; end $$`,
    );
    await rowsOf(
      database.connection,
      `create function lose_rows() returns event_trigger language plpgsql as $$
        declare found record;
        begin
          for found in select object_identity from pg_event_trigger_ddl_commands() where object_identity like '${BENCH_SCHEMA_PREFIX}%.messages' loop
            execute format('create trigger lose before insert on %s for each row when (new.stream_name = ''account-1'') execute function public.lose_row()', found.object_identity);
          end loop;
        end $$`,
    );
    await rowsOf(
      database.connection,
      `create event trigger lose on ddl_command_end when tag in ('CREATE TABLE') execute function lose_rows()`,
    );
    try {
      const run = await bench([
        ...TINY,
        '--engines',
        'postgres',
        '--operations',
        'write-1',
        '--writers',
        '1',
      ]);
      expect(run.exitCode, run.stderr).toBe(3);
      expect(run.stdout).toContain('[invalid]');
      expect(run.stdout).toContain('INVALID: messages were lost, doubled or reordered (postgres write-1).');
      expect(run.result?.variants[0]?.summary.audit).toMatchObject({
        sent: 2,
        found: 1,
        lost: 1,
        duplicated: 0,
      });
      expect(await schemas()).toEqual([]);
    } finally {
      await rowsOf(database.connection, 'drop event trigger lose');
    }
  });

  test.each([
    { args: ['--modes', 'copy'], told: 'Unknown option modes' },
    { args: ['--engines', 'memory,paper'], told: 'for engines' },
    { args: ['--rounds', '0'], told: 'for rounds' },
  ])('refuses $args', async ({ args, told }) => {
    const run = await bench(args);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain(told);
  });
});
