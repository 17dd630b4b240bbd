/** What the clients of a repetition tried, and what they were answered: what an audit holds against the log. */

/** The answer to one attempt. */
export type Answer =
  | { kind: 'appended'; position: bigint }
  /** The position of the first event that matches the condition. */
  | { kind: 'conflict'; position: bigint };

export interface Attempt {
  client: number;
  /** The tag that the condition asks for; empty where there is none. */
  scope: string;
  /** Up to where the condition passes over events. */
  after: bigint;
  answer: Answer;
}

export class Ledger {
  /** By the number of the attempt; undefined where no answer came. */
  readonly attempts: (Attempt | undefined)[];
  wins = 0;
  conflicts = 0;

  /** @param count attempts there will be */
  constructor(count: number) {
    this.attempts = new Array(count);
  }

  note(number: number, attempt: Attempt): void {
    this.attempts[number] = attempt;
    if (attempt.answer.kind === 'appended') this.wins += 1;
    else this.conflicts += 1;
  }
}
