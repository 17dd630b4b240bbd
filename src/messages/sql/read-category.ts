import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { RECORD_TYPE, readStatements } from './reads.ts';

/** Messages of a category from a global position on. An empty category is all of them. */
export function readCategory({ schema, own, v }: SqlNames): string {
  const reads = readStatements(schema);
  return `create or replace function ${own}.read_category${v}(
  p_category text, p_global_position bigint, p_limit bigint, p_correlation text, p_member int, p_size int
)
returns table (${RECORD_TYPE}) language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
#variable_conflict use_column
begin
  if p_category = '' then
    return query ${reads.all};
  else
    return query ${reads.category};
  end if;
end
$read$`;
}
