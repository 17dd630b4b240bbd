/** Checks of whether the sinks can write: their tables, the role's rights, what keeps a transaction from being one. */

import { getTableName } from 'drizzle-orm';
import { errorText } from '../../src/core/errors.ts';
import { quoteName, quoteText } from '../../src/core/sql-text.ts';
import { sqlState } from '../../src/database/connection.ts';
import { deadLetters } from '../../src/schema/dead-letters.ts';
import type { Sink, TableSink } from '../../src/sinks/sink.ts';
import { conflictClause } from '../../src/writers/conflict-sql.ts';
import { missingSteps } from '../migrate.ts';
import { type Check, type Finding, good, wrong } from './check.ts';
import { type DatabaseFacts, tableSinks } from './database-facts.ts';

const INSUFFICIENT_PRIVILEGE = '42501';

export const WRITE_CHECKS: readonly Check<DatabaseFacts>[] = [
  {
    name: 'tables',
    about: "Sluice's own tables are there, and none of their migrations is missing.",
    remedy: '`npx sluice migrate`, as the role that owns the tables.',
    async look({ url, shown }) {
      const pending = await missingSteps(url);
      return pending.length === 0
        ? [good(`The database ${shown} answers, and has the tables of Sluice`)]
        : [
            wrong(
              `The database ${shown} answers, but lacks ${pending.join(', ')}`,
              'Without its tables no shard writes.',
              'npx sluice migrate',
            ),
          ];
    },
  },
  {
    name: 'takes-writes',
    about: 'The server is no standby, and transactions of this role may write.',
    remedy: 'Name the primary in `DATABASE_URL`; `alter role … reset default_transaction_read_only`.',
    async look({ ask, role }) {
      const [row] = await ask<{ standby: boolean; only: string }>(
        `select pg_is_in_recovery() as standby, current_setting('default_transaction_read_only') as only`,
      );
      if (row?.standby)
        return [wrong('The server is a standby', 'It takes no writes. Name the primary in DATABASE_URL.')];
      if (row?.only !== 'on') return [];
      return [
        wrong(
          'Transactions of this role only read (default_transaction_read_only)',
          'Every batch would be refused.',
          `alter role ${quoteName(role)} set default_transaction_read_only = off`,
        ),
      ];
    },
  },
  {
    name: 'encoding',
    about: 'The database stores text as UTF-8, as messages are.',
    remedy: "Make a database with `encoding 'UTF8'`, and move the tables there.",
    async look({ ask, address }) {
      const [row] = await ask<{ encoding: string }>(`select current_setting('server_encoding') as encoding`);
      if (row?.encoding === 'UTF8') return [];
      return [
        wrong(
          `The database stores text as ${row?.encoding}`,
          'Messages are UTF-8: characters that it lacks make a dead letter of each message that has one.',
          `create database ${quoteName(`${address.database}_utf8`)} encoding 'UTF8' template template0`,
        ),
      ];
    },
  },
  {
    name: 'sink-tables',
    about:
      'Each table of a sink is there, with its columns, and with the unique index that `onConflict` needs; and a crash does not empty it (`unlogged`).',
    remedy: 'Your migrations: `npx sluice migrate`; `alter table … set logged`.',
    async look(facts) {
      const findings: Finding[] = [];
      for (const sink of tableSinks(facts.sinks)) {
        const refusal = await refusalOf(facts, sink);
        if (refusal !== undefined && refusal.state !== INSUFFICIENT_PRIVILEGE)
          findings.push(
            wrong(
              `The sink ${sink.name} cannot write to ${sink.quotedTable}: ${refusal.text}`,
              'Its messages would wait in the shards. The table of the database is not the one that the code describes.',
              'npx sluice migrate',
            ),
          );
        findings.push(...(await crashFindings(facts, sink)));
      }
      return findings;
    },
  },
  {
    name: 'rights',
    about: 'The role may write to the tables of the sinks, to their sequences, and to the tables of Sluice.',
    remedy: 'The `grant` that the line shows, by the owner of the table.',
    look: lookAtRights,
  },
  {
    name: 'temporary-tables',
    about: 'The role may make temporary tables, which a sink with `onConflict` needs for its batches.',
    remedy: '`grant temporary on database … to …`',
    async look({ ask, sinks, role, address }) {
      const needing = tableSinks(sinks).filter(({ onConflict }) => onConflict !== undefined);
      const [row] = await ask<{ may: boolean }>(
        `select has_database_privilege(current_database(), 'temporary') as may`,
      );
      if (needing.length === 0 || row?.may) return [];
      return [
        wrong(
          `The role ${role} may not make temporary tables`,
          `The sink ${needing[0]?.name} has onConflict, and its batches go through one.`,
          `grant temporary on database ${quoteName(address.database)} to ${quoteName(role)}`,
        ),
      ];
    },
  },
  {
    name: 'row-security',
    about: 'No table of a sink of the writer `copy` has row security that holds for this role.',
    remedy: "Set `options: { writer: 'unnest' }` of the sink, or `alter role … bypassrls`.",
    async look({ ask, sinks, role }) {
      const findings: Finding[] = [];
      for (const { name, quotedTable, options, onConflict } of tableSinks(sinks)) {
        if (options.writer !== 'copy' || onConflict !== undefined) continue;
        const [row] = await ask<{ active: boolean | null }>(
          `select row_security_active(to_regclass(${quoteText(quotedTable)})::oid) as active where to_regclass(${quoteText(quotedTable)}) is not null`,
        );
        if (row?.active)
          findings.push(
            wrong(
              `The table ${quotedTable} has row security, which holds for the role ${role}`,
              `COPY does not write to it. Set options: { writer: 'unnest' } of the sink ${name}, or:`,
              `alter role ${quoteName(role)} bypassrls`,
            ),
          );
      }
      return findings;
    },
  },
];

