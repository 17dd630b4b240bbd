import { APPEND_SETTINGS } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { lockMessages } from './lock.ts';

/**
 * Writes messages to given places. Answers with no row where they are in, otherwise with the first of them, by its
 * number from 1, that is not free, and what of it is taken.
 */
export function importMessages({ schema, own, v }: SqlNames): string {
  const rows = `unnest(
      p_stream_of, p_positions, p_global_positions, p_times_us, p_ids, p_types,
      string_to_array(p_data, E'\\n'), string_to_array(p_metadata, E'\\n', ''), p_correlations
    ) with ordinality r (stream, "position", global_position, time_us, id, type, data, metadata, correlation, number)`;
  return `create or replace function ${own}.import${v}(
  p_streams text[], p_categories text[], p_hashes bigint[],
  p_stream_of int[], p_positions bigint[], p_global_positions bigint[], p_times_us bigint[],
  p_ids uuid[], p_types text[], p_data text, p_metadata text, p_correlations text[]
) returns table (number int, what text) language plpgsql volatile
${APPEND_SETTINGS}
as $import$
begin${lockMessages(schema)}
  -- By rows of one each: an EXISTS might be turned into a scan of the whole index.
  return query select t.number::int, t.what from (
    select r.number, case
      when (select true from ${own}.messages m where m.stream_name = p_streams[r.stream] and m."position" = r."position" limit 1) then 'position'
      when (select true from ${own}.messages m where m.global_position = r.global_position limit 1) then 'global_position'
      when (select true from ${own}.messages m where m.id = r.id limit 1) then 'id'
    end as what
    from ${rows}
  ) t where t.what is not null limit 1;
  if found then
    return;
  end if;
  insert into ${own}.messages
    (global_position, "position", "time", cardinal_hash, id, stream_name, category, type, data, metadata, correlation)
  select
    r.global_position, r."position", timestamptz 'epoch' + r.time_us * interval '1 microsecond',
    p_hashes[r.stream], r.id, p_streams[r.stream], p_categories[r.stream], r.type, r.data::jsonb, r.metadata::jsonb,
    r.correlation
  from ${rows};
end
$import$`;
}
