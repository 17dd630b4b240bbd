/** The producers that a shard knows, so that no sequence is ever given twice while it lives. */

import { type Producer, startProducer } from './producer.ts';

/** How many producers are remembered. At about 150 bytes each, this stays below 5 MB. */
const MAX_PRODUCERS = 32_768;

/**
 * One producer may have several sockets, and may come back sooner than the clock has passed its last sequence; both
 * must go on where it stands. The producers that connected longest ago are forgotten first: by then the clock is far
 * ahead of them.
 */
export class Producers {
  readonly #byName = new Map<string, Producer>();
  readonly #maxProducers: number;

  constructor(maxProducers = MAX_PRODUCERS) {
    this.#maxProducers = maxProducers;
  }

  /** All that are remembered. */
  get all(): Iterable<Producer> {
    return this.#byName.values();
  }

  /** The producer of a socket that connects, or that is seen again after a hibernation. */
  connect(name: string, nowMs: number): Producer {
    const fresh = startProducer(name, nowMs);
    const known = this.#byName.get(name);
    const producer = known ?? fresh;
    if (known !== undefined && fresh.nextSequence > known.nextSequence) {
      // Sequences that are passed over are no messages.
      known.reportedSequence += fresh.nextSequence - known.nextSequence;
      known.nextSequence = fresh.nextSequence;
    }
    // Set again, it is the youngest in the map's order.
    this.#byName.delete(name);
    this.#byName.set(name, producer);
    if (this.#byName.size > this.#maxProducers)
      this.#byName.delete(this.#byName.keys().next().value as string);
    return producer;
  }
}
