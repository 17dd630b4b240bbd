/**
 * Whether storage knows all of a shard's producers. While messages are only in memory, nothing is written about them; so what
 * storage says of producers is then too little, and stays so until they are heard of again.
 */

import type { Sqlite } from '../database/sqlite.ts';
import { hasProducers, ProducerRegistry } from '../outbox/producer-registry.ts';
import type { ShardFacts } from '../outbox/shard-facts.ts';

export class VolatileMark {
  readonly #facts: ShardFacts | undefined;
  #isSet: boolean;

  /** @param facts missing: there is nothing to be marked */
  constructor(facts: ShardFacts | undefined, isSet: boolean) {
    this.#facts = facts;
    this.#isSet = isSet;
  }

  /** True once storage says that memory may know more of producers. */
  get isSet(): boolean {
    return this.#isSet;
  }

  /** Memory is about to know more of a producer than storage does. */
  set(): void {
    this.#facts?.set('volatile', 'yes');
    this.#isSet = true;
  }
}

/**
 * The producers that storage tells of: they are known whatever the sink's durability.
 *
 * @param sqlite the shard's storage; missing: nothing outlives its memory
 * @param facts what the shard remembers of itself in it
 * @param hasOutbox true where new messages go to the outbox
 */
export function openProducers(
  sqlite: Sqlite | undefined,
  facts: ShardFacts | undefined,
  hasOutbox: boolean,
  nowMs: number,
): { producers: ProducerRegistry; volatileMark: VolatileMark } {
  const nothingToMark = new VolatileMark(undefined, true);
  if (sqlite === undefined || facts === undefined)
    return { producers: new ProducerRegistry(undefined), volatileMark: nothingToMark };
  const wasVolatile = facts.get('volatile');
  if (hasOutbox) {
    if (wasVolatile === 'yes') facts.set('volatile', String(nowMs));
    const exactSinceMs = Number(facts.get('volatile') ?? 0);
    return {
      producers: new ProducerRegistry(sqlite, undefined, { exactSinceMs }),
      volatileMark: nothingToMark,
    };
  }
  if (!hasProducers(sqlite))
    return { producers: new ProducerRegistry(undefined), volatileMark: nothingToMark };
  const isSet = wasVolatile === 'yes';
  const exactSinceMs = isSet ? Number.POSITIVE_INFINITY : Number(wasVolatile ?? 0);
  return {
    producers: new ProducerRegistry(sqlite, undefined, { exactSinceMs, isReadOnly: true }),
    volatileMark: new VolatileMark(facts, isSet),
  };
}
