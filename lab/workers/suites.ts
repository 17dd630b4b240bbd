/** The suites as a Worker can run them: on its own database and in its own Durable Objects. */

import { SluiceError } from '../../src/core/errors.ts';
import { MAX_CONNECTIONS, MAX_WORKER_BENCH_MESSAGES } from '../../src/core/limits.ts';
import type { OptionsOf, OptionTable } from '../../src/core/option-table.ts';
import { systemTimers } from '../../src/core/timers.ts';
import { ConnectionSlot } from '../../src/database/connection-slot.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { connect, databaseTarget } from '../../workers/database.ts';
import { databaseFacts } from '../measure/facts.ts';
import { PostgresWatch } from '../measure/postgres-watch.ts';
import type { Warning } from '../result.ts';
import { type OpenRun, parametersOf, type RunnableSuite } from '../run/run-control.ts';
import type { Suite, SuiteHost } from '../suite.ts';
import { setEvents } from '../suites/dcb/data-set.ts';
import { dcbHost } from '../suites/dcb/host.ts';
import { dcbSuite } from '../suites/dcb/suite.ts';
import { IngestHost } from '../suites/ingest/ingest-host.ts';
import { ingestSuite } from '../suites/ingest/ingest-suite.ts';
import { RatesHost } from '../suites/rates/rates-host.ts';
import { ratesSuite } from '../suites/rates/rates-suite.ts';
import { storeHost } from '../suites/store/host.ts';
import { storeSuite } from '../suites/store/suite.ts';
import { StressHost } from '../suites/stress/stress-host.ts';
import { stressSuite } from '../suites/stress/stress-suite.ts';
import { workerDcbPorts, workerStorePorts } from './bench-jobs.ts';
import type { LabEnv } from './env.ts';
import { workerIngestPorts } from './ingest-ports.ts';
import { WORKER_RATE_MODES, workerRatesPorts } from './rates-ports.ts';
import { MAX_WORKER_EPOCHS, workerStressPorts } from './stress-ports.ts';

const STATEMENT_LIMIT_MS = 120_000;

/** Where a run in the Worker works. */
interface RunTarget {
  env: LabEnv;
  slot: ConnectionSlot;
  target: DatabaseTarget;
  /** Names all that the run makes. */
  run: string;
  seed: number;
}

/** What differs between the suites. */
interface WorkerSuite<Table extends OptionTable> {
  suite: Suite<Table>;
  /** Words of an option that a Worker can do; they are its default here. */
  only?: Readonly<Record<string, readonly string[]>>;
  /** Numbers that a Worker can bear: its memory is 128 MB. */
  most?: Readonly<Record<string, number>>;
  /** Units that a run takes besides those of its repetitions, and what they are. */
  besides?: { units(parameters: OptionsOf<Table>): number; text: string };
  driver(parameters: OptionsOf<Table>): string;
  host(at: RunTarget, parameters: OptionsOf<Table>): SuiteHost;
}

/** All suites that a Worker can run. @param where said of the place in reports */
export function workerSuites(env: LabEnv, where: () => string): Record<string, RunnableSuite> {
  const here = <Table extends OptionTable>(given: WorkerSuite<Table>): RunnableSuite =>
    runnable(given, env, where);
  return {
    ingest: here({
      suite: ingestSuite,
      driver: ({ driver }) => driver,
      host: ({ slot }, parameters) => new IngestHost(workerIngestPorts(env, slot), parameters),
    }),
    store: here({
      suite: storeSuite,
      only: { engines: ['postgres', 'object'] },
      besides: { units: ({ others, engines }) => others * engines.length, text: 'others × engines' },
      driver: ({ driver }) => driver,
      host: ({ target, run }, parameters) => storeHost(workerStorePorts(env, target, run), parameters),
    }),
    dcb: here({
      suite: dcbSuite,
      only: { engines: ['postgres', 'object', 'object-sqlite'] },
      besides: {
        units: ({ sets, engines }) => sets.reduce((sum, set) => sum + setEvents(set), 0) * engines.length,
        text: 'the events of the sets × engines',
      },
      driver: ({ driver }) => driver,
      host: ({ target, run, seed }, parameters) =>
        dcbHost(workerDcbPorts(env, target, run), parameters, seed),
    }),
    rates: here({
      suite: ratesSuite,
      only: { modes: WORKER_RATE_MODES },
      driver: ({ driver }) => driver,
      host: ({ slot }, parameters) => new RatesHost(workerRatesPorts(env, slot), parameters),
    }),
    stress: here({
      suite: stressSuite,
      most: { end: MAX_WORKER_EPOCHS, concurrency: MAX_CONNECTIONS },
      driver: ({ driver }) => driver,
      host: ({ slot, target }, parameters) => new StressHost(workerStressPorts(slot, target), parameters),
    }),
  };
}

