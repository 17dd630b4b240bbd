import type { SqlNames } from '../../store/store-schema.ts';
import { FEW_POSTINGS, MAX_BIGINT, positionStatements } from './positions.ts';

/**
 * Positions of the events that match any of the given, at most `p_limit` of them (null: all), the first ones or, backwards,
 * the last ones, in no order:
 *
 * - legs, each a tag and a type (null: any);
 * - items, each an array of several tags and an array of types (null: any), both as texts.
 *
 * Once the limit is reached, what the next leg finds has to lie nearer.
 */
export function eventPositions({ schema, own, v }: SqlNames): string {
  const statements = positionStatements(schema);
  return `create or replace function ${own}.event_positions${v}(
  p_leg_tags text[], p_leg_types text[], p_item_tags text[], p_item_types text[],
  p_after bigint, p_before bigint, p_is_backwards boolean, p_limit bigint
) returns bigint[] language plpgsql stable
as $lookup$
declare
  v_positions bigint[];
  v_found bigint[];
  v_after bigint := p_after;
  v_before bigint := coalesce(p_before, ${MAX_BIGINT});
  v_top bigint;
  v_legs int := coalesce(cardinality(p_leg_tags), 0);
  v_tag text;
  v_types text[];
  v_type text;
  v_needed text[];
  v_has_others boolean;
  v_count int;
begin
  for v_leg in 1 .. v_legs + coalesce(cardinality(p_item_tags), 0) loop
    if v_leg <= v_legs then
      v_tag := p_leg_tags[v_leg];
      v_types := array[p_leg_types[v_leg]];
      if v_types[1] is null and coalesce(p_limit, ${FEW_POSTINGS}) >= ${FEW_POSTINGS} then
        -- A tag with few postings, as most have, is read at once, without asking for its types.
        select count(*), array_agg(p.last_position) filter (where p.last_position > v_after and p.last_position < v_before),
          bool_or(p.others is not null)
          into v_count, v_found, v_has_others from (${statements.few}) p;
        if v_count = ${FEW_POSTINGS} or v_has_others then
          v_types := ${own}.event_types${v}(v_tag);
        end if;
      elsif v_types[1] is null then
        v_types := ${own}.event_types${v}(v_tag);
      end if;
    else
      v_needed := p_item_tags[v_leg - v_legs];
      v_types := p_item_types[v_leg - v_legs];
      v_tag := ${own}.scarcest_tag${v}(v_needed, v_types, v_after, v_before, p_is_backwards, p_limit);
      v_types := coalesce(v_types, ${own}.event_types${v}(v_tag));
    end if;
    foreach v_type in array v_types loop
      v_top := ${MAX_BIGINT};
      if v_before < v_top and v_type is not null then
        v_top := coalesce((${statements.top}), v_top);
      end if;
      if v_type is null then
        -- Found at once, above.
      elsif v_needed is null then
        -- Most postings have one event, which need not be taken apart. One more, for the one that holds the bound.
        if p_is_backwards then
          select array_agg(p.last_position) filter (where p.last_position < v_before), bool_or(p.others is not null)
            into v_found, v_has_others from (${statements.postingsBackwards}) p;
        else
          select array_agg(p.last_position) filter (where p.last_position < v_before), bool_or(p.others is not null)
            into v_found, v_has_others from (${statements.postings}) p;
        end if;
        if v_has_others then
          if p_is_backwards then
            v_found := array(${statements.positionsBackwards});
          else
            v_found := array(${statements.positions});
          end if;
        end if;
      elsif p_is_backwards then
        v_found := array(${statements.withTagsBackwards});
      else
        v_found := array(${statements.withTags});
      end if;
      continue when v_found is null or v_found = '{}';
      if v_positions is null then
        v_positions := v_found;
      else
        v_positions := v_positions || v_found;
      end if;
      if cardinality(v_positions) >= p_limit then
        if p_is_backwards then
          v_positions := array(select distinct u."position" from unnest(v_positions) u ("position") order by 1 desc limit p_limit);
        else
          v_positions := array(select distinct u."position" from unnest(v_positions) u ("position") order by 1 limit p_limit);
        end if;
        if cardinality(v_positions) = p_limit then
          if p_is_backwards then
            v_after := v_positions[p_limit];
          else
            v_before := v_positions[p_limit];
          end if;
        end if;
      end if;
    end loop;
  end loop;
  return v_positions;
end
$lookup$`;
}
