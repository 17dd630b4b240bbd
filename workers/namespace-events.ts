/** The events of a namespace: their store, and what `/read`, `/append` and `/events/subscribe` make of it. */

import { decodeUtf8 } from '../src/core/decode-utf8.ts';
import { isSluiceError, SluiceError } from '../src/core/errors.ts';
import { MAX_SUBSCRIBERS } from '../src/core/limits.ts';
import { systemTimers } from '../src/core/timers.ts';
import { textCodec } from '../src/events/codec.ts';
import type { EventEngine, EventRecord } from '../src/events/engine.ts';
import { RecentAppends } from '../src/events/engines/recent-appends.ts';
import { EventStore } from '../src/events/event-store.ts';
import { answerAppend, answerRead, checkResume, eventMessage } from '../src/events/http/answers.ts';
import { readRequest, subscribeRequest } from '../src/events/http/requests.ts';
import { Semaphore } from '../src/events/semaphore.ts';
import { EVENT_STREAM_HEADERS, type EventStream, streamFrom } from './event-stream.ts';
import { GONE_READER_MS, jsonResponse, logStoreFailure, MAX_WAITING_BYTES } from './store-answers.ts';
import { streamOf } from './streamed-body.ts';

/** What a subscriber holds in memory while its reader takes nothing: a page. A hundred of them share 128 MB with all else. */
const SUBSCRIPTION_PAGE_EVENTS = 200;
const SUBSCRIPTION_PAGE_BYTES = 128 * 1024;

/** Subscribers that may hold an event larger than that at the same time: as a record, as text and as bytes. */
const LARGE_EVENTS_AT_A_TIME = 12;

export interface NamespaceEventsOptions {
  /** How often to look for what others wrote, while somebody is subscribed; undefined: nobody else can. */
  pollMs: number | undefined;
  /** Opens the store: called once before the first use, and again where it failed. */
  prepare(): Promise<void>;
}

export class NamespaceEvents {
  readonly #options: NamespaceEventsOptions;
  // Group commit is per store: this one sees all appends of the namespace.
  readonly #store: EventStore<string>;
  readonly #streams = new Set<EventStream>();
  readonly #largePages = new Semaphore(LARGE_EVENTS_AT_A_TIME);
  #preparing: Promise<void> | undefined;
  #isClosed = false;

  constructor(engine: EventEngine, options: NamespaceEventsOptions) {
    this.#options = options;
    this.#store = new EventStore<string>(new RecentAppends(engine), {
      codec: textCodec,
      maxWaitingBytes: MAX_WAITING_BYTES,
      maxPageBytes: SUBSCRIPTION_PAGE_BYTES,
    });
  }

  /** How many events there are. */
  async count(): Promise<bigint> {
    return (await (await this.#prepared()).info()).events;
  }

  /** `GET /read`. */
  async read(params: URLSearchParams): Promise<Response> {
    const request = readRequest(params);
    const body = await answerRead(await this.#prepared(), request);
    return jsonResponse(
      typeof body === 'string' ? body : streamOf(body, (error) => this.#failed(error)),
      200,
    );
  }

  /** `POST /append`. */
  async append(request: Request): Promise<Response> {
    const text = decodeUtf8(await request.arrayBuffer(), 'The body');
    return jsonResponse(await answerAppend(await this.#prepared(), text), 200);
  }

  /** `GET /events/subscribe`. */
  async subscribe(params: URLSearchParams, lastEventId: string | null): Promise<Response> {
    const { query, after } = subscribeRequest(params, lastEventId);
    const store = await this.#prepared();
    try {
      await checkResume(store, { after });
    } catch (error) {
      // Where the database fails, the stream below says so by its end: an EventSource connects again, which it does not
      // after a refusal.
      if (isSluiceError(error) && error.code === 'checkpoint_ahead') throw error;
    }
    this.#checkOpen();
    if (this.#streams.size >= MAX_SUBSCRIBERS) {
      // workerd tells of a reader that hung up only when something is sent to it. An EventSource that is refused gives up.
      for (const stream of [...this.#streams]) stream.keepAlive();
      await new Promise<void>((resolve) => systemTimers.after(GONE_READER_MS, resolve));
      this.#checkOpen();
    }
    if (this.#streams.size >= MAX_SUBSCRIBERS) {
      throw new SluiceError(
        'too_many_subscribers',
        `There are ${MAX_SUBSCRIBERS} subscribers, which is as many as a namespace may have`,
        { details: { maxSubscribers: MAX_SUBSCRIBERS } },
      );
    }
    const ended = new AbortController();
    const records = store.subscribeRecords(query, {
      after,
      signal: ended.signal,
      pollMs: this.#options.pollMs,
      pageEvents: SUBSCRIPTION_PAGE_EVENTS,
      largePages: this.#largePages,
    });
    const stream = streamFrom(eventMessages(records), {
      timers: systemTimers,
      onFailure: (error) => this.#failed(error),
      onEnd: () => {
        ended.abort();
        this.#streams.delete(stream);
      },
    });
    this.#streams.add(stream);
    return new Response(stream.body, { headers: EVENT_STREAM_HEADERS });
  }

  /** Ends all subscriptions, and resolves once the appends under way are through. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) stream.end();
    await this.#store.close();
  }

  async #prepared(): Promise<EventStore<string>> {
    this.#preparing ??= this.#options.prepare().catch((error: unknown) => {
      this.#preparing = undefined;
      throw error;
    });
    await this.#preparing;
    // It may have been deleted while the request was read.
    this.#checkOpen();
    return this.#store;
  }

  #failed(error: unknown): void {
    // It is closed when the namespace is deleted.
    if (!this.#isClosed) logStoreFailure(error);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new SluiceError('unknown_namespace', 'The namespace is gone');
  }
}

async function* eventMessages(records: AsyncIterable<EventRecord>): AsyncGenerator<string, void, undefined> {
  for await (const record of records) yield eventMessage(record);
}
