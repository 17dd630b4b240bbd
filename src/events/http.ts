/**
 * The event store over HTTP, without HTTP: reads what a request says and writes what an answer does, in the JSON shapes
 * of the DCB specification (dcb.events). Beyond them an event may have `id` and `metadata`, and a sequenced event has
 * `time`. Positions are numbers of JSON: they stay below 2^53.
 *
 * Names that mean nothing are refused everywhere: `tag` for `tags`, passed over, would widen a query or a condition.
 */

import { type ErrorCode, errorText, httpStatus, isSluiceError, SluiceError } from '../core/errors.ts';
import { elementsOf, memberOf } from '../core/json-parts.ts';
import {
  MAX_APPEND_BODY_VALUES,
  MAX_HTTP_QUERY_CHARACTERS,
  MAX_NESTING_DEPTH,
  MAX_READ_ANSWER_PAGE_BYTES,
} from '../core/limits.ts';
import { failureText } from '../messages/rpc.ts';
import {
  checkJson,
  JSON_ESCAPED,
  JSON_LONE_SURROGATE,
  JSON_NUL,
  JSON_NUMBER_OUT_OF_RANGE,
  JSON_PLAIN,
  JSON_TOO_DEEP,
} from '../protocol/check-json.ts';
import { compactJson, hasUnevenNumber, JsonText } from '../store/exact-numbers.ts';
import { PageSize } from '../store/page-size.ts';
import { formatTimeUs } from '../store/wire-time.ts';
import type { EventRecord } from './engine.ts';
import type { AppendConditionInput, Appended, NewEvent, QueryInput, ReadOptions } from './event.ts';

/** What the HTTP side asks of a store: an `EventStore` whose data is text that it does not look into. */
export interface TextEventStore {
  append(
    events: NewEvent<string, string> | readonly NewEvent<string, string>[],
    condition?: AppendConditionInput,
  ): Promise<Appended>;
  readRecords(query: QueryInput, options?: ReadOptions): Promise<EventRecord[]>;
  head(): Promise<bigint>;
}

/** `GET /read`. */
export interface ReadRequest {
  query: QueryInput;
  after: bigint;
  before: bigint | undefined;
  backwards: boolean;
  /** Undefined: all. */
  limit: number | undefined;
}

/** `POST /append`. */
export interface AppendRequest {
  events: NewEvent<string, string> | readonly NewEvent<string, string>[];
  condition: AppendConditionInput | undefined;
}

/** `GET /events/subscribe`. */
export interface SubscribeRequest {
  query: QueryInput;
  /** Exclusive. */
  after: bigint;
}

/** Events that an answer holds in memory at a time; fewer where they are large. */
const PAGE_EVENTS = 1_000;

/** A body below it takes little memory however it is made. */
const SMALL_BODY_CHARACTERS = 64 * 1024;

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads `?query=…&options=…`.
 *
 * @param params the address's; a `token` is passed over
 * @throws SluiceError `invalid_query`, `invalid_options`
 */
export function readRequest(params: URLSearchParams): ReadRequest {
  const given = paramsOf(params, ['query', 'options', 'token']);
  const options = optionsOf(given.options);
  const { backwards = null } = options;
  if (backwards !== null && typeof backwards !== 'boolean')
    throw invalidOption('options.backwards', 'true or false', backwards);
  const limit = wholeNumber('options.limit', options.limit, 1);
  return {
    query: queryOf(given.query),
    after: BigInt(wholeNumber('options.after', options.after, 0) ?? 0),
    before: positionOf(wholeNumber('options.before', options.before, 0)),
    backwards: backwards ?? false,
    limit,
  };
}

/**
 * Reads `?query=…&after=…` and the header `Last-Event-ID`, which an `EventSource` sends when it connects again with the
 * address that it began with.
 *
 * @throws SluiceError `invalid_query`, `invalid_options`
 */
export function subscribeRequest(params: URLSearchParams, lastEventId: string | null): SubscribeRequest {
  const given = paramsOf(params, ['query', 'after', 'token']);
  const after = positionText('after', given.after);
  const last = positionText('Last-Event-ID', lastEventId ?? undefined);
  return { query: queryOf(given.query), after: last ?? after ?? 0n };
}

/**
 * Refuses a subscription that would go on beyond the end: it would pass over what comes next in silence, for as many as
 * there were before.
 *
 * @throws SluiceError `checkpoint_ahead` (details: `position`, `head`)
 */
