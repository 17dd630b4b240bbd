/**
 * The bench of a Durable Object, as seen from outside: an object for each fixture, which does the jobs that it is sent. A
 * run is one request and is timed here, since the object's own clock may stand still.
 */

import type { Audit } from '../result.ts';
import type { BenchCall, Job, JobBench, JobRun } from './job.ts';

/** Calls the bench of an object, and returns its answer. The job of `close` is the last one that was sent. */
export type CallTarget<J extends Job> = (target: string, call: BenchCall, job: J) => Promise<unknown>;

export class RemoteBench<J extends Job> implements JobBench<J> {
  readonly #call: CallTarget<J>;
  readonly #targetOf: (job: J) => string;
  readonly #now: () => number;
  readonly #targets = new Map<string, J>();

  /**
   * @param targetOf names the object that does a job: letters and digits, with the run among them, so that no other run is met
   * @param now milliseconds
   */
  constructor(call: CallTarget<J>, targetOf: (job: J) => string, now: () => number) {
    this.#call = call;
    this.#targetOf = targetOf;
    this.#now = now;
  }

  async prepare(job: J): Promise<number> {
    return (await this.#send('prepare', job)) as number;
  }

  async run(job: J): Promise<JobRun> {
    const startedAtMs = this.#now();
    const run = (await this.#send('run', job)) as JobRun;
    return { ...run, elapsedMs: this.#now() - startedAtMs, p50Us: null, p99Us: null };
  }

  async audit(job: J): Promise<Audit> {
    return (await this.#send('audit', job)) as Audit;
  }

  async close(): Promise<void> {
    for (const [target, job] of this.#targets) await this.#call(target, 'close', job);
    this.#targets.clear();
  }

  #send(call: BenchCall, job: J): Promise<unknown> {
    const target = this.#targetOf(job);
    this.#targets.set(target, job);
    return this.#call(target, call, job);
  }
}
