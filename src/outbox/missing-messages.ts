/** What a database from the past does not have of a lane's messages. */

/** Messages of one producer and epoch that are missing. */
export interface MissingRange {
  producer: string;
  /** 0 for a raw socket's messages. */
  epoch: number;
  firstSequence: number;
  lastSequence: number;
  messages: number;
}

/** Messages that were committed, and that the database does not have. Plain data: it travels by RPC. */
export interface MissingMessages {
  messages: number;
  /** Since when: what was committed after this time is missing. */
  sinceMs: number;
  /** How many of them the outbox still has, and can write again: the last ones. */
  held: number;
  /** Whose they are, as far as the outbox still has them; at most `MAX_MISSING_RANGES`. */
  ranges: MissingRange[];
  /** Held messages that are in no range of the list, because it would be too long. */
  unlisted: number;
}

/**
 * What is to be done about missing messages: `write-again` those that the outbox still has, in their place, or `give-up`,
 * so that they stay missing.
 */
export const MISSING_CHOICES = ['write-again', 'give-up'] as const;
export type MissingChoice = (typeof MISSING_CHOICES)[number];

/** Ranges in a list of missing messages. */
export const MAX_MISSING_RANGES = 100;
