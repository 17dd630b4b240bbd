/** The messages of a namespace: their store, and what `/rpc`, `/subscribe`, `/import` and `/export` make of it. */

import { decodeUtf8 } from '../src/core/decode-utf8.ts';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import { MAX_POSITION } from '../src/core/limits.ts';
import { assertKnownNames } from '../src/core/option-table.ts';
import { systemTimers } from '../src/core/timers.ts';
import type { MessageEngine } from '../src/messages/engine.ts';
import { WatchedEngine } from '../src/messages/engines/watched-engine.ts';
import { exportLines, importLines } from '../src/messages/http/exchange.ts';
import { PokeFeed } from '../src/messages/http/poke-feed.ts';
import type { Subscription } from '../src/messages/http/poke-subscriber.ts';
import { answerRpc } from '../src/messages/http/rpc.ts';
import { storeFigures } from '../src/messages/http/rpc-namespaces.ts';
import { MessageStore } from '../src/messages/message-store.ts';
import { checkCategory } from '../src/messages/names.ts';
import { parseTimeUs } from '../src/store/wire-time.ts';
import { EVENT_STREAM_HEADERS, eagerEvents } from './event-stream.ts';
import { pokeStream } from './poke-stream.ts';
import {
  GONE_READER_MS,
  jsonResponse,
  logStoreFailure,
  MAX_WAITING_BYTES,
  randomBytes,
} from './store-answers.ts';
import { streamOf } from './streamed-body.ts';

export interface MessageFigures {
  messages: bigint;
  streams: bigint;
  lastActivityUs: number | undefined;
}

export class NamespaceMessages {
  readonly #store: MessageStore;
  readonly #feed: PokeFeed;
  #isClosed = false;

  /** @param pollMs how often to look for what others wrote, while somebody is subscribed; undefined: nobody else can */
  constructor(inner: MessageEngine, pollMs: number | undefined) {
    const engine = new WatchedEngine(inner, {
      wrote: (stream, last, count) => this.#feed.wrote(stream, last, count),
      imported: (rows) => this.#feed.imported(rows),
      moved: () => this.#feed.moved(),
      cleared: () => this.#feed.close(),
    });
    this.#store = new MessageStore(engine, { maxWaitingBytes: MAX_WAITING_BYTES });
    this.#feed = new PokeFeed({
      store: this.#store,
      timers: systemTimers,
      pollMs,
      onFailure: logStoreFailure,
    });
  }

  async count(): Promise<bigint> {
    return (await this.#store.info()).messages;
  }

  figures(): Promise<MessageFigures> {
    return storeFigures(this.#store);
  }

  /** Ends all subscriptions, and resolves once the writes under way are through. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#feed.close();
    await this.#store.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new SluiceError('unknown_namespace', 'The namespace is gone');
  }

  /** `POST /rpc`. */
  async rpc(request: Request): Promise<Response> {
    const { status, body } = await answerRpc(decodeUtf8(await request.arrayBuffer(), 'The request'), {
      store: async () => {
        // It may have been deleted while the request was read.
        this.#checkOpen();
        return this.#store;
      },
      namespaces: async () => {
        throw new SluiceError('internal', 'A namespace has no list of namespaces');
      },
      health: async () => ({}),
      onFailure: logStoreFailure,
      randomBytes,
    });
    return jsonResponse(typeof body === 'string' ? body : streamOf(body, logStoreFailure), status);
  }

  /** `GET /subscribe`. */
  async subscribe(query: URLSearchParams, lastEventId: string | null): Promise<Response> {
    const subscription = readSubscription(query, lastEventId);
    if (this.#feed.isFull) {
      // workerd tells of a reader that hung up only when something is sent to it. An EventSource that is refused gives up.
      this.#feed.keepAlive();
      await new Promise<void>((resolve) => systemTimers.after(GONE_READER_MS, resolve));
      this.#checkOpen();
    }
    const { body, started } = pokeStream(subscription.of, (sink) => this.#feed.subscribe(subscription, sink));
    try {
      await started;
    } catch (error) {
      // Where the database fails, the answer has ended: an EventSource connects again, which it does not after a refusal.
      if (isSluiceError(error) && error.code === 'checkpoint_ahead') throw error;
    }
    return new Response(body, { headers: EVENT_STREAM_HEADERS });
  }

  /** `POST /import`. */
  import(request: Request, query: URLSearchParams): Response {
    assertKnownNames(Object.fromEntries(query), ['token', 'force']);
    const chunks =
      request.body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
    const events = importLines(this.#store, chunks, { now: () => Date.now(), onFailure: logStoreFailure });
    return new Response(eagerEvents(events), { headers: EVENT_STREAM_HEADERS });
  }

  /** `GET /export`. */
  export(query: URLSearchParams): Response {
    assertKnownNames(Object.fromEntries(query), ['token', 'category', 'since', 'until']);
    const since = query.get('since');
    const until = query.get('until');
    const categories = query
      .getAll('category')
      .flatMap((names) => names.split(','))
      .filter((name) => name !== '');
    // Before the answer begins, so that it is a status.
    for (const name of categories) checkCategory(name);
    const lines = exportLines(this.#store, {
      categories,
      sinceUs: since === null ? undefined : parseTimeUs(since),
      untilUs: until === null ? undefined : parseTimeUs(until),
    });
    return new Response(streamOf(lines, logStoreFailure), {
      headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
    });
  }
}

/** @throws SluiceError `invalid_options` */
function readSubscription(query: URLSearchParams, lastEventId: string | null): Subscription {
  const given = Object.fromEntries(query);
  assertKnownNames(given, ['stream', 'category', 'all', 'position', 'consumer', 'size', 'imports', 'token']);
  for (const name of Object.keys(given))
    if (query.getAll(name).length > 1) throw invalid(`${name} is given more than once`);
  const { stream, category, all, consumer, size, imports = 'false' } = given;
  if (imports !== 'true' && imports !== 'false') throw invalid('imports must be true or false');
  const targets = [stream, category, all === 'true' ? 'all' : undefined].filter(
    (target) => target !== undefined,
  );
  if (targets.length !== 1 || targets[0] === '')
    throw invalid('exactly one of stream=<name>, category=<name> and all=true must be given');
  if ((consumer === undefined) !== (size === undefined))
    throw invalid('consumer and size must be given together');
  const position = integer('position', given.position);
  // The position of the last event that an EventSource has seen; its address still says where it began.
  const last = integer('Last-Event-ID', lastEventId === null || lastEventId === '' ? undefined : lastEventId);
  return {
    of: stream !== undefined ? { stream } : category !== undefined ? { category } : 'all',
    position: last !== undefined ? last + 1n : position,
    imports: imports === 'true',
    consumer:
      consumer === undefined
        ? undefined
        : { member: Number(integer('consumer', consumer)), size: Number(integer('size', size)) },
  };
}

function integer(name: string, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw invalid(`${name} must be a whole number from 0`);
  // Not as long as it may be: the platform takes long addresses, and a bigint of all of it would take long.
  const value = text.length > 32 ? MAX_POSITION + 1n : BigInt(text);
  if (value > MAX_POSITION)
    throw invalid(`${name} must be at most ${MAX_POSITION} (2^53 - 1), the largest position there can be`);
  return value;
}

function invalid(message: string): SluiceError {
  return new SluiceError('invalid_options', message);
}
