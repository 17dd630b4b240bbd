/** Runs the steps of the suite `rates`, wherever it is: what differs between the CLI and the Worker comes in as ports. */

import type { sql } from 'drizzle-orm';
import { errorText, SluiceError } from '../../../src/core/errors.ts';
import type { Database } from '../../../src/database/connection.ts';
import type { IntakeStats } from '../../../src/ingest/intake.ts';
import { flushLatency, latencyRecord } from '../../measure/latency-record.ts';
import type { HistogramRecord, RepResult, Warning } from '../../result.ts';
import type { RepContext, SuiteHost, Variant } from '../../suite.ts';
import { auditTable } from '../ingest/audit.ts';
import {
  type BenchSinkSpec,
  benchTableName,
  createBenchCheckpoints,
  createBenchTable,
  dropBenchTable,
} from '../ingest/bench-sink.ts';
import type { IngestPorts, LoadReport } from '../ingest/load.ts';
import { whyBroken } from './breaking.ts';
import { fireAndForget, type PoolUsage, type QueryPool } from './fire-and-forget.ts';
import { Making } from './making.ts';
import {
  FIRE_AND_FORGET,
  type RatesParameters,
  type RateVariant,
  rateSinkOptions,
  rateTargetOf,
  rateVariantOf,
  scheduleOf,
} from './rates-suite.ts';
import { type LoadSchedule, runScheduledLoad, type ScheduledReport } from './scheduled-load.ts';

export interface RatesPorts extends IngestPorts {
  /** Resolves after that time. */
  wait(ms: number): Promise<unknown>;
  /** Opens the pool of the bad example; undefined where a platform has none. */
  openPool: ((size: number) => QueryPool) | undefined;
  /** Bytes of heap that this process uses; null where it cannot be told. */
  heapBytes(): number | null;
  /** Bytes of memory that the Worker's process has; null where it cannot be told. */
  workerBytes(): Promise<number | null>;
  /** Starts to watch this process's event loop; what it returns ends that, with the p99 delay in milliseconds. */
  watchLoop(): () => number | null;
}

const SAMPLE_EVERY_MS = 100;
/** Beyond it, the event loop of the sender is what is measured. */
const BOUND_LOOP_DELAY_MS = 20;
const WARM_UP = { ratePerSecond: 500, ms: 300 };

/** What one load came to, of either kind. */
interface Load {
  run: string;
  scheduled: ScheduledReport;
  makingUs: number | null;
  loopDelayP99Ms: number | null;
  /** Why the first message failed. */
  failure: unknown;
  shards: IntakeStats[];
}

/** The most that was seen while a load ran. */
interface Peaks {
  heapBytes: number | null;
  workerBytes: number | null;
  pool: PoolUsage | null;
}

export class RatesHost implements SuiteHost {
  readonly #ports: RatesPorts;
  readonly #parameters: RatesParameters;
  readonly #table: string;

  /** @throws SluiceError `invalid_options` where the bad example is asked for and there is no pool for it */
  constructor(ports: RatesPorts, parameters: RatesParameters) {
    if (ports.openPool === undefined && parameters.modes.includes(FIRE_AND_FORGET)) {
      throw new SluiceError(
        'invalid_options',
        `There is no mode ${FIRE_AND_FORGET} here: it needs its own process; use the command bench rates`,
        { details: { option: 'modes', value: FIRE_AND_FORGET } },
      );
    }
    this.#ports = ports;
    this.#parameters = parameters;
    this.#table = `rates${ports.tableSuffix ?? ''}`;
  }

