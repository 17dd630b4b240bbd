/**
 * Carries out stored runs of the bench, a step at a time, wherever something can wake it again: in a Durable Object,
 * whose alarm calls `step`. All that a run needs to go on is in the store; what is open for it is opened again when the
 * object was gone meanwhile, and the step that it was in is repeated.
 */

import { errorText, isSluiceError, SluiceError } from '../../src/core/errors.ts';
import {
  type OptionsOf,
  type OptionTable,
  optionTable,
  resolveOptions,
} from '../../src/core/option-table.ts';
import type { ServerWatch } from '../measure/server-watch.ts';
import type { BenchResult } from '../result.ts';
import type { Suite, SuiteHost } from '../suite.ts';
import { SEED } from '../suites.ts';
import { BenchRun } from './run.ts';
import type { RunEvent, RunStore, StoredRun } from './run-store.ts';
import { type BenchProgress, takeStep, unlessAborted } from './runner.ts';
import type { RunFacts } from './summary.ts';

/** What is open while a run goes on. */
export interface OpenRun {
  host: SuiteHost;
  server: ServerWatch | undefined;
  facts: RunFacts;
  /** Closes connections; the host has been closed before. */
  close(): Promise<void>;
}

/** A suite as it can be run here. */
export interface RunnableSuite {
  suite: Suite;
  /** What is different here from the suite's own defaults. */
  defaults: Readonly<Record<string, unknown>>;
  /** Refuses parameters that are no good here. @throws SluiceError `invalid_options` */
  check(parameters: Record<string, unknown>, reps: number): void;
  /** @param run part of the names of all that is made: letters and digits, the same when a run is opened again */
  open(parameters: Record<string, unknown>, seed: number, run: string): Promise<OpenRun>;
}

/** Who follows a run. None of its functions may throw. */
export interface RunFollower {
  event(event: RunEvent): void;
  /** Now and then while a repetition goes on; nobody needs all of them. */
  progress(progress: BenchProgress): void;
  /** No more will come. */
  close(): void;
}

export interface RunControlOptions {
  store: RunStore;
  suites: Readonly<Record<string, RunnableSuite>>;
  /** Has `step` called soon, also if this object is gone by then. */
  wake: () => void;
  /** Milliseconds since 1970. */
  now: () => number;
  /** A new id: letters and digits. */
  randomId: () => string;
  /** Told what went wrong where nobody is asked. */
  onFailure: (error: unknown) => void;
}

/** Parameters of every run, beside those of its suite. */
export const RUN_PARAMETERS = optionTable({
  reps: { kind: 'integer', min: 1, max: 50, default: 3, description: 'Repetitions of each variant' },
  seed: SEED,
});

/** How often a step may begin. One that the object does not survive would be repeated for ever. */
const MAX_ATTEMPTS = 3;
/** Repetitions of a run. Each leaves some kilobytes, and a result holds them all, in the memory of one object. */
const MAX_STEPS = 1_000;
const PROGRESS_EVERY_MS = 250;
/** Readers of the events of all runs. */
const MAX_FOLLOWERS = 50;

interface Going {
  id: string;
  controller: AbortController;
  open: OpenRun | undefined;
  /** What is open has run its warm-up. */
  isWarm: boolean;
}

export class RunControl {
  readonly #options: RunControlOptions;
  readonly #followers = new Map<RunFollower, { id: string; seen: number }>();
  #going: Going | undefined;
  /** The run before closes what it opened: tables with the names that the next one needs. */
  #closing: Promise<void> = Promise.resolve();
  #isStepping = false;
  #progressAtMs = 0;

  constructor(options: RunControlOptions) {
    this.#options = options;
  }

