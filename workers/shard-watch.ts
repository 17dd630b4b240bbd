/** What is told of a shard: its log, and its reports to the monitor. The shard says what happens; messages never wait for this. */

import type { Timers } from '../src/core/timers.ts';
import { describePlace, parseAddress } from '../src/database/address.ts';
import type { HeldIntake } from '../src/ingest/held-intake.ts';
import { Measurements } from '../src/ingest/measurements.ts';
import type { Pipeline } from '../src/ingest/pipeline.ts';
import { EventLog } from '../src/monitor/event-log.ts';
import { StatementMemory } from '../src/monitor/own-statements.ts';
import { readPostgresView } from '../src/monitor/postgres-view.ts';
import { countKey, shardSamples } from '../src/monitor/shard-figures.ts';
import type {
  DatabaseReport,
  MonitorEvent,
  ReportAnswer,
  ShardFault,
  ShardReport,
} from '../src/monitor/shard-report.ts';
import { watchedTables } from '../src/monitor/watched-tables.ts';
import type { DeadLetters } from '../src/outbox/dead-letters.ts';
import type { Refusal } from '../src/outbox/refusal.ts';
import type { Sink } from '../src/sinks/sink.ts';
import { databaseTarget } from './database.ts';
import type { Env } from './env.ts';
import { heapBytes } from './heap.ts';
import { writeLine } from './log.ts';
import { MONITOR_NAME } from './monitor-calls.ts';
import { MonitorReporter } from './monitor-reporter.ts';
import type { ShardSockets } from './shard-sockets.ts';
import { deployedVersion } from './version.ts';

/** How often one shard asks its database for its view, whatever the monitor says. */
const ASK_DATABASE_MS = 30_000;
/** Batches wait while it is asked. */
const DATABASE_LIMITS = { statementTimeoutMs: 1_000, lockTimeoutMs: 100, totalTimeLimitMs: 2_000 };
/** After which the connection is given up. */
const ASK_TIME_LIMIT_MS = 8_000;
const MAX_SENDERS = 20;
const NOTE_MS = 60_000;

export interface ShardWatchOptions {
  env: Env;
  sink: string;
  shard: number;
  driver: string | undefined;
  /** False for shards that nobody has to find: they have a log, and report nothing. */
  isReporting: boolean;
  timers: Timers;
}

/** What is watched. */
export interface WatchedShard {
  sink: Sink | undefined;
  pipeline: Pipeline | undefined;
  held: HeldIntake | undefined;
  deadLetters: DeadLetters | undefined;
  sockets: ShardSockets;
}

export class ShardWatch {
  /** Where the parts of the shard note their work. */
  readonly measured: Measurements;
  readonly #options: ShardWatchOptions;
  readonly #startedAtMs: number;
  readonly #log: EventLog;
  readonly #memory = new StatementMemory();
  #watched: WatchedShard | undefined;
  #reporter: MonitorReporter | undefined;
  #received = 0;
  /** What the last report said. */
  #toldState: ShardReport['state'] = 'running';
  #database: DatabaseReport | null = null;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #notedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ShardWatchOptions) {
    this.#options = options;
    const { sink, shard, timers } = options;
    this.#startedAtMs = timers.now();
    this.measured = new Measurements(this.#startedAtMs);
    this.measured.connections.onClosed = () => this.#rest();
    this.#log = new EventLog({ sink, shard, host: () => this.#host(), write: writeLine }, this.#startedAtMs);
  }

  /** The shard is put together. */
  open(watched: WatchedShard): void {
    this.#watched = watched;
    const { pipeline, held } = watched;
    if (pipeline === undefined && held === undefined) return;
    this.#reporter = this.#openReporter();
    if (pipeline !== undefined) {
      this.#received = pipeline.received;
      this.#log.started(pipeline.trouble, loadOf(pipeline), this.#startedAtMs);
    }
    if (pipeline?.isBusy === true || (held?.rows ?? 0) > 0) this.#reporter?.noteActive();
  }

