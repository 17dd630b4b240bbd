/** `npm run bench -- list`, `show`, `report`, `compare`, `recommend`, `schema` and `clean`: what follows a run. */

import { readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { sql } from 'drizzle-orm';
import { EXIT } from '../../../local/cli/exit-codes.ts';
import { unreadVariablesText } from '../../../local/environment.ts';
import { projectFolder } from '../../../local/project.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { type OptionTable, resolveOptions } from '../../../src/core/option-table.ts';
import { quoteName } from '../../../src/core/sql-text.ts';
import { openConnection } from '../../../src/database/connection.ts';
import { describeTarget, resolveTarget } from '../../../src/database/target.ts';
import { compareResults } from '../../compare.ts';
import { assertCanFail } from '../../gate.ts';
import { parseGoal, recommend } from '../../recommend.ts';
import { comparisonMarkdown, comparisonText } from '../../report/comparison.ts';
import { REPORT_FORMAT_NAMES, REPORT_FORMATS, runName } from '../../report/formats.ts';
import type { ReportSuite } from '../../report/table.ts';
import { textReport } from '../../report/text.ts';
import type { BenchResult } from '../../result.ts';
import { RESULT_SCHEMA } from '../../result-schema.ts';
import { BENCH_TABLE_PREFIX } from '../../suites/ingest/bench-sink.ts';
import { SUITES } from '../../suites.ts';
import { parseThresholds, type Threshold } from '../../threshold-text.ts';
import { figuresToCompare, judgeThresholds } from '../../thresholds.ts';
import { listResults, openResult, removeReports } from '../result-files.ts';
import { terminalWidth } from './terminal-width.ts';

const DEFAULT_FOLDER = 'results';

interface FolderFlag {
  out: string;
}

/** Adds the commands below `bench`. */
export function defineBenchResults(benchCommand: Command): void {
  const command = (usage: string, description: string): Command =>
    benchCommand
      .command(usage)
      .description(description)
      .option('--out <folder>', 'where the results are', DEFAULT_FOLDER);
  command('list', 'The results that there are').action(list);
  command('show <result>', 'The table of a result: a file, a name of the list, or latest').action(show);
  command('report <result>', 'A result in another format')
    .option('--format <word>', `one of ${REPORT_FORMAT_NAMES.join(', ')}`, 'html')
    .option('--file <path>', 'where to (default stdout)')
    .action(report);
  command('compare <base> <head>', 'Two results of one suite, variant by variant')
    .option('--format <word>', 'one of text, md, json', 'text')
    .option(
      '--metric <names>',
      'figures to compare, as in perSecond,ack.p99 (default the rate and a latency)',
    )
    .option(
      '--fail-on <bound>',
      'a change that must not be, such as "perSecond<-5%"; may be repeated',
      collected,
    )
    .action(compare);
  command('recommend <result>', 'The way of writing to choose, with what speaks for it')
    .option('--goal <text>', '"fastest", or bounds such as "ackP99Ms<20"', 'fastest')
    .action(recommendWriter);
  command('clean', 'Drop what interrupted runs left in DATABASE_URL and on this disk')
    .option('--results <days>', 'also remove results that are older than so many days')
    .action(clean);
  benchCommand
    .command('schema')
    .description('The JSON Schema of a result')
    .action(() => void process.stdout.write(`${JSON.stringify(RESULT_SCHEMA, null, 2)}\n`));
}

/** For a flag that may be given several times. */
export function collected(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

async function list({ out }: FolderFlag): Promise<void> {
  const results = await listResults(resolve(out));
  if (results.length === 0) {
    process.stderr.write(`There are no results in ${resolve(out)}\n`);
    return;
  }
  for (const { path, result } of results) {
    const { suite, state, startedAt, variants, tool } = result;
    const measured = variants.filter(({ role }) => role === 'measured');
    const best = measured.toSorted((a, b) => b.summary.perSecond.median - a.summary.perSecond.median)[0];
    const name = path.slice(resolve(out).length + 1).replace(/\.json$/, '');
    process.stdout.write(
      `${[
        name.padEnd(28),
        suite.padEnd(8),
        state.padEnd(8),
        startedAt.slice(0, 16).replace('T', ' '),
        (tool.commit ?? '').padEnd(16),
        best === undefined
          ? ''
          : `${best.name}: ${Math.round(best.summary.perSecond.median).toLocaleString('en-US')} ${result.unit}/s`,
      ]
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}

async function show(name: string, { out }: FolderFlag): Promise<void> {
  const { result } = await openResult(name, resolve(out));
  process.stdout.write(textReport(result, suiteOf(result), { width: terminalWidth() }));
}

async function report(
  name: string,
  { out, format, file }: FolderFlag & { format: string; file?: string },
): Promise<void> {
  const known = REPORT_FORMAT_NAMES.find((one) => one === format);
  if (known === undefined) throw wrongWord('format', format, REPORT_FORMAT_NAMES);
  const { result } = await openResult(name, resolve(out));
  const files = REPORT_FORMATS[known].files(result, suiteOf(result));
  if (file === undefined) {
    for (const { text } of files) process.stdout.write(text);
    return;
  }
  for (const { suffix, text } of files) {
    // A format of several files gives each its own ending.
    await writeFile(files.length === 1 ? file : `${file}${suffix}`, text);
  }
}

async function compare(
  baseName: string,
  headName: string,
  flags: FolderFlag & { format: string; metric?: string; failOn?: string[] },
): Promise<void> {
  const { out, format, metric, failOn = [] } = flags;
  const formats = ['text', 'md', 'json'];
  if (!formats.includes(format)) throw wrongWord('format', format, formats);
  const thresholds = relativeThresholds(failOn);
  const folder = resolve(out);
  const base = (await openResult(baseName, folder)).result;
  const head = (await openResult(headName, folder)).result;
  const named = metric?.split(',').map((one) => one.trim());
  const wanted = figuresToCompare(thresholds);
  const metrics = named ?? (wanted.length === 0 ? undefined : ['perSecond']);
  const compared = compareResults(
    base,
    head,
    metrics === undefined ? {} : { metrics: [...new Set([...metrics, ...wanted])] },
  );
  if (format === 'json') process.stdout.write(`${JSON.stringify(compared, null, 2)}\n`);
  else process.stdout.write((format === 'md' ? comparisonMarkdown : comparisonText)(base, head, compared));
  if (base.state === 'invalid' || head.state === 'invalid') {
    process.exitCode = EXIT.auditFailed;
    return;
  }
  const variants = head.variants.map((variant) => ({ ...variant, reps: variant.reps.length }));
  assertCanFail(thresholds, base, { ...head, variants, metrics: metrics ?? [] }, parametersOf(head));
  const judged = judgeThresholds(thresholds, { result: head, comparisons: compared.comparisons, base });
  process.exitCode = tellThresholds(judged) ? EXIT.good : EXIT.thresholdFailed;
}

/** @throws SluiceError `invalid_options` for a bound that is none on a change */
export function relativeThresholds(expressions: readonly string[]): Threshold[] {
  const thresholds = parseThresholds(expressions);
  const absolute = thresholds.find(({ kind }) => kind === 'absolute');
  if (absolute === undefined) return thresholds;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(absolute.expression)} for fail-on: it takes changes in per cent, such as "perSecond<-5%"; what a run has to reach is a --threshold`,
  );
}

/** @throws SluiceError `invalid_options` for a bound on a change */
export function absoluteThresholds(expressions: readonly string[]): Threshold[] {
  const thresholds = parseThresholds(expressions);
  const relative = thresholds.find(({ kind }) => kind === 'relative');
  if (relative === undefined) return thresholds;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(relative.expression)} for threshold: it takes what has to hold, such as "copy.perSecond>100000"; changes in per cent are for --fail-on`,
  );
}

/** Tells which thresholds are not met. @returns true where all are */
export function tellThresholds(judged: ReturnType<typeof judgeThresholds>): boolean {
  for (const { expression, isMet, findings } of judged) {
    process.stderr.write(`${isMet ? 'met   ' : 'FAILED'} ${expression}\n`);
    for (const { isMet: isFindingMet, text } of findings)
      if (!isFindingMet) process.stderr.write(`         ${text}\n`);
  }
  return judged.every(({ isMet }) => isMet);
}

async function recommendWriter(name: string, { out, goal }: FolderFlag & { goal: string }): Promise<void> {
  const parsed = parseGoal(goal);
  const { result } = await openResult(name, resolve(out));
  const suite = suiteOf(result);
  const { choice, tied, untold, evidence } = recommend(result, suite, parsed);
  const lines =
    choice === undefined
      ? [`Nothing in this run keeps ${goal}.`]
      : [
          `${choice.name}${tied.length === 0 ? '' : `, or as good: ${tied.map((other) => other.name).join(', ')}`}`,
          ...(untold.length === 0 ? [] : [untoldText(untold)]),
          ...settingLines(choice.labels ?? {}, choice.name),
        ];
  process.stdout.write(`${[...lines, '', ...evidence.map((line) => `  ${line}`)].join('\n')}\n`);
  process.exitCode = choice === undefined ? EXIT.failed : EXIT.good;
}

function untoldText(untold: readonly { name: string }[]): string {
  const names = untold.map(({ name }) => name).join(', ');
  return `The repetitions are too few to tell it from ${names}: run more of them (--reps 10).`;
}

/** The options of a sink that writes as the variant did; for suites whose variants are ways of writing. */
function settingLines(labels: Readonly<Record<string, string>>, name: string): string[] {
  if (labels.durability === undefined) return [];
  const batch = labels.batch === undefined || labels.batch === '' ? [] : [`batchRows = ${labels.batch}`];
  return [
    '',
    '  [vars.SINKS.messages]',
    ...[`writer = "${name.split(' ')[0]}"`, ...batch, `durability = "${labels.durability}"`].map(
      (line) => `  ${line}`,
    ),
  ];
}

async function clean({ out, results }: FolderFlag & { results?: string }): Promise<void> {
  const log = (line: string): void => void process.stdout.write(`${line}\n`);
  const scratch = join(projectFolder(), '.sluice');
  const left = (await readdir(scratch).catch(() => [])).filter((name) => name.startsWith('bench-'));
  for (const name of left) await rm(join(scratch, name), { recursive: true, force: true });
  log(`Removed ${left.length} folders of interrupted runs`);
  const url = process.env.DATABASE_URL;
  if (url === undefined || url.trim() === '') log('DATABASE_URL is not set: no database was looked at');
  else await cleanDatabase(url, log);
  if (results !== undefined) await cleanResults(resolve(out), results, log);
}

/** Drops only what carries the names of the bench: its tables, and the schemas of the stores that it measured. */
async function cleanDatabase(url: string, log: (line: string) => void): Promise<void> {
  const unread = unreadVariablesText(process.env);
  if (unread !== undefined) log(unread);
  const target = resolveTarget({
    databaseUrl: url,
    driver: process.env.DRIVER ?? 'auto',
    neonProxy: undefined,
  });
  const connection = await openConnection(target);
  try {
    log(`In ${describeTarget(target)}:`);
    const tables = await names(
      connection,
      sql`select format('%I.%I', schemaname, tablename) as name from pg_tables where tablename like ${`${BENCH_TABLE_PREFIX.replaceAll('_', '\\_')}%`} order by 1`,
    );
    const schemas = await names(
      connection,
      sql`select nspname as name from pg_namespace where nspname ~ '^sluice_bench_([0-9a-f]{8}|[0-9a-f]{12})_[0-9]+$' order by 1`,
    );
    for (const table of tables) await connection.db.execute(sql.raw(`drop table if exists ${table}`));
    for (const schema of schemas) {
      await connection.db.execute(sql.raw(`drop schema if exists ${quoteName(schema)} cascade`));
    }
    log(`Dropped ${tables.length} tables and ${schemas.length} schemas of the bench`);
  } finally {
    connection.close();
  }
}

async function names(
  { db }: Awaited<ReturnType<typeof openConnection>>,
  query: ReturnType<typeof sql>,
): Promise<string[]> {
  const result = (await db.execute(query)) as unknown as { rows: { name: string }[] };
  return result.rows.map(({ name }) => name);
}

async function cleanResults(folder: string, days: string, log: (line: string) => void): Promise<void> {
  const { results } = resolveOptions(
    { results: { kind: 'integer', min: 0, max: 36_500, default: 0, description: '' } },
    { results: days },
  );
  const before = Date.now() - results * 86_400_000;
  const old = (await listResults(folder)).filter(({ result }) => Date.parse(result.startedAt) < before);
  for (const { result } of old) {
    await removeReports(folder, result);
    log(`Removed ${runName(result)}`);
  }
}

function parametersOf({ suite }: BenchResult): OptionTable {
  return Object.hasOwn(SUITES, suite) ? SUITES[suite as keyof typeof SUITES].parameters : {};
}

function suiteOf({ suite }: BenchResult): ReportSuite {
  if (Object.hasOwn(SUITES, suite)) return SUITES[suite as keyof typeof SUITES] as unknown as ReportSuite;
  throw new SluiceError('invalid_options', `This version has no suite ${JSON.stringify(suite)}`);
}

function wrongWord(option: string, value: string, words: readonly string[]): SluiceError {
  return new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(value)} for ${option}: one of ${words.join(', ')} is allowed`,
  );
}
