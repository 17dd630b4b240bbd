/** Finds the rows of a batch that Postgres refuses for their content, and gets all the others written. */

import type { FaultClass } from '../database/fault-class.ts';

export interface IsolationPorts {
  /** Writes the rows from `from` to before `to` in one transaction. Called for one range at a time. */
  attempt(from: number, to: number): Promise<void>;
  classify(error: unknown): FaultClass;
  /** Called after an attempt succeeded: the rows are committed. */
  settle(from: number, to: number): void;
  /**
   * Judges a row that failed alone. Undefined: it is at fault. Otherwise why it is not. Missing: each that fails is at fault.
   */
  judge?(row: number, error: unknown): Promise<{ reason: 'retry' | 'pause'; error: unknown } | undefined>;
  /** Makes a row a dead letter. False: there is no room for another. */
  deadLetter(row: number, error: unknown): boolean;
}

export type IsolationEnd =
  /** Every row was settled, or is a dead letter. */
  | { state: 'done' }
  /** Every row before `from` was settled or is a dead letter, and none from there on. */
  | { state: 'stopped'; from: number; reason: FaultClass | 'dead_letters_full'; error: unknown };

/**
 * Rows next to each other, and what is known of them.
 *
 * - `refused`: an attempt of exactly these rows failed with `error`.
 * - `suspect`: an attempt of a wider span failed, and its other half was committed since.
 * - `unknown`: nothing, as the wider span may have failed for its other half alone.
 */
type Span = { from: number; to: number } & (
  | { state: 'refused'; error: unknown }
  | { state: 'suspect' | 'unknown' }
);

/**
 * Writes the rows by halves, from left to right, so that good rows are committed in their order; what is refused is
 * halved again. A row becomes a dead letter only after an attempt of that row alone failed, and after it was judged. An attempt that
 * fails with what is about no row ends it at once: a connection that is lost on the way says nothing about any row
 * (fluent/fluent-plugin-sql#138, where it set aside thousands).
 *
 * Where the left half is committed, the right half holds what was refused, and is halved without an attempt. So one bad
 * row among n takes at most 2 log2(n) + 1 attempts, the failed one that led here included, and k of them at most k times
 * as many.
 *
 * Rows that are only refused together, as two of one key under ON CONFLICT DO UPDATE, are settled one after the other:
 * alone, none of them fails. If the second fails because the first is there now, as with a unique key, the second is
 * the dead letter. An error that does not come back makes none.
 *
 * @param from the first row of a span that has just failed as one, with an error of class `isolate`
 * @param to the row after the last; above `from`
 * @param error what the attempt of all these rows failed with; of a single row, it is the reason of the dead letter
 */
export async function isolate(
  from: number,
  to: number,
  error: unknown,
  ports: IsolationPorts,
): Promise<IsolationEnd> {
  /** Undefined where the rows are committed. */
  async function attempt(first: number, end: number): Promise<{ error: unknown } | undefined> {
    try {
      await ports.attempt(first, end);
    } catch (failure) {
      return { error: failure };
    }
    ports.settle(first, end);
    return undefined;
  }

  // The leftmost is on top. It holds at most one span for each halving of the batch.
  const pending: Span[] = [{ from, to, state: 'refused', error }];
  for (let span = pending.pop(); span !== undefined; span = pending.pop()) {
    const isSingle = span.to - span.from === 1;
    if (isSingle && span.state === 'refused') {
      const acquittal = await ports.judge?.(span.from, span.error);
      if (acquittal !== undefined) return { state: 'stopped', from: span.from, ...acquittal };
      if (ports.deadLetter(span.from, span.error)) continue;
      return { state: 'stopped', from: span.from, reason: 'dead_letters_full', error: span.error };
    }

    // What may be good is tried whole, what is known to be bad by its left half.
    const tried = isSingle || span.state === 'unknown' ? span.to : span.from + ((span.to - span.from) >> 1);
    const rest = { from: tried, to: span.to };
    const failure = await attempt(span.from, tried);
    if (failure !== undefined) {
      const reason = ports.classify(failure.error);
      if (reason !== 'isolate') return { state: 'stopped', from: span.from, reason, error: failure.error };
      if (rest.from < rest.to) pending.push({ ...rest, state: 'unknown' });
      pending.push({ from: span.from, to: tried, state: 'refused', error: failure.error });
    } else if (rest.from < rest.to) {
      pending.push({ ...rest, state: 'suspect' });
    }
  }
  return { state: 'done' };
}
