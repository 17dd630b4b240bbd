/** Reads, projections and iterations, each judged by what the set says they must return. */

import type { StoredEvent } from '../../../src/events/event.ts';
import type { EventStore } from '../../../src/events/event-store.ts';
import { auditReads, ReadJudge, type ReadVerdict } from '../../jobs/read-judge.ts';
import { type Step, unitsOnly } from '../../jobs/step.ts';
import { compareRead, hasItsEnds, isEvent } from './audit.ts';
import type { DataSet } from './data-set.ts';
import type { EventFixture } from './fixture.ts';
import type { DcbJob } from './job.ts';
import { compareStates, expectedStates, projectedEvents, projectOnce } from './projections.ts';
import { complexQueries, pick, setDecisions, simpleQueries } from './set-queries.ts';

/** Projections before the clock starts. */
const WARM_PROJECTIONS = 10;
/** How often an iteration stops for a look at the heap. */
const HEAP_LOOK_EVENTS = 2_000;

/** How many attempts to make after the clock, where each reads so many events. */
export type HeapAttempts = (eventsEach: number) => number;

export function readStep(fixture: EventFixture, job: DcbJob, heapAttempts: HeapAttempts): Promise<Step> {
  switch (job.operation) {
    case 'read-simple':
    case 'read-complex':
      return queryStep(fixture, job, heapAttempts);
    case 'read-stream':
      return streamStep(fixture, heapAttempts);
    default:
      return projectStep(fixture, job, heapAttempts);
  }
}

async function queryStep(
  { events, set }: EventFixture,
  { operation }: DcbJob,
  heapAttempts: HeapAttempts,
): Promise<Step> {
  const queries = operation === 'read-simple' ? simpleQueries(set) : complexQueries(set);
  const judge = new ReadJudge<StoredEvent, number>({
    hasItsEnds: (found, expected) => hasItsEnds(set, found, expected),
    compare: (found, expected) => compareRead(set, found, expected),
  });
  // Each of them once before the clock starts, every field of it compared. A connection is then open, and plans made.
  for (const { items, expected } of queries) judge.takeWhole(await events.read(items), expected);
  let units = 0;
  return {
    async attempt(attempt) {
      const { items, expected } = pick(queries, attempt);
      const found = await events.read(items);
      units += found.length;
      judge.take(found, expected);
    },
    tally: () => unitsOnly(units),
    heapAttempts: heapAttempts(pick(queries, 0).expected.length),
    audit: async () => judge.audit(),
  };
}

async function streamStep({ events, set }: EventFixture, heapAttempts: HeapAttempts): Promise<Step> {
  const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
  const add = (right: number, found: number): void => {
    sum.sent += set.events;
    sum.right += right;
    sum.wrong += found - right;
  };
  let units = 0;
  let isCompared = false;
  const compareAll = async (look: () => void): Promise<void> => {
    isCompared = true;
    const { right, found } = await compareStream(events, set, look);
    add(right, found);
  };
  return {
    async attempt() {
      let count = 0;
      let rising = 0;
      let last = 0n;
      for await (const event of events.iterate('all')) {
        count += 1;
        if (event.position > last) rising += 1;
        last = event.position;
      }
      units += count;
      add(Math.min(rising, set.events), count);
    },
    tally: () => unitsOnly(units),
    heapAttempts: heapAttempts(set.events),
    async peakHeap(heap) {
      const baseline = heap.usedBytes();
      let peak = baseline;
      await compareAll(() => {
        peak = Math.max(peak, heap.usedBytes());
      });
      return peak - baseline;
    },
    async audit() {
      if (!isCompared) await compareAll(() => {});
      return auditReads(sum);
    },
  };
}

/** Goes through everything and compares every field, in no time that counts. */
async function compareStream(
  events: EventStore,
  set: DataSet,
  look: () => void,
): Promise<{ right: number; found: number }> {
  let found = 0;
  let last = 0n;
  let right = 0;
  for await (const event of events.iterate('all')) {
    if (found % HEAP_LOOK_EVENTS === 0) look();
    if (event.position > last && found < set.events && isEvent(set, event, found)) right += 1;
    last = event.position;
    found += 1;
  }
  look();
  return { right, found };
}

async function projectStep(
  { events, set }: EventFixture,
  { operation }: DcbJob,
  heapAttempts: HeapAttempts,
): Promise<Step> {
  const decisions = setDecisions(set);
  const sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
  let units = 0;
  const attempt = async (number: number): Promise<void> => {
    const decision = pick(decisions, number);
    const expected = expectedStates(operation, decision);
    const { right, wrong } = compareStates(await projectOnce(operation, events, decision), expected);
    units += projectedEvents(operation, decision);
    sum.sent += Object.keys(expected).length;
    sum.right += right;
    sum.wrong += wrong;
  };
  for (let warming = 0; warming < WARM_PROJECTIONS; warming += 1) await attempt(warming);
  units = 0;
  return {
    attempt,
    tally: () => unitsOnly(units),
    heapAttempts: heapAttempts(projectedEvents(operation, pick(decisions, 0))),
    audit: async () => auditReads(sum),
  };
}
