/**
 * Bodies of Server-Sent Events. Hono's `streamSSE` tells nobody whether the reader takes what it is sent, and waits for a
 * slow one for ever; here the writer can ask, and a reader that takes nothing is sent away.
 */

import { sseText } from '../src/core/sse-text.ts';
import type { Timers } from '../src/core/timers.ts';

const encoder = new TextEncoder();

/** Bytes that wait for a reader before it counts as busy. The sockets below hold some more. */
const HIGH_WATER_BYTES = 16 * 1024;

/** Bytes that a stream of events hands over at a time: the platform keeps them until they are written. */
const PIECE_BYTES = 64 * 1024;

/** How long a quiet stream is left without a word, so that nobody on the way takes it for dead. */
const KEEP_ALIVE_MS = 15_000;

/** How often in a row a reader may be found not to have taken anything of what is there for it: 30 to 45 seconds. */
const MAX_IDLE_LOOKS = 3;

/** Headers of an answer of Server-Sent Events. */
export const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-store',
  // nginx holds back what it is not told to pass on.
  'x-accel-buffering': 'no',
};

export interface EventStreamOptions {
  /** With them, something is sent now and then, and a reader that takes nothing is sent away. Default: neither. */
  timers?: Timers;
  /** How often something is sent, and the reader looked at. Default: 15,000. */
  keepAliveMs?: number;
  /** Called when the reader has taken what was there, but for a little; not again before its promise resolves. */
  onRoom?(): Promise<void> | void;
  /** Called once: the reader is gone or takes nothing, or the stream was ended. */
  onEnd?(): void;
}

/** A body of events that its owner writes. */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #options: EventStreamOptions;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #hasEnded = false;
  #cancelLook: (() => void) | undefined;
  /** What is still to be handed over. */
  #rest: Uint8Array[] = [];
  #sentBytes = 0;
  /** What the reader had taken at the last look, and how many looks have found no more. */
  #takenBytes = 0;
  #idleLooks = 0;

  constructor(options: EventStreamOptions = {}) {
    this.#options = options;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => this.#finish(),
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk.byteLength },
    );
    this.#lookSoon();
  }

  /** False while the reader has not taken what it was sent. What is sent all the same is kept in memory for it. */
  get hasRoom(): boolean {
    return !this.#hasEnded && this.#rest.length === 0 && (this.#controller.desiredSize ?? 0) > 0;
  }

  /** Sends whole events, each with its empty line. Nothing where the stream has ended. */
  send(text: string): void {
    if (this.#hasEnded) return;
    this.#rest.push(encoder.encode(text));
    if (this.#rest.length === 1) this.#sendPiece();
  }

  /** Lets the answer's head go out before there is any event. */
  ready(): void {
    this.send(': ready\n\n');
  }

  /**
   * Sends something that means nothing, by which the platform learns whether the reader is gone. Nothing where it has
   * not yet taken what is there.
   */
  keepAlive(): void {
    if (this.#rest.length === 0 && this.#waitingBytes === 0) this.send(': keep-alive\n\n');
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#finish();
    this.#controller.close();
  }

  /** Cuts the body off. */
  fail(error: unknown): void {
    if (this.#hasEnded) return;
    this.#finish();
    this.#controller.error(error);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What the reader has not taken yet. */
  get #waitingBytes(): number {
    return HIGH_WATER_BYTES - (this.#controller.desiredSize ?? 0);
  }

  #pull(): Promise<void> | void {
    if (this.#hasEnded) return;
    if (this.#rest.length > 0) this.#sendPiece();
    else return this.#options.onRoom?.();
  }

  // A large event in one would be with the platform, where it is written, and the next one here already.
  #sendPiece(): void {
    const first = this.#rest[0] as Uint8Array;
    let piece = first;
    if (first.byteLength <= PIECE_BYTES) {
      this.#rest.shift();
    } else {
      // A copy: a part of the same memory would keep all of it.
      piece = first.slice(0, PIECE_BYTES);
      this.#rest[0] = first.subarray(PIECE_BYTES);
    }
    this.#sentBytes += piece.byteLength;
    this.#controller.enqueue(piece);
  }

  #lookSoon(): void {
    const { timers, keepAliveMs = KEEP_ALIVE_MS } = this.#options;
    this.#cancelLook = timers?.after(keepAliveMs, () => {
      this.#look();
      if (this.#hasEnded) return;
      this.keepAlive();
      this.#lookSoon();
    });
  }

  // A reader that is connected and takes nothing would keep its place, and its page in memory, for ever.
  #look(): void {
    const takenBytes = this.#sentBytes - this.#waitingBytes;
    const isIdle = this.#waitingBytes > 0 && takenBytes === this.#takenBytes;
    this.#takenBytes = takenBytes;
    this.#idleLooks = isIdle ? this.#idleLooks + 1 : 0;
    if (this.#idleLooks >= MAX_IDLE_LOOKS) this.end();
  }

  #finish(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#cancelLook?.();
    this.#rest = [];
    this.#options.onEnd?.();
  }
}

/**
 * A stream of what a source has. The next event is taken from it when the reader has taken those before, but for a few, so
 * that a slow reader stops its source and nothing else.
 *
 * @param source of whole events, each with its empty line
 * @param options.onFailure told what the source failed with. The stream ends; an `EventSource` connects again and goes on
 *   where it was
 */
export function streamFrom(
  source: AsyncGenerator<string, void, undefined>,
  options: Pick<EventStreamOptions, 'timers' | 'keepAliveMs'> & {
    onFailure(error: unknown): void;
    onEnd(): void;
  },
): EventStream {
  const stream = new EventStream({
    ...options,
    async onRoom() {
      try {
        const { done, value } = await source.next();
        if (done) stream.end();
        else stream.send(value);
      } catch (error) {
        if (stream.hasEnded) return;
        options.onFailure(error);
        stream.end();
      }
    },
    onEnd() {
      options.onEnd();
      // Where it waits for an event, it is woken by who is told of the end.
      void source.return().catch(() => {});
    },
  });
  stream.ready();
  return stream;
}

/**
 * A body of events that go on while its reader takes none: a client that sends a body reads the answer only when all of it
 * is sent. For few, short events.
 */
export function eagerEvents(events: AsyncGenerator<unknown, void, undefined>): ReadableStream<Uint8Array> {
  const stream = new EventStream();
  const run = async (): Promise<void> => {
    for await (const event of events) {
      if (stream.hasEnded) return;
      stream.send(sseText({ data: JSON.stringify(event) }));
    }
    stream.end();
  };
  void run().catch((error: unknown) => stream.fail(error));
  return stream.body;
}
