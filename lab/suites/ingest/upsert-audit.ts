/** What is there of messages that share a key, against what has to be. */

import { sql } from 'drizzle-orm';
import type { Database } from '../../../src/database/connection.ts';
import type { Audit } from '../../result.ts';
import type { AuditInput } from './audit.ts';
import { benchTableName } from './bench-sink.ts';
import { benchProducer } from './payload.ts';
import { readingSql, survivors, type UpsertSpec } from './upsert-keys.ts';

interface ProducerRow {
  producer: string;
  rows: number;
  keys: number;
  right: number;
}

/**
 * Reads the whole table: each key once, with the message that has to win, whole. A message counts as lost where its row is not
 * there, and a row as one too many where another message should have it.
 */
export async function auditUpserts(db: Database, input: AuditInput, upsert: UpsertSpec): Promise<Audit> {
  const { action, duplicates } = upsert;
  const messages = input.messagesPerClient as number;
  const n = sql`n`;
  const result = await db.execute(sql`
    with sent as (select n, ${readingSql(n, duplicates)} as reading from generate_series(0, ${messages - 1}::int) as n),
      winners as (select ${action === 'update' ? sql`max(n)` : sql`min(n)`} as n, reading from sent group by reading)
    select producer, count(*)::int as rows, count(distinct found.reading)::int as keys,
      count(*) filter (where winners.n = (payload::jsonb->>'n')::int and payload::jsonb->>'device' = 'thermometer-' || substring(producer from '[^-]*$'))::int as right
    from ${sql.raw(benchTableName(input.table))} as found left join winners on winners.reading = found.reading
    group by producer`);
  const rows = new Map((result as unknown as { rows: ProducerRow[] }).rows.map((row) => [row.producer, row]));
  return compareUpserts(rows, input, survivors(messages, upsert).size);
}

/** The arithmetic of it: pure, so that it can be shown to fail. */
export function compareUpserts(
  rows: ReadonlyMap<string, ProducerRow>,
  { run, clients, messagesPerClient, refused }: AuditInput,
  expected: number,
): Audit {
  const ours = Array.from({ length: clients }, (_, client) => rows.get(benchProducer(run, client)));
  const found = [...rows.values()].reduce((sum, row) => sum + row.rows, 0);
  const right = ours.reduce((sum, row) => sum + Math.min(row?.right ?? 0, row?.keys ?? 0), 0);
  return {
    sent: clients * (messagesPerClient as number),
    refused,
    found,
    lost: Math.max(0, clients * expected - refused - right),
    duplicated: found - right,
    // An update leaves its row where it is.
    outOfOrder: 0,
  };
}
