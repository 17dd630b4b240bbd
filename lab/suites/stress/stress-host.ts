/** Runs the iterations of the suite `stress`, wherever it is: where a phase runs comes in as a port. */

import { SluiceError } from '../../../src/core/errors.ts';
import { quoteName } from '../../../src/core/sql-text.ts';
import type { ConnectionSlot } from '../../../src/database/connection-slot.ts';
import type { Audit, RepResult } from '../../result.ts';
import type { RepContext, SuiteHost, Variant } from '../../suite.ts';
import { brokenText, type IterationFigures, type IterationStatus } from './iteration.ts';
import { derivedFigures, emptyFigures } from './iteration-figures.ts';
import { failureText, type PhaseAnswer, type PhaseJob } from './phase.ts';
import {
  rowsPerIteration,
  type StressParameters,
  type StressStep,
  stressStepOf,
  stressTableName,
} from './stress-suite.ts';
import { StressTable } from './stress-table.ts';

/** What became of a phase: its answer, or how the process that ran it ended without one. */
export type PhaseOutcome = { answer: PhaseAnswer } | { ended: string };

export interface StressPorts {
  /** A connection for the table and its sizes. */
  slot: ConnectionSlot;
  /** Runs phases one after the other, in one fresh process where the platform has processes. As many outcomes as orders. */
  run(orders: readonly PhaseJob[]): Promise<PhaseOutcome[]>;
  /** Ends what still runs. */
  close(): Promise<void>;
}

/** Epochs of the record that warms up. */
const WARM_UP_EPOCHS = 50;
/** Comes after the name of the table for the warm-up: its rows are not part of the run. Names have 63 bytes. */
const WARM_UP_SUFFIX = '_w';

export class StressHost implements SuiteHost {
  readonly #ports: StressPorts;
  readonly #parameters: StressParameters;
  readonly #table: string;
  readonly #tables: StressTable;

  constructor(ports: StressPorts, parameters: StressParameters) {
    this.#ports = ports;
    this.#parameters = parameters;
    this.#table = stressTableName(parameters);
    this.#tables = new StressTable(ports.slot, parameters.payload);
  }

