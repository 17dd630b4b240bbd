import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BenchResult } from '../../../../lab/result.ts';
import { startEmbeddedPostgres } from '../../../../local/postgres/embedded.ts';
import { killServer, SETTINGS, temporaryData } from '../../../local/postgres/support.ts';
import { commandLine, type Ended, type Process, stillAlive } from '../../../support/command-line.ts';
import { rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';
import { eventually } from '../../../support/patience.ts';

const cli = commandLine();
const database = ownDatabase();

/** Not the bench's, and named so that a careless pattern would take it for the bench's. */
const BYSTANDERS = ['sluice_bench', 'sluicexbenchxcopy'];
const TINY = ['--clients', '2', '--messages', '50', '--reps', '1'];
/** Minutes of work, with a line of progress after the first split second. */
const LONG = ['--modes', 'naive', '--clients', '2', '--messages', '200', '--reps', '100'];
/** The line at the end of a repetition. */
const PROGRESS_LINE = /^naive +1\/\d+ .*\/s/;

beforeAll(async () => {
  for (const name of BYSTANDERS) await rowsOf(database.connection, `create table ${name} (n integer)`);
});

afterEach(async () => {
  // Whatever a test did, the next one starts from the same tables.
  for (const name of await database.tables()) {
    if (!BYSTANDERS.includes(name)) await rowsOf(database.connection, `drop table ${name}`);
  }
});

interface Reported extends Ended {
  files: string[];
  result: BenchResult | undefined;
  markdown: string;
}

async function bench(args: readonly string[], more: Record<string, string> = {}): Promise<Reported> {
  const out = await mkdtemp(path.join(cli.folder, 'out-'));
  const ended = await cli.run(['bench', ...args, '--out', path.join(out, 'made', 'on demand')], {
    DATABASE_URL: database.url,
    ...more,
  });
  return { ...ended, ...(await reportsIn(path.join(out, 'made', 'on demand'))) };
}

async function reportsIn(folder: string): Promise<Pick<Reported, 'files' | 'result' | 'markdown'>> {
  const files = (await readdir(folder).catch(() => [])).toSorted();
  const text = async (extension: string): Promise<string> => {
    const name = files.find((file) => file.endsWith(extension));
    return name === undefined ? '' : readFile(path.join(folder, name), 'utf8');
  };
  const json = await text('.json');
  return {
    files,
    result: json === '' ? undefined : (JSON.parse(json) as BenchResult),
    markdown: await text('.md'),
  };
}

function variantOf({ result }: Reported, name: string): BenchResult['variants'][number] {
  const variant = result?.variants.find((candidate) => candidate.name === name);
  if (variant === undefined) throw new Error(`the report has no ${name}`);
  return variant;
}

describe('a run whose messages all arrive', () => {
  test('exits 0 with the table on stdout, progress only on stderr, both reports, and no table left', async () => {
    const run = await bench(['--modes', 'copy,bulk', ...TINY]);
    expect(run.stderr).toContain('Starting Postgres and the Worker');
    expect(run.exitCode).toBe(0);

    expect(run.stdout).toMatch(
      /^WebSocket messages into Postgres \(ingest\): 2 clients × 50 messages, 1 per frame, 1 repetition\n/,
    );
    for (const name of ['bulk', 'copy', 'floor: copy', 'floor: insert', 'floor: intake']) {
      const labels = name.startsWith('floor') ? '' : ' +5000 +stored +outbox +exactly once';
      expect(run.stdout).toMatch(new RegExp(`^${name}${labels} +\\d+\\.\\d\\d  `, 'm'));
      expect(run.stderr).toMatch(new RegExp(`^${name} +1/1  .*/s$`, 'm'));
    }
    expect(run.stdout).not.toMatch(/ 1\/1 |Starting|Reports/);
    expect(run.stdout + run.stderr).not.toMatch(/INVALID|LOST|could not/);

    expect(run.files).toEqual([
      expect.stringMatching(/^ingest-\d{8}-\d{6}\.json$/),
      expect.stringMatching(/^ingest-\d{8}-\d{6}\.md$/),
    ]);
    for (const file of run.files) expect(run.stderr).toContain(file);
    expect(run.result).toMatchObject({
      schemaVersion: 1,
      suite: 'ingest',
      state: 'complete',
      config: {
        modes: ['copy', 'bulk'],
        acks: ['stored'],
        durability: ['outbox'],
        clients: 2,
        messages: 50,
        frame: 1,
        reps: 1,
        column: 'jsonb',
        shards: 1,
      },
      tool: { name: 'sluice', version: expect.stringMatching(/^\d+\.\d+\.\d+$/), commit: expect.any(String) },
      machine: {
        cpu: expect.stringMatching(/^\d+ × ./),
        memory: expect.stringMatching(/^\d+ GiB$/),
        system: expect.any(String),
        runtime: expect.stringMatching(/^Node \d+\.\d+\.\d+, workerd \d/),
      },
      database: {
        version: expect.stringMatching(/^PostgreSQL \d+/),
        address: expect.stringContaining(new URL(database.url).pathname),
        synchronous_commit: expect.any(String),
        shared_buffers: expect.any(String),
      },
    });
    for (const mode of ['copy', 'bulk']) {
      expect(variantOf(run, mode).summary.audit).toEqual({
        sent: 100,
        refused: 0,
        found: 100,
        lost: 0,
        duplicated: 0,
        outOfOrder: 0,
      });
      const { flushes, ackP50Ms, storageRowsPerMillion } = variantOf(run, mode).summary.metrics;
      expect(flushes).toBeGreaterThan(0);
      expect(ackP50Ms).toBeGreaterThan(0);
      expect(storageRowsPerMillion).toBeGreaterThan(0);
    }
    for (const fact of [
      '## WebSocket messages into Postgres',
      '| bulk |',
      '"clients": 2',
      '"version": "PostgreSQL',
    ]) {
      expect(run.markdown).toContain(fact);
    }
    expect(run.stdout + run.stderr + run.markdown).not.toContain(`:${new URL(database.url).password}@`);
    expect(await database.tables()).toEqual(BYSTANDERS);
  });

  test('compares the levels that clients wait for, with and without an outbox', async () => {
    const kinds = ['--acks', 'committed,none,raw', '--durability', 'outbox,memory'];
    const run = await bench(['--modes', 'copy', ...kinds, ...TINY]);
    expect(run.exitCode, run.stderr).toBe(0);
    const measured = run.result?.variants.filter(({ role }) => role === 'measured') ?? [];
    expect(
      measured.map(({ name, summary: { metrics } }) => [
        name,
        typeof metrics.ackP50Ms === 'number',
        (metrics.storageRowsPerMillion ?? 0) > 0,
      ]),
    ).toEqual([
      ['copy', true, true],
      ['copy none outbox', false, true],
      ['copy raw outbox', false, true],
      ['copy committed memory', true, false],
      ['copy none memory', false, false],
      ['copy raw memory', false, false],
    ]);
    for (const { summary } of measured) {
      expect(summary.audit).toMatchObject({ sent: 100, found: 100, lost: 0, duplicated: 0, outOfOrder: 0 });
    }
    expect(await database.tables()).toEqual(BYSTANDERS);
  });

  test('does so by the Neon driver too', async () => {
    const run = await bench(['--modes', 'copy,bulk', ...TINY, '--driver', 'neon']);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.result).toMatchObject({
      state: 'complete',
      config: { driver: 'neon' },
      database: { address: expect.stringContaining('(neon)') },
    });
    expect(variantOf(run, 'copy').summary.audit).toMatchObject({ found: 100, lost: 0, duplicated: 0 });
    expect(await database.tables()).toEqual(BYSTANDERS);
  });

  test('does so with resident sockets, full frames, two shards and a text column', async () => {
    const run = await bench([
      ...['--modes', 'copy', '--clients', '4', '--messages', '55', '--reps', '2'],
      ...['--sockets', 'resident', '--frame', '10', '--shards', '2', '--column', 'text'],
    ]);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.result).toMatchObject({
      state: 'complete',
      config: { sockets: 'resident', frame: 10, shards: 2, column: 'text' },
    });
    expect(variantOf(run, 'copy').reps).toHaveLength(2);
    expect(variantOf(run, 'copy').summary.audit).toMatchObject({
      sent: 440,
      found: 440,
      lost: 0,
      duplicated: 0,
    });
    expect(await database.tables()).toEqual(BYSTANDERS);
  });
});

