/** What a check of `sluice doctor` is, and what it finds. */

/** What is looked at. */
export type Area = 'installation' | 'configuration' | 'database' | 'deployment';

/**
 * - `good`: as it should be, and worth a line.
 * - `unwise`: it works, and may cost something, or is not what is wanted.
 * - `wrong`: something does not work, or messages may be lost or reach somebody who should not have them.
 * - `unknown`: it could not be looked at, and nothing says that something is wrong.
 */
export type FindingState = 'good' | 'unwise' | 'wrong' | 'unknown';

export interface Finding {
  state: FindingState;
  /** What is so, in a sentence. */
  what: string;
  /** Why that matters. */
  why?: string;
  /** What helps: commands or SQL, a line each, to be run as they are. */
  remedy?: readonly string[];
  /** The database or the deployment could not be asked: nothing is known of it. */
  isUnreachable?: true;
}

/** One row of the table of checks (checks.ts). */
export interface Check<Facts> {
  /** Names it in `--json` and in docs/doctor.md. */
  name: string;
  /** What it looks for, for the page: a sentence. */
  about: string;
  /** What to do in general, for the page. */
  remedy: string;
  /** Nothing where all is well. What it throws is told as something that is not known. */
  look(facts: Facts): Promise<readonly Finding[]> | readonly Finding[];
}

export function good(what: string): Finding {
  return { state: 'good', what };
}

export function unwise(what: string, why: string, ...remedy: string[]): Finding {
  return { state: 'unwise', what, why, remedy };
}

export function wrong(what: string, why: string, ...remedy: string[]): Finding {
  return { state: 'wrong', what, why, remedy };
}

export function unknown(what: string, why?: string): Finding {
  return { state: 'unknown', what, ...(why === undefined ? {} : { why }) };
}
