/**
 * Gathers commands while a transaction runs, and sends what came in the meantime as the next one: one round trip and one commit for
 * many. Nothing waits for a timer: a command that finds nothing running goes at the end of the current microtask, with those
 * that were given in the same turn.
 */

import { SluiceError } from '../core/errors.ts';

export interface GroupCommitLimits {
  /** Rows of one group. A command with more goes alone. */
  maxGroupRows: number;
  /** Bytes of one group. A command with more goes alone. */
  maxGroupBytes: number;
  /** Rows that may wait for a group; a command beyond is refused. */
  maxWaitingRows: number;
  /** Bytes that may wait for a group; a command beyond is refused. */
  maxWaitingBytes: number;
}

interface Entry<Command, Verdict> {
  command: Command;
  rows: number;
  bytes: number;
  resolve: (verdict: Verdict) => void;
  reject: (reason: unknown) => void;
}

export class GroupCommit<Command, Verdict> {
  readonly #run: (commands: readonly Command[]) => Promise<readonly Verdict[]>;
  readonly #limits: GroupCommitLimits;
  #waiting: Entry<Command, Verdict>[] = [];
  #waitingRows = 0;
  #waitingBytes = 0;
  /** True from the moment that a group is due until its verdicts are there. */
  #isBusy = false;
  #whenIdle: (() => void)[] = [];

  /**
   * @param run runs a group as one transaction and returns a verdict for each command, in their order. If it throws, every command of the
   * group rejects with its error.
   */
  constructor(run: (commands: readonly Command[]) => Promise<readonly Verdict[]>, limits: GroupCommitLimits) {
    this.#run = run;
    this.#limits = limits;
  }

  /**
   * Resolves with the verdict on a command. Commands run in the order in which they were submitted.
   *
   * @throws SluiceError `buffer_full` where more would wait than the limits allow
   */
  submit(command: Command, rows: number, bytes: number): Promise<Verdict> {
    // What waits alone is taken whatever its size: a limit below one command must not refuse it for ever.
    if (
      this.#waiting.length > 0 &&
      (this.#waitingRows + rows > this.#limits.maxWaitingRows ||
        this.#waitingBytes + bytes > this.#limits.maxWaitingBytes)
    ) {
      return Promise.reject(
        new SluiceError(
          'buffer_full',
          `Too much waits for the database: ${this.#waitingRows} rows of ${this.#waitingBytes} bytes`,
          { details: { waitingRows: this.#waitingRows, waitingBytes: this.#waitingBytes } },
        ),
      );
    }
    return new Promise<Verdict>((resolve, reject) => {
      this.#waiting.push({ command, rows, bytes, resolve, reject });
      this.#waitingRows += rows;
      this.#waitingBytes += bytes;
      if (this.#isBusy) return;
      this.#isBusy = true;
      void Promise.resolve().then(() => this.#next());
    });
  }

  /** Resolves once nothing runs and nothing waits. */
  idle(): Promise<void> {
    if (!this.#isBusy) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  async #next(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#take();
      try {
        const verdicts = await this.#run(group.map(({ command }) => command));
        group.forEach(({ resolve }, index) => {
          resolve(verdicts[index] as Verdict);
        });
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#isBusy = false;
    const waiters = this.#whenIdle;
    this.#whenIdle = [];
    for (const resolve of waiters) resolve();
  }

  /** The oldest commands up to the limits of a group, at least one. */
  #take(): Entry<Command, Verdict>[] {
    let rows = 0;
    let bytes = 0;
    let end = 0;
    for (const entry of this.#waiting) {
      rows += entry.rows;
      bytes += entry.bytes;
      if (end > 0 && (rows > this.#limits.maxGroupRows || bytes > this.#limits.maxGroupBytes)) {
        rows -= entry.rows;
        bytes -= entry.bytes;
        break;
      }
      end += 1;
    }
    this.#waitingRows -= rows;
    this.#waitingBytes -= bytes;
    if (end === this.#waiting.length) {
      const group = this.#waiting;
      this.#waiting = [];
      return group;
    }
    return this.#waiting.splice(0, end);
  }
}
