/** The suites as the command line runs them: on this machine, with what each needs. */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cleanup } from '../../../local/cli/cleanup.ts';
import { projectFolder } from '../../../local/project.ts';
import type { LocalWorker } from '../../../local/worker.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import { type OptionsOf, type OptionTable, resolveOptions } from '../../../src/core/option-table.ts';
import type { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import type { DatabaseTarget } from '../../../src/database/target.ts';
import type { GatedRun } from '../../gate.ts';
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
import type { SUITES } from '../../suites.ts';
import { localIngestPorts } from '../ingest-ports.ts';
import { localDcbPorts, localStorePorts } from '../job-ports.ts';
import { localRatesPorts } from '../rates-ports.ts';
import { localStressPorts } from '../stress-ports.ts';

/** A suite with its parameters, ready to be run from here. */
export interface Runnable {
  suite: Suite;
  driver: string;
  /** What it needs besides this process. */
  needs: { database: boolean; worker: boolean };
  /** What such a run will have, for those who are to judge it. */
  planned(reps: number): Omit<GatedRun, 'metrics'>;
  host(target: RunTarget): Promise<BenchHost>;
  run(options: Omit<RunOptions<OptionTable>, 'suite' | 'parameters'>): Promise<BenchResult>;
}

/** Where a suite runs; what it does not need is not there. */
export interface RunTarget {
  database: { target: DatabaseTarget; slot: ConnectionSlot } | undefined;
  worker: LocalWorker | undefined;
  /** Draws all that is random. */
  seed: number;
  cleanup: Cleanup;
}

export type BenchHost = SuiteHost & { warmUp(): Promise<void>; close(): Promise<void> };

/** @param from what differs between the suites */
function runnable<Table extends OptionTable>(
  suite: Suite<Table>,
  { quick, full, flags }: { quick: boolean; full: boolean; flags: Record<string, unknown> },
  from: {
    driver(parameters: OptionsOf<Table>): string;
    needs(parameters: OptionsOf<Table>): Runnable['needs'];
    host(target: RunTarget, parameters: OptionsOf<Table>): Promise<BenchHost>;
  },
): Runnable {
  const preset = quick ? suite.presets.quick : full ? suite.presets.full : {};
  const parameters = resolveOptions(suite.parameters, { ...preset, ...flags });
  return {
    suite: suite as unknown as Suite,
    driver: from.driver(parameters),
    needs: from.needs(parameters),
    planned: (reps) => ({
      config: { ...parameters, reps },
      variants: suite.variants(parameters).map((variant) => ({ ...variant, reps })),
    }),
    host: (target) => from.host(target, parameters),
    run: (options) => runSuite({ ...options, suite, parameters }),
  };
}

export const RUNNABLES = {
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
