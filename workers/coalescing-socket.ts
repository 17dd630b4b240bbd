/**
 * The TCP socket that node-postgres gets in a Durable Object.
 *
 * It writes once per turn. node-postgres writes a query as five messages and so five times; a write is finished by an
 * event, which queues after the frames of every WebSocket, and the next write has to wait for it. Under a
 * flood of frames a flush then waits for its turn six times instead of once.
 *
 * And it reads only while an answer is awaited. A pending read belongs to the moment at which it began: one that was
 * pending before the input gate shut is not delivered until it opens, so a shard could not write with its gate shut
 * (shard.ts, `#holdFrames`). Postgres only speaks when it is asked; what it says by itself (a notice, the end of the
 * connection) is heard with the next answer.
 */

import { CloudflareSocket } from 'pg-cloudflare';
import { hostText } from '../src/database/address.ts';
import { AnswerTracker } from '../src/database/answer-tracker.ts';

type WriteCallback = (error?: unknown) => void;

/** What CloudflareSocket keeps for itself, and a separate reader needs. */
interface Internals {
  _cfReader: ReadableStreamDefaultReader<Uint8Array>;
}

export class CoalescingSocket extends CloudflareSocket {
  #pending: Uint8Array[] = [];
  #callbacks: WriteCallback[] = [];
  readonly #answers = new AnswerTracker();
  #wakeReader: (() => void) | undefined;

  /** The platform takes host and port as one text, in which an IPv6 address stands in brackets. */
  override connect(
    port: number,
    host: string,
    connectListener?: (...args: unknown[]) => void,
  ): Promise<this | undefined> {
    return super.connect(port, hostText(host), connectListener) as Promise<this | undefined>;
  }

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
    this.#answers.asked();
    this.#wakeReader?.();
  }

  override async _listen(): Promise<void> {
    for (;;) {
      if (!this.#answers.isAwaited) {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
        this.#wakeReader = undefined;
      }
      const { done, value } = await (this as unknown as Internals)._cfReader.read();
      if (done) return;
      this.#answers.received(value);
      this.emit('data', Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    }
  }
}
