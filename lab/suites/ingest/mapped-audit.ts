/** What is there of messages that were mapped to columns, in one table or in those of their routes, against what has to be. */

import { sql } from 'drizzle-orm';
import type { Database } from '../../../src/database/connection.ts';
import type { Audit } from '../../result.ts';
import { type AuditInput, compareRows, type ProducerRow } from './audit.ts';
import { benchTableName } from './bench-sink.ts';
import type { MappedTable } from './mapped-sink.ts';
import { benchPayload } from './payload.ts';

/**
 * Reads the tables: each message once in every table that it belongs to, with its values, and in no other. A message counts as
 * lost once for each table that lacks it; a row with a wrong value, or in a wrong table, as one too many.
 */
export async function auditMapped(
  db: Database,
  input: AuditInput,
  tables: readonly MappedTable[],
): Promise<Audit> {
  const messages = input.messagesPerClient as number;
  const sent = input.clients * messages;
  const sum: Audit = { sent, refused: input.refused, found: 0, lost: 0, duplicated: 0, outOfOrder: 0 };
  for (const { table, takes, holds } of tables) {
    const result = await db.execute(sql`
      select producer, count(*)::int as rows, count(distinct n)::int as distinct, min(n)::int as lowest,
        max(n)::int as highest, count(*) filter (where n < previous)::int as out_of_order
      from (
        select producer, n, lag(n) over (partition by producer order by id) as previous
        from (
          select id, n,
            case when ${holds} and device = 'thermometer-' || substring(producer from '[^-]*$')
              and temperature = 20 + (n % 97) / 10::double precision
              and rest = jsonb_build_object('humidity', 40 + n % 31, 'status', 'ok') then producer else '' end as producer
          from ${sql.raw(benchTableName(table))}
        ) as checked
      ) as numbered
      group by producer`);
    const { rows } = result as unknown as { rows: ProducerRow[] };
    const found = compareRows(rows, { ...input, refused: 0 });
    let elsewhere = 0;
    for (let n = 0; n < messages; n += 1) if (!takes(JSON.parse(benchPayload('', n)))) elsewhere += 1;
    sum.found += found.found;
    sum.lost += found.lost - input.clients * elsewhere;
    sum.duplicated += found.duplicated;
    sum.outOfOrder += found.outOfOrder;
  }
  // A message that was refused is missing in one table at least.
  return { ...sum, lost: Math.max(0, sum.lost - input.refused) };
}
