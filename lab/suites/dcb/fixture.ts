/** The namespaces that the suite `dcb` appends to and reads: those with the events of a set. */

import type { EventStore } from '../../../src/events/event-store.ts';
import type { Fixture, Namespace } from '../../jobs/fixture.ts';
import type { BenchStore } from './bench-store.ts';
import type { DataSet } from './data-set.ts';
import type { EventRow } from './floor.ts';

/** A store as it is measured. */
export interface BenchedEvents {
  /** Where attempts go. */
  store: BenchStore;
  /** The store beside it, for preparing, reading and judging: nothing that is judged goes through what judges it. */
  events: EventStore;
}

export interface EventFixture extends Fixture, BenchedEvents {
  set: DataSet;
  /** To be told of all events that a repetition adds. */
  noteAdded(events: number): void;
}

/** Events that one call appends: about a second of work, well within the limits of a request. */
const FILL_EVENTS = 20_000;
/** Appends of the preparation under way at a time. */
const FILL_APPENDS = 2_500;
/**
 * A set to which more than half its size was added is made again: what comes later must not meet another table. A small one
 * may have so much more, because to make it takes longer than to measure.
 */
const MAX_GROWTH = 0.5;
const MIN_GROWTH_EVENTS = 2_000;

export async function makeEventFixture(
  namespace: Namespace<BenchedEvents, EventRow>,
  set: DataSet,
): Promise<EventFixture> {
  const { store, events } = await namespace.openStore();
  let imported = 0;
  let added = 0;
  let isSettled = set.events === 0;
  return {
    store,
    events,
    set,
    // Each event by a separate append, as in life: an engine that keeps something for each append must not find it
    // easier here.
    async fill() {
      for (let done = 0; done < FILL_EVENTS && imported < set.events; done += FILL_APPENDS) {
        const count = Math.min(FILL_APPENDS, set.events - imported);
        const from = imported;
        await Promise.all(
          Array.from({ length: count }, (_, index) => events.append(set.event(from + index))),
        );
        imported += count;
      }
      if (!isSettled && imported === set.events) {
        isSettled = true;
        await namespace.settle();
      }
      return set.events - imported;
    },
    noteAdded(count) {
      added += count;
    },
    // An empty set is made again for each repetition.
    isWorn: () => set.events === 0 || added > Math.max(set.events * MAX_GROWTH, MIN_GROWTH_EVENTS),
    drop: () => namespace.drop(),
  };
}
