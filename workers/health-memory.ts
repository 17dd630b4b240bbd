/**
 * What strangers hear of the database is asked at most once a second in each isolate of the Worker: each question is a connection to
 * Postgres, of which it has few, and everybody may ask.
 */

/** How long an answer stands. */
const KEPT_MS = 1_000;

/** Questions of strangers under way at the same time, where no answer stands yet. */
const MAX_ASKING = 4;

/** Databases whose answers are kept. There is one, unless a Worker's variables differ from request to request, as in tests. */
const MAX_DATABASES = 16;

interface Answer {
  atMs: number;
  /** Undefined where all was well. */
  error: unknown;
}

export class HealthMemory {
  readonly #now: () => number;
  readonly #answers = new Map<string, Answer>();
  #asking = 0;

  /** @param now the time in milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Asks, unless an answer of the last second stands. A request cannot wait for what another one asks: it gets what is known, or is
   * told to come again.
   *
   * @param database names it, and all by which it is reached
   * @param tooMany what is thrown where too many ask already, and nothing is known
   * @throws what `ask` throws, or threw
   */
  async ask(database: string, ask: () => Promise<unknown>, tooMany: () => Error): Promise<void> {
    const known = this.#answers.get(database);
    const isFresh = known !== undefined && this.#now() - known.atMs < KEPT_MS;
    if (isFresh || this.#asking >= MAX_ASKING) {
      if (known === undefined) throw tooMany();
      if (known.error !== undefined) throw known.error;
      return;
    }
    this.#asking += 1;
    let error: unknown;
    try {
      await ask();
    } catch (thrown) {
      error = thrown ?? new Error('It failed');
    } finally {
      this.#asking -= 1;
    }
    if (!this.#answers.has(database) && this.#answers.size >= MAX_DATABASES) this.#answers.clear();
    this.#answers.set(database, { atMs: this.#now(), error });
    if (error !== undefined) throw error;
  }
}
