/**
 * Notices that the database is gone while a bench runs. The shards are no help there: they keep what they have and
 * try again for ever, which is right for them and a hanging command for the one who waits.
 */

import { sql } from 'drizzle-orm';
import { errorText, isSluiceError, SluiceError } from '../../src/core/errors.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { type Connection, openConnection } from '../../src/database/connection.ts';
import type { DatabaseTarget } from '../../src/database/target.ts';
import { describeTarget } from '../../src/database/target.ts';

/** How often the database is asked. Rarely enough to cost nothing. */
const ASK_EVERY_MS = 2_000;
/** Under full load an answer may take a while; a database that is there gives one within this time. */
const ANSWER_TIME_LIMIT_MS = 15_000;

export class DatabaseWatch {
  readonly #target: DatabaseTarget;
  #connection: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(target: DatabaseTarget) {
    this.#target = target;
  }

  /**
   * Waits for some work. Undefined when the signal comes first.
   *
   * @throws SluiceError `database_unreachable` when the database is lost meanwhile, or when the work failed and the
   *   database turns out to be gone: that is then the news
   */
  async orLost<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
    const lost = new Promise<never>((_, reject) => this.#askAgain(reject));
    const aborted = new Promise<undefined>((resolve) => {
      // The work sees the signal too, and gets a moment to return what is complete.
      const stop = (): void => void setTimeout(resolve, 1_000, undefined).unref();
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
    work.catch(() => {});
    lost.catch(() => {});
    try {
      return await Promise.race([work, lost, aborted]);
    } catch (error) {
      if (isSluiceError(error) && error.code === 'database_unreachable') throw error;
      await this.#ask();
      throw error;
    } finally {
      this.stop();
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = undefined;
  }

  #askAgain(onLost: (error: unknown) => void): void {
    this.#timer = setTimeout(async () => {
      try {
        await this.#ask();
        if (!this.#isStopped) this.#askAgain(onLost);
      } catch (error) {
        onLost(error);
      }
    }, ASK_EVERY_MS);
  }

  async #ask(): Promise<void> {
    // A connection that was cut off may mean a restart; only a database that takes no new one is gone.
    if (this.#connection?.isOpen !== true) this.#connection = await openConnection(this.#target);
    try {
      await withTimeLimit(
        this.#connection.db.execute(sql`select 1`),
        ANSWER_TIME_LIMIT_MS,
        'asking the database',
      );
    } catch (error) {
      const wasOpen = this.#connection.isOpen;
      this.#connection.close();
      this.#connection = undefined;
      if (wasOpen) {
        throw new SluiceError(
          'database_unreachable',
          `The database ${describeTarget(this.#target)} does not answer: ${errorText(error)}`,
          { cause: error },
        );
      }
      await this.#ask();
    }
  }
}
