/** Timers of a client in the fault lab: its clock runs faster, and stands still once it is dead. */

import type { ClientTimers } from '../../src/client/sluice-client.ts';

/** How much faster: a reconnect after up to 25 ms instead of 250, a dead connection noticed in a second instead of ten. */
export const CLIENT_SPEED = 10;

export class LabTimers implements ClientTimers {
  readonly #speed: number;
  #isDead = false;

  constructor(speed = CLIENT_SPEED) {
    this.#speed = speed;
  }

  readonly now = (): number => performance.now() * this.#speed;

  readonly after = (delayMs: number, callback: () => void): (() => void) => {
    const timer = setTimeout(() => {
      if (!this.#isDead) callback();
    }, delayMs / this.#speed);
    return () => clearTimeout(timer);
  };

  die(): void {
    this.#isDead = true;
  }
}
