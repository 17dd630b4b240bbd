/** Gathers what the policy for refused rows (verdict.ts) decides by. */

import { errorText, SluiceError } from '../core/errors.ts';
import { type FaultKind, isFromFunction, isSameFault } from '../database/fault-kind.ts';
import { type ServerError, serverErrorOf, sqlState } from '../database/server-error.ts';
import type { MessageBatch } from '../sinks/message-batch.ts';
import { type Evidence, PATIENCE, type Verdict, verdictOn } from './verdict.ts';

/** Rows that were refused alike. */
export interface Refusal {
  /** The first of them, as a batch. */
  row: MessageBatch;
  /** What the sink's own statement with this row alone failed with. Missing: it was not tried yet. */
  error?: unknown;
  /** The producers of all of them. */
  producers: ReadonlySet<string>;
}

export interface Witnesses {
  /** Rows that were taken before, the best witnesses first. */
  before: readonly MessageBatch[];
  /** Rows that come after the last refused one, of this batch or waiting. */
  later: readonly MessageBatch[];
  /** Rows of this batch before it, which were not refused. */
  earlier: readonly MessageBatch[];
}

export interface EvidencePorts {
  /** Writes a row as the sink does and takes it back. Returns what it failed with; undefined where it was taken. */
  trial: (row: MessageBatch) => Promise<unknown>;
  kindOf: (error: unknown) => FaultKind;
}

export type Judgement =
  /** The rows become dead letters. `error` is what the first of them fails with by the sink's own statement. */
  | { do: 'condemn'; error: unknown }
  /** All rows wait. `isUndecided`: for want of evidence, which the next message may bring. */
  | { do: 'pause' | 'retry'; error: unknown; isUndecided: boolean }
  /** The sink's own statement takes the row. */
  | { do: 'taken' };

/** Rows of each kind that are tried. */
const MAX_WITNESSES = 3;

/** What ends the gathering: the database itself is in trouble. */
class Trouble {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

/** Judges rows that were refused alike. Each question is one row in a transaction that is taken back. */
export async function judge(
  refusal: Refusal,
  witnesses: Witnesses,
  tries: number,
  ports: EvidencePorts,
): Promise<Judgement> {
  try {
    return await judgeBy(refusal, witnesses, tries, ports);
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    const isOutage = ports.kindOf(trouble.error) === 'outage';
    return { do: isOutage ? 'retry' : 'pause', error: trouble.error, isUndecided: false };
  }
}

async function judgeBy(
  { row, error: known, producers }: Refusal,
  { before, later, earlier }: Witnesses,
  tries: number,
  ports: EvidencePorts,
): Promise<Judgement> {
  const error = known ?? (await ports.trial(row));
  if (error === undefined) return { do: 'taken' };
  const evidence: Evidence = {
    kind: ports.kindOf(error),
    tries,
    producers: producers.size,
    before: 'none',
    others: 'none',
  };
  const server = serverErrorOf(error);
  // What needs no evidence asks for none.
  if (server === undefined || ['outage', 'database', 'message', 'duplicate'].includes(evidence.kind))
    return judgementOf(verdictOn(evidence), error);
  if (evidence.kind === 'passing' && tries > PATIENCE) {
    // A row that is at fault fails each time that it is tried alone.
    for (let time = 1; time < PATIENCE; time += 1) {
      const again = await ask(row, ports);
      if (again === undefined) return { do: 'taken' };
      if (!isAlike(server, again)) return { do: 'retry', error: again, isUndecided: false };
    }
  }
  evidence.before = await askBefore(server, producers, before, ports);
  // Where rows from before are refused as well, others need not be asked, unless all are of the one producer.
  if (evidence.before !== 'refused' && (evidence.before !== 'taken' || evidence.kind === 'partition'))
    await askOthers(server, { later, earlier }, producers, evidence, ports);
  const verdict = verdictOn(evidence);
  if (verdict.do === 'condemn') {
    // The refusal is older than what other rows say. Whatever let them in, as a table that was just made, may let in this one.
    const again = await ask(row, ports);
    if (again === undefined) return { do: 'taken' };
    if (!isAlike(server, again)) return { do: 'retry', error: again, isUndecided: false };
  }
  return judgementOf(verdict, error);
}

async function askBefore(
  server: ServerError,
  producers: ReadonlySet<string>,
  rows: readonly MessageBatch[],
  ports: EvidencePorts,
): Promise<Evidence['before']> {
  let found: Evidence['before'] = 'none';
  for (const row of rows.slice(0, MAX_WITNESSES)) {
    const error = await ask(row, ports);
    if (error === undefined) return 'taken';
    // Its own key is in the table: it came as far as the indexes. A trigger may be after them.
    const state = sqlState(error);
    if (state === '23505' || state === '23P01') {
      if (!isFromFunction(server)) return 'taken';
    } else if (isAlike(server, error)) {
      if (!producers.has(producerOf(row))) found = 'refused';
      else if (found === 'none') found = 'own-refused';
    }
  }
  return found;
}

async function askOthers(
  server: ServerError,
  { later, earlier }: Pick<Witnesses, 'later' | 'earlier'>,
  producers: ReadonlySet<string>,
  evidence: Evidence,
  ports: EvidencePorts,
): Promise<void> {
  const refused = new Set(producers);
  for (const row of later.slice(0, MAX_WITNESSES)) {
    const error = await ask(row, ports);
    if (error === undefined) {
      evidence.others = 'later-taken';
      return;
    }
    if (isAlike(server, error)) refused.add(producerOf(row));
  }
  for (const row of earlier.slice(0, MAX_WITNESSES)) {
    if ((await ask(row, ports)) !== undefined) continue;
    evidence.others = 'taken';
    break;
  }
  evidence.producers = refused.size;
}

async function ask(row: MessageBatch, { trial, kindOf }: EvidencePorts): Promise<unknown> {
  const error = await trial(row);
  if (error !== undefined && ['outage', 'database'].includes(kindOf(error))) throw new Trouble(error);
  return error;
}

function isAlike(server: ServerError, error: unknown): boolean {
  const other = serverErrorOf(error);
  return other !== undefined && isSameFault(server, other);
}

function producerOf({ columns, from }: MessageBatch): string {
  return columns.producers[from] as string;
}

function judgementOf({ do: act, why, isUndecided }: Verdict, error: unknown): Judgement {
  if (act === 'condemn') return { do: 'condemn', error };
  if (why === '') return { do: act, error, isUndecided };
  const told = new SluiceError('database_refused', `${errorText(error)}. ${why}`, { cause: error });
  return { do: act, error: told, isUndecided };
}
