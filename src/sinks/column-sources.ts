/** Where the value of a column comes from, besides the members of a message: from its envelope, or from a function. */

import { originOf } from './mapping-origin.ts';
import { type MessageColumns, type ReadMessage, readMessageAt } from './message-batch.ts';
import type { ColumnSource } from './sink.ts';

/** The producer's name. */
export const fromProducer: ColumnSource = {
  shape: 'line',
  origin: 'producer',
  text: (columns, row) => columns.producers[row] as string,
  // assertProducerName lets no backslash and no white space through.
  isPlain: () => true,
};

/** The producer's epoch; 0 for raw sockets. */
export const fromEpoch: ColumnSource = {
  shape: 'digits',
  origin: 'epoch',
  text: (columns, row) => epochText(columns.epochs[row] as number),
};

/** The message's sequence among its producer's, within an epoch. */
export const fromSequence: ColumnSource = {
  shape: 'digits',
  origin: 'sequence',
  text: (columns, row) => sequenceText(columns.sequences[row] as number),
};

/** The message's own text. */
export const fromPayload: ColumnSource = {
  shape: 'line',
  origin: 'payload',
  text: (columns, row) => columns.payloads[row] as string,
  isPlain: (columns, row) => columns.plain[row] as boolean,
};

/** When the shard received the message, as an ISO timestamp. */
export const fromReceivedAt: ColumnSource = {
  shape: 'digits',
  origin: 'received at',
  text: (columns, row) => timestampText(columns.receivedAtMs[row] as number),
};

/** What goes into a table of the columns that `messages` has. */
export const messageSources = {
  producer: fromProducer,
  epoch: fromEpoch,
  sequence: fromSequence,
  payload: fromPayload,
  receivedAt: fromReceivedAt,
} satisfies Record<string, ColumnSource>;

const BUILT_IN: ReadonlySet<ColumnSource> = new Set(Object.values(messageSources));

/** Whether a source is one of these, which always give a text. */
export function isBuiltIn(source: ColumnSource): boolean {
  return BUILT_IN.has(source);
}

/**
 * A value computed from a message, as the text that Postgres reads it from; null for NULL. It runs once per row on
 * the write path, so it should be quick, and it must not throw: validate at the producer, or by the sink's `schema`.
 */
export function fromMessage(compute: (message: ReadMessage) => string | null): ColumnSource {
  return {
    shape: 'any',
    origin: originOf(compute),
    text: (columns, row) => compute(lastMessage(columns, row)),
  };
}

let messageColumns: MessageColumns | undefined;
let messageRow = -1;
let message: ReadMessage | undefined;

// The functions of a row's columns run one after the other: they share the message, and with it what they parse.
function lastMessage(columns: MessageColumns, row: number): ReadMessage {
  if (
    message === undefined ||
    messageRow !== row ||
    messageColumns !== columns ||
    message.payload !== columns.payloads[row] ||
    message.sequence !== columns.sequences[row]
  ) {
    // Nothing is kept once the batch is prepared: its columns hold many messages.
    if (messageColumns === undefined) queueMicrotask(forgetMessage);
    messageColumns = columns;
    messageRow = row;
    message = readMessageAt(columns, row);
  }
  return message;
}

function forgetMessage(): void {
  messageColumns = undefined;
  message = undefined;
}

// V8 formats integers above 2^31 by its slow path for doubles, about 200 ns each. The high digits of neighbouring
// sequences are the same, so they are formatted once and the low six are joined to them.
const LOW_SPAN = 1_000_000;
let highNumber = -1;
let highText = '';

/** A whole number from 0 to 2^53 - 1 as decimal text. */
export function sequenceText(sequence: number): string {
  if (sequence < LOW_SPAN) return String(sequence);
  const high = Math.floor(sequence / LOW_SPAN);
  if (high !== highNumber) {
    highNumber = high;
    highText = String(high);
  }
  const low = sequence - high * LOW_SPAN;
  return highText + String(LOW_SPAN + low).slice(1);
}

let lastEpoch = 0;
let lastEpochText = '0';

// A frame's messages are all of one epoch, and raw sockets have none but 0.
function epochText(epoch: number): string {
  if (epoch !== lastEpoch) {
    lastEpoch = epoch;
    lastEpochText = sequenceText(epoch);
  }
  return lastEpochText;
}

let timestampMs = Number.NaN;
let timestamp = '';

// Messages come in runs of the same millisecond.
function timestampText(atMs: number): string {
  if (atMs !== timestampMs) {
    timestampMs = atMs;
    timestamp = new Date(atMs).toISOString();
  }
  return timestamp;
}
