import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { isSluiceError, SluiceError } from '../../../../src/core/errors.ts';
import {
  MAX_APPEND_BODY_VALUES,
  MAX_HTTP_QUERY_CHARACTERS,
  MAX_READ_ANSWER_PAGE_BYTES,
} from '../../../../src/core/limits.ts';
import { textCodec } from '../../../../src/events/codec.ts';
import type { EventRecord, ReadEvents } from '../../../../src/events/engine.ts';
import { SqliteEventEngine } from '../../../../src/events/engines/sqlite-engine.ts';
import { EventStore } from '../../../../src/events/event-store.ts';
import {
  answerAppend,
  answerRead,
  eventMessage,
  httpErrorOf,
  sequencedEvent,
} from '../../../../src/events/http/answers.ts';
import { appendRequest, readRequest, subscribeRequest } from '../../../../src/events/http/requests.ts';
import { NodeSqlite } from '../../../support/node-sqlite.ts';

const ITEMS = { items: [{ types: ['A'], tags: ['b:1'] }] };

function readOf(query: unknown, options?: unknown): ReturnType<typeof readRequest> {
  const params = new URLSearchParams({ query: JSON.stringify(query) });
  if (options !== undefined) params.set('options', JSON.stringify(options));
  return readRequest(params);
}

