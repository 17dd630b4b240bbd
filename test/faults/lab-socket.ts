/** A client's WebSocket with a wire in between, which can be cut, or silenced as if the client had died. */

import { WebSocket } from 'ws';
import type { WebSocketLike } from '../../src/client/index.ts';
import type { Wire } from './wire.ts';

export class LabSocket implements WebSocketLike {
  readonly #socket: WebSocket;
  readonly #send: (frame: string) => void;
  /** What came while the client's machine was paused. */
  #held: (() => void)[] | undefined;
  #isDead = false;

  constructor(url: string, protocols: string | string[], wire: Wire) {
    this.#socket = new WebSocket(url, protocols, { perMessageDeflate: false });
    // A connection that fails says so by its close too.
    this.#socket.on('error', () => {});
    this.#send = wire({
      forward: (frame) => {
        if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(frame);
      },
      cut: () => this.#socket.terminate(),
    });
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(text: string): void {
    if (!this.#isDead) this.#send(text);
  }

  close(code?: number, reason?: string): void {
    if (!this.#isDead) this.#socket.close(code, reason);
  }

  addEventListener: WebSocketLike['addEventListener'] = (type, listener) => {
    this.#socket.addEventListener(type as 'message', (event) => {
      const step = (): void => {
        if (!this.#isDead) listener(event as { data?: unknown });
      };
      if (this.#held === undefined) step();
      else this.#held.push(step);
    });
  };

  cut(): void {
    this.#socket.terminate();
  }

  /** The client hears of nothing until `wake`. Its connection stays. */
  pause(): void {
    this.#held ??= [];
  }

  wake(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const step of held) step();
  }

  /** The client is dead: nothing reaches it any more, and its connection ends without a goodbye. */
  die(): void {
    this.#isDead = true;
    this.#socket.terminate();
  }
}
