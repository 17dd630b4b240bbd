/** What a shard counts of the messages that arrive. */

import type { RefusedReason } from './intake.ts';

export class IntakeCounters {
  received = 0;
  duplicate = 0;
  /** Messages that were found in the outbox at the start. */
  recovered = 0;
  /** Messages that were committed, and are written again. */
  rewritten = 0;
  readonly #refused: Partial<Record<RefusedReason, number>> = {};

  countRefused(reason: RefusedReason, messages: number): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + messages;
  }

  /** Messages that were refused, by reason. */
  get refused(): Partial<Record<RefusedReason, number>> {
    return { ...this.#refused };
  }
}
