/** What was answered against what is in the log, and what a read returned against the data set: pure arithmetic. */

import type { StoredEvent } from '../../../src/events/event.ts';
import type { ReadVerdict } from '../../jobs/read-judge.ts';
import type { Audit } from '../../result.ts';
import type { DataSet } from './data-set.ts';
import { type DcbOperation, eventsPerAttempt, isConditional } from './job.ts';
import type { Ledger } from './ledger.ts';
import { placeOf } from './written-events.ts';

const CLEAN: Readonly<Audit> = { sent: 0, refused: 0, found: 0, lost: 0, duplicated: 0, outOfOrder: 0 };

/** What was there before the attempts of a repetition. */
export interface Before {
  /** The last position. */
  head: bigint;
  /** The first event that matches the condition of a scope, where one did. */
  firstOfScope: ReadonlyMap<string, bigint>;
}

/**
 * Judges the attempts of a repetition by all events after `before.head`, given by position.
 *
 * Lost: an event of an accepted attempt that is not there, and an attempt without an answer. Doubled: an event beyond
 * these. Out of order: a position that does not rise; events of one attempt that do not follow each other; an answer
 * that names another position than the event has; a client whose later event lies before its earlier one; an accepted
 * condition that did not hold when the log is replayed up to its event; a conflict that names an event which is not the
 * first that matches. So wins and conflicts together are the attempts, or something is lost.
 */
export async function auditWrites(
  operation: DcbOperation,
  events: AsyncIterable<StoredEvent> | Iterable<StoredEvent>,
  ledger: Ledger,
  before: Before,
): Promise<Audit> {
  const perAttempt = eventsPerAttempt(operation);
  const { attempts, wins, conflicts } = ledger;
  const audit: Audit = { ...CLEAN, sent: attempts.length * perAttempt, refused: conflicts * perAttempt };
  const found = attempts.map(() => 0);
  const log = new ScopeLog(before.firstOfScope);
  let last = before.head;
  let open = -1;
  let known = 0;
  for await (const event of events) {
    audit.found += 1;
    let isOutOfOrder = event.position <= last;
    last = event.position;
    const place = placeOf(event, operation);
    const attempt = place === undefined ? undefined : attempts[place.attempt];
    const isOurs =
      place !== undefined &&
      attempt?.answer.kind === 'appended' &&
      (!isConditional(operation) || place.scope === attempt.scope) &&
      place.index < perAttempt &&
      found[place.attempt] === place.index;
    if (!isOurs) {
      audit.duplicated += 1;
    } else {
      known += 1;
      // All of an attempt's events, and nothing between them.
      if (place.index > 0 && open !== place.attempt) isOutOfOrder = true;
      open = place.attempt;
      found[place.attempt] = place.index + 1;
      const isLast = place.index === perAttempt - 1;
      if (isLast && attempt.answer.position !== event.position) isOutOfOrder = true;
    }
    if (place !== undefined && isConditional(operation)) log.add(place.scope, event.position);
    if (isOutOfOrder) audit.outOfOrder += 1;
  }
  audit.lost = (attempts.length - conflicts) * perAttempt - known;
  audit.duplicated += Math.max(0, wins + conflicts - attempts.length) * perAttempt;
  audit.outOfOrder += wrongAnswers(operation, ledger, log);
  return audit;
}

/** Events by scope: what a replay of the conditions looks at. */
class ScopeLog {
  readonly #first: ReadonlyMap<string, bigint>;
  readonly #positions = new Map<string, bigint[]>();

  constructor(first: ReadonlyMap<string, bigint>) {
    this.#first = first;
  }

  add(scope: string, position: bigint): void {
    const positions = this.#positions.get(scope);
    if (positions === undefined) this.#positions.set(scope, [position]);
    else positions.push(position);
  }

  /** The first event of a scope after `after`; undefined where there is none. */
  firstBehind(scope: string, after: bigint): bigint | undefined {
    const first = this.#first.get(scope);
    if (first !== undefined && first > after) return first;
    const positions = this.#positions.get(scope) ?? [];
    let low = 0;
    let high = positions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((positions[middle] as bigint) > after) high = middle;
      else low = middle + 1;
    }
    return positions[low];
  }
}

/** Answers that the replayed log contradicts. */
function wrongAnswers(operation: DcbOperation, { attempts }: Ledger, log: ScopeLog): number {
  if (!isConditional(operation)) return ordersLost(attempts);
  let wrong = ordersLost(attempts);
  for (const attempt of attempts) {
    if (attempt === undefined) continue;
    const { scope, after, answer } = attempt;
    // No event has the type that the condition of `if-shared` asks for.
    const first = operation === 'if-shared' ? undefined : log.firstBehind(scope, after);
    // The event that was appended matches the condition itself; none before it may.
    if (
      answer.kind === 'appended' ? first !== undefined && first < answer.position : first !== answer.position
    )
      wrong += 1;
  }
  return wrong;
}

/** A client waits for its answer before it tries again, so its events are in the order of its attempts. */
function ordersLost(attempts: Ledger['attempts']): number {
  const last = new Map<number, bigint>();
  let lost = 0;
  for (const attempt of attempts) {
    if (attempt === undefined || attempt.answer.kind !== 'appended') continue;
    const { client, answer } = attempt;
    if (answer.position <= (last.get(client) ?? 0n)) lost += 1;
    last.set(client, answer.position);
  }
  return lost;
}

/** Compares every field of a read that should return the events `expected` of a set. */
export function compareRead(
  set: DataSet,
  events: readonly StoredEvent[],
  expected: readonly number[],
): ReadVerdict {
  let right = 0;
  let last = 0n;
  for (const [index, event] of events.entries()) {
    const number = expected[index];
    if (number !== undefined && event.position > last && isEvent(set, event, number)) right += 1;
    last = event.position;
  }
  return { sent: expected.length, right, wrong: events.length - right };
}

/** A look that costs next to nothing: as many as expected, and the first and the last are those that they should be. */
export function hasItsEnds(
  set: DataSet,
  events: readonly StoredEvent[],
  expected: readonly number[],
): boolean {
  const first = events[0];
  const last = events.at(-1);
  return (
    events.length === expected.length &&
    first !== undefined &&
    last !== undefined &&
    isEvent(set, first, expected[0] as number) &&
    isEvent(set, last, expected.at(-1) as number)
  );
}

/** True where every field of an event is that of event `number` of the set. */
export function isEvent(set: DataSet, event: StoredEvent, number: number): boolean {
  const { type, tags, data } = set.event(number);
  return (
    event.type === type &&
    event.tags.length === tags.length &&
    event.tags.every((tag, index) => tag === tags[index]) &&
    JSON.stringify(event.data) === JSON.stringify(data) &&
    event.metadata === null &&
    event.id === undefined
  );
}
