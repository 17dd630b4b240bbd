/**
 * Ids of messages that came without one: made from (producer, epoch, sequence), which names a message for ever
 * (PROTOCOL.md). The same message gets the same id whenever it is written, so the store refuses one that the checkpoint
 * cannot know, as after an operator's `resume` or a change of `shards`. With the triple, anybody can compute the id.
 */

import { md5 } from '@noble/hashes/legacy.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';

/** Makes the ids of one batch. What it remembers is no more than the batch's producers. */
export class DerivedIds {
  readonly #sink: string;
  readonly #heads = new Map<string, string>();

  constructor(sink: string) {
    this.#sink = sink;
  }

  /**
   * A UUID of version 8 (RFC 9562): 66 bits of the MD5 of sink, producer and epoch, then the sequence in 56 bits. So a
   * hash is computed once per producer, and neighbours in the index are neighbours in time.
   *
   * @param sequence a whole number from 0 to 2^53 - 1
   */
  idOf(producer: string, epoch: number, sequence: number): string {
    const key = `${epoch} ${producer}`;
    let head = this.#heads.get(key);
    if (head === undefined) {
      head = headOf(this.#sink, producer, epoch);
      this.#heads.set(key, head);
    }
    const digits = sequence.toString(16).padStart(14, '0');
    return `${head}${digits.slice(0, 2)}-${digits.slice(2)}`;
  }
}

// Version and variant have their places among the digits of the hash.
function headOf(sink: string, producer: string, epoch: number): string {
  const hash = md5(utf8ToBytes(JSON.stringify([sink, producer, epoch])));
  const digits = bytesToHex(hash);
  const variant = (0x80 | ((hash[8] as number) & 0x3f)).toString(16);
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(12, 15)}-${variant}`;
}
