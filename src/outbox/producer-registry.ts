/**
 * The producers of `sluice.v1`: their epochs, how far each is committed, and sequences that were used up without a
 * message. How far each is stored needs no separate row, because the groups of the outbox carry the sequences with the
 * messages; so the two can never differ.
 */

import {
  MAX_ACTIVE_PRODUCERS,
  MAX_ENDED_SESSIONS,
  MAX_KNOWN_EPOCHS,
  MAX_KNOWN_PRODUCERS,
} from '../core/limits.ts';
import { hasTable, type Sqlite } from '../database/sqlite.ts';
import { createProducer, type Producer } from './producer.ts';
import {
  byReach,
  createProducerTable,
  epochsIn,
  type HandedOver,
  handedOverOf,
  type ProducerRow,
  rowOf,
} from './producer-rows.ts';

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
  // The epochs of each name, newest last: of those with a session, with messages in the outbox, or with news that storage
  // does not have.
  readonly #active = new Map<string, Producer[]>();
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
    if (sqlite !== undefined) createProducerTable(sqlite);
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

  /** An epoch of a name if memory is spent on it, as on every one with a session. */
  peek(name: string, epoch: number): Producer | undefined {
    return this.#active.get(name)?.find((producer) => producer.epoch === epoch);
  }

  /** The newest epoch of a name; like `epochsOf`. */
  find(name: string): Producer | undefined {
    return this.epochsOf(name).at(-1);
  }

  /** An epoch of a name; like `epochsOf`. */
  findEpoch(name: string, epoch: number): Producer | undefined {
    return this.epochsOf(name).find((producer) => producer.epoch === epoch);
  }

  /**
   * The epochs of a name that are known, the newest last, from memory or storage; none where the name is not known. They stay
   * in memory until `release`.
   */
  epochsOf(name: string): readonly Producer[] {
    const active = this.#active.get(name);
    if (active !== undefined) return active;
    const row = this.#sqlite?.run<ProducerRow>(
      'select epoch, committed, used_up_to, used_at_ms, identity, past from producers where name = ?',
      name,
    )[0];
    if (row === undefined) return [];
    const isFloor = row.used_at_ms < this.#exactSinceMs;
    const found = epochsIn(name, row, isFloor);
    this.#active.set(name, found);
    return found;
  }

  /** Begins an epoch of a producer, and makes that durable: older ones are fenced from then on. */
  begin(name: string, epoch: number, nextSequence: number, nowMs: number, instance?: string): Producer {
    const known = this.epochsOf(name).filter((producer) => producer.epoch !== epoch);
    const producer = createProducer(name, epoch, nextSequence, nextSequence - 1, instance);
    // Where an older epoch has messages in a lane, this one goes on there: the order holds.
    producer.lane = known.at(-1)?.lane ?? 0;
    const surplus = known.length - MAX_KNOWN_EPOCHS + 1;
    const kept = surplus <= 0 ? known : known.filter((each, index) => index >= surplus || isInUse(each));
    this.#active.set(name, [...kept, producer]);
    if (!this.#isReadOnly) this.save([producer], nowMs);
    return producer;
  }

  /**
   * Begins a session of an epoch, and makes that durable.
   *
   * @param previous the session that it goes on from
   * @param cameUpTo how far the epoch had come, without what this session's hello has skipped: the session that ends has not
   *   sent that, and would be told that it was stored
   */
  startSession(
    producer: Producer,
    id: string,
    previous: string | undefined,
    nowMs: number,
    cameUpTo = producer.nextSequence - 1,
  ): void {
    const { session, nextSequence, endedSessions } = producer;
    // Where nothing came in it and this one goes on from where it did, its welcome was lost, and nobody has it: a list full of
    // such would have no room for those that tell something.
    const isLost = session?.previous === previous && cameUpTo + 1 === session?.from && !session.hasCome;
    if (session !== undefined && !isLost) {
      const ended = [...endedSessions, { id: session.id, upTo: cameUpTo }];
      producer.endedSessions = ended.slice(-MAX_ENDED_SESSIONS);
    }
    producer.session = { id, previous, from: nextSequence, hasCome: false };
    if (!this.#isReadOnly) this.save([producer], nowMs);
  }

  /** The lane that holds messages of any epoch of a producer; undefined where none does. */
  laneInUse({ name }: Producer): number | undefined {
    return this.#active.get(name)?.find(({ pendingRuns, run }) => pendingRuns > 0 || run !== undefined)?.lane;
  }

  /**
   * A client goes on in its epoch with the sequence `next`: it was acked everything before that. What it was promised and the
   * shard does not have is said, and it goes on after that.
   */
  resume(producer: Producer, next: number, nowMs: number): Resumption {
    const { isFloor, nextSequence } = producer;
    if (isFloor) producer.isKnown = false;
    producer.isFloor = false;
    if (next <= nextSequence) return { isKnown: producer.isKnown, missing: undefined };
    this.skipSequences([producer], nowMs, next);
    // Where more may have been taken than is known, what was acked beyond is no loss.
    const missing = isFloor ? undefined : { from: nextSequence, to: next - 1 };
    return { isKnown: producer.isKnown, missing };
  }

  /**
   * Makes durable that the sequences of producers are used up to where they stand, or to before `nextSequence`. What they
   * have messages for has to be stored.
   */
  skipSequences(producers: readonly Producer[], nowMs: number, nextSequence?: number): void {
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
    const known = this.epochsOf(name);
    let producer = known.find((each) => each.epoch === epoch);
    if (producer === undefined) {
      // Its row was forgotten, or was written before it began.
      producer = createProducer(name, epoch, firstSequence);
      this.#active.set(
        name,
        [...known, producer].sort((one, other) => one.epoch - other.epoch),
      );
    }
    if (lastSequence >= producer.nextSequence) {
      producer.nextSequence = lastSequence + 1;
      producer.isFloor = receivedAtMs < this.#exactSinceMs;
    }
    producer.pendingRuns += 1;
    return producer;
  }

  /** True while messages of any epoch of a name are not settled. */
  hasUnsettled(name: string): boolean {
    return (
      this.#active.get(name)?.some(({ pendingRuns, run }) => pendingRuns > 0 || run !== undefined) === true
    );
  }

  /**
   * Another shard takes a producer over, which has nothing here that is not settled: from now on it is not known here. What
   * was known is told again to who asks again, until `forgetMoved`: the answer may be lost.
   */
  handOver(name: string): HandedOver | undefined {
    const known = this.epochsOf(name);
    if (known.length === 0) return this.#moved(name);
    for (const producer of known) {
      producer.committed = producer.nextSequence - 1;
      producer.usedUpTo = producer.committed;
      // Code that still holds the object has no news to write.
      producer.isChanged = false;
    }
    const given = handedOverOf(known);
    this.#active.delete(name);
    if (this.#sqlite === undefined) return given;
    this.#sqlite.run('delete from producers where name = ?', name);
    this.#sqlite.run(
      'create table if not exists moved_producers (name text primary key, given text not null) without rowid',
    );
    this.#sqlite.run(
      'insert or replace into moved_producers (name, given) values (?, ?)',
      name,
      JSON.stringify(given),
    );
    return given;
  }

  #moved(name: string): HandedOver | undefined {
    if (this.#sqlite === undefined || !hasTable(this.#sqlite, 'moved_producers')) return undefined;
    const [found] = this.#sqlite.run<{ given: string }>(
      'select given from moved_producers where name = ?',
      name,
    );
    return found === undefined ? undefined : (JSON.parse(found.given) as HandedOver);
  }

  /** The shard that took a producer over has it. */
  forgetMoved(name: string): void {
    if (this.#sqlite !== undefined && hasTable(this.#sqlite, 'moved_producers'))
      this.#sqlite.run('delete from moved_producers where name = ?', name);
  }

  /**
   * Takes a producer over, unless it is known here: of what several shards have given, or this one has given away before, what
   * is furthest.
   */
  adopt(name: string, given: readonly HandedOver[], nowMs: number): void {
    if (this.find(name) !== undefined) return;
    const moved = this.#moved(name);
    const [furthest] = [...given, ...(moved === undefined ? [] : [moved])].sort(byReach);
    if (furthest === undefined) return;
    this.forgetMoved(name);
    const epochs = epochsIn(name, furthest.row, furthest.isFloor);
    this.#active.set(name, epochs);
    if (!this.#isReadOnly) this.save(epochs.slice(-1), nowMs);
  }

  /** Writes the state of producers, one row for each name. */
  save(producers: readonly Producer[], nowMs: number): void {
    const rows = new Map<string, readonly Producer[]>();
    for (const producer of producers) {
      const known = this.#active.get(producer.name) ?? [producer];
      // The name may have been read once more since; the other objects know more.
      if (known.includes(producer)) rows.set(producer.name, known);
      producer.isChanged = false;
    }
    const epochs = [...rows.values()];
    for (let from = 0; from < epochs.length; from += SAVED_AT_ONCE) {
      this.#save(epochs.slice(from, from + SAVED_AT_ONCE), nowMs);
    }
  }

  #save(rows: readonly (readonly Producer[])[], nowMs: number): void {
    if (this.#sqlite === undefined) return;
    for (const known of rows) for (const producer of known) producer.isChanged = false;
    this.#sqlite.run(
      `insert into producers (name, epoch, committed, used_up_to, used_at_ms, identity, past)
        select value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?, value ->> 4, value ->> 5 from json_each(?) where true
        on conflict (name) do update set epoch = excluded.epoch, committed = excluded.committed,
          used_up_to = excluded.used_up_to, used_at_ms = excluded.used_at_ms, identity = excluded.identity,
          past = excluded.past`,
      nowMs,
      JSON.stringify(rows.map(rowOf)),
    );
    this.#written += rows.length;
    if (this.#known + this.#written <= this.#maxKnown || this.#written < this.#maxKnown * COUNT_SHARE) return;
    this.#forget();
  }

  /** Frees the memory of a name that has no session, nothing in the outbox and no news. */
  release(producer: Producer): void {
    const known = this.#active.get(producer.name);
    // The name may have been read once more since, and then stands for other objects.
    if (known === undefined || !known.includes(producer) || known.some(isInUse)) return;
    const isDurable = this.#sqlite !== undefined && !this.#isReadOnly;
    if (isDurable && known.some(({ isChanged }) => isChanged)) return;
    // Without storage, the memory is all that tells a duplicate; it is given up only for room.
    if (!isDurable) {
      if (this.#active.size < MAX_ACTIVE_PRODUCERS / 2) return;
      this.#exactSinceMs = Number.POSITIVE_INFINITY;
    }
    this.#active.delete(producer.name);
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

function isInUse({ pendingRuns, run, hasSession }: Producer): boolean {
  return pendingRuns > 0 || run !== undefined || hasSession;
}
