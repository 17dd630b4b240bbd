/**
 * The intake of a shard that cannot write, because nobody says where to: its sink is no longer defined, or its definition is
 * wrong. It keeps what it has and counts it, takes nothing in, and says what is to be done.
 */

import {
  closeCode,
  closeReason,
  errorText,
  isSluiceError,
  rawCloseCode,
  type SluiceError,
  toldText,
} from '../core/errors.ts';
import { hasTable, type Sqlite } from '../database/sqlite.ts';
import type { DeadLetters } from '../outbox/dead-letters.ts';
import { readSavedCounts, type SavedCounts } from '../outbox/lane-totals.ts';
import { outboxTotals } from '../outbox/outbox-tables.ts';
import { emptyIntakeStats } from './counting-intake.ts';
import type { Intake, IntakeStats, Peer, Session, SessionRequest } from './intake.ts';

export class HeldIntake implements Intake {
  readonly isBusy = false;
  readonly isWriting = false;
  readonly isStopped = true;
  readonly retryAtMs = 0;
  readonly fill = 0;
  readonly #error: unknown;
  readonly #deadLetters: DeadLetters;
  readonly #nowMs: number;
  readonly #rows: number;
  readonly #bytes: number;
  readonly #sqlite: Sqlite;

  /** @param error why there is no sink to write to: `unknown_sink`, or what is wrong with it */
  constructor(error: unknown, sqlite: Sqlite, deadLetters: DeadLetters, nowMs: number) {
    this.#error = error;
    this.#sqlite = sqlite;
    this.#deadLetters = deadLetters;
    this.#nowMs = nowMs;
    const { rows, bytes } = hasTable(sqlite, 'outbox_groups') ? outboxTotals(sqlite) : { rows: 0, bytes: 0 };
    this.#rows = rows;
    this.#bytes = bytes;
  }

  /** Messages in the outbox that nothing writes. */
  get rows(): number {
    return this.#rows;
  }

  /** How it stands, for those who watch it. */
  get figures(): { counts: SavedCounts; messages: number; outboxBytes: number } {
    return { counts: readSavedCounts(this.#sqlite), messages: this.#rows, outboxBytes: this.#bytes };
  }

  /** Clients are told to come back later: what keeps the shard from working is mended by a deployment. */
  openSession(peer: Peer, { protocol }: SessionRequest): Session {
    const code = 'shard_unavailable';
    peer.close(
      protocol === 'raw' ? rawCloseCode(code) : closeCode(code),
      closeReason(code, toldText(this.#error)),
    );
    return { protocol, receive() {}, end() {}, memory: undefined, isWelcome: false };
  }

  flush(): void {}

  flushSoon(): void {}

  async drained(): Promise<void> {}

  stats(): IntakeStats {
    return {
      ...emptyIntakeStats(),
      state: 'stopped',
      received: this.#rows,
      recovered: this.#rows,
      buffered: this.#rows,
      spilled: this.#rows,
      outboxBytes: this.#bytes,
      storageRowsWritten: this.#sqlite.rowsWritten,
      deadLetters: this.#deadLetters.count,
      deadLettersFull: this.#deadLetters.isFull,
      lastError: this.#sentence,
      lastErrorCode: isSluiceError(this.#error) ? (this.#error as SluiceError).code : 'internal',
      lastErrorAtMs: this.#nowMs,
    };
  }

  get #reason(): string {
    return errorText(this.#error);
  }

  get #sentence(): string {
    const letters = this.#deadLetters.count;
    return `${this.#reason}. It holds ${counted(this.#rows, 'message')} and ${counted(letters, 'dead letter')}, and writes nothing`;
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