function runnable<Table extends OptionTable>(
  worker: WorkerSuite<Table>,
  env: LabEnv,
  where: () => string,
): RunnableSuite {
  const { suite, only = {}, most = {} } = worker;
  return {
    suite: suite as unknown as Suite,
    // A request that says nothing gets a run that is over within seconds.
    defaults: { ...withinMost(suite, most), ...suite.presets.quick, ...only },
    check(given, reps) {
      const parameters = parametersOf(suite, given);
      checkWords(parameters, only);
      checkNumbers(parameters, most);
      const perRep = suite
        .variants(parameters)
        .reduce((sum, variant) => sum + suite.unitsPerRep(variant, parameters), 0);
      const besides = worker.besides?.units(parameters) ?? 0;
      checkUnits(perRep * reps + besides, suite.unit, worker.besides?.text);
    },
    async open(given, seed, run): Promise<OpenRun> {
      const parameters = parametersOf(suite, given);
      const target = databaseTarget(env, worker.driver(parameters));
      const slot = new ConnectionSlot({
        open: () => connect(target),
        timers: systemTimers,
        useTimeLimitMs: STATEMENT_LIMIT_MS,
      });
      const watch = new PostgresWatch({ open: () => connect(target), timers: systemTimers });
      try {
        const database = await slot.use(({ db }) => databaseFacts(db, target));
        return {
          host: worker.host({ env, slot, target, run, seed }, parameters),
          server: watch,
          facts: {
            tool: { name: 'sluice' },
            machine: { where: where() },
            database,
            warnings: clockWarnings(env),
          },
          async close() {
            watch.close();
            slot.close();
          },
        };
      } catch (error) {
        watch.close();
        slot.close();
        throw error;
      }
    },
  };
}

/** A local workerd, which says where it runs, has a clock that goes on. */
function clockWarnings({ RUNS_ON }: LabEnv): Warning[] {
  if (RUNS_ON !== undefined) return [];
  return [
    {
      code: 'timer_frozen',
      where: '',
      text: "a deployed Worker's clock only moves when I/O happens; every time here is taken around I/O, and short ones are coarse",
    },
  ];
}

function checkWords(
  parameters: Readonly<Record<string, unknown>>,
  only: Readonly<Record<string, readonly string[]>>,
): void {
  for (const [option, here] of Object.entries(only)) {
    const foreign = (parameters[option] as readonly string[]).find((word) => !here.includes(word));
    if (foreign === undefined) continue;
    throw new SluiceError(
      'invalid_options',
      `The Worker has no ${foreign} in ${option}: a comma-separated list of ${here.join(', ')} is allowed`,
      { details: { option, value: foreign, allowed: here } },
    );
  }
}

/** The defaults of options that are more than a Worker can bear. */
function withinMost(suite: { parameters: OptionTable }, most: Readonly<Record<string, number>>) {
  return Object.fromEntries(
    Object.entries(most).filter(([option, bound]) => Number(suite.parameters[option]?.default) > bound),
  );
}

function checkNumbers(
  parameters: Readonly<Record<string, unknown>>,
  most: Readonly<Record<string, number>>,
): void {
  for (const [option, bound] of Object.entries(most)) {
    if ((parameters[option] as number) <= bound) continue;
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${parameters[option]} for ${option} in a Worker: at most ${bound} is allowed`,
      { details: { option, value: parameters[option], allowed: bound } },
    );
  }
}

function checkUnits(units: number, unit: string, besides: string | undefined): void {
  if (units <= MAX_WORKER_BENCH_MESSAGES) return;
  const sum = `over all variants and repetitions${besides === undefined ? '' : `, and ${besides}`}`;
  throw new SluiceError(
    'invalid_options',
    `This run would take ${units} ${unit}: at most ${MAX_WORKER_BENCH_MESSAGES} are allowed, ${sum}`,
    { details: { allowed: MAX_WORKER_BENCH_MESSAGES } },
  );
}
