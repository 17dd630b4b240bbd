/**
 * The bench inside the Worker. One object, `bench`, carries out the runs of the whole deployment, so that one run at a
 * time is a fact and not a hope: a step for each alarm, so that a run goes on where it was when the object was evicted.
 * Others of its class do the work of suites.
 */

import { DurableObject } from 'cloudflare:workers';
import { errorText } from '../../src/core/errors.ts';
import { DurableObjectSqlite } from '../../workers/sqlite.ts';
import type { BenchCall } from '../jobs/job.ts';
import { RunControl, type RunnableSuite } from '../run/run-control.ts';
import { RunStore } from '../run/run-store.ts';
import type { Answer } from '../suites/dcb/ledger.ts';
import { BenchJobs } from './bench-jobs.ts';
import { DcbHolder } from './dcb-holder.ts';
import type { HolderCalls, LabEnv, SuiteJob } from './env.ts';
import { runRoutes } from './run-routes.ts';
import { workerSuites } from './suites.ts';

/** The object that carries out runs. */
export const BENCH_NAME = 'bench';

interface Runs {
  control: RunControl;
  store: RunStore;
  suites: Readonly<Record<string, RunnableSuite>>;
}

export class BenchObject extends DurableObject<LabEnv> {
  readonly #jobs = new BenchJobs(this.ctx, this.env);
  readonly #dcbHolder = new DcbHolder(this.env);
  #opened: Runs | undefined;

  constructor(ctx: DurableObjectState, env: LabEnv) {
    super(ctx, env);
    if (ctx.id.name !== BENCH_NAME) return;
    // A run that is under way has its alarm. One whose alarm is overdue or lost would otherwise stand still.
    if (this.#runs().store.active() !== undefined) this.#wake();
  }

  /** Requests for runs. The Worker has checked who asks. */
  override fetch(request: Request): Response | Promise<Response> {
    const colo = request.cf?.colo;
    if (typeof colo === 'string') this.ctx.storage.kv.put('colo', colo);
    return runRoutes(this.#runs()).fetch(request);
  }

  override async alarm(): Promise<void> {
    await this.#runs().control.step();
  }

  /** RPC: a call of the bench of this object, for the suites `store` and `dcb`. */
  takeJob(call: BenchCall, job: SuiteJob): Promise<unknown> {
    return this.#jobs.take(call, job);
  }

  /** RPC: an append to the event store of this object, for the suite `dcb`. */
  appendToHolder(...[schema, events, condition]: Parameters<HolderCalls['appendToHolder']>): Promise<Answer> {
    return this.#dcbHolder.store(schema).append(events, condition);
  }

  /** RPC: where a query of the suite `dcb` stands. */
  lastInHolder(...[schema, query]: Parameters<HolderCalls['lastInHolder']>): Promise<bigint> {
    return this.#dcbHolder.store(schema).last(query);
  }

  /** RPC: closes the event store of this object. */
  closeHolder(): Promise<void> {
    return this.#dcbHolder.close();
  }

  #runs(): Runs {
    this.#opened ??= this.#openRuns();
    return this.#opened;
  }

  #openRuns(): Runs {
    const store = new RunStore(new DurableObjectSqlite(this.ctx.storage));
    const suites = workerSuites(this.env, () => this.#where());
    const control = new RunControl({
      store,
      suites,
      wake: () => this.#wake(),
      now: Date.now,
      randomId: () => crypto.randomUUID().replaceAll('-', '').slice(0, 12),
      onFailure(error) {
        console.error(JSON.stringify({ level: 'error', message: `The bench failed: ${errorText(error)}` }));
      },
    });
    return { control, store, suites };
  }

  #wake(): void {
    void this.ctx.storage.setAlarm(Date.now());
  }

  /** Where runs take place. A local workerd pretends to be in some data centre; RUNS_ON says better. */
  #where(): string {
    const colo = this.ctx.storage.kv.get<string>('colo') ?? '';
    return `inside the Worker, ${this.env.RUNS_ON ?? `Cloudflare ${colo}`}`.trim();
  }
}