export async function checkResume(
  store: Pick<TextEventStore, 'head'>,
  { after }: Pick<SubscribeRequest, 'after'>,
): Promise<void> {
  if (after === 0n) return;
  const head = await store.head();
  if (after <= head) return;
  throw new SluiceError(
    'checkpoint_ahead',
    `The last event is at position ${head}, and the subscription would go on after ${after}: the store was cleared or restored. Begin after a position that it has`,
    { details: { position: String(after), head: String(head) } },
  );
}

/**
 * Reads the body of an append: `{"events":[…],"condition":{"failIfEventsMatch":…,"after":…}}`. A single event may stand
 * for a list of one. What queries hold, and the texts of an event, the store checks.
 *
 * @throws SluiceError `invalid_json`, `nul_character`, `lone_surrogate`, `number_out_of_range`, `nesting_too_deep`,
 * `message_too_large`, `invalid_event`, `invalid_query`, `invalid_options`
 */
export function appendRequest(text: string): AppendRequest {
  const body = bodyOf(text);
  if (!isObject(body))
    throw new SluiceError('invalid_options', 'The body must be an object: {"events":[…],"condition":{…}}');
  assertNames(body, ['events', 'condition'], '', 'invalid_options');
  const { events, condition = null } = body;
  // With the digits that were sent, for the metadata; what is checked are values.
  const sent = hasUnevenNumber(text) ? sentEvents(text) : undefined;
  if (events === undefined || events === null)
    throw new SluiceError(
      'invalid_event',
      'The body has no events: {"events":[{"type":…,"data":…,"tags":[…]}]}',
    );
  return {
    events: Array.isArray(events)
      ? events.map((event: unknown, index) => eventOf(event, sent?.[index], `events[${index}]`))
      : eventOf(events, sent?.[0], 'events'),
    condition: condition === null ? undefined : conditionOf(condition),
  };
}

/**
 * Appends what a body asks for.
 *
 * @returns JSON text: `position` of the last event, and `isRepeated` where these ids were there already
 * @throws SluiceError as `appendRequest` and `EventStore.append`
 */
export async function answerAppend(store: TextEventStore, text: string): Promise<string> {
  const { events, condition } = appendRequest(text);
  const { position, isRepeated } = await store.append(events, condition);
  return `{"position":${position},"isRepeated":${isRepeated}}`;
}

/**
 * Reads what a request asks for, as an array of sequenced events.
 *
 * @returns JSON text; in pieces where it is longer than a page, each read when it is asked for. It ends with what was
 * there when the first page was read, however fast others append.
 * @throws SluiceError as `EventStore.read`, before the first piece
 */
export async function answerRead(
  store: TextEventStore,
  { query, after, before, backwards, limit }: ReadRequest,
): Promise<string | AsyncIterable<string>> {
  const size = new PageSize(PAGE_EVENTS, MAX_READ_ANSWER_PAGE_BYTES);
  let left = limit ?? Number.POSITIVE_INFINITY;
  let lower = after;
  let upper = before;
  const nextPage = async (): Promise<{ records: EventRecord[]; isLast: boolean }> => {
    const wanted = Math.min(left, size.messages);
    const records = await store.readRecords(query, {
      after: lower,
      ...(upper === undefined ? {} : { before: upper }),
      backwards,
      limit: wanted,
      maxBytes: MAX_READ_ANSWER_PAGE_BYTES,
    });
    size.learn(records);
    left -= records.length;
    const last = records.at(-1);
    if (last !== undefined) {
      if (backwards) upper = last.position;
      else lower = last.position;
    }
    return { records, isLast: left <= 0 || size.isLast(records, wanted) };
  };

  // Before the answer begins, so that what is wrong with the request is a status.
  const first = await nextPage();
  const firstText = first.records.map(sequencedEvent).join(',');
  if (first.isLast) return `[${firstText}]`;
  if (!backwards && upper === undefined) upper = (await store.head()) + 1n;
  return (async function* () {
    yield `[${firstText}`;
    for (;;) {
      const { records, isLast } = await nextPage();
      if (records.length > 0) yield `,${records.map(sequencedEvent).join(',')}`;
      if (isLast) break;
    }
    yield ']';
  })();
}

/**
 * A sequenced event as JSON, on one line.
 *
 * @throws SluiceError `invalid_event` where others wrote metadata that is no JSON
 */
export function sequencedEvent({ position, id, type, tags, data, metadata, timeUs }: EventRecord): string {
  const event = [
    `"type":${JSON.stringify(type)}`,
    `"data":${JSON.stringify(data)}`,
    `"tags":${JSON.stringify(tags)}`,
  ];
  if (id !== null) event.push(`"id":"${id}"`);
  if (metadata !== null) event.push(`"metadata":${onOneLine(metadata, position)}`);
  return `{"event":{${event.join(',')}},"position":${position},"time":"${formatTimeUs(timeUs)}"}`;
}

