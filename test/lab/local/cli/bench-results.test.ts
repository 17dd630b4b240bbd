import { mkdir, mkdtemp, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { reportFiles } from '../../../../lab/report/formats.ts';
import { readHtmlReport } from '../../../../lab/report/html.ts';
import type { ReportSuite } from '../../../../lab/report/table.ts';
import type { BenchResult } from '../../../../lab/result.ts';
import { ingestSuite } from '../../../../lab/suites/ingest/ingest-suite.ts';
import { EXIT } from '../../../../local/cli/exit-codes.ts';
import { resultOf, schemaErrors, variantOf } from '../../../support/bench-result.ts';
import { commandLine } from '../../../support/command-line.ts';
import { rowsOf } from '../../../support/connect.ts';
import { ownDatabase } from '../../../support/own-database.ts';

const cli = commandLine();
const database = ownDatabase();
const SUITE = ingestSuite as unknown as ReportSuite;

const near = (middle: number): number[] => [-3, -2, -1, 0, 1, 2, 3].map((step) => middle + step);
const labels = { batch: '5000', ack: 'stored', durability: 'outbox', delivery: 'exactly once' };

const BASE = resultOf([variantOf('naive', near(50)), variantOf('copy', near(1_000), { labels })]);
const SLOWER = resultOf([variantOf('naive', near(50)), variantOf('copy', near(700), { labels })], {
  startedAt: '2026-01-03T03:04:05.000Z',
});

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(cli.folder, 'results-'));
  for (const result of [BASE, SLOWER]) await keep(folder, result);
  await writeFile(path.join(folder, 'other.json'), '{"no":"result"}');
});

async function keep(where: string, result: BenchResult): Promise<void> {
  for (const { name, text } of reportFiles(result, SUITE, ['json', 'html', 'md'])) {
    await writeFile(path.join(where, name), text);
  }
}

function bench(...args: string[]) {
  return cli.run(['bench', ...args, '--out', folder]);
}

describe('the results that there are', () => {
  test('are listed, the latest last, without what is none', async () => {
    const { exitCode, stdout } = await bench('list');
    expect(exitCode).toBe(EXIT.good);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.split(/\s+/)[0])).toEqual([
      'ingest-20260102-030405',
      'ingest-20260103-030405',
    ]);
    expect(lines[0]).toContain('copy: 1,000 messages/s');
  });

  test('are none in a folder that is not there', async () => {
    const { exitCode, stdout, stderr } = await cli.run([
      'bench',
      'list',
      '--out',
      path.join(folder, 'nowhere'),
    ]);
    expect([exitCode, stdout]).toEqual([EXIT.good, '']);
    expect(stderr).toContain('no results');
  });

  test.each([
    'latest',
    'ingest-20260103-030405',
    'ingest-20260103-030405.json',
    'ingest-20260103-030405.html',
  ])('are shown by %s', async (name) => {
    const { exitCode, stdout } = await bench('show', name);
    expect([exitCode, stdout]).toEqual([EXIT.good, expect.stringMatching(/^copy .* 700 /m)]);
  });

  test.each([
    ['show', 'nobody', 'There is no result "nobody"'],
    ['show', 'other.json', 'is no result of the bench'],
  ])('that are none are refused: %s %s', async (command, name, reason) => {
    const { exitCode, stderr } = await bench(command, name);
    expect([exitCode, stderr]).toEqual([EXIT.wrongOptions, expect.stringContaining(reason)]);
  });
});

