/** Events as callers of the event store see them. */

import type { EventQuery, QueryItem } from './engine.ts';

/** Anything that JSON can hold. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** An event to be appended. */
export interface NewEvent<Type extends string = string, Data = unknown> {
  type: Type;
  /** What it is about, such as `course:c1`. Repetitions are dropped. Default: none. */
  tags?: readonly string[];
  /** What the store's codec can write; with the default, all that JSON can hold. Default: null. */
  data?: Data;
  /** An object of JSON, or none. */
  metadata?: Readonly<Record<string, unknown>> | null;
  /** A UUID that makes the append repeatable: events whose ids are there already are not appended again. */
  id?: string;
}

/** An event as it was stored. */
export interface StoredEvent<Type extends string = string, Data = unknown> {
  position: bigint;
  type: Type;
  tags: readonly string[];
  data: Data;
  metadata: Readonly<Record<string, unknown>> | null;
  /** Undefined where it was appended without one. */
  id: string | undefined;
  /** When it was appended, in microseconds since 1970. */
  timeUs: number;
}

/** An item of a query: events of one of the types that have all of the tags. What is left out matches any. */
export type QueryItemInput = Partial<QueryItem>;

/** Events that match any of the items, or all events. */
export type QueryInput = readonly QueryItemInput[] | { items: readonly QueryItemInput[] } | 'all';

/** When an append is refused. */
export interface AppendConditionInput {
  failIfEventsMatch: QueryInput;
  /** Events up to this position are passed over. Default: none are. It may lie beyond the last position. */
  after?: bigint;
}

/** What was appended. */
export interface Appended {
  /** The position of the last event. */
  position: bigint;
  /** Events with these ids were there already: nothing was appended, and the condition was not asked. */
  isRepeated: boolean;
}

/** Where a read begins, ends and how it goes. */
export interface ReadOptions {
  /** Exclusive lower bound. Default: 0, before the first event. It may lie beyond the last position. */
  after?: bigint;
  /** Exclusive upper bound. Default: none. */
  before?: bigint;
  /** From the highest position down. Default: false. */
  backwards?: boolean;
  /** Default: 1,000; `unlimited` for as many as there are. */
  limit?: number | 'unlimited';
  /** Ends the read with the event by which data, metadata and tags have come to so many bytes. Default: no bound. */
  maxBytes?: number;
}

export type { EventQuery, QueryItem };
