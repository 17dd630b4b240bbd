import type { SqlNames } from '../../store/store-schema.ts';
import { positionStatements } from './positions.ts';

/**
 * The types of the events with a tag. Goes from one type to the next along the index, however many events lie between them.
 *
 * Like all look-ups: called by functions whose settings hold in here too; to set them again would cost each call 10 µs.
 */
export function eventTypes({ schema, own, v }: SqlNames): string {
  const statements = positionStatements(schema);
  return `create or replace function ${own}.event_types${v}(p_tag text) returns text[] language plpgsql stable
as $lookup$
declare
  v_types text[] := '{}';
  v_type text := (${statements.firstType});
begin
  while v_type is not null loop
    v_types := v_types || v_type;
    v_type := (${statements.nextType});
  end loop;
  return v_types;
end
$lookup$`;
}
