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

const SHORT = ['--sets', 'tiny', '--rounds', '2', '--appenders', '1,20', '--reps', '1'];

async function bench(args: readonly string[]): Promise<Ended & { result: BenchResult | undefined }> {
  const out = await mkdtemp(path.join(cli.folder, 'out-'));
  const ended = await cli.run(['bench', 'dcb', ...args, '--out', out], { DATABASE_URL: database.url });
  const json = (await readdir(out)).find((name) => /^dcb-\d{8}-\d{6}\.json$/.test(name));
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

describe('npm run bench -- dcb', () => {
  test('compares all engines, exits 0, and leaves no schema', async () => {
    const run = await bench(SHORT);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).toContain('Starting Postgres and the Worker');
    expect(run.stderr).not.toContain('could not');
    expect(run.result).toMatchObject({
      suite: 'dcb',
      state: 'complete',
      seed: 1,
      config: { sets: ['tiny'], rounds: 2, appenders: [1, 20], reps: 1 },
      database: { version: expect.stringMatching(/^PostgreSQL \d+/) },
    });
    for (const engine of ['memory', 'file', 'postgres', 'object', 'object-sqlite']) {
      expect(run.stdout).toMatch(new RegExp(`^${engine} tiny race ×20 `, 'm'));
      expect(run.stdout).toMatch(new RegExp(`^${engine} tiny append-1000 `, 'm'));
    }
    for (const { name, summary } of run.result?.variants ?? []) {
      const { lost, duplicated, outOfOrder } = summary.audit ?? {};
      expect([name, lost, duplicated, outOfOrder]).toEqual([name, 0, 0, 0]);
    }
    expect(await schemas()).toEqual([]);
  });

  test('reaches the object of a namespace by HTTP', async () => {
    const run = await bench([
      ...SHORT,
      ...['--engines', 'object', '--operations', 'append-10,conflict,race', '--through', 'http'],
    ]);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.result).toMatchObject({ state: 'complete', config: { through: 'http' } });
    expect(run.stdout).toMatch(/^object tiny race ×20 /m);
    expect(await schemas()).toEqual([]);
  });

  test('starts neither Postgres nor the Worker for engines that need none, and leaves no file', async () => {
    const before = await files();
    const run = await bench([...SHORT, '--engines', 'memory,file', '--operations', 'append-1,read-simple']);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stderr).not.toMatch(/Postgres|Worker/);
    expect(run.result).toMatchObject({ state: 'complete', database: {} });
    // Other files' runs may have theirs at the same time; those of this one are gone at its end, or never.
    await eventually(async () =>
      expect((await files()).filter((name) => !before.includes(name))).toEqual([]),
    );
  });

  test('exits 3 and calls itself invalid when the database changes an event', async () => {
    await rowsOf(
      database.connection,
      `create function change_row() returns trigger language plpgsql as $$ begin new.data := '"other"'; return new; end $$`,
    );
    await rowsOf(
      database.connection,
      `create function change_rows() returns event_trigger language plpgsql as $$
        declare found record;
        begin
          for found in select object_identity from pg_event_trigger_ddl_commands() where object_identity like '${BENCH_SCHEMA_PREFIX}%.events' loop
            execute format('create trigger change before insert on %s for each row when (new.tags @> ''{iteration:1}'') execute function public.change_row()', found.object_identity);
          end loop;
        end $$`,
    );
    await rowsOf(
      database.connection,
      `create event trigger change on ddl_command_end when tag in ('CREATE TABLE') execute function change_rows()`,
    );
    try {
      const run = await bench([
        ...SHORT,
        '--engines',
        'postgres',
        '--operations',
        'append-1',
        '--sets',
        'fresh',
      ]);
      expect(run.exitCode, run.stderr).toBe(3);
      expect(run.stdout).toContain('[invalid]');
      const wrong = run.result?.variants.find(({ name }) => name === 'postgres fresh append-1');
      expect(wrong?.summary.audit).toMatchObject({ lost: 1, duplicated: 1 });
      expect(await schemas()).toEqual([]);
    } finally {
      await rowsOf(database.connection, 'drop event trigger change');
    }
  });

  test.each([
    { args: ['--modes', 'copy'], told: 'Unknown option modes' },
    { args: ['--sets', 'huge'], told: 'for sets' },
    { args: ['--appenders', '1,101'], told: 'for appenders' },
  ])('refuses $args', async ({ args, told }) => {
    const run = await bench(args);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain(told);
  });
});
