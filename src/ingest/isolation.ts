/**
 * Deals with a batch that Postgres refused for something that may be in it: rows that are at fault become dead letters, all
 * others are written, in their order; where no row is at fault, all of them wait.
 *
 * Part by part, from left to right. A look (src/writers/row-look.ts) names the refused rows of a part, those that are refused
 * alike are judged together (evidence.ts), and what is left of the part is written by the sink's own statement in one
 * transaction with the checkpoint. The dead letters are in storage before that is committed. Where there is no look, or it
 * does not agree with the sink's own statement, the rows are found by halving (isolate.ts).
 */

import { SluiceError } from '../core/errors.ts';
import type { FaultClass } from '../database/fault-class.ts';
import { serverErrorOf } from '../database/server-error.ts';
import { type MessageBatch, rowsOf, sliceBatch } from '../sinks/message-batch.ts';
import { RefusedRows } from '../sinks/refused-rows.ts';
import type { RefusedRow } from '../writers/row-look.ts';
import type { Judgement, Refusal, Witnesses } from './evidence.ts';
import { isolate } from './isolate.ts';
import { kindsOf, namedBy, runsWithout, witnessesOf } from './refusals.ts';

export interface IsolationPorts {
  /** Writes rows in one transaction. */
  write: (rows: MessageBatch) => Promise<void>;
  /** What a failure is. `isolate`: it may be about a row. */
  classify: (error: unknown) => FaultClass;
  judge: (refusal: Refusal, witnesses: Pick<Witnesses, 'earlier' | 'later'>) => Promise<Judgement>;
  /** Called after rows were written: they are committed. `end`: the position of the checkpoint. */
  settle: (rows: MessageBatch, end: bigint) => void;
  /**
   * Makes a row a dead letter; false where there is no room. What it throws is a failure of the storage: nobody knows then what
   * the lane holds, so it ends the isolation.
   */
  deadLetter: (row: MessageBatch, error: unknown) => boolean;
  /** How many of these rows there is room for among the dead letters. */
  roomFor: (rows: readonly MessageBatch[]) => number;
  look?: RowLook;
}

/** What finds many bad rows at once. */
export interface RowLook {
  maxRows: number;
  maxCharacters: number;
  /** The rows that are refused. Undefined: it cannot be told in this way. */
  find: (rows: MessageBatch) => Promise<readonly RefusedRow[] | undefined>;
  /**
   * Writes rows without some of them, in one transaction that settles all of them. `beforeCommit` is called when Postgres has taken
   * the rows, and what it does is durable before they are committed.
   */
  writeWithout: (rows: MessageBatch, left: ReadonlySet<number>, beforeCommit: () => void) => Promise<void>;
}

export type BatchEnd =
  /** Every row is settled, or is a dead letter. */
  | { state: 'done' }
  /** `rest` has the rows that are neither, in their order. */
  | {
      state: 'stopped';
      rest: MessageBatch[];
      reason: 'retry' | 'pause';
      error: unknown;
      /** True where evidence was missing, which the next message may bring. */
      isUndecided: boolean;
    };

/** Kinds of refusals that are judged in one part; those of the first further kind wait for the next part. */
const MAX_KINDS = 16;

const DONE: BatchEnd = { state: 'done' };

/**
 * @param error what the batch as a whole has just failed with, of class `isolate`
 * @throws what `settle` or `deadLetter` has thrown: their storage failed, and no row may be put back
 */
export async function isolateBatch(
  batch: MessageBatch,
  error: unknown,
  ports: IsolationPorts,
): Promise<BatchEnd> {
  return new BatchIsolation(batch, ports).run(error);
}

class BatchIsolation {
  readonly #batch: MessageBatch;
  readonly #ports: IsolationPorts;

  constructor(batch: MessageBatch, ports: IsolationPorts) {
    this.#batch = batch;
    this.#ports = ports;
  }

  async run(error: unknown): Promise<BatchEnd> {
    const batch = this.#batch;
    for (let from = batch.from; from < batch.to; ) {
      const part = this.#partFrom(from);
      const isWhole = rowsOf(part) === rowsOf(batch);
      const end = isWhole ? await this.#isolate(part, error) : await this.#writePart(part);
      if (end.state === 'stopped') {
        const after = sliceBatch(batch, part.to, batch.to);
        return { ...end, rest: rowsOf(after) > 0 ? [...end.rest, after] : end.rest };
      }
      from = part.to;
    }
    return DONE;
  }

