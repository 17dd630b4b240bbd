/** A look at what waits in a buffer: batches are taken from its front and put back, so that they stay where they are. */

import type { MessageBuffer } from '../outbox/message-buffer.ts';
import { type MessageBatch, rowsOf } from '../sinks/message-batch.ts';

/** A writer of single rows has many batches that wait. */
const MAX_PEEKED_BATCHES = 64;

/**
 * Messages that wait, the next ones first: about `rows` of them.
 *
 * @param maxBytes what is taken may be read back from storage: no more than one batch, or a look would fill the memory
 * @param take takes the next batch; undefined where there is none
 */
export function peekBatches(
  buffer: MessageBuffer,
  rows: number,
  maxBytes: number,
  take: () => MessageBatch | undefined,
): readonly MessageBatch[] {
  const taken: MessageBatch[] = [];
  let found = 0;
  let bytes = 0;
  while (found < rows && bytes < maxBytes && taken.length < MAX_PEEKED_BATCHES && buffer.waitingRows > 0) {
    const batch = take();
    if (batch === undefined) break;
    taken.push(batch);
    found += rowsOf(batch);
    bytes += batch.bytes;
  }
  for (const batch of taken.toReversed()) buffer.putBack(batch);
  return taken;
}
