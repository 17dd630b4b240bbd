/**
 * What happens to a shard, each once: a line of the log and an event for the monitor are made of the same thing. What goes on for
 * long, or comes in floods, is told when it begins, in numbers, and when it ends.
 */

import { QUEUE_FULL_AT } from '../core/limits.ts';
import type { LogLevel, LogLine } from '../core/log-line.ts';
import type { FlusherStats } from '../ingest/flusher-stats.ts';
import type { Refusal } from '../outbox/refusal.ts';
import type { MonitorEvent } from './shard-report.ts';
import { withoutAddress, withoutValues } from './values-out.ts';

export interface EventLogOptions {
  sink: string;
  shard: number;
  /** Where the database is, for the log alone: `host:port/database`. */
  host: () => string | undefined;
  write: (line: LogLine) => void;
}

/** What a shard holds, as far as the log says it. */
export interface Load {
  /** Messages that are not settled. */
  waiting: number;
  /** How full the queue is, 0 to 1. */
  fill: number;
}

interface Event {
  level: LogLevel;
  kind: MonitorEvent['kind'];
  code?: string | null;
  sqlState?: string | null;
  message: string;
  /** What the line has beside the event. */
  fields?: Record<string, string | number | null>;
}

interface Trouble {
  sinceMs: number;
  state: FlusherStats['state'];
  /** Of the last one that was told. */
  told: string;
  tries: number;
  waiting: number;
  code: string | null;
  sqlState: string | null;
}

/** Events that wait for a report. */
const MAX_EVENTS = 20;
const MAX_MESSAGE_LENGTH = 500;
/** How often dead letters are summed up, at most. */
const SUMMARY_MS = 60_000;
/** Reasons of dead letters that are told apart, and that a summary names. */
const MAX_REASONS = 100;
const NAMED_REASONS = 5;
/** Changes of state that are told within a minute. Further ones are counted. */
const MAX_CHANGES = 20;
const CHANGES_MS = 60_000;
/** From where on the queue is full, as credit is ended; until where; and for how long it has to be. */
const FULL_FROM = QUEUE_FULL_AT;
const FULL_UNTIL = 0.75;
const FULL_MS = 5_000;

export class EventLog {
  readonly #options: EventLogOptions;
  #trouble: Trouble | undefined;
  #stateSinceMs: number;
  /** Dead letters since the last summary, by reason. */
  readonly #dead = new Map<string, number>();
  /** Reasons that were told in full. */
  readonly #knownReasons = new Set<string>();
  #summedUpAtMs = Number.NEGATIVE_INFINITY;
  #toldDeadAtMs = Number.NEGATIVE_INFINITY;
  #fullSinceMs: number | undefined;
  #isFullTold = false;
  #changes = 0;
  #changesSinceMs = Number.NEGATIVE_INFINITY;
  #untold = 0;
  #events: MonitorEvent[] = [];
  #droppedEvents = 0;

  constructor(options: EventLogOptions, nowMs: number) {
    this.#options = options;
    this.#stateSinceMs = nowMs;
  }

  /** Since when the shard is in the state that it is in, as far as this life knows. */
  get stateSinceMs(): number {
    return this.#trouble?.sinceMs ?? this.#stateSinceMs;
  }

  /** True where somebody has not heard of something. */
  get hasEvents(): boolean {
    return this.#events.length > 0;
  }

  /** A life begins. What an earlier one has told is not told again; its end will be. */
  started(stats: FlusherStats, { waiting }: Load, nowMs: number): void {
    if (stats.state !== 'running') {
      this.#trouble = { ...troubleOf(stats, nowMs), waiting };
      return;
    }
    if (waiting === 0) return;
    const message = `started with ${counted(waiting, 'message')} from before`;
    this.#tell({ level: 'info', kind: 'started', message, fields: { waiting } }, nowMs);
  }

