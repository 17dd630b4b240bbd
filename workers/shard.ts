/**
 * The shard: a Durable Object that holds the sockets of its producers and passes their frames on. It adapts the
 * platform's events to an `Intake`; what a frame means and how it gets to Postgres is not decided here.
 */

import { DurableObject } from 'cloudflare:workers';
import { benchSink } from '../src/bench/bench-sink.ts';
import { closeCode, SluiceError } from '../src/errors.ts';
import { BRAKE_BEHIND_HOLDS, Brake, DEFAULT_BRAKE } from '../src/ingest/brake.ts';
import { CountingIntake } from '../src/ingest/counting-intake.ts';
import type { Intake, IntakeStats, Producer } from '../src/ingest/intake.ts';
import { Pipeline } from '../src/ingest/pipeline.ts';
import { Producers } from '../src/ingest/producers.ts';
import { systemTimers } from '../src/ingest/timers.ts';
import { refusalText } from '../src/protocol/frame.ts';
import { resolveSinkOptions, type SinkOptions } from '../src/sink-options.ts';
import { AlarmClock } from './alarm-clock.ts';
import { connect, databaseTarget } from './database.ts';
import type { Env } from './env.ts';
import { decodeShardName, type ShardName } from './shard-name.ts';
import { findSink } from './sinks.ts';

/** The header by which the Worker tells a shard who connects. */
export const PRODUCER_HEADER = 'sluice-producer';

/** Figures of one shard, as `/stats` shows them. */
export interface ShardStats extends IntakeStats {
  shard: number;
  sockets: number;
  /** When the object was last started; the counters begin there. */
  sinceMs: number;
}

/** What a socket keeps through hibernation. */
interface Attachment {
  producer: string;
}

