/**
 * Waiting for one of many steps, or for the failure of what they all depend on. `Promise.race` against a promise that
 * lasts keeps every value that it ever gave: of a stream, all of its bytes.
 */

export class Failures {
  #failure: { error: unknown } | undefined;
  #reject: ((error: unknown) => void) | undefined;

  /** Fails the step that is waited for, and all after it. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reject?.(error);
  }

  /** Waits for a step. Not to be called again before it is over. */
  orFail<Value>(step: Promise<Value>): Promise<Value> {
    // Nobody waits for a step that was given up; it may still fail.
    step.catch(() => {});
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise<Value>((resolve, reject) => {
      this.#reject = reject;
      step.then(resolve, reject);
    });
  }
}
