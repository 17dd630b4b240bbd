/**
 * The producers of `sluice.v1`: their epochs, how far each is committed, and sequences that were used up without a
 * message. How far each is stored needs no row of its own, because the groups of the outbox carry the sequences with the
 * messages; so the two can never differ.
 */

import { hasTable, type Sqlite } from '../database/sqlite.ts';
import { createProducer, type Producer } from '../ingest/producer.ts';
import { MAX_ACTIVE_PRODUCERS, MAX_KNOWN_PRODUCERS } from '../limits.ts';

interface ProducerRow {
  epoch: number;
  committed: number;
  used_up_to: number;
  used_at_ms: number;
}

export interface ProducerRegistryOptions {
  /** What storage says of producers that it heard of before is a lower bound only. Default: 0. */
  exactSinceMs?: number;
  /** True where messages are in memory only: producers are known from storage, and nothing is written for what is new. */
  isReadOnly?: boolean;
}

/** How a client that resumes finds its producer. */
export interface Resumption {
  /** False where messages that it sends again may be there already. */
  isKnown: boolean;
  /** Sequences that were acked to it, and that the shard does not have. */
  missing: { from: number; to: number } | undefined;
}

/** True where a storage knows producers. */
export function hasProducers(sqlite: Sqlite): boolean {
  return hasTable(sqlite, 'producers') && sqlite.run('select 1 from producers limit 1').length > 0;
}

// Forgetting is done in lots, since each needs a look at all rows; and so is counting them.
const FORGET_SHARE = 0.1;
const COUNT_SHARE = 0.01;

/** Rows written by one statement. They travel as one text, and a Durable Object takes texts of up to 2 MB. */
const SAVED_AT_ONCE = 1_000;

export class ProducerRegistry {
  readonly #sqlite: Sqlite | undefined;
  readonly #maxKnown: number;
  readonly #isReadOnly: boolean;
  #exactSinceMs: number;
  // Those with a session, with messages in the outbox, or with news that storage does not have.
  readonly #active = new Map<string, Producer>();
  #known: number;
  /** Rows written since they were counted. Many of them took the place of others. */
  #written = 0;

  /** @param sqlite missing: nothing outlives the shard's memory */
  constructor(
    sqlite: Sqlite | undefined,
    maxKnown = MAX_KNOWN_PRODUCERS,
    { exactSinceMs = 0, isReadOnly = false }: ProducerRegistryOptions = {},
  ) {
    this.#sqlite = sqlite;
    this.#maxKnown = maxKnown;
    this.#exactSinceMs = exactSinceMs;
    this.#isReadOnly = isReadOnly;
    sqlite?.run(
      'create table if not exists producers (name text primary key, epoch integer not null, committed integer not null, used_up_to integer not null, used_at_ms integer not null) without rowid',
    );
    this.#known = sqlite?.run<{ n: number }>('select count(*) as n from producers')[0]?.n ?? 0;
  }

  /** Producers that memory is spent on. */
  get active(): number {
    return this.#active.size;
  }

  /** True where no further producer can be taken in for now. */
  get isFull(): boolean {
    return this.#active.size >= MAX_ACTIVE_PRODUCERS;
  }

  /** The producer of a name if memory is spent on it, as on everyone with a session. */
  peek(name: string): Producer | undefined {
    return this.#active.get(name);
  }

