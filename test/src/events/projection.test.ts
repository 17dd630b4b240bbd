import { beforeEach, describe, expect, test } from 'vitest';
import { courseDefined, subscribeStudent } from '../../../examples/decisions/courses.ts';
import { SqliteEventEngine } from '../../../src/events/engines/sqlite-engine.ts';
import type { NewEvent } from '../../../src/events/event.ts';
import { EventStore } from '../../../src/events/event-store.ts';
import {
  compose,
  type DecisionStore,
  decide,
  project,
  projection,
  type Stored,
} from '../../../src/events/projection.ts';
import { CountedEventEngine } from '../../support/counted-event-engine.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';

let engine: CountedEventEngine;
let store: EventStore;

beforeEach(() => {
  engine = new CountedEventEngine(new SqliteEventEngine(new NodeSqlite()));
  store = new EventStore(engine);
});

const event = (type: string, ...tags: string[]): NewEvent => ({ type, tags });

/** The positions of the events that a projection was given. */
const seen = (query: Parameters<typeof projection>[0]['query']) =>
  projection({
    query,
    initial: [] as bigint[],
    apply: (positions, { position }) => [...positions, position],
  });

const count = (...tags: string[]) =>
  projection({ query: [{ tags }], initial: 0, apply: (state) => state + 1 });

