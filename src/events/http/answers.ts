/** What the event store answers over HTTP: JSON texts, in the shapes of the DCB specification (dcb.events). */

import { httpStatus, isSluiceError, SluiceError } from '../../core/errors.ts';
import { MAX_READ_ANSWER_PAGE_BYTES } from '../../core/limits.ts';
import { sseText } from '../../core/sse-text.ts';
import { checkJson, JSON_PLAIN } from '../../protocol/check-json.ts';
import { failureText } from '../../store/failure-text.ts';
import { PageSize } from '../../store/page-size.ts';
import { jsonArray } from '../../store/pages.ts';
import { formatTimeUs } from '../../store/wire-time.ts';
import type { EventRecord } from '../engine.ts';
import type { AppendConditionInput, Appended, NewEvent, QueryInput, ReadOptions } from '../event.ts';
import { appendRequest, type ReadRequest, type SubscribeRequest } from './requests.ts';

/** What the HTTP side asks of a store: an `EventStore` whose data is text that it does not look into. */
export interface TextEventStore {
  append(
    events: NewEvent<string, string> | readonly NewEvent<string, string>[],
    condition?: AppendConditionInput,
  ): Promise<Appended>;
  readRecords(query: QueryInput, options?: ReadOptions): Promise<EventRecord[]>;
  head(): Promise<bigint>;
}

/** Events that an answer holds in memory at a time; fewer where they are large. */
const PAGE_EVENTS = 1_000;

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
  const nextPage = async () => {
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
  return jsonArray(nextPage, sequencedEvent, async () => {
    if (!backwards && upper === undefined) upper = (await store.head()) + 1n;
  });
}

/**
 * A sequenced event as JSON, on one line.
 *
 * @throws SluiceError `invalid_event` where others wrote metadata that is not JSON
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
  return sseText({ event: 'event', data: sequencedEvent(record), id: record.position });
}

// What others wrote into a column of text is not of our making; spliced in unseen, it could break the answer in two.
function onOneLine(metadata: string, position: bigint): string {
  if (checkJson(metadata) === JSON_PLAIN) return metadata;
  try {
    JSON.parse(metadata);
  } catch (error) {
    throw new SluiceError('invalid_event', `The metadata of the event at position ${position} is not JSON`, {
      details: { position: String(position) },
      cause: error,
    });
  }
  // Between tokens only: within a text JSON writes them as escapes.
  return metadata.replaceAll(/[\r\n]/g, ' ');
}

/**
 * What a caller is told of an error. The holder of a token is a tenant: what databases say goes to the log.
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
