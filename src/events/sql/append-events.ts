import { APPEND_SETTINGS } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { lockEvents } from './lock.ts';

/**
 * Writes a group of commands. What it is given, numbered from 1:
 *
 * - of each command: how many events it has, and its condition (0: none; null instead of the array: none has one);
 * - of each event: its id, type, tags (the text of an array), data and metadata; the last two come as one text, with
 *   `p_separator` between one and the next, which is cheaper than to quote every quotation mark of them into an array;
 *   metadata that is empty is none;
 * - of each posting, in the order of the commands: its tag, its last event, and the distances of the others (the text
 *   of an array; null: it has none). Its type is its last event's;
 * - legs and items that conditions consist of, as `event_positions` takes them, each once, and of each item the lowest
 *   position after which anyone asks for it;
 * - of each condition, each once: the position after which it begins, and the end of its stretch of `p_condition_legs`.
 *   There stand the numbers of legs, after them those of items, and after these one for all events;
 * - marks: which events of a command, if it is written, are the last to match a leg or an item that a command after it
 *   asks for. `p_mark_ends` is the end of each command's stretch; null where there are none.
 *
 * So a command is checked against the last position of each of its legs, whether it stood in the table before or came
 * with the group, and a group costs as much as its parts, whatever conflicts with what.
 *
 * Answers with the last position before the group, which is all where everything was written, and then for each command
 * 0 (written), 1 (conflict), 2 (its events were there already) or 3 (some of them were), and what belongs to it: the
 * first position that matches the condition, the last position of its events, or the number of an event.
 */
