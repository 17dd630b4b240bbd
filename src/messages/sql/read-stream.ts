import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { RECORD_TYPE, readStatements } from './reads.ts';

/** Messages of a stream from a position on. */
export function readStream({ schema, own, v }: SqlNames): string {
  const reads = readStatements(schema);
  return `create or replace function ${own}.read_stream${v}(p_stream text, p_position bigint, p_limit bigint)
returns table (${RECORD_TYPE}) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
begin
  return query ${reads.stream};
end
$read$`;
}
