/**
 * The message store: Message DB's streams, categories and consumer groups over an engine. All that a caller may do wrong is found here,
 * before anything is written; the engine gets checked input and JSON as text.
 */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { isSluiceError, SluiceError } from '../core/errors.ts';
import {
  DEFAULT_MAX_STORED_MESSAGE_BYTES,
  MAX_APPEND_GROUP_BYTES,
  MAX_APPEND_GROUP_MESSAGES,
  MAX_PAGE_BYTES,
  MAX_WAITING_BYTES,
  MAX_WAITING_MESSAGES,
  MAX_WRITE_BYTES,
  MAX_WRITE_MESSAGES,
} from '../core/limits.ts';
import { type RandomBytes, uuidV7 } from '../core/uuid.ts';
import { checkObject, countOption, invalidOptions } from '../store/options.ts';
import { PageSize } from '../store/page-size.ts';
import { readPages } from '../store/pages.ts';
import { StoreWrites } from '../store/store-writes.ts';
import type {
  AppendCommand,
  AppendVerdict,
  CategorySummary,
  ImportRow,
  MessageEngine,
  MessageRecord,
  StreamSummary,
} from './engine.ts';
import type { ExpectedVersion, ImportedMessage, Message, NewMessage, Written } from './message.ts';
import { checkStreamName, checkStreamWithId, nameFault } from './names.ts';
import {
  type CategoryFilter,
  type CategoryReadOptions,
  categoryRead,
  type ListOptions,
  nameList,
  type PageOptions,
  pageRead,
  type StreamReadOptions,
  type StreamStart,
  streamRead,
} from './read-options.ts';
import { withoutStored } from './repeated-import.ts';
import { type JsonEvent, type StreamEvent, TypedStream } from './typed-stream.ts';
import { importRow, newSum, streamAppend, type WriteLimits } from './write-command.ts';

export interface MessageStoreOptions {
  /** Milliseconds since 1970, for the ids that the store makes. Default: the platform's clock. */
  now?: () => number;
  /** Fills bytes with random ones, for the ids that the store makes. Default: the platform's. */
  randomBytes?: RandomBytes;
  /** Data and metadata of one message as UTF-8. Default: 1 MiB. */
  maxMessageBytes?: number;
  /** Messages of one write. Default: 10,000. */
  maxWriteMessages?: number;
  /** Text of one write, counted in UTF-16 code units: one byte each for ASCII, up to three for others. Default: 16 MiB. */
  maxWriteBytes?: number;
  /** Messages of one group of concurrent writes. Default: 5,000. */
  maxGroupMessages?: number;
  /** Text of one group of concurrent writes, counted like that of one write. Default: 4 MiB. */
  maxGroupBytes?: number;
  /** Messages that may wait while a group is written. Default: 100,000. */
  maxWaitingMessages?: number;
  /** Text that may wait while a group is written, counted like that of one write. Default: 64 MiB. */
  maxWaitingBytes?: number;
  /** Text that a page of an iteration is meant to hold, counted like that of one write. Default: 8 MiB. */
  maxPageBytes?: number;
}

/** Messages of one stream, as a part of a batch. */
export interface StreamWrite {
  stream: string;
  messages: NewMessage | readonly NewMessage[];
  expectedVersion?: ExpectedVersion;
}

export interface StoreInfo {
  messages: bigint;
  /** The last global position; 0 where there is none. */
  head: bigint;
}

/** What an import came to. */
export interface Imported {
  /** Messages that were written. */
  imported: number;
  /** Messages that were there already, the same at the same places. */
  repeated: number;
}

export class MessageStore {
  readonly #engine: MessageEngine;
  readonly #limits: WriteLimits;
  readonly #maxPageBytes: number;
  readonly #writes: StoreWrites<AppendCommand, AppendVerdict>;