  /**
   * Takes a run in, to be carried out by `step`.
   *
   * @param given `suite`, `reps`, `seed`, and parameters of the suite; values may be texts
   * @throws SluiceError `invalid_options`, `bench_running`
   */
  start(given: Readonly<Record<string, unknown>>): StoredRun {
    const { store, now, randomId, wake } = this.#options;
    const { suite: name = 'ingest', ...rest } = given;
    const runnable = this.#suite(name);
    // One check for all names, so that an unknown one is answered with everything there is.
    const { reps, seed, ...parameters } = resolveOptions(
      { ...runnable.suite.parameters, ...RUN_PARAMETERS },
      { ...runnable.defaults, ...rest },
    );
    runnable.check(parameters, reps);
    const steps = runnable.suite.variants(parameters).length * reps;
    if (steps > MAX_STEPS) {
      throw new SluiceError(
        'invalid_options',
        `This run would take ${steps} steps: at most ${MAX_STEPS} are allowed, which are variants × reps`,
        { details: { allowed: MAX_STEPS } },
      );
    }
    const run = BenchRun.start(runnable.suite, { parameters, reps, seed, startedAtMs: now() });
    const id = randomId();
    const stored = store.create(id, runnable.suite.name, run.state, run.steps.total);
    wake();
    return stored;
  }

  /** Takes the next step of the run that is under way, and has itself called again while there is more to do. */
  async step(): Promise<void> {
    // A second alarm beside a step that takes long must not begin the same one again.
    if (this.#isStepping) return;
    const { store, wake } = this.#options;
    const active = store.active();
    if (active === undefined) return;
    this.#isStepping = true;
    try {
      await this.#takeStep(active);
    } catch (error) {
      if (!isSluiceError(error)) this.#options.onFailure(error);
      await this.#end(active.id, 'failed', isSluiceError(error) ? error.message : errorText(error));
    } finally {
      this.#isStepping = false;
    }
    // More to do, or another run that was started meanwhile and whose call came to nothing.
    if (store.active() !== undefined) wake();
  }

  /**
   * Ends a run at once; what is complete of it stays. A run that has ended stays as it is.
   *
   * @throws SluiceError `not_found`
   */
  async cancel(id: string): Promise<StoredRun> {
    // It is over before anything is waited for, and may be forgotten before all is closed.
    const ended = this.#end(id, 'aborted', null);
    const stored = this.#options.store.get(id);
    await ended;
    return stored;
  }

  /** What a run has shown so far. @throws SluiceError `not_found` */
  result(id: string): { result: BenchResult; suite: Suite } {
    const { store, now } = this.#options;
    const stored = store.get(id);
    const { suite } = this.#suite(stored.suite);
    const run = BenchRun.resume(suite, store.state(id));
    const facts = store.facts(id) ?? { tool: { name: 'sluice' }, machine: {}, database: {} };
    const isAborted = stored.status !== 'complete' && stored.status !== 'invalid';
    return { result: run.result(facts, stored.endedAtMs ?? now(), isAborted), suite };
  }

  /**
   * Sends a run's events to a follower, from those after `after` on, until the run has ended or the returned function
   * is called.
   *
   * @throws SluiceError `not_found`, `too_many_subscribers`
   */
  follow(id: string, after: number, follower: RunFollower): () => void {
    this.#options.store.get(id);
    if (this.#followers.size >= MAX_FOLLOWERS) {
      throw new SluiceError('too_many_subscribers', `There are ${MAX_FOLLOWERS} readers of runs already`);
    }
    this.#followers.set(follower, { id, seen: after });
    this.#publish(id);
    return () => void this.#followers.delete(follower);
  }

  #suite(name: unknown): RunnableSuite {
    const { suites } = this.#options;
    if (typeof name === 'string' && Object.hasOwn(suites, name)) return suites[name] as RunnableSuite;
    const known = Object.keys(suites);
    throw new SluiceError(
      'invalid_options',
      `Cannot use ${JSON.stringify(name)} for suite: one of ${known.join(', ')} is allowed`,
      { details: { option: 'suite', value: name, allowed: known } },
    );
  }

