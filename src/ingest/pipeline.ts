/** From frames to Postgres, for one shard: decode, number, store, ack, flush. */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import { type Failpoints, NO_FAILPOINTS } from '../core/failpoints.ts';
import { LatencyHistogram } from '../core/latency-histogram.ts';
import { GROUP_CHARACTERS, GROUP_ROWS, MAX_FRAME_BYTES } from '../core/limits.ts';
import type { Timers } from '../core/timers.ts';
import { type Connection, sqlState } from '../database/connection.ts';
import { ConnectionSlot } from '../database/connection-slot.ts';
import { faultClassOf } from '../database/fault-class.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { DeadLetter, DeadLetters } from '../outbox/dead-letters.ts';
import { type Lane, MemoryLane } from '../outbox/lane.ts';
import { type LaneState, readLaneFault, saveLaneFault } from '../outbox/lane-faults.ts';
import type { MissingChoice, MissingMessages } from '../outbox/missing-messages.ts';
import { createOutboxTables, forgetSettledLanes, lanesInOutbox, OutboxLane } from '../outbox/outbox-lane.ts';
import { type Chunk, type Producer, RAW_EPOCH, untrackedProducer } from '../outbox/producer.ts';
import { type HandedOver, hasProducers, ProducerRegistry } from '../outbox/producer-registry.ts';
import { Producers } from '../outbox/producers.ts';
import { ShardFacts } from '../outbox/shard-facts.ts';
import {
  type DecodedFrame,
  decodeFrame,
  encodeErrorFrame,
  type FrameLimits,
  type RefusalCode,
} from '../protocol/frame.ts';
import { shardOf } from '../protocol/producer.ts';
import { type Credit, encodeCredit, type LineLimits } from '../protocol/sluice-v1.ts';
import { MESSAGE_OVERHEAD_BYTES, type MessageBatch, messageAt } from '../sinks/message-batch.ts';
import type { Sink } from '../sinks/sink.ts';
import type { LaneKey } from '../writers/checkpoint-survey.ts';
import { readCheckpoint } from '../writers/write-once.ts';
import type { Write } from '../writers/writer.ts';
import { type Writing, writingOf } from '../writers/writers.ts';
import { emptyIntakeStats } from './counting-intake.ts';
import { creditOf, type Room } from './credit.ts';
import { FencedWriter } from './fenced-writer.ts';
import { Flusher, type FlushFault, type WriteEnd } from './flusher.ts';
import { GroupTime } from './group-time.ts';
import { InputGateHold } from './input-gate-hold.ts';
import type { Intake, IntakeStats, Peer, RefusedReason, Session, SessionRequest } from './intake.ts';
import { RawSession } from './raw-session.ts';
import { V1Session } from './v1-session.ts';

export interface PipelineOptions {
  sink: Sink;
  /** Names the shard among those that write to the same database. Default: `0`. */
  shard?: string;
  openConnection: () => Promise<Connection>;
  timers: Timers;
  /** A number from 0 to below 1. */
  random: () => number;
  /** A text that nobody else ever got. Default: a random UUID. */
  randomId?: () => string;
  /** The shard's storage. Missing: messages wait in memory only, whatever the sink's `durability`. */
  sqlite?: Sqlite;
  /** Where messages go that Postgres refuses for their content. Missing: their batch is tried for ever. */
  deadLetters?: DeadLetters;
  failpoints?: Failpoints;
  /** Called after each batch that was written or failed. */
  onProgress?: () => void;
  /** Called when the storage cannot be written: what is in memory and what is stored differ from then on. */
  onStorageFailure?: (error: unknown) => void;
  /** Does some work while no frames are delivered. Used for the writes of a shard whose buffer fills up. */
  holdFrames?: (work: () => Promise<void>) => Promise<void>;
}

/** What became of a raw frame. */
export interface Receipt {
  /** Messages taken. */
  accepted: number;
  /** The frame that answers refusals, ready to be sent; undefined where all was taken. */
  errorFrame: string | undefined;
  /** True when there was no room: the socket is to be closed. */
  isFull: boolean;
}

interface LaneOfShard {
  /** Its number among those of its kind: part of the key of its checkpoint where it is durable. */
  number: number;
  lane: Lane;
  flusher: Flusher;
  /** Where the lane is durable. */
  outbox: OutboxLane | undefined;
  /** Where it is not. */
  memory: MemoryLane | undefined;
  /** Where it writes exactly once. */
  fenced: FencedWriter | undefined;
}

/** What all lanes of a shard have in common. */
interface LaneParts {
  options: PipelineOptions;
  writing: Writing;
  hold: InputGateHold | undefined;
}

/** Sessions that had no credit are told of it again once the room has grown to this share of what ends the credit. */
const CREDIT_RETURNS_AT = 0.75;

