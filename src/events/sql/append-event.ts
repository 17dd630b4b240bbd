import { APPEND_SETTINGS } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { lockEvents } from './lock.ts';

/**
 * Writes one event, which is what most commands are, under a condition of legs only, of all events (`p_after` without
 * legs), or under none. Answers as `append_events` does, and takes less of the server (measured without the flush of
 * the WAL, beside a bare round trip of 190 µs: 320 µs against 470 µs with a condition, 300 against 370 without).
 */
export function appendEvent({ schema, own, v }: SqlNames): string {
  return `create or replace procedure ${own}.append_event${v}(
  p_id uuid, p_type text, p_tags text[], p_data text, p_metadata text,
  p_leg_tags text[], p_leg_types text[], p_after bigint,
  inout answer text
) language plpgsql
${APPEND_SETTINGS}
as $append$
declare
  v_head bigint;
  v_position bigint;
begin${lockEvents(schema)}
  if p_id is not null then
    v_position := (select e."position" from ${own}.events e where e.id = p_id and e.id is not null limit 1);
    if v_position is not null then
      answer := concat_ws(';', v_position, 2, v_position);
      return;
    end if;
  end if;
  if p_leg_tags is null then
    v_head := coalesce((select e."position" from ${own}.events e order by e."position" desc limit 1), 0);
    if v_head > p_after then
      answer := concat_ws(';', v_head, 1, ${own}.first_event${v}(p_after));
      return;
    end if;
  else
    select
      coalesce((select e."position" from ${own}.events e order by e."position" desc limit 1), 0),
      (select max(case when l.type is null then ${own}.last_event${v}(l.tag) else (
        select p.last_position from ${own}.event_postings p
        where p.tag = l.tag and p.type = l.type order by p.last_position desc limit 1
      ) end) from unnest(p_leg_tags, p_leg_types) l (tag, type))
      into v_head, v_position;
    if v_position > p_after then
      answer := concat_ws(';', v_head, 1,
        (${own}.event_positions${v}(p_leg_tags, p_leg_types, null, null, p_after, null, false, 1))[1]);
      return;
    end if;
  end if;
  v_head := v_head + 1;
  insert into ${own}.events ("position", "time", id, type, tags, data, metadata)
    values (v_head, clock_timestamp(), p_id, p_type, p_tags, p_data, p_metadata);
  insert into ${own}.event_postings (tag, type, last_position)
    select t.tag, p_type, v_head from unnest(p_tags || ''::text) t (tag);
  answer := v_head - 1;
end
$append$`;
}
