import { LOCK_TIME_LIMIT_MS } from '../../core/limits.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { lockEvents } from './lock.ts';

/** Deletes all events, and answers with how many they were. */
export function clearEvents({ schema, own, v }: SqlNames): string {
  return `create or replace function ${own}.clear_events${v}() returns bigint language plpgsql volatile set lock_timeout = ${LOCK_TIME_LIMIT_MS}
as $clear$
declare
  v_count bigint;
begin${lockEvents(schema)}
  select count(*) into v_count from ${own}.events;
  truncate ${own}.events, ${own}.event_postings;
  return v_count;
end
$clear$`;
}
