/** The table of all writers, and the choice of one. */

import type { Connection } from '../database/connection.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import { faultOfBatch } from '../sinks/refused-rows.ts';
import type { Sink, TableSink } from '../sinks/sink.ts';
import type { WriterMode } from '../sinks/writer-mode.ts';
import { prepareAppends } from './append.ts';
import { buffered } from './buffered.ts';
import { bulk } from './bulk.ts';
import { copy } from './copy.ts';
import { merging } from './merging.ts';
import { naive } from './naive.ts';
import { prepareRoutes } from './routes.ts';
import { findRefusedRows, type RefusedRow } from './row-look.ts';
import { unnest } from './unnest.ts';
import { batchPlan, type PrepareWrite, type WritePlan, type Writer } from './writer.ts';

export const WRITERS: Readonly<Record<WriterMode, Writer>> = {
  naive,
  buffered,
  bulk: merging(bulk),
  unnest: merging(unnest),
  copy: merging(copy),
};

/** How the batches of one sink are written. */
export interface Writing {
  plan: WritePlan;
  /** True where a batch is one transaction, and so can be counted by a checkpoint in it. */
  isExactlyOnce: boolean;
  /** Makes what is needed once. Each connection gets its own. */
  create(): PrepareWrite;
  /** The columns that are written; undefined for streams. */
  columns: ReadonlySet<string> | undefined;
  /** Finds many rows at once that Postgres refuses; undefined where rows are written one by one, for routes and for streams. */
  findRefused: ((connection: Connection, batch: MessageBatch) => Promise<RefusedRow[]>) | undefined;
}

/** Tables are written by the writer that the options name, a stream by appends. */
export function writingOf(sink: Sink): Writing {
  if (sink.kind === 'stream') {
    return {
      plan: batchPlan(sink.options),
      isExactlyOnce: true,
      create: () => prepareAppends(sink),
      columns: undefined,
      findRefused: undefined,
    };
  }
  const writer = WRITERS[sink.options.writer];
  if (sink.kind === 'routes') {
    return {
      plan: writer.plan(sink.options),
      isExactlyOnce: true,
      create: () => prepareRoutes(sink, writer),
      columns: new Set(sink.routes.flatMap((route) => route.sink.columns.map(({ name }) => name))),
      // What is refused may be a row of any of the tables: halving finds whose message it is.
      findRefused: undefined,
    };
  }
  return {
    plan: writer.plan(sink.options),
    isExactlyOnce: writer.isExactlyOnce,
    create: () => preparing(sink, writer.create(sink)),
    columns: new Set(sink.columns.map(({ name }) => name)),
    findRefused: writer.isExactlyOnce
      ? (connection, batch) => findRefusedRows(connection, sink, batch)
      : undefined,
  };
}

/** Where the mapping refuses messages of a batch, all of them are found at once. */
function preparing(sink: TableSink, prepare: PrepareWrite): PrepareWrite {
  return function prepareOrRefuse(batch) {
    try {
      return prepare(batch);
    } catch (error) {
      throw faultOfBatch(sink, batch, error);
    }
  };
}
