/**
 * Gathers the messages of many frames for a few milliseconds, stores them as one row for each lane, and acks their sessions in
 * the same turn: the acks leave when the rows are durable.
 */

import type { Failpoints } from '../core/failpoints.ts';
import { GROUP_CHARACTERS, GROUP_ROWS } from '../core/limits.ts';
import type { Timers } from '../core/timers.ts';
import type { Lane } from '../outbox/lane.ts';
import type { Chunk, Producer } from '../outbox/producer.ts';
import type { ProducerRegistry } from '../outbox/producer-registry.ts';
import { charactersOf } from './capacity.ts';
import type { FlowControl } from './flow-control.ts';
import { GroupTime } from './group-time.ts';
import type { Holdings } from './holdings.ts';
import type { Lanes } from './lanes.ts';
import type { MemoryHold } from './memory-hold.ts';
import type { ShardSession } from './session-port.ts';
import type { Sessions } from './sessions.ts';
import type { VolatileMark } from './volatile-mark.ts';

export interface GroupCommitOptions {
  lanes: Lanes;
  producers: ProducerRegistry;
  sessions: Sessions;
  flow: FlowControl;
  timers: Timers;
  failpoints: Failpoints;
  /** The time of a group at a low rate, in ms; 0: every frame is a group. */
  groupMs: number;
  /** True where new messages go to the outbox. Where they stay in memory, they count as stored at once. */
  hasOutbox: boolean;
  volatileMark: VolatileMark;
  holdings: Holdings;
  memory: MemoryHold;
  /** Called when the storage cannot be written. */
  failStorage: (error: unknown) => void;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #lanes: Lanes;
  readonly #hasOutbox: boolean;
  readonly #volatileMark: VolatileMark;
  readonly #holdings: Holdings;
  readonly #groupTime: GroupTime;
  /** Sessions that get an ack once the group is stored. */
  readonly #toAck = new Set<ShardSession>();
  /** Producers whose last sequences were refused, which nothing tells of before their rows are written. */
  readonly #skipped = new Set<Producer>();
  /** When the group was begun; undefined where there is none. */
  #sinceMs: number | undefined;
  #rows = 0;
  #isTimerSet = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#lanes = options.lanes;
    this.#hasOutbox = options.hasOutbox;
    this.#volatileMark = options.volatileMark;
    this.#holdings = options.holdings;
    this.#groupTime = new GroupTime(options.groupMs);
  }

  /** Adds messages of one producer, with sequences that follow each other. Call `endFrame` once a frame is done. */
  gather(producer: Producer, firstSequence: number, chunk: Chunk, receivedAtMs: number): void {
    const { lane, flusher } = this.#lanes.of(producer);
    lane.gather(producer, firstSequence, chunk, receivedAtMs);
    const messages = chunk.payloads.length;
    const characters = charactersOf(chunk.payloads);
    this.#rows += messages;
    this.#options.memory.taken(messages, characters);
    if (this.#holdings.isOn) this.#holdings.taken(producer.name, messages, characters);
    if (this.#hasOutbox) return;
    if (!this.#volatileMark.isSet) this.#mark();
    flusher.notify();
  }

  /** The same for one message. */
  gatherOne(
    producer: Producer,
    sequence: number,
    payload: string,
    isPlain: boolean,
    receivedAtMs: number,
  ): void {
    const { lane, flusher } = this.#lanes.of(producer);
    lane.gatherOne(producer, sequence, payload, isPlain, receivedAtMs);
    this.#rows += 1;
    this.#options.memory.taken(1, payload.length);
    if (this.#holdings.isOn) this.#holdings.taken(producer.name, 1, payload.length);
    if (this.#hasOutbox) return;
    if (!this.#volatileMark.isSet) this.#mark();
    flusher.notify();
  }

  #mark(): void {
    try {
      this.#volatileMark.set();
    } catch (error) {
      this.#options.failStorage(error);
    }
  }

  /** The last sequences of a producer were refused: they are used up for good once what is in front is stored. */
  skipSequences(producer: Producer): void {
    if (!this.#hasOutbox) return;
    producer.isChanged = true;
    this.#skipped.add(producer);
  }

  /** Acks a session with this group. Stores nothing by itself: it is also called in the middle of a settling. */
  ackSoon(session: ShardSession): void {
    this.#toAck.add(session);
    if (this.#sinceMs === undefined) this.#open(this.#options.timers.now());
  }

  /** The session has ended. */
  forget(session: ShardSession): void {
    this.#toAck.delete(session);
  }

  /** A batch of a session was answered: it is acked with this group, and what is due is started. */
  endBatch(session: ShardSession, nowMs: number): void {
    this.#toAck.add(session);
    if (this.#sinceMs === undefined) this.#open(nowMs);
    this.#storeIfDue(nowMs);
  }

  /** Starts what is due after a frame's messages were gathered. */
  endFrame(nowMs: number): void {
    if (this.#hasOutbox && this.#sinceMs === undefined) this.#open(nowMs);
    this.#storeIfDue(nowMs);
  }

  /** Something was written: acks that waited for it leave at once. */
  afterFlush(): void {
    if (this.#toAck.size > 0) this.store();
  }

  #open(nowMs: number): void {
    this.#sinceMs = nowMs;
    if (!this.#isTimerSet) this.#setTimer(this.#groupTime.ms);
  }

  // A flood keeps timers from going off, so every frame looks at the clock, and at the size.
  #storeIfDue(nowMs: number): void {
    if (this.#sinceMs === undefined) return;
    const isOld = this.#groupTime.ms > 0 && nowMs - this.#sinceMs >= this.#groupTime.ms;
    if (isOld || this.#isLarge()) this.store();
  }

  #isLarge(): boolean {
    for (const { lane } of this.#lanes.all) if (isLarge(lane)) return true;
    return false;
  }

  // The timer is not moved for each group: one that is early looks at the clock and waits for the rest.
  #setTimer(delayMs: number): void {
    const { timers } = this.#options;
    this.#isTimerSet = true;
    timers.after(delayMs, () => {
      this.#isTimerSet = false;
      if (this.#sinceMs === undefined) return;
      const restMs = this.#sinceMs + this.#groupTime.ms - timers.now();
      if (restMs <= 0) this.store();
      else this.#setTimer(restMs);
    });
  }

  /**
   * Stores what was gathered, and acks it in the same turn.
   *
   * @returns false where the storage failed, and nothing was acked
   */
  store(): boolean {
    if (this.#sinceMs === undefined) return true;
    const { failpoints, timers, flow, failStorage } = this.#options;
    try {
      if (this.#hasOutbox) {
        failpoints.hit('before_outbox_write');
        this.#lanes.store();
        if (this.#skipped.size > 0) this.#storeSkipped();
        failpoints.hit('after_outbox_write');
      }
    } catch (error) {
      failStorage(error);
      return false;
    }
    this.#groupTime.stored(this.#rows, timers.now());
    this.#rows = 0;
    this.#sinceMs = undefined;
    if (this.#toAck.size === 0) return true;
    const sessions = [...this.#toAck];
    this.#toAck.clear();
    flow.sendAcks(sessions);
    return true;
  }

  #storeSkipped(): void {
    const { producers, sessions, timers } = this.#options;
    const skipped = [...this.#skipped];
    producers.skipSequences(skipped, timers.now());
    this.#skipped.clear();
    for (const producer of skipped) sessions.release(producer);
  }
}

/** True where what a lane has gathered is as much as one row of the outbox should hold. */
export function isLarge(lane: Lane): boolean {
  return lane.gatheredCharacters >= GROUP_CHARACTERS || lane.gatheredRows >= GROUP_ROWS;
}
