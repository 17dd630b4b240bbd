/** Requests of each address, as one isolate of a Worker counts them. */

import { TokenBucket } from './token-bucket.ts';

/** Addresses that are remembered; those that were not seen for longest are forgotten first. At about 200 bytes each: 4 MB. */
const MAX_ADDRESSES = 20_000;

/** What is told to who asks too often. */
export interface RequestRefusal {
  /** Requests that may be made at once. */
  quota: number;
  perSecond: number;
  retryAfterSeconds: number;
}

export class RequestBuckets {
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #maxAddresses: number;

  constructor(maxAddresses = MAX_ADDRESSES) {
    this.#maxAddresses = maxAddresses;
  }

  /** Addresses that are remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Counts a request.
   *
   * @param amount 0: it is only looked whether one would be refused
   * @returns what to answer where it is one too many; it is not counted then
   */
  take(address: string, perSecond: number, nowMs: number, amount = 1): RequestRefusal | undefined {
    const bucket = this.#bucketOf(address, perSecond, nowMs);
    if (bucket.allows(Math.max(1, amount), nowMs)) {
      bucket.take(amount, nowMs);
      return undefined;
    }
    const waitMs = bucket.msUntilAllowed(1, nowMs);
    return {
      quota: Math.floor(bucket.burst),
      perSecond,
      retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
    };
  }

  #bucketOf(address: string, perSecond: number, nowMs: number): TokenBucket {
    const found = this.#buckets.get(address);
    const size = { perSecond, debt: 0 };
    const bucket = found ?? new TokenBucket(size, nowMs);
    if (bucket.perSecond !== perSecond) bucket.resize(size, nowMs);
    // Set again, it is the youngest in the map's order.
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > this.#maxAddresses) {
      for (const [oldest] of this.#buckets) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return bucket;
  }
}
