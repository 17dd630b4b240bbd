/** From frames to Postgres, for one shard: joins the parts, and is what the shard and its operators talk to. */

import type { LimitsOf } from '../access/limits.ts';
import { SluiceError } from '../core/errors.ts';
import { type Failpoints, NO_FAILPOINTS } from '../core/failpoints.ts';
import { MAX_FRAME_BYTES } from '../core/limits.ts';
import { type MemoryAccount, MemoryBudget } from '../core/memory-budget.ts';
import type { Timers } from '../core/timers.ts';
import type { Connection } from '../database/connection.ts';
import type { Sqlite } from '../database/sqlite.ts';
import type { DeadLetter } from '../outbox/dead-letter.ts';
import type { DeadLetters } from '../outbox/dead-letters.ts';
import type { LaneState } from '../outbox/lane-faults.ts';
import { readSavedCounts } from '../outbox/lane-totals.ts';
import type { MissingChoice, MissingMessages } from '../outbox/missing-messages.ts';
import { untrackedProducer } from '../outbox/producer.ts';
import type { ProducerRegistry } from '../outbox/producer-registry.ts';
import type { HandedOver } from '../outbox/producer-rows.ts';
import { Producers } from '../outbox/producers.ts';
import { type Refusal, refusalBySchema } from '../outbox/refusal.ts';
import { ShardFacts } from '../outbox/shard-facts.ts';
import type { Sink } from '../sinks/sink.ts';
import { writingOf } from '../writers/writers.ts';
import { Admission } from './admission.ts';
import { Capacity } from './capacity.ts';
import { FlowControl } from './flow-control.ts';
import type { FlusherStats } from './flusher-stats.ts';
import { GroupCommit, isLarge } from './group-commit.ts';
import { HelloHandler } from './hello-handler.ts';
import { Holdings } from './holdings.ts';
import { InputGateHold } from './input-gate-hold.ts';
import type { Intake, IntakeStats, Peer, Session, SessionRequest } from './intake.ts';
import { IntakeCounters } from './intake-counters.ts';
import { Lanes } from './lanes.ts';
import { MappingWatch } from './mapping-watch.ts';
import { Measurements } from './measurements.ts';
import { MemoryHold } from './memory-hold.ts';
import { figuresOf, type PipelineFigures, type Sender, takeSenders } from './pipeline-figures.ts';
import { Progress } from './progress.ts';
import { Quotas } from './quotas.ts';
import { RawSession } from './raw-session.ts';
import { SchemaGate } from './schema-gate.ts';
import type { SessionPort, SessionTerms } from './session-port.ts';
import { Sessions } from './sessions.ts';
import { ShardCounts } from './shard-counts.ts';
import { V1Session } from './v1-session.ts';
import { openProducers } from './volatile-mark.ts';

export interface PipelineOptions {
  sink: Sink;
  /** How much somebody may send, unless their grant says otherwise. Default: as much as they want. */
  limits?: LimitsOf;
  /** Names the shard among those that write to the same database. Default: `0`. */
  shard?: string;
  openConnection: () => Promise<Connection>;
  timers: Timers;
  /** Where the work is noted. Default: a place that nobody reads. */
  measured?: Measurements;
  /** A number from 0 to below 1. */
  random: () => number;
  /** A text that nobody else ever got. Default: a random UUID. */
  randomId?: () => string;
  /** The shard's storage. Missing: messages wait in memory only, whatever the sink's `durability`. */
  sqlite?: Sqlite;
  /** Where messages go that Postgres refuses for their content. Missing: their batch is tried for ever. */
  deadLetters?: DeadLetters;
  failpoints?: Failpoints;
  /** Opens its account of what all that share the isolate may hold. Default: nobody shares it. */
  openMemory?: (holder: object) => MemoryAccount;
  /** Called after each batch that was written or failed. */
  onProgress?: () => void;
  /** Called when the storage cannot be written: what is in memory and what is stored differ from then on. */
  onStorageFailure?: (error: unknown) => void;
  /** Told of each message that becomes a dead letter. */
  onDeadLetter?: (refusal: Refusal) => void;
  /** Told of what an operator should know, and what needs nobody's help. */
  onNotice?: (sentence: string) => void;
  /** Does some work while no frames are delivered. Used for the writes of a shard whose buffer fills up. */
  holdFrames?: (work: () => Promise<void>) => Promise<void>;
}

