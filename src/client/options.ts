/** What a client is told, and what it needs of its surroundings. */

import type { AckLevel } from './ack-level.ts';
import type { ClientEvent } from './events.ts';
import type { ClientStorage } from './storage.ts';

/** What happens to a message for which the send buffer has no room. */
export type WhenFull = 'block' | 'reject' | 'drop-oldest' | 'drop-newest';

export interface SluiceClientOptions {
  /**
   * `ws(s)://host/ws/:sink`; `http(s)` is taken as `ws(s)`. The producer is added as `?producer=`, or taken from there.
   * Other parameters are kept.
   */
  url: string | URL;
  /**
   * The producer's name, 1 to 128 characters of `A-Z a-z 0-9 . _ : @ -`. Two clients at the same time need two names:
   * the newer one replaces the older. Default: the `producer` of the url, or else a random UUID.
   */
  producer?: string;
  /** A sink that does not have the level gives the nearest one, see the event `level`. Default: `stored`. */
  ack?: AckLevel;
  /** Messages in a frame, at most; the server's limit holds too. 1 to 10,000. Default: 500. */
  batchMessages?: number;
  /** UTF-8 bytes of the messages in a frame, at most, unless one message alone is larger. Default: 256 KiB. */
  batchBytes?: number;
  /** How long a message waits for others to share its frame. 0: until the current turn ends. Default: 5. */
  lingerMs?: number;
  /** Messages that wait to be sent or acknowledged, at most. Default: 100,000. */
  sendBufferMessages?: number;
  /** UTF-8 bytes of these messages, at most. Default: 16 MiB. */
  sendBufferBytes?: number;
  /** Default: `block`, which lets up to 1,000 calls wait for room; further ones are refused with `send_buffer_full`. */
  whenFull?: WhenFull;
  /**
   * Keeps every message from the moment `send` takes it until it is acknowledged, so that a restarted producer sends
   * what the one before has left. Needs a producer.
   */
  storage?: ClientStorage;
  /**
   * Says who the client is: a text, or a function that gives one, which is asked before each connection and whenever the server
   * asks for a fresh token. A function that throws, or has not answered after 10 seconds, makes a failed attempt, and is asked again.
   * It reaches the server as a subprotocol next to `sluice.v1`. Printable ASCII without spaces.
   */
  token?: Credential;
  /**
   * The same with a ticket, which goes into the address as `?ticket=`. It opens one socket, so the function is asked before each
   * connection. With a `token` as well, that is only for when the server asks; without one, the client connects again then.
   */
  ticket?: () => string | Promise<string>;
  /**
   * Default: `new WebSocket(url, protocols)`. `protocols` is `sluice.v1`; with `token` it is a list, with the token in it.
   */
  openSocket?(url: string, protocols: string | string[]): WebSocketLike;
  /** Default: the platform's. */
  timers?: ClientTimers;
  /** A number from 0 to below 1, for pauses. Default: `Math.random`. */
  random?: () => number;
  /** Called after the current turn, so that it may call the client. */
  onEvent?: (event: ClientEvent) => void;
}

/** A token, or what gives one. */
export type Credential = string | (() => string | Promise<string>);

/** What the client needs of a WebSocket: the class of browsers, Node and Workers has it, and so has that of `ws`. */
export interface WebSocketLike {
  readonly protocol?: string | null;
  readonly bufferedAmount?: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'open' | 'message' | 'close' | 'error',
    listener: (event: { readonly data?: unknown; readonly code?: number; readonly reason?: string }) => void,
  ): void;
}

/** Time as an argument, so that tests decide what time it is. */
export interface ClientTimers {
  /** Milliseconds of a clock that does not go back. */
  now(): number;
  /** Calls back once after at least `delayMs`; returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}