/** A sequenced event as one of Server-Sent Events. By its `id`, an `EventSource` that connects again says where it was. */
export function eventMessage(record: EventRecord): string {
  return `event: event\ndata: ${sequencedEvent(record)}\nid: ${record.position}\n\n`;
}

// What others wrote into a column of text is not of our making; spliced in unseen, it could break the answer in two.
function onOneLine(metadata: string, position: bigint): string {
  if (checkJson(metadata) === JSON_PLAIN) return metadata;
  try {
    JSON.parse(metadata);
  } catch (error) {
    throw new SluiceError('invalid_event', `The metadata of the event at position ${position} is no JSON`, {
      details: { position: String(position) },
      cause: error,
    });
  }
  // Between tokens only: within a text JSON writes them as escapes.
  return metadata.replaceAll(/[\r\n]/g, ' ');
}

/**
 * What a caller is told of an error. Whoever has a token is a tenant: what databases say goes to the log.
 *
 * @param onFailure told of what the caller is not
 */
export function httpErrorOf(error: unknown, onFailure: (error: unknown) => void): SluiceError {
  if (!isSluiceError(error)) {
    onFailure(error);
    return new SluiceError('internal', failureText(error));
  }
  // What the caller asked for, and no failure.
  if (error.code !== 'checkpoint_ahead' && httpStatus(error.code) >= 500) {
    onFailure(error);
    return new SluiceError(error.code, failureText(error));
  }
  const { position, head } = error.details;
  if (typeof position !== 'string') return error;
  return new SluiceError(error.code, error.message, {
    details: {
      ...error.details,
      position: Number(position),
      ...(typeof head === 'string' ? { head: Number(head) } : {}),
    },
  });
}

function queryOf(text: string | undefined): QueryInput {
  if (text === undefined || text === '')
    throw new SluiceError(
      'invalid_query',
      'A query is missing: ?query={"items":[{"types":[…],"tags":[…]}]}, or ?query="all"',
    );
  // As a word too: quotes are awkward in an address.
  return text === 'all' ? 'all' : (parsed('query', text, 'invalid_query') as QueryInput);
}

function conditionOf(value: unknown): AppendConditionInput {
  if (!isObject(value))
    throw new SluiceError('invalid_options', `condition must be an object, and ${shown(value)}`);
  assertNames(value, ['failIfEventsMatch', 'after'], 'condition', 'invalid_options');
  const failIfEventsMatch = value.failIfEventsMatch as QueryInput;
  const after = positionOf(wholeNumber('condition.after', value.after, 0));
  return after === undefined ? { failIfEventsMatch } : { failIfEventsMatch, after };
}

/** The texts of the events of a body. */
function sentEvents(text: string): string[] {
  const events = memberOf(text, 'events') ?? '[]';
  return elementsOf(events) ?? [events];
}

/** @param sent its text, where its numbers might not be those of the value */
function eventOf(value: unknown, sent: string | undefined, path: string): NewEvent<string, string> {
  if (!isObject(value))
    throw new SluiceError('invalid_event', `${path} must be an object, and ${shown(value)}`);
  assertNames(value, ['type', 'data', 'tags', 'id', 'metadata'], path, 'invalid_event');
  const { type, data } = value;
  if (typeof type !== 'string')
    throw new SluiceError('invalid_event', `${path}.type must be a text, and ${shown(type)}`);
  // An object would have to be written anew, and what is stored would not be what was sent.
  if (typeof data !== 'string')
    throw new SluiceError(
      'invalid_event',
      `${path}.data must be a text, and ${shown(data)}; write JSON as a text`,
    );
  const event: Record<string, unknown> = { type, data };
  for (const name of ['tags', 'id', 'metadata'] as const) {
    // Clients write null for what they leave out.
    if (value[name] !== undefined && value[name] !== null) event[name] = value[name];
  }
  if (isObject(value.metadata) && sent !== undefined)
    event.metadata = new JsonText(compactJson(memberOf(sent, 'metadata') ?? '{}', refuseInfinite));
  return event as unknown as NewEvent<string, string>;
}

function refuseInfinite(source: string): never {
  throw new SluiceError(
    'number_out_of_range',
    `The body has the number ${source.slice(0, 100)}, which is an infinity to most readers; write it as a text`,
  );
}

