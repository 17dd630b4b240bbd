/**
 * Appends a batch to the streams that its messages name: one statement, all or nothing, in the order in which the
 * messages came. Messages next to each other that are of one stream are one append.
 */

import { SluiceError } from '../core/errors.ts';
import { isUuid } from '../core/uuid.ts';
import { readAddressedMessage } from '../messages/addressed-message.ts';
import { DerivedIds } from '../messages/derived-id.ts';
import type { MessageRow, StreamAppend } from '../messages/engine.ts';
import { appendOn, openMessages } from '../messages/engines/postgres-engine.ts';
import type { JsonValue } from '../messages/message.ts';
import { cardinalHash, checkStreamName, messageCategory, nameFault } from '../messages/names.ts';
import { correlationOf } from '../messages/stored-json.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import type { StreamSink } from '../sinks/sink.ts';
import { schemaOfNamespace } from '../store/namespaces.ts';
import { isMissing } from '../store/postgres-errors.ts';
import type { PrepareWrite } from './writer.ts';

/**
 * Makes the writes of a stream sink. To prepare one throws where a message cannot be appended, before anything is sent:
 * `invalid_stream_name` or `invalid_message`. The write throws `duplicate_message_id` where an id is in the store.
 * All three are about single messages, so that they are found by halving and set aside.
 */
export function prepareAppends({ name, namespace }: StreamSink): PrepareWrite {
  const schema = schemaOfNamespace(namespace);
  let isOpen = false;
  return function prepareAppend(batch) {
    const appends = appendsOf(name, batch);
    // One statement: its own transaction, or a part of the caller's.
    return async function append(connection, transaction) {
      // An upgrade in the caller's transaction is only there once that is committed.
      if (!isOpen) isOpen = !(await openMessages(connection, schema, transaction));
      const [verdict] = await appendOn(connection, schema, [{ appends }]).catch((error: unknown) => {
        // Gone since: the next attempt says so, or finds another one.
        if (isMissing(error)) isOpen = false;
        throw error;
      });
      if (verdict?.kind === 'written') return;
      throw verdict?.kind === 'duplicate_id' ? duplicateId(verdict.id) : unexpected(verdict?.kind);
    };
  };
}

function appendsOf(sink: string, { columns, from, to }: MessageBatch): StreamAppend[] {
  const ids = new DerivedIds(sink);
  const streams = new Map<string, Omit<StreamAppend, 'messages'>>();
  const appends: StreamAppend[] = [];
  let current: { stream: string; messages: MessageRow[] } | undefined;
  for (let row = from; row < to; row += 1) {
    const { stream, type, data, metadata, id } = readAddressedMessage(columns.payloads[row] as string);
    let place = streams.get(stream);
    if (place === undefined) {
      place = placeOf(stream);
      streams.set(stream, place);
    }
    const typeFault = nameFault(type);
    if (typeFault !== undefined) {
      throw new SluiceError('invalid_message', `The message's type ${typeFault}`);
    }
    const message: MessageRow = {
      id:
        id === undefined
          ? ids.idOf(
              columns.producers[row] as string,
              columns.epochs[row] as number,
              columns.sequences[row] as number,
            )
          : checkedId(id),
      type,
      data,
      metadata,
      correlation: metadata === null ? null : correlationIn(metadata),
    };
    if (current?.stream === stream) current.messages.push(message);
    else {
      const append = { ...place, messages: [message] };
      appends.push(append);
      current = append;
    }
  }
  return appends;
}

// A hash for each message would cost more than the rest of the work on it.
function placeOf(stream: string): Omit<StreamAppend, 'messages'> {
  checkStreamName(stream);
  return {
    stream,
    category: messageCategory(stream),
    cardinalHash: cardinalHash(stream),
    expectedVersion: null,
  };
}

function checkedId(id: string): string {
  if (isUuid(id)) return id.toLowerCase();
  throw new SluiceError(
    'invalid_message',
    `The message's id is not a UUID: ${JSON.stringify(id.slice(0, 100))}`,
  );
}

// What is not parsed need not be: most metadata name no stream. An escape may spell the name in another way.
function correlationIn(metadata: string): string | null {
  if (!metadata.includes('correlationStreamName') && !metadata.includes('\\')) return null;
  return correlationOf(JSON.parse(metadata) as JsonValue);
}

// Postgres has found the id in its index and is as well as before: the cause says so in its words, and the connection
// is kept while the message at fault is looked for.
function duplicateId(id: string): SluiceError {
  return new SluiceError('duplicate_message_id', `A message with the id ${id} is in the store already`, {
    details: { id },
    cause: Object.assign(new Error('unique_violation'), { code: '23505' }),
  });
}

function unexpected(kind: string | undefined): SluiceError {
  return new SluiceError('internal', `The store answered an append with ${kind ?? 'nothing'}`);
}
