/**
 * The monitor: one Durable Object that keeps what the shards tell it. It is asked by the routes and asks nobody: to read figures wakes
 * no shard. Without it, or when its storage is lost, no message is lost and none waits.
 */

import { DurableObject } from 'cloudflare:workers';
import { sseText } from '../src/core/sse-text.ts';
import { systemTimers } from '../src/core/timers.ts';
import { uuidV7 } from '../src/core/uuid.ts';
import { Alerts, type SilenceRequest, type TestResult } from '../src/monitor/alerts/alerts.ts';
import { type AlertSettings, alertSettings } from '../src/monitor/alerts/options.ts';
import type { Silence } from '../src/monitor/alerts/silences.ts';
import { buildView, DEAF_AFTER_MS } from '../src/monitor/build-view.ts';
import type { NewFigures } from '../src/monitor/exports/exporter.ts';
import type { Exports } from '../src/monitor/exports/exports.ts';
import { type FigureSources, familiesOf } from '../src/monitor/families.ts';
import { type HistoryQuestion, isMeant, type ShardsQuestion } from '../src/monitor/history-question.ts';
import { historyView } from '../src/monitor/history-view.ts';
import { MonitorLog } from '../src/monitor/monitor-log.ts';
import { ownFigures } from '../src/monitor/own-figures.ts';
import { prometheusText } from '../src/monitor/prometheus-text.ts';
import { ReportBook } from '../src/monitor/report-book.ts';
import { sampleValue } from '../src/monitor/report-samples.ts';
import {
  type DatabaseReport,
  type OperatorEntry,
  REPORT_MS,
  type ReportAnswer,
  type ShardReport,
  type StoredReport,
  WATCHED_REPORT_MS,
} from '../src/monitor/shard-report.ts';
import type { AlertView, Health, HistoryView, MonitorView, SparkName } from '../src/monitor/view.ts';
import { AlarmClock } from './alarm-clock.ts';
import type { Env } from './env.ts';
import { EVENT_STREAM_HEADERS, EventStream } from './event-stream.ts';
import { log, logFailure } from './log.ts';
import { monitorExports } from './monitor-exports.ts';
import type { ListedAlerts, MetricsQuestion, MonitorCalls } from './objects.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import type { Sinks } from './sinks.ts';
import { DurableObjectSqlite } from './sqlite.ts';
import { deployedVersion } from './version.ts';

/** How often those who watch are told. */
const WATCH_MS = 1_000;

/** Who may watch at the same time. Each further one costs a view each second. */
const MAX_WATCHERS = 64;

/** How often one shard of a database asks it for its view. */
const DATABASE_MS = 30_000;

/** Databases whose view is kept. */
const MAX_DATABASES = 16;

