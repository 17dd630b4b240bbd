/** A WebSocket to a Durable Object, in the form that the client library expects: there is no address to connect to. */

import type { WebSocketLike } from '../../src/client/index.ts';
import { PRODUCER_HEADER } from '../../workers/objects.ts';
import type { ShardObject } from './env.ts';

type Listener = Parameters<WebSocketLike['addEventListener']>[1];

export class StubSocket implements WebSocketLike {
  readonly protocol: string;
  readonly #listeners = new Map<string, Listener[]>();
  #socket: WebSocket | undefined;

  constructor(stub: ShardObject, url: string, protocol: string) {
    this.protocol = protocol;
    const producer = new URL(url).searchParams.get('producer') as string;
    const headers = { upgrade: 'websocket', 'sec-websocket-protocol': protocol, [PRODUCER_HEADER]: producer };
    void stub.fetch('http://shard/', { headers }).then(
      ({ webSocket, status }) => {
        if (webSocket === null) this.#emit('close', { code: 1006, reason: `The shard answered ${status}` });
        else this.#open(webSocket);
      },
      (error: unknown) => this.#emit('close', { code: 1006, reason: String(error) }),
    );
  }

  #open(socket: WebSocket): void {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#emit('message', { data }));
    socket.addEventListener('close', ({ code, reason }) => this.#emit('close', { code, reason }));
    socket.accept();
    this.#emit('open', {});
  }

  #emit(type: string, event: Parameters<Listener>[0]): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string): void {
    this.#socket?.send(text);
  }

  close(code?: number, reason?: string): void {
    this.#socket?.close(code, reason);
  }
}
