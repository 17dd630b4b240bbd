/**
 * The parts of an iteration: write, read, audit. Each runs on its own, so that a separate process can run it and tell
 * what memory it took. Orders and answers are plain data.
 */

import { sql } from 'drizzle-orm';
import { errorText, isSluiceError } from '../../../src/core/errors.ts';
import { type Connection, sqlState } from '../../../src/database/connection.ts';
import { readValue, type ValueToWrite, writeValue } from './copy-value.ts';
import {
  type CodecClocks,
  type CodecPorts,
  columnOf,
  decodeValue,
  encodeRecord,
  type PayloadFormat,
  RecordCheck,
} from './payload-format.ts';
import { Stopwatch } from './stopwatch.ts';

export const STRESS_MODES = ['sync', 'async'] as const;
/** `sync`: one record, encoded and decoded within the time. `async`: the same bytes by many connections at once. */
export type StressMode = (typeof STRESS_MODES)[number];

export interface PhaseJob {
  phase: 'write' | 'read' | 'audit';
  mode: StressMode;
  format: PayloadFormat;
  /** Quoted. */
  table: string;
  epochs: number;
  seed: number;
  /** Rows that are written at the same time; 1 in mode `sync`. */
  concurrency: number;
  /** Of each session; 0: none. The audit has none. */
  statementTimeoutMs: number;
  /** Rows to be read or audited. */
  ids: string[];
}

export interface PhaseAnswer {
  elapsedMs: number;
  /** Drawing, encoding and decoding. In mode `async` the record is encoded before the clock starts, and never decoded. */
  generateMs: number;
  encodeMs: number;
  decodeMs: number;
  /** Rows written, read, or found equal to what was written. */
  ids: string[];
  /** Bytes of one encoded record. */
  payloadBytes: number;
  /** One sentence for each row that failed. */
  failures: string[];
  /** The audit has compared every row. */
  isCompared: boolean;
  /** Most memory allocated above where the phase began, garbage included; null where the platform does not tell. */
  peakAllocBytes: number | null;
  /** What the phase raised the resident set's high-water mark of its process by; null where the platform does not tell. */
  rssDeltaBytes: number | null;
}

/** Reads the memory of the process that a phase runs in. */
export interface MemoryGauge {
  begin(): void;
  sample(): void;
  end(): Pick<PhaseAnswer, 'peakAllocBytes' | 'rssDeltaBytes'>;
}

/** For platforms that do not tell. */
export const NO_MEMORY_GAUGE: MemoryGauge = {
  begin() {},
  sample() {},
  end: () => ({ peakAllocBytes: null, rssDeltaBytes: null }),
};

export interface PhasePorts {
  open(): Promise<Connection>;
  zstd: CodecPorts['zstd'];
  memory: MemoryGauge;
  /** Milliseconds, with fractions where the platform has them. */
  now(): number;
}

/** Runs a phase. What fails in it is part of the answer; nothing is thrown. */
export function runPhase(order: PhaseJob, ports: PhasePorts): Promise<PhaseAnswer> {
  switch (order.phase) {
    case 'write':
      return order.mode === 'sync' ? writeOne(order, ports) : writeMany(order, ports);
    case 'read':
      return readAll(order, ports);
    case 'audit':
      return audit(order, ports);
  }
}

interface Work {
  clocks: CodecClocks;
  codec: CodecPorts;
  ids: string[];
  failures: string[];
  isCompared: boolean;
  payloadBytes: number;
}

/** Runs the work on the clock and under the gauge. */
async function measured(ports: PhasePorts, work: (work: Work) => Promise<void>): Promise<PhaseAnswer> {
  const state = workOf(ports);
  return finished(state, await timed(ports, state, () => work(state)));
}

function workOf({ now, zstd, memory }: PhasePorts): Work {
  const clock = (): Stopwatch => new Stopwatch(now);
  return {
    clocks: { generate: clock(), encode: clock(), decode: clock() },
    codec: { zstd, sampleMemory: () => memory.sample() },
    ids: [],
    failures: [],
    isCompared: false,
    payloadBytes: 0,
  };
}

type Timed = Pick<PhaseAnswer, 'elapsedMs' | 'peakAllocBytes' | 'rssDeltaBytes'>;

async function timed({ now, memory }: PhasePorts, state: Work, work: () => Promise<void>): Promise<Timed> {
  memory.begin();
  const startedAtMs = now();
  try {
    await work();
  } catch (error) {
    state.failures.push(failureText(error));
  }
  const elapsedMs = now() - startedAtMs;
  return { elapsedMs, ...memory.end() };
}

function finished({ clocks, ids, failures, isCompared, payloadBytes }: Work, time: Timed): PhaseAnswer {
  return {
    ...time,
    generateMs: clocks.generate.totalMs,
    encodeMs: clocks.encode.totalMs,
    decodeMs: clocks.decode.totalMs,
    ids,
    failures,
    isCompared,
    payloadBytes,
  };
}

function writeOne(order: PhaseJob, ports: PhasePorts): Promise<PhaseAnswer> {
  return measured(ports, async (work) => {
    await withSession(order, ports, async (connection) => {
      const value = encodeRecord(order.format, order, work.codec, work.clocks);
      const counted = countBytes(value, (bytes) => {
        work.payloadBytes += bytes;
        ports.memory.sample();
      });
      work.ids.push(await writeValue(connection, order.table, counted));
    });
  });
}

