/**
 * Batches of a sink that has a rule for rows which meet under a unique key. The writer puts the batch into a temporary table in
 * its own way, and one INSERT merges that into the sink's table. The temporary table ends with the transaction, so nothing is
 * left in the session, and a pooler may give each transaction another one.
 */

import { SluiceError } from '../core/errors.ts';
import { quoteName } from '../core/sql-text.ts';
import type { Connection, Database } from '../database/connection.ts';
import { serverErrorOf } from '../database/server-error.ts';
import { STAGE } from '../sinks/on-conflict.ts';
import type { SinkColumn, TableSink } from '../sinks/sink.ts';
import { mergeStatement } from './conflict-sql.ts';
import { knownStatement } from './known-statement.ts';
import { NULL_IN_ARRAYS } from './table-types.ts';
import type { PrepareWrite, Write, Writer } from './writer.ts';

/** A writer of batches that follows the sink's rule for rows which meet under a unique key, if it has one. */
export function merging(writer: Writer): Writer {
  return {
    ...writer,
    create: (sink) => (sink.onConflict === undefined ? writer.create(sink) : mergeBatches(writer, sink)),
  };
}

/** Makes way for another sink's batch in the same transaction. */
export async function dropStage({ db }: Connection): Promise<void> {
  await execute(db, `drop table ${STAGE}`);
}

function mergeBatches(writer: Writer, sink: TableSink): PrepareWrite {
  const place = freeName(sink.columns);
  const staged: TableSink = {
    ...sink,
    quotedTable: STAGE,
    columns: [...sink.columns, placeColumn(place)],
    onConflict: undefined,
  };
  const prepare = writer.create(staged);
  const create = stageStatement(sink, place);
  const merge = mergeStatement(sink, { table: STAGE, place });
  return function prepareMerge(batch) {
    const stage = prepare(batch);
    return async function mergeBatch(connection, transaction = 'own') {
      // In the caller's transaction it is said already.
      const first = transaction === 'callers' ? create : `${NULL_IN_ARRAYS}; ${create}`;
      const run = writer.mode === 'copy' ? inOneMessage(first, stage, merge) : inTurn(first, stage, merge);
      try {
        if (transaction === 'callers') await run(connection, 'callers');
        else await connection.db.transaction(() => run(connection, 'callers'));
      } catch (error) {
        throw conflictError(error, sink);
      }
    };
  };
}

function inTurn(create: string, stage: Write, merge: string): Write {
  return async (connection) => {
    await execute(connection.db, create);
    await stage(connection, 'callers');
    await execute(connection.db, merge);
  };
}

/** A COPY may stand among other statements of one message: no further round trips. */
function inOneMessage(create: string, stage: Write, merge: string): Write {
  return (connection) =>
    stage(
      {
        db: connection.db,
        isOpen: connection.isOpen,
        copy: (statement, data) => connection.copy(`${create}; ${statement}; ${merge}`, data),
        copyStream: connection.copyStream,
        cancel: connection.cancel,
        close: connection.close,
      },
      'callers',
    );
}

async function execute(db: Database, statement: string): Promise<void> {
  await db.execute(knownStatement(statement, []));
}

/**
 * A table of the same types, without constraints: these are the sink's table's to judge. A row of NULLs has the types, so that
 * no right to read the table is needed.
 */
function stageStatement({ quotedTable, columns }: TableSink, place: string): string {
  const typed = columns.map(({ name }) => `(null::${quotedTable}).${quoteName(name)} as ${quoteName(name)}`);
  return `create temporary table ${STAGE} on commit drop as select ${typed.join(', ')}, 0 as ${quoteName(place)} with no data`;
}

/** The row's place in the batch. */
function placeColumn(name: string): SinkColumn {
  return { key: name, name, sqlType: 'integer', shape: 'digits', text: (_, row) => String(row) };
}

function freeName(columns: readonly SinkColumn[]): string {
  let name = 'sluice_place';
  while (columns.some((column) => column.name === name)) name += '_';
  return name;
}

/** What failed about the rule itself, as a sentence that says what to do; everything else as it is. */
export function conflictError(error: unknown, { name, onConflict, quotedTable }: TableSink): unknown {
  const { sqlState, routine } = serverErrorOf(error) ?? {};
  const sentence =
    sqlState === '42P10'
      ? `The table ${quotedTable} has no unique index on exactly (${onConflict?.key?.join(', ')}) for all of its rows, which onConflict of the sink ${name} needs. Create it: create unique index on ${quotedTable} (${onConflict?.key?.map(quoteName).join(', ')})`
      : sqlState === '42501' && routine === 'InitTempTableNamespace'
        ? `The sink ${name} has onConflict, and batches go through a temporary table, which this role may not create. Allow it: grant temporary on database … to …`
        : undefined;
  return sentence === undefined
    ? error
    : new SluiceError('invalid_configuration', sentence, { cause: error, details: { sqlState } });
}