  constructor(engine: MessageEngine, options: MessageStoreOptions = {}) {
    this.#engine = engine;
    this.#limits = {
      newId: uuidV7({
        now: options.now ?? (() => Date.now()),
        randomBytes: options.randomBytes ?? ((bytes) => crypto.getRandomValues(bytes)),
      }),
      maxMessageBytes: countOption(options, 'maxMessageBytes', DEFAULT_MAX_STORED_MESSAGE_BYTES),
      maxWriteMessages: countOption(options, 'maxWriteMessages', MAX_WRITE_MESSAGES),
      maxWriteBytes: countOption(options, 'maxWriteBytes', MAX_WRITE_BYTES),
    };
    this.#maxPageBytes = countOption(options, 'maxPageBytes', MAX_PAGE_BYTES);
    this.#writes = new StoreWrites('message store', (commands) => engine.append(commands), {
      maxGroupRows: countOption(options, 'maxGroupMessages', MAX_APPEND_GROUP_MESSAGES),
      maxGroupBytes: countOption(options, 'maxGroupBytes', MAX_APPEND_GROUP_BYTES),
      maxWaitingRows: countOption(options, 'maxWaitingMessages', MAX_WAITING_MESSAGES),
      maxWaitingBytes: countOption(options, 'maxWaitingBytes', MAX_WAITING_BYTES),
    });
  }

  /**
   * Writes one message or several to a stream: all of them or none.
   *
   * @returns the places of the last message
   * @throws SluiceError `version_conflict` (details: `stream`, `expectedVersion`, `actualVersion`), `duplicate_message_id`,
   * `invalid_stream_name`, `invalid_message`, `invalid_options`, `message_too_large`, `buffer_full`, `store_closed`
   */
  async write(
    stream: string,
    messages: NewMessage | readonly NewMessage[],
    options: { expectedVersion?: ExpectedVersion } = {},
  ): Promise<Written> {
    this.#writes.checkOpen();
    checkObject('options', options);
    const sum = newSum(this.#limits);
    const append = streamAppend(stream, messages, options.expectedVersion, sum);
    const verdict = await this.#writes.append({ appends: [append] }, sum.rows, sum.units);
    return endsOf(verdict)[0] as Written;
  }

  /**
   * Writes to several streams in one transaction and one round trip: all of it or nothing. A later part sees the ones before.
   *
   * @returns for each part the places of its last message
   * @throws as `write`
   */
  async writeBatch(writes: readonly StreamWrite[]): Promise<Written[]> {
    this.#writes.checkOpen();
    if (!Array.isArray(writes)) throw invalidOptions('A batch must be an array of writes', 'writes');
    const sum = newSum(this.#limits);
    const appends = writes.map((write: StreamWrite) => {
      checkObject('writes', write);
      return streamAppend(write.stream, write.messages, write.expectedVersion, sum);
    });
    if (appends.length === 0) return [];
    return endsOf(await this.#writes.append({ appends }, sum.rows, sum.units)).map((end) => ({ ...end }));
  }

  /**
   * Reads a stream in the order of its positions; empty where there is none.
   *
   * @throws SluiceError `invalid_stream_name` (also for a category), `invalid_options`, `store_closed`
   */
  async readStream(stream: string, options: StreamReadOptions = {}): Promise<Message[]> {
    return toMessages(await this.readStreamRecords(stream, options));
  }

  /** As `readStream`, with data and metadata as the JSON text that the engine holds. */
  async readStreamRecords(stream: string, options: StreamReadOptions = {}): Promise<MessageRecord[]> {
    this.#writes.checkOpen();
    return this.#engine.readStream(streamRead(stream, options));
  }

  /**
   * Reads a category, or all messages where it is empty, in the order of their global positions.
   *
   * @throws SluiceError `invalid_category` (also for a stream's name), `invalid_options`, `store_closed`
   */
  async readCategory(category: string, options: CategoryReadOptions = {}): Promise<Message[]> {
    return toMessages(await this.readCategoryRecords(category, options));
  }

  /** As `readCategory`, with data and metadata as the JSON text that the engine holds. */
  async readCategoryRecords(category: string, options: CategoryReadOptions = {}): Promise<MessageRecord[]> {
    this.#writes.checkOpen();
    return this.#engine.readCategory(categoryRead(category, options));
  }

  /** All messages of a stream from a place on, in memory for one page. Ends where the stream ends at the time of the last page. */
  async *iterateStream(
    stream: string,
    options: StreamStart & PageOptions = {},
  ): AsyncGenerator<Message, void, undefined> {
    const read = pageRead(streamRead(stream, options));
    // For the pages after the first, which go on by position: imports may have given a stream two different orders.
    const from = read.globalPosition ?? 0n;
    const page = (limit: number, last: MessageRecord | undefined) => {
      this.#writes.checkOpen();
      return this.#engine.readStream(
        last === undefined
          ? { ...read, limit }
          : { ...read, limit, position: last.position + 1n, globalPosition: null },
      );
    };
    yield* readPages(this.#pageSize(read), page, (record) =>
      record.globalPosition >= from ? toMessage(record) : undefined,
    );
  }

  /** All messages of a category from a place on, in memory for one page. Ends where the category ends at the time of the last page. */
  async *iterateCategory(
    category: string,
    options: CategoryFilter & PageOptions = {},
  ): AsyncGenerator<Message, void, undefined> {
    const read = pageRead(categoryRead(category, options));
    const page = (limit: number, last: MessageRecord | undefined) => {
      this.#writes.checkOpen();
      return this.#engine.readCategory(
        last === undefined
          ? { ...read, limit }
          : { ...read, limit, globalPosition: last.globalPosition + 1n },
      );
    };
    yield* readPages(this.#pageSize(read), page, toMessage);
  }

  #pageSize({ limit }: { limit: number }): PageSize {
    return new PageSize(limit, this.#maxPageBytes);
  }

  /**
   * The last message of a stream, or the last of a type; undefined where there is none.
   *
   * @throws SluiceError `invalid_stream_name`, `invalid_options`, `store_closed`
   */
  async last(stream: string, options: { type?: string } = {}): Promise<Message | undefined> {
    const record = await this.lastRecord(stream, options);
    return record === undefined ? undefined : toMessage(record);
  }

  /** As `last`, with data and metadata as the JSON text that the engine holds. */
  async lastRecord(stream: string, options: { type?: string } = {}): Promise<MessageRecord | undefined> {
    this.#writes.checkOpen();
    checkStreamName(stream);
    checkObject('options', options);
    const { type } = options;
    if (type !== undefined && nameFault(type) !== undefined)
      throw invalidOptions(`The type to look for ${nameFault(type)}`, 'type');
    return this.#engine.last(stream, type ?? null);
  }

  /**
   * Position of a stream's last message; undefined where there is none.
   *
   * @throws SluiceError `invalid_stream_name`, `store_closed`
   */
  async version(stream: string): Promise<bigint | undefined> {
    this.#writes.checkOpen();
    checkStreamName(stream);
    return this.#engine.version(stream);
  }

  /**
   * Streams in the byte order of their names.
   *
   * @throws SluiceError `invalid_options`, `store_closed`
   */
  async listStreams(options: ListOptions = {}): Promise<StreamSummary[]> {
    this.#writes.checkOpen();
    return this.#engine.listStreams(nameList(options));
  }

  /**
   * Categories in the byte order of their names.
   *
   * @throws SluiceError `invalid_options`, `store_closed`
   */
  async listCategories(options: ListOptions = {}): Promise<CategorySummary[]> {
    this.#writes.checkOpen();
    return this.#engine.listCategories(nameList(options));
  }

  /**
   * Writes messages at the places that they had elsewhere: all of them or none. Gaps are allowed. Later writes go on after the
   * highest places. A message that is stored already, the same at the same place, counts as done, so that an import that
   * ended early can be repeated.
   *
   * @throws SluiceError `position_exists` where a place or an id is taken by something else (details: `what`, `stream`, `position`), `invalid_stream_name`,
   * `invalid_message`, `message_too_large` (details: `index` of the message), `store_closed`
   */
  async import(messages: readonly ImportedMessage[]): Promise<Imported> {
    this.#writes.checkOpen();
    if (!Array.isArray(messages)) throw invalidOptions('An import must be an array of messages', 'messages');
    const sum = newSum(this.#limits);
    const rows = messages.map((message: ImportedMessage, index) => {
      try {
        return importRow(message, sum);
      } catch (error) {
        if (!isSluiceError(error)) throw error;
        const { code, details } = error;
        throw new SluiceError(code, error.message, { cause: error, details: { ...details, index } });
      }
    });
    return this.#writes.track(this.#import(rows));
  }

  async #import(rows: readonly ImportRow[]): Promise<Imported> {
    if (rows.length === 0) return { imported: 0, repeated: 0 };
    let left = rows;
    let verdict = await this.#engine.import(rows);
    if (verdict.kind === 'exists') {
      left = await withoutStored(this.#engine, rows);
      if (left.length === 0) verdict = { kind: 'imported' };
      else if (left.length < rows.length) verdict = await this.#engine.import(left);
    }
    if (verdict.kind === 'imported') return { imported: left.length, repeated: rows.length - left.length };
    const { what, stream, position } = verdict;
    throw new SluiceError(
      'position_exists',
      `${IMPORT_CONFLICTS[what]} of a message to be imported is taken (Stream: ${stream}, Position: ${position})`,
      { details: { what, stream, position: String(position) } },
    );
  }

  /** How many messages there are, and the last global position. @throws SluiceError `store_closed` */
  async info(): Promise<StoreInfo> {
    this.#writes.checkOpen();
    return this.#engine.info();
  }

  /** Deletes all messages and returns how many; positions begin again. @throws SluiceError `store_closed` */
  async clear(): Promise<bigint> {
    this.#writes.checkOpen();
    return this.#writes.track(this.#engine.clear());
  }

  /**
   * One stream, with types and, by a schema, with checked messages.
   *
   * @throws SluiceError `invalid_stream_name`, `Must be a stream name: …` where it is a category
   */
  stream<Input extends StreamEvent = JsonEvent, Output extends StreamEvent = Input>(
    name: string,
    schema?: StandardSchemaV1<Input, Output>,
  ): TypedStream<Input, Output> {
    checkStreamWithId(name);
    return new TypedStream<Input, Output>(this, name, schema);
  }

  /**
   * Refuses further calls with `store_closed`, and resolves once the writes, imports and deletions that were accepted have their
   * verdicts.
   */
  async close(): Promise<void> {
    await this.#writes.close();
  }
}

const IMPORT_CONFLICTS = {
  position: 'The position',
  global_position: 'The global position',
  id: 'The id',
} as const;

function endsOf(verdict: AppendVerdict): readonly Written[] {
  if (verdict.kind === 'written') return verdict.ends;
  if (verdict.kind === 'duplicate_id') {
    throw new SluiceError('duplicate_message_id', `There is a message with the id ${verdict.id} already`, {
      details: { id: verdict.id },
    });
  }
  const { stream } = verdict;
  const expectedVersion = versionText(verdict.expectedVersion);
  const actualVersion = versionText(verdict.actualVersion);
  throw new SluiceError(
    'version_conflict',
    `Wrong expected version: ${expectedVersion} (Stream: ${stream}, Stream Version: ${actualVersion})`,
    { details: { stream, expectedVersion, actualVersion } },
  );
}

function versionText(version: bigint): string {
  return version === -1n ? 'no-stream' : String(version);
}

function toMessages(records: readonly MessageRecord[]): Message[] {
  return records.map(toMessage);
}

/** A message as an engine returns it, with its JSON as values. */
export function toMessage(record: MessageRecord): Message {
  return {
    id: record.id,
    streamName: record.stream,
    type: record.type,
    position: record.position,
    globalPosition: record.globalPosition,
    data: JSON.parse(record.data),
    metadata: record.metadata === null ? null : JSON.parse(record.metadata),
    timeUs: record.timeUs,
  };
}