export class Pipeline implements Intake {
  readonly timers: Timers;
  readonly producers: ProducerRegistry;
  readonly hasOutbox: boolean;
  readonly frameLimits: FrameLimits;
  readonly lineLimits: LineLimits;
  /** A text that nobody else ever got. */
  readonly randomId: () => string;
  readonly delivery: 'exactly-once' | 'at-least-once';
  readonly #sink: Sink;
  readonly #shard: string;
  readonly #sqlite: Sqlite | undefined;
  readonly #deadLetters: DeadLetters | undefined;
  readonly #failpoints: Failpoints;
  readonly #onStorageFailure: ((error: unknown) => void) | undefined;
  readonly #lanes: LaneOfShard[] = [];
  /** Lanes that producers are assigned to; further ones are only emptied. */
  readonly #openLanes: number;
  readonly #laneParts: LaneParts;
  readonly #shardFacts: ShardFacts | undefined;
  /**
   * True while messages in memory wait for those that an outbox holds from before `durability` was set to `memory`. Those
   * are older, and have to be written first.
   */
  #isEmptyingOutbox = false;
  /** Where messages are only in memory: true once storage says so, as it does before the first of them is taken. */
  #isNotedAsVolatile = true;
  readonly #rawProducers = new Producers();
  readonly #sessions = new Map<Producer, V1Session>();
  readonly #refused: Partial<Record<RefusedReason, number>> = {};
  #received = 0;
  #duplicate = 0;
  #recovered = 0;
  #rewritten = 0;
  /** Sessions that get an ack once the group is stored. */
  readonly #toAck = new Set<V1Session>();
  /** Producers whose last sequences were refused, which nothing tells of before their rows are written. */
  readonly #skipped = new Set<Producer>();
  #groupSinceMs: number | undefined;
  #groupRows = 0;
  readonly #groupTime: GroupTime;
  #isGroupTimerSet = false;
  #hasSessionWithoutCredit = false;
  #progressWaiters: (() => void)[] = [];
  #resuming: Promise<unknown> = Promise.resolve();

