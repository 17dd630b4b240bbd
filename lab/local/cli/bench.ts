/** `npm run bench`: starts what is needed, runs a suite, reports, and leaves nothing behind. */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { assertReachesDatabase } from '../../../local/ask-health.ts';
import { abortOnSignal, Cleanup } from '../../../local/cli/cleanup.ts';
import { EXIT } from '../../../local/cli/exit-codes.ts';
import { openLocalDatabase } from '../../../local/local-database.ts';
import { projectFolder, wranglerProgram } from '../../../local/project.ts';
import { type LocalWorker, startWorker } from '../../../local/worker.ts';
import { errorText, SluiceError } from '../../../src/core/errors.ts';
import { type OptionsOf, type OptionTable, resolveOptions } from '../../../src/core/option-table.ts';
import { systemTimers } from '../../../src/core/timers.ts';
import { openConnection } from '../../../src/database/connection.ts';
import { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import { type DatabaseTarget, resolveTarget } from '../../../src/database/target.ts';
import { compareResults } from '../../compare.ts';
import { assertCanFail, type GatedRun } from '../../gate.ts';
import { databaseFacts } from '../../measure/facts.ts';
import { PostgresWatch } from '../../measure/postgres-watch.ts';
import { comparisonText } from '../../report/comparison.ts';
import { REPORT_FORMAT_NAMES } from '../../report/formats.ts';
import { textReport } from '../../report/text.ts';
import type { BenchResult } from '../../result.ts';
import { type RunOptions, runSuite } from '../../run/runner.ts';
import type { Suite, SuiteHost } from '../../suite.ts';
import { dcbHost } from '../../suites/dcb/host.ts';
import { dcbSuite } from '../../suites/dcb/suite.ts';
import { IngestHost } from '../../suites/ingest/ingest-host.ts';
import { ingestSuite } from '../../suites/ingest/ingest-suite.ts';
import { RatesHost } from '../../suites/rates/rates-host.ts';
import { ratesSuite } from '../../suites/rates/rates-suite.ts';
import { storeHost } from '../../suites/store/host.ts';
import { storeSuite } from '../../suites/store/suite.ts';
import { StressHost } from '../../suites/stress/stress-host.ts';
import { stressSuite } from '../../suites/stress/stress-suite.ts';
import { SEED, SUITES } from '../../suites.ts';
import { figuresToCompare, judgeThresholds } from '../../thresholds.ts';
import { DatabaseWatch } from '../database-watch.ts';
import { localIngestPorts } from '../ingest-ports.ts';
import { localDcbPorts, localStorePorts } from '../job-ports.ts';
import { machineFacts, toolFacts } from '../machine.ts';
import { localRatesPorts } from '../rates-ports.ts';
import { openResult, writeReports } from '../result-files.ts';
import { localStressPorts } from '../stress-ports.ts';
import { absoluteThresholds, relativeThresholds, tellThresholds } from './bench-results.ts';
import { progressPrinter } from './progress.ts';
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

/** A suite with its parameters, ready to be run from here. */
interface Runnable {
  suite: Suite;
  driver: string;
  /** What it needs besides this process. */
  needs: { database: boolean; worker: boolean };
  /** What such a run will have, for those who are to judge it. */
  planned(reps: number): Omit<GatedRun, 'metrics'>;
  host(place: Place): Promise<BenchHost>;
  run(options: Omit<RunOptions<OptionTable>, 'suite' | 'parameters'>): Promise<BenchResult>;
}

/** Where a suite runs; what it does not need is not there. */
interface Place {
  database: { target: DatabaseTarget; slot: ConnectionSlot } | undefined;
  worker: LocalWorker | undefined;
  /** Draws all that is random. */
  seed: number;
  cleanup: Cleanup;
}

type BenchHost = SuiteHost & { warmUp(): Promise<void>; close(): Promise<void> };

function runnable<Table extends OptionTable>(
  suite: Suite<Table>,
  { quick, full, flags }: { quick: boolean; full: boolean; flags: Record<string, unknown> },
  ways: {
    driver(parameters: OptionsOf<Table>): string;
    needs(parameters: OptionsOf<Table>): Runnable['needs'];
    host(place: Place, parameters: OptionsOf<Table>): Promise<BenchHost>;
  },
): Runnable {
  const preset = quick ? suite.presets.quick : full ? suite.presets.full : {};
  const parameters = resolveOptions(suite.parameters, { ...preset, ...flags });
  return {
    suite: suite as unknown as Suite,
    driver: ways.driver(parameters),
    needs: ways.needs(parameters),
    planned: (reps) => ({
      config: { ...parameters, reps },
      variants: suite.variants(parameters).map((variant) => ({ ...variant, reps })),
    }),
    host: (place) => ways.host(place, parameters),
    run: (options) => runSuite({ ...options, suite, parameters }),
  };
}

const RUNNABLES = {
  ingest: (given: Parameters<typeof runnable>[1]) =>
    runnable(ingestSuite, given, {
      driver: ({ driver }) => driver,
      needs: () => ({ database: true, worker: true }),
      async host({ database, worker }, parameters) {
        if (database === undefined || worker === undefined)
          throw new SluiceError('internal', 'Nothing was started');
        return new IngestHost(localIngestPorts(worker.url, database.slot), parameters);
      },
    }),
  store: (given: Parameters<typeof runnable>[1]) =>
    runnable(storeSuite, given, {
      driver: ({ driver }) => driver,
      needs: ({ engines }) => ({
        database: engines.includes('postgres'),
        worker: engines.includes('object'),
      }),
      async host({ database, worker, cleanup }, parameters) {
        const ports = localStorePorts({
          folder: await benchFolder(cleanup),
          target: database?.target,
          workerUrl: worker?.url,
          run: randomBytes(4).toString('hex'),
        });
        return storeHost(ports, parameters);
      },
    }),
  dcb: (given: Parameters<typeof runnable>[1]) =>
    runnable(dcbSuite, given, {
      driver: ({ driver }) => driver,
      needs: ({ engines }) => ({
        database: engines.includes('postgres') || engines.includes('object'),
        worker: engines.includes('object') || engines.includes('object-sqlite'),
      }),
      async host({ database, worker, seed, cleanup }, parameters) {
        const ports = localDcbPorts({
          folder: await benchFolder(cleanup),
          target: database?.target,
          workerUrl: worker?.url,
          run: randomBytes(4).toString('hex'),
        });
        return dcbHost(ports, parameters, seed);
      },
    }),
  rates: (given: Parameters<typeof runnable>[1]) =>
    runnable(ratesSuite, given, {
      driver: ({ driver }) => driver,
      needs: () => ({ database: true, worker: true }),
      async host({ database, worker }, parameters) {
        if (database === undefined || worker === undefined)
          throw new SluiceError('internal', 'Nothing was started');
        return new RatesHost(localRatesPorts(worker, database.slot, database.target), parameters);
      },
    }),
  stress: (given: Parameters<typeof runnable>[1]) =>
    runnable(stressSuite, given, {
      driver: ({ driver }) => driver,
      needs: () => ({ database: true, worker: false }),
      async host({ database }, parameters) {
        if (database === undefined) throw new SluiceError('internal', 'Nothing was started');
        const { target, slot } = database;
        return new StressHost(localStressPorts({ target, slot }), parameters);
      },
    }),
} satisfies Record<keyof typeof SUITES, (given: Parameters<typeof runnable>[1]) => Runnable>;

/** On the disk of the checkout, where the embedded Postgres is too; a folder for temporary files may be memory. */
async function benchFolder(cleanup: Cleanup): Promise<string> {
  await mkdir(join(projectFolder(), '.sluice'), { recursive: true });
  const folder = await mkdtemp(join(projectFolder(), '.sluice', 'bench-'));
  cleanup.add('remove the files of the bench', () => rm(folder, { recursive: true, force: true }));
  return folder;
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
      ? await startWorker({ bindings: { ...database?.bindings, BENCH: 'on' } })
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

async function openHost(runs: Runnable, place: Place): Promise<BenchHost> {
  // Node has reached the database; the Worker reaches it in its own way, or not at all.
  if (place.database !== undefined && place.worker !== undefined)
    await assertReachesDatabase(place.worker.url);
  return runs.host(place);
}

function startingText({ database, worker }: Runnable['needs']): string {
  const parts = [...(database ? ['Postgres'] : []), ...(worker ? ['the Worker'] : [])];
  return parts.length === 0 ? 'Starting …' : `Starting ${parts.join(' and ')} …`;
}

interface OpenDatabase extends NonNullable<Place['database']> {
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
