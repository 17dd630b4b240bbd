/** `npm run bench`: starts what is needed, runs a suite, reports, and leaves nothing behind. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { databaseFacts } from '../../src/bench/facts.ts';
import { IngestHost } from '../../src/bench/ingest-host.ts';
import { jsonReport, markdownReport, textReport } from '../../src/bench/report.ts';
import type { BenchResult } from '../../src/bench/result.ts';
import { runSuite } from '../../src/bench/runner.ts';
import { SUITES } from '../../src/bench/suites.ts';
import { openConnection } from '../../src/database/connection.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import { type DatabaseTarget, resolveTarget } from '../../src/database/target.ts';
import { errorText, SluiceError } from '../../src/errors.ts';
import { systemTimers } from '../../src/ingest/timers.ts';
import { resolveOptions } from '../../src/option-table.ts';
import { DatabaseWatch } from '../bench/database-watch.ts';
import { localIngestPorts } from '../bench/ingest-ports.ts';
import { machineFacts, toolFacts } from '../bench/machine.ts';
import { openLocalDatabase } from '../local-database.ts';
import { startWorker } from '../worker.ts';
import { abortOnSignal, Cleanup } from './cleanup.ts';
import { EXIT } from './exit-codes.ts';
import { progressPrinter } from './progress.ts';

interface BenchFlags {
  reps?: string;
  quick?: true;
  full?: true;
  out: string;
  [parameter: string]: unknown;
}

const REPS = { kind: 'integer', min: 1, max: 100, default: 3, description: 'Repetitions' } as const;
/** Audits of ten million rows take their time; nothing that a bench does takes longer. */
const BENCH_STATEMENT_LIMIT_MS = 600_000;

export async function bench(
  suiteName: string,
  { reps: givenReps, quick, full, out, ...flags }: BenchFlags,
): Promise<void> {
  const suite = Object.hasOwn(SUITES, suiteName) ? SUITES[suiteName as keyof typeof SUITES] : undefined;
  if (suite === undefined) {
    throw new SluiceError(
      'invalid_options',
      `There is no suite ${JSON.stringify(suiteName)}: there are ${Object.keys(SUITES).join(', ')}`,
    );
  }
  if (quick && full) throw new SluiceError('invalid_options', 'Choose one of --quick and --full');
  const preset = quick ? suite.presets.quick : full ? suite.presets.full : {};
  const parameters = resolveOptions(suite.parameters, { ...preset, ...flags });
  const { reps } = resolveOptions({ reps: REPS }, givenReps === undefined ? {} : { reps: givenReps });

  const cleanup = new Cleanup();
  const { signal, release } = abortOnSignal();
  const log = (message: string): void => void process.stderr.write(`${message}\n`);
  try {
    log('Starting Postgres and the Worker …');
    const database = await openLocalDatabase(parameters.driver, cleanup, log);
    const target = resolveTarget({
      databaseUrl: database.url,
      driver: parameters.driver,
      neonProxy: database.neonProxy,
    });
    const slot = openSlot(target);
    cleanup.add('close the connection', async () => slot.close());
    const facts = await slot.use(({ db }) => databaseFacts(db, target));

    const worker = await startWorker({ bindings: { ...database.bindings, BENCH: 'on' } });
    const watch = new DatabaseWatch(target);
    const host = new IngestHost(localIngestPorts(worker.url, slot), parameters);
    // The Worker goes first: its connections would hold locks on the tables that are to be dropped.
    cleanup.add('drop the bench tables', () => host.close());
    cleanup.add('stop the Worker', () => worker.stop());
    cleanup.add('stop watching the database', async () => watch.stop());

    const result = await watch.orLost(
      (async () => {
        await host.warmUp();
        return runSuite({
          suite,
          parameters,
          reps,
          host,
          now: Date.now,
          signal,
          onProgress: progressPrinter(process.stderr, Date.now),
          facts: {
            tool: await toolFacts(),
            machine: machineFacts('Node and workerd on one machine'),
            database: facts,
          },
        });
      })(),
      signal,
    );
    if (result === undefined || result.variants.length === 0) {
      process.exitCode = EXIT.interrupted;
      return;
    }
    process.stdout.write(textReport(result, suite));
    log(`\nReports: ${(await writeReports(resolve(out), result)).join(', ')}`);
    process.exitCode = { complete: EXIT.good, invalid: EXIT.auditFailed, aborted: EXIT.interrupted }[
      result.state
    ];
  } catch (error) {
    // Ctrl-C in a terminal reaches workerd as well: what fails after it fails because of it.
    if (!signal.aborted) throw error;
    throw new SluiceError('aborted', `Stopped: ${errorText(error)}`, { cause: error });
  } finally {
    await cleanup.run();
    release();
  }
}

function openSlot(target: DatabaseTarget): ConnectionSlot {
  return new ConnectionSlot({
    open: () => openConnection(target),
    timers: systemTimers,
    useTimeLimitMs: BENCH_STATEMENT_LIMIT_MS,
  });
}

async function writeReports(folder: string, result: BenchResult): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const name = `${result.suite}-${result.startedAt.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`;
  const files = [
    [join(folder, `${name}.json`), jsonReport(result)],
    [join(folder, `${name}.md`), markdownReport(result, SUITES[result.suite as keyof typeof SUITES])],
  ] as const;
  for (const [path, text] of files) await writeFile(path, text);
  return files.map(([path]) => path);
}
