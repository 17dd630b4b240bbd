/** `npm run faults`: makes everything fail that can, and shows that nothing acknowledged is lost or doubled. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { machineFacts, toolFacts } from '../../lab/local/machine.ts';
import { abortOnSignal } from '../../local/cli/cleanup.ts';
import { tolerateClosedOutput } from '../../local/cli/closed-output.ts';
import { EXIT, exitCodeOf } from '../../local/cli/exit-codes.ts';
import { errorText, SluiceError } from '../../src/core/errors.ts';
import { type RunReport, runOnce } from './lab.ts';
import {
  type FaultReport,
  failureLines,
  faultLine,
  faultReport,
  hasPassed,
  jsonReport,
  type LabReport,
  markdownReport,
  textTable,
} from './report.ts';
import { runControls } from './sabotages.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios/all.ts';
import { World } from './world.ts';

const HELP = `npm run faults -- [options]

  --only <names>   only these faults, with commas between them
  --runs <n>       runs of each (default 3)
  --seed <n>       what chance begins with (default: by the clock); run i has the seed n + i
  --short          one small run of each, for CI
  --long           a hundred runs of the first five faults, ten or more of the others
  --out <folder>   where the JSON and Markdown reports go (default results)
  --list           names the faults
  --self-test      lets shards break their promises on purpose, and fails where the oracle does not notice
`;

/** Runs of a fault in the long form, where it does not say otherwise. */
const LONG_RUNS = 10;

/** Size of a run in the short form. */
const SHORT_SCALE = 0.3;

function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      runs: { type: 'string' },
      seed: { type: 'string' },
      short: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      out: { type: 'string', default: 'results' },
      list: { type: 'boolean', default: false },
      'self-test': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.short && values.long)
    throw new SluiceError('invalid_options', 'Choose one of --short and --long');
  const names = values.only?.split(',').map((name) => name.trim());
  const unknown = names?.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown !== undefined)
    throw new SluiceError(
      'invalid_options',
      `There is no fault ${JSON.stringify(unknown)}: --list names them`,
    );
  return {
    ...values,
    form: values.short ? 'short' : values.long ? 'long' : 'usual',
    scenarios: SCENARIOS.filter(
      ({ name, isLong }) => names?.includes(name) ?? (values.long || isLong !== true),
    ),
    runs: values.runs === undefined ? undefined : whole('runs', values.runs, 1, 100_000),
    seed: values.seed === undefined ? Date.now() % 1_000_000 : whole('seed', values.seed, 0, 2 ** 32 - 1),
  };
}

type Options = ReturnType<typeof readOptions>;

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new SluiceError('invalid_options', `--${option}: a whole number from ${least} to ${most}`);
}

function runsOf({ longRuns = LONG_RUNS }: Scenario, { runs, form }: Options): number {
  return runs ?? (form === 'long' ? longRuns : form === 'short' ? 1 : 3);
}

async function runFault(
  world: World,
  scenario: Scenario,
  options: Options,
  signal: AbortSignal,
): Promise<FaultReport> {
  const reason = scenario.cannot?.();
  if (reason !== undefined) return faultReport(scenario, [], reason);
  const reports: RunReport[] = [];
  const scale = options.form === 'short' ? SHORT_SCALE : 1;
  for (let index = 0; index < runsOf(scenario, options) && !signal.aborted; index += 1)
    reports.push(await runOnce(world, scenario, (options.seed + index) % 2 ** 32, scale));
  return faultReport(scenario, reports);
}

/** The world of a scenario: most share one. Those that read the heap have another, which is slower. */
class Worlds {
  #usual: Promise<World> | undefined;
  #withHeap: Promise<World> | undefined;

  of({ readsHeap = false }: Pick<Scenario, 'readsHeap'>): Promise<World> {
    if (readsHeap) this.#withHeap ??= World.open({ readsHeap });
    else this.#usual ??= World.open();
    return (readsHeap ? this.#withHeap : this.#usual) as Promise<World>;
  }

  async close(): Promise<void> {
    for (const world of [this.#usual, this.#withHeap]) await world?.then((opened) => opened.close());
  }
}

async function runFaults(options: Options, worlds: Worlds, signal: AbortSignal): Promise<void> {
  const startedAt = new Date();
  const faults: FaultReport[] = [];
  for (const scenario of options.scenarios) {
    const report = await runFault(await worlds.of(scenario), scenario, options, signal);
    if (signal.aborted) break;
    faults.push(report);
    log(faultLine(report));
    for (const line of failureLines(report)) log(`     ${line}`);
  }
  const report: LabReport = {
    startedAt: startedAt.toISOString(),
    tookSeconds: (Date.now() - startedAt.getTime()) / 1_000,
    seed: options.seed,
    form: options.form,
    tool: await toolFacts(),
    machine: machineFacts('clients, workerd and Postgres on one machine'),
    faults,
  };
  process.stdout.write(`\n${textTable(report)}\n`);
  log(`\nReports: ${(await writeReports(resolve(options.out), report)).join(', ')}`);
  if (signal.aborted) process.exitCode = EXIT.interrupted;
  else if (!hasPassed(report)) process.exitCode = EXIT.auditFailed;
}

async function writeReports(folder: string, report: LabReport): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const name = `faults-${report.startedAt.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`;
  const files = [
    [join(folder, `${name}.json`), jsonReport(report)],
    [join(folder, `${name}.md`), markdownReport(report)],
  ] as const;
  for (const [path, text] of files) await writeFile(path, text);
  return files.map(([path]) => path);
}

async function selfTest({ seed }: Options, world: World): Promise<void> {
  const reports = await runControls(world, seed, ({ control, isCaught, report }) => {
    log(`${isCaught ? 'caught' : 'MISSED'}  ${control.title}: ${report[control.breaks]} ${control.breaks}`);
    if (!isCaught) for (const failure of report.failures) log(`        ${failure}`);
  });
  if (reports.some(({ isCaught }) => !isCaught)) process.exitCode = EXIT.auditFailed;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) process.stdout.write(HELP);
  else if (options.list) for (const { name, title } of SCENARIOS) process.stdout.write(`${name}: ${title}\n`);
  if (options.help || options.list) return;
  const { signal, release } = abortOnSignal();
  const worlds = new Worlds();
  try {
    log(`Starting Postgres and the Worker … (seed ${options.seed})`);
    if (options['self-test']) await selfTest(options, await worlds.of({}));
    else await runFaults(options, worlds, signal);
  } finally {
    await worlds.close();
    release();
  }
}

tolerateClosedOutput();
try {
  process.exitCode = EXIT.good;
  await main();
} catch (error) {
  process.stderr.write(`faults: ${errorText(error)}\n`);
  const isWrongOption = (error as { code?: unknown }).code?.toString().startsWith('ERR_PARSE_ARGS') === true;
  process.exitCode = isWrongOption ? EXIT.wrongOptions : exitCodeOf(error);
}
