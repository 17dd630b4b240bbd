/**
 * One stream with types: what is written to it and read from it is of a union of `{ type, data }`, checked by the
 * compiler and, where there is a schema, at run time too.
 *
 * A schema is whatever implements Standard Schema (zod, valibot, arktype, …). The store keeps what was written, the
 * schema's input, and reading gives the schema's output: a transformation runs once at each reading, and may be
 * changed without changing what is stored.
 */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { SluiceError } from '../core/errors.ts';
import { hasUnevenNumber, JsonText } from '../store/exact-numbers.ts';
import type { ExpectedVersion, JsonValue, Message, NewMessage, Written } from './message.ts';

/** What the messages of a stream look like: usually a union that `type` tells apart. */
export interface StreamEvent {
  type: string;
  data?: unknown;
  metadata?: unknown;
}

/** Messages of a stream that nobody has described. */
export interface JsonEvent {
  type: string;
  data?: JsonValue;
  metadata?: JsonValue;
}

/** An event on its way into the store. */
export type NewEvent<Event extends StreamEvent> = Event & {
  /** A UUID; made (version 7) where there is none. */
  id?: string;
};

/** An event as it is read: one message type for each member of the union, so that `type` tells its data. */
export type EventMessage<Event extends StreamEvent> = Event extends StreamEvent
  ? Omit<Message<Event['type'], DataOf<Event>>, 'metadata'> & { metadata: MetadataOf<Event> }
  : never;

type DataOf<Event> = 'data' extends keyof Event ? Exclude<Event['data'], undefined> : JsonValue;
// Who need not give metadata reads null where there are none.
type MetadataOf<Event> = 'metadata' extends keyof Event
  ? undefined extends Event['metadata']
    ? Exclude<Event['metadata'], undefined> | null
    : Event['metadata']
  : JsonValue;

/** The members of the union that are of a type. */
export type EventOfType<Event extends StreamEvent, Type extends Event['type']> = Event extends StreamEvent
  ? Type extends Event['type']
    ? Event & { type: Type }
    : never
  : never;

export interface ReadEvents {
  /** Where to begin: a place in the stream, inclusive. Default: 0. */
  position?: bigint;
  /** The same as a place among all messages; not together with `position`. */
  globalPosition?: bigint;
  /** The most messages, or, for `iterate`, how many are read at once. Default: 1,000. */
  batchSize?: number | 'unlimited';
}

/** What a typed stream needs of the store. */
export interface StreamAccess {
  write(
    stream: string,
    messages: NewMessage | readonly NewMessage[],
    options?: { expectedVersion?: ExpectedVersion },
  ): Promise<Written>;
  readStream(stream: string, options?: ReadEvents): Promise<Message[]>;
  iterateStream(stream: string, options?: IterateEvents): AsyncIterable<Message>;
  last(stream: string, options?: { type?: string }): Promise<Message | undefined>;
  version(stream: string): Promise<bigint | undefined>;
}

export interface IterateEvents extends ReadEvents {
  batchSize?: number;
}

/** Issues that an error lists; a schema may find one in each element of a long array. */
const MAX_ISSUES = 100;

/** A problem that a schema found. */
export interface SchemaIssue {
  message: string;
  /** Where in `{ type, data, metadata }`. */
  path: readonly (string | number)[];
}

/**
 * @typeParam Input what is written
 * @typeParam Output what is read: the same, unless the schema transforms it
 */
export class TypedStream<Input extends StreamEvent, Output extends StreamEvent = Input> {
  readonly name: string;
  readonly #store: StreamAccess;
  readonly #schema: StandardSchemaV1<Input, Output> | undefined;

  constructor(store: StreamAccess, name: string, schema?: StandardSchemaV1<Input, Output>) {
    this.name = name;
    this.#store = store;
    this.#schema = schema;
  }

  /**
   * Writes one event, or several: all or none.
   *
   * The schema sees what would be read back: the event as JSON, with `data` an empty object where there is none, and
   * with `metadata` where there is some. So an event that it would refuse at reading is refused here, and what was
   * written can be read.
   *
   * With a schema that answers asynchronously, writes that are not awaited one after the other may change places.
   *
   * @throws SluiceError `invalid_message` where the schema refuses one of them; `details.issues` says why, and
   *   `details.index` which. Nothing is written then. Otherwise what `MessageStore.write` throws
   */
  write(
    events: NewEvent<Input> | readonly NewEvent<Input>[],
    options: { expectedVersion?: ExpectedVersion } = {},
  ): Promise<Written> {
    if (this.#schema === undefined) {
      return this.#store.write(this.name, events as NewMessage | readonly NewMessage[], options);
    }
    return this.#validateAndWrite(Array.isArray(events) ? events : [events], options);
  }

