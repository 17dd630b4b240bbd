/**
 * Lets concurrent reads that ask for the same share an answer. Those who race for one decision all read the same again
 * when one of them has won; asked once, the database answers all of them.
 *
 * An answer is only shared with those who asked before it was asked for: a read that began later might have to see what
 * was committed in between. They share the next one.
 */

import type { EventRecord, ReadEvents } from './engine.ts';

type Answer = Promise<readonly EventRecord[]>;

/** The reads of one question: one that is on its way, and one for all who came since. */
interface Question {
  running: Answer;
  next: Answer | undefined;
}

export class SingleFlight {
  readonly #read: (read: ReadEvents) => Answer;
  readonly #questions = new Map<string, Question>();

  constructor(read: (read: ReadEvents) => Answer) {
    this.#read = read;
  }

  /** The events that a read finds; what was committed before the call is among them. */
  read(read: ReadEvents): Answer {
    const key = keyOf(read);
    const question = this.#questions.get(key);
    if (question === undefined) {
      // At the end of the turn, with all who ask in it.
      const running: Answer = Promise.resolve().then(() => this.#ask(key, read));
      this.#questions.set(key, { running, next: running });
      return running;
    }
    question.next ??= question.running.then(
      () => this.#ask(key, read),
      () => this.#ask(key, read),
    );
    return question.next;
  }

  async #ask(key: string, read: ReadEvents): Answer {
    // What an engine throws at once is an answer too: without one, the question would stay open for ever.
    const running = (async () => this.#read(read))();
    const question: Question = { running, next: undefined };
    this.#questions.set(key, question);
    try {
      return await running;
    } finally {
      // A read that waits for the next one keeps the question open.
      if (question.next === undefined) this.#questions.delete(key);
    }
  }
}

function keyOf({ query, after, before, backwards, limit, maxBytes }: ReadEvents): string {
  return JSON.stringify([
    query,
    String(after),
    before === null ? null : String(before),
    backwards,
    String(limit),
    maxBytes,
  ]);
}
