/**
 * An open load: every message has a time at which it is due, whatever became of those before it, and its latency counts
 * from that time. A load that waits for answers instead stops asking while the server stalls, and then reports a few
 * slow messages where there were thousands (coordinated omission: wg/wrk#485, hatoo/oha#143, scylladb/scylla-bench#46).
 */

import { type HistogramRecord, WINDOW_MS } from '../../result.ts';
import { Histogram } from '../../statistics/histogram.ts';

/** When messages are due, and when it is no use to go on. */
export interface LoadSchedule {
  /** For the messages' contents. */
  seed: number;
  /** Of all clients together, at equal distances; the clients take turns. */
  ratePerSecond: number;
  /** Messages that are due before this are sent and audited, and in no figure. */
  warmUpMs: number;
  measuredMs: number;
  /** Messages of these clients that may be on their way; at it, sending ends. */
  pendingLimit: number;
  /** How old the oldest message may be that is not committed; then sending ends. */
  giveUpMs: number;
}

/** Where the messages of one client go. */
export interface MessageTaker {
  /** How many messages it takes now; others wait with the sender, and are late. */
  room(): number;
  /**
   * Makes and takes the messages `from` to before `to`. Calls back once for each part of them that is committed, or
   * that failed. Never throws.
   */
  take(from: number, to: number, onSettled: OnSettled): void;
}

/** Messages `from` to before `to` are settled. */
export type OnSettled = (from: number, to: number, isCommitted: boolean) => void;

export interface ScheduledLoadPorts {
  /** Milliseconds, with fractions where the platform has them. */
  now(): number;
  /** Resolves after that time. */
  wait(ms: number): Promise<unknown>;
}

/** What a schedule came to. Plain data: it travels between objects. */
export interface ScheduledReport {
  /** Messages sent, by client. */
  sent: { client: number; messages: number }[];
  /** Messages that failed or were refused, warm-up included. */
  failed: number;
  /** The measured part: due, and of these failed, and committed. */
  measured: { due: number; failed: number; committed: number };
  /** From the time at which a message was due until it was known to be committed, and from the time at which it was sent. */
  sinceDue: HistogramRecord;
  sinceSent: HistogramRecord;
  /** Commits in each `WINDOW_MS` of the measured time, also of messages that were due before it. */
  windows: number[];
  /** From the beginning of the measured part to its last commit. */
  committedAfterMs: number;
  /** Most messages that were on their way at one time. */
  pendingMax: number;
  /** How much later than planned sending ended, and the latest that a measured message was sent. */
  endedLateMs: number;
  sentLateMaxMs: number;
  /** Why sending ended before its time. */
  stopped: 'pending' | 'behind' | null;
  /** Messages that were on their way when nobody waited for them any more. */
  unsettled: number;
}

/** Messages of one client in one turn, so that each client has its turn soon. */
const TURN_MESSAGES = 256;
/** How long what was sent may take to settle, beyond the age at which sending gave up. */
const SETTLE_LIMIT_MS = 60_000;
const SETTLE_POLL_MS = 5;
/** Timers are no finer than the one; with the other, messages that became too old are noticed soon. */
const MIN_PAUSE_MS = 1;
const MAX_PAUSE_MS = 50;

/** The messages that the client `client` of `clients` has in a schedule. */
export function messagesOf(schedule: LoadSchedule, client: number, clients: number): number {
  const all = Math.round((schedule.ratePerSecond * (schedule.warmUpMs + schedule.measuredMs)) / 1000);
  return Math.max(0, Math.ceil((all - client) / clients));
}

/**
 * Sends the messages of some of the clients, and resolves once they are settled, or nobody waits for them any more.
 *
 * @param numbers which of the `clients` these are, one for each taker
 */
export async function runScheduledLoad(
  schedule: LoadSchedule,
  clients: number,
  numbers: readonly number[],
  takers: readonly MessageTaker[],
  { now, wait }: ScheduledLoadPorts,
  onSent: (messages: number) => void = () => {},
): Promise<ScheduledReport> {
  const load = new ScheduledLoad(schedule, clients, numbers, takers, now);
  for (;;) {
    const sent = load.sendDue();
    if (sent > 0) onSent(sent);
    if (load.isOver) break;
    await wait(load.pauseMs());
  }
  load.endSending();
  const waitUntilMs = now() + schedule.giveUpMs + SETTLE_LIMIT_MS;
  while (load.pending > 0 && now() < waitUntilMs) await wait(SETTLE_POLL_MS);
  return load.report();
}

