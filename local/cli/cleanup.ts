/** What was started is stopped again, last first, whatever happens in between. */

import { errorText } from '../../src/core/errors.ts';

export class Cleanup {
  readonly #steps: { name: string; step: () => Promise<void> }[] = [];

  /** Remembers how to stop something that has just started. */
  add(name: string, step: () => Promise<void>): void {
    this.#steps.push({ name, step });
  }

  /** Stops everything. A step that fails is reported and does not keep the others from running. */
  async run(): Promise<void> {
    for (const { name, step } of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        process.stderr.write(`sluice: could not ${name}: ${errorText(error)}\n`);
      }
    }
  }
}

/** A signal that aborts on the first Ctrl-C (or SIGTERM); the second ends the process at once. */
export function abortOnSignal(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write('\nsluice: stopping; once more to stop at once\n');
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    release() {
      process.removeListener('SIGINT', onSignal);
      process.removeListener('SIGTERM', onSignal);
    },
  };
}
