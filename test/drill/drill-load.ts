/** Producers that send at a steady rate for as long as the drill lasts, and know how many messages they sent. */

import { setTimeout as delay } from 'node:timers/promises';
import { SluiceClient } from '../../src/client/index.ts';

const TICK_MS = 20;

/** What the column of degrees does not take: Postgres refuses the message. */
const POISON = 'warm';

export class DrillLoad {
  readonly #clients: SluiceClient[];
  readonly #sent: number[];
  readonly #rate: number;
  #poison = 0;
  #isOn = true;
  #sending: Promise<void>;
  /** Messages that were refused for good: dead letters. */
  dead = 0;

  /** @param rate messages a second of all producers together */
  constructor(url: URL, producers: number, rate: number) {
    this.#rate = rate;
    this.#clients = Array.from(
      { length: producers },
      (_, index) => new SluiceClient({ url, producer: `drill-${index}`, ack: 'stored', lingerMs: 20 }),
    );
    this.#sent = this.#clients.map(() => 0);
    this.#sending = this.#send();
  }

  async #send(): Promise<void> {
    const startedMs = performance.now();
    const perClient = this.#rate / this.#clients.length;
    while (this.#isOn) {
      const due = Math.floor(((performance.now() - startedMs) / 1_000) * perClient);
      for (const [index, client] of this.#clients.entries()) {
        // A busy machine catches up, a second's worth at a time.
        const to = Math.min(due, (this.#sent[index] as number) + perClient);
        for (let number = this.#sent[index] as number; number < to; number += 1) {
          const celsius = this.#poison > 0 ? POISON : 20.5;
          if (this.#poison > 0) {
            this.#poison -= 1;
            this.dead += 1;
          }
          // The ledger of the drill is the table: what was sent is there in the end.
          void client.send({ number, celsius }).catch(() => {});
          this.#sent[index] = number + 1;
        }
      }
      await delay(TICK_MS);
    }
  }

  /** The next messages are such that Postgres refuses. */
  poison(messages: number): void {
    this.#poison += messages;
  }

  get sent(): number {
    return this.#sent.reduce((sum, count) => sum + count, 0);
  }

  /** Sends no more, and waits until all is acked. */
  async stop(): Promise<{ unacked: number }> {
    this.#isOn = false;
    await this.#sending;
    const reports = await Promise.all(this.#clients.map((client) => client.close()));
    return { unacked: reports.reduce((sum, { unacked }) => sum + unacked, 0) };
  }
}