export function appendEvents({ schema, own, v }: SqlNames): string {
  const events = `unnest(
      p_ids, p_types, p_tags, string_to_array(p_data, p_separator), string_to_array(p_metadata, p_separator, '')
    ) with ordinality r (id, type, tags, data, metadata, number)`;
  const postings = 'unnest(p_posting_tags, p_posting_lasts, p_posting_others) r (tag, last, others)';
  return `create or replace procedure ${own}.append_events${v}(
  p_commands int[], p_command_conditions int[],
  p_ids uuid[], p_types text[], p_tags text[], p_data text, p_metadata text, p_separator text,
  p_posting_tags text[], p_posting_lasts int[], p_posting_others text[],
  p_leg_tags text[], p_leg_types text[], p_item_tags text[], p_item_types text[], p_item_floors bigint[],
  p_condition_afters bigint[], p_condition_ends int[], p_condition_legs int[],
  p_mark_ends int[], p_mark_legs int[], p_mark_events int[],
  inout answer text
) language plpgsql
${APPEND_SETTINGS}
as $append$
declare
  v_head bigint;
  v_next bigint;
  v_lasts bigint[];
  v_conditions int := coalesce(cardinality(p_condition_afters), 0);
  v_legs int := coalesce(cardinality(p_leg_tags), 0);
  v_items int := coalesce(cardinality(p_item_tags), 0);
  v_taken_events int[];
  v_taken_positions bigint[];
  v_taken int := 1;
  v_taken_count int;
  v_repeated bigint;
  v_verdicts int[];
  v_values bigint[];
  v_shifts bigint[];
  v_is_all_written boolean := true;
  v_firsts bigint[];
  v_event_commands int[];
  v_last int := 0;
  v_first int;
  v_condition int;
  v_after bigint;
  v_verdict int;
begin${lockEvents(schema)}
  v_head := coalesce((select e."position" from ${own}.events e order by e."position" desc limit 1), 0);
  v_next := v_head;
  if p_ids is not null then
    select array_agg(t.number order by t.number), array_agg(t."position" order by t.number)
      into v_taken_events, v_taken_positions
      from (
        select r.number::int, (select e."position" from ${own}.events e where e.id = r.id and e.id is not null limit 1)
        from unnest(p_ids) with ordinality r (id, number)
      ) t (number, "position") where t."position" is not null;
  end if;

  if v_conditions = 0 and v_taken_events is null then
    v_next := v_head + cardinality(p_types);
  else
    if v_legs > 0 then
      v_lasts := array(
        select case when l.type is null then ${own}.last_event${v}(l.tag) else (
          select p.last_position from ${own}.event_postings p
          where p.tag = l.tag and p.type = l.type order by p.last_position desc limit 1
        ) end from unnest(p_leg_tags, p_leg_types) l (tag, type)
      );
    end if;
    if v_items > 0 then
      v_lasts := v_lasts || array(
        select (${own}.event_positions${v}(null, null, array[i.tags], array[i.types], i.floor, null, true, 1))[1]
        from unnest(p_item_tags, p_item_types, p_item_floors) i (tags, types, floor)
      );
    end if;
    v_lasts[v_legs + v_items + 1] := v_head;
    v_verdicts := array_fill(0, array[cardinality(p_commands)]);
    v_values := array_fill(0::bigint, array[cardinality(p_commands)]);
    v_shifts := v_values;

    for v_command in 1 .. cardinality(p_commands) loop
      v_first := v_last + 1;
      v_last := v_last + p_commands[v_command];
      v_verdict := 0;
      if v_taken_events[v_taken] <= v_last then
        v_values[v_command] := v_taken_events[v_taken];
        v_taken_count := 0;
        v_repeated := 0;
        while v_taken_events[v_taken] <= v_last loop
          v_taken_count := v_taken_count + 1;
          v_repeated := greatest(v_repeated, v_taken_positions[v_taken]);
          v_taken := v_taken + 1;
        end loop;
        if v_taken_count = p_commands[v_command] then
          v_verdict := 2;
          v_values[v_command] := v_repeated;
        else
          v_verdict := 3;
        end if;
      else
        v_condition := p_command_conditions[v_command];
        if v_condition > 0 then
          v_after := p_condition_afters[v_condition];
          for v_leg in coalesce(p_condition_ends[v_condition - 1], 0) + 1 .. p_condition_ends[v_condition] loop
            if v_lasts[p_condition_legs[v_leg]] > v_after then
              v_verdict := 1;
              exit;
            end if;
          end loop;
        end if;
      end if;
      if v_verdict = 0 then
        v_shifts[v_command] := v_next - v_first + 1;
        for v_mark in coalesce(p_mark_ends[v_command - 1], 0) + 1 .. coalesce(p_mark_ends[v_command], 0) loop
          v_lasts[p_mark_legs[v_mark]] := v_shifts[v_command] + p_mark_events[v_mark];
        end loop;
        v_next := v_next + p_commands[v_command];
      else
        v_verdicts[v_command] := v_verdict;
        v_is_all_written := false;
      end if;
    end loop;
  end if;

  if v_is_all_written then
    insert into ${own}.events ("position", "time", id, type, tags, data, metadata)
      select v_head + r.number, clock_timestamp(), r.id, r.type, r.tags::text[], coalesce(r.data, ''), r.metadata
      from ${events};
    insert into ${own}.event_postings (tag, type, last_position, others)
      select r.tag, p_types[r.last], v_head + r.last, r.others::int[]
      from ${postings};
    answer := v_head;
    return;
  end if;

  if v_next > v_head then
    v_event_commands := array(
      select c.number::int from unnest(p_commands) with ordinality c (events, number), generate_series(1, c.events)
      order by c.number
    );
    insert into ${own}.events ("position", "time", id, type, tags, data, metadata)
      select v_shifts[v_event_commands[r.number]] + r.number, clock_timestamp(), r.id, r.type, r.tags::text[],
        coalesce(r.data, ''), r.metadata
      from ${events} where v_verdicts[v_event_commands[r.number]] = 0;
    insert into ${own}.event_postings (tag, type, last_position, others)
      select r.tag, p_types[r.last], v_shifts[v_event_commands[r.last]] + r.last, r.others::int[]
      from ${postings} where v_verdicts[v_event_commands[r.last]] = 0;
  end if;
  for v_command in 1 .. cardinality(p_commands) loop
    if v_verdicts[v_command] = 1 then
      v_condition := p_command_conditions[v_command];
      if v_firsts[v_condition] is null then
        v_firsts[v_condition] := ${own}.first_conflict${v}(
          p_leg_tags, p_leg_types, p_item_tags, p_item_types,
          p_condition_legs[coalesce(p_condition_ends[v_condition - 1], 0) + 1 : p_condition_ends[v_condition]],
          p_condition_afters[v_condition]
        );
      end if;
      v_values[v_command] := v_firsts[v_condition];
    end if;
  end loop;
  answer := concat_ws(';', v_head, array_to_string(v_verdicts, ','), array_to_string(v_values, ','));
end
$append$`;
}
