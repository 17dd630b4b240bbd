/**
 * How many rows the next batch may have, as a function of how the last ones ended. Usually nothing but the sink's options limits
 * it. A batch that is too large to be written in time would fail for ever: so it becomes smaller until it fits, and grows again.
 */

import { isSluiceError } from '../core/errors.ts';
import { serverErrorOf } from '../database/server-error.ts';

/** A try may take as long as the time limit, so few tries have to be enough: from 5,000 rows to one in seven. */
const SHRINK_FACTOR = 4;

/** How many batches are written below a size that was too large, before that size is tried again. */
const BATCHES_BEFORE_RETRY = 64;

export class BatchLimit {
  /** Infinity: no batch was too large. */
  #rows = Number.POSITIVE_INFINITY;
  /** The smallest number of rows that was too large. */
  #tooLarge = Number.POSITIVE_INFINITY;
  /** Batches of the largest size below that, since it was found. */
  #batchesBelow = 0;

  /** The most rows that the next batch may have. Infinity: nothing is known against any number. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * A batch of so many rows was too large.
   *
   * @returns false where it cannot become smaller: it was one row
   */
  shrink(rows: number): boolean {
    if (rows <= 1) return false;
    this.#tooLarge = rows;
    this.#batchesBelow = 0;
    this.#rows = Math.min(this.#rows, Math.max(1, Math.floor(rows / SHRINK_FACTOR)));
    return true;
  }

  /**
   * A batch of so many rows was written.
   *
   * @param maxRows the most rows that a batch of this sink has: from there on, there is no other limit
   */
  written(rows: number, maxRows: number): void {
    // A smaller one says nothing about the limit.
    if (rows < this.#rows) return;
    const next = 2 * this.#rows;
    if (next >= this.#tooLarge) {
      this.#batchesBelow += 1;
      // What was too slow once, as beside a large report, may fit now.
      if (this.#batchesBelow < BATCHES_BEFORE_RETRY) return;
      this.#tooLarge = Number.POSITIVE_INFINITY;
    }
    this.#batchesBelow = 0;
    this.#rows = next < maxRows ? next : Number.POSITIVE_INFINITY;
    if (next >= maxRows) this.#tooLarge = Number.POSITIVE_INFINITY;
  }
}

/**
 * True for an error that a smaller batch may not meet: the statement or the transaction took too long, for the server (57014,
 * 25P03, 25P04) or for us, or needed too much memory (53200).
 */
export function isTooLarge(error: unknown): boolean {
  const sqlState = serverErrorOf(error)?.sqlState;
  if (sqlState !== undefined) return TOO_LARGE.has(sqlState);
  return isSluiceError(error) && error.code === 'time_limit';
}

const TOO_LARGE = new Set(['57014', '25P03', '25P04', '53200']);
