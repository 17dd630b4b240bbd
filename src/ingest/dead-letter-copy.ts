/**
 * Copies a shard's dead letters to the table `sluice_dead_letters`, and takes out of it what was retried or dropped. The list
 * in the shard stays the truth: a database that is away, or a missing table, only delays the copy. It has a connection of its own,
 * opened when there is something to copy, so that no batch waits for it.
 */

import { backoffMs, DEFAULT_BACKOFF, PAUSE_BACKOFF } from '../core/backoff.ts';
import type { Timers } from '../core/timers.ts';
import { type Connection, sqlState } from '../database/connection.ts';
import { ConnectionSlot } from '../database/connection-slot.ts';
import type { ConnectionWatch } from '../database/connection-watch.ts';
import { faultClassOf } from '../database/fault-class.ts';
import type { Sqlite } from '../database/sqlite.ts';
import { CopiedLetters } from '../outbox/copied-letters.ts';
import type { DeadLetters } from '../outbox/dead-letters.ts';
import { refusalOf } from '../outbox/refusal.ts';
import { deleteLetters, insertLetters, type LetterList, letterIds } from '../writers/dead-letter-rows.ts';

/** What one statement writes. A letter that is larger goes alone. */
const STEP_ROWS = 100;
const STEP_BYTES = 1024 * 1024;
/** Ids that are compared in one step. */
const COMPARED_IDS = 1_000;

export interface DeadLetterCopyOptions {
  sqlite: Sqlite;
  deadLetters: DeadLetters;
  sink: string;
  /** The shard's name, as its checkpoints have it. */
  shard: string;
  openConnection: () => Promise<Connection>;
  /** Hears of its connection. Missing: nobody asks. */
  watch?: ConnectionWatch;
  timers: Timers;
  /** A number from 0 to below 1. */
  random: () => number;
  /** A text that nobody else ever got. */
  randomId: () => string;
}

/** How the copy stands. */
export interface DeadLetterCopyStats {
  /** True while the table lacks letters, or has ones that were retried or dropped. */
  isBehind: boolean;
  failuresInARow: number;
  /** Why the last step failed; null once one went well. */
  lastError: string | null;
}

export class DeadLetterCopy {
  readonly #options: DeadLetterCopyOptions;
  readonly #copied: CopiedLetters;
  readonly #slot: ConnectionSlot;
  readonly #list: LetterList;
  #running: Promise<void> | undefined;
  #failures = 0;
  #lastError: string | null = null;
  /** Counts what left the list, so that a step that was under way does not forget it. */
  #removals = 0;
  /** When the next step is due after one that failed. */
  retryAtMs = 0;

  constructor(options: DeadLetterCopyOptions) {
    this.#options = options;
    const { sqlite, sink, shard, openConnection, timers, randomId } = options;
    this.#copied = new CopiedLetters(sqlite, randomId());
    this.#list = { sink, shard, list: this.#copied.list };
    this.#slot = new ConnectionSlot({ open: openConnection, timers, watch: options.watch });
  }

  /** True while there is something to copy. */
  get isBehind(): boolean {
    return this.#copied.hasRemoved || this.#options.deadLetters.hasAfter(this.#copied.copiedUpTo);
  }

  stats(): DeadLetterCopyStats {
    return { isBehind: this.isBehind, failuresInARow: this.#failures, lastError: this.#lastError };
  }

  /** Letters were retried or dropped. */
  noteRemoved(): void {
    this.#removals += 1;
    this.#copied.noteRemoved(true);
  }

  /** Copies what is due. Resolves when nothing is left or a step has failed; it never rejects. */
  copy(): Promise<void> {
    if (this.#running !== undefined) return this.#running;
    if (!this.isBehind || this.#options.timers.now() < this.retryAtMs) return Promise.resolve();
    this.#running = this.#copyAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The same, whatever failed before: somebody has put it right. */
  copyNow(): Promise<void> {
    this.retryAtMs = 0;
    return this.copy();
  }

  async #copyAll(): Promise<void> {
    try {
      while (this.isBehind) {
        if (this.#options.deadLetters.hasAfter(this.#copied.copiedUpTo)) await this.#copyStep();
        else await this.#removeStep();
        this.#failures = 0;
        this.#lastError = null;
        this.retryAtMs = 0;
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  async #copyStep(): Promise<void> {
    const letters = this.#options.deadLetters.readAfter(this.#copied.copiedUpTo, STEP_ROWS, STEP_BYTES);
    const last = letters.at(-1);
    if (last === undefined) return;
    await this.#slot.use((connection) => insertLetters(connection, this.#list, letters));
    this.#copied.noteCopied(last.id);
  }

  /** Ids are never given twice, so what the list lacks now it lacks for ever. */
  async #removeStep(): Promise<void> {
    const { deadLetters } = this.#options;
    const removals = this.#removals;
    for (let after = 0; ; ) {
      const ids = await this.#slot.use((connection) =>
        letterIds(connection, this.#list, after, COMPARED_IDS),
      );
      const gone = deadLetters.missing(ids);
      if (gone.length > 0) await this.#slot.use((connection) => deleteLetters(connection, this.#list, gone));
      const last = ids.at(-1);
      if (last === undefined || ids.length < COMPARED_IDS) break;
      after = last;
    }
    if (removals === this.#removals) this.#copied.noteRemoved(false);
  }

  #failed(error: unknown): void {
    const { timers, random } = this.#options;
    this.#failures += 1;
    const { reason } = refusalOf(error);
    this.#lastError =
      sqlState(error) === '42P01'
        ? `The table sluice_dead_letters is missing: npx sluice migrate makes it. ${reason}`
        : reason;
    const waits = faultClassOf(error) === 'retry' ? DEFAULT_BACKOFF : PAUSE_BACKOFF;
    this.retryAtMs = timers.now() + backoffMs(this.#failures, random(), waits);
  }
}