  /** Runs every mode for a moment at a low rate. */
  async warmUp(): Promise<void> {
    const schedule = {
      ...scheduleOf(WARM_UP.ratePerSecond, this.#parameters, 0),
      warmUpMs: 0,
      measuredMs: WARM_UP.ms,
    };
    for (const mode of this.#parameters.modes) {
      const pool = mode === FIRE_AND_FORGET ? (this.#parameters.pools[0] ?? 1) : null;
      await this.#recreate();
      await this.#load({ mode, pool, ratePerSecond: WARM_UP.ratePerSecond }, schedule, () => {}, newPeaks());
    }
  }

  async run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { seed, server }: RepContext,
  ): Promise<RepResult> {
    const step = rateVariantOf(variant);
    const schedule = scheduleOf(step.ratePerSecond, this.#parameters, seed);
    await this.#recreate();
    await server?.begin();
    const peaks = newPeaks();
    const load = await this.#load(step, schedule, onUnits, peaks);
    const { scheduled, shards, makingUs, loopDelayP99Ms } = load;
    const sent = new Array<number>(this.#parameters.clients).fill(0);
    for (const { client, messages } of scheduled.sent) sent[client] = messages;
    const rows = sent.reduce((sum, messages) => sum + messages, 0);
    const figures = await server?.end(rows, [benchTableName(this.#table)]);
    const audit = await this.#ports.slot.use(({ db }) =>
      auditTable(db, {
        table: this.#table,
        run: load.run,
        clients: this.#parameters.clients,
        messagesPerClient: sent,
        // What nobody waited for any more may or may not be there: it is told as broken, not as lost.
        refused: scheduled.failed + scheduled.unsettled,
      }),
    );

    const { due, failed, committed } = scheduled.measured;
    const p99Ms = scheduled.sinceDue.count === 0 ? null : scheduled.sinceDue.p99Us / 1000;
    const broken = whyBroken(
      {
        ...schedule,
        due,
        failed,
        lost: audit.lost,
        duplicated: audit.duplicated,
        stopped: scheduled.stopped,
        unsettled: scheduled.unsettled,
        endedLateMs: scheduled.endedLateMs,
        p99Ms,
      },
      rateTargetOf(this.#parameters),
    );
    const flushes = shards.reduce((sum, shard) => sum + shard.flushes, 0);
    const warnings = warningsOf(variant, loopDelayP99Ms);
    return {
      units: committed,
      elapsedMs: Math.max(schedule.measuredMs, scheduled.committedAfterMs),
      metrics: {
        dueP50Ms: msOf(scheduled.sinceDue, 'p50Us'),
        dueP99Ms: p99Ms,
        dueMaxMs: msOf(scheduled.sinceDue, 'maxUs'),
        sentP50Ms: msOf(scheduled.sinceSent, 'p50Us'),
        sentP99Ms: msOf(scheduled.sinceSent, 'p99Us'),
        pendingMax: scheduled.pendingMax,
        failedPercent: due === 0 ? 0 : (failed / due) * 100,
        sentLateMaxMs: scheduled.sentLateMaxMs,
        endedLateMs: scheduled.endedLateMs,
        poolActiveMax: peaks.pool?.active ?? null,
        poolIdleMax: peaks.pool?.idle ?? null,
        poolWaitingMax: peaks.pool?.waiting ?? null,
        heapMaxMb: megabytes(peaks.heapBytes),
        workerMaxMb: step.mode === FIRE_AND_FORGET ? null : megabytes(peaks.workerBytes),
        loopDelayP99Ms,
        makingUs,
        flushes: step.mode === FIRE_AND_FORGET ? null : flushes,
        rowsPerWrite: step.mode === FIRE_AND_FORGET ? 1 : flushes === 0 ? null : audit.found / flushes,
      },
      audit,
      histograms: histogramsOf(load),
      windows: scheduled.windows,
      ...(broken === undefined ? {} : { broken: withReason(broken, load.failure) }),
      ...(figures === undefined ? {} : { server: figures }),
      ...(warnings.length === 0 ? {} : { warnings }),
    };
  }

  /** Ends what is under way, and drops every table of the suite. */
  async close(): Promise<void> {
    await this.#ports.abandon?.();
    // A place with its own names may have others beside it, whose shards go by the same checkpoints.
    const isAlone = this.#ports.tableSuffix === undefined;
    for (const table of [this.#table, ...(isAlone ? ['checkpoints'] : [])])
      await this.#execute(dropBenchTable(table));
  }

  async #load(
    step: RateVariant,
    schedule: LoadSchedule,
    onUnits: (done: number) => void,
    peaks: Peaks,
  ): Promise<Load> {
    if (step.mode === FIRE_AND_FORGET) return this.#forget(step.pool ?? 1, schedule, onUnits, peaks);
    const { clients, frame, driver, shards, column } = this.#parameters;
    const spec: BenchSinkSpec = {
      table: this.#table,
      column,
      options: rateSinkOptions(step.mode, this.#parameters),
    };
    const target = { run: this.#ports.randomId(), spec, driver, shards };
    const order = {
      target,
      clients,
      messagesPerClient: 0,
      messagesPerFrame: frame,
      ratePerSecond: 0,
      ack: 'committed' as const,
      withHeaders: false,
      schedule,
    };
    const report: LoadReport = await this.#watched(this.#ports.load(order, onUnits), peaks);
    if (report.scheduled === undefined) {
      throw new SluiceError(
        'internal',
        'The load knew nothing of the schedule: its code is older than this bench',
      );
    }
    return {
      run: target.run,
      scheduled: report.scheduled,
      makingUs: report.makingUs ?? null,
      loopDelayP99Ms: report.loopDelayP99Ms,
      failure: undefined,
      shards: await this.#ports.drain(target),
    };
  }

  async #forget(
    size: number,
    schedule: LoadSchedule,
    onUnits: (done: number) => void,
    peaks: Peaks,
  ): Promise<Load> {
    const pool = this.#ports.openPool?.(size);
    if (pool === undefined) throw new SluiceError('internal', 'There is no pool for the bad example');
    const { clients } = this.#parameters;
    const run = this.#ports.randomId();
    const making = new Making(this.#ports.now);
    const numbers = Array.from({ length: clients }, (_, client) => client);
    let failure: unknown;
    const takers = numbers.map((client) =>
      fireAndForget(pool, { run, table: this.#table, client, schedule }, making, (error) => {
        failure ??= error;
      }),
    );
    let done = 0;
    const loopDelay = this.#ports.watchLoop();
    try {
      const work = runScheduledLoad(schedule, clients, numbers, takers, this.#ports, (messages) => {
        done += messages;
        onUnits(done);
      });
      const scheduled = await this.#watched(work, peaks, pool);
      const loopDelayP99Ms = loopDelay();
      return { run, scheduled, makingUs: making.usPerMessage, loopDelayP99Ms, failure, shards: [] };
    } finally {
      await pool.close();
    }
  }

  /** Looks at memory and pool now and then until the work is over. */
  async #watched<Value>(work: Promise<Value>, peaks: Peaks, pool?: QueryPool): Promise<Value> {
    let isOver = false;
    const finished = work.finally(() => {
      isOver = true;
    });
    // Awaited below; meanwhile its failure is no uncaught one.
    finished.catch(() => {});
    while (!isOver) {
      peaks.heapBytes = higher(peaks.heapBytes, this.#ports.heapBytes());
      if (pool === undefined) peaks.workerBytes = higher(peaks.workerBytes, await this.#ports.workerBytes());
      else peaks.pool = peakUsage(peaks.pool, pool.usage);
      await Promise.race([this.#ports.wait(SAMPLE_EVERY_MS), finished.catch(() => {})]);
    }
    return finished;
  }

  async #recreate(): Promise<void> {
    await this.#execute(dropBenchTable(this.#table));
    await this.#execute(createBenchTable(this.#table, this.#parameters.column));
    await this.#execute(createBenchCheckpoints());
  }

  #execute(statement: ReturnType<typeof sql.raw>): Promise<unknown> {
    return this.#ports.slot.use(({ db }: { db: Database }) => db.execute(statement));
  }
}

/** Without those in which nothing was measured. */
function histogramsOf({ scheduled, shards }: Load): Record<string, HistogramRecord> {
  const records = {
    due: scheduled.sinceDue,
    sent: scheduled.sinceSent,
    flush: latencyRecord(flushLatency(shards)),
  };
  return Object.fromEntries(
    Object.entries(records).flatMap(([name, record]) =>
      record === undefined || record.count === 0 ? [] : [[name, record]],
    ),
  );
}

function newPeaks(): Peaks {
  return { heapBytes: null, workerBytes: null, pool: null };
}

function higher(left: number | null, right: number | null): number | null {
  return left === null || right === null ? (left ?? right) : Math.max(left, right);
}

function peakUsage(left: PoolUsage | null, right: PoolUsage): PoolUsage {
  return {
    active: Math.max(left?.active ?? 0, right.active),
    idle: Math.max(left?.idle ?? 0, right.idle),
    waiting: Math.max(left?.waiting ?? 0, right.waiting),
  };
}

function msOf(record: ScheduledReport['sinceDue'], figure: 'p50Us' | 'p99Us' | 'maxUs'): number | null {
  return record.count === 0 ? null : record[figure] / 1000;
}

function megabytes(bytes: number | null): number | null {
  return bytes === null ? null : bytes / 2 ** 20;
}

function withReason(broken: string, failure: unknown): string {
  return failure === undefined || !broken.includes('failed') ? broken : `${broken} (${errorText(failure)})`;
}

function warningsOf({ name }: Variant, loopDelayP99Ms: number | null): Warning[] {
  if (loopDelayP99Ms === null || loopDelayP99Ms <= BOUND_LOOP_DELAY_MS) return [];
  return [
    {
      code: 'client_bound',
      where: name,
      text: `The event loop of the process that sends was up to ${Math.round(loopDelayP99Ms)} ms late (p99): part of the latency comes from it. Give it another machine, or a lower rate.`,
    },
  ];
}