  #openReporter(): MonitorReporter | undefined {
    const { env, isReporting, timers } = this.#options;
    const { MONITOR } = env;
    if (!isReporting || MONITOR === undefined) return undefined;
    return new MonitorReporter({
      report: (report) => MONITOR.getByName(MONITOR_NAME).report(report),
      build: (given) => this.#build(given),
      isActive: () => this.#isActive,
      onLost: (report) => this.#lost(report),
      onAnswer: (answer) => this.#answered(answer),
      timers,
    });
  }

  // One that has stopped waits for an operator, asleep.
  get #isActive(): boolean {
    const { pipeline } = this.#watched ?? {};
    return (pipeline?.isBusy === true && !pipeline.isStopped) || this.measured.connections.isAnyOpen;
  }

  // What the shard says.

  /** An event has reached the object. */
  called(): void {
    this.measured.requests += 1;
    this.measured.touch(this.#options.timers.now());
  }

  /** A frame was dealt with. */
  frame(frame: string | ArrayBuffer, nowMs: number): void {
    this.measured.frame(typeof frame === 'string' ? frame.length : frame.byteLength, nowMs);
    const received = this.#watched?.pipeline?.received ?? 0;
    if (received === this.#received) return;
    this.#received = received;
    this.#reporter?.noteActive();
  }

  /** A batch was written, or failed. */
  progressed(): void {
    const pipeline = this.#watched?.pipeline;
    if (pipeline === undefined) return;
    const nowMs = this.#options.timers.now();
    this.measured.touch(nowMs);
    this.#log.observe(pipeline.trouble, loadOf(pipeline), nowMs);
    if (pipeline.state !== this.#toldState) this.#reporter?.noteChange();
    this.changed();
  }

  /** An operator has changed something. */
  changed(): void {
    this.#reporter?.noteActive();
    if (!this.#isActive) this.#rest();
  }

  dead(refusal: Refusal): void {
    this.#log.dead(refusal, this.#options.timers.now());
  }

  /** Something that an operator should know. */
  note(message: string, kind: MonitorEvent['kind'] = 'started'): void {
    this.#log.note('warn', kind, message, this.#options.timers.now());
  }

  /** The same, where it may come again and again: once a minute. */
  noteSeldom(message: string): void {
    const nowMs = this.#options.timers.now();
    if (nowMs - this.#notedAtMs < NOTE_MS) return;
    this.#notedAtMs = nowMs;
    this.note(message);
  }

  #rest(): void {
    if (this.#isActive) return;
    this.#log.rest(this.#options.timers.now());
    this.#reporter?.noteRest();
  }

  // What the monitor hears.

  #build({ number, isLast, sentAtMs }: Pick<ShardReport, 'number' | 'isLast' | 'sentAtMs'>): ShardReport {
    const { env, sink, shard } = this.#options;
    const { pipeline, held, deadLetters, sockets } = this.#watched as WatchedShard;
    this.measured.touch(sentAtMs);
    if (pipeline !== undefined) this.#log.observe(pipeline.trouble, loadOf(pipeline), sentAtMs);
    const state = pipeline?.state ?? 'held';
    this.#toldState = state;
    const database = this.#database;
    this.#database = null;
    return {
      sink,
      shard,
      sinceMs: this.#startedAtMs,
      sentAtMs,
      number,
      isLast,
      version: deployedVersion(env),
      state,
      stateSinceMs: this.#log.stateSinceMs,
      fault: this.#fault(),
      ...shardSamples({
        measured: this.measured,
        state,
        figures: pipeline?.figures ?? (held as HeldIntake).figures,
        sockets: sockets.figures,
        deadLetters: deadLetters?.totals ?? { count: 0, maxRows: 0 },
        heapBytes: heapBytes(),
      }),
      producers: pipeline?.takeSenders(MAX_SENDERS) ?? [],
      events: this.#log.takeEvents(),
      database,
    };
  }

  #fault(): ShardFault | null {
    const { pipeline, held } = this.#watched as WatchedShard;
    const trouble = pipeline?.trouble ?? held?.stats();
    if (trouble === undefined || trouble.lastError === null) return null;
    const { lastError, lastErrorCode, lastErrorAtMs, lastErrorDetails, failuresInARow } = trouble;
    return {
      code: lastErrorCode,
      message: this.#log.publicText(lastError, lastErrorDetails),
      atMs: lastErrorAtMs ?? this.#startedAtMs,
      failuresInARow,
      // PostgreSQL's DETAIL is where the values are.
      details: lastErrorDetails === null ? null : { ...lastErrorDetails, detail: null },
    };
  }

  #lost({ events, database }: ShardReport): void {
    this.measured.reportsLost += 1;
    this.#log.putBack(events);
    this.#database ??= database;
  }

  #answered({ askDatabase, known }: ReportAnswer): void {
    const { pipeline } = this.#watched as WatchedShard;
    if (known !== undefined)
      pipeline?.counts.raise(
        Object.fromEntries(known.map(([name, label, value]) => [countKey(name, label), value])),
      );
    if (askDatabase) this.#askDatabase();
  }

  #askDatabase(): void {
    const { pipeline, sink } = this.#watched as WatchedShard;
    const { now } = this.#options.timers;
    const address = this.#host();
    if (pipeline === undefined || sink === undefined || address === undefined) return;
    if (now() - this.#askedAtMs < ASK_DATABASE_MS) return;
    const { tables, statementNames } = watchedTables([sink]);
    const asked = pipeline.askAside(
      (connection) =>
        readPostgresView(connection, {
          ...DATABASE_LIMITS,
          address,
          tables,
          statementNames,
          now,
          memory: this.#memory,
        }),
      ASK_TIME_LIMIT_MS,
    );
    if (asked === undefined) return;
    this.#askedAtMs = now();
    // Nobody waits for it: the next report has it.
    asked.then(
      (database) => {
        this.#database = database;
      },
      () => {},
    );
  }

  // Without a database there is nothing to name; each try says so.
  #host(): string | undefined {
    const { env, driver } = this.#options;
    try {
      return describePlace(parseAddress(databaseTarget(env, driver).url));
    } catch {
      return undefined;
    }
  }
}

function loadOf(pipeline: Pipeline): { waiting: number; fill: number } {
  return { waiting: pipeline.rows, fill: pipeline.queueFill };
}