  /** To be called after each try, and now and then. */
  observe(stats: FlusherStats, load: Load, nowMs: number): void {
    if (stats.state === 'running') this.#runs(stats, nowMs);
    else this.#isInTrouble(stats, load, nowMs);
    this.#observeFill(load, nowMs);
    if (this.#dead.size > 0 && nowMs - this.#toldDeadAtMs >= SUMMARY_MS) this.#sumUp(nowMs);
  }

  /** Nothing more comes for a while: what was only counted is told. */
  rest(nowMs: number): void {
    if (this.#dead.size > 0 && nowMs - this.#summedUpAtMs >= SUMMARY_MS) this.#sumUp(nowMs);
  }

  #runs(stats: FlusherStats, nowMs: number): void {
    const trouble = this.#trouble;
    if (trouble === undefined) return;
    this.#trouble = undefined;
    this.#stateSinceMs = nowMs;
    const lastedMs = Math.max(0, nowMs - trouble.sinceMs);
    const { waiting, code, sqlState } = trouble;
    const tries = Math.max(1, trouble.tries);
    const message =
      `writes again after ${durationText(lastedMs)}: ${tries === 1 ? 'one try' : `${tries} tries`} had failed, ` +
      `${counted(waiting, 'message')} waited`;
    const fields = { lastedMs, tries, waited: waiting, committed: stats.committed };
    this.#change({ level: 'info', kind: 'resumed', code, sqlState, message, fields }, nowMs);
  }

  #isInTrouble(stats: FlusherStats, { waiting }: Load, nowMs: number): void {
    const before = this.#trouble;
    const now = troubleOf(stats, nowMs);
    // One outage has many sentences while it lasts; what somebody has to mend may turn out to be something else.
    const isNews =
      before === undefined ||
      before.state !== now.state ||
      (now.state !== 'retrying' && before.told !== now.told);
    this.#trouble = {
      ...now,
      sinceMs: before?.sinceMs ?? now.sinceMs,
      told: isNews ? now.told : before.told,
      tries: Math.max(before?.tries ?? 0, now.tries),
      waiting: Math.max(before?.waiting ?? 0, waiting),
    };
    if (!isNews) return;
    const { code, sqlState, state } = now;
    const details = stats.lastErrorDetails;
    this.#change(
      {
        level: state === 'retrying' ? 'warn' : 'error',
        kind: state as 'retrying' | 'paused' | 'stopped',
        code,
        sqlState,
        message: `${state}: ${withoutValues(stats.lastError ?? '', details)}`,
        fields: {
          waiting,
          tries: now.tries,
          table: details?.table ?? null,
          column: details?.column ?? null,
          constraint: details?.constraint ?? null,
          host: this.#options.host() ?? null,
        },
      },
      nowMs,
    );
  }

  #observeFill({ fill, waiting }: Load, nowMs: number): void {
    if (fill >= FULL_FROM) {
      this.#fullSinceMs ??= nowMs;
      if (this.#isFullTold || nowMs - this.#fullSinceMs < FULL_MS) return;
      this.#isFullTold = true;
      const share = `${Math.floor(fill * 100)} %`;
      const message = `full: ${counted(waiting, 'message')} wait, which is ${share} of the room: clients are told to wait`;
      this.#change({ level: 'warn', kind: 'full', message, fields: { waiting } }, nowMs);
    } else if (fill <= FULL_UNTIL && this.#fullSinceMs !== undefined) {
      const lastedMs = nowMs - this.#fullSinceMs;
      this.#fullSinceMs = undefined;
      if (!this.#isFullTold) return;
      this.#isFullTold = false;
      const message = `has room again after ${durationText(lastedMs)}`;
      this.#change({ level: 'info', kind: 'resumed', message, fields: { lastedMs, waiting } }, nowMs);
    }
  }

  /** A message has become a dead letter. */
  dead(refusal: Refusal, nowMs: number): void {
    const reason = reasonOf(refusal);
    const isKnown = this.#dead.has(reason) || this.#knownReasons.has(reason);
    if (isKnown || this.#knownReasons.size >= MAX_REASONS) {
      const key = isKnown || this.#dead.size < MAX_REASONS ? reason : 'others';
      this.#dead.set(key, (this.#dead.get(key) ?? 0) + 1);
      return;
    }
    this.#knownReasons.add(reason);
    this.#toldDeadAtMs = nowMs;
    const { sqlState, by, table, column, constraint } = refusal;
    const message = `a message became a dead letter: ${withoutValues(refusal.reason, refusal)}`;
    const fields = { by, table, column, constraint };
    this.#tell(
      { level: 'warn', kind: 'dead-letters', code: 'dead_letter', sqlState, message, fields },
      nowMs,
    );
  }

  #sumUp(nowMs: number): void {
    const all = [...this.#dead].sort(([, left], [, right]) => right - left);
    const messages = all.reduce((sum, [, count]) => sum + count, 0);
    const named = all.slice(0, NAMED_REASONS).map(([reason, count]) => `${reason} ${count}`);
    if (all.length > NAMED_REASONS) named.push(`${all.length - NAMED_REASONS} further reasons`);
    this.#dead.clear();
    this.#summedUpAtMs = nowMs;
    this.#toldDeadAtMs = nowMs;
    this.#tell(
      {
        level: 'warn',
        kind: 'dead-letters',
        code: 'dead_letter',
        message: `${messages === 1 ? 'one more message' : `${messages} more messages`} became dead letters: ${named.join(', ')}`,
        fields: { messages },
      },
      nowMs,
    );
  }

  /** Something else that an operator should know, once. */
  note(
    level: LogLevel,
    kind: MonitorEvent['kind'],
    message: string,
    nowMs: number,
    code: string | null = null,
  ): void {
    this.#tell({ level, kind, code, message }, nowMs);
  }

  /** Those that nobody was told of, oldest first. Where there were too many, the first of them says how many. */
  takeEvents(): MonitorEvent[] {
    const events = this.#events;
    const dropped = this.#droppedEvents;
    this.#events = [];
    this.#droppedEvents = 0;
    const [first, ...others] = events;
    if (first === undefined || dropped === 0) return events;
    const note = ` (${counted(dropped, 'event')} before it were dropped)`;
    return [
      { ...first, message: first.message.slice(0, MAX_MESSAGE_LENGTH - note.length) + note },
      ...others,
    ];
  }

  /** They could not be told: they wait again, before those that came meanwhile. */
  putBack(events: readonly MonitorEvent[]): void {
    this.#events = [...events, ...this.#events];
    this.#drop();
  }

  #change(event: Event, nowMs: number): void {
    if (nowMs - this.#changesSinceMs >= CHANGES_MS) {
      this.#changesSinceMs = nowMs;
      this.#changes = 0;
    }
    this.#changes += 1;
    if (this.#changes > MAX_CHANGES) {
      this.#untold += 1;
      return;
    }
    const untold = this.#untold;
    this.#untold = 0;
    const message =
      untold === 0
        ? event.message
        : `${event.message} (${counted(untold, 'change')} of state before were not told)`;
    this.#tell({ ...event, message }, nowMs);
  }

  #tell({ level, kind, code = null, sqlState = null, message: said, fields }: Event, atMs: number): void {
    const { sink, shard, write } = this.#options;
    const message = this.#withoutAddress(said).slice(0, MAX_MESSAGE_LENGTH);
    this.#events.push({ atMs, sink, shard, kind, code, sqlState, message });
    this.#drop();
    const at = new Date(atMs).toISOString();
    write({ level, at, sink, shard, kind, code, sqlstate: sqlState, message, ...fields });
  }

  /** A sentence as those may read it who may not read the log: without values, and without the database's address. */
  publicText(sentence: string, details: Pick<Refusal, 'by' | 'sqlState'> | null): string {
    return this.#withoutAddress(withoutValues(sentence, details)).slice(0, MAX_MESSAGE_LENGTH);
  }

  #withoutAddress(text: string): string {
    const place = this.#options.host();
    return withoutAddress(text, place?.slice(0, place.lastIndexOf(':')));
  }

  // The oldest go: what is now matters more.
  #drop(): void {
    const tooMany = this.#events.length - MAX_EVENTS;
    if (tooMany <= 0) return;
    this.#events.splice(0, tooMany);
    this.#droppedEvents += tooMany;
  }
}

function troubleOf(stats: FlusherStats, nowMs: number): Trouble {
  const { state, lastErrorCode, lastErrorDetails, failuresInARow, troubleSinceMs } = stats;
  const sqlState = lastErrorDetails?.sqlState ?? null;
  const { by, table, column, constraint } = lastErrorDetails ?? {};
  return {
    state,
    sinceMs: troubleSinceMs ?? nowMs,
    // Without the texts, in which values differ from message to message.
    told: JSON.stringify([lastErrorCode, by, sqlState, table, column, constraint]),
    tries: failuresInARow,
    waiting: 0,
    code: lastErrorCode,
    sqlState,
  };
}

function reasonOf({ by, sqlState, table, column, constraint }: Refusal): string {
  const place = [table, column ?? constraint].filter((name) => name !== null).join('.');
  return [sqlState ?? by ?? 'unknown', place].filter((part) => part !== '').join(' of ');
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
