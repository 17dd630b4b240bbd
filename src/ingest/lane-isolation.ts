/** How a lane asks Postgres about rows that are refused: on the connection of the worker whose batch it was. */

import type { Connection } from '../database/connection.ts';
import type { ConnectionSlot } from '../database/connection-slot.ts';
import type { FaultClass } from '../database/fault-class.ts';
import { type FaultKind, faultKindOf } from '../database/fault-kind.ts';
import type { DeadLetters } from '../outbox/dead-letters.ts';
import { batchOfOne, type MessageBatch, rowsOf, sliceBatch, withoutRows } from '../sinks/message-batch.ts';
import { LOOK_CHARACTERS, LOOK_ROWS } from '../writers/row-look.ts';
import { sinkFailure } from '../writers/sink-failure.ts';
import { tryWrite } from '../writers/trial.ts';
import type { PrepareWrite, Write } from '../writers/writer.ts';
import type { Writing } from '../writers/writers.ts';
import { type Judgement, judge, type Refusal, type Witnesses } from './evidence.ts';
import type { FencedWriter } from './fenced-writer.ts';
import type { IsolationAids, WriteEnd } from './flusher-options.ts';
import type { GoodRows } from './good-rows.ts';
import type { InputGateHold } from './input-gate-hold.ts';
import { PATIENCE } from './verdict.ts';

/** A connection, and what makes the writes for it. */
export interface Worker {
  slot: ConnectionSlot;
  prepare: PrepareWrite;
}

export interface LaneIsolationOptions {
  writing: Writing;
  /** Where the lane writes exactly once. */
  fenced: FencedWriter | undefined;
  hasOutbox: boolean;
  good: GoodRows;
  /** Messages that wait, about so many of them. */
  waiting: (rows: number) => readonly MessageBatch[];
  deadLetters: DeadLetters | undefined;
  hold: InputGateHold | undefined;
}

/** Waiting messages that are looked at for some that may bear witness, and how many of these are taken. */
const PEEKED_ROWS = 256;
const MAX_WAITING_WITNESSES = 3;

export class LaneIsolation {
  readonly #options: LaneIsolationOptions;

  constructor(options: LaneIsolationOptions) {
    this.#options = options;
  }

  /** What isolation asks of a worker. */
  of(worker: Worker, failuresInARow: number): Partial<IsolationAids> {
    const { deadLetters, writing, fenced, hasOutbox } = this.#options;
    const { findRefused } = writing;
    const aids: Partial<IsolationAids> = {
      judge: (refusal, witnesses) => this.#judge(worker, refusal, witnesses, failuresInARow),
      roomFor: (rows) =>
        deadLetters?.roomFor(rows.map(({ columns, from }) => columns.payloads[from] as string)) ??
        rows.length,
    };
    if (findRefused === undefined || (hasOutbox && fenced === undefined)) return aids;
    return {
      ...aids,
      look: {
        maxRows: LOOK_ROWS,
        maxCharacters: LOOK_CHARACTERS,
        // Whatever it fails of: the rows can be found by halving.
        find: (rows) =>
          this.#use(worker, (connection) => findRefused(connection, rows)).catch(() => undefined),
        writeWithout: (rows, left, beforeCommit) => this.#writeWithout(worker, rows, left, beforeCommit),
      },
    };
  }

  #judge(
    worker: Worker,
    refusal: Refusal,
    { earlier, later }: Pick<Witnesses, 'earlier' | 'later'>,
    failuresInARow: number,
  ): Promise<Judgement> {
    const { good, writing } = this.#options;
    const { columns, from } = refusal.row;
    const witnesses: Witnesses = {
      before: good.besides(columns.producers[from] as string).map((row) => batchOfOne(row)),
      later: [...later, ...this.#waitingRows(refusal.producers, failuresInARow)],
      earlier,
    };
    return judge(refusal, witnesses, failuresInARow + 1, {
      trial: (row) => this.#trial(worker, row),
      kindOf: (error) => faultKindOf(error, writing.columns),
    });
  }

  /**
   * Rows that wait, one of a producer each, those of other producers first. With each try others are chosen: where the next row
   * of each producer is bad as well, the ones after it show that the table is not at fault.
   */
  #waitingRows(producers: ReadonlySet<string>, failuresInARow: number): MessageBatch[] {
    const waiting = new Map<string, MessageBatch[]>();
    for (const batch of this.#options.waiting(PEEKED_ROWS)) {
      for (let row = batch.from; row < Math.min(batch.to, batch.from + PEEKED_ROWS); row += 1) {
        const producer = batch.columns.producers[row] as string;
        const rows = waiting.get(producer);
        if (rows === undefined) waiting.set(producer, [sliceBatch(batch, row, row + 1)]);
        else rows.push(sliceBatch(batch, row, row + 1));
      }
    }
    const names = [...waiting.keys()];
    const chosen = [
      ...names.filter((name) => !producers.has(name)),
      ...names.filter((name) => producers.has(name)),
    ].map((name) => {
      const rows = waiting.get(name) as MessageBatch[];
      return rows[failuresInARow % rows.length] as MessageBatch;
    });
    const first = chosen.length > MAX_WAITING_WITNESSES ? failuresInARow % chosen.length : 0;
    return [...chosen.slice(first), ...chosen.slice(0, first)].slice(0, MAX_WAITING_WITNESSES);
  }

  async #trial(worker: Worker, row: MessageBatch): Promise<unknown> {
    try {
      const write = prepareRows(worker.prepare, row);
      await this.#use(worker, (connection) => tryWrite(connection, write));
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #writeWithout(
    worker: Worker,
    rows: MessageBatch,
    left: ReadonlySet<number>,
    beforeCommit: () => void,
  ): Promise<WriteEnd> {
    const { fenced, hold } = this.#options;
    const batch = withoutRows(rows, left);
    const write = prepareRows(worker.prepare, batch);
    const end = rows.position + BigInt(rowsOf(rows));
    if (fenced === undefined) {
      await this.#use(worker, (connection) => write(connection));
      beforeCommit();
      return { state: 'committed' };
    }
    const send = fenced.prepare(batch, write, { end, beforeCommit });
    return hold === undefined ? send() : hold.run(send);
  }

  #use<Result>({ slot }: Worker, work: (connection: Connection) => Promise<Result>): Promise<Result> {
    const { hold } = this.#options;
    return hold === undefined ? slot.use(work) : hold.run(() => slot.use(work));
  }
}

/** Makes a write of a batch. A sink's own code runs here: what it throws is about a row, not about the database. */
export function prepareRows(prepare: PrepareWrite, batch: MessageBatch): Write {
  try {
    return prepare(batch);
  } catch (error) {
    throw sinkFailure(error);
  }
}

/** Whether it is to be tried again, to be waited for, or whether a row may be at fault. */
export function classOf(kind: FaultKind, failuresInARow: number): FaultClass {
  switch (kind) {
    case 'outage':
      return 'retry';
    case 'database':
      return 'pause';
    case 'passing':
      return failuresInARow < PATIENCE ? 'retry' : 'isolate';
    default:
      return 'isolate';
  }
}
