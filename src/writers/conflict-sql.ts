/** A sink's rule for rows that meet under a unique key, as SQL: the same clause for all writers. */

import { getTableName } from 'drizzle-orm';
import { quoteName } from '../core/sql-text.ts';
import type { ConflictRule } from '../sinks/on-conflict.ts';
import type { TableSink } from '../sinks/sink.ts';

/** What follows the rows of an INSERT; empty for a sink without a rule. */
export function conflictClause({ onConflict, table }: Pick<TableSink, 'onConflict' | 'table'>): string {
  if (onConflict === undefined) return '';
  const target = onConflict.key === undefined ? '' : ` (${listOf(onConflict.key)})`;
  if (onConflict.action === 'ignore') return ` on conflict${target} do nothing`;
  const { set, newerBy } = onConflict;
  const assigned = set.map((name) => `${quoteName(name)} = excluded.${quoteName(name)}`).join(', ');
  return ` on conflict${target} do update set ${assigned}${newerBy === undefined ? '' : ` where ${isNewer(table, newerBy)}`}`;
}

// What has no value is older than what has one.
function isNewer(table: TableSink['table'], name: string): string {
  const there = `${quoteName(getTableName(table))}.${quoteName(name)}`;
  const given = `excluded.${quoteName(name)}`;
  return `${given} > ${there} or (${there} is null and ${given} is not null)`;
}

/**
 * The INSERT that merges a batch into a sink's table: one row for each key, sorted by the key, so that two shards which write
 * the same keys lock them in the same order and neither waits for the other for ever.
 *
 * The server compares: by the types of the columns, 1.0 is 1.00, and two times in different zones are one.
 *
 * @param source where the batch is, with a column for the place of each row in it
 */
export function mergeStatement(sink: TableSink, source: { table: string; place: string }): string {
  const { onConflict, quotedTable, columns } = sink;
  const names = columns.map(({ name }) => name);
  const rows =
    onConflict?.action === 'update'
      ? lastRows(onConflict, quotedTable, names, source)
      : sortedRows(onConflict?.order ?? [], names, source);
  return `insert into ${quotedTable} (${listOf(names)}) ${rows}${conflictClause(sink)}`;
}

interface Source {
  table: string;
  place: string;
}

// Of two rows with one key, the first one in is what the second meets: nothing has to be compared here.
function sortedRows(order: readonly string[], names: readonly string[], { table, place }: Source): string {
  const by = [...order.map(given), given(place)];
  return `select ${names.map(given).join(', ')} from ${table} as given order by ${by.join(', ')}`;
}

// An INSERT may not update one row twice (21000).
function lastRows(
  { key, set, newerBy, nulls, keptFromFirst }: Extract<ConflictRule, { action: 'update' }>,
  quotedTable: string,
  names: readonly string[],
  { table, place }: Source,
): string {
  const isNull = key.map((name) => `${given(name)} is null`).join(' or ');
  const sameKey = [
    ...key.map(given),
    ...(nulls === 'never' ? [] : [apart(isNull, place, nulls, quotedTable)]),
  ];
  const best =
    newerBy === undefined ? [`${given(place)} desc`] : [`${given(newerBy)} desc nulls last`, given(place)];
  const select = `select distinct on (${sameKey.join(', ')})`;
  if (keptFromFirst.length === 0) {
    const order = [...sameKey, ...best].join(', ');
    return `${select} ${names.map(given).join(', ')} from ${table} as given order by ${order}`;
  }
  const values = names.map((name) =>
    set.includes(name) ? `first_value(${given(name)}) over best as ${quoteName(name)}` : given(name),
  );
  return `${select} ${values.join(', ')} from ${table} as given window best as (partition by ${sameKey.join(', ')} order by ${best.join(', ')}) order by ${[...sameKey, given(place)].join(', ')}`;
}

// Keys with NULL are kept apart by their places. Where the schema says that NULLs are alike, the index is asked whether it
// says so too: rows that it would keep must not be dropped.
function apart(isNull: string, place: string, nulls: 'distinct' | 'equal', quotedTable: string): string {
  if (nulls === 'distinct') return `case when ${isNull} then ${given(place)} end`;
  const oid = `pg_catalog.to_regclass('${quotedTable.replaceAll("'", "''")}')`;
  const areEqual = `select from pg_catalog.pg_index where indrelid = ${oid} and indisunique and indnullsnotdistinct`;
  return `case when (${isNull}) and not exists (${areEqual}) then ${given(place)} end`;
}

function given(name: string): string {
  return `given.${quoteName(name)}`;
}

function listOf(names: readonly string[]): string {
  return names.map(quoteName).join(', ');
}