  /**
   * The producer of a name, from memory or storage; undefined where it is not known. It stays in memory until `release`.
   */
  find(name: string): Producer | undefined {
    const active = this.#active.get(name);
    if (active !== undefined) return active;
    const row = this.#sqlite?.run<ProducerRow>(
      'select epoch, committed, used_up_to, used_at_ms from producers where name = ?',
      name,
    )[0];
    if (row === undefined) return undefined;
    const next = Math.max(row.committed, row.used_up_to) + 1;
    const found = createProducer(name, row.epoch, next, row.committed);
    found.isFloor = row.used_at_ms < this.#exactSinceMs;
    this.#active.set(name, found);
    return found;
  }

  /** Begins an epoch of a producer, and makes that durable: whoever comes later with a lower one is fenced. */
  begin(name: string, epoch: number, nextSequence: number, nowMs: number): Producer {
    const known = this.find(name);
    const producer = known ?? createProducer(name, epoch, nextSequence);
    producer.epoch = epoch;
    producer.nextSequence = nextSequence;
    producer.committed = nextSequence - 1;
    producer.usedUpTo = nextSequence - 1;
    producer.run = undefined;
    producer.isFloor = false;
    this.#active.set(name, producer);
    if (!this.#isReadOnly) this.save([producer], nowMs);
    return producer;
  }

  /**
   * A client goes on in its epoch with the sequence `next`: it was acked everything before that. What it was promised and the
   * shard does not have is said, and gone on behind.
   */
  resume(producer: Producer, next: number, nowMs: number): Resumption {
    const { isFloor, nextSequence } = producer;
    if (isFloor) producer.isKnown = false;
    producer.isFloor = false;
    if (next <= nextSequence) return { isKnown: producer.isKnown, missing: undefined };
    this.useUp([producer], nowMs, next);
    // Where more may have been taken than is known, what was acked beyond is no loss.
    const missing = isFloor ? undefined : { from: nextSequence, to: next - 1 };
    return { isKnown: producer.isKnown, missing };
  }

  /**
   * Makes durable that the sequences of producers are used up to where they stand, or to before `nextSequence`. What they
   * have messages for has to be stored.
   */
  useUp(producers: readonly Producer[], nowMs: number, nextSequence?: number): void {
    for (const producer of producers) {
      if (nextSequence !== undefined) producer.nextSequence = nextSequence;
      producer.usedUpTo = producer.nextSequence - 1;
    }
    if (!this.#isReadOnly) this.save(producers, nowMs);
  }

  /** Called for each run that is found in the outbox at the start, oldest first. */
  recover(
    name: string,
    epoch: number,
    firstSequence: number,
    lastSequence: number,
    receivedAtMs = Number.POSITIVE_INFINITY,
  ): Producer {
    let producer = this.find(name);
    if (producer === undefined) {
      producer = createProducer(name, epoch, firstSequence);
      this.#active.set(name, producer);
    }
    if (producer.epoch < epoch) {
      // Its row was forgotten, and the outbox has messages of several epochs: the highest is the one that counts.
      producer.epoch = epoch;
      producer.nextSequence = firstSequence;
      producer.committed = firstSequence - 1;
    }
    if (producer.epoch === epoch && lastSequence >= producer.nextSequence) {
      producer.nextSequence = lastSequence + 1;
      producer.isFloor = receivedAtMs < this.#exactSinceMs;
    }
    producer.pendingRuns += 1;
    return producer;
  }

  /** Writes the state of producers, one row each. */
  save(producers: readonly Producer[], nowMs: number): void {
    if (producers.length === 0) return;
    for (const producer of producers) producer.isChanged = false;
    for (let from = 0; from < producers.length; from += SAVED_AT_ONCE) {
      this.#save(producers.slice(from, from + SAVED_AT_ONCE), nowMs);
    }
  }

  #save(producers: readonly Producer[], nowMs: number): void {
    if (this.#sqlite === undefined) return;
    this.#sqlite.run(
      `insert into producers (name, epoch, committed, used_up_to, used_at_ms)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3, ? from json_each(?) where true
        on conflict (name) do update set epoch = excluded.epoch, committed = excluded.committed,
          used_up_to = excluded.used_up_to, used_at_ms = excluded.used_at_ms`,
      nowMs,
      JSON.stringify(
        producers.map(({ name, epoch, committed, usedUpTo }) => [name, epoch, committed, usedUpTo]),
      ),
    );
    this.#written += producers.length;
    if (this.#known + this.#written <= this.#maxKnown || this.#written < this.#maxKnown * COUNT_SHARE) return;
    this.#forget();
  }

  /** Frees the memory of a producer that has no session, nothing in the outbox and no news. */
  release(producer: Producer): void {
    if (producer.pendingRuns > 0 || producer.run !== undefined) return;
    const isDurable = this.#sqlite !== undefined && !this.#isReadOnly;
    if (producer.isChanged && isDurable) return;
    // Without storage, the memory is all that tells a duplicate; it is given up only for room.
    if (!isDurable) {
      if (this.#active.size < MAX_ACTIVE_PRODUCERS / 2) return;
      this.#exactSinceMs = Number.POSITIVE_INFINITY;
    }
    // The name may have been read anew since, and then stands for another object.
    if (this.#active.get(producer.name) === producer) this.#active.delete(producer.name);
  }

  #forget(): void {
    const sqlite = this.#sqlite as Sqlite;
    this.#known = sqlite.run<{ n: number }>('select count(*) as n from producers')[0]?.n ?? 0;
    this.#written = 0;
    if (this.#known <= this.#maxKnown) return;
    const surplus = this.#known - this.#maxKnown + Math.ceil(this.#maxKnown * FORGET_SHARE);
    sqlite.run(
      'delete from producers where name in (select name from producers order by used_at_ms limit ?)',
      surplus,
    );
    this.#known -= surplus;
  }
}
