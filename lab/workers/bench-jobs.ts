/** The suites `store` and `dcb` inside the Worker: the loop of attempts in a Durable Object, and the engines of a run. */

import { SluiceError } from '../../src/core/errors.ts';
import { type OptionTable, optionTable, resolveOptions } from '../../src/core/option-table.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { bound } from '../../workers/bound.ts';
import { connect } from '../../workers/database.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import type { Engine } from '../jobs/fixture.ts';
import { type BenchCall, type Job, type JobBench, STRATEGIES } from '../jobs/job.ts';
import type { JobPorts } from '../jobs/job-host.ts';
import { JobRunner } from '../jobs/job-runner.ts';
import { postgresEngine } from '../jobs/postgres-engine.ts';
import { RemoteBench } from '../jobs/remote-bench.ts';
import { type BareSqlite, sqliteFloor } from '../jobs/sqlite-floor.ts';
import type { BenchedStore, StoreUnderTest } from '../jobs/store-under-test.ts';
import { SET_NAMES } from '../suites/dcb/data-set.ts';
import { EVENT_STORE } from '../suites/dcb/event-store.ts';
import { DCB_OPERATIONS, DCB_THROUGH, type DcbJob } from '../suites/dcb/job.ts';
import { STORE_OPERATIONS, type StoreJob } from '../suites/store/job.ts';
import { MESSAGE_STORE } from '../suites/store/message-store.ts';
import { holderEngine, namespaceEngine } from './dcb-engines.ts';
import type { LabEnv, SuiteJob } from './env.ts';

/** The bench of one object: its storage holds one fixture at a time. */
export class BenchJobs {
  readonly #ctx: DurableObjectState;
  readonly #env: LabEnv;
  #bench: JobBench | undefined;

  constructor(ctx: DurableObjectState, env: LabEnv) {
    this.#ctx = ctx;
    this.#env = env;
  }

  async take(call: BenchCall, given: SuiteJob): Promise<unknown> {
    this.#bench ??= this.#open(given) as JobBench;
    if (call !== 'close') return this.#bench[call](given.job);
    await this.#bench.close();
    this.#bench = undefined;
    return null;
  }

