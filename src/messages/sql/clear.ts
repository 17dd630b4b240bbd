import { LOCK_TIME_LIMIT_MS } from '../../core/limits.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { lockMessages } from './lock.ts';

/** Deletes all messages, and answers with how many they were. */
export function clear({ schema, own, v }: SqlNames): string {
  return `create or replace function ${own}.clear${v}() returns bigint language plpgsql volatile set lock_timeout = ${LOCK_TIME_LIMIT_MS}
as $clear$
declare
  v_count bigint;
begin${lockMessages(schema)}
  select count(*) into v_count from ${own}.messages;
  truncate ${own}.messages;
  return v_count;
end
$clear$`;
}
