/**
 * What becomes of rows that Postgres refuses: the policy, as a function of the evidence. It asks nothing and writes nothing.
 *
 * A row's own fault never stops the other rows. A fault of the schema or of the database never makes a dead letter. Where the
 * two look alike, other rows decide: the same statement with another row in it, right after the refusal.
 */

import type { FaultKind } from '../database/fault-kind.ts';

export interface Evidence {
  kind: FaultKind;
  /** How often in a row the batch has failed, this time included. */
  tries: number;
  /** Of how many producers rows were refused alike. */
  producers: number;
  /**
   * What became of rows that were good before, written once more and taken back.
   *
   * - `taken`: at least one was taken.
   * - `refused`: all that say something were refused alike, one of another producer at least.
   * - `own-refused`: the same, but all are of the producer whose row was refused.
   * - `none`: there was none, or it says nothing.
   */
  before: 'taken' | 'refused' | 'own-refused' | 'none';
  /** Whether another row of this batch, or one that waits, was taken: one that comes after the refused ones, or any. */
  others: 'later-taken' | 'taken' | 'none';
}

/**
 * - `condemn`: the row is at fault and becomes a dead letter.
 * - `pause`: somebody has to act. All rows wait.
 * - `retry`: it passes by itself. All rows wait.
 */
export interface Verdict {
  do: 'condemn' | 'pause' | 'retry';
  /** A sentence for people. Empty where the error says all there is to say. */
  why: string;
  /** True where evidence was missing, which the next message may bring. */
  isUndecided: boolean;
}

/** How often a batch is tried again for an error that usually passes, before the row is looked for that may cause it. */
export const PATIENCE = 3;

const REFUSED_BEFORE =
  'A row that was taken before is refused in the same way now, so the table or its rules have changed, and no message is at fault';
const NO_EVIDENCE =
  'No other row shows whether the message or the table is at fault, so all of them wait. It is looked at again with each try';
const SEVERAL =
  'Rows of several producers are refused in the same way, and none is taken: the table does not fit the messages';

export function verdictOn(evidence: Evidence): Verdict {
  const { kind, tries, producers, before, others } = evidence;
  const waits = kind === 'passing' ? 'retry' : 'pause';
  if (kind === 'outage' || (kind === 'passing' && tries <= PATIENCE)) return plain('retry');
  if (kind === 'database') return plain('pause');
  if (kind === 'message' || kind === 'duplicate') return plain('condemn');
  if (before === 'refused') return { do: waits, why: REFUSED_BEFORE, isUndecided: false };
  if (kind === 'partition') {
    // A row from before takes the partition from before. Only one that came later says that the sink still moves on.
    if (others === 'later-taken' && producers === 1) return plain('condemn');
    return { do: 'pause', why: NO_EVIDENCE, isUndecided: true };
  }
  if (others !== 'none') return plain('condemn');
  if (before === 'own-refused') return { do: waits, why: REFUSED_BEFORE, isUndecided: true };
  if (before === 'taken') return plain('condemn');
  if (kind !== 'value') return { do: waits, why: NO_EVIDENCE, isUndecided: true };
  return producers === 1 ? plain('condemn') : { do: 'pause', why: SEVERAL, isUndecided: true };
}

function plain(act: Verdict['do']): Verdict {
  return { do: act, why: '', isUndecided: false };
}
