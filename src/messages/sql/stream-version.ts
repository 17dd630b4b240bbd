import { INDEX_ORDER_ONLY } from '../../store/postgres-functions.ts';
import type { SqlNames } from '../../store/store-schema.ts';
import { readStatements } from './reads.ts';

/** Position of the last message of a stream; null where there is none. */
export function streamVersion({ schema, own, v }: SqlNames): string {
  const reads = readStatements(schema);
  return `create or replace function ${own}.stream_version${v}(p_stream text) returns bigint language plpgsql stable
${INDEX_ORDER_ONLY}
as $read$
begin
  return (${reads.version});
end
$read$`;
}
