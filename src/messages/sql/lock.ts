import { lockStatements } from '../../store/postgres-functions.ts';

/** The table that appends lock: empty for ever. */
export const MESSAGES_LOCK = 'append_lock';

/** The start of what writes messages. */
export function lockMessages(schema: string): string {
  return lockStatements(schema, MESSAGES_LOCK, 'A message store');
}