function paramsOf(params: URLSearchParams, known: readonly string[]): Readonly<Record<string, string>> {
  const given = Object.fromEntries(params);
  assertNames(given, known, '', 'invalid_options');
  for (const name of Object.keys(given)) {
    if (params.getAll(name).length > 1)
      throw new SluiceError('invalid_options', `${name} is given more than once`, {
        details: { option: name },
      });
  }
  return given;
}

function optionsOf(text: string | undefined): JsonObject {
  if (text === undefined || text === '') return {};
  const options = parsed('options', text, 'invalid_options') ?? {};
  if (!isObject(options))
    throw new SluiceError('invalid_options', `options must be an object, and ${shown(options)}`);
  assertNames(options, ['after', 'before', 'backwards', 'limit'], 'options', 'invalid_options');
  return options;
}

function parsed(name: string, text: string, code: ErrorCode): unknown {
  if (text.length > MAX_HTTP_QUERY_CHARACTERS)
    throw new SluiceError(code, `${name} has more than ${MAX_HTTP_QUERY_CHARACTERS} characters`);
  const fault = jsonFault(text);
  if (fault !== undefined) throw new SluiceError(code, `${name} ${fault.text}`);
  return JSON.parse(text);
}

function bodyOf(text: string): unknown {
  const fault = jsonFault(text);
  if (fault !== undefined) throw new SluiceError(fault.code, `The body ${fault.text}`);
  // Eight megabytes of empty arrays would become a hundred of memory.
  if (text.length > SMALL_BODY_CHARACTERS && countValues(text) > MAX_APPEND_BODY_VALUES)
    throw new SluiceError(
      'message_too_large',
      `The body has more than ${MAX_APPEND_BODY_VALUES} values of JSON; append fewer events at a time`,
      { details: { maxValues: MAX_APPEND_BODY_VALUES } },
    );
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SluiceError('invalid_json', `The body is no JSON: ${errorText(error)}`, { cause: error });
  }
}

function jsonFault(text: string): { code: ErrorCode; text: string } | undefined {
  switch (checkJson(text)) {
    case JSON_PLAIN:
    case JSON_ESCAPED:
      return undefined;
    case JSON_NUL:
      return { code: 'nul_character', text: 'has a NUL character, which no store can keep' };
    case JSON_LONE_SURROGATE:
      return { code: 'lone_surrogate', text: 'has a lone surrogate, which is no character' };
    case JSON_NUMBER_OUT_OF_RANGE:
      return { code: 'number_out_of_range', text: 'has a number that is too large' };
    case JSON_TOO_DEEP:
      return { code: 'nesting_too_deep', text: `is nested deeper than ${MAX_NESTING_DEPTH} levels` };
    default:
      return { code: 'invalid_json', text: 'is no JSON' };
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;

/** At least as many as the values in a JSON text, none of which is built. */
function countValues(text: string): number {
  let values = 1;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === COMMA || code === OPEN_BRACKET || code === OPEN_BRACE) {
      values += 1;
    } else if (code === QUOTE) {
      index += 1;
      for (let unit = text.charCodeAt(index); unit !== QUOTE; unit = text.charCodeAt(index))
        index += unit === BACKSLASH ? 2 : 1;
    }
  }
  return values;
}

function assertNames(given: JsonObject, known: readonly string[], path: string, code: ErrorCode): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const named = `${path === '' ? '' : `${path}.`}${name.slice(0, 100)}`;
    throw new SluiceError(code, `Unknown name ${named}: known are ${known.join(', ')}`, {
      details: { option: named, allowed: known },
    });
  }
}

/** @returns undefined where it was left out */
function wholeNumber(option: string, value: unknown, min: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  // Not shown: JavaScript would write other digits than were sent.
  if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER)
    throw new SluiceError(
      'invalid_options',
      `${option} must be at most ${Number.MAX_SAFE_INTEGER} (2^53 - 1)`,
      { details: { option } },
    );
  throw invalidOption(option, `a whole number from ${min} to 2^53 - 1`, value);
}

function positionOf(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(value);
}

/** @returns undefined where it was left out */
function positionText(option: string, text: string | undefined): bigint | undefined {
  if (text === undefined || text === '') return undefined;
  return positionOf(wholeNumber(option, /^\d+$/.test(text) ? Number(text) : text, 0));
}

function invalidOption(option: string, allowed: string, value: unknown): SluiceError {
  return new SluiceError('invalid_options', `${option} must be ${allowed}, and ${shown(value)}`, {
    details: { option },
  });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  if (value === undefined) return 'is missing';
  if (Array.isArray(value)) return 'is an array';
  if (isObject(value)) return 'is an object';
  return `is ${JSON.stringify(value).slice(0, 100)}`;
}