  async #takeStep({ id, suite: name }: StoredRun): Promise<void> {
    const { store, now } = this.#options;
    const attempts = store.beginStep(id);
    this.#publish(id);
    const runnable = this.#suite(name);
    const run = BenchRun.resume(runnable.suite, store.place(id));
    if (attempts > MAX_ATTEMPTS) {
      const what = run.isWarm ? `the repetition of ${run.next?.variant.name}` : 'the warm-up';
      throw new SluiceError(
        'internal',
        `The place of the run was started again ${MAX_ATTEMPTS} times during ${what}: it takes more memory or time than there is`,
      );
    }
    const going = this.#goingFor(id);
    const { signal } = going.controller;
    const open = await this.#openFor(going, runnable, run);
    if (open === undefined) return;
    // What was opened again in the middle of a run has run nothing yet.
    if (run.isWarm && !going.isWarm) await unlessAborted(open.host.warmUp(), signal);
    if (signal.aborted) return;
    going.isWarm = true;
    const step = await unlessAborted(
      takeStep(run, {
        host: open.host,
        server: open.server,
        now,
        signal,
        onProgress: (progress) => this.#progress(id, progress),
      }),
      signal,
    );
    // Who cancels a run ends it too.
    if (signal.aborted) return;
    if (step === undefined) {
      const isInvalid = this.result(id).result.state === 'invalid';
      await this.#end(id, isInvalid ? 'invalid' : 'complete', null);
      return;
    }
    const { variant, record } = step;
    store.endStep(id, run.state, run.steps, variant === null || record === null ? null : { variant, record });
    this.#publish(id);
  }

  #goingFor(id: string): Going {
    if (this.#going?.id !== id) {
      this.#going = { id, controller: new AbortController(), open: undefined, isWarm: false };
    }
    return this.#going;
  }

  async #openFor(
    going: Going,
    runnable: RunnableSuite,
    run: BenchRun<OptionTable>,
  ): Promise<OpenRun | undefined> {
    if (going.open !== undefined) return going.open;
    await this.#closing;
    if (going.controller.signal.aborted) return undefined;
    const open = await runnable.open({ ...run.parameters }, run.seed, going.id);
    if (going.controller.signal.aborted) {
      // Cancelled while it was being opened: nobody else knows of it.
      await this.#close(open);
      return undefined;
    }
    going.open = open;
    this.#options.store.saveFacts(going.id, open.facts);
    return open;
  }

  async #end(
    id: string,
    status: 'complete' | 'invalid' | 'aborted' | 'failed',
    error: string | null,
  ): Promise<void> {
    const { store, now } = this.#options;
    const going = this.#going;
    if (going?.id === id) {
      this.#going = undefined;
      going.controller.abort();
    }
    // First of all, so that nothing can begin the run again.
    store.end(id, status, now(), error);
    this.#publish(id);
    if (going?.id !== id || going.open === undefined) return;
    this.#closing = this.#close(going.open);
    await this.#closing;
  }

  async #close({ host, close }: OpenRun): Promise<void> {
    await host.close().catch(this.#options.onFailure);
    await close().catch(this.#options.onFailure);
  }

  /** Sends each follower of a run what it has not seen. */
  #publish(id: string): void {
    for (const [follower, place] of this.#followers) {
      if (place.id !== id) continue;
      for (const event of this.#options.store.eventsAfter(id, place.seen)) {
        place.seen = event.id;
        follower.event(event);
        if (event.kind === 'end') {
          this.#followers.delete(follower);
          follower.close();
        }
      }
    }
    // A reader that comes back after the last event has nothing to wait for.
    if (this.#options.store.active()?.id === id) return;
    for (const [follower, place] of this.#followers) {
      if (place.id !== id) continue;
      this.#followers.delete(follower);
      follower.close();
    }
  }

  #progress(id: string, progress: BenchProgress): void {
    const nowMs = this.#options.now();
    if (progress.result === undefined && progress.done > 0 && nowMs - this.#progressAtMs < PROGRESS_EVERY_MS)
      return;
    this.#progressAtMs = nowMs;
    for (const [follower, place] of this.#followers) if (place.id === id) follower.progress(progress);
  }
}

/** The parameters of a suite, of the type that its host takes. For `RunnableSuite.open` and `check`. */
export function parametersOf<Table extends OptionTable>(
  suite: Suite<Table>,
  parameters: Record<string, unknown>,
): OptionsOf<Table> {
  return resolveOptions(suite.parameters, parameters);
}
