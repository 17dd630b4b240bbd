/** The events that the suite `dcb` appends, and the conditions that it appends them under. */

import type { AppendConditionInput, NewEvent, StoredEvent } from '../../../src/events/event.ts';
import { STUDENT_ENROLLED } from './data-set.ts';
import { type DcbOperation, eventsPerAttempt, isConditional } from './job.ts';

/** The type of everything that is appended, as go-crablet's bench has it. */
export const TEST_EVENT = 'TestEvent';
const CLOSED_EVENT = 'CourseClosed';

/** The data of everything that is appended, as go-crablet's bench has it. */
const TEST_DATA = { value: 'test' } as const;
/** The same as an engine keeps it. */
export const TEST_DATA_TEXT = JSON.stringify(TEST_DATA);

/** The events of an attempt: the tags `test`, `iteration` and `index`; or a scope and `iteration`, under a condition. */
export function attemptEvents(operation: DcbOperation, attempt: number, scope: string): NewEvent[] {
  if (isConditional(operation)) {
    return [{ type: TEST_EVENT, tags: [scope, `iteration:${attempt}`], data: TEST_DATA }];
  }
  return Array.from({ length: eventsPerAttempt(operation) }, (_, index) => ({
    type: TEST_EVENT,
    tags: ['test:append', `iteration:${attempt}`, `index:${index}`],
    data: TEST_DATA,
  }));
}

/** What was appended to a scope before the clock starts, so that a condition that passes over nothing does not hold. */
export function scopeEvents(scopes: readonly string[]): NewEvent[] {
  return scopes.map((scope) => ({ type: TEST_EVENT, tags: [scope], data: TEST_DATA }));
}

/** The condition of an attempt; undefined for an append without one. */
export function attemptCondition(
  operation: DcbOperation,
  scope: string,
  after: bigint,
): AppendConditionInput | undefined {
  if (!isConditional(operation)) return undefined;
  return {
    failIfEventsMatch: [{ types: operation === 'if-shared' ? [CLOSED_EVENT] : SCOPE_TYPES, tags: [scope] }],
    after,
  };
}

/** The types that a condition on a scope asks for: what the set has of a course, and what is appended. */
export const SCOPE_TYPES: readonly string[] = [STUDENT_ENROLLED, TEST_EVENT];

/** Which attempt an event is of, and which of its events it is; undefined where nobody appended it so. */
export function placeOf(
  event: Pick<StoredEvent, 'type' | 'tags' | 'data' | 'metadata' | 'id'>,
  operation: DcbOperation,
): { attempt: number; index: number; scope: string } | undefined {
  const [first = '', iteration = '', last] = event.tags;
  const attempt = numberOf(iteration, 'iteration:');
  const index = isConditional(operation) ? 0 : numberOf(last ?? '', 'index:');
  if (attempt === undefined || index === undefined) return undefined;
  const isOurs =
    event.type === TEST_EVENT &&
    event.tags.length === (isConditional(operation) ? 2 : 3) &&
    (isConditional(operation) || first === 'test:append') &&
    JSON.stringify(event.data) === TEST_DATA_TEXT &&
    event.metadata === null &&
    event.id === undefined;
  return isOurs ? { attempt, index, scope: first } : undefined;
}

function numberOf(tag: string, prefix: string): number | undefined {
  const text = tag.slice(prefix.length);
  return tag.startsWith(prefix) && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