  async #validateAndWrite(
    events: readonly NewEvent<Input>[],
    options: { expectedVersion?: ExpectedVersion },
  ): Promise<Written> {
    const messages: NewMessage[] = [];
    for (const [index, event] of events.entries()) {
      const { message, seen } = this.#stored(event, index);
      const { type, data, metadata } = seen;
      const found = (this.#schema as StandardSchemaV1)['~standard'].validate(
        metadata === undefined || metadata === null ? { type, data } : { type, data, metadata },
      );
      // Nothing is awaited where nothing has to be: writes with a synchronous schema keep their order.
      const result = found instanceof Promise ? await found : found;
      if (result.issues !== undefined) {
        throw refused(`Message ${index} for ${this.name} is not as its schema says`, result.issues, {
          stream: this.name,
          index,
        });
      }
      messages.push(message);
    }
    return this.#store.write(this.name, messages, options);
  }

  // Copies, which nobody changes while an asynchronous schema looks at one: as it is stored, with the digits of raw
  // numbers (JSON.rawJSON), and as the schema sees it, which is how it comes back from the database.
  #stored(event: NewEvent<Input>, index: number): { message: NewMessage; seen: NewMessage } {
    if (typeof event !== 'object' || event === null) {
      throw new SluiceError('invalid_message', `Message ${index} for ${this.name} is not an object`, {
        details: { stream: this.name, index },
      });
    }
    const { id, type, data, metadata } = event;
    const head = { ...(id === undefined ? {} : { id }), type };
    const dataCopy = data === undefined ? { stored: {}, seen: {} } : this.#asJson(data, 'data', index);
    if (metadata === undefined)
      return { message: { ...head, data: dataCopy.stored }, seen: { ...head, data: dataCopy.seen } };
    const metadataCopy = this.#asJson(metadata, 'metadata', index);
    return {
      message: { ...head, data: dataCopy.stored, metadata: metadataCopy.stored },
      seen: { ...head, data: dataCopy.seen, metadata: metadataCopy.seen },
    };
  }

  #asJson(value: unknown, part: string, index: number): { stored: JsonValue; seen: JsonValue } {
    let text: string | undefined;
    let cause: unknown;
    try {
      text = JSON.stringify(value, refuseNonFinite);
    } catch (error) {
      cause = error;
    }
    if (text === undefined) {
      throw new SluiceError(
        'invalid_message',
        `The ${part} of message ${index} for ${this.name} is not JSON`,
        {
          cause,
          details: { stream: this.name, index },
        },
      );
    }
    const seen = JSON.parse(text) as JsonValue;
    const stored = hasUnevenNumber(text) ? (new JsonText(text) as unknown as JsonValue) : seen;
    return { stored, seen };
  }

  /**
   * Reads events in the order of the stream.
   *
   * @throws SluiceError `invalid_message` where the schema refuses a stored message; `details` has its `position` and
   *   the `issues`. Otherwise what `MessageStore.readStream` throws
   */
  async read(options: ReadEvents = {}): Promise<EventMessage<Output>[]> {
    const messages = await this.#store.readStream(this.name, options);
    if (this.#schema === undefined) return messages as unknown as EventMessage<Output>[];
    const events: EventMessage<Output>[] = [];
    for (const message of messages) events.push(await this.#parsed(message));
    return events;
  }

  /**
   * Reads the whole stream, or its rest, in pages of `batchSize`, so that memory is bounded whatever its length.
   *
   * @throws like `read`; the events before the refused one were given
   */
  async *iterate(options: IterateEvents = {}): AsyncGenerator<EventMessage<Output>, void, undefined> {
    for await (const message of this.#store.iterateStream(this.name, options)) {
      yield await this.#parsed(message);
    }
  }

  /**
   * The last event, or the last of a type; undefined where there is none.
   *
   * @throws like `read`
   */
  async last<Type extends Output['type'] = Output['type']>(
    options: { type?: Type } = {},
  ): Promise<EventMessage<EventOfType<Output, Type>> | undefined> {
    const message = await this.#store.last(this.name, options);
    if (message === undefined) return undefined;
    return (await this.#parsed(message)) as EventMessage<EventOfType<Output, Type>>;
  }

  /** Position of the last message; undefined where there is none. */
  version(): Promise<bigint | undefined> {
    return this.#store.version(this.name);
  }

  async #parsed(message: Message): Promise<EventMessage<Output>> {
    if (this.#schema === undefined) return message as unknown as EventMessage<Output>;
    const { type, data, metadata, position, globalPosition, id } = message;
    const found = this.#schema['~standard'].validate(
      metadata === null ? { type, data } : { type, data, metadata },
    );
    const result = found instanceof Promise ? await found : found;
    if (result.issues !== undefined) {
      throw refused(
        `The message at position ${position} of ${this.name} is not as the schema says`,
        result.issues,
        {
          stream: this.name,
          position: String(position),
          globalPosition: String(globalPosition),
          id,
        },
      );
    }
    // What the schema leaves out stays as it was stored.
    return { ...message, ...definedParts(result.value) } as unknown as EventMessage<Output>;
  }
}

// JSON.stringify would write null, and the schema be asked about that.
function refuseNonFinite(_key: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new TypeError(`${value} is not JSON number`);
  return value;
}

function definedParts({ type, data, metadata }: StreamEvent): StreamEvent {
  return {
    type,
    ...(data === undefined ? {} : { data }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

function refused(
  what: string,
  found: readonly StandardSchemaV1.Issue[],
  details: Record<string, unknown>,
): SluiceError {
  const issues = found.slice(0, MAX_ISSUES).map(issueOf);
  const [first] = issues;
  const place = first === undefined || first.path.length === 0 ? '' : `${first.path.join('.')}: `;
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : '';
  return new SluiceError(
    'invalid_message',
    `${what}: ${place}${first?.message ?? 'no reason given'}${more}`,
    {
      details: { ...details, issues },
    },
  );
}

// A path's keys may be symbols or objects around keys; details have to fit into JSON.
function issueOf({ message, path = [] }: StandardSchemaV1.Issue): SchemaIssue {
  return {
    message,
    path: path.map((step) => {
      const key = typeof step === 'object' ? step.key : step;
      return typeof key === 'number' ? key : String(key);
    }),
  };
}
