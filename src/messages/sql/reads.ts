/** The statements that read messages. */

import { quoteName } from '../../core/sql-text.ts';

/**
 * Columns of a message as the functions return it. JSON goes out as text: the drivers would parse it, and those who
 * pass it on would have to write it again.
 */
export const RECORD_TYPE =
  'id uuid, stream_name text, type text, "position" bigint, global_position bigint, data text, metadata text, time_us bigint';

const RECORD =
  'm.id, m.stream_name, m.type, m."position", m.global_position, m.data::text, m.metadata::text, (extract(epoch from m."time") * 1000000)::bigint';

/**
 * Filters of a category's read: each is null where it is not asked for. The remainder is taken before the absolute
 * value, which the lowest of all numbers does not have. Streams without an id have no hash, and belong to no member.
 */
const FILTERS =
  '(p_correlation is null or m.correlation = p_correlation) and (p_size is null or abs(m.cardinal_hash % p_size) = p_member)';

/**
 * The statements that read, by what they are for. The functions consist of them, and a test explains them.
 *
 * The category's bounds are written as a range, not as an equality: with an equality, `order by global_position` would
 * be enough, which the primary key gives too, and a planner that takes the category for a frequent one would walk
 * along all messages and throw away those of others.
 */
export function readStatements(schema: string) {
  const from = `from ${quoteName(schema)}.messages m`;
  return {
    stream: `select ${RECORD} ${from} where m.stream_name = p_stream and m."position" >= p_position order by m."position" limit p_limit`,
    streamFromGlobal: `select ${RECORD} ${from} where m.stream_name = p_stream and m.global_position >= p_global_position order by m."position" limit p_limit`,
    category: `select ${RECORD} ${from} where (m.category, m.global_position) >= (p_category, p_global_position) and m.category <= p_category and ${FILTERS} order by m.category, m.global_position limit p_limit`,
    all: `select ${RECORD} ${from} where m.global_position >= p_global_position and ${FILTERS} order by m.global_position limit p_limit`,
    last: `select ${RECORD} ${from} where m.stream_name = p_stream order by m."position" desc limit 1`,
    lastOfType: `select ${RECORD} ${from} where m.stream_name = p_stream and m.type = p_type order by m."position" desc limit 1`,
    version: `select m."position" ${from} where m.stream_name = p_stream order by m."position" desc limit 1`,
  };
}