describe('a projection', () => {
  test('folds the events of its query, in their order, and no others', async () => {
    await store.append([event('A', 'x'), event('B', 'x'), event('A', 'y'), event('A', 'x')]);
    const { state, position, condition } = await project(store, seen([{ types: ['A'], tags: ['x'] }]));
    expect(state).toEqual([1n, 4n]);
    expect(position).toBe(4n);
    expect(condition).toEqual({ failIfEventsMatch: [{ types: ['A'], tags: ['x'] }], after: 4n });
  });

  test('ends where the last event that it saw is, not where the store ends', async () => {
    await store.append([event('A', 'x'), event('A', 'y')]);
    expect(await project(store, count('x'))).toMatchObject({ state: 1, position: 1n });
  });

  test('reads far more than a page', async () => {
    const events = Array.from({ length: 2_500 }, () => event('A', 'x'));
    await store.append(events);
    expect(await project(store, count('x'))).toMatchObject({ state: 2_500, position: 2_500n });
    for (const { limit } of engine.reads) expect(limit).toBeLessThanOrEqual(1_000);
  });

  test('gives a condition from before the first event where nothing matched', async () => {
    await store.append(event('A', 'y'));
    const { state, condition } = await project(store, count('x'));
    expect({ state, after: condition.after }).toEqual({ state: 0, after: 0n });
    await store.append(event('A', 'x'), condition);
    await expect(store.append(event('A', 'x'), condition)).rejects.toMatchObject({
      code: 'append_conflict',
      details: { position: '2' },
    });
  });

  test('gives a condition of the cursor where there is nothing behind it, and is not in conflict with what is before', async () => {
    await store.append([event('A', 'x'), event('A', 'x')]);
    const { state, position, condition } = await project(store, count('x'), { from: 2n });
    expect({ state, position, after: condition.after }).toEqual({ state: 0, position: 2n, after: 2n });
    await store.append(event('B', 'x'), condition);
    // The control: without the cursor, what is before counts.
    const { failIfEventsMatch } = condition;
    await expect(store.append(event('B', 'x'), { failIfEventsMatch })).rejects.toMatchObject({
      details: { position: '1' },
    });
  });

  test('may begin behind the end of the store', async () => {
    await store.append(event('A', 'x'));
    const { condition } = await project(store, count('x'), { from: 100n });
    expect(condition.after).toBe(100n);
    await store.append(event('A', 'x'), condition);
  });

  test('goes on from an earlier result with its state, reading only what is new', async () => {
    await store.append([event('A', 'x'), event('A', 'x')]);
    const first = await project(store, count('x'));
    await store.append(event('A', 'x'));
    engine.reads.length = 0;
    expect(await project(store, count('x'), { from: first })).toMatchObject({ state: 3, position: 3n });
    expect(engine.reads).toMatchObject([{ after: 2n }]);
    expect(first.state).toBe(2);
  });

  test('has an initial state that no other run has touched', async () => {
    await store.append(event('A', 'x'));
    const given = { positions: [] as bigint[], byType: new Map<string, number>() };
    const changing = projection({
      query: 'all',
      initial: given,
      apply(state, { position, type }: Stored<{ type: string }>) {
        state.positions.push(position);
        state.byType.set(type, (state.byType.get(type) ?? 0) + 1);
        return state;
      },
    });
    // Not even by who has given it.
    given.positions.push(99n);
    for (let run = 0; run < 2; run += 1) {
      const { state } = await project(store, { one: changing, other: changing });
      expect(state.one).toEqual({ positions: [1n], byType: new Map([['A', 1]]) });
      expect(state.other).toEqual(state.one);
      expect(state.other.positions).not.toBe(state.one.positions);
    }
    // The control: a function that shares its state is taken at its word.
    const shared: bigint[] = [];
    const sharing = projection({
      query: 'all',
      initial: () => shared,
      apply(state, { position }) {
        state.push(position);
        return state;
      },
    });
    await project(store, sharing);
    expect((await project(store, sharing)).state).toEqual([1n, 1n]);
  });

  test('leaves the state that it goes on from as it was, so that a snapshot may be used again', async () => {
    class Tally {
      count = 0;
    }
    const changing = () =>
      projection({
        query: 'all',
        initial: () => ({ positions: [] as bigint[], types: new Set<string>(), tally: new Tally() }),
        apply(state, { position, type }: Stored<{ type: string }>) {
          state.positions.push(position);
          state.types.add(type);
          state.tally.count += 1;
          return state;
        },
      });
    await store.append(event('A', 'x'));
    const parts = { one: changing(), inner: compose({ other: changing() }) };
    const snapshot = await project(store, parts);
    const before = structuredClone(snapshot.state.one);
    await store.append(event('B', 'x'));
    for (let run = 0; run < 2; run += 1) {
      const { state } = await project(store, parts, { from: snapshot });
      expect(state.one.positions).toEqual([1n, 2n]);
      expect(state.inner.other.types).toEqual(new Set(['A', 'B']));
      expect(state.one.tally, 'an instance stays one').toBeInstanceOf(Tally);
      expect(snapshot.state.one.positions).toEqual(before.positions);
      expect(snapshot.state.inner.other.types).toEqual(before.types);
    }
    // Also where the events come with a conflict.
    const { state } = await project(store, parts);
    const current = { state, position: 2n };
    engine.beforeAppend = async () => {
      engine.beforeAppend = async () => {};
      await new EventStore(engine).append(event('C', 'x'));
    };
    const decided = await decide(store, parts, () => event('D', 'x'), { from: current });
    expect(decided).toMatchObject({ attempts: 2, state: { one: { positions: [1n, 2n, 3n] } } });
    expect(state.one.positions).toEqual([1n, 2n]);
  });

  test('wants a function for an initial state that cannot be copied', () => {
    class Tally {
      count = 0;
    }
    const apply = <State>(state: State): State => state;
    for (const initial of [new Tally(), { f() {} }, [() => {}]])
      expect(() => projection({ query: 'all', initial, apply })).toThrow(
        expect.objectContaining({ code: 'invalid_options', details: { option: 'initial' } }),
      );
    expect(projection({ query: 'all', initial: () => new Tally(), apply }).initial()).toBeInstanceOf(Tally);
    for (const initial of [undefined, null, 0n, '', new Date(0), new Set([1]), Object.create(null)])
      expect(projection({ query: 'all', initial, apply }).initial()).toEqual(initial);
  });

  test('is refused where its query or its function is none', () => {
    const apply = (state: number): number => state;
    expect(() => projection({ query: [], initial: 0, apply })).toThrow(
      expect.objectContaining({ code: 'invalid_query' }),
    );
    expect(() => projection({ query: 'all', initial: 0, apply: undefined as never })).toThrow(
      expect.objectContaining({ code: 'invalid_options' }),
    );
  });

  test('that throws ends the run with what it throws', async () => {
    await store.append(event('A', 'x'));
    const failing = projection({
      query: 'all',
      initial: 0,
      apply(): number {
        throw new Error('no such event');
      },
    });
    await expect(project(store, failing)).rejects.toThrow('no such event');
  });

  test.each([-1n, 2n ** 63n, 1, 'x', {}, { state: 1 }, { position: 1n }, null])(
    'cannot begin at %s',
    async (from) => {
      await expect(project(store, count('x'), { from: from as never })).rejects.toMatchObject({
        code: 'invalid_options',
      });
    },
  );
});

