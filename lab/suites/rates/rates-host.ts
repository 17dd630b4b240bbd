/** Runs the steps of the suite `rates`, wherever it is: what differs between the CLI and the Worker comes in as ports. */

import type { sql } from 'drizzle-orm';
import { SluiceError } from '../../../src/core/errors.ts';
import type { Database } from '../../../src/database/connection.ts';
import type { RepResult } from '../../result.ts';
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
import { fireAndForget, type QueryPool } from './fire-and-forget.ts';
import { histogramsOf, type Load, megabytes, msOf, warningsOf, withReason } from './load-figures.ts';
import { Making } from './making.ts';
import { newPeaks, type PeakPorts, type Peaks, watchPeaks } from './peaks.ts';
import {
  FIRE_AND_FORGET,
  type RatesParameters,
  type RateVariant,
  rateSinkOptions,
  rateTargetOf,
  rateVariantOf,
  scheduleOf,
} from './rates-suite.ts';
import { type LoadSchedule, runScheduledLoad } from './scheduled-load.ts';

export interface RatesPorts extends IngestPorts, PeakPorts {
  /** Opens the pool of the bad example; undefined where a platform has none. */
  openPool: ((size: number) => QueryPool) | undefined;
  /** Starts to watch this process's event loop; what it returns ends that, with the p99 delay in milliseconds. */
  watchLoop(): () => number | null;
}

const WARM_UP = { ratePerSecond: 500, ms: 300 };

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
    const report: LoadReport = await watchPeaks(this.#ports.load(order, onUnits), peaks, this.#ports);
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
      const scheduled = await watchPeaks(work, peaks, this.#ports, pool);
      const loopDelayP99Ms = loopDelay();
      return { run, scheduled, makingUs: making.usPerMessage, loopDelayP99Ms, failure, shards: [] };
    } finally {
      await pool.close();
    }
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
