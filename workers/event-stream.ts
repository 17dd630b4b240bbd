/** Bodies of answers that are made while they are taken. */

import type { Timers } from '../src/core/timers.ts';
import type {
  ImportedBelow,
  Poke,
  PokeSink,
  Subscribed,
  Subscription,
} from '../src/messages/http/poke-subscriber.ts';

const encoder = new TextEncoder();

/** Bytes that wait for a reader before it counts as busy. The sockets below hold some more. */
const HIGH_WATER_BYTES = 16 * 1024;

/** Bytes that a stream of events hands over at a time: the platform keeps them until they are written. */
const PIECE_BYTES = 64 * 1024;

/** Headers of an answer of Server-Sent Events. */
export const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-store',
  // nginx holds back what it is not told to pass on.
  'x-accel-buffering': 'no',
};

/**
 * A body of pieces, each made when the reader has taken the ones before.
 *
 * @param onFailure told what the pieces have failed with: the answer has begun, and can only be cut off
 */
export function streamOf(
  pieces: AsyncIterable<string>,
  onFailure: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (error) {
          onFailure(error);
          throw error;
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * A body of Server-Sent Events that go on while its reader takes none: whoever sends a body reads the answer only when
 * it is through. For few, short events.
 */
export function eagerEvents(events: AsyncGenerator<unknown, void, undefined>): ReadableStream<Uint8Array> {
  let isCancelled = false;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const run = async (): Promise<void> => {
        for await (const event of events) {
          if (isCancelled) return;
          controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\n\n`));
        }
        if (!isCancelled) controller.close();
      };
      void run().catch((error: unknown) => {
        if (!isCancelled) controller.error(error);
      });
    },
    cancel() {
      isCancelled = true;
    },
  });
}

/**
 * A body of pokes. `id` of an event is its position in the unit of the subscription, so that an `EventSource` that
 * connects again says with `Last-Event-ID` where it was.
 *
 * @returns `started`: as that of the subscription
 */
export function pokeStream(
  of: Subscription['of'],
  subscribe: (sink: PokeSink) => Subscribed,
): { body: ReadableStream<Uint8Array>; started: Promise<void> } {
  const isStream = of !== 'all' && 'stream' in of;
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let hasEnded = false;
  const send = (text: string): void => {
    if (!hasEnded) controller.enqueue(encoder.encode(text));
  };
  const sink: PokeSink = {
    get hasRoom() {
      return !hasEnded && (controller.desiredSize ?? 0) > 0;
    },
    // What is there before any event lets the answer's head go out.
    ready: () => send(': ready\n\n'),
    imported: (range) => send(importEvent(range)),
    send: (pokes) => send(pokes.map((poke) => pokeEvent(poke, isStream)).join('')),
    keepAlive: () => send(': keep-alive\n\n'),
    close() {
      if (hasEnded) return;
      hasEnded = true;
      controller.close();
    },
  };
  let subscribed: Subscribed | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given;
      },
      pull() {
        subscribed?.roomAgain();
      },
      cancel() {
        hasEnded = true;
        subscribed?.end();
      },
    },
    { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk.byteLength },
  );
  subscribed = subscribe(sink);
  return { body, started: subscribed.started };
}

// Without an id: where an `EventSource` goes on is where the pokes were.
function importEvent({ from, to, messages }: ImportedBelow): string {
  return `event: import\ndata: {"from":${from},"to":${to},"messages":${messages}}\n\n`;
}

function pokeEvent({ stream, position, globalPosition }: Poke, isStream: boolean): string {
  return `event: poke\ndata: {"stream":${JSON.stringify(stream)},"position":${position},"globalPosition":${globalPosition}}\nid: ${isStream ? position : globalPosition}\n\n`;
}

/** How long a quiet stream is left without a word, lest somebody on the way takes it for dead. */
const KEEP_ALIVE_MS = 15_000;

const NOTHING = new Uint8Array(0);

/** How often in a row a reader may be found not to have taken anything of what is there for it: 30 to 45 seconds. */
const MAX_IDLE_LOOKS = 3;

export interface EventStreamOptions {
  timers: Timers;
  /** How often something is sent, and the reader looked at. Default: 15,000. */
  keepAliveMs?: number;
  /** Told what the source failed with. The stream ends; an `EventSource` connects again and goes on where it was. */
  onFailure(error: unknown): void;
  /** Called once: the source has ended, the reader is gone or takes nothing, or `end` was called. */
  onEnd(): void;
}

/**
 * A body of Server-Sent Events that does not end by itself. The next one is taken from the source when the reader has
 * taken those before, but for a few, so that a slow reader stops its source and nothing else.
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  readonly #options: EventStreamOptions;
  readonly #source: AsyncGenerator<string, void, undefined>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #hasEnded = false;
  #cancelLook: (() => void) | undefined;
  /** What of an event is still to be handed over. */
  #rest: Uint8Array = NOTHING;
  #sentBytes = 0;
  /** What the reader had taken at the last look, and how many looks have found no more. */
  #takenBytes = 0;
  #idleLooks = 0;

  /** @param source of whole events, each with its empty line */
  constructor(source: AsyncGenerator<string, void, undefined>, options: EventStreamOptions) {
    this.#source = source;
    this.#options = options;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
          // What is there before any event lets the answer's head go out.
          this.#send(': ready\n\n');
          this.#lookSoon();
        },
        pull: () => this.#pull(),
        cancel: () => this.#finish(),
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk.byteLength },
    );
  }

  /**
   * Sends something that means nothing, by which the platform learns whether the reader is gone. Nothing where it has
   * not yet taken what is there.
   */
  keepAlive(): void {
    if (!this.#hasEnded && this.#waitingBytes === 0 && this.#rest === NOTHING) this.#send(': keep-alive\n\n');
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#finish();
    this.#controller.close();
  }

  /** What the reader has not taken yet. */
  get #waitingBytes(): number {
    return HIGH_WATER_BYTES - (this.#controller.desiredSize ?? 0);
  }

  async #pull(): Promise<void> {
    if (this.#hasEnded) return;
    if (this.#rest !== NOTHING) {
      this.#sendPiece();
      return;
    }
    try {
      const { done, value } = await this.#source.next();
      if (this.#hasEnded) return;
      if (done) this.end();
      else this.#send(value);
    } catch (error) {
      if (this.#hasEnded) return;
      this.#options.onFailure(error);
      this.end();
    }
  }

  #send(text: string): void {
    this.#rest = encoder.encode(text);
    this.#sendPiece();
  }

  // A large event in one would be with the platform, where it is written, and the next one here already.
  #sendPiece(): void {
    let piece = this.#rest;
    if (piece.byteLength <= PIECE_BYTES) {
      this.#rest = NOTHING;
    } else {
      // A copy: a part of the same memory would keep all of it.
      piece = this.#rest.slice(0, PIECE_BYTES);
      this.#rest = this.#rest.subarray(PIECE_BYTES);
    }
    this.#sentBytes += piece.byteLength;
    this.#controller.enqueue(piece);
  }

  #lookSoon(): void {
    const { timers, keepAliveMs = KEEP_ALIVE_MS } = this.#options;
    this.#cancelLook = timers.after(keepAliveMs, () => {
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
    this.#rest = NOTHING;
    this.#options.onEnd();
    // Where it waits for an event, it is woken by whoever is told of the end.
    void this.#source.return().catch(() => {});
  }
}
