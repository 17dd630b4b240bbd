/** A message that was refused after it was accepted, and what lists, retries and drops of such say. */

import type { Refusal } from './refusal.ts';

/** A message that Postgres refused, before it has an id. */
export interface NewDeadLetter extends Refusal {
  producer: string;
  /** 0 for a raw socket's message. */
  epoch: number;
  sequence: number;
  receivedAtMs: number;
  failedAtMs: number;
  /** The message's own text. */
  payload: string;
}

export interface DeadLetter extends NewDeadLetter {
  /** Grows with every letter of the shard; an id is never given twice. */
  id: number;
}

/** A dead letter in a listing. */
export interface DeadLetterExcerpt extends Omit<DeadLetter, 'payload'> {
  /** The payload's first `DEAD_LETTER_EXCERPT_CHARACTERS` characters. */
  excerpt: string;
  /** How long the whole payload is, in bytes of UTF-8. */
  payloadBytes: number;
}

export interface DeadLetterTotals {
  count: number;
  /** Payloads, and `DEAD_LETTER_OVERHEAD_BYTES` for each letter. */
  bytes: number;
  maxRows: number;
  maxBytes: number;
  /** True where `add` would keep nothing: the shard then pauses its writing. */
  isFull: boolean;
}

export interface DeadLetterPage {
  /** By id, oldest first. */
  letters: DeadLetterExcerpt[];
  /** What to ask for as `afterId` next; null where this was the last page. */
  next: number | null;
  totals: DeadLetterTotals;
}

export interface TakenDeadLetters {
  /** Oldest first. They are no longer among the dead letters. */
  letters: DeadLetter[];
  /** Ids that were asked for and that do not exist. */
  missing: number[];
  /** Letters that were asked for, exist, and stayed because a bound was reached. */
  remaining: number;
}

export interface DroppedDeadLetters {
  dropped: number;
  /** Ids that were asked for and that do not exist. */
  missing: number[];
}

/** What a letter counts beside its payload: the refusal's texts, producer's name, numbers, and SQLite's own. */
export const DEAD_LETTER_OVERHEAD_BYTES = 1_024;
