/**
 * What a database does for the event store. An engine is one namespace; it takes checked input, in batches, with data as
 * text, and throws only where the database fails. What a caller may do wrong is a verdict, never an exception: an
 * exception in a transaction would cost everyone else in it theirs.
 */

/** An event on its way into an engine. */
export interface EventRow {
  /** A UUID in lower case; null: the event has none. */
  id: string | null;
  type: string;
  /** Without repetitions. */
  tags: readonly string[];
  /** Text that the store does not look into. */
  data: string;
  /** JSON text; null for none. */
  metadata: string | null;
}

/** Events of one of the types that have all of the tags. Empty types: any type. Empty tags: any. Not both are empty. */
export interface QueryItem {
  types: readonly string[];
  tags: readonly string[];
}

/** Events that match any of the items, at least one; or all events. */
export type EventQuery = readonly QueryItem[] | 'all';

/** The append is refused where an event after the position `after` matches the query. */
export interface AppendCondition {
  query: EventQuery;
  /** 0: no event is passed over. It may lie beyond the last position. */
  after: bigint;
}

/** What one caller wants appended: all of it or nothing. Ids differ within it. */
export interface AppendCommand {
  /** At least one. Either all have an id or none has. */
  events: readonly EventRow[];
  condition: AppendCondition | null;
}

export type AppendVerdict =
  /** `isRepeated`: events with these ids were there already, so that nothing was appended and the condition was not asked. */
  | { kind: 'appended'; position: bigint; isRepeated: boolean }
  /** The position of the first event that matches the condition. */
  | { kind: 'conflict'; position: bigint }
  /** Some of the ids are taken, but not all: this is one of them. */
  | { kind: 'duplicate_id'; id: string };

/** An event as an engine returns it. */
export interface EventRecord {
  position: bigint;
  id: string | null;
  type: string;
  tags: readonly string[];
  data: string;
  /** JSON text; null for none. */
  metadata: string | null;
  timeUs: number;
}

export interface ReadEvents {
  query: EventQuery;
  /** Exclusive. */
  after: bigint;
  /** Exclusive; null: no bound. */
  before: bigint | null;
  /** From the highest position down. */
  backwards: boolean;
  limit: number;
  /**
   * Ends the read with the event by which data, metadata and tags have come to so many bytes, as the engine stores them. Left
   * out: no bound.
   */
  maxBytes?: number;
}

export interface EventEngine {
  /** Runs all commands in one transaction, in their order; a later one sees the earlier ones. */
  append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]>;
  /** In the order of positions, which is the order of commits: what comes later has a higher one. */
  read(read: ReadEvents): Promise<EventRecord[]>;
  /** The last position; 0 where there is none. */
  head(): Promise<bigint>;
  /** Deletes all events and returns how many there were. Positions begin again. */
  clear(): Promise<bigint>;
}
