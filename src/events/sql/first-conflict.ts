import type { SqlNames } from '../../store/store-schema.ts';

/** The first position after `p_after` of what matches one of the numbered legs and items. */
export function firstConflict({ own, v }: SqlNames): string {
  return `create or replace function ${own}.first_conflict${v}(
  p_leg_tags text[], p_leg_types text[], p_item_tags text[], p_item_types text[], p_numbers int[], p_after bigint
) returns bigint language plpgsql volatile
as $lookup$
declare
  v_legs int := coalesce(cardinality(p_leg_tags), 0);
  v_items int := coalesce(cardinality(p_item_tags), 0);
begin
  -- All events stands alone in its condition.
  if p_numbers[1] > v_legs + v_items then
    return ${own}.first_event${v}(p_after);
  end if;
  return (${own}.event_positions${v}(
    array(select p_leg_tags[n.n] from unnest(p_numbers) with ordinality n (n, place) where n.n <= v_legs order by n.place),
    array(select p_leg_types[n.n] from unnest(p_numbers) with ordinality n (n, place) where n.n <= v_legs order by n.place),
    array(select p_item_tags[n.n - v_legs] from unnest(p_numbers) with ordinality n (n, place) where n.n > v_legs order by n.place),
    array(select p_item_types[n.n - v_legs] from unnest(p_numbers) with ordinality n (n, place) where n.n > v_legs order by n.place),
    p_after, null, false, 1
  ))[1];
end
$lookup$`;
}
