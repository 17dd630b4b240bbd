/** What a caller wants appended, checked, as an engine takes it. */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import { MAX_EVENT_TAGS, MAX_EVENT_TYPE_LENGTH, MAX_TAG_LENGTH } from '../core/limits.ts';
import { utf8BytesAtMost } from '../core/utf8.ts';
import { isUuid } from '../core/uuid.ts';
import { checkObject, checkPosition, invalidOptions, isList } from '../store/options.ts';
import { type EventCodec, kindOf, writeJson } from './codec.ts';
import type { AppendCommand, AppendCondition, EventRow } from './engine.ts';
import type { AppendConditionInput, NewEvent } from './event.ts';
import { queryUnits, toQuery, withoutRepetitions } from './query.ts';
import { labelFault, textFault } from './text-fault.ts';

/** What an append may come to: `EventStoreOptions` says what each is. */
export interface AppendLimits {
  maxEventBytes: number;
  maxAppendEvents: number;
  maxAppendBytes: number;
}

/** What an append comes to so far. */
interface Sum {
  readonly limits: AppendLimits;
  /** Text in UTF-16 code units. */
  units: number;
}

/**
 * Checks an append.
 *
 * @returns the command, and how much text it is in UTF-16 code units
 * @throws SluiceError `invalid_event`, `invalid_query`, `invalid_options`, `message_too_large`
 */
export function appendCommand<Value>(
  events: NewEvent<string, Value> | readonly NewEvent<string, Value>[],
  condition: AppendConditionInput | undefined,
  codec: EventCodec<Value>,
  limits: AppendLimits,
): { command: AppendCommand; units: number } {
  const sum = { limits, units: 0 };
  const command = {
    events: rowsOf(events, codec, sum),
    condition: condition === undefined ? null : conditionOf(condition, sum),
  };
  return { command, units: sum.units };
}

function conditionOf(condition: AppendConditionInput, sum: Sum): AppendCondition {
  checkObject('condition', condition);
  const { failIfEventsMatch, after = 0n } = condition;
  const query = toQuery(failIfEventsMatch);
  checkPosition('after', after);
  add(sum, queryUnits(query));
  return { query, after };
}

function rowsOf<Value>(
  events: NewEvent<string, Value> | readonly NewEvent<string, Value>[],
  codec: EventCodec<Value>,
  sum: Sum,
): EventRow[] {
  if (!isList(events)) return [rowOf(events, codec, sum)];
  if (events.length === 0) throw invalidOptions('An append needs at least one event', 'events');
  if (events.length > sum.limits.maxAppendEvents)
    throw invalidOptions(`An append takes at most ${sum.limits.maxAppendEvents} events; split it`, 'events');
  const rows: EventRow[] = [];
  for (const event of events) rows.push(rowOf(event, codec, sum));
  checkIds(rows);
  return rows;
}

function rowOf<Value>(event: NewEvent<string, Value>, codec: EventCodec<Value>, sum: Sum): EventRow {
  if (typeof event !== 'object' || event === null)
    throw invalidEvent(`An event must be an object, not ${kindOf(event)}`);
  const { type, id } = event;
  const typeFault = labelFault(type, MAX_EVENT_TYPE_LENGTH);
  if (typeFault !== undefined) throw invalidEvent(`The type of an event ${typeFault}`);
  if (id !== undefined && !(typeof id === 'string' && isUuid(id)))
    throw invalidEvent(
      `The id of an event must be a UUID, not ${typeof id === 'string' ? JSON.stringify(id.slice(0, 80)) : kindOf(id)}`,
    );
  const tags = tagsOf(event.tags);
  const data = written(codec, event.data);
  const metadata = metadataText(event.metadata);
  const units = data.length + (metadata === null ? 0 : metadata.length);
  if (units * 3 > sum.limits.maxEventBytes) checkBytes(data, metadata ?? '', sum.limits);
  let labelUnits = type.length;
  for (const tag of tags) labelUnits += tag.length;
  add(sum, units + labelUnits);
  return { id: id === undefined ? null : id.toLowerCase(), type, tags, data, metadata };
}

function add(sum: Sum, units: number): void {
  sum.units += units;
  if (sum.units > sum.limits.maxAppendBytes)
    throw new SluiceError(
      'message_too_large',
      `An append takes at most ${sum.limits.maxAppendBytes} bytes of events and condition; split it`,
      { details: { maxBytes: sum.limits.maxAppendBytes } },
    );
}

function checkBytes(data: string, metadata: string, { maxEventBytes }: AppendLimits): void {
  const text = data + metadata;
  if (utf8BytesAtMost(text, 0, text.length, maxEventBytes)) return;
  throw new SluiceError(
    'message_too_large',
    `Data and metadata of an event take at most ${maxEventBytes} bytes together`,
    { details: { maxBytes: maxEventBytes } },
  );
}

function written<Value>(codec: EventCodec<Value>, data: Value | undefined): string {
  let text: unknown;
  try {
    text = codec.write(data as Value);
  } catch (error) {
    if (isSluiceError(error)) throw error;
    throw new SluiceError('invalid_event', `The data of an event cannot be written: ${errorText(error)}`, {
      cause: error,
    });
  }
  if (typeof text !== 'string')
    throw invalidEvent(`The codec must write the data of an event as a text, not as ${kindOf(text)}`);
  const fault = textFault(text);
  if (fault !== undefined) throw invalidEvent(`The data of an event ${fault}`);
  return text;
}

function metadataText(metadata: unknown): string | null {
  if (metadata === undefined || metadata === null) return null;
  const text = typeof metadata === 'object' ? writeJson('metadata', metadata) : '';
  // Of the text, because `toJSON` can make something else of an object.
  if (text.startsWith('{')) return text;
  throw invalidEvent(`The metadata of an event must be an object of JSON, not ${kindOf(metadata)}`);
}

const NO_TAGS: readonly string[] = [];

function tagsOf(tags: unknown): readonly string[] {
  if (tags === undefined) return NO_TAGS;
  if (!Array.isArray(tags)) throw invalidEvent('The tags of an event must be an array of texts');
  for (const tag of tags) {
    const fault = labelFault(tag, MAX_TAG_LENGTH);
    if (fault !== undefined) throw invalidEvent(`A tag of an event ${fault}`);
  }
  const unique = withoutRepetitions(tags);
  if (unique.length > MAX_EVENT_TAGS) throw invalidEvent(`An event has at most ${MAX_EVENT_TAGS} tags`);
  return unique;
}

function checkIds(rows: readonly EventRow[]): void {
  const ids = new Set<string>();
  let without = 0;
  for (const { id } of rows) {
    if (id === null) without += 1;
    else ids.add(id);
  }
  if (without === rows.length) return;
  if (without > 0)
    throw invalidEvent(
      'Either all events of an append have an id, or none has: some of them could not be repeated',
    );
  if (ids.size < rows.length) throw invalidEvent('An id is there twice in one append');
}

function invalidEvent(sentence: string): SluiceError {
  return new SluiceError('invalid_event', sentence);
}