describe('a report', () => {
  test.each([
    ['json', (text: string) => expect(JSON.parse(text)).toEqual(SLOWER)],
    ['csv', (text: string) => expect(text.split('\r\n')).toHaveLength(1 + 14 + 1)],
    ['md', (text: string) => expect(text).toMatch(/^## /)],
    ['text', (text: string) => expect(text).toContain('messages/s')],
    ['html', (text: string) => expect(readHtmlReport(text, 'it')).toEqual(SLOWER)],
    ['gha', (text: string) => expect(text).toContain('"unit": "messages/s"')],
  ])('in %s is written to stdout', async (format, check) => {
    const { exitCode, stdout } = await bench('report', 'latest', '--format', format);
    expect(exitCode).toBe(EXIT.good);
    check(stdout);
  });

  test('is HTML unless it is asked for otherwise, and goes where it is sent', async () => {
    const file = path.join(folder, 'report.page');
    expect((await bench('report', 'latest', '--file', file)).exitCode).toBe(EXIT.good);
    expect(readHtmlReport(await readFile(file, 'utf8'), file)).toEqual(SLOWER);
    expect((await bench('report', 'latest', '--format', 'gha', '--file', file)).exitCode).toBe(EXIT.good);
    expect(await readdir(folder)).toEqual(
      expect.arrayContaining(['report.page.bigger-is-better.json', 'report.page.smaller-is-better.json']),
    );
  });

  test('in a format that there is not is refused', async () => {
    const { exitCode, stderr } = await bench('report', 'latest', '--format', 'docx');
    expect([exitCode, stderr]).toEqual([EXIT.wrongOptions, expect.stringContaining('one of text, json')]);
  });
});

describe('a comparison', () => {
  const BOTH = ['ingest-20260102-030405', 'ingest-20260103-030405'];

  test('says what is slower, and fails only for what is forbidden', async () => {
    const plain = await bench('compare', ...BOTH);
    expect(plain.exitCode).toBe(EXIT.good);
    expect(plain.stdout).toMatch(/^copy +perSecond +−30.0 % .* slower$/m);
    expect(plain.stdout).toMatch(/^naive +perSecond .* same$/m);
    const failed = await bench('compare', ...BOTH, '--fail-on', 'perSecond<-5%');
    expect([failed.exitCode, failed.stderr]).toEqual([
      EXIT.thresholdFailed,
      expect.stringContaining('FAILED perSecond<-5%'),
    ]);
    expect((await bench('compare', ...BOTH, '--fail-on', 'perSecond<-50%')).exitCode).toBe(EXIT.good);
    const faster = await bench('compare', ...BOTH.toReversed(), '--fail-on', 'perSecond<-5%');
    expect(faster.exitCode, 'the other way round it is faster').toBe(EXIT.good);
  });

  test('is Markdown or JSON where that is asked for', async () => {
    expect((await bench('compare', ...BOTH, '--format', 'md')).stdout).toMatch(/^\| copy \| perSecond \|/m);
    const { comparisons } = JSON.parse((await bench('compare', ...BOTH, '--format', 'json')).stdout);
    expect(comparisons).toHaveLength(2);
  });

  test('with a run that lost messages is no success', async () => {
    const where = await mkdtemp(path.join(cli.folder, 'invalid-'));
    await keep(where, { ...BASE, state: 'invalid' });
    await keep(where, SLOWER);
    const { exitCode } = await cli.run(['bench', 'compare', ...BOTH, '--out', where]);
    expect(exitCode).toBe(EXIT.auditFailed);
  });

  test.each([
    [['--format', 'csv'], 'one of text, md, json'],
    [['--fail-on', 'perSecond>5'], 'changes in per cent'],
    [['--fail-on', 'perSecond'], 'perSecond'],
    [['--metric', 'size'], 'size'],
    [['--fail-on', 'unnest.perSecond<-5%'], 'has no variant unnest'],
  ])('with %j is refused', async (flags, reason) => {
    const { exitCode, stderr } = await bench('compare', ...BOTH, ...flags);
    expect([exitCode, stderr.trimEnd().split('\n').length, stderr]).toEqual([
      EXIT.wrongOptions,
      1,
      expect.stringContaining(reason),
    ]);
  });
});

describe('a run that is to be judged by another one', () => {
  const FLAGS = ['ingest', '--quick', '--modes', 'naive,copy', '--base', 'ingest-20260102-030405'];

  // All of it is wrong, so nothing is started.
  test.each([
    [['--reps', '2', '--fail-on', 'perSecond<-5%'], 'could never fail'],
    [['--reps', '7', '--fail-on', 'ackP98Ms>5%'], 'has no figure ackP98Ms'],
    [['--reps', '7', '--fail-on', 'perSecond<-5%', '--batch', '7'], 'none of its variants is in both runs'],
    [
      ['--reps', '7', '--modes', 'bulk', '--fail-on', 'perSecond<-5%'],
      'none of its variants is in both runs',
    ],
    [['--fail-on', 'perSecond>5%', '--reps', '7'], 'a change for the worse'],
  ])('with %j is refused', async (flags, reason) => {
    const { exitCode, stderr } = await bench(...FLAGS, ...flags);
    expect([exitCode, stderr.trimEnd().split('\n').length, stderr]).toEqual([
      EXIT.wrongOptions,
      1,
      expect.stringContaining(reason),
    ]);
  });
});

test('the latest result to compare a run with is that of its suite', async () => {
  const where = await mkdtemp(path.join(cli.folder, 'suites-'));
  await keep(where, BASE);
  await keep(where, { ...SLOWER, suite: 'store' });
  const flags = ['--modes', 'copy', '--reps', '1', '--base', 'latest', '--fail-on', 'perSecond<-5%'];
  const { exitCode, stderr } = await cli.run(['bench', 'ingest', '--quick', ...flags, '--out', where]);
  expect([exitCode, stderr]).toEqual([EXIT.wrongOptions, expect.stringContaining('could never fail')]);
});

describe('a recommendation', () => {
  test('names the way of writing, the options of a sink, and the evidence', async () => {
    const { exitCode, stdout } = await bench('recommend', 'latest');
    expect(exitCode).toBe(EXIT.good);
    expect(stdout).toMatch(/^copy\n/);
    expect(stdout).toContain('  [vars.SINKS.messages]\n  writer = "copy"\n  batchRows = 5000\n');
    expect(stdout).toMatch(/naive: .*; slower, p = /);
  });

  test('is none for a goal that nothing keeps', async () => {
    const { exitCode, stdout } = await bench('recommend', 'latest', '--goal', 'perSecond>1000000');
    expect([exitCode, stdout]).toEqual([EXIT.failed, expect.stringContaining('Nothing in this run keeps')]);
  });
});

test('the schema is printed, and fits the results', async () => {
  const { stdout } = await cli.run(['bench', 'schema']);
  expect(JSON.parse(stdout)).toMatchObject({ $schema: expect.stringContaining('2020-12') });
  expect(schemaErrors(BASE)).toEqual([]);
});

describe('cleaning', () => {
  test('drops what carries the names of the bench, and nothing that only looks like it', async () => {
    const kept = ['sluice_bench', 'sluicexbenchxcopy', 'messages_of_bench'];
    // The second is one that a Worker has left.
    for (const name of [...kept, 'sluice_bench_copy', 'sluice_bench_copy0123abcd']) {
      await rowsOf(database.connection, `create table ${name} (n integer)`);
    }
    const schemas = [
      // Of the command line, and of a Worker.
      ...['sluice_bench_0123abcd_4', 'sluice_bench_0123456789ab_4'],
      ...['sluice_bench_mine', 'sluice_x_bench_0123abcd_4'],
    ];
    for (const schema of schemas) {
      await rowsOf(database.connection, `create schema ${schema}`);
    }
    const { exitCode, stdout } = await cli.run(['bench', 'clean'], { DATABASE_URL: database.url });
    expect([exitCode, stdout]).toEqual([
      EXIT.good,
      expect.stringContaining('Dropped 2 tables and 2 schemas of the bench'),
    ]);
    expect(await database.tables()).toEqual(expect.arrayContaining(kept));
    expect(await database.tables()).not.toContain('sluice_bench_copy');
    const left = await rowsOf<{ nspname: string }>(
      database.connection,
      `select nspname from pg_namespace where nspname like 'sluice%' order by 1`,
    );
    expect(left.map(({ nspname }) => nspname)).toEqual(['sluice_bench_mine', 'sluice_x_bench_0123abcd_4']);
  });

  test('removes old results only where that is asked for, with all their files', async () => {
    const where = await mkdtemp(path.join(cli.folder, 'old-'));
    await keep(where, BASE);
    await keep(where, { ...SLOWER, startedAt: new Date().toISOString() });
    await mkdir(path.join(where, 'reference'));
    await writeFile(path.join(where, 'mine.txt'), 'mine');
    await utimes(path.join(where, 'mine.txt'), 0, 0);
    await cli.run(['bench', 'clean', '--out', where]);
    expect(await readdir(where)).toHaveLength(3 + 3 + 2);
    const { exitCode } = await cli.run(['bench', 'clean', '--results', '30', '--out', where]);
    expect(exitCode).toBe(EXIT.good);
    const left = await readdir(where);
    expect(left).toHaveLength(3 + 2);
    expect(left.some((name) => name.startsWith('ingest-20260102'))).toBe(false);
  });

  test('with a wrong number of days removes nothing', async () => {
    const { exitCode } = await bench('clean', '--results', 'all');
    expect(exitCode).toBe(EXIT.wrongOptions);
    expect((await bench('list')).stdout.trimEnd().split('\n')).toHaveLength(2);
  });
});
