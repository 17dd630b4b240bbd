/** The table of all writers, and the choice of one. */

import { faultOfBatch } from '../sinks/refused-rows.ts';
import type { Sink, TableSink } from '../sinks/sink.ts';
import type { WriterMode } from '../sinks/writer-mode.ts';
import { prepareAppends } from './append.ts';
import { buffered } from './buffered.ts';
import { bulk } from './bulk.ts';
import { copy } from './copy.ts';
import { merging } from './merging.ts';
import { naive } from './naive.ts';
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
}

/** A table is written by the writer that its options name, a stream by appends. */
export function writingOf(sink: Sink): Writing {
  if (sink.kind === 'stream') {
    return { plan: batchPlan(sink.options), isExactlyOnce: true, create: () => prepareAppends(sink) };
  }
  const writer = WRITERS[sink.options.writer];
  return {
    plan: writer.plan(sink.options),
    isExactlyOnce: writer.isExactlyOnce,
    create: () => preparing(sink, writer.create(sink)),
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
