/**
 * The conditions of a group of commands, taken apart for the procedure that checks them (postgres-schema.ts): into legs,
 * which are a tag or none with a type or any, and items of several tags; each of them once, however many ask for it.
 */

import { arrayText, type Parameter, textArrayText } from '../../store/postgres-statements.ts';
import type { AppendCondition, EventQuery, EventRow, QueryItem } from '../engine.ts';
import { arrayTexts } from './array-text.ts';

/** The tag of every event. */
export const ANY_TAG = '';

/** What a query comes down to: events that match one of the legs or one of the items; or all events. */
export interface QueryParts {
  legs: readonly { tag: string; type: string | null }[];
  /** Each has at least two tags, and no leg that asks for one of them asks for more. */
  items: readonly QueryItem[];
}

/**
 * Takes a query apart. Items of several tags are left out as far as a leg asks for all that they do: decisions join
 * such queries often, as "of this student and this course" beside "of this student".
 */
export function partsOfQuery(query: EventQuery): QueryParts | 'all' {
  if (query === 'all' || query.some(({ types, tags }) => types.length + tags.length === 0)) return 'all';
  const legs: { tag: string; type: string | null }[] = [];
  const typesOfTags = new Map<string, Set<string | null>>();
  const several: QueryItem[] = [];
  for (const item of query) {
    const tags = item.tags.length > 1 ? [...new Set(item.tags)] : item.tags;
    if (tags.length > 1) {
      several.push({ types: [...new Set(item.types)], tags });
      continue;
    }
    const [tag = ANY_TAG] = tags;
    const known = typesOfTags.get(tag) ?? new Set();
    typesOfTags.set(tag, known);
    for (const type of item.types.length === 0 ? [null] : item.types) {
      if (known.has(type)) continue;
      known.add(type);
      legs.push({ tag, type });
    }
  }
  const isAsked = (tags: readonly string[], type: string | null): boolean =>
    [ANY_TAG, ...tags].some((tag) => {
      const types = typesOfTags.get(tag);
      return types !== undefined && (types.has(null) || types.has(type));
    });
  const items = several.flatMap(({ types, tags }) => {
    if (types.length === 0) return isAsked(tags, null) ? [] : [{ types, tags }];
    const left = types.filter((type) => !isAsked(tags, type));
    return left.length === 0 ? [] : [{ types: left, tags }];
  });
  return { legs, items };
}

/** Legs and items as parameters: tags and types of the legs, tags and types of the items. */
export function partParameters({ legs, items }: QueryParts): Parameter[] {
  return [
    legs.length === 0 ? null : textArrayText(legs.map(({ tag }) => tag)),
    legs.length === 0 ? null : textArrayText(legs.map(({ type }) => type)),
    items.length === 0 ? null : arrayTexts(items.map(({ tags }) => tags)),
    items.length === 0 ? null : arrayTexts(items.map(({ types }) => (types.length === 0 ? null : types))),
  ];
}

interface Leg {
  tag: string;
  type: string | null;
}

interface Item extends QueryItem {
  number: number;
  floor: bigint;
}

/** Where a condition's part stands: among the legs (from 1), among the items (from 1), or it is all events. */
type Part = { leg: number } | { item: number } | 'all';

/** Events of a command that a later condition asks for: the part, and the last of the events, numbered in the group. */
interface Mark {
  part: Part;
  event: number;
}

const ALL: readonly Part[] = ['all'];

/** Collects conditions, then the marks of commands, and gives both as parameters. */
export class ConditionColumns {
  readonly #legs: Leg[] = [];
  /** Numbers of legs by tag, then by type. */
  readonly #legNumbers = new Map<string, Map<string | null, number>>();
  readonly #items: Item[] = [];
  readonly #itemNumbers = new Map<string, Item>();
  readonly #conditions: { after: bigint; parts: readonly Part[] }[] = [];
  readonly #conditionNumbers = new Map<string, number>();
  /** Items by the tag of theirs that the fewest items have, so that an event is held against few. */
  #itemsOfTags: Map<string, Item[]> | undefined;
  #hasAll = false;
  readonly #markEnds: number[] = [];
  readonly #marks: Mark[] = [];

  get isEmpty(): boolean {
    return this.#conditions.length === 0;
  }

  /** The number of a condition, from 1. */
  numberOf({ query, after }: AppendCondition): number {
    const parsed = partsOfQuery(query);
    const parts = parsed === 'all' ? ALL : this.#partsOf(parsed, after);
    if (parsed === 'all') this.#hasAll = true;
    const key = `${after} ${parts.map(keyOf).join(' ')}`;
    const known = this.#conditionNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#conditions.push({ after, parts });
    this.#conditionNumbers.set(key, number);
    return number;
  }