export class Pipeline implements Intake {
  readonly producers: ProducerRegistry;
  readonly hasOutbox: boolean;
  readonly delivery: 'exactly-once' | 'at-least-once';
  /** Takes frames. */
  readonly admission: Admission;
  readonly #timers: Timers;
  readonly #sqlite: Sqlite | undefined;
  readonly #deadLetters: DeadLetters | undefined;
  readonly #rawProducers = new Producers();
  readonly #counters = new IntakeCounters();
  /** What the shard has counted in all its lives. */
  readonly counts: ShardCounts;
  readonly #progress = new Progress();
  readonly #sessions: Sessions;
  readonly #lanes: Lanes;
  readonly #capacity: Capacity;
  readonly #memory: MemoryHold;
  readonly #flow: FlowControl;
  readonly #quotas: Quotas;
  readonly #group: GroupCommit;
  readonly #gate: SchemaGate | undefined;
  readonly #mapping: MappingWatch | undefined;
  readonly #port: SessionPort;
  readonly #failStorage: (error: unknown) => void;

  /** @throws SluiceError `invalid_configuration` for a sink of streams without storage */
  constructor(options: PipelineOptions) {
    const { sink, timers, sqlite, deadLetters, onStorageFailure } = options;
    const { failpoints = NO_FAILPOINTS, randomId = () => crypto.randomUUID() } = options;
    const measured = options.measured ?? new Measurements(timers.now());
    this.#timers = timers;
    this.#sqlite = sqlite;
    this.#deadLetters = deadLetters;
    const hasOutbox = sqlite !== undefined && sink.options.durability === 'outbox';
    this.hasOutbox = hasOutbox;
    if (sink.kind === 'stream' && !hasOutbox) {
      throw new SluiceError(
        'invalid_configuration',
        'A sink of streams writes exactly once, and so needs the storage of its shard',
      );
    }
    // What the storage holds and what memory holds may differ from then on.
    const failStorage = (error: unknown): void => {
      if (onStorageFailure === undefined) throw error;
      onStorageFailure(error);
    };
    this.#failStorage = failStorage;
    const facts = sqlite === undefined ? undefined : new ShardFacts(sqlite);
    const { producers, volatileMark } = openProducers(sqlite, facts, hasOutbox, timers.now());
    this.producers = producers;
    const writing = writingOf(sink);
    this.delivery = hasOutbox && writing.isExactlyOnce ? 'exactly-once' : 'at-least-once';
    const sessions = new Sessions(producers);
    this.#sessions = sessions;
    const saved = sqlite === undefined ? {} : readSavedCounts(sqlite);
    const holdings = new Holdings({
      lanes: () => this.#lanes.all,
      usage: () => this.#capacity.usage(),
    });
    const openMemory = options.openMemory ?? ((holder) => new MemoryBudget().open('', holder));
    const memory = new MemoryHold({
      account: openMemory(this),
      lanes: () => this.#lanes?.all ?? [],
      hasOutbox,
    });
    this.#memory = memory;
    this.#lanes = new Lanes({
      sink,
      shard: options.shard ?? '0',
      writing,
      openConnection: options.openConnection,
      timers,
      measured,
      counts: () => this.counts.text,
      random: options.random,
      randomId,
      sqlite,
      hasOutbox,
      producers,
      deadLetters,
      failpoints,
      hold: this.#openHold(options),
      failStorage,
      hasSession: (producer) => sessions.has(producer),
      onCommitted: (producer) => sessions.onCommitted(producer),
      onSettling: (batch) => {
        if (holdings.isOn) holdings.settling(batch);
      },
      onHeld: () => memory.note(),
      mayKeep: (memoryBytes, laneBytes) => memory.mayKeep(memoryBytes, laneBytes),
      onDeadLetter: (producer, epoch, sequence, refusal) => {
        sessions.onDeadLetter(producer, epoch, sequence, refusal);
        options.onDeadLetter?.(refusal);
      },
      onRewritten: (messages) => {
        this.#counters.rewritten += messages;
        this.#counters.received += messages;
      },
      onProgress: () => {
        if (this.#lanes.hasCommitted) this.#mapping?.noteWritten();
        this.#afterFlush();
        options.onProgress?.();
      },
    });
    if (this.#lanes.rows > 0) memory.assumeWide();
    this.#capacity = new Capacity({ lanes: this.#lanes.all, hasOutbox, limits: sink.options });
    const { shards, maxMessageBytes } = sink.options;
    this.#quotas = new Quotas({
      limits: options.limits ?? {},
      shards,
      maxMessageBytes,
      timers,
      holdings,
    });
    const capacity = this.#capacity;
    this.#flow = new FlowControl({
      capacity,
      sessions,
      quotas: this.#quotas,
      memory,
      timers,
      measured,
      hasOutbox,
    });
    this.#group = new GroupCommit({
      lanes: this.#lanes,
      producers,
      sessions,
      flow: this.#flow,
      timers,
      failpoints,
      groupMs: sink.options.groupMs,
      hasOutbox,
      volatileMark,
      holdings,
      memory,
      failStorage,
    });
    const terms = this.#terms(sink, measured);
    const ask = sink.kind === 'stream' ? undefined : sink.askSchema;
    this.#gate = ask === undefined ? undefined : new SchemaGate(ask, terms.maxMessageBytes);
    this.admission = new Admission({
      terms,
      capacity: this.#capacity,
      group: this.#group,
      counters: this.#counters,
      memory,
      gate: this.#gate,
    });
    const helloHandler = new HelloHandler({
      producers,
      sessions,
      group: this.#group,
      flow: this.#flow,
      randomId,
      hasOutbox,
      failStorage,
    });
    this.#port = this.#openPort(terms, helloHandler);
    this.#counters.recovered = this.#lanes.rows;
    this.#counters.received = this.#lanes.rows;
    this.counts = this.#openCounts(saved, measured);
    // Where messages wait in memory only, none is there after a start, and nothing is to be stored.
    const mayWait = hasOutbox || this.#lanes.rows > 0;
    this.#mapping =
      facts === undefined || sink.kind === 'stream' || !mayWait
        ? undefined
        : new MappingWatch(sink, facts, this.#lanes.rows);
    if (this.#mapping?.change !== undefined) options.onNotice?.(this.#mapping.change);
    if (this.isBusy) this.#lanes.start();
  }

  #openCounts(saved: Record<string, number>, measured: Measurements): ShardCounts {
    const lanes = { ...this.#lanes.outboxSums, unsettled: this.#lanes.rows };
    return new ShardCounts({
      saved,
      lanes,
      counters: this.#counters,
      measured,
      life: () => ({
        ...this.#lanes.trouble,
        stored: this.#lanes.outboxSums.stored - lanes.stored,
        writtenBytes: this.#lanes.writtenBytes,
        rowsWritten: this.#sqlite?.rowsWritten ?? 0,
        memoryRefused: this.#memory.refused,
        restrained: this.#quotas.restrained,
        refusedConnections: this.#quotas.refusedConnections,
      }),
    });
  }

  #openHold({ holdFrames, timers }: PipelineOptions): InputGateHold | undefined {
    if (holdFrames === undefined) return undefined;
    return new InputGateHold({ holdFrames, fill: () => this.#capacity.memoryFill(), timers });
  }

  #terms({ options: { maxMessageBytes, replacementCharacter } }: Sink, measured: Measurements): SessionTerms {
    const takesReplacement = replacementCharacter === 'store';
    return {
      timers: this.#timers,
      measured,
      hasOutbox: this.hasOutbox,
      delivery: this.delivery,
      maxMessageBytes,
      frameLimits: { maxMessageBytes, maxFrameBytes: MAX_FRAME_BYTES, takesReplacement },
      lineLimits: { maxMessageBytes, takesReplacement },
    };
  }

  #openPort(terms: SessionTerms, helloHandler: HelloHandler): SessionPort {
    const { admission } = this;
    const group = this.#group;
    return {
      terms,
      welcome: (session, name, hello, nowMs) => helloHandler.welcome(session, name, hello, nowMs),
      wake: (session, name, memory) => helloHandler.wake(session, name, memory),
      leave: (session, producer) => {
        group.forget(session);
        this.#quotas.forget(session);
        this.#sessions.remove(producer, session);
      },
      takeBatch: (producer, source, frame, header, limits, nowMs) =>
        admission.takeBatch(producer, source, frame, header, limits, nowMs),
      sendFlow: (session, isLimited) => this.#flow.sendFlow(session, isLimited),
      addUnread: (bytes) => this.#memory.addUnread(bytes),
      ackSoon: (session) => group.ackSoon(session),
      endBatch: (session, nowMs) => group.endBatch(session, nowMs),
      storeGroup: () => void group.store(),
      flushSoon: () => this.flushSoon(),
    };
  }

  // After a batch: acks that waited for it leave at once, and clients without credit hear of the room.
  #afterFlush(): void {
    this.#progress.tell();
    this.#lanes.afterFlush();
    this.#group.afterFlush();
    this.#flow.tellOfRoom();
  }

  // Sockets.

  /** Why a socket is one too many, before it opens. */
  crowdOf(request: Parameters<Quotas['crowdOf']>[0]): SluiceError | undefined {
    return this.#quotas.crowdOf(request);
  }

  openSession(peer: Peer, request: SessionRequest): Session {
    const { producer, protocol, access, nowMs } = request;
    const quota = this.#quotas.open(request);
    if (quota?.crowded !== undefined) return this.#quotas.refuse(peer, quota, protocol);
    if (protocol === 'raw')
      return new RawSession(this.admission, peer, this.#rawProducers.connect(producer, nowMs), access, quota);
    const { followed, follow } = this.#quotas.followGrants(request);
    const session = new V1Session(this.#port, peer, followed, quota);
    follow(session);
    return session;
  }

  /** Tells every session of `sluice.v1` to come back later, and closes it once all that it sent is stored. */
  drainSessions(retryMs: number): void {
    this.#group.store();
    for (const session of this.#sessions.all) {
      session.drain(retryMs);
      session.close('shard_unavailable', 'the shard is draining: connect again');
    }
  }

  // Producers that move to another shard, as when `shards` has changed.

  /** True where something is known of a producer. */
  knows(name: string): boolean {
    const producer = this.producers.find(name);
    this.#sessions.release(producer);
    return producer !== undefined;
  }

  /**
   * Takes over what other shards know of a producer that is not known here: what the one that is furthest knows. Where none
   * does, what was given away before and nobody has taken counts again.
   */
  adopt(name: string, given: readonly HandedOver[]): void {
    this.producers.adopt(name, given, this.#timers.now());
  }

  /**
   * Gives up what is known of a producer, for another shard. Its sockets have to be closed.
   *
   * @returns undefined where nothing is known; `busy` while messages of it are not settled
   */
  handOver(name: string): HandedOver | 'busy' | undefined {
    if (!this.#group.store()) return 'busy';
    return this.producers.hasUnsettled(name) ? 'busy' : this.producers.handOver(name);
  }

  /** Resolves when the messages of a producer are settled, when they will not be for now, or when the time is over. */
  async settled(name: string, timeLimitMs: number): Promise<void> {
    this.flushSoon();
    let isOver = false;
    const cancel = this.#timers.after(timeLimitMs, () => {
      isOver = true;
      this.#progress.tell();
    });
    while (!isOver && this.producers.hasUnsettled(name) && this.state === 'running')
      await this.#progress.next();
    cancel();
  }

  // Writing.

  /**
   * Stores what was gathered, and acks it in the same turn.
   *
   * @returns false where the storage failed, and nothing was acked
   */
  storeGroup(): boolean {
    return this.#group.store();
  }

  flush(): void {
    this.#group.store();
    this.#lanes.flush();
  }

  /** A client asks for a flush: a database that is away is not asked more often for that. */
  flushSoon(): void {
    this.#group.store();
    this.#lanes.flushSoon();
  }

  /** Resolves after the next attempt to write has ended, or at once where none is under way. */
  async nextAttempt(): Promise<void> {
    if (this.isWriting) await this.#progress.next();
  }

  /** Resolves when nothing is buffered any more, or when writing has paused or stopped. */
  async settledOrPaused(): Promise<void> {
    while (this.isBusy && this.state !== 'paused' && this.state !== 'stopped') await this.#progress.next();
  }

  drained(): Promise<void> {
    return this.#lanes.drained();
  }

  /**
   * Puts dead letters back into the outbox, with the triple that they had. They come after later messages of their producer:
   * the order is given up where somebody decides so. They are durable, and stay so while they are retried, whatever the
   * sink's durability. The sink's schema is asked of them again, since somebody may have edited them.
   *
   * @returns how many of them the schema refuses: they are dead letters again, with its reason
   */
  retry(letters: readonly DeadLetter[], nowMs: number): number {
    try {
      return this.#retry(letters, nowMs);
    } catch (error) {
      // They have left the dead letters in the same step of storage, which must not be kept by half.
      this.#failStorage(error);
      throw error;
    }
  }

  #retry(letters: readonly DeadLetter[], nowMs: number): number {
    const durable = this.#lanes.openDurableBesideMemory();
    let refused = 0;
    for (const letter of letters) {
      const { producer: name, epoch, sequence, receivedAtMs } = letter;
      const verdict = this.#gate?.judge(letter.payload);
      if (verdict !== undefined && 'code' in verdict) {
        this.#deadLetters?.putBack({ ...letter, ...refusalBySchema(verdict), failedAtMs: nowMs });
        refused += 1;
        continue;
      }
      const payload = verdict?.payload ?? letter.payload;
      const carrier = untrackedProducer(name, epoch, sequence);
      this.#counters.received += 1;
      const plain = [!/[\\\p{Cc}]/u.test(payload)];
      const chunk = { payloads: [payload], plain, text: payload };
      // Together they may be larger than a row of the outbox can be.
      if (durable === undefined) {
        this.#group.gather(carrier, sequence, chunk, receivedAtMs);
        this.#group.endFrame(nowMs);
      } else {
        durable.lane.gather(carrier, sequence, chunk, receivedAtMs);
        if (isLarge(durable.lane)) durable.storeOrFail();
      }
    }
    durable?.storeOrFail();
    this.#group.store();
    return refused;
  }

  /**
   * An operator lets a stopped or paused shard go on. For a lane that stopped because checkpoint and outbox did not fit, the
   * checkpoint is asked for again; where it still does not fit, the lane begins a new life in Postgres.
   *
   * @param choice what becomes of messages that the database has lost. Without one, a lane that still has some of them stays
   *   stopped, and says so
   */
  resume(choice?: MissingChoice): Promise<void> {
    return this.#lanes.resume(choice);
  }

  /** An operator wants nothing to be written to Postgres before `resume`: what is accepted waits. It outlasts a start. */
  pauseByOperator(): void {
    this.#lanes.pauseByOperator();
  }

  // State.

  /** What the database lacks, where a lane has stopped for that; the first of such lanes. */
  get missing(): MissingMessages | undefined {
    return this.#lanes.missing;
  }

  get isBusy(): boolean {
    return this.#lanes.isBusy;
  }

  get isWriting(): boolean {
    return this.#lanes.isWriting;
  }

  get isStopped(): boolean {
    return this.#lanes.isStopped;
  }

  get retryAtMs(): number {
    return this.#lanes.retryAtMs;
  }

  /** The worst state of any lane. */
  get state(): LaneState {
    return this.#lanes.state;
  }

  get fill(): number {
    // The others of the isolate have no room either: nothing is gained by reading on.
    if (this.#memory.isTight) return 1;
    // While the database is away, memory is full and nothing is the matter: the outbox takes the rest.
    return !this.hasOutbox || this.state === 'running'
      ? this.#capacity.memoryFill()
      : this.#capacity.outboxFill();
  }

  /** Messages and bytes that there is room for. */
  get free(): { rows: number; bytes: number } {
    return this.#memory.isTight ? { rows: 0, bytes: 0 } : this.#capacity.free();
  }

  /** What keeps it from writing, or did the last time; cheap enough to be asked after each batch. */
  get trouble(): FlusherStats {
    return this.#lanes.trouble;
  }

  /** Messages that are not settled. */
  get rows(): number {
    return this.#lanes.rows;
  }

  /** How full it is, 0 to 1: clients are given no more credit from nine tenths on. */
  get queueFill(): number {
    return this.hasOutbox ? this.#capacity.outboxFill() : this.#capacity.memoryFill();
  }

  /** Messages that arrived in this life, whatever became of them. */
  get received(): number {
    return this.#counters.received;
  }

  /** How it stands, for those who watch it. */
  get figures(): PipelineFigures {
    const counts = this.counts.all;
    const [lanes, capacity, sessions, memory] = [this.#lanes, this.#capacity, this.#sessions, this.#memory];
    return figuresOf({ counts, lanes, capacity, sessions, memory, hasOutbox: this.hasOutbox });
  }

  /** The producers that sent most since the last call. */
  takeSenders(limit: number): Sender[] {
    return takeSenders(this.#sessions, this.#rawProducers.all, limit);
  }

  /** Asks something over a connection that is open and idle; undefined where none is. */
  askAside<Result>(
    ask: (connection: Connection) => PromiseLike<Result>,
    timeLimitMs: number,
  ): Promise<Result> | undefined {
    for (const lane of this.#lanes.all) {
      const asked = lane.askAside(ask, timeLimitMs);
      if (asked !== undefined) return asked;
    }
    return undefined;
  }

  stats(): IntakeStats {
    const { received, recovered, rewritten, duplicate, refused } = this.#counters;
    const { restrained, refusedConnections } = this.#quotas;
    return {
      ...this.#lanes.stats(),
      received,
      recovered,
      rewritten,
      duplicate,
      refused,
      restrained,
      refusedConnections,
      memoryRefused: this.#memory.refused,
      isolateBufferedBytes: this.#memory.heldBytes,
      isolateLimitBytes: this.#memory.limitBytes,
      isMemoryTight: this.#memory.isTight,
      storageRowsWritten: this.#sqlite?.rowsWritten ?? 0,
      deadLetters: this.#deadLetters?.count ?? 0,
      deadLettersFull: this.#deadLetters?.isFull ?? false,
      mappingChange: this.#mapping?.change ?? null,
      totals: this.counts.messages,
    };
  }
}
