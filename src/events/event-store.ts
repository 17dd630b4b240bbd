/**
 * The event store with dynamic consistency boundaries (dcb.events): events with tags in one order, and appends that are refused
 * where somebody else has appended what they depend on. All that a caller may do wrong is found here, before anything is
 * written; the engine gets checked input, and data as text.
 */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import {
  DEFAULT_MAX_EVENT_BYTES,
  DEFAULT_READ_EVENTS,
  MAX_APPEND_EVENTS,
  MAX_APPEND_GROUP_BYTES,
  MAX_APPEND_GROUP_MESSAGES,
  MAX_PAGE_BYTES,
  MAX_WAITING_BYTES,
  MAX_WAITING_MESSAGES,
  MAX_WRITE_BYTES,
} from '../core/limits.ts';
import { systemTimers, type Timers } from '../core/timers.ts';
import { checkObject, countOf, countOption } from '../store/options.ts';
import { PageSize } from '../store/page-size.ts';
import { readPages } from '../store/pages.ts';
import { StoreWrites } from '../store/store-writes.ts';
import { type AppendLimits, appendCommand } from './append-command.ts';
import { type EventCodec, jsonCodec, textCodec } from './codec.ts';
import type {
  AppendCommand,
  AppendCondition,
  AppendVerdict,
  EventEngine,
  EventRecord,
  ReadEvents,
} from './engine.ts';
import type {
  AppendConditionInput,
  Appended,
  NewEvent,
  QueryInput,
  ReadOptions,
  StoredEvent,
} from './event.ts';
import { type HeadReader, HeadTracker } from './head-tracker.ts';
import { eventIteration, eventRead, type IterateOptions } from './read-options.ts';
import type { Semaphore } from './semaphore.ts';
import { SingleFlight } from './single-flight.ts';

export interface EventStoreOptions<Data> {
  /** How data becomes text and back. Default: `jsonCodec`, for all that JSON can hold. */
  codec?: EventCodec<Data>;
  /** For the polls of subscriptions. Default: the platform's. */
  timers?: Timers;
  /** Data and metadata of one event as UTF-8. Default: 1 MiB. */
  maxEventBytes?: number;
  /** Events of one append. Default: 10,000. */
  maxAppendEvents?: number;
  /** Text of one append with its condition, counted in UTF-16 code units: one byte each for ASCII, up to three for others. Default: 16 MiB. */
  maxAppendBytes?: number;
  /** Events of one group of concurrent appends. Default: 5,000. */
  maxGroupEvents?: number;
  /** Text of one group of concurrent appends, counted like that of one append. Default: 4 MiB. */
  maxGroupBytes?: number;
  /** Events that may wait while a group is written. Default: 100,000. */
  maxWaitingEvents?: number;
  /** Text that may wait while a group is written, counted like that of one append. Default: 64 MiB. */
  maxWaitingBytes?: number;
  /** Text of a page of an iteration or a subscription, in bytes; the last event of a page may go beyond. Default: 8 MiB. */
  maxPageBytes?: number;
}

export interface SubscribeOptions {
  /** Exclusive lower bound. Default: 0, before the first event. It may lie beyond the last position. */
  after?: bigint;
  /** Ends the subscription: its loop is left without an error. */
  signal?: AbortSignal | undefined;
  /**
   * How often to look for what others have appended, in milliseconds; the store's own appends need no look. Default: never, which is
   * right only where nobody else writes.
   */
  pollMs?: number | undefined;
  /** Events of a page of history at most. Default: 1,000; fewer where they are large. */
  pageEvents?: number;
  /**
   * Shared by many subscriptions: a page of more than twice `maxPageBytes`, for its last event, acquires the semaphore until all of it
   * was taken. So only as many of these are in memory as the semaphore lets in. Default: no such bound.
   */
  largePages?: Semaphore | undefined;
}

export interface EventStoreInfo {
  events: bigint;
  /** The last position; 0 where there is none. */
  head: bigint;
}