  constructor(options: PipelineOptions) {
    const { sink, timers, holdFrames, sqlite } = options;
    this.#sink = sink;
    this.#shard = options.shard ?? '0';
    this.timers = timers;
    const { maxMessageBytes, replacementCharacter } = sink.options;
    const takesReplacement = replacementCharacter === 'store';
    this.frameLimits = { maxMessageBytes, maxFrameBytes: MAX_FRAME_BYTES, takesReplacement };
    this.lineLimits = { maxMessageBytes, takesReplacement };
    this.randomId = options.randomId ?? (() => crypto.randomUUID());
    this.hasOutbox = sqlite !== undefined && sink.options.durability === 'outbox';
    if (sink.kind === 'stream' && !this.hasOutbox) {
      throw new SluiceError(
        'invalid_configuration',
        'A sink of streams writes exactly once, and so needs the storage of its shard',
      );
    }
    this.#sqlite = sqlite;
    this.#deadLetters = options.deadLetters;
    this.#failpoints = options.failpoints ?? NO_FAILPOINTS;
    this.#onStorageFailure = options.onStorageFailure;
    this.#shardFacts = sqlite === undefined ? undefined : new ShardFacts(sqlite);
    this.producers = this.#openRegistry();
    const writing = writingOf(sink);
    const { plan } = writing;
    this.delivery = this.hasOutbox && writing.isExactlyOnce ? 'exactly-once' : 'at-least-once';
    this.#openLanes = plan.lanes;
    this.#groupTime = new GroupTime(sink.options.groupMs);
    const hold =
      holdFrames === undefined
        ? undefined
        : new InputGateHold({ holdFrames, fill: () => this.#memoryFill(), timers });
    this.#laneParts = { options, writing, hold };
    const lanesWithMessages = sqlite === undefined ? 0 : lanesInOutbox(sqlite);
    // One that an older version has left may lack a table.
    if (this.hasOutbox || lanesWithMessages > 0) createOutboxTables(sqlite as Sqlite);
    if (!this.hasOutbox)
      for (let number = 0; number < plan.lanes; number += 1) this.#openLane(number, 'memory');
    const outboxLanes = this.hasOutbox ? Math.max(plan.lanes, lanesWithMessages) : lanesWithMessages;
    if (sqlite !== undefined) forgetSettledLanes(sqlite, outboxLanes);
    for (let number = 0; number < outboxLanes; number += 1) this.#openLane(number, 'outbox');
    for (const { lane } of this.#lanes) this.#recovered += lane.rows;
    this.#received = this.#recovered;
    if (this.#recovered === 0) return;
    if (!this.hasOutbox) this.#holdMemory(true);
    for (const { flusher } of this.#lanes) flusher.notify();
  }

  // Producers that storage tells of are known whatever the sink's durability. While messages are only in memory, nothing is
  // written about them; so what storage says is then too little, and stays so until they are heard of again.
  #openRegistry(): ProducerRegistry {
    const sqlite = this.#sqlite;
    const facts = this.#shardFacts;
    if (sqlite === undefined || facts === undefined) return new ProducerRegistry(undefined);
    const wasVolatile = facts.get('volatile');
    if (!this.hasOutbox) {
      if (!hasProducers(sqlite)) return new ProducerRegistry(undefined);
      this.#isNotedAsVolatile = wasVolatile === 'yes';
      const exactSinceMs = this.#isNotedAsVolatile ? Number.POSITIVE_INFINITY : Number(wasVolatile ?? 0);
      return new ProducerRegistry(sqlite, undefined, { exactSinceMs, isReadOnly: true });
    }
    if (wasVolatile === 'yes') facts.set('volatile', String(this.timers.now()));
    return new ProducerRegistry(sqlite, undefined, { exactSinceMs: Number(facts.get('volatile') ?? 0) });
  }

  // Memory is about to know more of a producer than storage does.
  #noteAsVolatile(): void {
    this.#isNotedAsVolatile = true;
    this.#shardFacts?.set('volatile', 'yes');
  }

  #openLane(number: number, kind: 'memory' | 'outbox'): LaneOfShard {
    const { options, writing, hold } = this.#laneParts;
    const { sink, openConnection, timers, random, onProgress } = options;
    const { plan, isExactlyOnce } = writing;
    const outbox =
      kind === 'outbox' ? this.#openOutboxLane(number, plan.lanes, isExactlyOnce, options) : undefined;
    const memory = kind === 'memory' ? new MemoryLane((producer) => this.#onCommitted(producer)) : undefined;
    const lane = (outbox ?? memory) as Lane;
    const workers = Array.from({ length: plan.workersPerLane }, () => ({
      slot: new ConnectionSlot({ open: openConnection, timers }),
      prepare: writing.create(),
    }));
    const { slot: firstSlot } = workers[0] as (typeof workers)[number];
    const fenced = outbox !== undefined && isExactlyOnce ? this.#fence(outbox, number, firstSlot) : undefined;
    const flusher = new Flusher({
      buffer: lane,
      prepare: (batch, index) => {
        const { slot, prepare } = workers[index] as (typeof workers)[number];
        const write = prepareRows(prepare, batch);
        const send =
          outbox === undefined
            ? () => writeOften(slot, write)
            : fenced !== undefined
              ? fenced.prepare(batch, write)
              : this.#prepareOften(outbox, number, write, slot);
        return () => (hold === undefined ? send() : hold.run(send));
      },
      classify,
      ...(this.#deadLetters === undefined
        ? {}
        : { deadLetter: (message, error) => this.#deadLetter(lane, message, error) }),
      triggerRows: plan.triggerRows,
      maxRows: plan.maxRows,
      batchBytes: sink.options.batchBytes,
      lingerMs: plan.lingerMs,
      workers: plan.workersPerLane,
      timers,
      random,
      ...(outbox === undefined
        ? {}
        : {
            fault: readLaneFault(options.sqlite as Sqlite, number),
            onFault: (fault) => saveLaneFault(options.sqlite as Sqlite, number, fault),
          }),
      onProgress: () => {
        this.#afterFlush();
        onProgress?.();
      },
      onBufferFailure: (error) => this.failStorage(error),
    });
    const opened = { number, lane, flusher, outbox, memory, fenced };
    this.#lanes.push(opened);
    return opened;
  }

  #fence(outbox: OutboxLane, lane: number, slot: ConnectionSlot): FencedWriter {
    return new FencedWriter({
      outbox,
      key: this.#laneKey(lane),
      sqlite: this.#sqlite as Sqlite,
      slot,
      failpoints: this.#failpoints,
      failStorage: (error) => this.failStorage(error),
    });
  }

  #openOutboxLane(number: number, lanes: number, isFenced: boolean, options: PipelineOptions): OutboxLane {
    const { maxBufferBytes, keepSettledMs, keepSettledBytes } = options.sink.options;
    return new OutboxLane({
      sqlite: options.sqlite as Sqlite,
      lane: number,
      producers: this.producers,
      failpoints: this.#failpoints,
      // Beside messages that are only in memory, it has half of it.
      maxMemoryBytes: (this.hasOutbox ? maxBufferBytes : maxBufferBytes / 2) / lanes,
      isFenced,
      keep: { keepMs: keepSettledMs, maxBytes: keepSettledBytes / lanes },
      now: () => options.timers.now(),
      randomId: this.randomId,
      onCommitted: (producer) => this.#onCommitted(producer),
      hasSession: (producer) => this.#sessions.has(producer),
    });
  }

  #holdMemory(isHeld: boolean): void {
    this.#isEmptyingOutbox = isHeld;
    for (const { memory } of this.#lanes) if (memory !== undefined) memory.isHeld = isHeld;
  }

  get maxMessageBytes(): number {
    return this.#sink.options.maxMessageBytes;
  }

  // Sessions.

  openSession(peer: Peer, { producer, protocol, nowMs, memory, onRemember }: SessionRequest): Session {
    if (protocol === 'raw') return new RawSession(this, peer, this.#rawProducers.connect(producer, nowMs));
    const session = new V1Session(this, peer, producer, onRemember);
    if (memory !== undefined) session.wake(memory);
    return session;
  }

  /** The session is its producer's one and only. */
  welcome(producer: Producer, session: V1Session): void {
    const before = this.#sessions.get(producer);
    this.#sessions.set(producer, session);
    producer.hasSession = true;
    if (before !== session) before?.close('replaced', 'another session of this epoch was welcomed');
  }

  /** A new epoch has begun: sockets of older ones hear of it. */
  fenceOlder(newest: Producer): void {
    for (const older of this.producers.epochsOf(newest.name)) {
      if (older !== newest)
        this.#sessions.get(older)?.close('fenced', `the current epoch is ${newest.epoch}`);
    }
  }

  leave(producer: Producer, session: V1Session): void {
    this.#toAck.delete(session);
    if (this.#sessions.get(producer) !== session) return;
    this.#sessions.delete(producer);
    producer.hasSession = false;
    this.producers.release(producer);
  }

  // Producers that move to another shard, as when `shards` has changed.

  /** True where something is known of a producer. */
  knows(name: string): boolean {
    const producer = this.producers.find(name);
    this.release(producer);
    return producer !== undefined;
  }

  /**
   * Takes over what other shards know of a producer that is not known here: what the one that is furthest knows. Where none
   * does, what was given away before and nobody has taken counts again.
   */
  adopt(name: string, given: readonly HandedOver[]): void {
    this.producers.adopt(name, given, this.timers.now());
  }

  /**
   * Gives up what is known of a producer, for another shard. Its sockets have to be closed.
   *
   * @returns undefined where nothing is known; `busy` while messages of it are not settled
   */
  handOver(name: string): HandedOver | 'busy' | undefined {
    if (!this.storeGroup()) return 'busy';
    return this.producers.hasUnsettled(name) ? 'busy' : this.producers.handOver(name);
  }

  /** Resolves when the messages of a producer are settled, when they will not be for now, or when the time is over. */
  async settled(name: string, timeLimitMs: number): Promise<void> {
    this.flushSoon();
    let isOver = false;
    const cancel = this.timers.after(timeLimitMs, () => {
      isOver = true;
      for (const resolve of this.#progressWaiters.splice(0)) resolve();
    });
    for (;;) {
      if (isOver || !this.producers.hasUnsettled(name) || this.state !== 'running') break;
      await new Promise<void>((resolve) => this.#progressWaiters.push(resolve));
    }
    cancel();
  }

  /** The producer was looked at for a client that is not welcome. */
  release(producer: Producer | undefined): void {
    if (producer !== undefined && !this.#sessions.has(producer)) this.producers.release(producer);
  }

  /**
   * Acks a session with the group that is being gathered. Stores nothing by itself: it is also called in the middle of a
   * settling.
   */
  ackSoon(session: V1Session): void {
    this.#toAck.add(session);
    if (this.#groupSinceMs === undefined) this.#openGroup(this.timers.now());
  }

  /** What each session may have on its way. Who is told that it is nothing hears of it again once there is room. */
  grant(): Credit {
    const credit = creditOf(this.#room(), Math.max(1, this.#sessions.size));
    if (credit.bytes === 0) this.#hasSessionWithoutCredit = true;
    return credit;
  }

  /** Tells a session whose batch found no room what it may send instead. */
  sendFlow(session: V1Session): void {
    session.sendFlow(this.grant(), this.hasOutbox ? 'outbox_full' : 'memory_full');
  }

  /** True where a session may have been told that there is no credit; it will hear of it once there is room. */
  mayLackCredit(): boolean {
    const isShort = !this.#hasRoomAgain();
    if (isShort) this.#hasSessionWithoutCredit = true;
    return isShort;
  }

  #hasRoomAgain(): boolean {
    const { rows, maxRows, bytes, maxBytes } = this.#room();
    return rows <= maxRows * CREDIT_RETURNS_AT && bytes <= maxBytes * CREDIT_RETURNS_AT;
  }

  #room(): Room {
    const { maxOutboxBytes, maxOutboxRows, maxBufferBytes } = this.#sink.options;
    let rows = 0;
    let bytes = 0;
    for (const { lane, outbox } of this.#lanes) {
      // Beside messages in memory, those of an outbox count for what they take there only.
      if (this.hasOutbox || outbox === undefined) rows += lane.rows;
      bytes += this.hasOutbox ? lane.storedBytes : lane.bytes;
    }
    return {
      rows,
      maxRows: maxOutboxRows,
      bytes,
      maxBytes: this.hasOutbox ? maxOutboxBytes : maxBufferBytes,
    };
  }

  // Frames.

  /** Takes the frame of a raw socket. */
  receive(producer: Producer, frame: string | ArrayBuffer, nowMs: number): Receipt {
    const decoded = decodeFrame(frame, this.frameLimits);
    const { payloads, refusedCount } = decoded;
    this.#received += payloads.length + refusedCount;
    if (refusedCount > 0) this.#countRefusals(decoded);
    if (payloads.length > 0) {
      if (!this.#hasRoomFor(payloads)) return this.#refuseFrame(payloads, refusedCount);
      this.gather(producer, producer.nextSequence, decoded, nowMs);
      producer.nextSequence += payloads.length;
      this.afterGather(nowMs);
    }
    const errorFrame =
      refusedCount === 0 ? undefined : encodeErrorFrame(decoded.refusals, refusedCount, this.frameLimits);
    return { accepted: payloads.length, errorFrame, isFull: false };
  }

  #countRefusals({ refusals, refusedCount }: DecodedFrame): void {
    for (const { code } of refusals) this.countRefused(code, 1);
    // Refusals beyond those spelled out are counted under the last reason given, so that the sums hold.
    const unnamed = refusedCount - refusals.length;
    if (unnamed > 0) this.countRefused(refusals.at(-1)?.code ?? 'invalid_json', unnamed);
  }

  #refuseFrame(payloads: readonly string[], refusedCount: number): Receipt {
    // A frame that the empty buffer could not hold will never fit: "try again later" would be a lie.
    const isFull = bufferBytesOf(payloads) <= this.#room().maxBytes;
    const code: RefusalCode = isFull ? 'buffer_full' : 'frame_too_large';
    this.countRefused(code, payloads.length);
    const errorFrame = encodeErrorFrame(
      [{ line: 0, code }],
      refusedCount + payloads.length,
      this.frameLimits,
    );
    return { accepted: 0, errorFrame, isFull };
  }

  /** Adds messages of one producer, with sequences that follow each other; call `afterGather` once a frame is done. */
  gather(producer: Producer, firstSequence: number, chunk: Chunk, receivedAtMs: number): void {
    const { lane, flusher } = this.#laneOf(producer);
    lane.gather(producer, firstSequence, chunk, receivedAtMs);
    this.#groupRows += chunk.payloads.length;
    if (this.hasOutbox) return;
    if (!this.#isNotedAsVolatile) this.#noteAsVolatile();
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
    const { lane, flusher } = this.#laneOf(producer);
    lane.gatherOne(producer, sequence, payload, isPlain, receivedAtMs);
    this.#groupRows += 1;
    if (this.hasOutbox) return;
    if (!this.#isNotedAsVolatile) this.#noteAsVolatile();
    flusher.notify();
  }

  /** The last sequences of a producer were refused: they are used up for good once what is in front is stored. */
  skipSequences(producer: Producer): void {
    if (!this.hasOutbox) return;
    producer.isChanged = true;
    this.#skipped.add(producer);
  }

  /** Starts what is due after a frame's messages were gathered, or a session is to be acked. */
  afterGather(nowMs: number): void {
    if (this.hasOutbox) this.#openGroup(nowMs);
    this.#closeGroupIfDue(nowMs);
  }

  #openGroup(nowMs: number): void {
    if (this.#groupSinceMs !== undefined) return;
    this.#groupSinceMs = nowMs;
    if (!this.#isGroupTimerSet) this.#setGroupTimer(this.#groupTime.ms);
  }

  // A flood keeps timers from going off, so every frame looks at the clock, and at the size.
  #closeGroupIfDue(nowMs: number): void {
    if (this.#groupSinceMs === undefined) return;
    const isOld = this.#groupTime.ms > 0 && nowMs - this.#groupSinceMs >= this.#groupTime.ms;
    if (isOld || this.#lanes.some(({ lane }) => isLarge(lane))) this.storeGroup();
  }

  // The timer is not moved for each group: one that is early looks at the clock and waits for the rest.
  #setGroupTimer(delayMs: number): void {
    this.#isGroupTimerSet = true;
    this.timers.after(delayMs, () => {
      this.#isGroupTimerSet = false;
      if (this.#groupSinceMs === undefined) return;
      const restMs = this.#groupSinceMs + this.#groupTime.ms - this.timers.now();
      if (restMs <= 0) this.storeGroup();
      else this.#setGroupTimer(restMs);
    });
  }

  /**
   * Stores what was gathered, and acks it in the same turn: the acks leave when the rows are durable.
   *
   * @returns false where the storage failed, and nothing was acked
   */
  storeGroup(): boolean {
    if (this.#groupSinceMs === undefined) return true;
    try {
      if (this.hasOutbox) {
        this.#failpoints.hit('before_outbox_write');
        for (const { lane, flusher } of this.#lanes) {
          if (lane.gatheredRows === 0) continue;
          lane.store();
          flusher.notify();
        }
        if (this.#skipped.size > 0) this.#storeSkipped();
        this.#failpoints.hit('after_outbox_write');
      }
    } catch (error) {
      this.failStorage(error);
      return false;
    }
    this.#groupTime.stored(this.#groupRows, this.timers.now());
    this.#groupRows = 0;
    this.#groupSinceMs = undefined;
    this.#sendAcks();
    return true;
  }

  #storeSkipped(): void {
    const producers = [...this.#skipped];
    this.producers.skipSequences(producers, this.timers.now());
    this.#skipped.clear();
    for (const producer of producers) this.release(producer);
  }

  /** The storage has failed: what it holds and what memory holds may differ from now on. */
  failStorage(error: unknown): void {
    const onStorageFailure = this.#onStorageFailure;
    if (onStorageFailure === undefined) throw error;
    onStorageFailure(error);
  }

  #sendAcks(): void {
    if (this.#toAck.size === 0) return;
    const credit = this.grant();
    const creditText = encodeCredit(credit);
    const sessions = [...this.#toAck];
    this.#toAck.clear();
    for (const session of sessions) session.sendAck(credit, creditText);
  }

  #onCommitted(producer: Producer): void {
    const session = this.#sessions.get(producer);
    if (session !== undefined) session.onCommitted();
    else this.producers.release(producer);
  }

  // After a batch: acks that waited for it leave at once, and clients without credit hear of the room.
  #afterFlush(): void {
    for (const resolve of this.#progressWaiters.splice(0)) resolve();
    if (this.#isEmptyingOutbox && this.#lanes.every(({ outbox }) => (outbox?.rows ?? 0) === 0)) {
      this.#holdMemory(false);
      for (const { memory, flusher } of this.#lanes) if (memory !== undefined) flusher.flush();
    }
    if (this.#toAck.size > 0) this.storeGroup();
    if (!this.#hasSessionWithoutCredit || !this.#hasRoomAgain()) return;
    this.#hasSessionWithoutCredit = false;
    const credit = this.grant();
    if (credit.bytes === 0) return;
    for (const session of this.#sessions.values()) {
      if (session.hasNoCredit) session.sendFlow(credit, 'room');
    }
  }

  // Counters.

  countReceived(messages: number): void {
    this.#received += messages;
  }

  countDuplicate(messages: number): void {
    this.#duplicate += messages;
  }

  countRefused(reason: RefusedReason, messages: number): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + messages;
  }

  /** Why there is no room for messages; undefined where there is. */
  refusalOf(payloads: readonly string[]): 'buffer_full' | undefined {
    return this.#hasRoomFor(payloads) ? undefined : 'buffer_full';
  }

  // Writing.

  // Batches that were sent while each was counted may be in Postgres, whatever writes now: the checkpoint knows, and is asked
  // before anything is written.
  #prepareOften(
    outbox: OutboxLane,
    lane: number,
    write: Write,
    slot: ConnectionSlot,
  ): () => Promise<WriteEnd> {
    const { generation } = outbox;
    return async () => {
      let settledRows = 0;
      if (outbox.doubt !== undefined) await outbox.doubt;
      else if (outbox.isInDoubt) {
        outbox.doubt = this.#endDoubt(outbox, lane, slot).finally(() => {
          outbox.doubt = undefined;
        });
        settledRows = await outbox.doubt;
      }
      // Several workers may have had batches then.
      if (outbox.generation !== generation) return { state: 'moved', settledRows };
      return writeOften(slot, write);
    };
  }

  #laneKey(lane: number): LaneKey {
    const { name, checkpointTable } = this.#sink;
    return { table: checkpointTable, sink: name, shard: this.#shard, lane };
  }

  /** @returns how many messages turned out to be in Postgres */
  async #endDoubt(outbox: OutboxLane, lane: number, slot: ConnectionSlot): Promise<number> {
    const key = { ...this.#laneKey(lane), incarnation: outbox.incarnation };
    const position = await slot.use((connection) => readCheckpoint(connection, key));
    try {
      if (position !== null && position > outbox.head && position <= outbox.maxSentPosition) {
        return outbox.advanceTo(position);
      }
      outbox.endDoubt();
    } catch (error) {
      this.failStorage(error);
    }
    return 0;
  }

  #deadLetter(lane: Lane, message: MessageBatch, error: unknown): boolean {
    const deadLetters = this.#deadLetters as DeadLetters;
    const { producer, epoch, sequence, payload, receivedAtMs } = messageAt(message.columns, message.from);
    const reason = errorText(error);
    const isKept = deadLetters.add({
      producer,
      epoch,
      sequence,
      payload,
      receivedAtMs,
      failedAtMs: this.timers.now(),
      sqlState: sqlState(error) ?? null,
      reason,
    });
    if (!isKept) return false;
    // In the same step of storage: the message is among the dead letters, or still in the outbox.
    lane.settleAsDead(message);
    const known = epoch === RAW_EPOCH ? undefined : this.producers.peek(producer, epoch);
    if (known !== undefined) this.#sessions.get(known)?.sendDead(epoch, sequence, reason);
    return true;
  }

  /**
   * Puts dead letters back into the outbox, with the triple that they had. Behind later messages of their producer:
   * the order is given up where somebody decides so.
   */
  retry(letters: readonly DeadLetter[], nowMs: number): void {
    const lane = this.hasOutbox || this.#sqlite === undefined ? undefined : this.#durableLane();
    for (const { producer: name, epoch, sequence, payload, receivedAtMs } of letters) {
      const carrier = untrackedProducer(name, epoch, sequence);
      this.#received += 1;
      const plain = [!/[\\\p{Cc}]/u.test(payload)];
      const chunk = { payloads: [payload], plain, text: payload };
      if (lane !== undefined) lane.lane.gather(carrier, sequence, chunk, receivedAtMs);
      else this.gather(carrier, sequence, chunk, receivedAtMs);
      // Together they may be larger than a row of the outbox can be.
      if (lane === undefined) this.afterGather(nowMs);
      else if (isLarge(lane.lane)) this.#storeLane(lane);
    }
    if (lane !== undefined) this.#storeLane(lane);
    this.storeGroup();
  }

  // Dead letters are durable, and stay so while they are retried, whatever the sink's durability.
  #durableLane(): LaneOfShard {
    createOutboxTables(this.#sqlite as Sqlite);
    this.#holdMemory(true);
    return this.#lanes.find(({ outbox }) => outbox !== undefined) ?? this.#openLane(0, 'outbox');
  }

  #storeLane({ lane, flusher }: LaneOfShard): void {
    try {
      lane.store();
    } catch (error) {
      this.failStorage(error);
      return;
    }
    flusher.notify();
  }

  // State.

  get isBusy(): boolean {
    return this.#lanes.some(({ lane }) => lane.rows > 0);
  }

  get isWriting(): boolean {
    return this.#lanes.some(({ flusher }) => flusher.isWriting);
  }

  get state(): LaneState {
    return worstState(this.#lanes.map(({ flusher }) => flusher.stats.state));
  }

  get fill(): number {
    // While the database is away, memory is full and nothing is the matter: the outbox takes the rest.
    if (!this.hasOutbox || this.state === 'running') return this.#memoryFill();
    const { rows, maxRows, bytes, maxBytes } = this.#room();
    return Math.max(rows / maxRows, bytes / maxBytes);
  }

  // No getter: V8 looks a private one up at run time, and this is asked for with every few frames.
  #memoryFill(): number {
    let bytes = 0;
    for (const { lane } of this.#lanes) bytes += lane.bytes;
    return bytes / this.#sink.options.maxBufferBytes;
  }

  flush(): void {
    this.storeGroup();
    for (const { flusher } of this.#lanes) flusher.flush();
  }

  /** A client asks for a flush: a database that is away is not asked more often for that. */
  flushSoon(): void {
    this.storeGroup();
    for (const { flusher } of this.#lanes) flusher.flushSoon();
  }

  /** Messages and bytes that there is room for. */
  get free(): { rows: number; bytes: number } {
    const { rows, maxRows, bytes, maxBytes } = this.#room();
    return { rows: Math.max(0, maxRows - rows), bytes: Math.max(0, maxBytes - bytes) };
  }

  /** Resolves after the next try to write has ended, or at once where none is under way. */
  async nextAttempt(): Promise<void> {
    if (this.isWriting) await new Promise<void>((resolve) => this.#progressWaiters.push(resolve));
  }

  /** Resolves when nothing is buffered any more, or when writing has paused or stopped. */
  async settledOrPaused(): Promise<void> {
    while (this.isBusy && this.state !== 'paused' && this.state !== 'stopped') {
      await new Promise<void>((resolve) => this.#progressWaiters.push(resolve));
    }
  }

  async drained(): Promise<void> {
    while (this.isBusy) await Promise.all(this.#lanes.map(({ flusher }) => flusher.drained()));
  }

  /**
   * An operator lets a stopped or paused shard go on. For a lane that stopped because checkpoint and outbox did not fit, the
   * checkpoint is asked for again; where it still does not fit, the lane begins a new life in Postgres.
   *
   * @param choice what becomes of messages that the database has lost. Without one, a lane that still has some of them stays
   *   stopped, and says so
   */
  async resume(choice?: MissingChoice): Promise<void> {
    // One after the other: a connection has room for one piece of work.
    const resumed = this.#resuming.then(async () => {
      for (const { fenced, flusher } of this.#lanes) {
        if (fenced === undefined || flusher.stats.state !== 'stopped') {
          flusher.resume();
          continue;
        }
        const end = await fenced.resume(choice);
        if (end.state === 'stopped') {
          flusher.stayStopped(end.error);
          continue;
        }
        this.#rewritten += end.rewrittenRows;
        this.#received += end.rewrittenRows;
        flusher.resume(end.settledRows);
      }
    });
    this.#resuming = resumed.catch(() => {});
    await resumed;
  }

  /** What the database lacks, where a lane has stopped for that; the first of such lanes. */
  get missing(): MissingMessages | undefined {
    for (const { number, fenced } of this.#lanes) {
      if (fenced === undefined) continue;
      const fault = readLaneFault(this.#sqlite as Sqlite, number);
      if (fault?.state !== 'stopped' || fault.details === null) continue;
      const { missing } = JSON.parse(fault.details) as { missing?: MissingMessages };
      if (missing !== undefined) return missing;
    }
    return undefined;
  }

  /** When the next try is due, of the first lane that has something to write. */
  get retryAtMs(): number {
    let retryAtMs = Number.POSITIVE_INFINITY;
    for (const { lane, flusher } of this.#lanes) {
      if (lane.rows > 0 && flusher.stats.state !== 'stopped')
        retryAtMs = Math.min(retryAtMs, flusher.retryAtMs);
    }
    return Number.isFinite(retryAtMs) ? retryAtMs : 0;
  }

  get isStopped(): boolean {
    const busy = this.#lanes.filter(({ lane }) => lane.rows > 0);
    return busy.length > 0 && busy.every(({ flusher }) => flusher.stats.state === 'stopped');
  }

  /** Tells every session of `sluice.v1` to come back later, and closes it once all that it sent is stored. */
  drainSessions(retryMs: number): void {
    this.storeGroup();
    for (const session of [...this.#sessions.values()]) {
      session.drain(retryMs);
      session.close('shard_unavailable', 'the shard is draining: connect again');
    }
  }

  stats(): IntakeStats {
    const latency = new LatencyHistogram();
    const sums = emptyIntakeStats();
    for (const { lane, flusher, outbox } of this.#lanes) {
      const { stats } = flusher;
      latency.merge(flusher.latency.snapshot());
      sums.committed += stats.committed;
      sums.dead += stats.dead;
      sums.flushes += stats.flushes;
      sums.failures += stats.failures;
      sums.failuresInARow = Math.max(sums.failuresInARow, stats.failuresInARow);
      if (stats.lastErrorAtMs !== null && stats.lastErrorAtMs >= (sums.lastErrorAtMs ?? 0)) {
        sums.lastError = stats.lastError;
        sums.lastErrorCode = stats.lastErrorCode;
        sums.lastErrorAtMs = stats.lastErrorAtMs;
      }
      sums.buffered += lane.rows;
      sums.bufferedBytes += lane.bytes;
      sums.outboxBytes += lane.storedBytes;
      sums.keptBytes += outbox?.keptBytes ?? 0;
      sums.spilled += lane.spilledRows;
    }
    return {
      ...sums,
      state: this.state,
      received: this.#received,
      recovered: this.#recovered,
      rewritten: this.#rewritten,
      duplicate: this.#duplicate,
      refused: { ...this.#refused },
      storageRowsWritten: this.#sqlite?.rowsWritten ?? 0,
      deadLetters: this.#deadLetters?.count ?? 0,
      deadLettersFull: this.#deadLetters?.isFull ?? false,
      latency: latency.snapshot(),
    };
  }

  // A producer with messages in another lane, as after a deployment with another number of connections, stays there until
  // they are settled: younger ones would be written before them, and be acked as if those were.
  #laneOf(producer: Producer): LaneOfShard {
    const { name, isTracked, pendingRuns, run } = producer;
    if (!this.hasOutbox || !isTracked) producer.lane = this.#openLaneOf(name);
    else if (pendingRuns === 0 && run === undefined) {
      // What an older epoch has in a lane goes first.
      producer.lane = this.producers.laneInUse(producer) ?? this.#openLaneOf(name);
    }
    return this.#lanes[producer.lane] as LaneOfShard;
  }

  #openLaneOf(name: string): number {
    return this.#openLanes === 1 ? 0 : shardOf(name, this.#openLanes);
  }

  #hasRoomFor(payloads: readonly string[]): boolean {
    let characters = 0;
    for (const payload of payloads) characters += payload.length;
    return this.hasRoomFor(payloads.length, characters);
  }

  /** True where so many messages, of so many characters together, can be taken. Asked for every frame. */
  hasRoomFor(messages: number, characters: number): boolean {
    const { maxOutboxBytes, maxOutboxRows, maxBufferBytes } = this.#sink.options;
    let rows = messages;
    let bytes = characters + messages * MESSAGE_OVERHEAD_BYTES;
    for (const { lane } of this.#lanes) {
      rows += lane.rows;
      bytes += this.hasOutbox ? lane.storedBytes : lane.bytes;
    }
    return this.hasOutbox ? bytes <= maxOutboxBytes && rows <= maxOutboxRows : bytes <= maxBufferBytes;
  }
}

function isLarge({ gatheredCharacters, gatheredRows }: Lane): boolean {
  return gatheredCharacters >= GROUP_CHARACTERS || gatheredRows >= GROUP_ROWS;
}

async function writeOften(slot: ConnectionSlot, write: Write): Promise<WriteEnd> {
  await slot.use((connection) => write(connection));
  return { state: 'committed' };
}

// A sink's own code runs here. What it throws is about a row, not about the database.
function prepareRows(prepare: (batch: MessageBatch) => Write, batch: MessageBatch): Write {
  try {
    return prepare(batch);
  } catch (error) {
    // A sink of streams says itself what is wrong with a message.
    if (isSluiceError(error) && faultClassOf(error) === 'isolate') throw error;
    throw new SluiceError('sink_failed', `The sink's own code failed: ${errorText(error)}`, { cause: error });
  }
}

const STOPS = new Set(['checkpoint_missing', 'checkpoint_behind', 'checkpoint_ahead']);

function classify(error: unknown): FlushFault {
  return isSluiceError(error) && STOPS.has(error.code) ? 'stop' : faultClassOf(error);
}

const STATES: readonly LaneState[] = ['running', 'retrying', 'paused', 'stopped'];

function worstState(states: readonly LaneState[]): LaneState {
  return STATES[Math.max(0, ...states.map((state) => STATES.indexOf(state)))] as LaneState;
}

/** What messages count for in the buffer's limit. */
function bufferBytesOf(payloads: readonly string[]): number {
  let bytes = payloads.length * MESSAGE_OVERHEAD_BYTES;
  for (const payload of payloads) bytes += payload.length;
  return bytes;
}