describe('several projections', () => {
  test('are read at once, and each sees the events of its own query once', async () => {
    await store.append([event('A', 'x', 'y'), event('A', 'x'), event('B', 'y'), event('B'), event('A')]);
    const { state, position } = await project(store, {
      x: seen([{ tags: ['x'] }]),
      y: seen([{ tags: ['y'] }]),
      // Twice over the same events, within one query and beside that of another.
      twice: seen([{ types: ['A'] }, { tags: ['x'] }, { types: ['A'], tags: ['x'] }]),
      none: seen([{ types: ['C'] }]),
    });
    expect(state).toEqual({ x: [1n, 2n], y: [1n, 3n], twice: [1n, 2n, 5n], none: [] });
    expect(position).toBe(5n);
    expect(engine.reads).toHaveLength(1);
  });

  test('are all that there is where one of them is', async () => {
    await store.append([event('A', 'x'), event('B')]);
    const { state, condition } = await project(store, { x: seen([{ tags: ['x'] }]), all: seen('all') });
    expect(state).toEqual({ x: [1n], all: [1n, 2n] });
    expect(condition).toEqual({ failIfEventsMatch: 'all', after: 2n });
    await store.append(event('C'), condition);
    await expect(store.append(event('C'), condition)).rejects.toMatchObject({ code: 'append_conflict' });
  });

  test('have a condition of any of their queries, in as few items as it takes', async () => {
    const { condition } = await project(store, {
      a: seen([{ types: ['A'], tags: ['x'] }]),
      b: seen([{ types: ['B'], tags: ['x'] }]),
      both: seen([{ types: ['A'], tags: ['x', 'y'] }]),
      y: seen([{ tags: ['y'] }]),
    });
    expect(condition.failIfEventsMatch).toEqual([
      { types: ['A', 'B'], tags: ['x'] },
      { types: [], tags: ['y'] },
    ]);
    for (const conflicting of [event('A', 'x'), event('B', 'x'), event('C', 'y')]) {
      const { condition: current } = await project(store, {
        a: seen([{ types: ['A', 'B'], tags: ['x'] }]),
        y: seen([{ tags: ['y'] }]),
      });
      await store.append(event('C', 'x'), current);
      await store.append(conflicting);
      await expect(store.append(event('C'), current)).rejects.toMatchObject({ code: 'append_conflict' });
    }
  });

  test('may be composed of composed ones', async () => {
    await store.append([event('A', 'x'), event('B', 'y')]);
    const inner = compose({ x: seen([{ tags: ['x'] }]), b: seen([{ types: ['B'] }]) });
    const { state } = await project(store, { inner, y: count('y') });
    expect(state).toEqual({ inner: { x: [1n], b: [2n] }, y: 1 });
  });

  test('leave the states of an earlier result as they were', async () => {
    const both = { x: count('x'), y: count('y') };
    await store.append(event('A', 'x'));
    const first = await project(store, both);
    await store.append(event('A', 'x', 'y'));
    expect((await project(store, both, { from: first })).state).toEqual({ x: 2, y: 1 });
    expect(first.state).toEqual({ x: 1, y: 0 });
  });

  test('may have any names', async () => {
    await store.append(event('A', 'x'));
    const names = ['__proto__', 'constructor', 'apply', 'query', ''];
    const parts = Object.fromEntries(names.map((name) => [name, count('x')]));
    const { state } = await project(store, parts);
    expect(Object.entries(state)).toEqual(names.map((name) => [name, 1]));
    expect(Object.getPrototypeOf(state)).toBe(Object.prototype);
  });

  test('are refused where there are none, or more than a query holds', async () => {
    await expect(project(store, {})).rejects.toMatchObject({ code: 'invalid_options' });
    await expect(project(store, undefined as never)).rejects.toMatchObject({ code: 'invalid_options' });
    const many = (n: number) =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, count(`t${i}`)]));
    await project(store, many(100));
    await expect(project(store, many(101))).rejects.toMatchObject({ code: 'invalid_query' });
    // As many as one likes, where they look at the same.
    await project(store, Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`p${i}`, count('x')])));
  });
});

