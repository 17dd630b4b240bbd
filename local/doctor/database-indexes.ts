/** Checks of what grows with the rows of sinks: indexes that each insert pays for, and sequences that come to their end. */

import { quoteText } from '../../src/core/sql-text.ts';
import { type Check, type Finding, unwise, wrong } from './check.ts';
import { type DatabaseFacts, tableSinks } from './database-facts.ts';

/** What nobody has used for so long is not needed. */
const UNUSED_DAYS = 7;
/** Indexes of a table of a sink, beyond which each costs more than most queries win. */
const MANY_INDEXES = 5;
const NEAR_END = 0.75;
const AT_END = 0.95;
const DROP = (name: string) => `drop index concurrently ${name}`;

export const INDEX_CHECKS: readonly Check<DatabaseFacts>[] = [
  {
    name: 'unused-indexes',
    about: `No index of a table of a sink has gone unused for ${UNUSED_DAYS} days: each costs every insert. Unique ones have another purpose, and are left out.`,
    remedy: '`drop index concurrently …`, after a look whether a standby uses it.',
    async look(facts) {
      const rows = await indexes(facts);
      return rows
        .filter(
          ({ isValid, isUnique, scans, days }) => isValid && !isUnique && scans === 0 && days >= UNUSED_DAYS,
        )
        .map(({ name, table, days }) =>
          unwise(
            `The index ${name} of ${table} was not used once in ${Math.floor(days)} days`,
            'Each insert pays for it: in the lab one more index took a third more of the processor. Look first whether a standby uses it, whose figures are its own:',
            DROP(name),
          ),
        );
    },
  },
  {
    name: 'invalid-indexes',
    about:
      'No index was left unfinished by a `create index concurrently` that failed: inserts pay for it, and no query uses it.',
    remedy: '`drop index concurrently …`, and create it again.',
    async look(facts) {
      return (await indexes(facts))
        .filter(({ isValid }) => !isValid)
        .map(({ name, table }) =>
          unwise(
            `The index ${name} of ${table} is not valid`,
            'Its creation failed or goes on. Inserts pay for it, and no query uses it. If nobody creates it now:',
            DROP(name),
          ),
        );
    },
  },
  {
    name: 'duplicate-indexes',
    about: 'No two indexes of a table of a sink are the same.',
    remedy: '`drop index concurrently …` of the one that is no constraint.',
    async look(facts) {
      const seen = new Map<string, IndexRow>();
      const findings: Finding[] = [];
      // Constraints first: what repeats one of them goes.
      for (const row of (await indexes(facts)).toSorted((a, b) => Number(b.isUnique) - Number(a.isUnique))) {
        const first = seen.get(row.definition);
        if (first === undefined) seen.set(row.definition, row);
        else
          findings.push(
            unwise(
              `The index ${row.name} of ${row.table} is the same as ${first.name}`,
              'Each insert pays for both.',
              DROP(row.name),
            ),
          );
      }
      return findings;
    },
  },
  {
    name: 'many-indexes',
    about: `A table of a sink has at most ${MANY_INDEXES} indexes.`,
    remedy: 'Ask which of them a query needs; move what is only read now and then to another table.',
    async look(facts) {
      const rows = await indexes(facts);
      return [...new Set(rows.map(({ table }) => table))].flatMap((table) => {
        const count = rows.filter((row) => row.table === table).length;
        return count <= MANY_INDEXES
          ? []
          : [
              unwise(
                `The table ${table} has ${count} indexes`,
                'Each insert pays for all of them. This shows which are used:',
                `select indexrelname, idx_scan from pg_stat_user_indexes where relid = ${quoteText(table)}::regclass order by idx_scan`,
              ),
            ];
      });
    },
  },
  {
    name: 'sequences',
    about: `No sequence of a column has used up ${100 * NEAR_END} % of what the column's type holds.`,
    remedy:
      '`alter table … alter column … type bigint`, which writes the table again and locks it meanwhile.',
    look: lookAtSequences,
  },
];

interface IndexRow {
  name: string;
  table: string;
  isUnique: boolean;
  isValid: boolean;
  /** Of all partitions. */
  scans: number;
  /** Since when it was there, or the statistics were reset, or the server started. */
  days: number;
  definition: string;
}

async function indexes({ ask, sinks }: DatabaseFacts): Promise<IndexRow[]> {
  const tables = [...new Set(tableSinks(sinks).map(({ quotedTable }) => quotedTable))];
  if (tables.length === 0) return [];
  const roots = tables.map((table) => `(to_regclass(${quoteText(table)})::oid)`);
  return await ask<IndexRow>(
    `with recursive tree (root, oid) as (
        select i.indexrelid, i.indexrelid from pg_index i where i.indrelid in (select * from (values ${roots.join(', ')}) as roots)
        union
        select root, inhrelid from tree join pg_inherits on inhparent = tree.oid
      ), used as (
        select root, sum(coalesce(idx_scan, 0))::float8 as scans
        from tree left join pg_stat_user_indexes on indexrelid = tree.oid group by root
      )
      select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as table, used.scans,
        i.indisunique or i.indisexclusion or i.indisreplident as "isUnique", i.indisvalid as "isValid",
        extract(epoch from clock_timestamp() - coalesce((select stats_reset from pg_stat_database where datname = current_database()),
          pg_postmaster_start_time()))::float8 / 86400 as days,
        concat_ws(' ', i.indrelid, c.relam, i.indkey, i.indclass, i.indcollation, i.indoption, i.indnkeyatts,
          pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)) as definition
      from used join pg_index i on i.indexrelid = used.root join pg_class c on c.oid = i.indexrelid
      order by 2, 1`,
  );
}

async function lookAtSequences({ ask }: DatabaseFacts): Promise<Finding[]> {
  // Of identity columns and of serial ones, which belong to their column; what may not be read is left out.
  const rows = await ask<{ sequence: string; table: string; column: string; type: string; share: number }>(
    `select sequence, "table", "column", type, last / least(seqmax, case type when 'smallint' then 32767 when 'integer' then 2147483647 else seqmax end) as share
      from (
        select q.seqrelid::regclass::text as sequence, d.refobjid::regclass::text as "table", quote_ident(a.attname) as "column",
          format_type(a.atttypid, null) as type, q.seqmax::float8 as seqmax,
          case when has_sequence_privilege(q.seqrelid, 'select, usage') then pg_sequence_last_value(q.seqrelid) end::float8 as last
        from pg_sequence q
        join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = q.seqrelid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
        join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where q.seqincrement > 0 and not q.seqcycle
      ) as sequences
      where last is not null order by share desc limit 20`,
  );
  return rows
    .filter(({ share }) => share >= NEAR_END)
    .map(({ sequence, table, column, type, share }) =>
      (share >= AT_END ? wrong : unwise)(
        `The sequence ${sequence} has used up ${(100 * share).toFixed(1)} % of what ${column} of ${table} (${type}) holds`,
        'At its end every insert fails. This writes the table again, and locks it meanwhile:',
        `alter table ${table} alter column ${column} type bigint`,
        `alter sequence ${sequence} as bigint`,
      ),
    );
}
