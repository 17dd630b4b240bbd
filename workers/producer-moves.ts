/**
 * Producers move to another shard when `shards` changes. What the shard before knows of one, its epoch and its sequences, moves
 * along: otherwise what it had taken and not acked would be taken a second time. Which shards may know a producer follows
 * from the numbers of shards that its sink ever had.
 */

import { errorText, SluiceError } from '../src/core/errors.ts';
import { MAX_SHARD_COUNTS } from '../src/core/limits.ts';
import type { Pipeline } from '../src/ingest/pipeline.ts';

import type { ShardFacts } from '../src/outbox/shard-facts.ts';
import { shardOf } from '../src/protocol/producer.ts';
import type { HandOver, ProducerHolder, ShardDirectory, ShardPlace } from './objects.ts';

export interface ProducerMovesOptions {
  place: ShardPlace;
  /** How many shards the sink has now. */
  shards: number;
  facts: ShardFacts;
  directory: () => ShardDirectory;
  holder: (shard: number) => ProducerHolder;
  pipeline: Pipeline;
  /** Resolves when what was written is durable. */
  sync: () => Promise<void>;
}

export class ProducerMoves {
  readonly #options: ProducerMovesOptions;
  readonly #underWay = new Map<string, Promise<void>>();
  #counts: Promise<readonly number[]> | undefined;

  constructor(options: ProducerMovesOptions) {
    this.#options = options;
  }

  /**
   * Makes known what another shard knows of a producer that this one does not know.
   *
   * @throws SluiceError `shard_unavailable` where that cannot be had yet: the client has to come again
   */
  async bring(producer: string): Promise<void> {
    if (this.#options.pipeline.knows(producer)) return;
    let step = this.#underWay.get(producer);
    if (step === undefined) {
      step = this.#bring(producer).finally(() => this.#underWay.delete(producer));
      this.#underWay.set(producer, step);
    }
    await step;
  }

  async #bring(producer: string): Promise<void> {
    const { place, holder, pipeline, sync } = this.#options;
    const shards = new Set((await this.#shardCounts()).map((count) => shardOf(producer, count)));
    shards.delete(place.shard);
    const givers = [...shards];
    const answers = await Promise.all(givers.map((shard) => this.#ask(shard, producer)));
    // One that gave it away before may not have heard that it was taken: the others know more.
    const given = answers.flatMap((answer) => (answer.state === 'given' ? [answer.producer] : []));
    pipeline.adopt(producer, given);
    if (given.length === 0) return;
    await sync();
    await Promise.all(
      givers.map(async (shard, index) => {
        if (answers[index]?.state !== 'given') return;
        // Should it not hear of that, it keeps what it knew, and is asked once more some day.
        await holder(shard)
          .forgetMoved(producer)
          .catch(() => {});
      }),
    );
  }

  async #ask(shard: number, producer: string): Promise<HandOver> {
    let answer: HandOver;
    try {
      answer = await this.#options.holder(shard).handOver(producer);
    } catch (error) {
      throw notYet(`shard ${shard}, where this producer was, does not answer`, errorText(error));
    }
    if (answer.state !== 'busy') return answer;
    throw notYet(`shard ${shard}, where this producer was, has messages of it to write`, answer.reason);
  }

  // Asked once in the life of this object: others may have seen numbers that it never had.
  #shardCounts(): Promise<readonly number[]> {
    this.#counts ??= this.#readShardCounts().catch((error: unknown) => {
      this.#counts = undefined;
      throw notYet('the directory of shards does not answer', errorText(error));
    });
    return this.#counts;
  }

  async #readShardCounts(): Promise<readonly number[]> {
    const { place, shards, facts, directory } = this.#options;
    // What the directory forgets, should it be lost.
    const remembered = (facts.get('shard-counts') ?? '').split(' ').filter(Boolean).map(Number);
    const noted = await directory().noteShards(place.sink, shards);
    const counts = [...new Set([shards, ...noted, ...remembered])].slice(0, MAX_SHARD_COUNTS);
    facts.set('shard-counts', counts.join(' '));
    return counts;
  }
}

/** @param cause for the log: it may name the host and the user of the database */
function notYet(reason: string, cause: string): SluiceError {
  return new SluiceError('shard_unavailable', reason, { cause: new Error(cause) });
}
