/** What a shard writes to its log of tries that failed and of messages that were refused. */

import type { FlusherStats } from './flusher-stats.ts';

/** How long the same trouble is told of only once: an outage fails every try, and a flood refuses every batch. */
const QUIET_MS = 60_000;

export class FaultLog {
  #told = '';
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #seenAtMs = 0;

  /**
   * To be asked after each try.
   *
   * @returns the fields of a line; undefined where nothing failed since, or where the same was told a short time ago
   */
  lineOf({
    state,
    lastError,
    lastErrorCode,
    lastErrorAtMs,
    lastErrorDetails,
    failuresInARow,
    dead,
  }: FlusherStats): Record<string, unknown> | undefined {
    if (lastErrorAtMs === null || lastErrorAtMs <= this.#seenAtMs) return undefined;
    this.#seenAtMs = lastErrorAtMs;
    // Without the texts, in which values differ from message to message.
    const { by, sqlState, table, column, constraint } = lastErrorDetails ?? {};
    const trouble = JSON.stringify([state, lastErrorCode, by, sqlState, table, column, constraint]);
    if (trouble === this.#told && lastErrorAtMs - this.#toldAtMs < QUIET_MS) return undefined;
    this.#told = trouble;
    this.#toldAtMs = lastErrorAtMs;
    return { message: lastError, code: lastErrorCode, state, failuresInARow, dead, ...lastErrorDetails };
  }
}
