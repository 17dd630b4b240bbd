/**
 * What an event store does on any engine: the DCB specification (dcb.events) line by line, what this store adds to it, and the
 * defects of the reference system (go-crablet) as regression tests.
 *
 *     eventStoreContract('the engine’s name', async () => ({
 *       engine,                             // without events
 *       openSecond: async () => another,    // another engine on the same database, as another process has one
 *       close: async () => {},              // closes both
 *     }));
 *
 * The function is called once for each test. Where `openSecond` is left out, the second engine is the first.
 */

import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { SluiceError } from '../../src/core/errors.ts';
import { textCodec } from '../../src/events/codec.ts';
import type {
  AppendCommand,
  AppendCondition,
  EventEngine,
  EventQuery,
  EventRow,
  QueryItem,
} from '../../src/events/engine.ts';
import type {
  AppendConditionInput,
  Appended,
  NewEvent,
  QueryInput,
  StoredEvent,
} from '../../src/events/event.ts';
import { EventStore, type EventStoreOptions } from '../../src/events/event-store.ts';
import { JsonText } from '../../src/store/exact-numbers.ts';
import { FakeTimers } from './fake-timers.ts';
import { eventually, TEST_LIMIT_MS } from './patience.ts';

/** An engine without events, for one test. */
export interface EventContractSubject {
  engine: EventEngine;
  openSecond?: () => Promise<EventEngine>;
  close: () => Promise<void>;
}

const GIVEN_ID = '550e8400-e29b-41d4-a716-446655440000';
const LARGEST_BIGINT = 9_223_372_036_854_775_807n;

/** Texts that a store may mistake for its own quotes, separators, placeholders or escapes. */
const STRANGE_LABELS = [
  "o'clock",
  'say "hi"',
  'a,b',
  '{a,b}',
  '{"a":"b"}',
  '[1]',
  'back\\slash',
  '\\\\',
  '\\N',
  '\\.',
  '\\u0041',
  '%',
  '_',
  '*',
  '?',
  '$1',
  ':name',
  '--',
  ';',
  '/*',
  'null',
  'NULL',
  'true',
  '0',
  ' ',
  ' leading',
  'trailing ',
  'two  blanks',
  'tab\there',
  'line\nbreak',
  'carriage\rreturn',
  '\u0001\u001f',
  '\u007f',
  'a:b:c',
  'course:ü-ß',
  'ê', // one character …
  'e\u0302', // … and the same as two
  'É',
  'é',
  '世界',
  '🌍',
  '👩‍👩‍👧',
  '\u2028',
  '\ufeff',
  '\uffff',
  '__proto__',
  'constructor',
];

const event = (type = 'Happened', ...tags: string[]): NewEvent => ({ type, tags });
const upTo = (end: number, from = 1): number[] =>
  Array.from({ length: end - from + 1 }, (_, index) => from + index);
const positionsOf = (events: readonly { position: bigint }[]): number[] =>
  events.map(({ position }) => Number(position));

/** A UUID that differs by its number only. */
const idOf = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** What a call failed with, so that its fields can be looked at. A call that succeeds fails the test. */
async function failureOf(call: () => unknown): Promise<SluiceError> {
  try {
    await call();
  } catch (error) {
    return error as SluiceError;
  }
  throw new Error('The call succeeded; it should have failed');
}

const row = (type: string, tags: readonly string[] = [], changes: Partial<EventRow> = {}): EventRow => ({
  id: null,
  type,
  tags,
  data: 'null',
  metadata: null,
  ...changes,
});
const item = (types: readonly string[], tags: readonly string[] = []): QueryItem => ({ types, tags });
const command = (events: EventRow[], query?: EventQuery, after = 0n): AppendCommand => ({
  events,
  condition: query === undefined ? null : { query, after },
});

/** What a query means, said as plainly as can be, apart from the code that is tested. */
function isMatch(query: EventQuery, { type, tags }: { type: string; tags: readonly string[] }): boolean {
  if (query === 'all') return true;
  return query.some(
    (one) =>
      (one.types.length === 0 || one.types.some((wanted) => wanted === type)) &&
      one.tags.every((wanted) => tags.some((tag) => tag === wanted)),
  );
}

/** How racers ended: which of them won, and what the others failed with. */
async function raced(
  calls: readonly Promise<Appended>[],
): Promise<{ winners: Appended[]; losers: SluiceError[] }> {
  const outcomes = await Promise.allSettled(calls);
  return {
    winners: outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])),
    losers: outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : [])),
  };
}

/** The next events of an iteration or a subscription. */
async function take<Item>(items: AsyncGenerator<Item, void>, count: number): Promise<Item[]> {
  const taken: Item[] = [];
  while (taken.length < count) {
    const { done, value } = await items.next();
    if (done === true) throw new Error(`It ended after ${taken.length} of ${count}`);
    taken.push(value);
  }
  return taken;
}

async function collected<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const one of items) all.push(one);
  return all;
}

/**
 * Declares the suite.
 *
 * @param engineName names the suite
 * @param open makes an engine without events; called for each test
 */
