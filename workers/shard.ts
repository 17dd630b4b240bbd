/**
 * The shard: a Durable Object that holds the sockets of its producers and passes their frames on. It adapts the
 * platform's events to an `Intake`; what a frame means and how it gets to Postgres is not decided here.
 */

import { addressKey } from '../src/access/client-address.ts';
import type { LimitsOf } from '../src/access/limits.ts';
import { clientName } from '../src/access/producer-name.ts';
import { isMeant, type Revocation, type RevokedName, revokedText } from '../src/access/revocations.ts';
import {
  closeCode,
  closeReason,
  type ErrorCode,
  errorText,
  isSluiceError,
  rawCloseCode,
  SluiceError,
  toldText,
} from '../src/core/errors.ts';
import { type Failpoints, NO_FAILPOINTS } from '../src/core/failpoints.ts';
import { HAND_OVER_LIMIT_MS, HELD_ALARM_MS, MAX_TAKEN_DEAD_LETTERS } from '../src/core/limits.ts';
import type { MemoryAccount } from '../src/core/memory-budget.ts';
import { systemTimers, type Timers } from '../src/core/timers.ts';
import { CountingIntake } from '../src/ingest/counting-intake.ts';
import { DeadLetterCopy } from '../src/ingest/dead-letter-copy.ts';
import { HeldIntake } from '../src/ingest/held-intake.ts';
import type { Intake } from '../src/ingest/intake.ts';
import { Pipeline } from '../src/ingest/pipeline.ts';
import { DEFAULT_READ_THROTTLE, ReadThrottle, THROTTLE_WITH_HOLDS } from '../src/ingest/read-throttle.ts';
import { UsedTickets } from '../src/ingest/used-tickets.ts';
import { noteUncopied } from '../src/outbox/copied-letters.ts';
import type { DeadLetter, DeadLetterPage, DroppedDeadLetters } from '../src/outbox/dead-letter.ts';
import type { DeadLetterChoice, DeadLetterFilter } from '../src/outbox/dead-letter-filter.ts';
import type { DeadLetterGroup } from '../src/outbox/dead-letter-groups.ts';
import { DeadLetters } from '../src/outbox/dead-letters.ts';
import type { MissingChoice } from '../src/outbox/missing-messages.ts';
import type { RetriedDeadLetters, ShardState, ShardSummary } from '../src/outbox/shard-admin.ts';
import { ShardFacts } from '../src/outbox/shard-facts.ts';
import { SLUICE_V1 } from '../src/protocol/sluice-v1.ts';
import type { Sink } from '../src/sinks/sink.ts';
import { resolveSinkOptions, type SinkOptions } from '../src/sinks/sink-options.ts';
import { AlarmClock } from './alarm-clock.ts';
import { connect, databaseTarget } from './database.ts';
import { DirectoryObject } from './directory-object.ts';
import type { Env } from './env.ts';
import { openIsolateMemory } from './isolate-memory.ts';
import { logFailure } from './log.ts';
import {
  type HandOver,
  type ListedSession,
  PRODUCER_HEADER,
  type ShardCalls,
  type ShardDirectory,
  type ShardPlace,
  type ShardStats,
} from './objects.ts';
import { ProducerMoves } from './producer-moves.ts';
import { CLIENT_ADDRESS_HEADER } from './request-limit.ts';
import { type AskForToken, grantOf, type KeptAccess, OPEN_ACCESS, ShardAccess } from './shard-access.ts';
import { DIRECTORY_NAME, shardDirectory } from './shard-directory.ts';
import { ShardListing } from './shard-listing.ts';
import { encodeShardName } from './shard-name.ts';
import { ShardRevocations } from './shard-revocations.ts';
import { Fault, noRole, type ShardRole, sinkOrFault } from './shard-role.ts';
import { type Attachment, answerClose, LOST, ShardSockets } from './shard-sockets.ts';
import { ShardWatch } from './shard-watch.ts';
import { DurableObjectSqlite } from './sqlite.ts';
import { chooseProtocol } from './subprotocol.ts';

