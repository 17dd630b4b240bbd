/**
 * Queries of the event store: items joined by OR; an item is any of its types AND all of its tags (dcb.events, specification).
 * Items are never merged: the union of two items is not the item of their unions.
 */

import { SluiceError } from '../core/errors.ts';
import {
  MAX_EVENT_TYPE_LENGTH,
  MAX_ITEM_TAGS,
  MAX_ITEM_TYPES,
  MAX_QUERY_ITEMS,
  MAX_TAG_LENGTH,
} from '../core/limits.ts';
import type { EventQuery, QueryItem } from './engine.ts';
import type { QueryInput } from './event.ts';
import { labelFault } from './text-fault.ts';

/** What a query looks at. */
export interface Matchable {
  type: string;
  tags: readonly string[];
}

/**
 * Checks a query and brings it into the form that engines take: without repetitions, and `all` where an item matches any event.
 *
 * @throws SluiceError `invalid_query`: no items, more than 100, more than 100 types or 64 tags in an item, an empty or too long
 * type or tag, a field that no item has
 */
export function toQuery(input: QueryInput): EventQuery {
  if (input === 'all') return 'all';
  const items = itemsOf(input);
  if (items.length === 0) throw invalidQuery("A query needs at least one item; for all events it is 'all'");
  if (items.length > MAX_QUERY_ITEMS) throw tooManyItems();
  let isAll = false;
  const checked: QueryItem[] = [];
  for (const item of items) {
    const next = toItem(item);
    if (next.types.length === 0 && next.tags.length === 0) isAll = true;
    checked.push(next);
  }
  if (isAll) return 'all';
  return checked.length === 1 ? checked : distinct(checked);
}

/**
 * The query that matches what any of the queries matches; `all` where one of them is.
 *
 * @throws SluiceError `invalid_query` where there is none, or where the items are more than a query may have
 */
export function anyOf(queries: readonly EventQuery[]): EventQuery {
  if (queries.length === 0) throw invalidQuery('There is no query to be joined');
  const items: QueryItem[] = [];
  for (const query of queries) {
    if (query === 'all') return 'all';
    items.push(...query);
  }
  const joined = distinct(items);
  if (joined.length > MAX_QUERY_ITEMS) throw tooManyItems();
  return joined;
}

/** True where an event matches a query. */
export function matches(query: EventQuery, event: Matchable): boolean {
  return query === 'all' || query.some((item) => matchesItem(item, event));
}

/** True where an event is of one of the item's types and has all of its tags. */
export function matchesItem({ types, tags }: QueryItem, event: Matchable): boolean {
  if (types.length > 0 && !types.includes(event.type)) return false;
  for (const tag of tags) if (!event.tags.includes(tag)) return false;
  return true;
}

/** UTF-16 code units of a query's texts. */
export function queryUnits(query: EventQuery): number {
  let units = 0;
  if (query === 'all') return units;
  for (const { types, tags } of query) {
    for (const type of types) units += type.length;
    for (const tag of tags) units += tag.length;
  }
  return units;
}

/** The texts without repetitions, in the order of their first mention. */
export function withoutRepetitions(texts: readonly string[]): readonly string[] {
  if (texts.length < 2) return texts.slice();
  const set = new Set(texts);
  return set.size === texts.length ? texts.slice() : [...set];
}

export function invalidQuery(sentence: string): SluiceError {
  return new SluiceError('invalid_query', sentence);
}

function itemsOf(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input;
  if (typeof input === 'object' && input !== null && 'items' in input) {
    checkFields(input, ['items'], 'A query');
    if (Array.isArray(input.items)) return input.items;
  }
  throw invalidQuery(
    'A query is \'all\', an array of items such as { types: ["A"], tags: ["b:1"] }, or an object with such items',
  );
}

const ITEM_FIELDS = ['types', 'tags'];

function toItem(item: unknown): QueryItem {
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    throw invalidQuery('An item of a query must be an object with types, tags or both');
  checkFields(item, ITEM_FIELDS, 'An item of a query');
  const { types, tags } = item as Record<string, unknown>;
  return {
    types: labels('type', types, MAX_ITEM_TYPES, MAX_EVENT_TYPE_LENGTH),
    tags: labels('tag', tags, MAX_ITEM_TAGS, MAX_TAG_LENGTH),
  };
}

// A field that is misspelled would leave an item that matches everything.
function checkFields(value: object, known: readonly string[], what: string): void {
  for (const field in value) {
    if (!known.includes(field))
      throw invalidQuery(`${what} has ${known.join(' and ')}, not ${JSON.stringify(field.slice(0, 80))}`);
  }
}

function labels(what: 'type' | 'tag', list: unknown, maxCount: number, maxLength: number): readonly string[] {
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw invalidQuery(`The ${what}s of an item must be an array of texts`);
  // `for … of` also meets the holes of an array.
  for (const label of list) {
    const fault = labelFault(label, maxLength);
    if (fault !== undefined) throw invalidQuery(`A ${what} of a query ${fault}`);
  }
  const unique = withoutRepetitions(list);
  if (unique.length > maxCount) throw invalidQuery(`An item has at most ${maxCount} ${what}s`);
  return unique;
}

function distinct(items: readonly QueryItem[]): readonly QueryItem[] {
  const byKey = new Map<string, QueryItem>();
  for (const item of items) {
    const key = JSON.stringify([[...item.types].sort(), [...item.tags].sort()]);
    if (!byKey.has(key)) byKey.set(key, item);
  }
  return [...byKey.values()];
}

function tooManyItems(): SluiceError {
  return invalidQuery(`A query has at most ${MAX_QUERY_ITEMS} items`);
}
