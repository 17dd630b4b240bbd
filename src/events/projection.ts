/**
 * Decisions on events. A projection folds the events of a query into a state. A decision reads the states it needs, says
 * which events follow, and appends them on the condition that nothing was added to what it has read: the query is the
 * boundary within which it is consistent.
 */

import { isSluiceError, SluiceError } from '../core/errors.ts';
import { DEFAULT_DECISION_RETRIES, MAX_DECISION_RETRIES } from '../core/limits.ts';
import { copiedState } from './copied-state.ts';
import type { EventQuery, QueryItem } from './engine.ts';
import type { AppendConditionInput, Appended, NewEvent, QueryInput, StoredEvent } from './event.ts';
import type { EventStore } from './event-store.ts';
import { fewestItems } from './fewest-items.ts';
import { anyOf, matches, toQuery } from './query.ts';

/** Events of one's own, told apart by `type`: `{ type: 'CourseDefined'; data: { capacity: number } } | …`. */
export interface EventShape {
  type: string;
  data?: unknown;
}

/** An event of one's own with what the store knows of it: position, tags, metadata, id, time. */
export type Stored<Event extends EventShape> = Event & Omit<StoredEvent, 'type' | 'data'>;

/** A query that names no types but those of the events. */
export type QueryFor<Event extends EventShape> =
  | readonly QueryItemFor<Event>[]
  | { items: readonly QueryItemFor<Event>[] }
  | 'all';

interface QueryItemFor<Event extends EventShape> {
  types?: readonly Event['type'][];
  tags?: readonly string[];
}

/** How the events of a query become a state. */
export interface Projection<State, Event extends EventShape = EventShape> {
  readonly query: EventQuery;
  /** The state before the first event; a new one for each call. */
  initial(): State;
  /** The state after an event, which has to match the query. */
  apply(state: State, event: Stored<Event>): State;
}

export interface ProjectionDefinition<State, Event extends EventShape> {
  query: QueryFor<Event>;
  /**
   * The state before the first event, or a function that makes it. A value is copied for each run (`structuredClone`), so
   * that no run sees what another has done to it; for instances of classes of one's own it has to be a function.
   */
  initial: State | (() => State);
  /** Returns the state after an event: another one, or the same one changed. */
  apply: (state: State, event: Stored<Event>) => State;
}

/** Projections by names of one's own. */
export type Projections = Readonly<Record<string, Projection<unknown>>>;

/** The states of projections, by their names. */
export type StatesOf<Parts extends Projections> = {
  -readonly [Name in keyof Parts]: ReturnType<Parts[Name]['initial']>;
};

/** The events that projections know. */
export type EventsOf<Parts extends Projections> = {
  [Name in keyof Parts]: Parts[Name] extends Projection<infer _State, infer Event> ? Event : never;
}[keyof Parts];

/** One projection, or several by their names. */
export type Projectable = Projection<unknown> | Projections;

/** The state of a projection, or the states of several by their names. */
export type StateOf<Of extends Projectable> = Of extends {
  initial(): infer State;
  apply(state: never, event: never): unknown;
}
  ? State
  : Of extends Projections
    ? StatesOf<Of>
    : never;

/** What projections come to. */
export interface Projected<State> {
  state: State;
  /**
   * How far they have read: the position of the last event that matched; where none did, the cursor that they began at.
   * A later run may go on from here.
   */
  position: bigint;
  /** Holds as long as nothing was added to what they have read. */
  condition: Required<AppendConditionInput>;
}

/**
 * Where a run begins: after a position, with the initial state, or where an earlier run has ended, with its state. The
 * state is copied as far as it is data; of classes of one's own, `apply` has to return another instance.
 */
export type ProjectFrom<State> = bigint | Pick<Projected<State>, 'state' | 'position'>;

export interface ProjectOptions<State> {
  /** Default: before the first event. */
  from?: ProjectFrom<State>;
}

/** What a projection needs of an event store. */
export type ProjectionStore<Data> = Pick<EventStore<Data>, 'iterate'>;

/** What a decision needs of an event store. */
export type DecisionStore<Data> = Pick<EventStore<Data>, 'iterate' | 'append'>;

/** What follows from a decision; undefined, or no events: nothing. */
export type Decision<Data> = NewEvent<string, Data> | readonly NewEvent<string, Data>[] | undefined;

