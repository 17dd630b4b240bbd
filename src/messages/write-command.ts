/** What a caller wants written, checked, as an engine takes it. */

import { SluiceError } from '../core/errors.ts';
import { MAX_IMPORTED_POSITION } from '../core/limits.ts';
import { utf8BytesAtMost } from '../core/utf8.ts';
import { isUuid } from '../core/uuid.ts';
import { invalidOptions, isList, isPosition } from '../store/options.ts';
import type { ImportRow, MessageRow, StreamAppend } from './engine.ts';
import type { ExpectedVersion, ImportedMessage, NewMessage } from './message.ts';
import { cardinalHash, checkStreamName, messageCategory, nameFault } from './names.ts';
import { invalidMessage, jsonText, storedCorrelation } from './stored-json.ts';

/** What a write may come to, as `MessageStoreOptions` says, and where ids come from. */
export interface WriteLimits {
  newId: () => string;
  maxMessageBytes: number;
  maxWriteMessages: number;
  maxWriteBytes: number;
}

/** What a write comes to so far. */
export interface Sum {
  readonly limits: WriteLimits;
  rows: number;
  /** Text in UTF-16 code units. */
  units: number;
}

/** To be handed to all parts of one write. */
export function newSum(limits: WriteLimits): Sum {
  return { limits, rows: 0, units: 0 };
}

/**
 * Messages of one stream.
 *
 * @throws SluiceError `invalid_stream_name`, `invalid_message`, `invalid_options`, `message_too_large`
 */
export function streamAppend(
  stream: string,
  messages: NewMessage | readonly NewMessage[],
  expectedVersion: ExpectedVersion | undefined,
  sum: Sum,
): StreamAppend {
  checkStreamName(stream);
  const expected = versionOf(expectedVersion);
  let rows: MessageRow[];
  if (isList(messages)) {
    if (messages.length === 0) throw invalidOptions('A write needs at least one message', 'messages');
    if (sum.rows + messages.length > sum.limits.maxWriteMessages) throw tooMany(sum.limits);
    rows = messages.map((message) => messageRow(message, sum));
  } else {
    rows = [messageRow(messages, sum)];
  }
  return {
    stream,
    category: messageCategory(stream),
    cardinalHash: cardinalHash(stream),
    expectedVersion: expected,
    messages: rows,
  };
}

function messageRow(message: NewMessage, sum: Sum): MessageRow {
  if (typeof message !== 'object' || message === null)
    throw invalidMessage(`A message must be an object, not ${message === null ? 'null' : typeof message}`);
  const { id, type } = message;
  const typeFault = nameFault(type);
  if (typeFault !== undefined) throw invalidMessage(`The type of a message ${typeFault}`);
  if (id !== undefined && !(typeof id === 'string' && isUuid(id)))
    throw invalidMessage(
      `The id of a message must be a UUID, not ${typeof id === 'string' ? JSON.stringify(id.slice(0, 80)) : typeof id}`,
    );
  const data = message.data === undefined ? '{}' : jsonText('data', message.data);
  const { metadata } = message;
  const metadataText = metadata === undefined || metadata === null ? null : jsonText('metadata', metadata);
  const units = data.length + (metadataText === null ? 0 : metadataText.length);
  if (units * 3 > sum.limits.maxMessageBytes) checkBytes(data, metadataText ?? '', sum.limits);
  sum.rows += 1;
  sum.units += units;
  if (sum.rows > sum.limits.maxWriteMessages) throw tooMany(sum.limits);
  if (sum.units > sum.limits.maxWriteBytes)
    throw new SluiceError(
      'message_too_large',
      `A write takes at most ${sum.limits.maxWriteBytes} bytes of data and metadata; split it`,
      { details: { maxBytes: sum.limits.maxWriteBytes } },
    );
  return {
    id: id === undefined ? sum.limits.newId() : id.toLowerCase(),
    type,
    data,
    metadata: metadataText,
    correlation: metadataText === null ? null : storedCorrelation(metadataText),
  };
}

/** A message with the places that it had elsewhere. @throws SluiceError as `streamAppend` */
export function importRow(message: ImportedMessage, sum: Sum): ImportRow {
  const row = messageRow(message, sum);
  const { streamName, position, globalPosition, timeUs } = message;
  checkStreamName(streamName);
  if (message.id === undefined) throw invalidMessage('A message to be imported needs its id');
  if (typeof position !== 'bigint' || position < 0n || position > MAX_IMPORTED_POSITION)
    throw invalidMessage(
      `The position of a message must be from 0 to ${MAX_IMPORTED_POSITION}: ${String(position)}`,
    );
  if (typeof globalPosition !== 'bigint' || globalPosition < 1n || globalPosition > MAX_IMPORTED_POSITION)
    throw invalidMessage(
      `The global position of a message must be from 1 to ${MAX_IMPORTED_POSITION}: ${String(globalPosition)}`,
    );
  if (!Number.isSafeInteger(timeUs))
    throw invalidMessage(`The time of a message must be whole microseconds: ${String(timeUs)}`);
  return {
    ...row,
    stream: streamName,
    category: messageCategory(streamName),
    cardinalHash: cardinalHash(streamName),
    position,
    globalPosition,
    timeUs,
  };
}

function checkBytes(data: string, metadata: string, { maxMessageBytes }: WriteLimits): void {
  const text = data + metadata;
  if (utf8BytesAtMost(text, 0, text.length, maxMessageBytes)) return;
  throw new SluiceError(
    'message_too_large',
    `Data and metadata of a message take at most ${maxMessageBytes} bytes together`,
    { details: { maxBytes: maxMessageBytes } },
  );
}

function tooMany({ maxWriteMessages }: WriteLimits): SluiceError {
  return invalidOptions(`A write takes at most ${maxWriteMessages} messages; split it`, 'messages');
}

function versionOf(expected: ExpectedVersion | undefined): bigint | null {
  if (expected === undefined) return null;
  if (expected === 'no-stream') return -1n;
  if (isPosition(expected)) return expected;
  throw invalidOptions(
    `The expected version must be 'no-stream' or a bigint from 0 to 2^63 - 1: ${String(expected).slice(0, 100)} (${typeof expected})`,
    'expectedVersion',
  );
}