/** What the server says of an INSERT of the sink's columns, which is planned and not run. Undefined: it would take it. */
async function refusalOf(
  { ask }: DatabaseFacts,
  sink: TableSink,
): Promise<{ state: string; text: string } | undefined> {
  const { quotedTable, columns } = sink;
  const names = columns.map(({ name }) => quoteName(name));
  const values = names.map((name) => `(null::${quotedTable}).${name}`);
  return await refused(() =>
    ask(
      `explain insert into ${quotedTable} (${names.join(', ')}) select ${values.join(', ')} where false${conflictClause(sink)}`,
    ),
  );
}

async function refused(ask: () => Promise<unknown>): Promise<{ state: string; text: string } | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    const state = sqlState(error);
    if (state === undefined) throw error;
    return { state, text: errorText(error) };
  }
}

async function crashFindings({ ask }: DatabaseFacts, { name, quotedTable }: TableSink): Promise<Finding[]> {
  const [row] = await ask<{ persistence: string }>(
    `select relpersistence as persistence from pg_class where oid = to_regclass(${quoteText(quotedTable)})`,
  );
  if (row?.persistence !== 'u') return [];
  return [
    wrong(
      `The table ${quotedTable} of the sink ${name} is unlogged`,
      'A crash of the server empties it, and the messages are no longer in the shards.',
      `alter table ${quotedTable} set logged`,
    ),
  ];
}

async function lookAtRights(facts: DatabaseFacts): Promise<Finding[]> {
  const { ask, role, sinks } = facts;
  const findings: Finding[] = [];
  for (const sink of tableSinks(sinks)) {
    const { name, quotedTable, onConflict } = sink;
    const refusal = await refusalOf(facts, sink);
    if (refusal?.state === INSUFFICIENT_PRIVILEGE) {
      const rights =
        onConflict?.action === 'update'
          ? 'insert, update, select'
          : onConflict === undefined
            ? 'insert'
            : 'insert, select';
      const schema = /^("(?:[^"]|"")*")\./.exec(quotedTable)?.[1];
      findings.push(
        wrong(
          `The role ${role} may not write to ${quotedTable} of the sink ${name}`,
          `Its messages would wait in the shards: ${refusal.text}.`,
          ...(schema === undefined ? [] : [`grant usage on schema ${schema} to ${quoteName(role)}`]),
          `grant ${rights} on ${quotedTable} to ${quoteName(role)}`,
        ),
      );
    }
    findings.push(...(await sequenceFindings(facts, sink)));
  }
  for (const [table, statements, rights] of ownStatements(sinks)) {
    for (const statement of statements) {
      const refusal = await refused(() => ask(`explain ${statement}`));
      if (refusal?.state !== INSUFFICIENT_PRIVILEGE) continue;
      findings.push(
        wrong(
          `The role ${role} may not use the table ${table}`,
          `A shard counts its batches there, or copies its dead letters: ${refusal.text}.`,
          `grant ${rights} on ${quoteName(table)} to ${quoteName(role)}`,
        ),
      );
      break;
    }
  }
  return findings;
}

/** What shards do with Sluice's own tables, and the rights for it. */
function ownStatements(sinks: readonly Sink[]): [string, string[], string][] {
  const checkpointTables = new Set(['sluice_checkpoints', ...sinks.map((sink) => sink.checkpointTable)]);
  const tables = [...checkpointTables].map((table): [string, string[], string] => {
    const name = quoteName(table);
    return [
      table,
      [
        `insert into ${name} (sink, shard, lane, incarnation, position) values ('', '', 0, '', 0) on conflict do nothing`,
        `update ${name} set position = 0, updated_at = now(), incarnation = '' where sink = '' and shard = '' and lane = 0`,
      ],
      'select, insert, update',
    ];
  });
  if (!sinks.some(({ options }) => options.deadLetters === 'table')) return tables;
  const table = getTableName(deadLetters);
  const name = quoteName(table);
  return [
    ...tables,
    [
      table,
      [
        `insert into ${name} select * from ${name} where false on conflict do nothing`,
        `delete from ${name} where sink = ''`,
      ],
      'select, insert, delete',
    ],
  ];
}

/**
 * A column that is not written takes its number from a sequence, and the role needs a right to it unless it is an identity. The
 * server may ask for the right before it knows that it has a sequence: hence the case.
 */
async function sequenceFindings(
  { ask, role }: DatabaseFacts,
  { quotedTable, columns }: TableSink,
): Promise<Finding[]> {
  const written = columns.map(({ name }) => quoteText(name));
  const rows = await ask<{ sequence: string }>(
    `select distinct s.oid::regclass::text as sequence
      from pg_attrdef d
      join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attidentity = '' and not a.attisdropped
      join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass
      join pg_class s on s.oid = p.refobjid and s.relkind = 'S'
      where d.adrelid = to_regclass(${quoteText(quotedTable)}) and a.attname not in (${written.join(', ')})
        and not case when s.relkind = 'S' then has_sequence_privilege(s.oid, 'usage, update') else true end`,
  );
  return rows.map(({ sequence }) =>
    wrong(
      `The role ${role} may not take numbers from the sequence ${sequence}`,
      `Each row of ${quotedTable} needs one.`,
      `grant usage on sequence ${sequence} to ${quoteName(role)}`,
    ),
  );
}
