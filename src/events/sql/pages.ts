/** The statements that read a page of events, bounded in events and in bytes. */

import { quoteName } from '../../core/sql-text.ts';

export const RECORD_TYPE =
  '"position" bigint, id uuid, type text, tags text, data text, metadata text, time_us bigint';

// Tags go out as the text of their array: the engine reads it faster than the drivers do.
const RECORD =
  'e."position", e.id, e.type, e.tags::text, e.data, e.metadata, (extract(epoch from e."time") * 1000000)::bigint';

/** A page of the events that a condition on `e` finds, in either direction, as plpgsql. */
export function pageOf(schema: string, where: string): string {
  const own = quoteName(schema);
  const inOrder = (columns: string, where: string, order: string): string =>
    `select ${columns} from ${own}.events e where ${where} order by e."position"${order} limit p_limit`;
  // Sizes of texts are known without the texts, which are only fetched for what goes out.
  const size = 'octet_length(e.data) + coalesce(octet_length(e.metadata), 0) + octet_length(e.tags)';
  const sized = (where: string, order: string): string =>
    inOrder('e."position", e.data, e.metadata, e.tags::text', where, order);
  // Most pages hold less than they may; a sum says so at half of what the window costs.
  const isFitting = (where: string, order: string): string =>
    `p_max_bytes is null or (select coalesce(sum(${size}), 0) from (${sized(where, order)}) e) < p_max_bytes`;
  const fitting = (where: string, order: string): string =>
    `select r."position", r.id, r.type, r.tags, r.data, r.metadata, r.time_us from (
        select e.*, sum(${size}) over (order by e."position"${order} rows between unbounded preceding and 1 preceding) as bytes_before
        from (${inOrder(RECORD, where, order)}) e ("position", id, type, tags, data, metadata, time_us)
      ) r where r.bytes_before is null or r.bytes_before < p_max_bytes`;
  const page = (where: string, order: string): string => `if ${isFitting(where, order)} then
      return query ${inOrder(RECORD, where, order)};
    else
      return query ${fitting(where, order)};
    end if;`;
  return `if p_is_backwards then
    ${page(where, ' desc')}
  else
    ${page(where, '')}
  end if;`;
}
