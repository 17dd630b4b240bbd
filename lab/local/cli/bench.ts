/** `npm run bench`: starts what is needed, runs a suite, reports, and leaves nothing behind. */

import { resolve } from 'node:path';
import { assertReachesDatabase } from '../../../local/ask-health.ts';
import { abortOnSignal, Cleanup } from '../../../local/cli/cleanup.ts';
import { EXIT } from '../../../local/cli/exit-codes.ts';
import { openLocalDatabase } from '../../../local/local-database.ts';
import { wranglerProgram } from '../../../local/project.ts';
import { startWorker } from '../../../local/worker.ts';
import { errorText, SluiceError } from '../../../src/core/errors.ts';
import { resolveOptions } from '../../../src/core/option-table.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import { openConnection } from '../../../src/database/connection.ts';
import { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import { type DatabaseTarget, resolveTarget } from '../../../src/database/target.ts';
import { compareResults } from '../../compare.ts';
import { assertCanFail } from '../../gate.ts';
import { databaseFacts } from '../../measure/facts.ts';
import { PostgresWatch } from '../../measure/postgres-watch.ts';
import { comparisonText } from '../../report/comparison.ts';
import { REPORT_FORMAT_NAMES } from '../../report/formats.ts';
import { textReport } from '../../report/text.ts';
import { SEED, SUITES } from '../../suites.ts';
import { figuresToCompare, judgeThresholds } from '../../thresholds.ts';
import { DatabaseWatch } from '../database-watch.ts';
import { machineFacts, toolFacts } from '../machine.ts';
import { openResult, writeReports } from '../result-files.ts';
import { absoluteThresholds, relativeThresholds, tellThresholds } from './bench-results.ts';
import { progressPrinter } from './progress.ts';
import { type BenchHost, RUNNABLES, type Runnable, type RunTarget } from './runnable-suites.ts';
import { terminalWidth } from './terminal-width.ts';

interface BenchFlags {
  reps?: string;
  seed?: string;
  quick?: true;
  full?: true;
  out: string;
  format?: string;
  threshold?: string[];
  failOn?: string[];
  base?: string;
  [parameter: string]: unknown;
}

const FORMATS = {
  kind: 'choices',
  choices: REPORT_FORMAT_NAMES,
  default: ['json', 'md'],
  description: 'Formats of the reports',
} as const;
const REPS = { kind: 'integer', min: 1, max: 100, default: 3, description: 'Repetitions' } as const;
/** Audits of ten million rows take their time; nothing that a bench does takes longer. */
const BENCH_STATEMENT_LIMIT_MS = 600_000;

export async function bench(suiteName: string, given: BenchFlags): Promise<void> {
  const { reps: givenReps, seed: givenSeed, quick, full, out, format, ...others } = given;
  const { threshold = [], failOn = [], base: baseName, ...flags } = others;
  const make = Object.hasOwn(RUNNABLES, suiteName)
    ? RUNNABLES[suiteName as keyof typeof RUNNABLES]
    : undefined;
  if (make === undefined) {
    throw new SluiceError(
      'invalid_options',
      `There is no suite ${JSON.stringify(suiteName)}: there are ${Object.keys(SUITES).join(', ')}`,
    );
  }
  if (quick && full) throw new SluiceError('invalid_options', 'Choose one of --quick and --full');
  const runs = make({ quick: quick === true, full: full === true, flags });
  const {
    reps,
    seed,
    format: formats,
  } = resolveOptions(
    { reps: REPS, seed: SEED, format: FORMATS },
    { reps: givenReps, seed: givenSeed, format },
  );
  // All that can be wrong is found before anything is started.
  const absolute = absoluteThresholds(threshold);
  const relative = relativeThresholds(failOn);
  if (relative.length > 0 && baseName === undefined) {
    throw new SluiceError('invalid_options', '--fail-on compares with another result: name it with --base');
  }
  const base =
    baseName === undefined ? undefined : (await openResult(baseName, resolve(out), suiteName)).result;
  if (base !== undefined && base.suite !== suiteName) {
    throw new SluiceError(
      'invalid_options',
      `Cannot compare a run of the suite ${suiteName} with one of the suite ${base.suite}`,
    );
  }
  if (base !== undefined) {
    const planned = { ...runs.planned(reps), metrics: ['perSecond'] };
    assertCanFail(relative, base, planned, runs.suite.parameters);
  }

  const cleanup = new Cleanup();
  const { signal, release } = abortOnSignal();
  const log = (message: string): void => void process.stderr.write(`${message}\n`);
  try {
    // Said before anything is started, where it is missing.
    if (runs.needs.worker) wranglerProgram();
    log(startingText(runs.needs));
    const database = runs.needs.database ? await openDatabase(runs.driver, cleanup, log) : undefined;
    const worker = runs.needs.worker
      ? await startWorker({ bindings: { ...database?.bindings, BENCH: 'open', OPERATORS: 'open' } })
      : undefined;
    const watch = database === undefined ? undefined : new DatabaseWatch(database.target);
    const server = database === undefined ? undefined : serverWatch(database.target);
    if (server !== undefined) cleanup.add('stop looking at the server', async () => server.close());
    const host = await openHost(runs, { database, worker, seed, cleanup }).catch(async (error: unknown) => {
      await worker?.stop();
      throw error;
    });
    // The Worker goes first: its connections would hold locks on the tables that are to be dropped.
    cleanup.add('delete what the bench has made', () => host.close());
    if (worker !== undefined) cleanup.add('stop the Worker', () => worker.stop());
    if (watch !== undefined) cleanup.add('stop watching the database', async () => watch.stop());

    const work = (async () => {
      return runs.run({
        reps,
        seed,
        host,
        server,
        now: Date.now,
        signal,
        onProgress: progressPrinter(process.stderr, Date.now),
        facts: {
          tool: await toolFacts(),
          machine: machineFacts(
            worker === undefined ? 'Node on one machine' : 'Node and workerd on one machine',
          ),
          database: database?.facts ?? {},
        },
      });
    })();
    const result = await (watch === undefined ? work : watch.orLost(work, signal));
    if (result === undefined || result.variants.length === 0) {
      process.exitCode = EXIT.interrupted;
      return;
    }
    process.stdout.write(textReport(result, runs.suite, { width: terminalWidth() }));
    log(`\nReports: ${(await writeReports(resolve(out), result, runs.suite, formats)).join(', ')}`);
    process.exitCode = { complete: EXIT.good, invalid: EXIT.auditFailed, aborted: EXIT.interrupted }[
      result.state
    ];
    if (result.state !== 'complete') return;
    if (!tellThresholds(judgeThresholds(absolute, { result }))) process.exitCode = EXIT.thresholdFailed;
    if (base === undefined) return;
    const metrics = [...new Set(['perSecond', ...figuresToCompare(relative)])];
    const compared = compareResults(base, result, relative.length === 0 ? {} : { metrics });
    process.stdout.write(`\n${comparisonText(base, result, compared)}`);
    const { comparisons } = compared;
    if (!tellThresholds(judgeThresholds(relative, { result, comparisons, base })))
      process.exitCode = EXIT.thresholdFailed;
  } catch (error) {
    // Ctrl-C in a terminal reaches workerd as well: what fails after it fails because of it.
    if (!signal.aborted) throw error;
    throw new SluiceError('aborted', `Stopped: ${errorText(error)}`, { cause: error });
  } finally {
    await cleanup.run();
    release();
  }
}

async function openHost(runs: Runnable, target: RunTarget): Promise<BenchHost> {
  // Node has reached the database; the Worker reaches it in its own way, or not at all.
  if (target.database !== undefined && target.worker !== undefined)
    await assertReachesDatabase(target.worker.url);
  return runs.host(target);
}

function startingText({ database, worker }: Runnable['needs']): string {
  const parts = [...(database ? ['Postgres'] : []), ...(worker ? ['the Worker'] : [])];
  return parts.length === 0 ? 'Starting …' : `Starting ${parts.join(' and ')} …`;
}

interface OpenDatabase extends NonNullable<RunTarget['database']> {
  bindings: Record<string, string>;
  facts: Record<string, string>;
}

async function openDatabase(
  driver: string,
  cleanup: Cleanup,
  log: (message: string) => void,
): Promise<OpenDatabase> {
  const { url, neonProxy, bindings } = await openLocalDatabase({ driver, cleanup, onLog: log });
  const target = resolveTarget({ databaseUrl: url, driver, neonProxy });
  const slot = openSlot(target);
  cleanup.add('close the connection', async () => slot.close());
  return { target, slot, bindings, facts: await slot.use(({ db }) => databaseFacts(db, target)) };
}

function serverWatch(target: DatabaseTarget): PostgresWatch {
  return new PostgresWatch({ open: () => openConnection(target), timers: systemTimers });
}

function openSlot(target: DatabaseTarget): ConnectionSlot {
  return new ConnectionSlot({
    open: () => openConnection(target),
    timers: systemTimers,
    useTimeLimitMs: BENCH_STATEMENT_LIMIT_MS,
  });
}