function codeOf(work: () => unknown): { code: string; message: string } {
  try {
    work();
  } catch (error) {
    if (isSluiceError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('It was not refused');
}

function record(changes: Partial<EventRecord> = {}): EventRecord {
  return {
    position: 7n,
    id: null,
    type: 'A',
    tags: ['b:1'],
    data: '{"n":1}',
    metadata: null,
    timeUs: 1_735_689_600_123_456,
    ...changes,
  };
}

describe('the address of a read', () => {
  it('has a query and options, with nothing left out that has no default', () => {
    expect(readOf(ITEMS)).toEqual({
      query: ITEMS,
      after: 0n,
      before: undefined,
      backwards: false,
      limit: undefined,
    });
    expect(readOf('all', { after: 5, before: 9, backwards: true, limit: 3 })).toEqual({
      query: 'all',
      after: 5n,
      before: 9n,
      backwards: true,
      limit: 3,
    });
    const none = { after: null, before: null, backwards: null, limit: null };
    expect(readOf('all', none)).toEqual(readOf('all'));
    expect(readOf('all', null)).toEqual(readOf('all'));
    expect(readRequest(new URLSearchParams('query=all&options=&token=x'))).toEqual(readOf('all'));
  });

  it.each([
    ['', 'invalid_query', 'missing'],
    ['query=', 'invalid_query', 'missing'],
    ['query={', 'invalid_query', 'not JSON'],
    ['query="\\u0000"', 'invalid_query', 'NUL'],
    ['query="\\ud800"', 'invalid_query', 'surrogate'],
    [`query=${'['.repeat(600)}${']'.repeat(600)}`, 'invalid_query', 'nested'],
    [`query="${'x'.repeat(MAX_HTTP_QUERY_CHARACTERS)}"`, 'invalid_query', 'characters'],
    ['query=all&query=all', 'invalid_options', 'more than once'],
    ['query=all&limit=5', 'invalid_options', 'Unknown name limit'],
    ['query=all&options=[]', 'invalid_options', 'must be an object, and is an array'],
    ['query=all&options=x', 'invalid_options', 'not JSON'],
    ['query=all&options={"from":5}', 'invalid_options', 'Unknown name options.from'],
    ['query=all&options={"__proto__":5}', 'invalid_options', 'Unknown name options.__proto__'],
    ['query=all&options={"after":-1}', 'invalid_options', 'options.after'],
    ['query=all&options={"after":"5"}', 'invalid_options', 'options.after'],
    ['query=all&options={"after":1.5}', 'invalid_options', 'options.after'],
    [
      'query=all&options={"after":9007199254740993}',
      'invalid_options',
      'options.after must be at most 9007199254740991 (2^53 - 1)',
    ],
    ['query=all&options={"before":true}', 'invalid_options', 'options.before'],
    ['query=all&options={"backwards":1}', 'invalid_options', 'options.backwards'],
    ['query=all&options={"limit":0}', 'invalid_options', 'options.limit'],
    ['query=all&options={"limit":"unlimited"}', 'invalid_options', 'options.limit'],
  ])('%s is refused', (address, code, text) => {
    const refused = codeOf(() => readRequest(new URLSearchParams(address)));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(text);
  });
});

describe('the address of a subscription', () => {
  const of = (address: string, last: string | null = null) =>
    subscribeRequest(new URLSearchParams(address), last);

  it('begins behind the last event that was seen, else behind after, else at the first', () => {
    expect(of('query=all')).toEqual({ query: 'all', after: 0n });
    expect(of('query=all&after=5')).toEqual({ query: 'all', after: 5n });
    expect(of('query=all&after=5', '9')).toEqual({ query: 'all', after: 9n });
    expect(of('query=all&after=5', '')).toEqual({ query: 'all', after: 5n });
    expect(of(`query=${JSON.stringify(ITEMS)}&token=x`).query).toEqual(ITEMS);
  });

  it.each([
    ['after=5', null, 'invalid_query', 'missing'],
    ['query=all&after=-1', null, 'invalid_options', 'after'],
    [
      'query=all&after=9007199254740993',
      null,
      'invalid_options',
      'after must be at most 9007199254740991 (2^53 - 1)',
    ],
    ['query=all&after=18446744073709551616', null, 'invalid_options', 'after must be at most'],
    ['query=all&after=1e3', null, 'invalid_options', 'after'],
    ['query=all', 'x', 'invalid_options', 'Last-Event-ID'],
    ['query=all&position=1', null, 'invalid_options', 'Unknown name position'],
  ])('%s (%s) is refused', (address, last, code, text) => {
    const refused = codeOf(() => of(address, last));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(text);
  });
});

describe('the body of an append', () => {
  const event = { type: 'A', data: '{}', tags: ['b:1'] };

  it('is one event or several, with or without a condition', () => {
    expect(appendRequest(JSON.stringify({ events: event }))).toEqual({ events: event, condition: undefined });
    const id = crypto.randomUUID();
    const full = { ...event, id, metadata: { by: 'x' } };
    const condition = { failIfEventsMatch: ITEMS, after: 12 };
    expect(appendRequest(JSON.stringify({ events: [full, full], condition }))).toEqual({
      events: [full, full],
      condition: { failIfEventsMatch: ITEMS, after: 12n },
    });
    const nulls = { type: 'A', data: '', tags: null, id: null, metadata: null };
    expect(appendRequest(JSON.stringify({ events: [nulls], condition: null }))).toEqual({
      events: [{ type: 'A', data: '' }],
      condition: undefined,
    });
    const withNull = { failIfEventsMatch: 'all', after: null };
    expect(appendRequest(JSON.stringify({ events: event, condition: withNull })).condition).toEqual({
      failIfEventsMatch: 'all',
    });
  });

  it('keeps data as it was sent, whatever is in it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (data) => {
        fc.pre(!data.includes('\0') && data.isWellFormed());
        const { events } = appendRequest(JSON.stringify({ events: { type: 'A', data } }));
        expect(events).toEqual({ type: 'A', data });
      }),
    );
    const escaped = JSON.stringify({ text: '\0' });
    expect(appendRequest(JSON.stringify({ events: { type: 'A', data: escaped } })).events).toEqual({
      type: 'A',
      data: escaped,
    });
  });

  it.each([
    ['', 'invalid_json', 'not JSON'],
    ['{"events":', 'invalid_json', 'not JSON'],
    ['[]', 'invalid_options', 'must be an object'],
    ['"x"', 'invalid_options', 'must be an object'],
    ['{}', 'invalid_event', 'no events'],
    ['{"events":null}', 'invalid_event', 'no events'],
    ['{"events":[],"event":1}', 'invalid_options', 'Unknown name event'],
    ['{"events":5}', 'invalid_event', 'events must be an object, and is 5'],
    ['{"events":[null]}', 'invalid_event', 'events[0] must be an object, and is null'],
    ['{"events":[{"data":""}]}', 'invalid_event', 'events[0].type must be a text, and is missing'],
    ['{"events":[{"type":5,"data":""}]}', 'invalid_event', 'events[0].type must be a text, and is 5'],
    ['{"events":{"type":"A"}}', 'invalid_event', 'events.data must be a text, and is missing'],
    ['{"events":{"type":"A","data":{}}}', 'invalid_event', 'events.data must be a text, and is an object'],
    ['{"events":{"type":"A","data":"","tag":[]}}', 'invalid_event', 'Unknown name events.tag'],
    ['{"events":{"type":"A","data":"","__proto__":{}}}', 'invalid_event', 'Unknown name events.__proto__'],
    ['{"events":[],"condition":"all"}', 'invalid_options', 'condition must be an object, and is "all"'],
    [
      '{"events":[],"condition":{"failIfEventMatches":"all"}}',
      'invalid_options',
      'condition.failIfEventMatches',
    ],
    [
      '{"events":[],"condition":{"failIfEventsMatch":"all","after":"1"}}',
      'invalid_options',
      'condition.after',
    ],
    ['{"events":{"type":"\\u0000","data":""}}', 'nul_character', 'NUL'],
    ['{"events":{"type":"\\udc00","data":""}}', 'lone_surrogate', 'surrogate'],
    ['{"events":{"metadata":1e999999}}', 'number_out_of_range', 'number'],
    ['{"events":{"type":"A","data":"","metadata":{"a":1E400}}}', 'number_out_of_range', 'the number 1E400,'],
    [`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'nesting_too_deep', '512'],
    [`{"events":[${'[],'.repeat(MAX_APPEND_BODY_VALUES)}[]]}`, 'message_too_large', 'values'],
    [`{"events":[${'0,'.repeat(MAX_APPEND_BODY_VALUES)}0]}`, 'message_too_large', 'values'],
  ])('%.60s is refused', (text, code, part) => {
    const refused = codeOf(() => appendRequest(text));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(part);
  });

  it('is not taken for many values where these are within texts', () => {
    // The control of the two above: as many brackets and commas, as data.
    const data = `\\"${'[],"'.repeat(MAX_APPEND_BODY_VALUES)}`;
    expect(appendRequest(JSON.stringify({ events: [{ type: 'A', data }] })).events).toEqual([
      { type: 'A', data },
    ]);
  });
});

