/** Where the value of a column comes from, besides the members of a message: from its envelope, or from a function. */

import { type Message, messageAt } from './message-batch.ts';
import type { ColumnSource } from './sink.ts';

/** The producer's name. */
export const fromProducer: ColumnSource = {
  shape: 'line',
  text: (columns, row) => columns.producers[row] as string,
  // assertProducerName lets no backslash and no white space through.
  isPlain: () => true,
};

/** The producer's epoch; 0 for raw sockets. */
export const fromEpoch: ColumnSource = {
  shape: 'digits',
  text: (columns, row) => epochText(columns.epochs[row] as number),
};

/** The message's sequence among its producer's, within an epoch. */
export const fromSequence: ColumnSource = {
  shape: 'digits',
  text: (columns, row) => sequenceText(columns.sequences[row] as number),
};

/** The message's own text. */
export const fromPayload: ColumnSource = {
  shape: 'line',
  text: (columns, row) => columns.payloads[row] as string,
  isPlain: (columns, row) => columns.plain[row] as boolean,
};

/** When the shard received the message, as an ISO timestamp. */
export const fromReceivedAt: ColumnSource = {
  shape: 'digits',
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

/**
 * A value computed from a message, as the text that Postgres reads it from; null for NULL. It runs once per row on
 * the write path, so it should be quick, and it must not throw: validate at the producer.
 */
export function fromMessage(compute: (message: Message) => string | null): ColumnSource {
  return { shape: 'any', text: (columns, row) => compute(messageAt(columns, row)) };
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