export class Shard extends DurableObject<Env> {
  readonly #shard: number;
  readonly #options: SinkOptions;
  readonly #intake: Intake;
  readonly #alarm: AlarmClock;
  readonly #brake: Brake;
  // Open sockets, as the brake counts them: asking the platform for each frame would cost too much.
  #sockets: number;
  readonly #ended = new WeakSet<WebSocket>();
  readonly #startedAtMs = Date.now();
  readonly #known = new Producers();
  // Who is behind a socket; null where it was closed because the buffer was full. After a hibernation it is read back
  // from the attachment.
  readonly #producers = new WeakMap<WebSocket, Producer | null>();
  readonly #residentSockets = new Set<WebSocket>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = decodeShardName(ctx.id.name ?? '');
    this.#shard = name.shard;
    this.#alarm = new AlarmClock(ctx.storage);
    this.#sockets = ctx.getWebSockets().length;
    const { options, intake, brake } = this.#open(name);
    this.#brake = brake;
    this.#options = options;
    this.#intake = intake;
  }

  #open(name: ShardName): { options: SinkOptions; intake: Intake; brake: Brake } {
    if ('bench' in name && name.spec === null) {
      return { options: resolveSinkOptions({}), intake: new CountingIntake(), brake: new Brake() };
    }
    const sink =
      'bench' in name
        ? name.spec === null
          ? undefined
          : benchSink(name.spec)
        : findSink(this.env, name.sink);
    if (sink === undefined)
      throw new SluiceError('unknown_sink', 'This shard belongs to a sink that is no longer defined');
    const driver = 'bench' in name ? (name.driver ?? undefined) : undefined;
    const canHold = this.#canHoldFrames(driver);
    const intake = new Pipeline({
      sink,
      openConnection: () => connect(databaseTarget(this.env, driver)),
      timers: systemTimers,
      random: Math.random,
      ...(canHold ? { holdFrames: (work) => this.ctx.blockConcurrencyWhile(work) } : {}),
    });
    return { options: sink.options, intake, brake: new Brake(canHold ? BRAKE_BEHIND_HOLDS : DEFAULT_BRAKE) };
  }

  // With the gate shut, answers of Postgres only arrive on a socket whose reads begin within that time. That is so for
  // coalescing-socket.ts, and not for the WebSocket of Neon's driver.
  #canHoldFrames(driver: string | undefined): boolean {
    try {
      return databaseTarget(this.env, driver).driver === 'tcp';
    } catch {
      // Without a database there is nothing to write; each try will say so.
      return false;
    }
  }

  /** Takes a socket's upgrade. The Worker has checked everything about the request. */
  override async fetch(request: Request): Promise<Response> {
    const producer = request.headers.get(PRODUCER_HEADER) ?? crypto.randomUUID();
    const { 0: client, 1: server } = new WebSocketPair();
    this.#sockets += 1;
    this.#producers.set(server, this.#known.connect(producer, Date.now()));
    if (this.#options.sockets === 'resident') this.#acceptResident(server);
    else {
      this.ctx.acceptWebSocket(server);
      server.serializeAttachment({ producer } satisfies Attachment);
    }
    return new Response(null, { status: 101, webSocket: client, headers: { [PRODUCER_HEADER]: producer } });
  }

  #acceptResident(socket: WebSocket): void {
    socket.accept();
    this.#residentSockets.add(socket);
    socket.addEventListener('message', (event) => this.#receive(socket, event.data as string | ArrayBuffer));
    const forget = (): void => {
      this.#residentSockets.delete(socket);
      this.#countEnd(socket);
    };
    socket.addEventListener('close', forget);
    socket.addEventListener('error', forget);
  }

  override webSocketMessage(socket: WebSocket, frame: string | ArrayBuffer): void {
    this.#receive(socket, frame);
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    this.#countEnd(socket);
    answerClose(socket, code);
  }

  override webSocketError(socket: WebSocket): void {
    this.#countEnd(socket);
  }

  // A socket may end by an error and a close.
  #countEnd(socket: WebSocket): void {
    if (this.#ended.has(socket)) return;
    this.#ended.add(socket);
    this.#sockets = Math.max(0, this.#sockets - 1);
  }

  // All of it is synchronous, so that frames of a socket cannot overtake each other.
  #receive(socket: WebSocket, frame: string | ArrayBuffer): void {
    const producer = this.#producerOf(socket);
    // Frames that were on their way when the shard closed the socket still arrive. Taking one behind a refused one
    // would leave a hole that the client cannot know of.
    if (producer === null) return;
    // Not so where the client closed: its last frames count, though `readyState` is no longer OPEN when they come.
    const nowMs = Date.now();
    const { accepted, errorFrame, isFull } = this.#intake.receive(producer, frame, nowMs);
    if (accepted > 0) this.#alarm.armWithin(this.#options.alarmMs, nowMs);
    if (errorFrame !== undefined) socket.send(errorFrame);
    if (accepted > 0) this.#pauseIfDue(nowMs);
    if (isFull) {
      this.#producers.set(socket, null);
      socket.close(closeCode('buffer_full'), refusalText('buffer_full').slice(0, 120));
    }
  }

  // Holds back frames by the input gate (src/ingest/brake.ts says why and when).
  #pauseIfDue(nowMs: number): void {
    if (!this.#brake.countFrame(this.#sockets)) return;
    const { fill, isWriting } = this.#intake;
    const pauseMs = this.#brake.pauseMs(nowMs, fill, isWriting);
    if (pauseMs === undefined) return;
    this.#brake.began();
    void this.ctx
      .blockConcurrencyWhile(() => scheduler.wait(pauseMs))
      .then(() => this.#brake.ended(Date.now()));
  }

  #producerOf(socket: WebSocket): Producer | null {
    const known = this.#producers.get(socket);
    if (known !== undefined) return known;
    const { producer } = socket.deserializeAttachment() as Attachment;
    const woken = this.#known.connect(producer, Date.now());
    this.#producers.set(socket, woken);
    return woken;
  }

  /**
   * The promise that what is buffered gets flushed whatever became of the timers. It never throws: the platform
   * drops an alarm for good after six failed tries.
   */
  override async alarm(): Promise<void> {
    this.#alarm.fired();
    this.#intake.flush();
    if (this.#intake.isBusy) this.#alarm.armWithin(this.#options.alarmMs, Date.now());
  }

  /** RPC: the shard's figures. */
  stats(): ShardStats {
    return {
      shard: this.#shard,
      sockets: this.ctx.getWebSockets().length + this.#residentSockets.size,
      sinceMs: this.#startedAtMs,
      ...this.#intake.stats(),
    };
  }

  /** RPC: flushes now, and answers with the figures once everything is committed. */
  async drain(): Promise<ShardStats> {
    this.#intake.flush();
    await this.#intake.drained();
    return this.stats();
  }
}

/** Answers a client's close. Without it the client waits for its own time limit; codes that only describe are not sent. */
function answerClose(socket: WebSocket, code: number): void {
  const isSendable = code === 1000 || code === 1001 || (code >= 3000 && code <= 4999);
  socket.close(isSendable ? code : 1000);
}
