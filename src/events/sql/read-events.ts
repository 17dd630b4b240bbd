import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { pageOf, RECORD_TYPE } from './pages.ts';

/** Events that match any of the legs and items, as `event_positions` takes them. */
export function readEvents({ schema, own, v }: SqlNames): string {
  return `create or replace function ${own}.read_events${v}(
  p_leg_tags text[], p_leg_types text[], p_item_tags text[], p_item_types text[],
  p_after bigint, p_before bigint, p_is_backwards boolean, p_limit bigint, p_max_bytes bigint
) returns table (${RECORD_TYPE}) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
declare
  v_positions bigint[] := ${own}.event_positions${v}(
    p_leg_tags, p_leg_types, p_item_tags, p_item_types, p_after, p_before, p_is_backwards, p_limit
  );
begin
  ${pageOf(schema, 'e."position" = any (v_positions)')}
end
$read$`;
}