export abstract class Monitor extends DurableObject<Env> implements MonitorCalls {
  readonly #book: ReportBook;
  readonly #log: MonitorLog;
  readonly #alerts: Alerts;
  readonly #alarm: AlarmClock;
  readonly #watchers = new Set<EventStream>();
  #cancelTick: (() => void) | undefined;
  readonly #databases = new Map<string, DatabaseReport>();
  #databaseAskedAtMs = Number.NEGATIVE_INFINITY;
  readonly #versions: Set<string>;
  readonly #exports: Exports;
  /** The sparklines, and the step that they were made in. */
  #sparks: { step: number; sparks: Record<SparkName, (number | null)[]> } | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const sqlite = new DurableObjectSqlite(ctx.storage);
    this.#book = new ReportBook(sqlite);
    this.#log = new MonitorLog(sqlite);
    this.#alerts = new Alerts({
      sqlite,
      now: Date.now,
      fetch: (input, init) => fetch(input, init),
      randomId: uuidV7({ now: Date.now, randomBytes: (bytes) => crypto.getRandomValues(bytes) }),
      options: this.#alertSettings(),
    });
    this.#alarm = new AlarmClock(ctx.storage);
    const known = this.#book.all().map(({ latest }) => latest);
    this.#versions = new Set(known.map(({ report }) => report.version));
    this.#exports = monitorExports(env, ctx.id.toString(), known, (nowMs) => this.#about(nowMs));
  }

  /**
   * Whom to tell of what.
   *
   * @throws SluiceError `invalid_configuration` where a variable is wrong
   */
  protected abstract alertSettings(): AlertSettings;

  // A wrong variable must not hide what the shards report.
  #alertSettings(): AlertSettings {
    try {
      return this.alertSettings();
    } catch (error) {
      logFailure('Alerts are those of the defaults, and nobody is told', error);
      return alertSettings();
    }
  }

  /** The sinks that the Worker defines. */
  protected abstract sinks(): Sinks;

  // What shards ask.

  async report(report: ShardReport): Promise<ReportAnswer> {
    const nowMs = Date.now();
    const { before, isTaken } = this.#book.take(report, nowMs);
    if (isTaken) {
      this.#noteVersion(report, nowMs);
      this.#log.addEvents(report.events);
      this.#noteDatabase(report.database);
      this.#lookForAlerts(nowMs);
      // Nobody waits for it; it ends by itself within a minute.
      void this.#exports.add({ report, receivedAtMs: nowMs });
    }
    return {
      everyMs: this.#watchers.size > 0 ? WATCHED_REPORT_MS : REPORT_MS,
      askDatabase: this.#mayAskDatabase(report, nowMs),
      ...(before === undefined || before.sinceMs === report.sinceMs ? {} : { known: before.counters }),
    };
  }

  #noteVersion({ version, sink, shard }: ShardReport, atMs: number): void {
    if (this.#versions.has(version)) return;
    const isFirst = this.#versions.size === 0;
    this.#versions.add(version);
    if (isFirst) return;
    this.#log.addEvents([
      {
        atMs,
        sink: null,
        shard: null,
        kind: 'deployment',
        code: null,
        sqlState: null,
        message: `Version ${version} runs, first seen at shard ${shard} of ${sink}`,
      },
    ]);
  }

  #noteDatabase(database: DatabaseReport | null): void {
    if (database === null) return;
    if (!this.#databases.has(database.address) && this.#databases.size >= MAX_DATABASES)
      this.#databases.clear();
    this.#databases.set(database.address, database);
  }

  // One shard at a time, whichever reports first when it is due: a shard that is idle has no connection to ask over.
  #mayAskDatabase(report: ShardReport, nowMs: number): boolean {
    if (report.isLast || nowMs - this.#databaseAskedAtMs < DATABASE_MS) return false;
    if (sampleValue(report.gauges, 'database_connections', 'open') === 0) return false;
    this.#databaseAskedAtMs = nowMs;
    return true;
  }

  // What is delivered is waited for by nobody: a receiver that is slow or gone holds up no report.
  #lookForAlerts(nowMs: number): void {
    const reports = this.#book.all().map(({ latest }) => latest);
    const { events } = this.#alerts.evaluate({ reports, databases: [...this.#databases.values()] }, nowMs);
    this.#log.addEvents(events);
    for (const { sink, shard, kind, code, sqlState, message } of events)
      log('warn', { sink, shard, kind, code, sqlstate: sqlState, message });
    this.#deliver();
    this.#armAlarm(nowMs);
  }

  #deliver(): void {
    void this.#alerts.deliver().then(() => this.#armAlarm(Date.now()));
  }

  // Only while somebody has messages waiting, or an alert has to be looked at or told: a shard that goes silent has to be noticed.
  #armAlarm(nowMs: number): void {
    const dueMs = this.#alerts.nextDueMs();
    if (dueMs !== undefined) this.#alarm.armWithin(Math.max(0, dueMs - nowMs), nowMs);
    const isWaiting = this.#book
      .all()
      .some(({ latest }) => sampleValue(latest.report.gauges, 'queue_messages') > 0);
    if (isWaiting) this.#alarm.armWithin(DEAF_AFTER_MS, nowMs);
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    this.#lookForAlerts(Date.now());
  }

  // What the routes ask.

  async view(): Promise<MonitorView> {
    return this.#view(Date.now());
  }

  async health(): Promise<Health> {
    return this.#view(Date.now()).health;
  }

  async reports(): Promise<StoredReport[]> {
    return this.#book.all().map(({ latest }) => latest);
  }

  /** All figures as text, for Prometheus. */
  async metrics({ format, ...question }: MetricsQuestion): Promise<string> {
    return prometheusText(familiesOf(this.#figures(question, Date.now())), format);
  }

  #figures(question: ShardsQuestion, nowMs: number): FigureSources {
    const reports = this.#book.all().map(({ latest }) => latest);
    return {
      nowMs,
      reports: reports.filter(({ report }) => isMeant(question, report)),
      databases: [...this.#databases.values()],
      own: this.#about(nowMs).own,
    };
  }

  /** What the monitor says of itself. */
  #about(nowMs: number): Pick<NewFigures, 'version' | 'own'> {
    const reports = this.#book.all().map(({ latest }) => latest);
    const version = deployedVersion(this.env);
    const own = ownFigures({
      nowMs,
      version,
      reports,
      storageBytes: this.ctx.storage.sql.databaseSize,
      alerts: this.#alerts.current(),
      receivers: this.#alerts.receivers(),
    });
    return { version, own: [...own, ...this.#exports.samples()] };
  }

  async history(question: HistoryQuestion): Promise<Outcome<HistoryView>> {
    return outcomeOf(() => this.#history(question, Date.now()));
  }

  #history(question: HistoryQuestion, nowMs: number): HistoryView {
    const { sink } = question;
    const shards = this.#book
      .all()
      .filter(({ latest: { report } }) => isMeant(question, report))
      .map(({ id }) => id);
    const { fromMs, stepMs, series } = historyView(this.#book.history, shards, question, nowMs, []);
    const markers = this.#log
      .eventsBetween(fromMs, nowMs + 1, ['deployment', 'paused', 'stopped', 'resumed', 'alert'])
      .filter((event) => sink === undefined || event.sink === null || event.sink === sink);
    return { fromMs, stepMs, series, markers };
  }

  async alerts(): Promise<ListedAlerts> {
    return {
      current: this.#alerts.current(),
      history: this.#alerts.history(),
      silences: this.#alerts.silences(),
      receivers: this.#alerts.receivers(),
    };
  }

  async silenceAlerts(request: SilenceRequest): Promise<Outcome<Silence | null>> {
    const outcome = await outcomeOf(() => this.#alerts.silence(request));
    this.#deliver();
    return outcome;
  }

  async acknowledgeAlert(id: string, by: string): Promise<Outcome<AlertView>> {
    const outcome = await outcomeOf(() => this.#alerts.acknowledge(id, by));
    this.#deliver();
    return outcome;
  }

  async testAlerts(): Promise<TestResult[]> {
    return this.#alerts.test();
  }

  async noteOperator(entry: OperatorEntry): Promise<void> {
    this.#log.addOperator(entry);
  }

  async audit(limit: number): Promise<OperatorEntry[]> {
    return this.#log.latestOperators(limit);
  }

  async noteDeployment(version: string, note: string): Promise<void> {
    this.#versions.add(version);
    const message =
      note === '' ? `Version ${version} was deployed` : `Version ${version} was deployed: ${note}`;
    this.#log.addEvents([
      { atMs: Date.now(), sink: null, shard: null, kind: 'deployment', code: null, sqlState: null, message },
    ]);
  }

  #view(nowMs: number): MonitorView {
    return buildView({
      nowMs,
      version: deployedVersion(this.env),
      sinkNames: this.#sinkNames(),
      shards: this.#book.all(),
      sparks: this.#sparksAt(nowMs),
      databases: [...this.#databases.values()],
      alerts: this.#alerts.current(),
      events: this.#log.latestEvents(50),
    });
  }

  #sinkNames(): string[] {
    try {
      return this.sinks().names(this.env);
    } catch {
      // A variable is wrong. The shards say so; what they report is shown all the same.
      return [];
    }
  }

  // Made once for each step of the history, and not for each view: with many shards they are many points.
  #sparksAt(nowMs: number): Record<SparkName, (number | null)[]> {
    const step = Math.floor(nowMs / REPORT_MS);
    if (this.#sparks?.step !== step) {
      const ids = this.#book.all().map(({ id }) => id);
      const { series } = historyView(this.#book.history, ids, { range: '15m' }, nowMs, []);
      const { received, committed, queueMessages, oldestMs, ackP99Ms, deadLetters } = series;
      this.#sparks = {
        step,
        sparks: { received, committed, queueMessages, oldestMs, ackP99Ms, deadLetters },
      };
    }
    return this.#sparks.sparks;
  }

  // Those who watch.

  /** A stream of views, one each second, for who watches. The Worker has checked who asks. */
  override async fetch(): Promise<Response> {
    if (this.#watchers.size >= MAX_WATCHERS)
      return Response.json({ message: 'Too many watch at the same time' }, { status: 503 });
    const stream = new EventStream({ timers: systemTimers, onEnd: () => this.#leave(stream) });
    this.#watchers.add(stream);
    stream.ready();
    stream.send(viewEvent(this.#view(Date.now())));
    this.#tickSoon();
    return new Response(stream.body, { headers: EVENT_STREAM_HEADERS });
  }

  #leave(stream: EventStream): void {
    this.#watchers.delete(stream);
    if (this.#watchers.size > 0) return;
    // Nothing keeps the object awake once nobody looks.
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  #tickSoon(): void {
    if (this.#cancelTick !== undefined) return;
    this.#cancelTick = systemTimers.after(WATCH_MS, () => {
      this.#cancelTick = undefined;
      this.#tick();
      if (this.#watchers.size > 0) this.#tickSoon();
    });
  }

  #tick(): void {
    try {
      const text = viewEvent(this.#view(Date.now()));
      // Who has not taken the last one gets the next but one.
      for (const stream of this.#watchers) if (stream.hasRoom) stream.send(text);
    } catch (error) {
      logFailure('The monitor cannot show itself', error);
    }
  }
}

function viewEvent(view: MonitorView): string {
  return sseText({ event: 'view', data: JSON.stringify(view) });
}