  /**
   * Makes the table, and takes a tiny record all the way through its own table: what is wrong with the setup shows
   * here, and not as a breaking point.
   *
   * @throws SluiceError `invalid_options` where the table is there for another format, `invalid_configuration` where the
   * format cannot be had
   */
  async warmUp(): Promise<void> {
    const { drop, truncate } = this.#parameters;
    if (drop) await this.#tables.execute(`drop table if exists ${quoteName(this.#table)}`);
    await this.#tables.create(this.#table);
    if (truncate) await this.#tables.execute(`truncate table ${quoteName(this.#table)}`);

    const table = this.#table + WARM_UP_SUFFIX;
    await this.#tables.execute(`drop table if exists ${quoteName(table)}`);
    await this.#tables.create(table);
    try {
      const step = { iteration: 0, epochs: WARM_UP_EPOCHS };
      const host = new StressHost(this.#ports, { ...this.#parameters, concurrency: 1, timeout: 0 });
      const { status, error } = await host.#iterate(step, 0, table, undefined, () => {});
      if (status !== 'OK') {
        throw new SluiceError('invalid_configuration', `Cannot write and read a small record: ${error}`);
      }
    } finally {
      await this.#tables.execute(`drop table if exists ${quoteName(table)}`);
    }
  }

  async run(
    variant: Variant,
    _rep: number,
    onUnits: (done: number) => void,
    { seed, server }: RepContext,
  ): Promise<RepResult> {
    const step = stressStepOf(variant, this.#parameters);
    const outcome = await this.#iterate(step, seed, this.#table, server, onUnits);
    const { status, error, figures, audit, serverFigures } = outcome;
    const elapsedMs = (figures.writeSeconds + figures.readSeconds) * 1000;
    return {
      units: status === 'OK' ? step.epochs * figures.successWrites : 0,
      elapsedMs,
      metrics: { ...figures, ...derivedFigures(figures, this.#parameters.mode === 'async') },
      audit,
      ...(status === 'OK' ? {} : { broken: brokenText(status, error) }),
      ...(serverFigures === undefined ? {} : { server: serverFigures }),
    };
  }

  /** Drops the table unless it is to be kept. */
  async close(): Promise<void> {
    await this.#ports.close();
    if (!this.#parameters.keep) await this.#tables.execute(`drop table if exists ${quoteName(this.#table)}`);
  }

  async #iterate(
    { iteration, epochs }: StressStep,
    seed: number,
    table: string,
    server: RepContext['server'],
    onUnits: (done: number) => void,
  ): Promise<Outcome> {
    const { mode, payload: format, timeout, keep } = this.#parameters;
    const isAsync = mode === 'async';
    const rows = rowsPerIteration(this.#parameters);
    const quoted = quoteName(table);
    const order = {
      mode,
      format,
      table: quoted,
      epochs,
      seed,
      concurrency: rows,
      statementTimeoutMs: timeout,
    };
    const figures = emptyFigures(iteration, epochs, rows);
    let before: string;
    try {
      if (!keep) await this.#tables.execute(`truncate table ${quoted}`);
      before = await this.#tables.lastId(quoted);
      await server?.begin();
    } catch (error) {
      // The ramp ends here, and its files are still written.
      const text = `fatal_iteration_error: ${failureText(error)}`;
      return { status: isAsync ? 'FAIL' : 'FAIL_WRITE', error: text, figures, audit: null };
    }

    const [written] = await this.#ports.run([{ ...order, phase: 'write', ids: [] }]);
    const write = answerOf(written, rows);
    const serverFigures = await server?.end(write.ids.length, [quoted]);
    onUnits(write.ids.length * epochs);
    Object.assign(figures, {
      writeSeconds: write.elapsedMs / 1000,
      generateSeconds: write.generateMs / 1000,
      encodeSeconds: write.encodeMs / 1000,
      successWrites: write.ids.length,
      failedWrites: rows - write.ids.length,
      clientPayloadBytes: write.ids.length > 0 || isAsync ? write.payloadBytes : 0,
      writePeakBytes: write.peakAllocBytes,
      writeRssBytes: write.rssDeltaBytes,
      // What is not read takes no memory, where memory can be told.
      readPeakBytes: write.peakAllocBytes === null ? null : 0,
      readRssBytes: write.rssDeltaBytes === null ? null : 0,
    });

    const errors = write.failures.slice(0, 1);
    let status: IterationStatus = errors.length === 0 ? 'OK' : isAsync ? 'FAIL' : 'FAIL_WRITE';
    const failRead = (error: string): void => {
      errors.push(error);
      if (status === 'OK') status = isAsync ? 'FAIL' : 'FAIL_READ';
    };
    let equal: string[] | undefined;
    if (write.ids.length > 0) {
      const outcomes = await this.#ports.run([
        { ...order, phase: 'read', ids: write.ids },
        { ...order, phase: 'audit', ids: write.ids },
      ]);
      const read = answerOf(outcomes[0], write.ids.length);
      const audited = answerOf(outcomes[1], 1);
      Object.assign(figures, {
        readSeconds: read.elapsedMs / 1000,
        decodeSeconds: (isAsync ? audited : read).decodeMs / 1000,
        successReads: read.ids.length,
        failedReads: write.ids.length - read.ids.length,
        readPeakBytes: read.peakAllocBytes,
        readRssBytes: read.rssDeltaBytes,
      });
      const [readFailure] = read.failures;
      if (readFailure !== undefined) failRead(readFailure);
      const [auditFailure] = audited.failures;
      if (auditFailure !== undefined) failRead(`audit: ${auditFailure}`);
      // Rows that differ are lost; rows that nobody could compare are only counted.
      if (audited.isCompared) equal = audited.ids;
      const sizeFailure = await this.#tables.measureSizes(quoted, write.ids[0] as string, figures, isAsync);
      if (sizeFailure !== undefined) failRead(`${isAsync ? 'table_size' : 'size_metrics'}: ${sizeFailure}`);
    }
    let audit: Audit | null = null;
    try {
      audit = await this.#tables.audit(quoted, before, rows, write.ids, equal);
      if (audit.lost + audit.duplicated > 0 && status === 'OK') {
        failRead(`audit: ${audit.lost} rows lost, ${audit.duplicated} doubled`);
      }
    } catch (error) {
      failRead(`audit: ${failureText(error)}`);
    }
    return {
      status,
      error: errors.join(' | '),
      figures,
      audit,
      ...(serverFigures === undefined ? {} : { serverFigures }),
    };
  }
}

interface Outcome {
  status: IterationStatus;
  error: string;
  figures: IterationFigures;
  audit: Audit | null;
  serverFigures?: NonNullable<RepResult['server']>;
}

/** The answer, or one in which every row failed because of how the process ended. */
function answerOf(outcome: PhaseOutcome | undefined, rows: number): PhaseAnswer {
  if (outcome !== undefined && 'answer' in outcome) return outcome.answer;
  const ended = outcome?.ended ?? 'it was not run';
  return {
    elapsedMs: 0,
    generateMs: 0,
    encodeMs: 0,
    decodeMs: 0,
    ids: [],
    payloadBytes: 0,
    failures: Array.from({ length: rows }, () => ended),
    isCompared: false,
    peakAllocBytes: null,
    rssDeltaBytes: null,
  };
}