  #partsOf({ legs, items }: QueryParts, after: bigint): Part[] {
    return [
      ...legs.map((leg) => ({ leg: this.#legNumber(leg) })),
      ...items.map((item) => ({ item: this.#itemNumber(item, after) })),
    ];
  }

  #legNumber(leg: Leg): number {
    const ofTag = this.#legNumbers.get(leg.tag) ?? new Map<string | null, number>();
    this.#legNumbers.set(leg.tag, ofTag);
    const known = ofTag.get(leg.type);
    if (known !== undefined) return known;
    const number = this.#legs.push(leg);
    ofTag.set(leg.type, number);
    return number;
  }

  #itemNumber({ types, tags }: QueryItem, after: bigint): number {
    const key = JSON.stringify([types.toSorted(), tags.toSorted()]);
    const known = this.#itemNumbers.get(key);
    if (known !== undefined) {
      if (after < known.floor) known.floor = after;
      return known.number;
    }
    const item = { types, tags, floor: after, number: this.#items.length + 1 };
    this.#items.push(item);
    this.#itemNumbers.set(key, item);
    return item.number;
  }

  /**
   * Notes what a command's events are to the conditions; for each command in its order, after all conditions.
   *
   * @param first the number of its first event
   * @param postings the last event, by type and tag
   */
  mark(
    events: readonly EventRow[],
    first: number,
    postings: Iterable<{ tag: string; type: string; last: number }>,
  ): void {
    const ofLegs = new Map<number, number>();
    for (const { tag, type, last } of postings) {
      const ofTag = this.#legNumbers.get(tag);
      if (ofTag === undefined) continue;
      const exact = ofTag.get(type);
      if (exact !== undefined) ofLegs.set(exact, last);
      const any = ofTag.get(null);
      if (any !== undefined) ofLegs.set(any, Math.max(last, ofLegs.get(any) ?? 0));
    }
    for (const [leg, event] of ofLegs) this.#marks.push({ part: { leg }, event });
    if (this.#items.length > 0) this.#markItems(events, first);
    if (this.#hasAll) this.#marks.push({ part: 'all', event: first + events.length - 1 });
    this.#markEnds.push(this.#marks.length);
  }

  #markItems(events: readonly EventRow[], first: number): void {
    this.#itemsOfTags ??= byRarestTag(this.#items);
    const ofItems = new Map<number, number>();
    events.forEach(({ type, tags }, index) => {
      // Both may have 64: to go through one for each of the other would take seconds in a large group.
      const own = new Set(tags);
      for (const tag of tags)
        for (const item of this.#itemsOfTags?.get(tag) ?? [])
          if (
            (item.types.length === 0 || item.types.includes(type)) &&
            item.tags.every((wanted) => own.has(wanted))
          )
            ofItems.set(item.number, first + index);
    });
    for (const [item, event] of ofItems) this.#marks.push({ part: { item }, event });
  }

  /** Legs, items, conditions and marks, as the procedure takes them. */
  parameters(): Parameter[] {
    if (this.isEmpty) return new Array<null>(11).fill(null);
    const numberOf = (part: Part): number =>
      part === 'all'
        ? this.#legs.length + this.#items.length + 1
        : 'leg' in part
          ? part.leg
          : this.#legs.length + part.item;
    let end = 0;
    const ends = this.#conditions.map(({ parts }) => {
      end += parts.length;
      return end;
    });
    const hasMarks = this.#marks.length > 0;
    return [
      ...partParameters({ legs: this.#legs, items: this.#items }),
      this.#items.length === 0 ? null : arrayText(this.#items.map(({ floor }) => floor)),
      arrayText(this.#conditions.map(({ after }) => after)),
      arrayText(ends),
      arrayText(this.#conditions.flatMap(({ parts }) => parts.map(numberOf))),
      hasMarks ? arrayText(this.#markEnds) : null,
      hasMarks ? arrayText(this.#marks.map(({ part }) => numberOf(part))) : null,
      hasMarks ? arrayText(this.#marks.map(({ event }) => event)) : null,
    ];
  }
}

function keyOf(part: Part): string {
  return part === 'all' ? 'all' : 'leg' in part ? `l${part.leg}` : `i${part.item}`;
}

function byRarestTag(items: readonly Item[]): Map<string, Item[]> {
  const counts = new Map<string, number>();
  for (const { tags } of items) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const countOf = (tag: string): number => counts.get(tag) ?? 0;
  const ofTags = new Map<string, Item[]>();
  for (const item of items) {
    const rarest = item.tags.reduce((best, tag) => (countOf(tag) < countOf(best) ? tag : best));
    const known = ofTags.get(rarest);
    if (known === undefined) ofTags.set(rarest, [item]);
    else known.push(item);
  }
  return ofTags;
}
