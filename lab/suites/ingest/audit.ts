/** Rows sent against rows found: what makes a figure of the bench count. */

import { sql } from 'drizzle-orm';
import type { Database } from '../../../src/database/connection.ts';
import type { Audit } from '../../result.ts';
import { benchTableName } from './bench-sink.ts';
import { benchProducer } from './payload.ts';

export interface AuditInput {
  table: string;
  run: string;
  clients: number;
  /** Messages that each client sent, numbered from 0; or one number for each client. */
  messagesPerClient: number | readonly number[];
  /** Messages that were answered with an error frame. */
  refused: number;
}

/** What is there of one producer. */
export interface ProducerRow {
  producer: string;
  rows: number;
  distinct: number;
  lowest: number;
  highest: number;
  out_of_order: number;
}

/** Reads the whole table and compares it with what was sent. */
export async function auditTable(db: Database, input: AuditInput): Promise<Audit> {
  const result = await db.execute(sql`
    select producer, count(*)::int as rows, count(distinct n)::int as distinct, min(n)::int as lowest,
      max(n)::int as highest, count(*) filter (where n < previous)::int as out_of_order
    from (
      select producer, (message->>'n')::int as n,
        lag((message->>'n')::int) over (partition by producer order by id) as previous
      from (
        select id, payload::jsonb as message,
          -- A message in the row of another producer is nobody's.
          case when payload::jsonb->>'device' = 'thermometer-' || substring(producer from '[^-]*$') then producer else '' end as producer
        from ${sql.raw(benchTableName(input.table))}
      ) as parsed
    ) as numbered
    group by producer`);
  return compareRows((result as unknown as { rows: ProducerRow[] }).rows, input);
}

/** The arithmetic of the audit: pure, so that it can be shown to fail. */
export function compareRows(
  rows: readonly ProducerRow[],
  { run, clients, messagesPerClient, refused }: AuditInput,
): Audit {
  const expected = new Map(
    Array.from({ length: clients }, (_, client) => [
      benchProducer(run, client),
      typeof messagesPerClient === 'number' ? messagesPerClient : (messagesPerClient[client] ?? 0),
    ]),
  );
  const audit: Audit = {
    sent: [...expected.values()].reduce((sum, messages) => sum + messages, 0),
    refused,
    found: 0,
    lost: 0,
    duplicated: 0,
    outOfOrder: 0,
  };
  let known = 0;
  for (const row of rows) {
    audit.found += row.rows;
    audit.outOfOrder += row.out_of_order;
    const isOurs = row.lowest >= 0 && row.highest < (expected.get(row.producer) ?? 0);
    // Rows that nobody sent are as wrong as rows that came twice.
    audit.duplicated += isOurs ? row.rows - row.distinct : row.rows;
    known += isOurs ? row.distinct : 0;
  }
  audit.lost = Math.max(0, audit.sent - refused - known);
  return audit;
}