/** Events of the first page of an iteration: most decisions are over with it. Its bytes are bounded by the engine. */
const FIRST_PAGE_EVENTS = 256;

export class EventStore<Data = unknown> {
  readonly #engine: EventEngine;
  readonly #codec: EventCodec<Data>;
  readonly #limits: AppendLimits;
  readonly #maxPageBytes: number;
  readonly #writes: StoreWrites<AppendCommand, AppendVerdict>;
  readonly #reads: SingleFlight;
  readonly #head: HeadTracker;

  constructor(engine: EventEngine, options: EventStoreOptions<Data> = {}) {
    checkObject('options', options);
    this.#engine = engine;
    this.#codec = options.codec ?? (jsonCodec as EventCodec<Data>);
    this.#limits = {
      maxEventBytes: countOption(options, 'maxEventBytes', DEFAULT_MAX_EVENT_BYTES),
      maxAppendEvents: countOption(options, 'maxAppendEvents', MAX_APPEND_EVENTS),
      maxAppendBytes: countOption(options, 'maxAppendBytes', MAX_WRITE_BYTES),
    };
    this.#maxPageBytes = countOption(options, 'maxPageBytes', MAX_PAGE_BYTES);
    this.#writes = new StoreWrites('event store', (commands) => engine.append(commands), {
      maxGroupRows: countOption(options, 'maxGroupEvents', MAX_APPEND_GROUP_MESSAGES),
      maxGroupBytes: countOption(options, 'maxGroupBytes', MAX_APPEND_GROUP_BYTES),
      maxWaitingRows: countOption(options, 'maxWaitingEvents', MAX_WAITING_MESSAGES),
      maxWaitingBytes: countOption(options, 'maxWaitingBytes', MAX_WAITING_BYTES),
    });
    this.#reads = new SingleFlight((read) => engine.read(read));
    this.#head = new HeadTracker(() => engine.head(), options.timers ?? systemTimers);
  }

  /**
   * Appends one event or several: all of them or none. With a condition, only if no event after `after` matches its query; that is
   * decided together with the append, whatever others append at the same time.
   *
   * Events with ids make the append repeatable: where all of the ids are stored already, the answer is the position of the last of
   * them with `isRepeated`, and the condition is not asked.
   *
   * @returns the position of the last event
   * @throws SluiceError `append_conflict` (details: `position` of the first event that matches, as a decimal text),
   * `duplicate_event_id` where some of the ids are stored and some are not (details: `id`), `invalid_event`, `invalid_query`,
   * `invalid_options`, `message_too_large`, `buffer_full`, `store_closed`
   */
  async append(
    events: NewEvent<string, Data> | readonly NewEvent<string, Data>[],
    condition?: AppendConditionInput,
  ): Promise<Appended> {
    return this.#append(events, condition, this.#codec);
  }

  /** As `append`, with data as the text that the engine will hold, whatever the codec. */
  async appendRecords(
    events: NewEvent<string, string> | readonly NewEvent<string, string>[],
    condition?: AppendConditionInput,
  ): Promise<Appended> {
    return this.#append(events, condition, textCodec);
  }

  /**
   * Events that match a query, in the order of their positions.
   *
   * @throws SluiceError `invalid_query`, `invalid_options`, `store_closed`, `invalid_event` where the codec cannot read an event
   * (details: `position`)
   */
  async read(query: QueryInput, options: ReadOptions = {}): Promise<StoredEvent<string, Data>[]> {
    const records = await this.readRecords(query, options);
    return records.map((record) => this.#event(record));
  }

  /** As `read`, with data and metadata as the text that the engine holds. */
  async readRecords(query: QueryInput, options: ReadOptions = {}): Promise<EventRecord[]> {
    this.#checkOpen();
    // A copy: others may have the same answer.
    return [...(await this.#reads.read(eventRead(query, options)))];
  }

  /**
   * All events that match a query, in memory for one page. Ends where the events end at the time of the last page.
   *
   * @throws as `read`, at once for the query and the options
   */
  iterate(
    query: QueryInput,
    options: IterateOptions = {},
  ): AsyncGenerator<StoredEvent<string, Data>, void, undefined> {
    this.#checkOpen();
    return this.#pages(eventIteration(query, options), (record) => this.#event(record));
  }

  /** As `iterate`, with data and metadata as the text that the engine holds. */
  iterateRecords(
    query: QueryInput,
    options: IterateOptions = {},
  ): AsyncGenerator<EventRecord, void, undefined> {
    this.#checkOpen();
    return this.#pages(eventIteration(query, options), asItIs);
  }

  /**
   * All events that match a query, and then those that are appended from then on: each once, in the order of their positions, without
   * a gap between the two. It never ends by itself; `signal` ends it. The next page is read when the last event of the page
   * before was taken, so a slow reader costs no memory.
   *
   * @throws SluiceError as `read`, at once for the query and the options; `store_closed` once the store is closed or cleared; what the
   * database fails with. To go on, subscribe with the position of the last event as `after`.
   */
  subscribe(
    query: QueryInput,
    options: SubscribeOptions = {},
  ): AsyncGenerator<StoredEvent<string, Data>, void, undefined> {
    return this.#subscribe(query, options, (record) => this.#event(record));
  }

  /** As `subscribe`, with data and metadata as the text that the engine holds. */
  subscribeRecords(
    query: QueryInput,
    options: SubscribeOptions = {},
  ): AsyncGenerator<EventRecord, void, undefined> {
    return this.#subscribe(query, options, asItIs);
  }

  /** The last position; 0 where there is none. @throws SluiceError `store_closed` */
  async head(): Promise<bigint> {
    this.#checkOpen();
    return this.#engine.head();
  }

  /** How many events there are, and the last position: positions have no gaps. @throws SluiceError `store_closed` */
  async info(): Promise<EventStoreInfo> {
    const head = await this.head();
    return { events: head, head };
  }

  /**
   * Deletes all events and returns how many; positions begin again. Subscriptions end with `store_closed`.
   *
   * @throws SluiceError `store_closed`
   */
  async clear(): Promise<bigint> {
    this.#checkOpen();
    try {
      return await this.#writes.track(this.#engine.clear());
    } finally {
      this.#head.cleared();
    }
  }

  /**
   * Refuses further calls with `store_closed`, which also ends subscriptions and iterations, and resolves once the appends and
   * deletions that were accepted have their verdicts.
   */
  async close(): Promise<void> {
    // First: what a reader is told must be that the store is closed.
    const closed = this.#writes.close();
    this.#head.close();
    await closed;
  }

  #checkOpen(): void {
    this.#writes.checkOpen();
  }

  async #append<Value>(
    events: NewEvent<string, Value> | readonly NewEvent<string, Value>[],
    condition: AppendConditionInput | undefined,
    codec: EventCodec<Value>,
  ): Promise<Appended> {
    this.#checkOpen();
    const { command, units } = appendCommand(events, condition, codec, this.#limits);
    const { generation } = this.#head;
    let verdict: AppendVerdict;
    try {
      verdict = await this.#writes.append(command, command.events.length, units);
    } catch (error) {
      // A commit whose answer got lost may have happened. What was refused while it waited was not even sent.
      if (!isSluiceError(error) || error.code !== 'buffer_full') this.#head.mayHaveMoved();
      throw error;
    }
    if (verdict.kind !== 'appended') throw refusal(verdict, command.condition);
    this.#head.appended(verdict.position, generation);
    return { position: verdict.position, isRepeated: verdict.isRepeated };
  }

  #event(record: EventRecord): StoredEvent<string, Data> {
    return toEvent(record, this.#codec);
  }

  #subscribe<Event>(
    query: QueryInput,
    options: SubscribeOptions,
    toEvent: (record: EventRecord) => Event,
  ): AsyncGenerator<Event, void, undefined> {
    this.#checkOpen();
    checkObject('options', options);
    const { after = 0n, signal, pollMs, pageEvents = DEFAULT_READ_EVENTS, largePages } = options;
    const read = eventRead(query, { after });
    if (pollMs !== undefined) countOf('pollMs', pollMs);
    read.limit = countOf('pageEvents', pageEvents);
    return this.#follow(read, this.#head.reader(signal, pollMs), largePages, toEvent);
  }

  #pages<Event>(
    read: ReadEvents,
    toEvent: (record: EventRecord) => Event,
  ): AsyncGenerator<Event, void, undefined> {
    const size = new PageSize(read.limit, this.#maxPageBytes, FIRST_PAGE_EVENTS);
    return readPages(
      size,
      (limit, last) => {
        this.#checkOpen();
        if (last !== undefined) {
          if (read.backwards) read.before = last.position;
          else read.after = last.position;
        }
        return this.#reads.read({ ...read, limit, maxBytes: this.#maxPageBytes });
      },
      toEvent,
      (page, limit) => size.isLast(page, limit),
    );
  }

  async *#follow<Event>(
    read: ReadEvents,
    reader: HeadReader,
    largePages: Semaphore | undefined,
    toEvent: (record: EventRecord) => Event,
  ): AsyncGenerator<Event, void, undefined> {
    const size = new PageSize(read.limit, this.#maxPageBytes);
    let position = read.after;
    for (;;) {
      // All events up to a head that was seen are there, because positions are in the order of commits.
      const head = await reader.headBeyond(position);
      if (head === undefined) return;
      while (position < head) {
        const limit = size.messages;
        const page = { ...read, after: position, before: head + 1n, limit, maxBytes: this.#maxPageBytes };
        let records = await this.#reads.read(page);
        let release: (() => void) | undefined;
        if (largePages !== undefined && size.isTooLarge(records)) {
          release = largePages.tryAcquire();
          if (release === undefined) {
            // Not kept while it waits: readers of what is small never wait.
            records = [];
            release = await largePages.acquire();
          }
        }
        try {
          if (!reader.goesOn()) return;
          if (release !== undefined && records.length === 0) records = await this.#reads.read(page);
          size.learn(records);
          for (const record of records) {
            if (!reader.goesOn()) return;
            yield toEvent(record);
          }
          if (!reader.goesOn()) return;
          position = size.isLast(records, limit) ? head : (records.at(-1)?.position ?? head);
        } finally {
          release?.();
        }
      }
    }
  }
}

/** An event as an engine returns it, with its data as the codec reads it. @throws SluiceError `invalid_event` (details: `position`) */
export function toEvent<Data>(record: EventRecord, codec: EventCodec<Data>): StoredEvent<string, Data> {
  const { position, type, tags, metadata, id, timeUs } = record;
  let data: Data;
  try {
    data = codec.read(record.data);
  } catch (error) {
    throw new SluiceError(
      'invalid_event',
      `The data of the event at position ${position} cannot be read by this store's codec: ${errorText(error)}`,
      { cause: error, details: { position: String(position) } },
    );
  }
  return {
    position,
    type,
    tags,
    data,
    metadata: metadata === null ? null : JSON.parse(metadata),
    id: id ?? undefined,
    timeUs,
  };
}

function refusal(
  verdict: Exclude<AppendVerdict, { kind: 'appended' }>,
  condition: AppendCondition | null,
): SluiceError {
  if (verdict.kind === 'duplicate_id') {
    return new SluiceError(
      'duplicate_event_id',
      `Some of the events are stored already, but not all of them: ${verdict.id} is. An append is repeated with the same events`,
      { details: { id: verdict.id } },
    );
  }
  const position = String(verdict.position);
  const after = condition?.after ?? 0n;
  return new SluiceError(
    'append_conflict',
    // After `after`, and not after the event: one who reads on from the event has not seen it.
    `The event at position ${position} matches the append's condition: read again what comes after position ${after}, and decide again`,
    { details: { position } },
  );
}

function asItIs(record: EventRecord): EventRecord {
  return record;
}
