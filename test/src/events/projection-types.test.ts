/** What the compiler knows of projections and decisions. These tests are held by `tsc`; they run too, so that they are reported. */

import { describe, expectTypeOf, test } from 'vitest';
import type {
  HandlerTransaction,
  PostgresHandlerDatabase,
} from '../../../src/events/engines/postgres-handler-database.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import { SqliteHandlerDatabase } from '../../../src/events/engines/sqlite-handler-database.ts';
import type { NewEvent } from '../../../src/events/event.ts';
import { EventStore } from '../../../src/events/event-store.ts';
import { runHandler } from '../../../src/events/handler.ts';
import {
  compose,
  type Decided,
  decide,
  type EventsOf,
  type Projected,
  type Projection,
  project,
  projection,
  type StateOf,
  type Stored,
} from '../../../src/events/projection.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

type Defined = { type: 'Defined'; data: { capacity: number } };
type Changed = { type: 'Changed'; data: { newCapacity: number } };
type Subscribed = { type: 'Subscribed'; data: { student: string } };
type CourseEvent = Defined | Changed | Subscribed;

const capacity = projection({
  query: [{ types: ['Defined', 'Changed'] }],
  initial: 0,
  apply(state, event: CourseEvent) {
    expectTypeOf(state).toEqualTypeOf<number>();
    switch (event.type) {
      case 'Defined':
        expectTypeOf(event.data).toEqualTypeOf<{ capacity: number }>();
        return event.data.capacity;
      case 'Changed':
        expectTypeOf(event.data).toEqualTypeOf<{ newCapacity: number }>();
        return event.data.newCapacity;
      default:
        expectTypeOf(event).toEqualTypeOf<Subscribed>();
        return state;
    }
  },
});

const students = projection({
  query: [{ types: ['Subscribed'] }],
  initial: () => new Set<string>(),
  apply: (state, event: Stored<Subscribed>) => {
    expectTypeOf(event.position).toEqualTypeOf<bigint>();
    expectTypeOf(event.metadata).toEqualTypeOf<Readonly<Record<string, unknown>> | null>();
    return state.add(event.data.student);
  },
});

const exists = projection({ query: [{ types: ['Defined'] }], initial: false, apply: () => true });

function newStore(): EventStore {
  return new EventStore(new SqliteEventEngine(new NodeSqlite()));
}

describe('a projection', () => {
  test('has the state of its initial value, and the events of its parameter', () => {
    expectTypeOf(capacity).toEqualTypeOf<Projection<number, CourseEvent>>();
    expectTypeOf<StateOf<typeof students>>().toEqualTypeOf<Set<string>>();
    expectTypeOf(exists.initial()).toEqualTypeOf<boolean>();
  });

  test('knows the store of an event where none is said', () => {
    projection({
      query: 'all',
      initial: 0n,
      apply(state, event) {
        expectTypeOf(state).toEqualTypeOf<bigint>();
        expectTypeOf(event.type).toEqualTypeOf<string>();
        expectTypeOf(event.data).toEqualTypeOf<unknown>();
        return event.position;
      },
    });
  });

  test('takes the types as arguments too, and then the event has the place in the store beside them', () => {
    projection<string | undefined, CourseEvent>({
      query: 'all',
      initial: undefined,
      apply(state, event) {
        expectTypeOf(state).toEqualTypeOf<string | undefined>();
        expectTypeOf(event.tags).toEqualTypeOf<readonly string[]>();
        if (event.type === 'Subscribed') expectTypeOf(event.data.student).toEqualTypeOf<string>();
        return event.id;
      },
    });
  });

  test('has a query of types that there are, and a state of one kind', () => {
    const apply = (state: number, _event: Defined): number => state;
    // @ts-expect-error: no event of these is of that type
    projection({ query: [{ types: ['Subscribed'] }], initial: 0, apply });
    // @ts-expect-error: the initial state is not a number
    projection({ query: [{ types: ['Defined'] }], initial: 'none', apply });
    // @ts-expect-error: the next state is none
    projection({ query: 'all', initial: { count: 0 }, apply: (_state, event: Defined) => event.data });
  });
});

