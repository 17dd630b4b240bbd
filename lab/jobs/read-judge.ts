/** What reads returned against what they should have returned. */

import type { Audit } from '../result.ts';

/** How reads compare with what they should return: rows at their place, and rows beyond or other than these. */
export interface ReadVerdict {
  sent: number;
  right: number;
  wrong: number;
}

/** Sums up what reads should have returned, and what they did. */
export function auditReads({ sent, right, wrong }: ReadVerdict): Audit {
  return {
    sent,
    refused: 0,
    found: right + wrong,
    lost: Math.max(0, sent - right),
    duplicated: wrong,
    outOfOrder: 0,
  };
}

/** How the rows of a read are compared with those that are expected. */
export interface RowComparison<Row, Expected> {
  /** A look that costs next to nothing: as many as expected, and the first and the last in their places. */
  hasItsEnds(rows: readonly Row[], expected: readonly Expected[]): boolean;
  /** Compares every field. */
  compare(rows: readonly Row[], expected: readonly Expected[]): ReadVerdict;
}

/** Judges reads while the clock runs by their ends, and the last one by every field afterwards. */
export class ReadJudge<Row, Expected> {
  readonly #comparison: RowComparison<Row, Expected>;
  readonly #sum: ReadVerdict = { sent: 0, right: 0, wrong: 0 };
  #last: { rows: readonly Row[]; expected: readonly Expected[] } | undefined;

  constructor(comparison: RowComparison<Row, Expected>) {
    this.#comparison = comparison;
  }

  /** Looks at the ends of a read, and at all of it only where these are wrong. */
  take(rows: readonly Row[], expected: readonly Expected[]): void {
    if (this.#comparison.hasItsEnds(rows, expected)) {
      this.#last = { rows, expected };
      this.#add({ sent: expected.length, right: rows.length, wrong: 0 });
    } else {
      this.#last = undefined;
      this.#add(this.#comparison.compare(rows, expected));
    }
  }

  /** Compares every field of a read at once, before the clock starts. */
  takeWhole(rows: readonly Row[], expected: readonly Expected[]): void {
    this.#add(this.#comparison.compare(rows, expected));
  }

  audit(): Audit {
    if (this.#last !== undefined) {
      const { rows, expected } = this.#last;
      const { right, wrong } = this.#comparison.compare(rows, expected);
      this.#add({ sent: 0, right: right - rows.length, wrong });
      this.#last = undefined;
    }
    return auditReads(this.#sum);
  }

  #add({ sent, right, wrong }: ReadVerdict): void {
    this.#sum.sent += sent;
    this.#sum.right += right;
    this.#sum.wrong += wrong;
  }
}
