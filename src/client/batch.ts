/** Messages that share a frame. */

import { DROPPED, utf8Bytes } from './message-text.ts';

/** Messages with the sequences `first` to `first + count - 1`; `utf8Size` counts a newline for each. */
export interface Batch {
  first: number;
  count: number;
  utf8Size: number;
  /** Undefined: all of them were dropped. */
  text: string | undefined;
}

/** A dropped message as a line, with its newline. */
export const DROPPED_BYTES = 2;

/** The lines of a batch as a frame has them. */
export function linesOf({ text, count }: Batch): string {
  return text ?? `${`${DROPPED}\n`.repeat(count - 1)}${DROPPED}`;
}

/** How many of a batch's first messages fit into a number of messages and bytes, newlines included. */
export function countThatFits({ text, count: most }: Batch, maxMessages: number, maxBytes: number): number {
  if (!text) return Math.max(0, Math.min(most, maxMessages, Math.floor(maxBytes / DROPPED_BYTES)));
  let count = 0;
  let bytes = 0;
  for (const line of text.split('\n')) {
    bytes += utf8Bytes(line) + 1;
    if (count >= maxMessages || bytes > maxBytes) break;
    count += 1;
  }
  return count;
}

/** Cuts a batch after its first `count` messages, of which it has more; returns the rest. */
export function splitBatch(batch: Batch, count: number): Batch {
  const { text } = batch;
  const rest: Batch = { ...batch, first: batch.first + count, count: batch.count - count };
  if (!text) batch.utf8Size = count * DROPPED_BYTES;
  else {
    const lines = text.split('\n');
    rest.text = lines.slice(count).join('\n');
    batch.text = lines.slice(0, count).join('\n');
    batch.utf8Size = utf8Bytes(batch.text) + 1;
  }
  batch.count = count;
  rest.utf8Size -= batch.utf8Size;
  return rest;
}