async function writeMany(order: PhaseJob, ports: PhasePorts): Promise<PhaseAnswer> {
  const work = workOf(ports);
  let value: ValueToWrite;
  try {
    value = await wholeValue(encodeRecord(order.format, order, work.codec, work.clocks));
  } catch (error) {
    // None was tried: each of them failed.
    work.failures = Array.from({ length: order.concurrency }, () => `prepare_payload: ${failureText(error)}`);
    return finished(work, { elapsedMs: 0, peakAllocBytes: null, rssDeltaBytes: null });
  }
  work.payloadBytes = value.length as number;
  const time = await timed(ports, work, async () => {
    const producers = Array.from({ length: order.concurrency }, (_, producer) => producer);
    await Promise.all(
      producers.map(async (producer) => {
        try {
          work.ids.push(await withSession(order, ports, (own) => writeValue(own, order.table, value)));
        } catch (error) {
          work.failures.push(`producer=${producer}: ${failureText(error)}`);
        }
        ports.memory.sample();
      }),
    );
  });
  return finished(work, time);
}

/** All pieces of a value, so that it can be sent again and again. */
async function wholeValue({ column, chunks }: ValueToWrite): Promise<ValueToWrite> {
  const kept: Uint8Array[] = [];
  for await (const chunk of chunks) kept.push(chunk);
  return { column, length: kept.reduce((sum, { length }) => sum + length, 0), chunks: kept };
}

function countBytes(value: ValueToWrite, onBytes: (bytes: number) => void): ValueToWrite {
  return {
    ...value,
    chunks: (async function* counted() {
      for await (const chunk of value.chunks) {
        onBytes(chunk.length);
        yield chunk;
      }
    })(),
  };
}

function readAll(order: PhaseJob, ports: PhasePorts): Promise<PhaseAnswer> {
  const isDecoded = order.mode === 'sync';
  return measured(ports, async (work) => {
    await Promise.all(
      order.ids.map(async (id) => {
        try {
          await withSession(order, ports, async (connection) => {
            const value = await readValue(connection, order.table, id, columnOf(order.format));
            work.payloadBytes = value.length;
            if (isDecoded) await decodeValue(order.format, value, work.codec, work.clocks);
            else for await (const _ of value.chunks) ports.memory.sample();
          });
          work.ids.push(id);
        } catch (error) {
          work.failures.push(isDecoded ? failureText(error) : `read row=${id}: ${failureText(error)}`);
        }
        ports.memory.sample();
      }),
    );
  });
}

/** Compares a row with what was drawn, epoch by epoch, and inside the database all others with that one. */
function audit(order: PhaseJob, ports: PhasePorts): Promise<PhaseAnswer> {
  return measured(ports, async (work) => {
    await withSession({ statementTimeoutMs: 0 }, ports, async (connection) => {
      const rest = [...order.ids];
      for (let id = rest.shift(); id !== undefined; id = rest.shift()) {
        const fault = await compareRow(connection, order, id, work);
        if (fault !== undefined) {
          work.failures.push(`row id=${id} ${fault}`);
          continue;
        }
        const equal = await equalRows(connection, order.table, id, rest);
        work.ids.push(id, ...equal);
        work.failures.push(
          ...rest
            .filter((other) => !equal.includes(other))
            .map((other) => `row id=${other} is not as it was written`),
        );
        break;
      }
      work.isCompared = true;
    });
  });
}

/** @returns what is not as it was written; undefined where all of it is */
async function compareRow(
  connection: Connection,
  order: PhaseJob,
  id: string,
  { codec, clocks }: Work,
): Promise<string | undefined> {
  const value = await readValue(connection, order.table, id, columnOf(order.format)).catch((error) => {
    if (isSluiceError(error) && error.code === 'not_found') return undefined;
    throw error;
  });
  if (value === undefined) return 'is not there';
  const check = new RecordCheck(order);
  await decodeValue(order.format, value, codec, clocks, check.take);
  return check.finish();
}

async function equalRows(
  { db }: Connection,
  table: string,
  id: string,
  others: readonly string[],
): Promise<string[]> {
  if (others.length === 0) return [];
  const result = (await db.execute(
    sql.raw(`select id::text as id from ${table} where id in (${others.map(BigInt).join(', ')})
      and payload = (select payload from ${table} where id = ${BigInt(id)})`),
  )) as unknown as { rows: { id: string }[] };
  return result.rows.map((row) => row.id);
}

/** A connection for one operation, as the Postgres stress test has it. */
async function withSession<Result>(
  { statementTimeoutMs }: Pick<PhaseJob, 'statementTimeoutMs'>,
  { open }: Pick<PhasePorts, 'open'>,
  use: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await open();
  try {
    if (statementTimeoutMs > 0) {
      await connection.db.execute(sql.raw(`set statement_timeout = ${statementTimeoutMs}`));
    }
    return await use(connection);
  } finally {
    connection.close();
  }
}

/** What failed, on one line, with the code of Postgres where it was Postgres. */
export function failureText(error: unknown): string {
  const state = sqlState(error);
  return state === undefined ? errorText(error) : `${state}: ${errorText(error)}`;
}
