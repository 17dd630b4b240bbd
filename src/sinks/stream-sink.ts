/**
 * A sink into the message store: each message names its stream and its type, and is appended to that stream. Batches
 * and their checkpoint are one transaction, as with the sinks of tables, so each message is in its stream once.
 */

import { getTableName } from 'drizzle-orm';
import { SluiceError } from '../core/errors.ts';
import { checkpoints } from '../schema/checkpoints.ts';
import { checkNamespace } from '../store/namespaces.ts';
import type { StreamSink } from './sink.ts';
import { resolveSinkOptions, type SinkOptions } from './sink-options.ts';

export interface StreamSinkDefinition {
  /** A namespace of the store in Postgres. While it does not exist, messages wait. */
  namespace: string;
  /** `writer` and `durability` cannot be chosen: there is one way to append, and it needs the outbox. */
  options?: Partial<Omit<SinkOptions, 'writer' | 'durability'>>;
  /** The table that counts its batches, in the form of `checkpoints`. Default: `sluice_checkpoints`. */
  checkpointTable?: string;
}

/**
 * Makes a sink that appends to the message store.
 *
 * @throws SluiceError `invalid_namespace`; `invalid_options` for wrong options
 */
export function defineStreamSink(name: string, definition: StreamSinkDefinition): StreamSink {
  const { namespace, options: given = {}, checkpointTable = getTableName(checkpoints) } = definition;
  checkNamespace(namespace);
  if ('writer' in given) {
    throw new SluiceError(
      'invalid_options',
      `${name}.writer: a sink of streams has one way of writing; leave it out`,
    );
  }
  const options = resolveSinkOptions(given, name);
  // Without the outbox, messages come twice after a lost answer. A table can be cleaned of them; a stream, whose
  // readers have acted on each message, cannot.
  if (options.durability !== 'outbox') {
    throw new SluiceError(
      'invalid_options',
      `${name}.durability: a sink of streams writes exactly once, and so needs the outbox`,
    );
  }
  return { kind: 'stream', name, namespace, options, checkpointTable };
}
