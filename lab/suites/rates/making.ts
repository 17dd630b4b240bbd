/** Makes the texts of messages, and tells how long that took, apart from everything that comes after it. */

import { type Packet, packetMessage } from './packet.ts';

export class Making {
  readonly #now: (() => number) | undefined;
  #elapsedMs = 0;
  #messages = 0;

  /** @param now milliseconds of a clock that moves while code runs; without one, no time is told */
  constructor(now?: () => number) {
    this.#now = now;
  }

  /** The messages of these packets, the first of which has the number `from`. */
  texts(producer: string, from: number, packets: readonly Packet[]): string[] {
    const startedMs = this.#now?.() ?? 0;
    const texts = packets.map((packet, index) => packetMessage(producer, from + index, packet));
    this.#elapsedMs += (this.#now?.() ?? 0) - startedMs;
    this.#messages += packets.length;
    return texts;
  }

  /** Microseconds for one message, on average; null without a clock or without messages. */
  get usPerMessage(): number | null {
    return this.#now === undefined || this.#messages === 0 ? null : (this.#elapsedMs * 1000) / this.#messages;
  }
}
