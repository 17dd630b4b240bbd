/** The fixtures of the suite `dcb`, and the steps on them. */

import type { Engine, Plan } from '../../jobs/fixture.ts';
import { type FloorFixture, floorReadStep, floorWriteStep, makeFloorFixture } from '../../jobs/floor.ts';
import { isBare } from '../../jobs/job.ts';
import type { Step } from '../../jobs/step.ts';
import { DataSet } from './data-set.ts';
import { type BenchedEvents, type EventFixture, makeEventFixture } from './fixture.ts';
import { attemptRows, type EventRow, positionOf, setRows } from './floor.ts';
import { type DcbJob, dcbFixtureKey, eventsPerAttempt, isWrite } from './job.ts';
import { readStep } from './read-steps.ts';
import { pick, simpleQueries } from './set-queries.ts';
import { writeStep } from './write-step.ts';

/** Attempts after the clock by which the heap is measured, and events that they append or read at most. */
const HEAP_ATTEMPTS = 500;
const HEAP_EVENTS = 5_000;
/** Queries by a tag before the clock starts: the server makes its plan. */
const WARM_SELECTS = 10;
const PAGE_ROWS = 1_000;

type DcbFixture = EventFixture | FloorFixture<EventRow>;

export class DcbPlan implements Plan<DcbJob, DcbFixture> {
  readonly #engine: Engine<BenchedEvents, EventRow>;
  #set: DataSet | undefined;

  constructor(engine: Engine<BenchedEvents, EventRow>) {
    this.#engine = engine;
  }

  fixtureKey(job: DcbJob): string {
    return `${dcbFixtureKey(job)} ${job.seed}`;
  }

  async makeFixture(job: DcbJob): Promise<DcbFixture> {
    const namespace = await this.#engine.create();
    if (!isBare(job)) return makeEventFixture(namespace, this.#dataSet(job));
    if (isWrite(job.operation))
      return makeFloorFixture(namespace, { hasIndexes: job.strategy === 'indexed' });
    return makeFloorFixture(namespace, {
      hasIndexes: true,
      rows: setRows(this.#dataSet(job)),
      settles: true,
    });
  }

  async makeStep(fixture: DcbFixture, job: DcbJob, measuresHeap: boolean): Promise<Step> {
    if ('floor' in fixture) return this.#floorStep(fixture, job);
    // Enough to know what one attempt allocates, and few where each is large.
    const heapAttempts = (eventsEach: number): number =>
      measuresHeap
        ? Math.min(job.operations, HEAP_ATTEMPTS, Math.ceil(HEAP_EVENTS / Math.max(1, eventsEach)))
        : 0;
    return isWrite(job.operation)
      ? writeStep(fixture, job, heapAttempts(eventsPerAttempt(job.operation)))
      : readStep(fixture, job, heapAttempts);
  }

  async #floorStep({ floor }: FloorFixture<EventRow>, job: DcbJob): Promise<Step> {
    const { operation, operations } = job;
    if (isWrite(operation)) {
      return floorWriteStep(
        floor,
        Array.from({ length: operations }, (_, attempt) => attemptRows(operation, attempt)),
      );
    }
    const set = this.#dataSet(job);
    if (operation === 'read-stream') {
      return floorReadStep(
        async () => {
          let count = 0;
          let after = 0;
          for (;;) {
            const rows = await floor.select('page', after, PAGE_ROWS);
            count += rows.length;
            if (rows.length < PAGE_ROWS) return count;
            after = positionOf(rows.at(-1));
          }
        },
        () => set.events,
      );
    }
    const queries = simpleQueries(set);
    const tagOf = ({ items }: (typeof queries)[number]): string => items[0]?.tags[0] as string;
    for (const query of queries.slice(0, WARM_SELECTS)) await floor.select('tag', tagOf(query));
    return floorReadStep(
      (attempt) => floor.select('tag', tagOf(pick(queries, attempt))),
      (attempt) => pick(queries, attempt).expected.length,
    );
  }

  #dataSet({ set: name, seed }: DcbJob): DataSet {
    if (this.#set?.name !== name || this.#set.seed !== seed) this.#set = new DataSet(name, seed);
    return this.#set;
  }
}
