import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';

/** The last position; 0 where there is none. */
export function eventsHead({ own, v }: SqlNames): string {
  return `create or replace function ${own}.events_head${v}() returns bigint language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
begin
  return coalesce((select e."position" from ${own}.events e order by e."position" desc limit 1), 0);
end
$read$`;
}
