import type { SqlNames } from '../../store/store-schema.ts';

/** How many messages there are, and the last global position. */
export function info({ own, v }: SqlNames): string {
  return `create or replace function ${own}.info${v}() returns table (messages bigint, head bigint) language sql stable
as $read$
  select (select count(*) from ${own}.messages), (select coalesce(max(m.global_position), 0) from ${own}.messages m)
$read$`;
}
