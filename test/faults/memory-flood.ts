/** Hostile input at full speed: as much as fits into frames, over many sockets, to several shards of one isolate. */

import { BareSocket } from './bare-socket.ts';

const FRAME_BYTES = 512 * 1024;

/** What a hostile socket sends, again and again. */
const KINDS = {
  /** Messages as large as they may be. */
  large: () => lines(JSON.stringify('x'.repeat(60_000))),
  /** As many messages as fit: each takes more memory than it has text. */
  tiny: () => lines('1234'),
  /** Characters of two bytes in memory, and one of three on the wire. */
  wide: () => lines(JSON.stringify(`€${'x'.repeat(30_000)}`)),
  /** One short message in blank lines, which keeps them alive where it is not copied. */
  blank: () => `${JSON.stringify('x'.repeat(40))}\n`.padEnd(FRAME_BYTES, `${' '.repeat(500)}\n`),
};
export type HostileKind = keyof typeof KINDS;

function lines(message: string): string {
  return Array.from({ length: Math.floor(FRAME_BYTES / (message.length + 1)) }, () => message).join('\n');
}

export class MemoryFlood {
  readonly #url: string;
  #isOn = true;
  /** Bytes that the network took. */
  sentBytes = 0;
  /** Frames that were refused with `memory_full`, each of which ended a socket. */
  refused = 0;
  readonly #loops: Promise<void>[] = [];

  /** @param url where the sockets connect */
  constructor(url: string) {
    this.#url = url;
  }

  start(name: string, kind: HostileKind): void {
    this.#loops.push(this.#flood(name, Buffer.from(KINDS[kind]())));
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await Promise.all(this.#loops);
  }

  // Comes back as soon as it is closed.
  async #flood(producer: string, frame: Buffer): Promise<void> {
    while (this.#isOn) {
      const socket = await BareSocket.open({
        url: this.#url,
        producer,
        onFrame: (text) => {
          if (text.includes('"memory_full"')) this.refused += 1;
        },
      });
      while (this.#isOn && socket.isOpen) {
        await socket.sendAsText(frame);
        this.sentBytes += frame.length;
      }
      socket.kill();
    }
  }
}
