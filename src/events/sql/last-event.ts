import type { SqlNames } from '../../store/store-schema.ts';
import { positionStatements } from './positions.ts';

/** Position of the last event with a tag. */
export function lastEvent({ schema, own, v }: SqlNames): string {
  const statements = positionStatements(schema);
  return `create or replace function ${own}.last_event${v}(p_tag text) returns bigint language plpgsql stable
as $lookup$
declare
  v_tag text := p_tag;
  v_type text;
  v_last bigint;
begin
  foreach v_type in array ${own}.event_types${v}(p_tag) loop
    v_last := greatest(v_last, (${statements.last}));
  end loop;
  return v_last;
end
$lookup$`;
}