export interface DecideOptions<State> extends ProjectOptions<State> {
  /** How often a decision is made again after a conflict. From 0 to 1,000. Default: 5. */
  retries?: number;
}

/** How a decision ended. */
export interface Decided<State> extends Projected<State> {
  /** Undefined where nothing was to be appended. Its events are after `position`, and not in `state`. */
  appended: Appended | undefined;
  /** How often the decision was made: one more than there were conflicts. */
  attempts: number;
}

/**
 * Defines a projection. The types of the state and of the events come from `initial` and from the parameter of `apply`.
 *
 * ```ts
 * const capacity = projection({
 *   query: [{ types: ['CourseDefined'], tags: ['course:c1'] }],
 *   initial: 0,
 *   apply: (_capacity, event: CourseDefined) => event.data.capacity,
 * });
 * ```
 *
 * That stored events have the shape of `Event` is taken on trust.
 *
 * @throws SluiceError `invalid_query`; `invalid_options` where the initial state can only be made by a function
 */
export function projection<State, Event extends EventShape = EventShape>(
  definition: ProjectionDefinition<State, Event>,
): Projection<State, Event> {
  const { query, initial, apply } = definition;
  if (typeof apply !== 'function')
    throw invalidOptions('A projection needs a function that applies an event', 'apply');
  return { query: toQuery(query as QueryInput), initial: maker(initial), apply };
}

/**
 * Makes one projection of several. Each sees the events of its own query, and no others; all are read at once.
 *
 * @throws SluiceError `invalid_options` where there is none; `invalid_query` where together they have more than 100 items
 */
export function compose<const Parts extends Projections>(
  parts: Parts,
): Projection<StatesOf<Parts>, EventsOf<Parts>> {
  const list = Object.entries<Projection<unknown>>(parts);
  if (list.length === 0) throw invalidOptions('There is no projection to be read', 'projections');
  return {
    query: queryOfAny(list.map(([, { query }]) => query)),
    initial: () => Object.fromEntries(list.map(([name, part]) => [name, part.initial()])) as StatesOf<Parts>,
    apply(states, event) {
      // A new object, since an earlier result that this one goes on from still has the old one.
      const next: Record<string, unknown> = { ...states };
      for (const [name, part] of list) {
        if (matches(part.query, event)) define(next, name, part.apply(next[name], event));
      }
      return next as StatesOf<Parts>;
    },
  };
}

/**
 * Reads once what a projection, or several, come to. Events are in memory for a page only.
 *
 * @throws SluiceError as `projection` and `compose`; `invalid_options` for a cursor that is none; what reading throws.
 * What `apply` throws
 */
export async function project<const Of extends Projectable, Data>(
  store: ProjectionStore<Data>,
  projections: Of,
  options: ProjectOptions<StateOf<Of>> = {},
): Promise<Projected<StateOf<Of>>> {
  const one = asOne(projections);
  return goOn(store, one, beginning(one, options.from), givenState(options.from));
}

/**
 * Makes a decision: reads the states, asks the handler which events follow, and appends them on the condition that
 * nothing was added to what was read. Where something was, it reads that too, and asks again, up to `retries` times.
 * What was read before is not read again.
 *
 * @param handler is asked once for each attempt, so it should do nothing but decide. What it throws is thrown, and
 * nothing is appended. It must not change the states
 * @throws SluiceError `append_conflict` where there were more conflicts than retries (details: `position`, `attempts`);
 * `invalid_options`; what `project` and the store's `append` throw
 */
export async function decide<const Of extends Projectable, Data>(
  store: DecisionStore<Data>,
  projections: Of,
  handler: (state: StateOf<Of>) => Decision<Data> | PromiseLike<Decision<Data>>,
  options: DecideOptions<StateOf<Of>> = {},
): Promise<Decided<StateOf<Of>>> {
  const retries = retriesOf(options.retries);
  const one = asOne(projections);
  const first = beginning(one, options.from);
  const given = givenState(options.from);
  let projected = await goOn(store, one, first, given);
  for (let attempts = 1; ; attempts += 1) {
    const events = await handler(projected.state);
    if (events === undefined || (isList(events) && events.length === 0))
      return { ...projected, appended: undefined, attempts };
    try {
      return { ...projected, appended: await store.append(events, projected.condition), attempts };
    } catch (error) {
      if (!isSluiceError(error) || error.code !== 'append_conflict') throw error;
      if (attempts > retries) throw gaveUp(error, attempts);
    }
    projected = await goOn(store, one, projected, given);
  }
}