describe('a sequenced event', () => {
  it('has the shape of the specification, its time, and what else there is', () => {
    expect(sequencedEvent(record())).toBe(
      '{"event":{"type":"A","data":"{\\"n\\":1}","tags":["b:1"]},"position":7,"time":"2025-01-01T00:00:00.123456000Z"}',
    );
    const id = crypto.randomUUID();
    expect(JSON.parse(sequencedEvent(record({ id, metadata: '{"by":"x"}' })))).toMatchObject({
      event: { id, metadata: { by: 'x' } },
    });
  });

  it('is one line of an event stream, however others have written its metadata', () => {
    const message = eventMessage(
      record({ data: 'a\r\nb\u2028', metadata: '{\r\n"a": "b\\n",\n"z":"\\u0000"}' }),
    );
    expect(message.split('\n')).toHaveLength(5);
    expect(message).not.toContain('\r');
    const [name, data, id] = message.split('\n');
    expect([name, id]).toEqual(['event: event', 'id: 7']);
    expect(JSON.parse(data?.slice('data: '.length) ?? '')).toMatchObject({
      event: { data: 'a\r\nb\u2028', metadata: { a: 'b\n', z: '\0' } },
    });
    expect(codeOf(() => eventMessage(record({ metadata: '{}\n\nevent: x' })))).toMatchObject({
      code: 'invalid_event',
      message: expect.stringContaining('position 7'),
    });
  });
});

describe('an error', () => {
  const told: unknown[] = [];
  beforeEach(() => {
    told.length = 0;
  });
  const of = (error: unknown) => httpErrorOf(error, (failure) => told.push(failure));

  it('of a conflict has its position as a number', () => {
    const error = new SluiceError('append_conflict', 'x', { details: { position: '12' } });
    expect(of(error)).toMatchObject({ code: 'append_conflict', message: 'x', details: { position: 12 } });
    expect(told).toEqual([]);
  });

  it('of the database keeps what it says to itself', () => {
    const details = { sqlState: '08006', address: '10.0.0.1' };
    for (const error of [
      new SluiceError('database_unreachable', 'at 10.0.0.1', { details }),
      new SluiceError('database_refused', 'at 10.0.0.1', { details }),
      new Error('at 10.0.0.1'),
    ]) {
      const shown = of(error);
      expect(JSON.stringify([shown.message, shown.details])).not.toContain('10.0.0.1');
      expect(told.at(-1)).toBe(error);
    }
    // What is about the caller is said.
    expect(of(new SluiceError('buffer_full', 'Too much waits')).message).toBe('Too much waits');
  });
});