describe('several projections', () => {
  test('have their states by name, and the events of all', () => {
    const both = compose({ capacity, students });
    expectTypeOf(both.initial()).toEqualTypeOf<{ capacity: number; students: Set<string> }>();
    expectTypeOf<EventsOf<{ capacity: typeof capacity; students: typeof students }>>().toExtend<
      CourseEvent | Stored<Subscribed>
    >();
    const nested = compose({ both, exists });
    expectTypeOf<StateOf<typeof nested>>().toEqualTypeOf<{
      both: { capacity: number; students: Set<string> };
      exists: boolean;
    }>();
  });

  test('may have names that are made', () => {
    const made = compose(Object.fromEntries(['c1', 'c2'].map((id) => [id, capacity])));
    expectTypeOf(made.initial()).toEqualTypeOf<{ [course: string]: number }>();
  });
});

describe('project', () => {
  test('gives the state, or the states', async () => {
    const store = newStore();
    expectTypeOf(await project(store, capacity)).toEqualTypeOf<Projected<number>>();
    const { state } = await project(store, { capacity, students, exists });
    expectTypeOf(state).toEqualTypeOf<{ capacity: number; students: Set<string>; exists: boolean }>();
  });

  test('goes on from its own result kind only', async () => {
    const store = newStore();
    await project(store, capacity, { from: await project(store, capacity) });
    // @ts-expect-error: its state is a Set
    await project(store, capacity, { from: await project(store, students) });
  });
});

describe('decide', () => {
  test('asks with the states, and is answered with events, in time or later', async () => {
    const store = newStore();
    const decided = await decide(store, { capacity, exists }, (states) => {
      expectTypeOf(states).toEqualTypeOf<{ capacity: number; exists: boolean }>();
      return states.exists ? undefined : { type: 'Defined', data: { capacity: states.capacity } };
    });
    expectTypeOf(decided).toEqualTypeOf<Decided<{ capacity: number; exists: boolean }>>();
    await decide(store, capacity, async (state) => {
      expectTypeOf(state).toEqualTypeOf<number>();
      return [];
    });
    await decide(store, exists, () => {});
    // @ts-expect-error: an event has a type
    const untyped = () => decide(store, exists, () => ({ data: 1 }));
    expectTypeOf(untyped).toBeFunction();
  });

  test('lets events have the data of the store only', async () => {
    type Numbers = EventStore<number>;
    const ofNumbers = (store: Numbers) =>
      decide(store, exists, (): NewEvent<string, number> => ({ type: 'A', data: 1 }));
    const ofTexts = (store: Numbers) =>
      // @ts-expect-error: the data of this store are numbers
      decide(store, exists, () => ({ type: 'A', data: 'a text' }));
    expectTypeOf(ofNumbers).returns.resolves.toEqualTypeOf<Decided<boolean>>();
    expectTypeOf(ofTexts).toBeFunction();
  });
});

describe('runHandler', () => {
  const sqlite = new NodeSqlite();
  const name = 'types';

  test('hands over events of the types that the handler names, and a transaction of its database', () => {
    const onSqlite = () =>
      runHandler({
        store: newStore(),
        database: new SqliteHandlerDatabase(sqlite),
        name,
        query: [{ types: ['Defined', 'Changed'] }],
        handle(event: Stored<CourseEvent>, transaction) {
          if (event.type === 'Changed') expectTypeOf(event.data.newCapacity).toEqualTypeOf<number>();
          transaction.run('select 1');
        },
      });
    const onPostgres = (database: PostgresHandlerDatabase) =>
      runHandler({
        store: newStore(),
        database,
        name,
        query: 'all',
        async handle(event, transaction) {
          expectTypeOf(event.data).toEqualTypeOf<unknown>();
          expectTypeOf(transaction).toEqualTypeOf<HandlerTransaction>();
        },
      });
    expectTypeOf(onSqlite).toBeFunction();
    expectTypeOf(onPostgres).toBeFunction();
  });

  test('takes nothing asynchronous on SQLite', () => {
    const database = new SqliteHandlerDatabase(sqlite);
    const wrong = () =>
      // @ts-expect-error: a transaction of SQLite is one synchronous step
      runHandler({ store: newStore(), database, name, query: 'all', handle: async () => {} });
    const wrongType = () =>
      runHandler({
        store: newStore(),
        database,
        name,
        // @ts-expect-error: there is no event of that type
        query: [{ types: ['Subscribed'] }],
        handle: (_event: Defined) => {},
      });
    expectTypeOf(wrong).toBeFunction();
    expectTypeOf(wrongType).toBeFunction();
  });
});
