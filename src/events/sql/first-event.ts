import type { SqlNames } from '../../store/store-schema.ts';

/** The first position after `p_after`. */
export function firstEvent({ own, v }: SqlNames): string {
  return `create or replace function ${own}.first_event${v}(p_after bigint) returns bigint language plpgsql volatile
as $lookup$
begin
  return (select e."position" from ${own}.events e where e."position" > p_after order by e."position" limit 1);
end
$lookup$`;
}
