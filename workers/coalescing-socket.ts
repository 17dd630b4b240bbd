/**
 * The TCP socket that node-postgres gets in a Durable Object: all that is written in one turn goes out as one write.
 *
 * node-postgres writes a query as five messages and so five times. A write to a socket is finished by an event of its
 * own, which queues behind the frames of every WebSocket; the next write has to wait for it. Under a flood of frames
 * a flush then waits for its turn six times instead of once.
 */

import { CloudflareSocket } from 'pg-cloudflare';

type WriteCallback = (error?: unknown) => void;

export class CoalescingSocket extends CloudflareSocket {
  #pending: Uint8Array[] = [];
  #callbacks: WriteCallback[] = [];

  override write(
    data: Uint8Array | string,
    encodingOrCallback?: BufferEncoding | WriteCallback,
    callback?: WriteCallback,
  ): true {
    const encoding = typeof encodingOrCallback === 'string' ? encodingOrCallback : 'utf8';
    const done = typeof encodingOrCallback === 'function' ? encodingOrCallback : callback;
    if (this.#pending.length === 0) queueMicrotask(() => this.#send());
    this.#pending.push(typeof data === 'string' ? Buffer.from(data, encoding) : data);
    if (done !== undefined) this.#callbacks.push(done);
    return true;
  }

  #send(): void {
    const parts = this.#pending;
    const callbacks = this.#callbacks;
    this.#pending = [];
    this.#callbacks = [];
    const joined = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
    super.write(joined, undefined, (error?: unknown) => {
      for (const callback of callbacks) callback(error);
    });
  }
}