describe('a run that the database falsifies', () => {
  /** Has every table of the mode `copy` do something to the row of message 7 of client 0. */
  async function sabotage(moment: 'before' | 'after', body: string): Promise<void> {
    await rowsOf(
      database.connection,
      `create function spoil_row() returns trigger language plpgsql as $$ begin ${body} return new; end $$`,
    );
    await rowsOf(
      database.connection,
      `create function spoil_table() returns event_trigger language plpgsql as $$
        begin
          if exists (select from pg_event_trigger_ddl_commands() where object_identity = 'public.sluice_bench_copy') then
            create trigger spoil ${moment} insert on sluice_bench_copy for each row
              when (new.producer like '%-0' and new.payload->>'n' = '7') execute function spoil_row();
          end if;
        end $$`,
    );
    await rowsOf(
      database.connection,
      `create event trigger spoil on ddl_command_end when tag in ('CREATE TABLE') execute function spoil_table()`,
    );
  }

  afterEach(async () => {
    await rowsOf(database.connection, 'drop event trigger if exists spoil');
    await rowsOf(database.connection, 'drop function if exists spoil_table');
    await rowsOf(database.connection, 'drop function if exists spoil_row cascade');
  });

  test('exits 3 and calls itself invalid when a message is lost; without the sabotage it exits 0', async () => {
    await sabotage('before', 'return null;');
    const spoilt = await bench(['--modes', 'copy', ...TINY]);
    expect(spoilt.exitCode, spoilt.stderr).toBe(3);
    expect(spoilt.stderr).toMatch(/^copy .*LOST 1, DOUBLED 0$/m);
    expect(spoilt.stdout).toContain('[invalid]');
    expect(spoilt.stdout).toContain('INVALID: messages were lost or doubled (copy).');
    expect(spoilt.markdown).toContain('INVALID');
    expect(spoilt.result?.state).toBe('invalid');
    expect(variantOf(spoilt, 'copy').summary.audit).toMatchObject({
      sent: 100,
      found: 99,
      lost: 1,
      duplicated: 0,
    });
    expect(await database.tables()).toEqual(BYSTANDERS);

    await rowsOf(database.connection, 'drop event trigger spoil');
    const control = await bench(['--modes', 'copy', ...TINY]);
    expect(control.exitCode, control.stderr).toBe(0);
    expect(control.stdout + control.stderr).not.toMatch(/INVALID|\[invalid\]|LOST/);
  });

  test('exits 3 when a message is there twice', async () => {
    await sabotage(
      'after',
      `if pg_trigger_depth() = 1 then
        insert into sluice_bench_copy (producer, sequence, payload, received_at)
          values (new.producer, new.sequence, new.payload, new.received_at);
      end if;`,
    );
    const spoilt = await bench(['--modes', 'copy', ...TINY]);
    expect(spoilt.exitCode, spoilt.stderr).toBe(3);
    expect(spoilt.stderr).toMatch(/^copy .*LOST 0, DOUBLED 1$/m);
    expect(variantOf(spoilt, 'copy').summary.audit).toMatchObject({ found: 101, lost: 0, duplicated: 1 });
  });
});