type Beginning<State> = Pick<Projected<State>, 'state' | 'position'>;

/**
 * Reads on from where a run has ended.
 *
 * @param given the state of an earlier run. It is copied before an event is applied to it: `apply` may change its state, and
 * a snapshot that was changed would count these events a second time when it is used again
 */
async function goOn<State, Data>(
  store: ProjectionStore<Data>,
  projected: Projection<State>,
  { state: first, position: after }: Beginning<State>,
  given: State | undefined,
): Promise<Projected<State>> {
  const { query } = projected;
  let state = first;
  let position = after;
  for await (const event of store.iterate(query, { after })) {
    if (state === given && position === after) state = copiedState(state);
    state = projected.apply(state, event);
    position = event.position;
  }
  // Positions are given in the order of commits: what is not there yet comes after the last event that is. So the
  // condition misses nothing, though it does not reach to the end of the store.
  return { state, position, condition: { failIfEventsMatch: query, after: position } };
}

function beginning<State>(
  { initial }: Projection<State>,
  from: ProjectFrom<State> | undefined,
): Beginning<State> {
  if (from === undefined) return { state: initial(), position: 0n };
  if (typeof from === 'bigint') return { state: initial(), position: from };
  if (typeof from !== 'object' || from === null || !('state' in from) || typeof from.position !== 'bigint')
    throw invalidOptions('A run begins after a position, a bigint, or at { state, position }', 'from');
  return { state: from.state, position: from.position };
}

function givenState<State>(from: ProjectFrom<State> | undefined): State | undefined {
  return typeof from === 'object' ? from.state : undefined;
}

function asOne<Of extends Projectable>(projections: Of): Projection<StateOf<Of>> {
  if (typeof projections !== 'object' || projections === null)
    throw invalidOptions('A projection, or an object with several, is missing', 'projections');
  const one = typeof projections.apply === 'function' ? projections : compose(projections as Projections);
  return one as unknown as Projection<StateOf<Of>>;
}

function queryOfAny(queries: readonly EventQuery[]): EventQuery {
  const items: QueryItem[] = [];
  for (const query of queries) {
    if (query === 'all') return 'all';
    items.push(...query);
  }
  return anyOf([fewestItems(items)]);
}

/** What makes the initial state. */
function maker<State>(initial: State | (() => State)): () => State {
  if (typeof initial === 'function') return initial as () => State;
  if (typeof initial !== 'object' || initial === null) return () => initial;
  // Of an instance, a copy would have the fields without the class.
  const prototype = Object.getPrototypeOf(initial) as unknown;
  if (prototype !== null && !COPIED.has(prototype)) throw notCopied();
  try {
    // The first copy is for good: the caller may go on to change what it has given.
    const kept = structuredClone(initial);
    return () => structuredClone(kept);
  } catch (error) {
    throw notCopied(error);
  }
}

const COPIED = new Set<unknown>([
  Object.prototype,
  Array.prototype,
  Map.prototype,
  Set.prototype,
  Date.prototype,
]);

function notCopied(cause?: unknown): SluiceError {
  return new SluiceError(
    'invalid_options',
    'The initial state of a projection cannot be copied for each run; give a function that makes it',
    { cause, details: { option: 'initial' } },
  );
}

function retriesOf(retries: number = DEFAULT_DECISION_RETRIES): number {
  if (Number.isSafeInteger(retries) && retries >= 0 && retries <= MAX_DECISION_RETRIES) return retries;
  throw invalidOptions(
    `retries must be a whole number from 0 to ${MAX_DECISION_RETRIES}: ${String(retries)}`,
    'retries',
  );
}

function gaveUp(error: SluiceError, attempts: number): SluiceError {
  return new SluiceError('append_conflict', `Gave up after ${attempts} attempts. ${error.message}`, {
    cause: error,
    details: { ...error.details, attempts },
  });
}

// Not by assignment: that would set the prototype where somebody's projection is named `__proto__`.
function define(states: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(states, name, { value, enumerable: true, configurable: true, writable: true });
}

function isList<Item>(value: Item | readonly Item[]): value is readonly Item[] {
  return Array.isArray(value);
}

function invalidOptions(message: string, option: string): SluiceError {
  return new SluiceError('invalid_options', message, { details: { option } });
}
