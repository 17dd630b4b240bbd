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

import { connect } from 'cloudflare:sockets';
import { CloudflareSocket } from 'pg-cloudflare';
import { hostText } from '../src/database/address.ts';
import { AnswerTracker } from '../src/database/answer-tracker.ts';

type WriteCallback = (error?: unknown) => void;

/** What CloudflareSocket keeps for itself, and what opens and reads in its place needs. */
interface Internals {
  ssl: boolean;
  writable: boolean;
  _cfSocket: Socket;
  _cfWriter: WritableStreamDefaultWriter<Uint8Array>;
  _cfReader: ReadableStreamDefaultReader<Uint8Array>;
  _addClosedHandler(): void;
  _listenOnce(): Promise<void>;
}

export class CoalescingSocket extends CloudflareSocket {
  #pending: Uint8Array[] = [];
  #callbacks: WriteCallback[] = [];
  readonly #answers = new AnswerTracker();
  #wakeReader: (() => void) | undefined;

  /**
   * Opens the socket in the event that asks for it. CloudflareSocket loads the platform's module first, in each connection. Where
   * that is one load for several objects of an isolate, as in tests, the socket would be opened, and all that waits for its
   * answers go on, in the event of another object: its storage is out of reach there, and nobody ever hears of the end.
   *
   * The platform takes host and port as one text, in which an IPv6 address stands in brackets.
   */
  override async connect(
    port: number,
    host: string,
    connectListener?: (...args: unknown[]) => void,
  ): Promise<this | undefined> {
    const internals = this as unknown as Internals;
    try {
      if (connectListener !== undefined) this.once('connect', connectListener);
      const socket = connect(
        `${hostText(host)}:${port}`,
        internals.ssl ? { secureTransport: 'starttls', allowHalfOpen: false } : undefined,
      );
      internals._cfSocket = socket;
      internals._cfWriter = socket.writable.getWriter();
      internals._addClosedHandler();
      internals._cfReader = socket.readable.getReader();
      const listening = internals.ssl ? internals._listenOnce() : this._listen();
      listening.catch((error: unknown) => this.emit('error', error));
      await internals._cfWriter.ready;
      internals.writable = true;
      this.emit('connect');
      return this;
    } catch (error) {
      this.emit('error', error);
      return undefined;
    }
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