  #partFrom(from: number): MessageBatch {
    const batch = this.#batch;
    const { look } = this.#ports;
    if (look === undefined) return batch;
    const last = Math.min(batch.to, from + look.maxRows);
    let to = from;
    for (let characters = 0; to < last; to += 1) {
      characters += (batch.columns.payloads[to] as string).length;
      if (to > from && characters > look.maxCharacters) break;
    }
    return sliceBatch(batch, from, to);
  }

  /** Most parts have no bad row. */
  async #writePart(part: MessageBatch): Promise<BatchEnd> {
    try {
      await this.#ports.write(part);
    } catch (error) {
      const reason = this.#ports.classify(error);
      if (reason === 'isolate') return this.#isolate(part, error);
      return { state: 'stopped', rest: [part], reason, error, isUndecided: false };
    }
    this.#ports.settle(part, endOf(part));
    return DONE;
  }

  async #isolate(part: MessageBatch, error: unknown, isLookDue = false): Promise<BatchEnd> {
    const { look } = this.#ports;
    // The mapping names all that it refuses. Postgres need not be asked before it refuses some of the rest.
    const isNamed = error instanceof RefusedRows && !isLookDue;
    const refused = isNamed ? namedBy(error) : rowsOf(part) === 1 ? undefined : await look?.find(part);
    if (look === undefined || refused === undefined || refused.length === 0) return this.#halve(part, error);
    const sorted = await this.#sort(part, refused);
    // The sink's own statement does not agree with the look.
    if (sorted === undefined) return this.#halve(part, error);
    const { dead, stop } = sorted;
    const upTo = stop === undefined ? part : sliceBatch(part, part.from, stop.from);
    const end = await this.#settle(upTo, dead, look, isNamed);
    if (end.state === 'stopped') {
      if (stop !== undefined) end.rest.push(sliceBatch(part, stop.from, part.to));
      return end;
    }
    if (stop === undefined) return DONE;
    return { ...stop.end, rest: [sliceBatch(part, stop.from, part.to)] };
  }

  /** Judges the refused rows. `stop` is the first one that does not become a dead letter. */
  async #sort(
    part: MessageBatch,
    refused: readonly RefusedRow[],
  ): Promise<{ dead: Map<number, unknown>; stop: Stop | undefined } | undefined> {
    const kinds = kindsOf(refused);
    const isRefused = new Set(refused.map(({ row }) => row));
    const condemned = new Map<number, unknown>();
    let stop: Stop | undefined;
    for (const rows of kinds.slice(0, MAX_KINDS)) {
      const first = rows[0] as RefusedRow;
      // It waits anyway.
      if (stop !== undefined && stop.from <= first.row) break;
      const judgement = await this.#judge(part, rows, isRefused);
      if (judgement.do === 'taken') return undefined;
      if (judgement.do !== 'condemn') {
        const { do: reason, error, isUndecided } = judgement;
        stop = { from: first.row, end: { state: 'stopped', reason, error, isUndecided } };
        continue;
      }
      const { routine } = serverErrorOf(judgement.error) ?? {};
      for (const { row, error } of rows) {
        if (routine !== undefined) Object.assign(error as object, { routine });
        condemned.set(row, error);
      }
    }
    const further = kinds[MAX_KINDS]?.[0];
    if (further !== undefined && (stop === undefined || further.row < stop.from)) {
      // Nothing is wrong: it is looked at with the next try.
      stop = {
        from: further.row,
        end: { state: 'stopped', reason: 'retry', error: further.error, isUndecided: false },
      };
    }
    const dead = [...condemned].filter(([row]) => stop === undefined || row < stop.from);
    dead.sort(([left], [right]) => left - right);
    const room = this.#ports.roomFor(dead.map(([row]) => sliceBatch(part, row, row + 1)));
    const without = dead[room];
    if (without !== undefined) stop = { from: without[0], end: fullEnd(without[1]) };
    return { dead: new Map(dead.slice(0, room)), stop };
  }

  #judge(
    part: MessageBatch,
    rows: readonly RefusedRow[],
    isRefused: ReadonlySet<number>,
  ): Promise<Judgement> {
    const { row: first, error } = rows[0] as RefusedRow;
    const { row: last } = rows.at(-1) as RefusedRow;
    const producers = new Set(rows.map(({ row }) => part.columns.producers[row] as string));
    return this.#ports.judge(
      {
        row: sliceBatch(part, first, first + 1),
        producers,
        // What the sink's own code threw needs no statement.
        ...(serverErrorOf(error) === undefined ? { error } : {}),
      },
      witnessesOf(this.#batch, last, producers, isRefused),
    );
  }

  /** Writes the rows of a part that are good, and makes the others dead letters. */
  async #settle(
    part: MessageBatch,
    dead: ReadonlyMap<number, unknown>,
    look: RowLook,
    isNamed: boolean,
  ): Promise<BatchEnd> {
    const { settle, classify } = this.#ports;
    const left = new Set(dead.keys());
    const gone = new Set<number>();
    let storageFailure: { error: unknown } | undefined;
    const giveUp = (): void => {
      for (const [row, error] of dead) {
        let isKept: boolean;
        try {
          isKept = this.#ports.deadLetter(sliceBatch(part, row, row + 1), error);
        } catch (failure) {
          storageFailure = { error: failure };
          throw failure;
        }
        if (!isKept) throw fullEnd(error).error;
        gone.add(row);
      }
    };
    try {
      if (left.size === rowsOf(part)) giveUp();
      else if (left.size === 0) await this.#ports.write(part);
      else await look.writeWithout(part, left, giveUp);
    } catch (error) {
      // It passed through the transaction, which is rolled back. Taken for a failure of the database, it would put the row
      // back into a lane where it may be settled, and make a second dead letter of it.
      if (storageFailure !== undefined) throw storageFailure.error;
      const rest = runsWithout(part, gone);
      const reason = classify(error);
      if (reason !== 'isolate') return { state: 'stopped', rest, reason, error, isUndecided: false };
      if (isNamed && gone.size === 0) return this.#isolate(part, error, true);
      // Together, rows were refused that were not alone.
      return this.#halveAll(rest, error);
    }
    for (const run of runsWithout(part, left)) settle(run, endOf(part));
    return DONE;
  }

  async #halveAll(runs: MessageBatch[], error: unknown): Promise<BatchEnd> {
    for (const [index, run] of runs.entries()) {
      const end =
        index === 0 && runs.length === 1 ? await this.#halve(run, error) : await this.#writePart(run);
      if (end.state === 'stopped') return { ...end, rest: [...end.rest, ...runs.slice(index + 1)] };
    }
    return DONE;
  }

  /** Finds bad rows by halving. */
  async #halve(part: MessageBatch, error: unknown): Promise<BatchEnd> {
    const { write, classify, judge, settle, deadLetter } = this.#ports;
    let isUndecided = false;
    const end = await isolate(part.from, part.to, error, {
      attempt: (from, to) => write(sliceBatch(part, from, to)),
      classify,
      judge: async (row, refusal) => {
        const producers = new Set([part.columns.producers[row] as string]);
        const judgement = await judge(
          { row: sliceBatch(part, row, row + 1), error: refusal, producers },
          { ...witnessesOf(this.#batch, row, producers, new Set()), earlier: [] },
        );
        if (judgement.do === 'condemn') return undefined;
        // It is written with the next try.
        if (judgement.do === 'taken') return { reason: 'retry', error: refusal };
        isUndecided = judgement.isUndecided;
        return { reason: judgement.do, error: judgement.error };
      },
      settle: (from, to) => {
        const rows = sliceBatch(part, from, to);
        settle(rows, endOf(rows));
      },
      deadLetter: (row, refusal) => deadLetter(sliceBatch(part, row, row + 1), refusal),
    });
    if (end.state === 'done') return DONE;
    const rest = [sliceBatch(part, end.from, part.to)];
    if (end.reason === 'dead_letters_full') return { ...fullEnd(end.error), rest };
    const reason = end.reason === 'isolate' ? 'retry' : end.reason;
    return { state: 'stopped', rest, reason, error: end.error, isUndecided };
  }
}

interface Stop {
  from: number;
  end: Omit<Extract<BatchEnd, { state: 'stopped' }>, 'rest'>;
}

function fullEnd(cause: unknown): Stop['end'] {
  const error = new SluiceError(
    'dead_letters_full',
    'There is no room for another dead letter: drop or retry some; until then nothing is written',
    { cause },
  );
  return { state: 'stopped', reason: 'pause', error, isUndecided: false };
}

function endOf(batch: MessageBatch): bigint {
  return batch.position + BigInt(rowsOf(batch));
}
