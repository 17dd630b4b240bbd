/** Events and commands for tests of engines, and what an append means, in as few words as possible. */

import type {
  AppendCommand,
  AppendVerdict,
  EventQuery,
  EventRecord,
  EventRow,
  QueryItem,
  ReadEvents,
} from '../../../src/events/engine.ts';

export function event(
  type = 'Happened',
  tags: readonly string[] = [],
  changes: Partial<EventRow> = {},
): EventRow {
  return { id: null, type, tags, data: '{}', metadata: null, ...changes };
}

export function item(types: readonly string[], tags: readonly string[] = []): QueryItem {
  return { types, tags };
}

export function command(
  events: EventRow | readonly EventRow[],
  query: EventQuery | null = null,
  after = 0n,
): AppendCommand {
  return {
    events: Array.isArray(events) ? events : [events as EventRow],
    condition: query === null ? null : { query, after },
  };
}

export function reading(query: EventQuery, changes: Partial<ReadEvents> = {}): ReadEvents {
  return { query, after: 0n, before: null, backwards: false, limit: Number.POSITIVE_INFINITY, ...changes };
}

/** An id that differs by its number only. */
export const idOf = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

export const positionsOf = (records: readonly { position: bigint }[]): number[] =>
  records.map(({ position }) => Number(position));

export const upTo = (end: number, start = 1): number[] =>
  Array.from({ length: end - start + 1 }, (_, index) => start + index);

export function isMatch(query: EventQuery, { type, tags }: Pick<EventRow, 'type' | 'tags'>): boolean {
  return (
    query === 'all' ||
    query.some(
      (one) =>
        (one.types.length === 0 || one.types.includes(type)) && one.tags.every((tag) => tags.includes(tag)),
    )
  );
}

type ModelEvent = Omit<EventRecord, 'timeUs'>;

/** An event store as a list. */
export class EventModel {
  events: ModelEvent[] = [];

  append({ events, condition }: AppendCommand): AppendVerdict {
    const known = events.flatMap(({ id }) => this.events.filter((one) => id !== null && one.id === id));
    if (known.length === events.length)
      return { kind: 'appended', position: BigInt(Math.max(...positionsOf(known))), isRepeated: true };
    const taken = events.find(({ id }) => known.some((one) => one.id === id));
    if (taken !== undefined) return { kind: 'duplicate_id', id: taken.id as string };
    const match = this.events.find(
      (one) => condition !== null && one.position > condition.after && isMatch(condition.query, one),
    );
    if (match !== undefined) return { kind: 'conflict', position: match.position };
    for (const one of events) this.events.push({ ...one, position: BigInt(this.events.length + 1) });
    return { kind: 'appended', position: BigInt(this.events.length), isRepeated: false };
  }

  read({ query, after, before, backwards, limit }: ReadEvents): ModelEvent[] {
    const found = this.events.filter(
      (one) => one.position > after && (before === null || one.position < before) && isMatch(query, one),
    );
    return (backwards ? found.reverse() : found).slice(0, limit);
  }
}
