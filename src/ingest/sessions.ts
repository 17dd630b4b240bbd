/** The sessions of `sluice.v1` that were welcomed: each is the one and only of its producer's epoch. */

import { type Producer, RAW_EPOCH } from '../outbox/producer.ts';
import type { ProducerRegistry } from '../outbox/producer-registry.ts';
import type { Refusal } from '../outbox/refusal.ts';
import type { ShardSession } from './session-port.ts';

export class Sessions {
  readonly #producers: ProducerRegistry;
  readonly #sessions = new Map<Producer, ShardSession>();

  constructor(producers: ProducerRegistry) {
    this.#producers = producers;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** All of them, as they are now. */
  get all(): readonly ShardSession[] {
    return [...this.#sessions.values()];
  }

  /** Each with its producer. */
  entries(): Iterable<[producer: Producer, session: ShardSession]> {
    return this.#sessions.entries();
  }

  has(producer: Producer): boolean {
    return this.#sessions.has(producer);
  }

  /** The session takes the place of the one before. */
  add(producer: Producer, session: ShardSession): void {
    const before = this.#sessions.get(producer);
    this.#sessions.set(producer, session);
    producer.hasSession = true;
    if (before !== session) before?.close('replaced', 'another session of this epoch was welcomed');
  }

  /** A new epoch has begun: sockets of older ones hear of it. */
  fenceOlder(newest: Producer): void {
    for (const older of this.#producers.epochsOf(newest.name)) {
      if (older !== newest)
        this.#sessions.get(older)?.close('fenced', `the current epoch is ${newest.epoch}`);
    }
  }

  /** The session has ended. Another one may have taken its place already. */
  remove(producer: Producer, session: ShardSession): void {
    if (this.#sessions.get(producer) !== session) return;
    this.#sessions.delete(producer);
    producer.hasSession = false;
    this.#producers.release(producer);
  }

  /** Frees the memory of a producer that was looked at, unless it has a session. */
  release(producer: Producer | undefined): void {
    if (producer !== undefined && !this.#sessions.has(producer)) this.#producers.release(producer);
  }

  /** The producer's `committed` has moved. */
  onCommitted(producer: Producer): void {
    const session = this.#sessions.get(producer);
    if (session !== undefined) session.onCommitted();
    else this.#producers.release(producer);
  }

  /** A message has become a dead letter: its client hears of it. */
  onDeadLetter(name: string, epoch: number, sequence: number, refusal: Refusal): void {
    const producer = epoch === RAW_EPOCH ? undefined : this.#producers.peek(name, epoch);
    if (producer !== undefined) this.#sessions.get(producer)?.sendDead(epoch, sequence, refusal);
  }
}
