/**
 * What strangers hear of a deployment is asked at most once a second in each isolate of the Worker: a question to Postgres is a connection,
 * of which it has few, and one to the monitor is billed; and everybody may ask.
 */

/** How long an answer stands. */
const KEPT_MS = 1_000;

/** Questions of strangers under way at the same time, where no answer stands yet. */
const MAX_ASKING = 4;

/** What is asked, of which answers are kept. There is one, unless a Worker's variables differ from request to request, as in tests. */
const MAX_ASKED = 16;

type Answer<Value> = { atMs: number } & ({ value: Value } | { error: unknown });

export class HealthMemory<Value> {
  readonly #now: () => number;
  readonly #answers = new Map<string, Answer<Value>>();
  #asking = 0;

  /** @param now the time in milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Asks, unless an answer of the last second stands. A request cannot wait for what another one asks: it gets what is known, or is
   * told to come again.
   *
   * @param asked names what is asked, and all by which it is reached
   * @param tooMany what is thrown where too many ask already, and nothing is known
   * @throws what `ask` throws, or threw
   */
  async ask(asked: string, ask: () => Promise<Value>, tooMany: () => Error): Promise<Value> {
    const known = this.#answers.get(asked);
    const isFresh = known !== undefined && this.#now() - known.atMs < KEPT_MS;
    if (isFresh || this.#asking >= MAX_ASKING) {
      if (known === undefined) throw tooMany();
      return valueIn(known);
    }
    const answer = await this.#askNow(ask);
    if (!this.#answers.has(asked) && this.#answers.size >= MAX_ASKED) this.#answers.clear();
    this.#answers.set(asked, answer);
    return valueIn(answer);
  }

  async #askNow(ask: () => Promise<Value>): Promise<Answer<Value>> {
    this.#asking += 1;
    try {
      const value = await ask();
      return { atMs: this.#now(), value };
    } catch (error) {
      return { atMs: this.#now(), error };
    } finally {
      this.#asking -= 1;
    }
  }
}

function valueIn<Value>(answer: Answer<Value>): Value {
  if ('error' in answer) throw answer.error;
  return answer.value;
}
