/**
 * What a request to the event store says, in the JSON shapes of the DCB specification (dcb.events). Beyond them an event
 * may have `id` and `metadata`, and a sequenced event has `time`. Positions are numbers of JSON: they stay below 2^53.
 */

import { SluiceError } from '../../core/errors.ts';
import { elementsOf, memberOf } from '../../core/json-parts.ts';
import { compactJson, hasUnevenNumber, JsonText } from '../../store/exact-numbers.ts';
import type { AppendConditionInput, NewEvent, QueryInput } from '../event.ts';
import {
  assertNames,
  bodyOf,
  invalidOption,
  isObject,
  type JsonObject,
  parsed,
  positionOf,
  shown,
  wholeNumber,
} from './request-json.ts';

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
  // An object would have to be written again, and what is stored would not be what was sent.
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

/** @returns undefined where it was left out */
function positionText(option: string, text: string | undefined): bigint | undefined {
  if (text === undefined || text === '') return undefined;
  return positionOf(wholeNumber(option, /^\d+$/.test(text) ? Number(text) : text, 0));
}
