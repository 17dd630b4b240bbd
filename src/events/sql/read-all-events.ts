import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { pageOf, RECORD_TYPE } from './pages.ts';
import { MAX_BIGINT } from './positions.ts';

/** Events between two positions. */
export function readAllEvents({ schema, own, v }: SqlNames): string {
  return `create or replace function ${own}.read_all_events${v}(
  p_after bigint, p_before bigint, p_is_backwards boolean, p_limit bigint, p_max_bytes bigint
) returns table (${RECORD_TYPE}) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
declare
  v_before bigint := coalesce(p_before, ${MAX_BIGINT});
begin
  ${pageOf(schema, 'e."position" > p_after and e."position" < v_before')}
end
$read$`;
}
