import { APPEND_SETTINGS } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { lockMessages } from './lock.ts';

/**
 * Writes one message, which is what most commands are. Answers as `append` does, and takes less of the server (measured
 * without the flush of the WAL: 160 µs against 220 µs, where a bare INSERT takes 100 µs).
 */
export function appendOne({ schema, own, v }: SqlNames): string {
  return `create or replace procedure ${own}.append_one${v}(
  p_stream text, p_category text, p_hash bigint, p_expected bigint,
  p_id uuid, p_type text, p_data jsonb, p_metadata jsonb, p_correlation text,
  inout answer text
) language plpgsql
${APPEND_SETTINGS}
as $append$
declare
  v_head bigint;
  v_version bigint;
  v_is_taken boolean;
begin${lockMessages(schema)}
  select
    coalesce((select m.global_position from ${own}.messages m order by m.global_position desc limit 1), 0),
    coalesce((select m."position" from ${own}.messages m where m.stream_name = p_stream order by m."position" desc limit 1), -1),
    (select true from ${own}.messages m where m.id = p_id limit 1)
    into v_head, v_version, v_is_taken;
  if p_expected <> v_version then
    answer := concat_ws(';', v_head, 1, v_version);
    return;
  end if;
  if v_is_taken then
    answer := concat_ws(';', v_head, -1, v_version);
    return;
  end if;
  insert into ${own}.messages
    (global_position, "position", "time", cardinal_hash, id, stream_name, category, type, data, metadata, correlation)
  values
    (v_head + 1, v_version + 1, clock_timestamp(), p_hash, p_id, p_stream, p_category, p_type, p_data, p_metadata, p_correlation);
  answer := concat_ws(';', v_head, 0, v_version + 1);
end
$append$`;
}