export function eventStoreContract(engineName: string, open: () => Promise<EventContractSubject>): void {
  const opened: EventContractSubject[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((subject) => subject.close()));
  });
  const emptyEngine = async (): Promise<EventEngine> => {
    const subject = await open();
    opened.push(subject);
    return subject.engine;
  };
  const emptyStore = async (): Promise<EventStore> => new EventStore(await emptyEngine());
  const emptyWith = async <Data>(options: EventStoreOptions<Data>): Promise<EventStore<Data>> =>
    new EventStore(await emptyEngine(), options);
  /** Two engines on one database. */
  const twoEngines = async (): Promise<[EventEngine, EventEngine]> => {
    const subject = await open();
    opened.push(subject);
    return [subject.engine, (await subject.openSecond?.()) ?? subject.engine];
  };
  const storeWith = async (...events: NewEvent[]): Promise<EventStore> => {
    const store = await emptyStore();
    if (events.length > 0) await store.append(events);
    return store;
  };

  describe(`the event store on ${engineName}`, () => {
    describe('appending', () => {
      test('the first event is at position 1, and each has the next one', async () => {
        const store = await emptyStore();
        expect(await store.head()).toBe(0n);
        expect(await store.append(event())).toEqual({ position: 1n, isRepeated: false });
        expect(await store.append([event(), event()])).toEqual({ position: 3n, isRepeated: false });
        expect(await store.append([event()])).toEqual({ position: 4n, isRepeated: false });
        expect(positionsOf(await store.read('all'))).toEqual([1, 2, 3, 4]);
        expect(await store.head()).toBe(4n);
        expect(await store.info()).toEqual({ events: 4n, head: 4n });
      });

      test('everything is read back as it was appended', async () => {
        const store = await emptyStore();
        await store.append([
          {
            type: 'CourseDefined',
            tags: ['course:c1', 'year:2'],
            data: { capacity: 10 },
            metadata: { by: 'me', list: [1, null], nested: { a: 'ü' } },
            id: GIVEN_ID.toUpperCase(),
          },
        ]);
        await store.append({ type: 'Bare' });
        const read = await store.read('all');
        const bare = { type: 'Bare', tags: [], data: null, metadata: null, id: undefined };
        expect(read).toEqual([
          {
            position: 1n,
            type: 'CourseDefined',
            tags: ['course:c1', 'year:2'],
            data: { capacity: 10 },
            metadata: { by: 'me', list: [1, null], nested: { a: 'ü' } },
            id: GIVEN_ID,
            timeUs: expect.any(Number),
          },
          { position: 2n, ...bare, timeUs: expect.any(Number) },
        ]);
        for (const { timeUs } of read) {
          expect(Number.isSafeInteger(timeUs)).toBe(true);
          // The clock of a database beside this one may differ a little.
          expect(Math.abs(timeUs / 1_000 - Date.now())).toBeLessThan(TEST_LIMIT_MS);
        }
      });

      test('a tag that is repeated on an event is there once; the order of the tags is kept', async () => {
        const store = await storeWith(event('A', 'z', 'a', 'z', 'm', 'a'));
        expect((await store.read([{ tags: ['a'] }]))[0]?.tags).toEqual(['z', 'a', 'm']);
        expect(await store.read([{ tags: ['a'] }]), 'nor is the event read twice').toHaveLength(1);
      });

      test('a thousand events in one append keep their order', async () => {
        const store = await emptyStore();
        const events = upTo(1_000).map((n) => ({ type: `T${n % 3}`, tags: [`n:${n}`, 'all'], data: n }));
        expect(await store.append(events)).toEqual({ position: 1_000n, isRepeated: false });
        const read = await store.read([{ tags: ['all'] }]);
        expect(read.map(({ data }) => data)).toEqual(upTo(1_000));
        expect(positionsOf(read)).toEqual(upTo(1_000));
        expect(positionsOf(await store.read([{ tags: ['n:777'] }]))).toEqual([777]);
      });

      test('appends that are given in one turn are stored in their order', async () => {
        const store = await emptyStore();
        const appended = await Promise.all(
          upTo(50).map((n) => store.append({ type: 'A', tags: [`n:${n % 7}`], data: n })),
        );
        expect(positionsOf(appended)).toEqual(upTo(50));
        expect((await store.read('all')).map(({ data }) => data)).toEqual(upTo(50));
      });

      test('the most tags, and the longest type and tags of characters of three bytes', async () => {
        const store = await emptyStore();
        const type = '世'.repeat(255);
        const tags = upTo(64).map((n) => `${'界'.repeat(253)}${String(n).padStart(2, '0')}`);
        await store.append({ type, tags });
        await store.append({ type, tags: tags.slice(1) });
        expect(positionsOf(await store.read([{ types: [type], tags }]))).toEqual([1]);
        expect(positionsOf(await store.read([{ types: [type], tags: tags.slice(1) }]))).toEqual([1, 2]);
        expect((await store.read('all'))[0]?.tags).toEqual(tags);
        const error = await failureOf(() =>
          store.append(event(), { failIfEventsMatch: [{ types: [type], tags }] }),
        );
        expect(error).toMatchObject({ code: 'append_conflict', details: { position: '1' } });
      });
    });

    describe('data', () => {
      test('and metadata keep the digits of raw numbers', async () => {
        const store = await emptyStore();
        const text = '{"n":[9007199254740993,1.50,-0,1e5,12345678901234567890.10]}';
        const exact = new JsonText(text);
        await store.append({ type: 'A', data: exact, metadata: exact as never });
        const [record] = await store.readRecords('all');
        expect([record?.data, record?.metadata]).toEqual([text, text]);
      });

      test('anything that JSON can hold is read back the same', async () => {
        const store = await emptyStore();
        const values: unknown[] = [
          null,
          true,
          false,
          0,
          -1.5,
          1e300,
          5e-324,
          Number.MAX_SAFE_INTEGER,
          '',
          'text',
          '"',
          '\\',
          '\\u0000',
          'a\u0000b',
          '\ud800',
          '\u2028\u2029',
          '🌍\n\t\r',
          [],
          {},
          [[], [{}], null],
          { a: { b: [1, 'x', { c: null }] }, 'key "with" quotes': 1 },
          JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}'),
        ];
        await store.append(values.map((data) => ({ type: 'A', data })));
        expect((await store.read('all')).map(({ data }) => JSON.stringify(data))).toEqual(
          values.map((value) => JSON.stringify(value)),
        );
      });

      test('what JSON cannot hold is refused', async () => {
        const store = await emptyStore();
        const cycle: Record<string, unknown> = {};
        cycle.self = cycle;
        for (const data of [
          1n,
          () => 1,
          Symbol('s'),
          Number.NaN,
          { deep: [Number.POSITIVE_INFINITY] },
          cycle,
        ])
          expect(await failureOf(() => store.append({ type: 'A', data }))).toMatchObject({
            code: 'invalid_event',
          });
        await store.append({ type: 'A', data: { absent: undefined, nothing: null } });
        expect(await store.read('all'), 'the control').toMatchObject([{ data: { nothing: null } }]);
      });

      test('with the codec for text it is opaque: any text without NUL, also an empty one', async () => {
        const store = await emptyWith({ codec: textCodec });
        const texts = [...STRANGE_LABELS, '', '{', '{"b": 1,  "a": 1e2}', 'x'.repeat(100_000), '\r\n\\r\\n'];
        await store.append(texts.map((data) => ({ type: 'A', data })));
        expect((await store.read('all')).map(({ data }) => data)).toEqual(texts);
        for (const data of ['a\u0000b', 'lone \ud800', undefined, 7] as string[])
          expect(await failureOf(() => store.append({ type: 'A', data }))).toMatchObject({
            code: 'invalid_event',
          });
      });

      test('a store meets data that its codec cannot read: it names the position, and the text can still be had', async () => {
        const engine = await emptyEngine();
        const texts = new EventStore(engine, { codec: textCodec });
        const values = new EventStore(engine);
        await texts.append([
          { type: 'A', data: '1' },
          { type: 'A', data: 'no JSON' },
        ]);
        expect(await failureOf(() => values.read('all'))).toMatchObject({
          code: 'invalid_event',
          details: { position: '2' },
        });
        expect(await failureOf(() => collected(values.iterate('all')))).toMatchObject({
          code: 'invalid_event',
          details: { position: '2' },
        });
        expect(await values.read('all', { before: 2n })).toMatchObject([{ data: 1 }]);
        expect((await values.readRecords('all')).map(({ data }) => data)).toEqual(['1', 'no JSON']);
        await values.appendRecords({ type: 'A', data: '' });
        expect((await texts.read('all', { after: 2n })).map(({ data }) => data)).toEqual(['']);
      });

      test('metadata is an object of JSON', async () => {
        const store = await emptyStore();
        const metadata = { 'a "b"': '\u0000\ud800', c: [1, { d: null }], e: "{x,'y'}" };
        await store.append([
          { type: 'A', metadata },
          { type: 'A', metadata: {} },
          { type: 'A', metadata: null },
        ]);
        expect((await store.read('all')).map((one) => one.metadata)).toEqual([metadata, {}, null]);
        for (const wrong of ['text', 7, [1], new Date(0), () => 1, { n: Number.NaN }] as never[])
          expect(await failureOf(() => store.append({ type: 'A', metadata: wrong }))).toMatchObject({
            code: 'invalid_event',
          });
      });
    });

    describe('types and tags of any characters', () => {
      test('each is its own: read back, found by a query, and by a condition', async () => {
        const store = await emptyStore();
        await store.append(
          STRANGE_LABELS.map((label) => ({ type: 'T', tags: [label, 'common'], data: label })),
        );
        await store.append(STRANGE_LABELS.map((label) => ({ type: label, tags: ['typed'], data: label })));
        const count = STRANGE_LABELS.length;
        expect((await store.read([{ tags: ['common'] }])).map(({ tags }) => tags[0])).toEqual(STRANGE_LABELS);
        expect((await store.read([{ tags: ['typed'] }])).map(({ type }) => type)).toEqual(STRANGE_LABELS);
        for (const [index, label] of STRANGE_LABELS.entries()) {
          const byTag = index + 1;
          const byType = count + index + 1;
          for (const [query, position] of [
            [[{ tags: [label] }], byTag],
            [[{ types: ['T'], tags: [label] }], byTag],
            [[{ tags: ['common', label] }], byTag],
            [[{ types: [label] }], byType],
            [[{ types: [label, 'no such'], tags: ['typed'] }], byType],
          ] as const) {
            expect(positionsOf(await store.read(query)), JSON.stringify(query)).toEqual([position]);
          }
        }
        const conflicts = await Promise.all(
          STRANGE_LABELS.map((label) =>
            failureOf(() => store.append(event(), { failIfEventsMatch: [{ types: ['T'], tags: [label] }] })),
          ),
        );
        expect(conflicts.map(({ details }) => Number(details.position))).toEqual(upTo(count));
        // The control: a tag that is made of two that are there is none of them.
        const joined = STRANGE_LABELS.slice(0, 2).join(',');
        expect(await store.read([{ tags: [joined] }])).toEqual([]);
        await store.append(event(), { failIfEventsMatch: [{ tags: [joined] }, { types: [joined] }] });
      });

      test('what differs in case, in accents or in blanks is different', async () => {
        const store = await storeWith(
          event('a', 'A'),
          event('A', 'a'),
          event('á', 'a '),
          event('a\u0301', ' a'),
        );
        expect(positionsOf(await store.read([{ tags: ['a'] }]))).toEqual([2]);
        expect(positionsOf(await store.read([{ types: ['a'] }]))).toEqual([1]);
        expect(positionsOf(await store.read([{ types: ['á'] }]))).toEqual([3]);
      });
    });

    describe('what is refused', () => {
      const given = (value: unknown): never => value as never;
      const long = 'x'.repeat(256);

      test.each<[what: string, events: unknown, code: string]>([
        ['no events', [], 'invalid_options'],
        ['null', null, 'invalid_event'],
        ['a text', 'event', 'invalid_event'],
        ['a hole in the list', [event(), undefined], 'invalid_event'],
        ['no type', {}, 'invalid_event'],
        ['an empty type', { type: '' }, 'invalid_event'],
        ['a type that is not a text', { type: 7 }, 'invalid_event'],
        ['a type of 256', { type: long }, 'invalid_event'],
        ['a type with a NUL', { type: 'a\0' }, 'invalid_event'],
        ['a type with half a character', { type: 'a\ud800' }, 'invalid_event'],
        ['tags that are a text', { type: 'A', tags: 'a' }, 'invalid_event'],
        ['tags that are null', { type: 'A', tags: null }, 'invalid_event'],
        ['an empty tag', { type: 'A', tags: ['a', ''] }, 'invalid_event'],
        ['a tag that is not a text', { type: 'A', tags: [7] }, 'invalid_event'],
        ['a hole in the tags', { type: 'A', tags: new Array(1) }, 'invalid_event'],
        ['a tag of 256', { type: 'A', tags: [long] }, 'invalid_event'],
        ['a tag with a NUL', { type: 'A', tags: ['a\0'] }, 'invalid_event'],
        ['a tag with half a character', { type: 'A', tags: ['\udc00a'] }, 'invalid_event'],
        ['65 tags', { type: 'A', tags: upTo(65).map(String) }, 'invalid_event'],
        ['an id that is not a UUID', { type: 'A', id: 'no-uuid' }, 'invalid_event'],
        ['an id that is not a text', { type: 'A', id: 7 }, 'invalid_event'],
        ['an id that is null', { type: 'A', id: null }, 'invalid_event'],
        [
          'an id twice',
          [
            { type: 'A', id: idOf(1) },
            { type: 'B', id: idOf(1) },
          ],
          'invalid_event',
        ],
        [
          'an id twice, once in capitals',
          [
            { type: 'A', id: '00000000-0000-4000-8000-00000000000a' },
            { type: 'B', id: '00000000-0000-4000-8000-00000000000A' },
          ],
          'invalid_event',
        ],
        ['an id for some of the events only', [{ type: 'A', id: idOf(1) }, { type: 'B' }], 'invalid_event'],
        ['an event of more than 1 MiB', { type: 'A', data: 'x'.repeat(1024 * 1024) }, 'message_too_large'],
        ['10,001 events', Array.from({ length: 10_001 }, () => event()), 'invalid_options'],
      ])('an append of %s', async (_, events, code) => {
        const store = await emptyStore();
        const [beside, refused, behind] = await Promise.allSettled([
          store.append(event()),
          store.append(given(events)),
          store.append(event()),
        ]);
        expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'SluiceError', code } });
        expect([beside.status, behind.status], 'nobody beside it is hurt').toEqual([
          'fulfilled',
          'fulfilled',
        ]);
        expect(await store.head(), 'nothing of it is stored').toBe(2n);
      });

      const wrongQueries: [what: string, query: unknown][] = [
        ['nothing', undefined],
        ['null', null],
        ['a text', 'every'],
        ['an object without items', {}],
        ['items that are no list', { items: 'all' }],
        ['no items', []],
        ['an object with no items', { items: [] }],
        ['an item that is null', [null]],
        ['an item that is a text', ['A']],
        ['an item that is a list', [['A']]],
        ['a hole', new Array(1)],
        ['a misspelled field, which would match everything', [{ type: 'A' }]],
        ['a misspelled field beside items', { items: [{ types: ['A'] }], after: 1 }],
        ['types that are a text', [{ types: 'A' }]],
        ['types that are null', [{ types: null }]],
        ['an empty type', [{ types: [''] }]],
        ['a type that is not a text', [{ types: [1] }]],
        ['an empty tag', [{ tags: [''] }]],
        ['a tag of 256', [{ tags: [long] }]],
        ['a tag with a NUL', [{ tags: ['a\0'] }]],
        ['a type with half a character', [{ types: ['\ud800'] }]],
        ['a hole in the tags', [{ tags: new Array(1) }]],
        ['101 items', upTo(101).map((n) => ({ types: [`T${n}`] }))],
        ['101 types', [{ types: upTo(101).map(String) }]],
        ['65 tags', [{ tags: upTo(65).map(String) }]],
        ['a wrong item beside one that matches everything', [{}, { tags: [''] }]],
      ];

      test.each(wrongQueries)('a query with %s', async (_, query) => {
        const store = await storeWith(event());
        for (const call of [
          () => store.read(given(query)),
          () => store.iterate(given(query)).next(),
          () => store.subscribe(given(query)).next(),
          () => store.append(event(), { failIfEventsMatch: given(query) }),
        ])
          expect(await failureOf(call)).toMatchObject({ name: 'SluiceError', code: 'invalid_query' });
        expect(await store.head()).toBe(1n);
      });

      test('the largest query is taken: 100 items of 100 types and 64 tags', async () => {
        const store = await emptyStore();
        const tags = upTo(64).map((n) => `t${n}`);
        await store.append([event('T7', ...tags), event('T7', ...tags.slice(1))]);
        const query = upTo(100).map((n) => ({
          types: upTo(100).map((m) => (m === n ? `T${n}` : `T${n}-${m}`)),
          tags,
        }));
        expect(positionsOf(await store.read(query))).toEqual([1]);
        expect(await failureOf(() => store.append(event(), { failIfEventsMatch: query }))).toMatchObject({
          code: 'append_conflict',
          details: { position: '1' },
        });
        expect(await store.append(event(), { failIfEventsMatch: query, after: 1n })).toMatchObject({
          position: 3n,
        });
      });

      test.each<[what: string, condition: unknown, code: string]>([
        ['null', null, 'invalid_options'],
        ['a text', 'all', 'invalid_options'],
        ['no query', { after: 1n }, 'invalid_query'],
        ['an after that is a number', { failIfEventsMatch: 'all', after: 1 }, 'invalid_options'],
        ['an after that is null', { failIfEventsMatch: 'all', after: null }, 'invalid_options'],
        ['an after below 0', { failIfEventsMatch: 'all', after: -1n }, 'invalid_options'],
        [
          'an after beyond 64 bits',
          { failIfEventsMatch: 'all', after: LARGEST_BIGINT + 1n },
          'invalid_options',
        ],
      ])('a condition with %s', async (_, condition, code) => {
        const store = await emptyStore();
        expect(await failureOf(() => store.append(event(), given(condition)))).toMatchObject({ code });
        expect(await store.head()).toBe(0n);
        await store.append(event(), { failIfEventsMatch: 'all', after: 0n });
      });

      test.each<[what: string, options: unknown]>([
        ['null', null],
        ['after as a number', { after: 1 }],
        ['after below 0', { after: -1n }],
        ['after beyond 64 bits', { after: LARGEST_BIGINT + 1n }],
        ['before as a text', { before: '1' }],
        ['before below 0', { before: -1n }],
        ['backwards as a text', { backwards: 'yes' }],
        ['a limit of 0', { limit: 0 }],
        ['a limit of a half', { limit: 0.5 }],
        ['a limit as a text', { limit: '10' }],
      ])('a read with %s', async (_, options) => {
        const store = await storeWith(event());
        expect(await failureOf(() => store.read('all', given(options)))).toMatchObject({
          code: 'invalid_options',
        });
        if (!Object.hasOwn(Object(options), 'limit')) {
          expect(await failureOf(() => store.iterate('all', given(options)).next())).toMatchObject({
            code: 'invalid_options',
          });
        }
      });

      test.each<[what: string, options: unknown]>([
        ['null', null],
        ['after as a number', { after: 1 }],
        ['no page', { pageEvents: 0 }],
        ['no time between polls', { pollMs: 0 }],
      ])('a subscription with %s', async (_, options) => {
        const store = await emptyStore();
        expect(await failureOf(() => store.subscribe('all', given(options)))).toMatchObject({
          code: 'invalid_options',
        });
      });
    });

    describe('reading', () => {
      /** 12 events: types A, B, C in turn; even and odd; of three thirds. */
      const dozen = (): NewEvent[] =>
        upTo(12).map((n) => ({
          type: 'ABC'.charAt((n - 1) % 3),
          tags: [n % 2 === 0 ? 'even' : 'odd', `third:${Math.ceil(n / 4)}`, `n:${n}`],
          data: n,
        }));

      test.each<[what: string, query: QueryInput, positions: number[]]>([
        ['all', 'all', upTo(12)],
        ['an item that matches everything', [{}], upTo(12)],
        ['an item of empty lists', [{ types: [], tags: [] }], upTo(12)],
        ['an item that matches everything, beside others', [{ tags: ['even'] }, {}], upTo(12)],
        ['the shape of the specification', { items: [{ types: ['A'], tags: ['even'] }] }, [4, 10]],
        ['one type', [{ types: ['A'] }], [1, 4, 7, 10]],
        ['one of two types', [{ types: ['C', 'A'] }], [1, 3, 4, 6, 7, 9, 10, 12]],
        ['a type twice', [{ types: ['A', 'A'] }], [1, 4, 7, 10]],
        ['one tag', [{ tags: ['third:2'] }], [5, 6, 7, 8]],
        ['all of two tags', [{ tags: ['even', 'third:2'] }], [6, 8]],
        ['all of three tags, the rarest last', [{ tags: ['even', 'third:2', 'n:8'] }], [8]],
        ['all of three tags, the rarest first', [{ tags: ['n:8', 'third:2', 'even'] }], [8]],
        ['a tag twice', [{ tags: ['even', 'even', 'third:3'] }], [10, 12]],
        ['tags that no event has together', [{ tags: ['even', 'odd'] }], []],
        ['a type and a tag', [{ types: ['B'], tags: ['even'] }], [2, 8]],
        ['types and tags', [{ types: ['B', 'C'], tags: ['even', 'third:2'] }], [6, 8]],
        ['an unknown type', [{ types: ['D'] }], []],
        ['an unknown tag', [{ tags: ['third:4'] }], []],
        ['an unknown tag beside a known one', [{ tags: ['even', 'no'] }], []],
        [
          'two items',
          [
            { types: ['A'], tags: ['odd'] },
            { types: ['B'], tags: ['even'] },
          ],
          [1, 2, 7, 8],
        ],
        ['items that overlap', [{ types: ['A'] }, { tags: ['odd'] }], [1, 3, 4, 5, 7, 9, 10, 11]],
        [
          'items of types and of several tags',
          [{ types: ['C'] }, { tags: ['odd', 'third:1'] }],
          [1, 3, 6, 9, 12],
        ],
        ['an item twice', [{ types: ['A'] }, { types: ['A'] }], [1, 4, 7, 10]],
        ['a part of a tag', [{ tags: ['third'] }, { tags: ['third:'] }, { tags: ['%'] }], []],
      ])('%s', async (_, query, positions) => {
        const store = await storeWith(...dozen());
        const read = await store.read(query);
        expect(positionsOf(read)).toEqual(positions);
        expect(read.map(({ data }) => data)).toEqual(positions);
        expect(positionsOf(await store.read(query, { backwards: true }))).toEqual([...positions].reverse());
        expect(positionsOf(await store.read(query, { limit: 'unlimited' }))).toEqual(positions);
        expect(positionsOf(await collected(store.iterate(query, { pageEvents: 2 })))).toEqual(positions);
        for (const limit of [1, 2, 3]) {
          expect(positionsOf(await store.read(query, { limit }))).toEqual(positions.slice(0, limit));
          expect(positionsOf(await store.read(query, { limit, backwards: true }))).toEqual(
            positions.slice(-limit).reverse(),
          );
        }
        const inside = positions.filter((position) => position > 3 && position < 10);
        expect(positionsOf(await store.read(query, { after: 3n, before: 10n }))).toEqual(inside);
        expect(
          positionsOf(await store.read(query, { after: 3n, before: 10n, backwards: true, limit: 2 })),
        ).toEqual(inside.slice(-2).reverse());
      });

      test('bounds are exclusive, and may lie anywhere', async () => {
        const store = await storeWith(...dozen());
        const read = async (after: bigint, before?: bigint): Promise<number[]> => {
          const options = before === undefined ? { after } : { after, before };
          const forwards = positionsOf(await store.read([{ tags: ['even'] }], options));
          const backwards = await store.read([{ tags: ['even'] }], { ...options, backwards: true });
          expect(positionsOf(backwards)).toEqual([...forwards].reverse());
          expect(positionsOf(await store.read('all', options)).filter((n) => n % 2 === 0)).toEqual(forwards);
          return forwards;
        };
        expect(await read(0n)).toEqual([2, 4, 6, 8, 10, 12]);
        expect(await read(2n)).toEqual([4, 6, 8, 10, 12]);
        expect(await read(11n)).toEqual([12]);
        expect(await read(12n)).toEqual([]);
        expect(await read(13n)).toEqual([]);
        expect(await read(LARGEST_BIGINT)).toEqual([]);
        expect(await read(0n, LARGEST_BIGINT)).toEqual([2, 4, 6, 8, 10, 12]);
        expect(await read(0n, 4n)).toEqual([2]);
        expect(await read(0n, 0n)).toEqual([]);
        expect(await read(4n, 5n)).toEqual([]);
        expect(await read(6n, 3n)).toEqual([]);
        expect(await read(LARGEST_BIGINT, LARGEST_BIGINT)).toEqual([]);
      });

      test('of an empty store there is nothing to read', async () => {
        const store = await emptyStore();
        for (const query of ['all', [{ types: ['A'] }], [{ tags: ['a'] }], [{ tags: ['a', 'b'] }]] as const) {
          expect(await store.read(query)).toEqual([]);
          expect(await store.read(query, { backwards: true, limit: 'unlimited' })).toEqual([]);
          expect(await collected(store.iterate(query))).toEqual([]);
        }
      });

      test('a read returns 1,000 events unless it asks for more', async () => {
        const store = await emptyStore();
        await store.append(upTo(1_001).map((n) => event('A', 'a', `m:${n % 2}`)));
        expect(await store.read('all')).toHaveLength(1_000);
        expect(await store.read([{ tags: ['a'] }])).toHaveLength(1_000);
        expect(await store.read([{ tags: ['a'] }], { limit: 1_001 })).toHaveLength(1_001);
        expect(await store.read('all', { limit: 'unlimited' })).toHaveLength(1_001);
        expect(await store.read([{ tags: ['m:0'] }, { tags: ['m:1'] }], { limit: 'unlimited' })).toHaveLength(
          1_001,
        );
      });

      test('rare and frequent types and tags together, in long lists', async () => {
        const store = await emptyStore();
        // Types and tags of very different frequencies, so that parts of lists end at different places.
        const events = upTo(3_000).map((n) => ({
          type: n % 500 === 0 ? 'rare' : n % 7 === 0 ? 'some' : 'usual',
          tags: ['hot', ...(n % 3 === 0 ? ['warm'] : []), ...(n % 97 === 0 ? ['cold'] : []), `n:${n}`],
        }));
        await store.append(events);
        const queries: EventQuery[] = [
          [item(['rare', 'usual'])],
          [item(['rare', 'some', 'usual'])],
          [item([], ['hot'])],
          [item([], ['hot', 'warm'])],
          [item([], ['warm', 'cold'])],
          [item(['usual', 'rare'], ['hot', 'warm', 'cold'])],
          [item(['rare']), item([], ['cold']), item(['some'], ['warm'])],
          [item([], ['n:17']), item(['rare']), item([], ['n:2999', 'hot'])],
        ];
        for (const query of queries) {
          const expected = upTo(3_000).filter((n) =>
            isMatch(query, events[n - 1] as { type: string; tags: string[] }),
          );
          expect(positionsOf(await store.read(query, { limit: 'unlimited' }))).toEqual(expected);
          expect(positionsOf(await store.read(query, { limit: 'unlimited', backwards: true }))).toEqual(
            [...expected].reverse(),
          );
          expect(positionsOf(await store.read(query, { limit: 700, after: 1_111n }))).toEqual(
            expected.filter((n) => n > 1_111).slice(0, 700),
          );
          const last = BigInt(expected.at(-1) ?? 0);
          expect(
            await failureOf(() => store.append(event(), { failIfEventsMatch: query, after: last - 1n })),
          ).toMatchObject({ code: 'append_conflict', details: { position: String(last) } });
        }
        expect(await store.head()).toBe(3_000n);
      });
    });

    describe('iterating', () => {
      test('in pages of bounded size: each event once, in both directions', async () => {
        const engine = await emptyEngine();
        const limits: number[] = [];
        const watched: EventEngine = {
          append: (commands) => engine.append(commands),
          head: () => engine.head(),
          clear: () => engine.clear(),
          read: (read) => {
            limits.push(read.limit);
            return engine.read(read);
          },
        };
        const store = new EventStore(watched);
        await store.append(upTo(60).map((n) => event(n % 2 === 0 ? 'A' : 'B', 'a')));
        const query = [{ tags: ['a'] }];
        expect(positionsOf(await collected(store.iterate(query, { pageEvents: 7 })))).toEqual(upTo(60));
        expect(Math.max(...limits)).toBe(7);
        expect(limits.length).toBeGreaterThanOrEqual(Math.ceil(60 / 7));
        expect(
          positionsOf(await collected(store.iterate(query, { pageEvents: 7, backwards: true }))),
        ).toEqual(upTo(60).reverse());
        expect(
          positionsOf(
            await collected(store.iterate([{ types: ['A'] }], { after: 9n, before: 31n, pageEvents: 4 })),
          ),
        ).toEqual(upTo(30).filter((n) => n > 9 && n % 2 === 0));
      });

      test('pages have fewer events where they are large', async () => {
        const engine = await emptyEngine();
        const pages: number[] = [];
        const watched: EventEngine = {
          append: (commands) => engine.append(commands),
          head: () => engine.head(),
          clear: () => engine.clear(),
          read: async (read) => {
            const page = await engine.read(read);
            pages.push(page.length);
            return page;
          },
        };
        const store = new EventStore(watched, { maxPageBytes: 10_000 });
        const large = (count: number): NewEvent[] =>
          upTo(count).map((n) => ({ type: 'A', data: 'x'.repeat(2_000), tags: ['large', `n:${n}`] }));
        await store.append(large(20));
        // What is small makes the pages long, just before it becomes large again.
        await store.append(upTo(150).map(() => event('A', 'small')));
        await store.append(large(50));
        const queries: QueryInput[] = [
          'all',
          [{ types: ['A'] }],
          [{ tags: ['small'] }, { types: ['A'], tags: ['large'] }],
        ];
        for (const query of queries) {
          for (const backwards of [false, true]) {
            pages.length = 0;
            const found = positionsOf(await collected(store.iterate(query, { backwards })));
            expect(found).toEqual(backwards ? upTo(220).reverse() : upTo(220));
            expect(Math.max(...pages), 'the control: many of the small ones').toBeGreaterThan(5);
          }
        }
        // A page of the large ones holds five, and none holds more than that and what is small.
        const sizes: number[] = [];
        const sized: EventEngine = {
          ...watched,
          read: async (read) => {
            const page = await engine.read(read);
            sizes.push(page.reduce((sum, { data }) => sum + data.length, 0));
            return page;
          },
        };
        const other = new EventStore(sized, { maxPageBytes: 10_000 });
        const followed = other.subscribe('all');
        await take(followed, 220);
        await followed.return();
        await collected(other.iterate('all'));
        await collected(other.iterate([{ types: ['A', 'B'] }], { backwards: true }));
        expect(Math.max(...sizes)).toBeLessThanOrEqual(12_100);
      });

      test('a read may be bounded in bytes: it ends with the event that reaches them', async () => {
        const store = await emptyStore();
        await store.append(
          upTo(9).map((n) => ({
            type: n % 3 === 0 ? 'A' : 'B',
            tags: n % 2 === 0 ? ['x', 'even'] : ['x'],
            // Of two bytes each, so that bytes are not characters; every fourth in the metadata.
            data: n % 4 === 0 ? '' : 'é'.repeat(500),
            metadata: n % 4 === 0 ? { text: 'é'.repeat(500) } : null,
          })),
        );
        const queries: [query: QueryInput, matching: number[]][] = [
          ['all', upTo(9)],
          [[{ types: ['B'] }], [1, 2, 4, 5, 7, 8]],
          [[{ tags: ['x'] }], upTo(9)],
          [[{ tags: ['x', 'even'] }], [2, 4, 6, 8]],
          [
            [{ types: ['A'] }, { types: ['B'], tags: ['even'] }],
            [2, 3, 4, 6, 8, 9],
          ],
        ];
        for (const [query, matching] of queries) {
          for (const backwards of [false, true]) {
            const all = backwards ? matching.toReversed() : matching;
            const read = async (maxBytes: number, limit: number | 'unlimited' = 'unlimited') =>
              positionsOf(await store.read(query, { maxBytes, limit, backwards }));
            expect(await read(1)).toEqual(all.slice(0, 1));
            expect(await read(990)).toEqual(all.slice(0, 1));
            expect(await read(1_100)).toEqual(all.slice(0, 2));
            expect(await read(3_300)).toEqual(all.slice(0, 4));
            expect(await read(3_300, 3)).toEqual(all.slice(0, 3));
            expect(await read(1_000_000)).toEqual(all);
          }
        }
        expect(await store.read([{ types: ['C'] }], { maxBytes: 1 })).toEqual([]);
        for (const maxBytes of [0, -1, 1.5, Number.POSITIVE_INFINITY, '10' as never])
          expect(await failureOf(() => store.read('all', { maxBytes }))).toMatchObject({
            code: 'invalid_options',
            details: { option: 'maxBytes' },
          });
      });

      test('the tags of events count as bytes too', async () => {
        const store = await emptyStore();
        const tags = upTo(60).map((n) => `${n}:${'x'.repeat(240)}`);
        await store.append(upTo(10).map(() => ({ type: 'A', tags })));
        const queries: QueryInput[] = ['all', [{ types: ['A'] }], [{ types: ['A', 'B'] }]];
        for (const query of queries) expect(await store.read(query, { maxBytes: 20_000 })).toHaveLength(2);
      });

      test('events that come while it goes on are met, and it ends', async () => {
        const store = await emptyStore();
        await store.append(upTo(20).map(() => event('A', 'a')));
        const events = store.iterate([{ tags: ['a'] }], { pageEvents: 5 });
        const first = await take(events, 12);
        await store.append([event('A', 'a'), event('A', 'b'), event('A', 'a')]);
        expect(positionsOf([...first, ...(await collected(events))])).toEqual([...upTo(21), 23]);
      });

      test('it can be left at any time', async () => {
        const store = await emptyStore();
        await store.append(upTo(30).map(() => event()));
        for await (const { position } of store.iterate('all', { pageEvents: 5 })) if (position === 7n) break;
        expect(await store.append(event())).toMatchObject({ position: 31n });
      });
    });

    describe('conditions', () => {
      /** What an append with this condition ends with, on its own store: its position, or that of the conflict. */
      const outcome = async (
        stored: readonly NewEvent[],
        condition: AppendConditionInput,
      ): Promise<{ appended: number } | { conflict: number }> => {
        const store = await storeWith(...stored);
        try {
          const { position } = await store.append([event('New', 'new'), event('New', 'new')], condition);
          expect(await store.head()).toBe(BigInt(stored.length + 2));
          return { appended: Number(position) };
        } catch (error) {
          const { code, details } = error as SluiceError;
          expect(code).toBe('append_conflict');
          expect(await store.head(), 'nothing of a refused append is stored').toBe(BigInt(stored.length));
          expect(await store.read([{ tags: ['new'] }, { types: ['New'] }])).toEqual([]);
          return { conflict: Number(details.position) };
        }
      };
      const stored = [
        event('A', 'x'),
        event('B', 'x', 'y'),
        event('A', 'y'),
        event('C'),
        event('B', 'x', 'y'),
      ];

      test.each<[what: string, query: QueryInput, matching: number[]]>([
        ['all', 'all', [1, 2, 3, 4, 5]],
        ['an item that matches everything', [{}], [1, 2, 3, 4, 5]],
        ['types only', [{ types: ['B'] }], [2, 5]],
        ['two types only', [{ types: ['C', 'B'] }], [2, 4, 5]],
        ['a tag only', [{ tags: ['y'] }], [2, 3, 5]],
        ['two tags only', [{ tags: ['y', 'x'] }], [2, 5]],
        ['a type and a tag', [{ types: ['A'], tags: ['y'] }], [3]],
        ['types and tags', [{ types: ['A', 'B'], tags: ['x', 'y'] }], [2, 5]],
        ['several items', [{ types: ['C'] }, { types: ['A'], tags: ['y'] }], [3, 4]],
        ['several items, one without matches', [{ tags: ['no'] }, { types: ['C'] }], [4]],
        ['an event without tags', [{ types: ['C'] }], [4]],
        ['nothing: no such type', [{ types: ['D'] }], []],
        ['nothing: no such tag', [{ tags: ['z'] }], []],
        ['nothing: the type and the tag, but not together', [{ types: ['C'], tags: ['x'] }], []],
        ['nothing: the tags, but not together with that type', [{ types: ['A'], tags: ['x', 'y'] }], []],
      ])('%s: the first match behind `after` is named', async (_, query, matching) => {
        for (const after of [undefined, 0n, 1n, 2n, 3n, 4n, 5n, 6n, 1_000_000n, LARGEST_BIGINT]) {
          const first = matching.find((position) => BigInt(position) > (after ?? 0n));
          expect(
            await outcome(stored, { failIfEventsMatch: query, ...(after === undefined ? {} : { after }) }),
            `after ${after}`,
          ).toEqual(first === undefined ? { appended: 7 } : { conflict: first });
        }
      });

      test('on an empty store nothing is a conflict', async () => {
        for (const query of ['all', [{ types: ['A'] }], [{ tags: ['a', 'b'] }]] as const)
          expect(await outcome([], { failIfEventsMatch: query })).toEqual({ appended: 2 });
      });

      test('`after` at the match, and one before it', async () => {
        const query = [{ types: ['B'], tags: ['y'] }];
        expect(await outcome(stored, { failIfEventsMatch: query, after: 4n })).toEqual({ conflict: 5 });
        expect(await outcome(stored, { failIfEventsMatch: query, after: 5n })).toEqual({ appended: 7 });
      });

      test('a condition does not look at the events of its own append', async () => {
        const store = await emptyStore();
        const once = { failIfEventsMatch: [{ types: ['A'], tags: ['a'] }] };
        await store.append([event('A', 'a'), event('A', 'a')], once);
        expect(await failureOf(() => store.append(event('A', 'a'), once))).toMatchObject({
          code: 'append_conflict',
          details: { position: '1' },
        });
      });

      test('the error says what happened, where, and what to do', async () => {
        const store = await storeWith(event('A', 'a'), event('A', 'a'));
        const error = await failureOf(() =>
          store.append(event('A', 'a'), { failIfEventsMatch: [{ tags: ['a'] }], after: 1n }),
        );
        expect(error).toMatchObject({
          name: 'SluiceError',
          code: 'append_conflict',
          details: { position: '2' },
        });
        // A reader that goes on after the event in the way would pass over it.
        expect(error.message).toMatch(/position 2\b.*read again what comes after position 1\b/);
      });

      test('a decision that is made again from the position of the conflict goes through', async () => {
        const store = await storeWith(event('A', 'a'));
        const query = [{ tags: ['a'] }];
        const { details } = await failureOf(() =>
          store.append(event('A', 'a'), { failIfEventsMatch: query }),
        );
        const after = BigInt(details.position as string);
        expect(await store.read(query, { after })).toEqual([]);
        expect(await store.append(event('A', 'a'), { failIfEventsMatch: query, after })).toMatchObject({
          position: 2n,
        });
      });
    });

    describe('groups', () => {
      test('one violation hurts only its own command, and later commands see earlier ones', async () => {
        const engine = await emptyEngine();
        await engine.append([command([row('Old', ['old'])])]);
        const noA = [item(['A'], ['a'])];
        expect(
          await engine.append([
            command([row('B', ['a']), row('A', ['b'])], noA),
            command([row('X')], [item(['Old'])]),
            command([row('A', ['a']), row('A', ['a'])], noA),
            command([row('X')], noA),
            command([row('B', ['a'])], noA, 4n),
            command([row('C', ['c'])], noA, 5n),
            command([row('C', ['c'])]),
          ]),
        ).toEqual([
          { kind: 'appended', position: 3n, isRepeated: false },
          { kind: 'conflict', position: 1n },
          { kind: 'appended', position: 5n, isRepeated: false },
          { kind: 'conflict', position: 4n },
          { kind: 'conflict', position: 5n },
          { kind: 'appended', position: 6n, isRepeated: false },
          { kind: 'appended', position: 7n, isRepeated: false },
        ]);
        const read = await new EventStore(engine).read('all');
        expect(read.map(({ type }) => type)).toEqual(['Old', 'B', 'A', 'A', 'A', 'C', 'C']);
        expect(positionsOf(read), 'a refused command leaves no gap').toEqual(upTo(7));
      });

      test('the control: without the earlier command, the later one is accepted', async () => {
        const engine = await emptyEngine();
        const noA = [item(['A'], ['a'])];
        expect(
          await engine.append([command([row('B', ['a']), row('A', ['b'])], noA), command([row('X')], noA)]),
        ).toMatchObject([{ kind: 'appended' }, { kind: 'appended' }]);
      });

      test('what a refused command wanted to append is seen by nobody', async () => {
        const engine = await emptyEngine();
        await engine.append([command([row('Old')])]);
        expect(
          await engine.append([
            command([row('A', ['a'], { id: idOf(1) })], [item(['Old'])]),
            command([row('A', ['a'])], [item(['A'])]),
            command([row('A', ['b'], { id: idOf(1) })], [item([], ['b'])]),
          ]),
        ).toEqual([
          { kind: 'conflict', position: 1n },
          { kind: 'appended', position: 2n, isRepeated: false },
          { kind: 'appended', position: 3n, isRepeated: false },
        ]);
      });

      test.each<[what: string, query: EventQuery, conflict: bigint | undefined]>([
        ['all', 'all', 2n],
        ['a type', [item(['B'])], 3n],
        ['a tag', [item([], ['y'])], 3n],
        ['a type and a tag', [item(['A'], ['x'])], 2n],
        ['two tags of one event', [item([], ['y', 'z'])], 3n],
        ['two tags of two events', [item([], ['x', 'y'])], undefined],
        ['a type and a tag of two events', [item(['A'], ['y'])], undefined],
        ['two items', [item(['C']), item(['B'], ['z', 'y'])], 3n],
        ['an unknown type', [item(['C'])], undefined],
      ])('%s is checked against the commands before it', async (_, query, conflict) => {
        const engine = await emptyEngine();
        await engine.append([command([row('Old')])]);
        const [, verdict] = await engine.append([
          command([row('A', ['x']), row('B', ['y', 'z'])]),
          command([row('New')], query, 1n),
        ]);
        expect(verdict).toEqual(
          conflict === undefined
            ? { kind: 'appended', position: 4n, isRepeated: false }
            : { kind: 'conflict', position: conflict },
        );
      });

      test('`after` may lie between the events of an earlier command, and behind them all', async () => {
        const engine = await emptyEngine();
        const query = [item(['A'])];
        expect(
          await engine.append([
            command([row('A'), row('A'), row('B')]),
            command([row('X')], query, 1n),
            command([row('X')], query, 2n),
            command([row('X')], query, 100n),
            command([row('X')], 'all', 4n),
            command([row('X')], 'all', 5n),
          ]),
        ).toEqual([
          { kind: 'appended', position: 3n, isRepeated: false },
          { kind: 'conflict', position: 2n },
          { kind: 'appended', position: 4n, isRepeated: false },
          { kind: 'appended', position: 5n, isRepeated: false },
          { kind: 'conflict', position: 5n },
          { kind: 'appended', position: 6n, isRepeated: false },
        ]);
      });

      test('five hundred commands of one turn, each with the same condition: the first wins', async () => {
        const store = await emptyStore();
        const condition = { failIfEventsMatch: [{ types: ['Won'], tags: ['prize'] }] };
        const { winners, losers } = await raced(
          upTo(500).map(() => store.append(event('Won', 'prize'), condition)),
        );
        expect(winners).toEqual([{ position: 1n, isRepeated: false }]);
        expect(new Set(losers.map(({ code, details }) => `${code} ${details.position}`))).toEqual(
          new Set(['append_conflict 1']),
        );
        expect(losers).toHaveLength(499);
      });

      test('a chain: each command of a group depends on the one before', async () => {
        const engine = await emptyEngine();
        const verdicts = await engine.append(
          upTo(200).map((n) => command([row('Step', ['chain'])], [item(['Step'], ['chain'])], BigInt(n - 1))),
        );
        expect(verdicts).toEqual(
          upTo(200).map((n) => ({ kind: 'appended', position: BigInt(n), isRepeated: false })),
        );
        // The control: one step behind, all but the first are refused.
        const late = await engine.append(
          upTo(200).map(() => command([row('Step', ['chain'])], [item(['Step'], ['chain'])], 200n)),
        );
        expect(late.filter(({ kind }) => kind === 'appended')).toHaveLength(1);
      });
    });

    describe('ids', () => {
      const withIds = (...numbers: number[]): NewEvent[] =>
        numbers.map((number) => ({ type: 'A', tags: ['a'], id: idOf(number), data: number }));

      test('an append that is repeated is answered as the first time, and nothing is appended', async () => {
        const store = await storeWith(event());
        expect(await store.append(withIds(1, 2))).toEqual({ position: 3n, isRepeated: false });
        await store.append(event());
        expect(await store.append(withIds(1, 2))).toEqual({ position: 3n, isRepeated: true });
        expect(await store.append(withIds(1, 2))).toEqual({ position: 3n, isRepeated: true });
        expect(await store.head()).toBe(4n);
        expect(await store.append(withIds(3)), 'the control: another id').toEqual({
          position: 5n,
          isRepeated: false,
        });
      });

      test('a conditional append that is repeated does not conflict with itself', async () => {
        const store = await emptyStore();
        const condition = { failIfEventsMatch: [{ types: ['A'], tags: ['a'] }] };
        expect(await store.append(withIds(1), condition)).toEqual({ position: 1n, isRepeated: false });
        expect(await store.append(withIds(1), condition)).toEqual({ position: 1n, isRepeated: true });
        // The control: the same events with another id conflict, and without ids too.
        for (const events of [withIds(2), event('A', 'a')])
          expect(await failureOf(() => store.append(events, condition))).toMatchObject({
            code: 'append_conflict',
            details: { position: '1' },
          });
      });

      test('ids in capitals are the same ids', async () => {
        const store = await emptyStore();
        await store.append({ type: 'A', id: GIVEN_ID });
        expect(await store.append({ type: 'A', id: GIVEN_ID.toUpperCase() })).toEqual({
          position: 1n,
          isRepeated: true,
        });
      });

      test('a refused append leaves its ids free', async () => {
        const store = await storeWith(event('A', 'a'));
        const query = [{ tags: ['a'] }];
        const refused = await failureOf(() => store.append(withIds(1), { failIfEventsMatch: query }));
        expect(refused.code).toBe('append_conflict');
        expect(await store.append(withIds(1), { failIfEventsMatch: query, after: 1n })).toEqual({
          position: 2n,
          isRepeated: false,
        });
      });

      test('some of the ids are taken: refused, naming one, and nothing is stored', async () => {
        const store = await emptyStore();
        await store.append(withIds(1, 2));
        for (const [events, taken] of [
          [withIds(2, 3), [idOf(2)]],
          [withIds(4, 1), [idOf(1)]],
          [withIds(1, 2, 5), [idOf(1), idOf(2)]],
        ] as const) {
          const error = await failureOf(() => store.append(events));
          expect(error.code).toBe('duplicate_event_id');
          expect(taken).toContain(error.details.id);
        }
        expect(await store.head()).toBe(2n);
        expect(await store.append(withIds(2)), 'a part that was stored').toEqual({
          position: 2n,
          isRepeated: true,
        });
        expect(await store.append(withIds(3, 4, 5)), 'nothing of them was stored').toEqual({
          position: 5n,
          isRepeated: false,
        });
      });

      test('ids are looked at before the condition', async () => {
        const store = await emptyStore();
        await store.append(withIds(1));
        const error = await failureOf(() => store.append(withIds(1, 2), { failIfEventsMatch: 'all' }));
        expect(error.code).toBe('duplicate_event_id');
      });

      test('the same append many times at once: stored once, and all have the same answer', async () => {
        const [first, second] = await twoEngines();
        const stores = [new EventStore(first), new EventStore(second)];
        const condition = { failIfEventsMatch: 'all' } as const;
        const answers = await Promise.all(
          upTo(20).map((n) => (stores[n % 2] as EventStore).append(withIds(1, 2, 3), condition)),
        );
        expect(new Set(answers.map(({ position }) => position))).toEqual(new Set([3n]));
        expect(answers.filter(({ isRepeated }) => !isRepeated)).toHaveLength(1);
        expect(await stores[0]?.head()).toBe(3n);
      });

      test('in one group: repeated, partly repeated, and after one that was refused', async () => {
        const engine = await emptyEngine();
        const ids = (...numbers: number[]): EventRow[] =>
          numbers.map((n) => row('A', ['a'], { id: idOf(n) }));
        const verdicts = await engine.append([
          command(ids(1, 2), 'all'),
          command(ids(1, 2), 'all'),
          command(ids(2, 3)),
          command(ids(3), 'all'),
          command(ids(3), 'all', 2n),
          command(ids(3), 'all', 0n),
        ]);
        expect(verdicts).toEqual([
          { kind: 'appended', position: 2n, isRepeated: false },
          { kind: 'appended', position: 2n, isRepeated: true },
          { kind: 'duplicate_id', id: idOf(2) },
          { kind: 'conflict', position: 1n },
          { kind: 'appended', position: 3n, isRepeated: false },
          { kind: 'appended', position: 3n, isRepeated: true },
        ]);
      });

      test('a thousand ids', async () => {
        const store = await emptyStore();
        const numbers = upTo(1_000);
        await store.append(withIds(...numbers));
        expect(await store.append(withIds(...numbers))).toEqual({ position: 1_000n, isRepeated: true });
        expect(await failureOf(() => store.append(withIds(...numbers, 1_001)))).toMatchObject({
          code: 'duplicate_event_id',
        });
      });
    });

    describe('races', () => {
      const ROUNDS = 20;

      test.each([2, 16, 50])(
        '%i racers with one condition, 20 rounds: exactly one winner',
        async (racers) => {
          const store = await emptyStore();
          for (let round = 1; round <= ROUNDS; round += 1) {
            const tag = `prize:${round}`;
            const condition = { failIfEventsMatch: [{ types: ['Won'], tags: [tag] }] };
            const { winners, losers } = await raced(
              upTo(racers).map((n) => store.append({ type: 'Won', tags: [tag], data: n }, condition)),
            );
            expect(winners).toEqual([{ position: BigInt(round), isRepeated: false }]);
            expect(losers).toHaveLength(racers - 1);
            for (const { code, details } of losers)
              expect({ code, details }).toEqual({
                code: 'append_conflict',
                details: { position: String(round) },
              });
            expect(await store.read([{ tags: [tag] }])).toHaveLength(1);
          }
          // The control: without a condition all of them append.
          const { winners } = await raced(upTo(racers).map(() => store.append(event('Won', 'prize:1'))));
          expect(winners).toHaveLength(racers);
        },
      );

      test.each([2, 16, 50])(
        '%i racers, each through its own store on two engines: exactly one winner',
        async (racers) => {
          const engines = await twoEngines();
          const stores = upTo(racers).map((n) => new EventStore(engines[n % 2] as EventEngine));
          for (let round = 1; round <= ROUNDS; round += 1) {
            const tag = `prize:${round}`;
            const condition = {
              failIfEventsMatch: [{ types: ['Won'], tags: [tag] }],
              after: BigInt(round - 1),
            };
            const { winners, losers } = await raced(
              stores.map((store) => store.append({ type: 'Won', tags: [tag] }, condition)),
            );
            expect(winners).toEqual([{ position: BigInt(round), isRepeated: false }]);
            expect(losers.map(({ code }) => code)).toEqual(Array(racers - 1).fill('append_conflict'));
          }
          const { winners } = await raced(stores.map((store) => store.append(event('Won', 'prize:1'))));
          expect(winners).toHaveLength(racers);
        },
      );

      test('conditions that differ but overlap: exactly one winner', async () => {
        const engines = await twoEngines();
        for (let round = 1; round <= ROUNDS; round += 1) {
          const [a, b] = [`a:${round}`, `b:${round}`];
          const conditions: QueryInput[] = [
            [{ tags: [a] }],
            [{ tags: [b] }],
            [{ tags: [b, a] }],
            [{ types: [`T${round}`] }],
            [{ types: [`T${round}`, 'U'], tags: [a] }],
            [{ types: ['U'] }, { tags: [b] }],
            'all',
          ];
          const { winners, losers } = await raced(
            conditions.map((failIfEventsMatch, n) =>
              new EventStore(engines[n % 2] as EventEngine).append(event(`T${round}`, a, b), {
                failIfEventsMatch,
                after: BigInt(round - 1),
              }),
            ),
          );
          expect(winners).toHaveLength(1);
          expect(losers.map(({ details }) => details.position)).toEqual(
            Array(conditions.length - 1).fill(String(round)),
          );
        }
      });

      test('write skew: each appends what the other’s condition forbids; one of them wins', async () => {
        const engines = await twoEngines();
        const stores = engines.map((engine) => new EventStore(engine));
        for (let round = 1; round <= ROUNDS; round += 1) {
          const [left, right] = [`left:${round}`, `right:${round}`];
          const { winners } = await raced([
            (stores[0] as EventStore).append(event('A', left), { failIfEventsMatch: [{ tags: [right] }] }),
            (stores[1] as EventStore).append(event('A', right), { failIfEventsMatch: [{ tags: [left] }] }),
          ]);
          expect(winners).toHaveLength(1);
        }
      });

      test('conditions that do not overlap do not hurt each other', async () => {
        const engines = await twoEngines();
        const stores = engines.map((engine) => new EventStore(engine));
        const { losers } = await raced(
          upTo(100).map((n) =>
            (stores[n % 2] as EventStore).append(event('A', `own:${n}`), {
              failIfEventsMatch: [{ types: ['A'], tags: [`own:${n}`] }],
            }),
          ),
        );
        expect(losers).toEqual([]);
        expect(positionsOf(await (stores[0] as EventStore).read('all'))).toEqual(upTo(100));
      });

      test('what a reader has seen never gets company before it: no event appears at or below a head', async () => {
        const engines = await twoEngines();
        const stores = engines.map((engine) => new EventStore(engine));
        let isWriting = true;
        const seen: number[] = [];
        const reading = (async () => {
          let after = 0n;
          for (;;) {
            const isLast = !isWriting;
            const page = await (stores[0] as EventStore).read('all', { after, limit: 'unlimited' });
            seen.push(...positionsOf(page));
            after = page.at(-1)?.position ?? after;
            if (isLast) return;
          }
        })();
        await Promise.all(
          upTo(10).map(async (writer) => {
            const store = new EventStore(engines[writer % 2] as EventEngine);
            for (let n = 0; n < 10; n += 1) await store.append([event('A', `w:${writer}`), event('B')]);
          }),
        );
        isWriting = false;
        await reading;
        expect(seen).toEqual(upTo(200));
      });
    });

    describe('subscribing', () => {
      /** Lets a test see whether something has come, without waiting for it. */
      const watched = <Value>(
        promise: Promise<Value>,
      ): { promise: Promise<Value>; hasCome: () => boolean } => {
        let hasCome = false;
        const noted = promise.then((value) => {
          hasCome = true;
          return value;
        });
        return { promise: noted, hasCome: () => hasCome };
      };
      /** Two stores on two engines of one database; the first has a clock that stands still. */
      const twoStores = async (): Promise<{ store: EventStore; other: EventStore; timers: FakeTimers }> => {
        const [first, second] = await twoEngines();
        const timers = new FakeTimers();
        return { store: new EventStore(first, { timers }), other: new EventStore(second), timers };
      };
      const waitsForPoll = (timers: FakeTimers): Promise<void> =>
        eventually(() => expect(timers.pending).toBe(1));

      test('from history into live: each event once, in order', async () => {
        const store = await emptyStore();
        await store.append(upTo(100).map((n) => event(n % 2 === 0 ? 'A' : 'B', 'a')));
        const events = store.subscribe([{ types: ['A', 'C'], tags: ['a'] }], { pageEvents: 9 });
        const history = await take(events, 20);
        const writing = Promise.all(
          upTo(100).map((n) =>
            store.append(n % 2 === 0 ? [event('A', 'a'), event('C', 'x')] : event('A', 'b')),
          ),
        );
        const rest = await take(events, 80);
        await writing;
        const expected = (await store.read([{ types: ['A'], tags: ['a'] }], { limit: 'unlimited' })).map(
          ({ position }) => position,
        );
        expect([...history, ...rest].map(({ position }) => position)).toEqual(expected);
        // Nothing is left over: the next one is the next that is appended.
        const next = events.next();
        const { position } = await store.append(event('C', 'a'));
        expect(await next).toMatchObject({ done: false, value: { position, type: 'C' } });
      });

      test('while many append, subscribers that begin at different times miss nothing and get nothing twice', async () => {
        const { store, other, timers } = await twoStores();
        const query = [{ tags: ['even'] }, { types: ['Last'] }];
        const follow = async (after: bigint): Promise<number[]> => {
          const seen: number[] = [];
          for await (const { type, position } of store.subscribe(query, {
            after,
            pageEvents: 3,
            pollMs: 10,
          })) {
            if (type === 'Last') break;
            seen.push(Number(position));
          }
          return seen;
        };
        const followers: Promise<number[]>[] = [];
        const starts: bigint[] = [];
        for (let n = 1; n <= 60; n += 1) {
          const tags = n % 2 === 0 ? ['even'] : ['odd'];
          const appended = (n % 3 === 0 ? other : store).append(event('A', ...tags));
          if (n % 12 === 1) {
            const after = n % 24 === 1 ? 0n : await store.head();
            starts.push(after);
            followers.push(follow(after));
          }
          if (n % 5 === 0) await appended;
          timers.advance(10);
        }
        await eventually(async () => expect(await store.head()).toBe(60n));
        const evens = positionsOf(await store.read([{ tags: ['even'] }]));
        expect(evens).toHaveLength(30);
        await store.append(event('Last'));
        const seen = await Promise.all(followers);
        expect(seen).toEqual(starts.map((start) => evens.filter((position) => position > Number(start))));
      });

      test('it begins behind `after`, which may lie beyond the end', async () => {
        const store = await storeWith(event(), event(), event());
        expect(positionsOf(await take(store.subscribe('all', { after: 1n }), 2))).toEqual([2, 3]);
        const beyond = store.subscribe('all', { after: 4n }).next();
        await store.append([event(), event(), event()]);
        expect(await beyond).toMatchObject({ value: { position: 5n } });
        const live = store.subscribe('all', { after: await store.head() }).next();
        await store.append(event());
        expect(await live).toMatchObject({ value: { position: 7n } });
      });

      test('what others have appended is found by a poll', async () => {
        const { store, other, timers } = await twoStores();
        await other.append(event('A'));
        const events = store.subscribe([{ types: ['A'] }], { pollMs: 500 });
        expect(await take(events, 1), 'at the beginning there is no wait').toMatchObject([{ position: 1n }]);
        const next = watched(events.next());
        await waitsForPoll(timers);
        await other.append([event('A'), event('B'), event('A')]);
        timers.advance(499);
        expect(await store.head()).toBe(4n);
        expect(next.hasCome()).toBe(false);
        timers.advance(1);
        expect(await next.promise).toMatchObject({ value: { position: 2n } });
        expect(await take(events, 1)).toMatchObject([{ position: 4n }]);
        // A poll that finds nothing is followed by the next.
        const later = watched(events.next());
        await waitsForPoll(timers);
        timers.advance(500);
        await waitsForPoll(timers);
        expect(later.hasCome()).toBe(false);
        await other.append(event('A'));
        timers.advance(500);
        expect(await later.promise).toMatchObject({ value: { position: 5n } });
      });

      test('an append of the store itself also brings what others have appended before it', async () => {
        const { store, other, timers } = await twoStores();
        const events = store.subscribe('all');
        const first = events.next();
        await store.append(event());
        expect(await first).toMatchObject({ value: { position: 1n } });
        const next = events.next();
        await other.append([event(), event()]);
        await store.append(event());
        expect(await next).toMatchObject({ value: { position: 2n } });
        expect(positionsOf(await take(events, 2))).toEqual([3, 4]);
        expect(timers.pending, 'without pollMs there is no timer').toBe(0);
      });

      test('a signal ends it, whether it waits, reads or has given something', async () => {
        const { store, timers } = await twoStores();
        await store.append([event(), event()]);
        expect(await collected(store.subscribe('all', { signal: AbortSignal.abort() }))).toEqual([]);

        const waiting = new AbortController();
        const waits = store.subscribe('all', { after: 2n, signal: waiting.signal, pollMs: 100 });
        const next = waits.next();
        await waitsForPoll(timers);
        waiting.abort();
        expect(await next).toEqual({ done: true, value: undefined });
        expect(timers.pending, 'its timer is gone').toBe(0);

        const giving = new AbortController();
        const gives = store.subscribe('all', { signal: giving.signal });
        expect(await take(gives, 1)).toHaveLength(1);
        giving.abort();
        expect(await gives.next()).toEqual({ done: true, value: undefined });

        const reading = new AbortController();
        const reads = store.subscribe('all', { signal: reading.signal }).next();
        reading.abort();
        expect(await reads).toEqual({ done: true, value: undefined });
      });

      test('a subscription that is left takes nothing with it', async () => {
        const { store, timers } = await twoStores();
        await store.append([event(), event()]);
        for await (const { position } of store.subscribe('all', { pollMs: 100 })) if (position === 2n) break;
        expect(timers.pending).toBe(0);
        expect(positionsOf(await take(store.subscribe('all'), 2))).toEqual([1, 2]);
      });

      test('records are subscribed to with data as text', async () => {
        const store = await emptyStore();
        await store.appendRecords({ type: 'A', tags: ['a'], data: 'no JSON', metadata: { m: 1 } });
        expect(await take(store.subscribeRecords([{ tags: ['a'] }]), 1)).toMatchObject([
          { position: 1n, type: 'A', tags: ['a'], data: 'no JSON', metadata: '{"m":1}', id: null },
        ]);
        expect(await collected(store.iterateRecords('all'))).toMatchObject([{ data: 'no JSON' }]);
      });
    });

    describe('closing and clearing', () => {
      test('a closed store refuses everything', async () => {
        const store = await storeWith(event());
        await store.close();
        for (const call of [
          () => store.append(event()),
          () => store.appendRecords({ type: 'A', data: '' }),
          () => store.read('all'),
          () => store.readRecords('all'),
          () => store.iterate('all').next(),
          () => store.subscribe('all').next(),
          () => store.head(),
          () => store.info(),
          () => store.clear(),
        ])
          expect(await failureOf(call)).toMatchObject({ code: 'store_closed' });
        await store.close();
      });

      test('closing waits for what was accepted', async () => {
        const engine = await emptyEngine();
        const store = new EventStore(engine);
        const appends = upTo(20).map(() => store.append(event()));
        await store.close();
        expect(await engine.head()).toBe(20n);
        expect(positionsOf(await Promise.all(appends))).toEqual(upTo(20));
      });

      test('closing ends iterations and subscriptions, also those that wait', async () => {
        const store = await storeWith(event(), event(), event());
        const events = store.iterate('all', { pageEvents: 1 });
        const given = store.subscribe('all');
        const waiting = failureOf(() => store.subscribe('all', { after: 3n, pollMs: 100 }).next());
        await take(events, 1);
        await take(given, 1);
        await store.close();
        expect(await failureOf(() => events.next())).toMatchObject({ code: 'store_closed' });
        expect(await failureOf(() => given.next())).toMatchObject({ code: 'store_closed' });
        expect(await waiting).toMatchObject({ code: 'store_closed' });
      });

      test('clearing deletes all events, ids too, and positions begin again', async () => {
        const store = await emptyStore();
        await store.append([
          { ...event('A', 'a'), id: idOf(1) },
          { ...event('A', 'b'), id: idOf(2) },
        ]);
        expect(await store.clear()).toBe(2n);
        expect(await store.info()).toEqual({ events: 0n, head: 0n });
        expect(await store.read('all')).toEqual([]);
        expect(await store.read([{ types: ['A'] }, { tags: ['a'] }, { tags: ['a', 'b'] }])).toEqual([]);
        expect(await store.clear()).toBe(0n);
        expect(
          await store.append({ ...event('A', 'a'), id: idOf(1) }, { failIfEventsMatch: [{ tags: ['a'] }] }),
        ).toEqual({ position: 1n, isRepeated: false });
      });

      test('clearing ends subscriptions; one that begins behind it sees the new events', async () => {
        const store = await storeWith(event(), event(), event());
        const waiting = failureOf(() => store.subscribe('all', { after: 3n }).next());
        const given = store.subscribe('all');
        await take(given, 1);
        await store.clear();
        expect(await waiting).toMatchObject({ code: 'store_closed' });
        expect(await failureOf(() => given.next())).toMatchObject({ code: 'store_closed' });
        const again = store.subscribe('all').next();
        await store.append(event('New'));
        expect(await again).toMatchObject({ value: { position: 1n, type: 'New' } });
      });

      test('what somebody else has cleared is noticed by a poll, and by a new subscription', async () => {
        const [first, second] = await twoEngines();
        const timers = new FakeTimers();
        const store = new EventStore(first, { timers });
        await store.append([event(), event(), event()]);
        const waiting = failureOf(() => store.subscribe('all', { after: 3n, pollMs: 100 }).next());
        await eventually(() => expect(timers.pending).toBe(1));
        await second.clear();
        await second.append([command([row('New')])]);
        timers.advance(100);
        expect(await waiting).toMatchObject({ code: 'store_closed' });
        expect(await take(store.subscribe('all'), 1)).toMatchObject([{ position: 1n, type: 'New' }]);
      });
    });

    describe('defects of the reference system', () => {
      test('a condition on “all” is checked: nothing may exist at all', async () => {
        const store = await emptyStore();
        for (const failIfEventsMatch of ['all', [{}], [{ types: [], tags: [] }]] as const) {
          await store.clear();
          await store.append(event(), { failIfEventsMatch });
          expect(await failureOf(() => store.append(event(), { failIfEventsMatch }))).toMatchObject({
            code: 'append_conflict',
            details: { position: '1' },
          });
        }
      });

      test('an item that matches everything is not lost where it is one of several', async () => {
        const store = await storeWith(event('A', 'a'), event('B', 'b'));
        for (const query of [
          [{ types: ['A'] }, {}],
          [{}, { types: ['A'] }],
        ]) {
          expect(positionsOf(await store.read(query))).toEqual([1, 2]);
          expect(
            await failureOf(() => store.append(event(), { failIfEventsMatch: query, after: 1n })),
          ).toMatchObject({ details: { position: '2' } });
        }
      });

      test('items are not flattened into the union of types and all of the tags', async () => {
        const store = await storeWith(event('A', 'a'), event('B', 'b'), event('A', 'b'), event('B', 'a'));
        const query = [
          { types: ['A'], tags: ['a'] },
          { types: ['B'], tags: ['b'] },
        ];
        // Flattened, it would be (A or B) and a and b, which no event is.
        expect(positionsOf(await store.read(query))).toEqual([1, 2]);
        expect(await failureOf(() => store.append(event(), { failIfEventsMatch: query }))).toMatchObject({
          details: { position: '1' },
        });
        expect(
          await failureOf(() => store.append(event(), { failIfEventsMatch: query, after: 1n })),
        ).toMatchObject({ details: { position: '2' } });
        expect(await store.append(event(), { failIfEventsMatch: query, after: 2n })).toMatchObject({
          position: 5n,
        });
      });

      test('items of the same tags are not merged: any type beside one type stays any type', async () => {
        const store = await storeWith(event('A', 'a'), event('B', 'a'));
        const query = [{ tags: ['a'] }, { types: ['A'], tags: ['a'] }];
        expect(positionsOf(await store.read(query))).toEqual([1, 2]);
        expect(
          await failureOf(() => store.append(event(), { failIfEventsMatch: query, after: 1n })),
        ).toMatchObject({ details: { position: '2' } });
      });

      test('a condition from a cursor that saw nothing new does not conflict with what is older', async () => {
        const store = await storeWith(event('A', 'a'), event('B', 'b'));
        const query = [{ tags: ['a'] }];
        expect(await store.read(query, { after: 1n })).toEqual([]);
        expect(await store.append(event('A', 'a'), { failIfEventsMatch: query, after: 1n })).toMatchObject({
          position: 3n,
        });
      });

      test('calls that are refused use nothing up', async () => {
        const store = await storeWith(event('A', 'a'));
        for (let n = 0; n < 150; n += 1) {
          await failureOf(() => store.read([]));
          await failureOf(() => store.iterate([{ tags: [''] }]).next());
          await failureOf(() => store.subscribe([]).next());
          await failureOf(() => store.append({ type: '' }));
          await failureOf(() => store.append(event(), { failIfEventsMatch: 'all' }));
        }
        expect(await store.read([{ tags: ['a'] }])).toHaveLength(1);
        expect(await take(store.subscribe('all'), 1)).toHaveLength(1);
        expect(await store.append(event())).toMatchObject({ position: 2n });
      });

      test('an iteration does not end quietly where the database fails', async () => {
        const engine = await emptyEngine();
        let reads = 0;
        const failing: EventEngine = {
          append: (commands) => engine.append(commands),
          head: () => engine.head(),
          clear: () => engine.clear(),
          read: async (read) => {
            reads += 1;
            if (reads === 2) throw new Error('the connection is gone');
            return engine.read(read);
          },
        };
        const store = new EventStore(failing);
        await store.append(upTo(10).map(() => event()));
        const seen: number[] = [];
        const error = await failureOf(async () => {
          for await (const { position } of store.iterate('all', { pageEvents: 4 }))
            seen.push(Number(position));
        });
        expect(error.message).toBe('the connection is gone');
        expect(seen).toEqual(upTo(4));
        reads = 1;
        const subscription = store.subscribe('all', { pageEvents: 4 });
        expect(await failureOf(() => subscription.next())).toMatchObject({
          message: 'the connection is gone',
        });
      });

      test('a tag that holds the separators of tags is one tag', async () => {
        const store = await storeWith(event('A', 'a"b', 'c,d', '{e}'), event('A', 'a', 'b', 'c', 'd', 'e'));
        expect((await store.read('all'))[0]?.tags).toEqual(['a"b', 'c,d', '{e}']);
        expect(positionsOf(await store.read([{ tags: ['c,d', 'a"b'] }]))).toEqual([1]);
        expect(positionsOf(await store.read([{ tags: ['c', 'd'] }]))).toEqual([2]);
      });
    });

    describe('the whole log, replayed', () => {
      const TYPES = ['A', 'B', 'C'];
      const TAGS = ['x', 'y', 'z', 'a "b", {c}'];
      const labels = {
        type: fc.constantFrom(...TYPES),
        tags: fc.uniqueArray(fc.constantFrom(...TAGS), { maxLength: 3 }),
      };
      const anItem = fc
        .record({ types: fc.uniqueArray(labels.type, { maxLength: 2 }), tags: labels.tags })
        .filter(({ types, tags }) => types.length + tags.length > 0);
      const aQuery: fc.Arbitrary<EventQuery> = fc.oneof(
        { weight: 9, arbitrary: fc.array(anItem, { minLength: 1, maxLength: 3 }) },
        { weight: 1, arbitrary: fc.constant<EventQuery>('all') },
      );
      const anAppend = fc.record({
        events: fc.array(fc.record(labels), { minLength: 1, maxLength: 3 }),
        query: fc.option(aQuery, { freq: 5 }),
        /** How far `after` lies from the last position that the writer knows of. */
        distance: fc.constantFrom(0n, 0n, 0n, -1n, -3n, -1_000n, 1n, 2n, 5n),
        /** Whether it is sent twice at once, with ids. */
        isRepeated: fc.boolean(),
      });
      /** What each of several writers does, one thing after the other. */
      const writers = fc.array(fc.array(anAppend, { minLength: 1, maxLength: 8 }), {
        minLength: 2,
        maxLength: 8,
      });

      test('each stored condition held when its events were appended, and each conflict names the first match', async () => {
        const engines = await twoEngines();
        let ids = 0;
        let accepted = 0;
        let refused = 0;
        let repeated = 0;
        await fc.assert(
          fc.asyncProperty(writers, async (plan) => {
            await (engines[0] as EventEngine).clear();
            const stores = engines.map((engine) => new EventStore(engine));
            const answers: {
              events: readonly NewEvent[];
              condition: AppendCondition | undefined;
              appended: Appended | undefined;
              conflict: bigint | undefined;
            }[] = [];
            await Promise.all(
              plan.map(async (appends, writer) => {
                const store = stores[writer % 2] as EventStore;
                let known = 0n;
                for (const [index, { events: labelled, query, distance, isRepeated }] of appends.entries()) {
                  const events = labelled.map((one) => {
                    ids += 1;
                    return { ...one, data: `${writer}.${index}`, ...(isRepeated ? { id: idOf(ids) } : {}) };
                  });
                  const after = known + distance < 0n ? 0n : known + distance;
                  const condition = query === null ? undefined : { query, after };
                  const input = query === null ? undefined : { failIfEventsMatch: query, after };
                  const calls = Array.from({ length: isRepeated ? 2 : 1 }, () => store.append(events, input));
                  for (const outcome of await Promise.allSettled(calls)) {
                    if (outcome.status === 'fulfilled') {
                      answers.push({ events, condition, appended: outcome.value, conflict: undefined });
                      known = outcome.value.position;
                    } else {
                      const { code, details } = outcome.reason as SluiceError;
                      expect(code).toBe('append_conflict');
                      const conflict = BigInt(details.position as string);
                      answers.push({ events, condition, appended: undefined, conflict });
                      if (conflict > known) known = conflict;
                    }
                  }
                }
              }),
            );

            const log = await (stores[0] as EventStore).read('all', { limit: 'unlimited' });
            expect(positionsOf(log)).toEqual(upTo(log.length));
            const firstMatch = ({ query, after }: AppendCondition): StoredEvent | undefined =>
              log.find((one) => one.position > after && isMatch(query, one));
            let stored = 0;
            for (const { events, condition, appended, conflict } of answers) {
              if (appended === undefined) {
                refused += 1;
                // The log only grows at its end, so that the first match then is the first match now.
                expect(conflict).toBe(firstMatch(condition as AppendCondition)?.position);
                continue;
              }
              const end = Number(appended.position);
              const own = log.slice(end - events.length, end);
              expect(own).toMatchObject(events);
              if (appended.isRepeated) {
                repeated += 1;
                continue;
              }
              accepted += 1;
              stored += events.length;
              if (condition === undefined) continue;
              const first = firstMatch(condition);
              // Its own events and all behind them are no part of what it was checked against.
              if (first !== undefined) expect(first.position).toBeGreaterThan(BigInt(end - events.length));
            }
            expect(stored, 'no event is in the log that nobody was told of').toBe(log.length);

            for (const query of plan
              .flatMap((appends) => appends.map((one) => one.query ?? 'all'))
              .slice(0, 5)) {
              const expected = positionsOf(log.filter((one) => isMatch(query, one)));
              expect(positionsOf(await (stores[1] as EventStore).read(query))).toEqual(expected);
            }
          }),
          { numRuns: 30 },
        );
        // All of the three were tried.
        expect(Math.min(accepted, refused, repeated)).toBeGreaterThan(20);
      });
    });
  });
}
