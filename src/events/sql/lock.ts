import { lockStatements } from '../../store/postgres-functions.ts';

/** The table that appends of events lock: empty for ever, and another one than that of messages. */
export const EVENTS_LOCK = 'events_lock';

/** The start of what writes events. */
export function lockEvents(schema: string): string {
  return lockStatements(schema, EVENTS_LOCK, 'An event store');
}