/** The messages of one client: `next` of `total` are sent, and `settled` of these. */
interface Line {
  readonly client: number;
  readonly taker: MessageTaker;
  readonly total: number;
  next: number;
  settled: number;
}

class ScheduledLoad {
  readonly #schedule: LoadSchedule;
  readonly #clients: number;
  readonly #lines: readonly Line[];
  readonly #now: () => number;
  readonly #startMs: number;
  readonly #measuredFromMs: number;
  readonly #sinceDue = new Histogram();
  readonly #sinceSent = new Histogram();
  readonly #windows: number[];
  #stopped: ScheduledReport['stopped'] = null;
  #failed = 0;
  #measuredFailed = 0;
  #measuredCommitted = 0;
  #committedAfterMs = 0;
  #pendingMax = 0;
  #endedLateMs = 0;
  #sentLateMaxMs = 0;
  /** Sent and not settled. */
  pending = 0;

  constructor(
    schedule: LoadSchedule,
    clients: number,
    numbers: readonly number[],
    takers: readonly MessageTaker[],
    now: () => number,
  ) {
    this.#schedule = schedule;
    this.#clients = clients;
    this.#now = now;
    this.#startMs = now();
    this.#measuredFromMs = this.#startMs + schedule.warmUpMs;
    this.#windows = new Array<number>(Math.ceil(schedule.measuredMs / WINDOW_MS)).fill(0);
    this.#lines = takers.map((taker, index) => {
      const client = numbers[index] as number;
      return { client, taker, total: messagesOf(schedule, client, clients), next: 0, settled: 0 };
    });
  }

  get isOver(): boolean {
    return this.#stopped !== null || this.#lines.every(({ next, total }) => next >= total);
  }

  /** Sends what is due, as far as it is taken. Returns how many messages that were. */
  sendDue(): number {
    const nowMs = this.#now();
    let sent = 0;
    for (const line of this.#lines) {
      const due = Math.min(line.total, this.#dueBy(line, nowMs));
      const allowed = this.#schedule.pendingLimit - this.pending;
      const to = Math.min(due, line.next + Math.min(TURN_MESSAGES, line.taker.room(), allowed));
      if (to > line.next) {
        sent += to - line.next;
        this.#take(line, to);
      }
      if (line.next < due && this.pending >= this.#schedule.pendingLimit) this.#stopped ??= 'pending';
      // The oldest one that is not settled, where they settle in their order; else one near it.
      if (line.settled < due && nowMs - this.#dueMs(line, line.settled) > this.#schedule.giveUpMs) {
        this.#stopped ??= 'behind';
      }
    }
    return sent;
  }

  /** Until something is due; a moment where something is due and was not taken. */
  pauseMs(): number {
    const nextMs = Math.min(
      ...this.#lines.map((line) =>
        line.next < line.total ? this.#dueMs(line, line.next) : Number.POSITIVE_INFINITY,
      ),
    );
    return Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, nextMs - this.#now()));
  }

  endSending(): void {
    const { warmUpMs, measuredMs } = this.#schedule;
    this.#endedLateMs = Math.max(0, this.#now() - (this.#startMs + warmUpMs + measuredMs));
  }

  report(): ScheduledReport {
    const measuredFrom = this.#schedule.warmUpMs;
    const due = this.#lines.reduce((sum, line) => {
      const warmUp = messagesOf(
        { ...this.#schedule, warmUpMs: 0, measuredMs: measuredFrom },
        line.client,
        this.#clients,
      );
      return sum + line.total - warmUp;
    }, 0);
    return {
      sent: this.#lines.map(({ client, next }) => ({ client, messages: next })),
      failed: this.#failed,
      measured: { due, failed: this.#measuredFailed, committed: this.#measuredCommitted },
      sinceDue: this.#sinceDue.toRecord(),
      sinceSent: this.#sinceSent.toRecord(),
      windows: [...this.#windows],
      committedAfterMs: this.#committedAfterMs,
      pendingMax: this.#pendingMax,
      endedLateMs: this.#endedLateMs,
      sentLateMaxMs: this.#sentLateMaxMs,
      stopped: this.#stopped,
      unsettled: this.pending,
    };
  }

  #take(line: Line, to: number): void {
    const from = line.next;
    const sentMs = this.#now();
    line.next = to;
    this.pending += to - from;
    this.#pendingMax = Math.max(this.#pendingMax, this.pending);
    if (this.#isMeasured(line, to - 1)) {
      const late = sentMs - Math.max(this.#measuredFromMs, this.#dueMs(line, from));
      this.#sentLateMaxMs = Math.max(this.#sentLateMaxMs, late);
    }
    line.taker.take(from, to, (first, end, isCommitted) => {
      line.settled += end - first;
      this.pending -= end - first;
      const settledMs = this.#now();
      for (let n = first; n < end; n += 1) this.#settle(line, n, sentMs, settledMs, isCommitted);
    });
  }

  #settle(line: Line, n: number, sentMs: number, settledMs: number, isCommitted: boolean): void {
    const afterMs = settledMs - this.#measuredFromMs;
    if (!isCommitted) this.#failed += 1;
    else if (afterMs >= 0 && afterMs < this.#schedule.measuredMs) {
      // Also those that were due before: otherwise the first windows would lack them, and look like a slow start.
      const window = Math.floor(afterMs / WINDOW_MS);
      this.#windows[window] = (this.#windows[window] ?? 0) + 1;
    }
    if (!this.#isMeasured(line, n)) return;
    if (!isCommitted) {
      this.#measuredFailed += 1;
      return;
    }
    this.#measuredCommitted += 1;
    this.#sinceDue.record((settledMs - this.#dueMs(line, n)) * 1000);
    this.#sinceSent.record((settledMs - sentMs) * 1000);
    this.#committedAfterMs = Math.max(this.#committedAfterMs, afterMs);
  }

  /** The number of all messages is what tells: times have rounding errors. */
  #isMeasured({ client }: Line, n: number): boolean {
    const { ratePerSecond, warmUpMs } = this.#schedule;
    return n * this.#clients + client >= Math.round((ratePerSecond * warmUpMs) / 1000);
  }

  #dueMs({ client }: Line, n: number): number {
    return this.#startMs + ((n * this.#clients + client) * 1000) / this.#schedule.ratePerSecond;
  }

  /** How many messages of a client are due by a time. */
  #dueBy({ client }: Line, nowMs: number): number {
    const all = ((nowMs - this.#startMs) * this.#schedule.ratePerSecond) / 1000;
    return Math.max(0, Math.floor((all - client) / this.#clients) + 1);
  }
}

/**
 * Adds up the reports of loads that ran at the same time, each with some of the clients.
 *
 * @throws RangeError for no reports
 */
export function mergeScheduled(reports: readonly ScheduledReport[]): ScheduledReport {
  if (reports.length === 0) throw new RangeError('There is no report to merge');
  const sum = (of: (report: ScheduledReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const highest = (of: (report: ScheduledReport) => number): number => Math.max(...reports.map(of));
  const merged = (of: (report: ScheduledReport) => HistogramRecord): HistogramRecord => {
    const histogram = new Histogram();
    for (const report of reports) histogram.merge(Histogram.fromRecord(of(report)));
    return histogram.toRecord();
  };
  return {
    sent: reports.flatMap(({ sent }) => sent),
    failed: sum(({ failed }) => failed),
    measured: {
      due: sum(({ measured }) => measured.due),
      failed: sum(({ measured }) => measured.failed),
      committed: sum(({ measured }) => measured.committed),
    },
    sinceDue: merged(({ sinceDue }) => sinceDue),
    sinceSent: merged(({ sinceSent }) => sinceSent),
    windows: Array.from({ length: highest(({ windows }) => windows.length) }, (_, index) =>
      sum(({ windows }) => windows[index] ?? 0),
    ),
    committedAfterMs: highest(({ committedAfterMs }) => committedAfterMs),
    // Their peaks need not have been at the same moment: at the most so many.
    pendingMax: sum(({ pendingMax }) => pendingMax),
    endedLateMs: highest(({ endedLateMs }) => endedLateMs),
    sentLateMaxMs: highest(({ sentLateMaxMs }) => sentLateMaxMs),
    stopped: reports.find(({ stopped }) => stopped !== null)?.stopped ?? null,
    unsettled: sum(({ unsettled }) => unsettled),
  };
}
