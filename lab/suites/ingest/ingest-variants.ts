/** The variants of the suite `ingest` that are measured: ways of writing, of acking, and of what a sink makes of messages. */

import { SluiceError } from '../../../src/core/errors.ts';
import { SINK_OPTIONS, type SinkOptions } from '../../../src/sinks/sink-options.ts';
import { WRITER_MODES, type WriterMode } from '../../../src/sinks/writer-mode.ts';
import { WRITERS } from '../../../src/writers/writers.ts';
import type { Variant } from '../../suite.ts';
import type { BenchAck, BenchConflict, BenchSinkKind, IngestParameters } from './ingest-parameters.ts';

/** What a measured variant is, told by its labels. */
export interface IngestVariant {
  mode: WriterMode;
  ack: BenchAck;
  durability: SinkOptions['durability'];
  /** What becomes of messages that share a key. */
  conflict: BenchConflict;
  sink: BenchSinkKind;
  /** Rows of one flush. */
  batch: number;
}

/** What becomes of messages in one variant, whatever the way of acking. */
export type MessageRule = Pick<IngestVariant, 'sink' | 'conflict'>;

/** What can be made of messages with a way of writing. One that writes message by message has no routes. */
export function messageRulesOf(
  { sinks, conflicts }: Pick<IngestParameters, 'sinks' | 'conflicts'>,
  mode: WriterMode,
): MessageRule[] {
  return sinks.flatMap((sink): MessageRule[] => {
    if (sink === 'plain') return conflicts.map((conflict) => ({ sink, conflict }));
    return sink === 'routed' && !WRITERS[mode].isExactlyOnce ? [] : [{ sink, conflict: 'error' }];
  });
}

/**
 * Each way of writing with each level on each kind of durability that has it, and each size of batches. The first of
 * these has the plain name.
 */
export function measuredVariants(parameters: IngestParameters): Variant[] {
  const { modes, acks, durability: durabilities, batch } = parameters;
  const variants: Variant[] = [];
  for (const mode of WRITER_MODES) {
    if (!modes.includes(mode)) continue;
    const rules = messageRulesOf(parameters, mode);
    if (rules.length === 0)
      throw new SluiceError(
        'invalid_options',
        `Cannot use sinks routed with the mode ${mode}, which writes message by message: bulk, unnest and copy are allowed`,
      );
    const { description, isExactlyOnce } = WRITERS[mode];
    // Those that write row by row know no batches.
    const sizes = isExactlyOnce ? batch : batch.slice(0, 1);
    let isFirst = true;
    for (const durability of durabilities) {
      for (const ack of acks) {
        // Without an outbox nothing is ever stored.
        if (ack === 'stored' && durability === 'memory') continue;
        const delivery = isExactlyOnce && durability === 'outbox' ? 'exactly once' : 'at least once';
        for (const size of sizes) {
          const suffix = `${acks.length * durabilities.length > 1 ? ` ${ack} ${durability}` : ''}${sizes.length > 1 ? ` ${size}` : ''}`;
          const labels = { batch: isExactlyOnce ? String(size) : '', ack, durability, delivery };
          const name = isFirst ? mode : `${mode}${suffix}`;
          for (const rule of rules)
            variants.push(variantOf(rule, { name, role: 'measured', description, labels }, parameters));
          isFirst = false;
        }
      }
    }
  }
  if (variants.length === 0) {
    throw new SluiceError(
      'invalid_options',
      `Cannot use acks ${acks.join(', ')} with durability ${durabilities.join(', ')}: without an outbox nothing is stored, so acks none, committed and raw are allowed`,
    );
  }
  return variants;
}

function variantOf(
  { sink, conflict }: MessageRule,
  plain: Variant,
  { duplicates }: IngestParameters,
): Variant {
  const { name, description, labels } = plain;
  if (sink !== 'plain')
    return {
      ...plain,
      name: `${name} ${sink}`,
      description: `${description}; ${sink}`,
      labels: { ...labels, sink },
    };
  if (conflict === 'error') return plain;
  return {
    ...plain,
    name: `${name} ${conflict}`,
    description: `${description}; ${duplicates} % have a known key: ${conflict}`,
    labels: { ...labels, conflict },
  };
}

/** Reads a measured variant back. */
export function ingestVariantOf(
  { name, labels }: Variant,
  { batch: [first = SINK_OPTIONS.batchRows.default] }: Pick<IngestParameters, 'batch'>,
): IngestVariant {
  const {
    ack,
    durability,
    batch,
    conflict = 'error',
    sink = 'plain',
  } = labels as {
    ack: BenchAck;
    durability: SinkOptions['durability'];
    batch: string;
    conflict?: BenchConflict;
    sink?: BenchSinkKind;
  };
  return {
    mode: name.split(' ')[0] as WriterMode,
    ack,
    durability,
    conflict,
    sink,
    batch: batch === '' ? first : Number(batch),
  };
}

/** The options of the sink that a variant is measured with. */
export function sinkOptionsOf(
  { mode, durability, batch }: Pick<IngestVariant, 'mode' | 'durability' | 'batch'>,
  parameters: IngestParameters,
): Partial<SinkOptions> {
  return {
    writer: mode,
    durability,
    batchRows: batch,
    lingerMs: parameters.linger,
    workers: parameters.workers,
    connections: parameters.connections,
    shards: parameters.shards,
    sockets: parameters.sockets,
  };
}
