import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';

/** Goes from one name to the next along the index, however many messages lie between them. */
export function listStreams({ own, v }: SqlNames): string {
  return `create or replace function ${own}.list_streams${v}(p_prefix text, p_after text, p_limit int)
returns table (stream_name text, version bigint, last_global_position bigint) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
declare
  v_name text;
begin
  select m.stream_name into v_name from ${own}.messages m
    where m.stream_name >= p_prefix and m.stream_name > p_after order by m.stream_name, m."position" limit 1;
  for v_count in 1 .. p_limit loop
    exit when v_name is null or not starts_with(v_name, p_prefix);
    return query select m.stream_name, m."position", m.global_position from ${own}.messages m
      where m.stream_name = v_name order by m."position" desc limit 1;
    v_name := (select m.stream_name from ${own}.messages m
      where m.stream_name > v_name order by m.stream_name, m."position" limit 1);
  end loop;
end
$read$`;
}