describe('a run that is stopped', () => {
  function expectWorkerAmong(processes: readonly Process[]): void {
    expect(processes.map(({ command }) => command)).toContainEqual(expect.stringContaining('workerd'));
  }

  const TARGETS = [
    { who: 'the process alone', target: (processId: number) => processId },
    { who: 'its whole group, as Ctrl-C in a terminal does', target: (processId: number) => -processId },
  ];

  test.each(TARGETS)(
    'by SIGINT to $who reports what is complete, exits 130, and leaves no table and no process',
    async ({ target }) => {
      const out = await mkdtemp(path.join(cli.folder, 'out-'));
      const run = cli.start(['bench', ...LONG, '--out', out], { DATABASE_URL: database.url });
      await run.saidOnStderr(PROGRESS_LINE);
      const offspring = run.offspring();
      expectWorkerAmong(offspring);
      expect(stillAlive(offspring)).toEqual(offspring);

      process.kill(target(run.child.pid as number), 'SIGINT');
      const { exitCode, stdout, stderr } = await run.ended;
      expect(exitCode, stderr).toBe(130);
      expect(stdout).toContain('[aborted]');
      expect(stdout).toMatch(/^naive /m);
      const { result } = await reportsIn(out);
      expect(result?.state).toBe('aborted');
      expect(result?.variants.find(({ name }) => name === 'naive')?.summary.audit).toMatchObject({ lost: 0 });
      expect(await database.tables()).toEqual(BYSTANDERS);
      expect(stillAlive(offspring)).toEqual([]);
      expect(run.offspring()).toEqual([]);
    },
  );

  test.each(TARGETS)(
    'by SIGINT to $who while workerd starts exits 130, and leaves nothing',
    async ({ target }) => {
      const temporary = await mkdtemp(path.join(cli.folder, 'tmp-'));
      const run = cli.start(['bench', ...LONG], { DATABASE_URL: database.url, TMPDIR: temporary });
      const offspring = await eventually(() => {
        const processes = run.offspring();
        const serving = processes.filter(({ command }) => command.includes('workerd serve'));
        expect(serving).not.toEqual([]);
        return serving;
      });
      process.kill(target(run.child.pid as number), 'SIGINT');
      const { exitCode, stdout, stderr } = await run.ended;
      expect(exitCode, stderr).toBe(130);
      expect(stderr).toContain('stopping');
      expect(stdout).toBe('');
      expect(await database.tables()).toEqual(BYSTANDERS);
      expect(stillAlive(offspring)).toEqual([]);
      // The cleaning up was not cut short either: the Worker's bundle lay here.
      expect(await readdir(temporary)).toEqual([]);
    },
  );
});

test('a database that dies in the middle of a run ends it: exit 4, and the host is named', async () => {
  const data = await temporaryData();
  const postgres = await startEmbeddedPostgres({
    dataDirectory: data.dataDirectory,
    port: 0,
    settings: SETTINGS,
  });
  try {
    const run = cli.start(['bench', ...LONG, '--out', cli.folder], { DATABASE_URL: postgres.url });
    await run.saidOnStderr(PROGRESS_LINE);
    const offspring = run.offspring();
    killServer(postgres.processId);
    const { exitCode, stdout, stderr } = await run.ended;
    expect(exitCode, stderr).toBe(4);
    const last = stderr.trimEnd().split('\n').at(-1);
    expect(last).toMatch(/^sluice: .*(Cannot reach|does not answer)/);
    expect(last).toContain(`127.0.0.1:${postgres.port}/`);
    expect(stdout).toBe('');
    expect(stillAlive(offspring)).toEqual([]);
  } finally {
    await postgres.stop();
    await data.remove();
  }
});