  #open({ suite, job }: SuiteJob): JobBench<StoreJob> | JobBench<DcbJob> {
    const { storage, id } = this.#ctx;
    if (suite === 'store') return inObject(MESSAGE_STORE, storageEngine(MESSAGE_STORE, storage));
    if (job.engine === 'object-sqlite') return inObject(EVENT_STORE, storageEngine(EVENT_STORE, storage));
    const name = (id.name ?? '').replace(/^dcb\//, '');
    const engine = job.through === 'rpc' ? holderEngine(this.#env, name) : namespaceEngine(this.#env, name);
    return inObject(EVENT_STORE, engine);
  }
}

// The object's own clock may stand still; who sent the job looks at theirs.
function inObject<J extends Job, Store, Row>(
  store: BenchedStore<J, Store, Row>,
  engine: Engine<Store, Row>,
): JobBench<J> {
  return new JobRunner(store.plan(engine), {
    now: Date.now,
    tellsLatency: false,
    hasNames: engine.hasNames,
  });
}

function storageEngine<Store, Row>(
  { onSqlite, floor }: StoreUnderTest<Store, Row>,
  storage: DurableObjectStorage,
): Engine<Store, Row> {
  return {
    async create() {
      await storage.deleteAll();
      return {
        openStore: async () => onSqlite(new DurableObjectSqlite(storage)),
        openFloor: async (hasIndexes) => sqliteFloor(floor, bareSqlite(storage), hasIndexes),
        settle: async () => {},
        drop: () => storage.deleteAll(),
      };
    },
  };
}

/** The storage's statements as they are: it keeps those prepared that it has seen. */
function bareSqlite(storage: DurableObjectStorage): BareSqlite {
  return {
    exec: (statement) => void storage.sql.exec(statement),
    prepare: (statement) => ({
      run: (...bindings) => storage.sql.exec(statement, ...bindings),
      all: (...bindings) => storage.sql.exec(statement, ...bindings).toArray(),
    }),
    transaction: (step) => storage.transactionSync(step),
  };
}

/** The engines of the suite `store` that there are inside a Worker. */
export function workerStorePorts(env: LabEnv, target: DatabaseTarget, run: string): JobPorts<StoreJob> {
  return workerPorts(MESSAGE_STORE, ['object'], target, run, (name, call, job) =>
    objectOf(env, 'store', name).takeJob(call, { suite: 'store', job }),
  );
}

/** The engines of the suite `dcb` that there are inside a Worker. */
export function workerDcbPorts(env: LabEnv, target: DatabaseTarget, run: string): JobPorts<DcbJob> {
  return workerPorts(EVENT_STORE, ['object', 'object-sqlite'], target, run, (name, call, job) =>
    objectOf(env, 'dcb', name).takeJob(call, { suite: 'dcb', job }),
  );
}

function workerPorts<J extends Job, Store, Row>(
  store: BenchedStore<J, Store, Row>,
  objects: readonly J['engine'][],
  target: DatabaseTarget,
  run: string,
  call: (name: string, call: BenchCall, job: J) => Promise<unknown>,
): JobPorts<J> {
  return {
    now: Date.now,
    async open(engine) {
      if (objects.includes(engine))
        return new RemoteBench<J>(call, (job) => `${run}${store.targetOf(job)}`, Date.now);
      if (engine === 'postgres') {
        const schemas = postgresEngine(store, { openConnection: () => connect(target), run });
        return new JobRunner(store.plan(schemas), { now: Date.now, hasNames: schemas.hasNames });
      }
      throw new SluiceError(
        'invalid_options',
        `The Worker has no engine ${engine}: ${['postgres', ...objects].join(' and ')} are allowed`,
      );
    },
  };
}

/** The object that does a job. */
export function objectOf(env: LabEnv, suite: SuiteJob['suite'], name: string) {
  return bound(env, 'BENCH_OBJECT').getByName(`${suite}/${name}`);
}

const EVERY_JOB = {
  strategy: { kind: 'choice', choices: STRATEGIES, default: 'store', description: '' },
  clients: { kind: 'integer', min: 1, max: 100, default: 1, description: '' },
  operations: { kind: 'integer', min: 1, max: 1_000_000, default: 1, description: '' },
} as const satisfies OptionTable;

const STORE_JOB = optionTable({
  ...EVERY_JOB,
  engine: { kind: 'choice', choices: ['object'], default: 'object', description: '' },
  operation: { kind: 'choice', choices: STORE_OPERATIONS, default: 'write-1', description: '' },
  others: { kind: 'integer', min: 0, max: 10_000_000, default: 0, description: '' },
});

const DCB_JOB = optionTable({
  ...EVERY_JOB,
  engine: { kind: 'choice', choices: ['object', 'object-sqlite'], default: 'object-sqlite', description: '' },
  set: { kind: 'choice', choices: SET_NAMES, default: 'tiny', description: '' },
  seed: { kind: 'integer', min: 0, max: 2_147_483_647, default: 1, description: '' },
  operation: { kind: 'choice', choices: DCB_OPERATIONS, default: 'append-1', description: '' },
  through: { kind: 'choice', choices: DCB_THROUGH, default: 'rpc', description: '' },
});

/**
 * Reads a job that came in by a request.
 *
 * @throws SluiceError `invalid_options`
 */
export function readJob(suite: SuiteJob['suite'], value: unknown): SuiteJob {
  if (typeof value !== 'object' || value === null)
    throw new SluiceError('invalid_options', 'Cannot use this job: a JSON object is allowed');
  const given = value as Record<string, unknown>;
  return suite === 'store'
    ? { suite, job: resolveOptions(STORE_JOB, given, 'job') }
    : { suite, job: resolveOptions(DCB_JOB, given, 'job') };
}
