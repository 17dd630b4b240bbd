/** A WebSocket with no client behind it: it sends whatever it is told, and may leave unread what comes back. */

import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { HANG_LIMIT_MS } from '../support/patience.ts';

export interface SocketEnd {
  code: number;
  reason: string;
}

export interface BareSocketOptions {
  url: string;
  /** Default: one that the Worker gives. */
  producer?: string;
  /** The subprotocol. Default: none, which is the raw mode. */
  protocol?: string | string[] | undefined;
  /** Used up by this socket. Default: none. */
  ticket?: string | undefined;
  /** Called with every frame, before anything else that came with it is looked at. */
  onFrame?: (frame: string) => void;
}

/** An upgrade that was refused. */
export class RefusedUpgrade extends Error {
  readonly status: number;
  /** The code of its problem details. */
  readonly code: string | undefined;

  constructor(status: number, body: string) {
    super(`The upgrade was refused: ${status} ${body.slice(0, 300)}`);
    this.status = status;
    this.code = /"code":"(\w+)"/.exec(body)?.[1];
  }
}

export class BareSocket {
  readonly #socket: WebSocket;
  /** Resolves when the socket has ended, however that came. */
  readonly ended: Promise<SocketEnd>;
  #end: SocketEnd | undefined;
  #receivedBytes = 0;
  #receivedFrames = 0;

  private constructor(socket: WebSocket, onFrame: (frame: string) => void) {
    this.#socket = socket;
    this.ended = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#end = { code, reason: reason.toString() };
        resolve(this.#end);
      });
    });
    socket.on('message', (data) => {
      const frame = data.toString();
      this.#receivedBytes += frame.length;
      this.#receivedFrames += 1;
      onFrame(frame);
    });
  }

  /** @throws RefusedUpgrade; any other Error where there is no connection */
  static open({
    url,
    producer,
    protocol,
    ticket,
    onFrame = () => {},
  }: BareSocketOptions): Promise<BareSocket> {
    const address = new URL(url);
    if (producer !== undefined) address.searchParams.set('producer', producer);
    if (ticket !== undefined) address.searchParams.set('ticket', ticket);
    const socket = new WebSocket(address, protocol, { perMessageDeflate: false });
    const bare = new BareSocket(socket, onFrame);
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => resolve(bare));
      socket.on('unexpected-response', (request, response) => {
        // Once it was answered, nobody listens to the connection any more, and its end would end the lab.
        const { socket: connection } = response;
        connection.on('error', () => {});
        void textOf(response).then((text) => {
          reject(new RefusedUpgrade(response.statusCode ?? 0, text));
          // With somebody listening to this event, nobody else ends the request.
          request.destroy();
          connection.destroy();
        });
      });
    });
  }

  /** How it ended; undefined while it is open. */
  get end(): SocketEnd | undefined {
    return this.#end;
  }

  /** False from the moment at which either side has begun to close. */
  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Characters of all frames that came so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get receivedFrames(): number {
    return this.#receivedFrames;
  }

  /** Sends a text, or bytes as a binary frame. Resolves when the network has it, or the socket has ended. */
  send(frame: string | Uint8Array): Promise<void> {
    return this.#send(frame, typeof frame !== 'string');
  }

  /** Sends bytes as a text frame, whether they are UTF-8 or not. */
  sendAsText(bytes: Uint8Array): Promise<void> {
    return this.#send(bytes, false);
  }

  #send(data: string | Uint8Array, binary: boolean): Promise<void> {
    return new Promise((resolve) => {
      // Where the other end reads nothing, the network never has it.
      void this.ended.then(() => resolve());
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(data, { binary }, () => resolve());
      else resolve();
    });
  }

  /** Leaves everything in the network, until `read`. */
  stopReading(): void {
    this.#socket.pause();
  }

  read(): void {
    this.#socket.resume();
  }

  /** Closes it, and resolves once the other end has answered, which it does after all that was sent; or never will. */
  async close(code = 1000): Promise<SocketEnd> {
    this.#socket.close(code);
    const limit = setTimeout(() => this.kill(), HANG_LIMIT_MS);
    const end = await this.ended;
    clearTimeout(limit);
    return end;
  }

  /** Ends it without a goodbye. */
  kill(): void {
    this.#socket.terminate();
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