describe('a decision', () => {
  test('appends what follows, on the condition of what it has read', async () => {
    await store.append(event('A', 'x'));
    const decided = await decide(store, { x: count('x') }, ({ x }) => ({ type: 'B', tags: ['x'], data: x }));
    expect(decided).toEqual({
      state: { x: 1 },
      position: 1n,
      condition: { failIfEventsMatch: [{ types: [], tags: ['x'] }], after: 1n },
      appended: { position: 2n, isRepeated: false },
      attempts: 1,
    });
    expect(await store.read([{ types: ['B'] }])).toMatchObject([{ position: 2n, data: 1 }]);
  });

  test.each([
    ['undefined', () => undefined],
    ['no events', () => []],
    ['nothing, later', async () => undefined],
  ])('that is %s appends nothing', async (_what, handler) => {
    const decided = await decide(store, count('x'), handler);
    expect(decided).toMatchObject({ appended: undefined, attempts: 1, position: 0n });
    expect(engine.commands).toEqual([]);
  });

  test('may be several events, which are appended together, and may take its time', async () => {
    const { appended } = await decide(store, count('x'), async () => [event('A', 'x'), event('B', 'x')]);
    expect(appended?.position).toBe(2n);
    expect(engine.commands).toHaveLength(1);
  });

  test('that throws appends nothing, and is not asked again', async () => {
    let asked = 0;
    const deciding = decide(store, count('x'), () => {
      asked += 1;
      throw new Error('the course is full');
    });
    await expect(deciding).rejects.toThrow(new Error('the course is full'));
    await expect(decide(store, count('x'), () => Promise.reject(new Error('later')))).rejects.toThrow(
      'later',
    );
    expect({ asked, commands: engine.commands }).toEqual({ asked: 1, commands: [] });
  });

  test('is made again after a conflict, with what is new and nothing else', async () => {
    await store.append([event('A', 'x'), event('A', 'x')]);
    let rivals = 2;
    engine.reads.length = 0;
    const states: number[] = [];
    const decided = await decide(store, count('x'), async (state) => {
      states.push(state);
      if (rivals > 0) await store.append(event('A', 'x'));
      rivals -= 1;
      return event('B', 'x');
    });
    expect(states).toEqual([2, 3, 4]);
    expect(decided).toMatchObject({ attempts: 3, state: 4, appended: { position: 5n } });
    expect(engine.reads.map(({ after }) => after)).toEqual([0n, 2n, 3n]);
  });

  test('is not disturbed by events that it did not ask for', async () => {
    const decided = await decide(store, count('x'), async () => {
      await store.append(event('A', 'y'));
      return event('B', 'x');
    });
    expect(decided.attempts).toBe(1);
  });

  test.each([
    [undefined, 6],
    [0, 1],
    [2, 3],
  ])('with %s retries is made %i times at most', async (retries, attempts) => {
    let asked = 0;
    const deciding = decide(
      store,
      count('x'),
      async () => {
        asked += 1;
        await store.append(event('A', 'x'));
        return event('B', 'x');
      },
      retries === undefined ? {} : { retries },
    );
    await expect(deciding).rejects.toMatchObject({
      code: 'append_conflict',
      message: expect.stringContaining(`Gave up after ${attempts} attempts`),
      details: { attempts, position: String(attempts) },
    });
    expect(asked).toBe(attempts);
    expect(await store.read([{ types: ['B'] }])).toEqual([]);
  });

  test.each([-1, 1.5, 1_001, Number.NaN, '1' as never])('cannot be made again %s times', async (retries) => {
    await expect(decide(store, count('x'), () => undefined, { retries })).rejects.toMatchObject({
      code: 'invalid_options',
    });
    expect(engine.reads).toEqual([]);
  });

  test('is not made again after any other failure', async () => {
    let asked = 0;
    const id = '0189c7b0-0000-7000-8000-000000000001';
    await store.append({ type: 'A', id });
    const deciding = decide(store, count('x'), () => {
      asked += 1;
      return [
        { type: 'A', id },
        { type: 'A', id: '0189c7b0-0000-7000-8000-000000000002' },
      ];
    });
    await expect(deciding).rejects.toMatchObject({ code: 'duplicate_event_id' });
    await expect(decide(store, count('x'), () => ({ type: '' }))).rejects.toMatchObject({
      code: 'invalid_event',
    });
    expect(asked).toBe(1);
  });

  test('with an id that is stored is one that was made before', async () => {
    const id = '0189c7b0-0000-7000-8000-000000000001';
    const once = () => decide(store, count('x'), () => ({ type: 'A', tags: ['x'], id }));
    expect((await once()).appended).toEqual({ position: 1n, isRepeated: false });
    // Its own event is what it has read, so there is no conflict either.
    expect((await once()).appended).toEqual({ position: 1n, isRepeated: true });
  });

  test('may begin at a snapshot', async () => {
    await store.append([event('A', 'x'), event('A', 'x')]);
    const snapshot = await project(store, count('x'));
    await store.append(event('A', 'x'));
    engine.reads.length = 0;
    const decided = await decide(store, count('x'), (state) => ({ type: 'B', data: state }), {
      from: snapshot,
    });
    expect(decided).toMatchObject({ state: 3, position: 3n, attempts: 1 });
    expect(engine.reads).toMatchObject([{ after: 2n }]);
  });
});

