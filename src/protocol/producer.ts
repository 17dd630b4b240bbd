/** A producer's name, and the shard it lands on. */

import { SluiceError } from '../core/errors.ts';
import { MAX_PRODUCER_LENGTH } from '../core/limits.ts';

const PRODUCER_NAME = /^[A-Za-z0-9._:@-]+$/;

/**
 * Checks the name that a client gave itself.
 *
 * @throws SluiceError `invalid_options`
 */
export function assertProducerName(producer: string): void {
  if (producer.length <= MAX_PRODUCER_LENGTH && PRODUCER_NAME.test(producer)) return;
  throw new SluiceError(
    'invalid_options',
    `Cannot use ${JSON.stringify(producer.slice(0, 40))} as a producer: 1 to ${MAX_PRODUCER_LENGTH} characters of A-Z a-z 0-9 . _ : @ - are allowed`,
    { details: { option: 'producer', allowed: PRODUCER_NAME.source, maxLength: MAX_PRODUCER_LENGTH } },
  );
}

/**
 * The shard of a producer: 32-bit FNV-1a (draft-eastlake-fnv) of the name, modulo the number of shards. It
 * depends on nothing else, so a producer always lands on the same shard as long as `shards` stays the same.
 */
export function shardOf(producer: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < producer.length; index += 1) {
    hash ^= producer.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  // FNV's low bits are weak for short names; folding the high half in spreads them.
  hash ^= hash >>> 16;
  return (hash >>> 0) % shards;
}