/** When clients that are sent away should come back. */
const DRAIN_RETRY_MS = 3_000;

/** What others ask of a shard. */
const COUNTED_CALLS: readonly (keyof ShardCalls)[] = [
  'handOver',
  'forgetMoved',
  'stats',
  'drain',
  'listSessions',
  'endSessions',
  'noteRevocation',
  'noteReinstated',
  'summary',
  'listDeadLetters',
  'readDeadLetter',
  'retryDeadLetters',
  'dropDeadLetters',
  'resume',
  'drainShard',
];

export abstract class Shard extends DirectoryObject implements ShardCalls {
  readonly #role: ShardRole;
  readonly #options: SinkOptions;
  readonly #intake: Intake;
  /** The intake, where it is more than a counter. */
  readonly #pipeline: Pipeline | undefined;
  /** The same where there is no sink to write to. */
  readonly #held: HeldIntake | undefined;
  readonly #deadLetters: DeadLetters | undefined;
  /** Copies them to a table, where the sink asks for it. */
  readonly #letterCopy: DeadLetterCopy | undefined;
  /** Its place in the directory; a shard of a bench run has none. */
  readonly #listing: ShardListing | undefined;
  /** Brings what other shards of its sink know of producers; a shard of a bench run has no others. */
  readonly #moves: ProducerMoves | undefined;
  /** Producers that another shard has asked for, and that are not given yet. */
  readonly #leaving = new Set<string>();
  /** Who may not send any more. */
  readonly #revocations = new ShardRevocations(() => shardDirectory(this.env).listRevocations());
  readonly #failpoints: Failpoints;
  readonly #alarm: AlarmClock;
  readonly #watch: ShardWatch;
  readonly #throttle: ReadThrottle;
  readonly #sockets: ShardSockets;
  readonly #startedAtMs = Date.now();
  /** Undefined where everybody who reaches the shard may send. */
  readonly #access: ShardAccess | undefined;
  readonly #timers: Timers = {
    now: systemTimers.now,
    after: (delayMs, callback) => {
      const dueAtMs = Date.now() + delayMs;
      return systemTimers.after(delayMs, () => {
        const nowMs = Date.now();
        this.#watch.measured.timerDelay.record(Math.max(0, nowMs - dueAtMs) / 1_000);
        this.#throttle.timerFired(nowMs);
        callback();
      });
    },
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = ctx.id.name ?? '';
    const role = name === DIRECTORY_NAME ? noRole(name) : this.role(name);
    this.#role = role;
    this.#watch = new ShardWatch({
      env,
      sink: role.sinkName,
      shard: role.shard,
      driver: role.driver,
      isReporting: role.place !== undefined,
      timers: this.#timers,
    });
    let watchedSink: Sink | undefined;
    this.#failpoints = this.failpoints();
    this.#alarm = new AlarmClock(ctx.storage);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
    if (role.sink === undefined) {
      this.#options = resolveSinkOptions({});
      this.#intake = new CountingIntake();
      this.#throttle = new ReadThrottle();
    } else {
      const sqlite = new DurableObjectSqlite(ctx.storage);
      const sink = sinkOrFault(role.sinkName, role.sink);
      this.#options = sink instanceof Fault ? resolveSinkOptions({}) : sink.options;
      this.#access = this.#openAccess(role, sqlite);
      const { maxDeadLetters, maxDeadLetterBytes } = this.#options;
      this.#deadLetters = new DeadLetters({ sqlite, maxRows: maxDeadLetters, maxBytes: maxDeadLetterBytes });
      if (sink instanceof Fault) {
        this.#held = new HeldIntake(sink.error, sqlite, this.#deadLetters, Date.now());
        this.#intake = this.#held;
        this.#throttle = new ReadThrottle();
      } else {
        watchedSink = sink;
        this.#pipeline = this.#openPipeline(role, sink, sqlite, this.#deadLetters);
        if (this.#options.deadLetters === 'table') this.#letterCopy = this.#openCopy(role, sink, sqlite);
        else noteUncopied(sqlite);
        this.#intake = this.#pipeline;
        this.#throttle = new ReadThrottle(
          this.#canHoldFrames(role) ? THROTTLE_WITH_HOLDS : DEFAULT_READ_THROTTLE,
        );
      }
      const { place } = role;
      if (place !== undefined) {
        const facts = new ShardFacts(sqlite);
        const directory = (): ShardDirectory => shardDirectory(this.env);
        if (this.#pipeline !== undefined) this.#moves = this.#openMoves(place, facts, this.#pipeline);
        this.#listing = new ShardListing({
          place,
          facts,
          directory,
          holdsSomething: () => this.#holdsSomething,
          isInRange: this.#pipeline !== undefined && place.shard < this.#options.shards,
        });
      }
    }
    this.#sockets = new ShardSockets({
      state: ctx,
      intake: this.#intake,
      access: this.#access,
      areResident: this.#options.sockets === 'resident',
      onFrame: (socket, frame) => this.#receive(socket, frame),
      onEnd: (code) => this.#watch.measured.socketsClosed.add(String(code)),
    });
    // Woken up, or started again with messages of its life before: they are flushed whatever becomes of this event.
    this.#sockets.wake();
    this.#armAlarm(Date.now());
    if (this.#holdsSomething) this.#listing?.add();
    this.#watch.open({
      sink: watchedSink,
      pipeline: this.#pipeline,
      held: this.#held,
      deadLetters: this.#deadLetters,
      sockets: this.#sockets,
    });
  }

  #openAccess({ sinkName: sink }: ShardRole, sqlite: DurableObjectSqlite): ShardAccess | undefined {
    const ask = this.authorizer();
    if (ask === 'open') return undefined;
    const tickets = new UsedTickets(sqlite);
    return new ShardAccess({ sink, ask, tickets, revocations: this.#revocations, now: Date.now });
  }

  #openCopy(role: ShardRole, sink: Sink, sqlite: DurableObjectSqlite): DeadLetterCopy {
    return new DeadLetterCopy({
      sqlite,
      deadLetters: this.#letters,
      sink: sink.name,
      shard: role.label,
      openConnection: () => connect(databaseTarget(this.env, role.driver)),
      watch: this.#watch.measured.connections,
      timers: this.#timers,
      random: Math.random,
      randomId: () => crypto.randomUUID(),
    });
  }

  /** Copies dead letters where some are due. The alarm is armed for what fails. */
  #copyLetters(): void {
    if (this.#letterCopy?.isBehind !== true) return;
    void this.#letterCopy.copy().then(() => this.#armAlarm(Date.now()));
  }

  #openMoves(place: ShardPlace, facts: ShardFacts, pipeline: Pipeline): ProducerMoves {
    return new ProducerMoves({
      place,
      shards: this.#options.shards,
      facts,
      directory: () => shardDirectory(this.env),
      holder: (shard) => this.env.SHARD.getByName(encodeShardName({ sink: place.sink, shard })),
      pipeline,
      sync: () => this.ctx.storage.sync(),
    });
  }

  /** Names it in the log. */
  get #names(): { sink: string; shard: number } {
    return { sink: this.#role.sinkName, shard: this.#role.shard };
  }

  /** True while somebody has to be able to find this shard. */
  get #holdsSomething(): boolean {
    const { buffered, deadLetters } = this.#intake.stats();
    return buffered > 0 || deadLetters > 0;
  }

  // What cannot be written for want of a sink waits for a deployment that brings one back, and looks for it now and then.
  // In a backoff the alarm follows the next try, which is the timer's as long as the object lives: an alarm before would
  // find nothing to do, and be billed. A shard that has stopped waits for an operator.
  #armAlarm(nowMs: number): void {
    if (this.#held !== undefined && this.#held.rows > 0) this.#alarm.armWithin(HELD_ALARM_MS, nowMs);
    const copy = this.#letterCopy;
    if (copy?.isBehind === true)
      this.#alarm.armWithin(Math.max(0, copy.retryAtMs - nowMs) + this.#options.alarmMs, nowMs);
    const { isBusy, isStopped, retryAtMs } = this.#intake;
    if (!isBusy || isStopped) return;
    this.#alarm.armWithin(Math.max(0, retryAtMs - nowMs) + this.#options.alarmMs, nowMs);
  }

  /** Where tests make things fail; overridden by theirs. */
  protected failpoints(): Failpoints {
    return NO_FAILPOINTS;
  }

  /** What this shard is: its place, its sink, and how it connects. */
  protected abstract role(name: string): ShardRole;

  /** Opens the account of what this shard holds of the isolate's memory. Overridden by tests, which need an isolate without a breaker. */
  protected openMemory(holder: object): MemoryAccount {
    return openIsolateMemory(this.env, this.ctx.id.toString(), holder);
  }

  /** How much somebody may send. Overridden where a deployment says it. */
  protected limits(): LimitsOf {
    return {};
  }

  /** Who is asked about tokens that come within a session; `open` where everybody who reaches this shard may send. */
  protected abstract authorizer(): AskForToken | 'open';

  #openPipeline(
    role: ShardRole,
    sink: Sink,
    sqlite: DurableObjectSqlite,
    deadLetters: DeadLetters,
  ): Pipeline {
    return new Pipeline({
      sink,
      limits: this.limits(),
      shard: role.label,
      openConnection: () => connect(databaseTarget(this.env, role.driver)),
      timers: this.#timers,
      measured: this.#watch.measured,
      random: Math.random,
      sqlite,
      deadLetters,
      failpoints: this.#failpoints,
      openMemory: (holder) => this.openMemory(holder),
      // After a long backoff the alarm is far away, and what waits has to be flushed sooner.
      onProgress: () => {
        this.#armAlarm(Date.now());
        this.#copyLetters();
        this.#watch.progressed();
      },
      onDeadLetter: (refusal) => this.#watch.dead(refusal),
      onNotice: (message) => this.#watch.note(message),
      // Memory and storage differ from here on. A new start reads what is stored; clients send the rest again.
      onStorageFailure: (error) => {
        logFailure('The outbox failed', error, this.#names);
        this.ctx.abort('The outbox could not be written');
      },
      ...(this.#canHoldFrames(role)
        ? { holdFrames: (work: () => Promise<void>) => this.ctx.blockConcurrencyWhile(work) }
        : {}),
    });
  }

  // With the gate shut, answers of Postgres only arrive on a socket whose reads begin within that time. That is so for
  // coalescing-socket.ts, and not for the WebSocket of Neon's driver.
  #canHoldFrames(role: ShardRole): boolean {
    try {
      return databaseTarget(this.env, role.driver).driver === 'tcp';
    } catch {
      // Without a database there is nothing to write; each try will say so.
      return false;
    }
  }

  /** Takes a socket's upgrade. The Worker has checked everything about the request. */
  override async fetch(request: Request): Promise<Response> {
    this.#watch.called();
    const producer = request.headers.get(PRODUCER_HEADER) ?? crypto.randomUUID();
    const chosen = chooseProtocol(request);
    const protocol = chosen === SLUICE_V1 ? SLUICE_V1 : 'raw';
    const kept = this.#access?.read(request) ?? OPEN_ACCESS;
    const address = addressKey(request.headers.get(CLIENT_ADDRESS_HEADER));
    // Before others are asked about the producer: a flood of sockets costs no more than this.
    const crowd = this.#pipeline?.crowdOf({ producer, address, grant: grantOf(kept) });
    const waiting = crowd ?? (await this.#waitingFor(producer, protocol));
    const refusal = waiting ?? this.#refusalOf(producer, kept, protocol);
    const { 0: client, 1: server } = new WebSocketPair();
    const headers: Record<string, string> = { [PRODUCER_HEADER]: clientName(producer) };
    if (chosen !== undefined) headers['sec-websocket-protocol'] = chosen;
    const response = new Response(null, { status: 101, webSocket: client, headers });
    if (refusal !== undefined) {
      const { code, message } = refusal;
      server.accept();
      server.close(protocol === 'raw' ? rawCloseCode(code) : closeCode(code), closeReason(code, message));
      return response;
    }
    const openedAtMs = Date.now();
    this.#watch.measured.socketsOpened += 1;
    this.#sockets.accept(server, { producer, protocol, memory: undefined, kept, address, openedAtMs });
    return response;
  }

  /** Why a producer has to come again later; undefined where all is known of it that any shard knows, and who is revoked. */
  async #waitingFor(producer: string, protocol: Attachment['protocol']): Promise<SluiceError | undefined> {
    const code = 'shard_unavailable';
    try {
      // Shards of a measurement are asked for by nobody else.
      if (this.#role.place !== undefined) await this.#revocations.loaded();
      // Raw sockets resume nothing.
      if (protocol !== 'raw') await this.#moves?.bring(producer);
    } catch (error) {
      this.#watch.noteSeldom(`A producer cannot move yet: ${errorText(error)}`);
      return new SluiceError(code, toldText(error));
    }
    return protocol !== 'raw' && this.#leaving.has(producer)
      ? new SluiceError(code, 'this producer is moving to another shard: connect again')
      : undefined;
  }

  /** Why a socket is not let in; undefined where it is. Synchronous, since it uses up a ticket. */
  #refusalOf(producer: string, kept: KeptAccess, protocol: Attachment['protocol']): SluiceError | undefined {
    try {
      this.#revocations.assertNot({ producer, grant: grantOf(kept) }, Date.now());
      this.#access?.admit(kept, protocol);
      return undefined;
    } catch (error) {
      if (isSluiceError(error)) return error;
      throw error;
    }
  }

  // RPC: what other shards of the sink ask (producer-moves.ts).

  /** Gives a producer away, once its messages are settled. */
  async handOver(producer: string): Promise<HandOver> {
    const pipeline = this.#pipeline;
    if (pipeline === undefined) {
      const { lastError, buffered } = this.#intake.stats();
      return buffered === 0 ? { state: 'unknown' } : { state: 'busy', reason: lastError ?? '' };
    }
    this.#leaving.add(producer);
    try {
      this.#sockets.close(
        (attachment) => attachment.producer === producer,
        'shard_unavailable',
        'this producer moves to another shard: connect again',
      );
      let given = pipeline.handOver(producer);
      if (given === 'busy') {
        await pipeline.settled(producer, HAND_OVER_LIMIT_MS);
        given = pipeline.handOver(producer);
      }
      if (given === undefined) return { state: 'unknown' };
      if (given !== 'busy') return { state: 'given', producer: given };
      return { state: 'busy', reason: this.#intake.stats().lastError ?? 'Postgres is slow' };
    } finally {
      this.#leaving.delete(producer);
    }
  }

  async forgetMoved(producer: string): Promise<void> {
    this.#pipeline?.producers.forgetMoved(producer);
  }

  override webSocketMessage(socket: WebSocket, frame: string | ArrayBuffer): void {
    this.#watch.measured.requests += 1;
    this.#receive(socket, frame);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#watch.called();
    this.#sockets.end(socket, code);
    answerClose(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#watch.called();
    this.#sockets.end(socket, LOST);
  }

  // All of it is synchronous, so that frames of a socket cannot overtake each other.
  #receive(socket: WebSocket, frame: string | ArrayBuffer): void {
    const nowMs = Date.now();
    this.#sockets.receive(socket, frame, nowMs);
    this.#watch.frame(frame, nowMs);
    if (this.#intake.isBusy && !this.#alarm.isArmed(nowMs, this.#options.alarmMs)) this.#armAlarm(nowMs);
    if (this.#listing?.isUnlisted === true && this.#intake.isBusy) this.#listing.add();
    this.#pauseIfDue(nowMs);
  }

  // Holds back frames by the input gate (src/ingest/read-throttle.ts says why and when).
  #pauseIfDue(nowMs: number): void {
    if (!this.#throttle.countFrame(this.#sockets.open)) return;
    const { fill, isWriting } = this.#intake;
    const pauseMs = this.#throttle.pauseMs(nowMs, fill, isWriting);
    if (pauseMs === undefined) return;
    this.#throttle.began();
    void this.ctx
      .blockConcurrencyWhile(() => scheduler.wait(pauseMs))
      .then(() => this.#throttle.ended(Date.now()));
  }

  /**
   * The promise that what is buffered gets flushed whatever became of the timers. It never throws: the platform
   * drops an alarm for good after six failed tries.
   */
  override async alarm(): Promise<void> {
    this.#watch.called();
    this.#alarm.fired();
    // Armed first: whatever stops this handler, another one follows.
    this.#armAlarm(Date.now());
    if (this.#holdsSomething) this.#listing?.add();
    else this.#listing?.leaveIfEmpty();
    try {
      this.#failpoints.hit('in_alarm');
      this.#intake.flushSoon();
      this.#copyLetters();
    } catch (error) {
      logFailure('An alarm failed', error, this.#names);
    }
  }

  /** RPC: the shard's figures. */
  stats(): ShardStats {
    this.#listing?.leaveIfEmpty();
    return {
      shard: this.#role.shard,
      sockets: this.#sockets.size,
      sinceMs: this.#startedAtMs,
      ...this.#intake.stats(),
      deadLetterTable: this.#letterCopy?.stats() ?? null,
    };
  }

  /** RPC: flushes now, and answers with the figures once everything is settled. */
  async drain(): Promise<ShardStats> {
    this.#intake.flush();
    await this.#intake.drained();
    return this.stats();
  }

  /** RPC: deletes everything that this shard ever stored. For shards of a bench run, which nobody asks again. */
  async wipe(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  /**
   * RPC: deletes everything and ends this object, with its sockets and all that it has in memory. For shards of a bench
   * run that was ended: left alone they would write, and try to write, for as long as they hold something. The call fails
   * for the object's end alone.
   */
  async abandon(): Promise<void> {
    await this.ctx.blockConcurrencyWhile(async () => {
      await this.wipe();
      await this.ctx.storage.sync();
    });
    this.ctx.abort('The run that this shard belonged to was ended');
  }

  // RPC: what operators ask of sessions.

  async listSessions(): Promise<{ count: number; sessions: ListedSession[] }> {
    return this.#sockets.list();
  }

  async endSessions(name: RevokedName): Promise<number> {
    return this.#closeNamed(name, 'shard_unavailable', 'an operator has ended this session: connect again');
  }

  async noteRevocation(revocation: Revocation): Promise<number> {
    this.#revocations.add(revocation);
    return this.#closeNamed(revocation, 'forbidden', revokedText(revocation.kind));
  }

  async noteReinstated(name: RevokedName): Promise<void> {
    this.#revocations.remove(name);
  }

  #closeNamed(name: RevokedName, code: ErrorCode, sentence: string): number {
    return this.#sockets.close(
      ({ producer, kept }) => isMeant(name, { producer, grant: grantOf(kept) }),
      code,
      sentence,
    );
  }

  // RPC: what operators ask (src/outbox/shard-admin.ts).

  async summary(): Promise<ShardSummary> {
    const { state, lastErrorCode, buffered } = this.#intake.stats();
    const isPaused = state === 'paused' || state === 'stopped';
    return { ...this.#letters.totals, state, code: isPaused ? lastErrorCode : null, buffered };
  }

  async listDeadLetters({
    after,
    limit,
    where = {},
  }: {
    after: number;
    limit: number;
    where?: DeadLetterFilter;
  }): Promise<DeadLetterPage> {
    return this.#letters.list({ afterId: after, limit, where });
  }

  async groupDeadLetters(): Promise<DeadLetterGroup[]> {
    return this.#letters.groups();
  }

  async readDeadLetter(id: number): Promise<DeadLetter | null> {
    return this.#letters.read(id);
  }

  async retryDeadLetters({
    ids,
    payload,
  }: {
    ids: DeadLetterChoice;
    payload?: string;
  }): Promise<RetriedDeadLetters> {
    const pipeline = this.#pipeline;
    // Nobody says where to write them. The route says so before it asks.
    if (pipeline === undefined)
      return { retried: 0, refused: 0, missing: [], remaining: this.#letters.count, isFull: false };
    const { rows, bytes } = pipeline.free;
    // Out of the dead letters and into the outbox, in one step.
    const { letters, missing, remaining } = this.#letters.take(ids, { maxRows: rows, maxBytes: bytes });
    const edited = payload === undefined ? letters : letters.map((letter) => ({ ...letter, payload }));
    const refused = pipeline.retry(edited, Date.now());
    this.#noteRemoved();
    // There is room again for what the shard may have paused for.
    if (letters.length > 0 && pipeline.state === 'paused') pipeline.flush();
    this.#armAlarm(Date.now());
    const isFull = remaining > 0 && letters.length < MAX_TAKEN_DEAD_LETTERS && rows <= letters.length;
    return { retried: letters.length, refused, missing, remaining, isFull };
  }

  async dropDeadLetters({ ids }: { ids: DeadLetterChoice }): Promise<DroppedDeadLetters> {
    const dropped = this.#letters.drop(ids);
    this.#noteRemoved();
    this.#listing?.leaveIfEmpty();
    // There is room again for what the shard may have paused for.
    if (this.#pipeline?.state === 'paused') this.#pipeline.flush();
    return dropped;
  }

  #noteRemoved(): void {
    this.#letterCopy?.noteRemoved();
    this.#watch.changed();
    this.#copyLetters();
    this.#armAlarm(Date.now());
  }

  async resume({ missing }: { missing?: MissingChoice } = {}): Promise<ShardState> {
    await this.#pipeline?.resume(missing);
    void this.#letterCopy?.copyNow();
    // A shard that had stopped has no alarm.
    this.#armAlarm(Date.now());
    await this.#pipeline?.nextAttempt();
    return this.#state();
  }

  async pauseShard(): Promise<ShardState> {
    this.#pipeline?.pauseByOperator();
    await this.#pipeline?.nextAttempt();
    return this.#state();
  }

  async flushShard(): Promise<ShardState> {
    this.#intake.flush();
    await this.#pipeline?.nextAttempt();
    return this.#state();
  }

  async drainShard({ closeSockets }: { closeSockets: boolean }): Promise<ShardState> {
    if (closeSockets) this.#closeSockets();
    this.#intake.flush();
    await this.#pipeline?.settledOrPaused();
    return this.#state();
  }

  #closeSockets(): void {
    this.#pipeline?.drainSessions(DRAIN_RETRY_MS);
    this.#sockets.closeRaw('the shard is draining: connect again');
  }

  #state(): ShardState {
    const { state, lastError, lastErrorCode, buffered } = this.#intake.stats();
    const isPaused = state === 'paused' || state === 'stopped';
    return {
      isPaused,
      code: isPaused ? (lastErrorCode as ErrorCode | null) : null,
      message: isPaused ? lastError : null,
      missing: this.#pipeline?.missing ?? null,
      buffered,
      sockets: this.stats().sockets,
      deadLetters: this.#letters.totals,
    };
  }

  // Calls count as requests, as the platform counts them.
  static {
    const calls = Shard.prototype as unknown as Record<string, (this: Shard, ...given: unknown[]) => unknown>;
    for (const name of COUNTED_CALLS) {
      const call = calls[name] as (this: Shard, ...given: unknown[]) => unknown;
      calls[name] = function (...given) {
        this.#watch.called();
        return call.apply(this, given);
      };
    }
  }

  get #letters(): DeadLetters {
    if (this.#deadLetters === undefined) {
      throw new SluiceError('not_found', 'A shard that only counts frames has no dead letters');
    }
    return this.#deadLetters;
  }
}
