/** Runs the variants of a suite whose repetitions are jobs, wherever it is: the benches of the engines come in as ports. */

import type { ServerWatch } from '../measure/server-watch.ts';
import type { RepResult } from '../result.ts';
import { UNNAMED_STATEMENTS } from '../run/warnings.ts';
import type { RepContext, SuiteHost, Variant } from '../suite.ts';
import { EngineBenches } from './engine-benches.ts';
import { type Job, type JobBench, type JobRun, prepareAll } from './job.ts';

export interface JobPorts<J extends Job> {
  /** Opens the bench of an engine. Called once for each. */
  open(engine: J['engine']): Promise<JobBench<J>>;
  /** Milliseconds. */
  now(): number;
}

/** What the host has to know of a suite. */
export interface JobSource<J extends Job> {
  jobOf(variant: Variant): J;
  /** A little of everything, so that no measured repetition pays for code that has never run. */
  warmUpJobs(): readonly J[];
  /** The engines whose work the database server does; the others leave it alone. */
  onServer: readonly J['engine'][];
  /**
   * The figures besides the time of an attempt.
   *
   * @param preparedSeconds how long the data took to prepare; null where it was there already
   */
  metrics(job: J, run: JobRun, preparedSeconds: number | null): Readonly<Record<string, number | null>>;
}

export class JobHost<J extends Job> implements SuiteHost {
  readonly #source: JobSource<J>;
  readonly #now: () => number;
  readonly #benches: EngineBenches<J['engine'], JobBench<J>>;
  /** Engines and operations whose data was prepared. */
  readonly #prepared = new Set<string>();

  constructor(ports: JobPorts<J>, source: JobSource<J>) {
    this.#source = source;
    this.#now = ports.now;
    this.#benches = new EngineBenches((engine) => ports.open(engine));
  }

  run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { server }: Pick<RepContext, 'server'> = { server: undefined },
  ): Promise<RepResult> {
    const job = this.#source.jobOf(variant);
    return this.#measure(job, onUnits, this.#source.onServer.includes(job.engine) ? server : undefined);
  }

  async warmUp(): Promise<void> {
    const done = new Set<string>();
    for (const job of this.#source.warmUpJobs()) {
      const key = JSON.stringify(job);
      if (done.has(key)) continue;
      done.add(key);
      await this.#measure(job, () => {}, undefined);
    }
  }

  /** Deletes everything that the suite has made. */
  close(): Promise<void> {
    return this.#benches.close();
  }

  async #measure(
    job: J,
    onUnits: (done: number) => void,
    server: ServerWatch | undefined,
  ): Promise<RepResult> {
    const bench = await this.#benches.of(job.engine);
    const preparedSeconds = await this.#prepare(bench, job);
    await server?.begin();
    const run = await bench.run(job);
    const { units, elapsedMs, p50Us, p99Us, latency, isUnnamed } = run;
    // The bench drops its tables by itself, so only what the server counts is asked.
    const figures = await server?.end(units, []);
    onUnits(units);
    return {
      units,
      elapsedMs,
      metrics: {
        usPerOperation: (elapsedMs / job.operations) * 1_000,
        p50Us,
        p99Us,
        ...this.#source.metrics(job, run, preparedSeconds),
      },
      audit: await bench.audit(job),
      ...(latency === undefined ? {} : { histograms: { operation: latency } }),
      ...(figures === undefined ? {} : { server: figures }),
      ...(isUnnamed === true ? { warnings: [UNNAMED_STATEMENTS] } : {}),
    };
  }

  async #prepare(bench: JobBench<J>, job: J): Promise<number | null> {
    const startedAtMs = this.#now();
    const key = `${job.engine} ${job.operation}`;
    const isFirst = !this.#prepared.has(key);
    await prepareAll(bench, job);
    if (!isFirst) return null;
    this.#prepared.add(key);
    return (this.#now() - startedAtMs) / 1_000;
  }
}