describe('answers from a store', () => {
  let engine: SqliteEventEngine;
  let store: EventStore<string>;
  beforeEach(() => {
    engine = new SqliteEventEngine(new NodeSqlite());
    store = new EventStore<string>(engine, { codec: textCodec });
  });

  async function textOf(body: string | AsyncIterable<string>): Promise<string> {
    if (typeof body === 'string') return body;
    let text = '';
    for await (const piece of body) text += piece;
    return text;
  }

  const read = async (query: unknown, options?: unknown) =>
    JSON.parse(await textOf(await answerRead(store, readOf(query, options)))) as { position: number }[];

  const appendMany = async (count: number, data = '') => {
    const events = Array.from({ length: count }, (_, n) => ({ type: n % 2 === 0 ? 'A' : 'B', data }));
    await store.append(events);
  };

  it('an append answers the position of the last event, and whether it was repeated', async () => {
    const events = [
      { type: 'A', data: '1', id: crypto.randomUUID() },
      { type: 'A', data: '2', id: crypto.randomUUID() },
    ];
    const condition = { failIfEventsMatch: 'all' };
    const text = JSON.stringify({ events, condition });
    expect(await answerAppend(store, text)).toBe('{"position":2,"isRepeated":false}');
    expect(await answerAppend(store, text)).toBe('{"position":2,"isRepeated":true}');
    const other = JSON.stringify({ events: { type: 'A', data: '' }, condition });
    await expect(answerAppend(store, other)).rejects.toMatchObject({
      code: 'append_conflict',
      details: { position: '1' },
    });
  });

  it('an empty list is an empty array', async () => {
    expect(await read('all')).toEqual([]);
    expect(await read('all', { backwards: true, limit: 1 })).toEqual([]);
  });

  it('long ones come in pieces, forwards and backwards, up to the limit', async () => {
    await appendMany(2_500);
    const positions = Array.from({ length: 2_500 }, (_, n) => n + 1);
    const of = async (options: object, query: unknown = 'all') =>
      (await read(query, options)).map(({ position }) => position);
    expect(await of({})).toEqual(positions);
    expect(await of({ backwards: true })).toEqual(positions.toReversed());
    expect(await of({ limit: 2_001 })).toEqual(positions.slice(0, 2_001));
    expect(await of({ limit: 16 })).toEqual(positions.slice(0, 16));
    expect(await of({ limit: 17, backwards: true })).toEqual(positions.toReversed().slice(0, 17));
    expect(await of({ after: 1_000, before: 2_000 })).toEqual(positions.slice(1_000, 1_999));
    expect(await of({ after: 9_999 })).toEqual([]);
    expect(await of({}, { items: [{ types: ['B'] }] })).toEqual(positions.filter((n) => n % 2 === 0));
    const request = readOf('all');
    expect(typeof (await answerRead(store, request))).not.toBe('string');
  });

  it('end with what was there when they began, while others append', async () => {
    await appendMany(100);
    const body = await answerRead(store, readOf('all'));
    if (typeof body === 'string') throw new Error('It is in one piece');
    let text = '';
    for await (const piece of body) {
      text += piece;
      await appendMany(100);
    }
    expect(JSON.parse(text)).toHaveLength(100);
    expect(await read('all')).not.toHaveLength(100);
  });

  it('hold few events at a time where these are large', async () => {
    for (let n = 0; n < 64; n += 1) await appendMany(1, 'x'.repeat(256 * 1024));
    const limits: number[] = [];
    const watched = {
      append: store.append.bind(store),
      head: () => store.head(),
      readRecords: (...args: Parameters<typeof store.readRecords>) => {
        limits.push((args[1] as ReadEvents).limit);
        return store.readRecords(...args);
      },
    };
    const body = await answerRead(watched, readOf('all'));
    expect(JSON.parse(await textOf(body))).toHaveLength(64);
    expect(Math.max(...limits.slice(1))).toBe(4);
  });

  it('hold no more than a page of large ones behind many small ones', async () => {
    await appendMany(500);
    await store.append(Array.from({ length: 60 }, () => ({ type: 'A', data: 'x'.repeat(200 * 1024) })));
    const body = await answerRead(store, readOf('all'));
    const pieces: number[] = [];
    let text = typeof body === 'string' ? body : '';
    if (typeof body !== 'string') {
      for await (const piece of body) {
        pieces.push(piece.length);
        text += piece;
      }
    }
    expect(JSON.parse(text)).toHaveLength(560);
    // The page, the event that goes beyond, and what is around them in JSON.
    expect(Math.max(...pieces)).toBeLessThan(MAX_READ_ANSWER_PAGE_BYTES + 300 * 1024);
  });

  it('refuses before the first piece', async () => {
    await appendMany(100);
    await expect(answerRead(store, readOf({ items: [] }))).rejects.toMatchObject({ code: 'invalid_query' });
    await expect(answerRead(store, readOf({ item: [] }))).rejects.toMatchObject({ code: 'invalid_query' });
    await expect(answerRead(store, readOf(null))).rejects.toMatchObject({ code: 'invalid_query' });
  });
});
