import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';

/** Categories with how many streams and messages they have. */
export function listCategories({ own, v }: SqlNames): string {
  return `create or replace function ${own}.list_categories${v}(p_prefix text, p_after text, p_limit int)
returns table (category text, streams bigint, messages bigint) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
declare
  v_name text;
begin
  select m.category into v_name from ${own}.messages m
    where m.category >= p_prefix and m.category > p_after order by m.category, m.global_position limit 1;
  for v_count in 1 .. p_limit loop
    exit when v_name is null or not starts_with(v_name, p_prefix);
    -- Counted along the names of the streams: a category's are its own and all that go on with a dash, behind which
    -- comes the dot. To sort out the streams of a million messages takes eight times as long.
    return query select v_name, count(*), sum(s.messages)::bigint from (
      select count(*) as messages from ${own}.messages m where m.stream_name = v_name having count(*) > 0
      union all
      select count(*) from ${own}.messages m
        where m.stream_name >= v_name || '-' and m.stream_name < v_name || '.' group by m.stream_name
    ) s;
    v_name := (select m.category from ${own}.messages m
      where m.category > v_name order by m.category, m.global_position limit 1);
  end loop;
end
$read$`;
}
