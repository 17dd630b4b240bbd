import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { RECORD_TYPE, readStatements } from './reads.ts';

/** The last message of a stream, or the last of a type. */
export function lastMessage({ schema, own, v }: SqlNames): string {
  const reads = readStatements(schema);
  return `create or replace function ${own}.last_message${v}(p_stream text, p_type text)
returns table (${RECORD_TYPE}) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
begin
  if p_type is null then
    return query ${reads.last};
  else
    return query ${reads.lastOfType};
  end if;
end
$read$`;
}