describe('many deciders on one course', () => {
  const CAPACITY = 7;
  const students = Array.from({ length: 40 }, (_, index) => `s${index}`);

  async function subscribeAll(decisions: DecisionStore<unknown>): Promise<number> {
    await store.append(courseDefined('c1', CAPACITY));
    const ends = await Promise.allSettled(
      students.map((student) => subscribeStudent(decisions, student, 'c1', { retries: 1_000 })),
    );
    const refusals = ends.filter((end) => end.status === 'rejected');
    for (const { reason } of refusals)
      expect(reason).toEqual(new Error('Course "c1" is already fully booked'));
    const subscriptions = await store.read([{ types: ['StudentSubscribedToCourse'], tags: ['course:c1'] }]);
    expect(subscriptions).toHaveLength(students.length - refusals.length);
    return subscriptions.length;
  }

  test('never overfill it', async () => {
    expect(await subscribeAll(store)).toBe(CAPACITY);
    expect(engine.commands.length).toBeGreaterThan(CAPACITY + 1);
  });

  test('overfill it where their condition is left out', async () => {
    const careless: DecisionStore<unknown> = {
      iterate: (query, options) => store.iterate(query, options),
      append: (events) => store.append(events),
    };
    expect(await subscribeAll(careless)).toBeGreaterThan(CAPACITY);
  });
});
