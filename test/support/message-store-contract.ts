/**
 * What a message store does on any engine. The cases carry the numbers of the reference system's test specification
 * (`WRITE-001` …) and the names of Message DB's tests where they come from there.
 */

import { afterEach, describe, expect, test } from 'vitest';
import type { SluiceError } from '../../src/core/errors.ts';
import type { AppendCommand, MessageEngine, MessageRow, StreamAppend } from '../../src/messages/engine.ts';
import type { ImportedMessage, JsonValue, Message, NewMessage } from '../../src/messages/message.ts';
import { MessageStore, type MessageStoreOptions } from '../../src/messages/message-store.ts';
import { cardinalHash, consumerGroupMember, messageCategory } from '../../src/messages/names.ts';
import { JsonText } from '../../src/store/exact-numbers.ts';
import { TEST_LIMIT_MS } from './patience.ts';

/** A store without messages, for one test. */
export interface ContractSubject {
  store: MessageStore;
  engine: MessageEngine;
  close: () => Promise<void>;
}

const GIVEN_ID = '550e8400-e29b-41d4-a716-446655440000';
const LARGEST_BIGINT = 9_223_372_036_854_775_807n;

const event = (type = 'TestEvent', data: JsonValue = { foo: 'bar' }): NewMessage => ({ type, data });
const events = (count: number): NewMessage[] =>
  Array.from({ length: count }, (_, index) => event('TestEvent', { index }));
const positionsOf = (messages: readonly { position: bigint }[]): number[] =>
  messages.map(({ position }) => Number(position));
const globalPositionsOf = (messages: readonly { globalPosition: bigint }[]): number[] =>
  messages.map(({ globalPosition }) => Number(globalPosition));
const streamsOf = (messages: readonly Message[]): string[] => messages.map(({ streamName }) => streamName);
const upTo = (end: number, start = 0): number[] =>
  Array.from({ length: end - start }, (_, index) => start + index);

/** A UUID that differs by its number only. */
export const idOf = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** What a call failed with, so that its fields can be looked at. A call that succeeds fails the test. */
async function failureOf(call: Promise<unknown>): Promise<SluiceError> {
  try {
    await call;
  } catch (error) {
    return error as SluiceError;
  }
  throw new Error('The call succeeded; it should have failed');
}

function imported(changes: Partial<ImportedMessage> = {}): ImportedMessage {
  return {
    id: idOf(1),
    streamName: 'account-1',
    type: 'Opened',
    data: { amount: 1 },
    metadata: null,
    position: 0n,
    globalPosition: 1n,
    timeUs: 1_700_000_000_123_456,
    ...changes,
  };
}

const row = (id: string): MessageRow => ({ id, type: 'T', data: '{}', metadata: null, correlation: null });

function command(
  stream: string,
  ids: readonly string[],
  expectedVersion: bigint | null = null,
): AppendCommand {
  return {
    appends: [
      {
        stream,
        category: messageCategory(stream),
        cardinalHash: cardinalHash(stream),
        expectedVersion,
        messages: ids.map(row),
      },
    ],
  };
}

/**
 * Declares the suite.
 *
 * @param engineName names the suite
 * @param open makes a store without messages; called for each test
 */
export function messageStoreContract(engineName: string, open: () => Promise<ContractSubject>): void {
  const opened: ContractSubject[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((subject) => subject.close()));
  });
  const subject = async (): Promise<ContractSubject> => {
    const fresh = await open();
    opened.push(fresh);
    return fresh;
  };
  const empty = async (): Promise<MessageStore> => (await subject()).store;
  /** A store with other options on the engine of a fresh subject. */
  const emptyWith = async (options: MessageStoreOptions): Promise<MessageStore> =>
    new MessageStore((await subject()).engine, options);
  const withMessages = async (stream: string, count: number): Promise<MessageStore> => {
    const store = await empty();
    await store.write(stream, events(count));
    return store;
  };

  describe(`the message store on ${engineName}`, () => {
    describe('writing', () => {
      test('WRITE-001: the first message is at position 0, and at global position 1 of a new store', async () => {
        const store = await empty();
        expect(await store.write('test-1', event())).toEqual({ position: 0n, globalPosition: 1n });
      });

      test('WRITE-002, 008, 009: data and metadata are read back as written; null stays null', async () => {
        const store = await empty();
        await store.write('test-1', { type: 'A', data: { foo: 'bar' }, metadata: { correlationId: '123' } });
        await store.write('test-1', { type: 'B', data: {} });
        await store.write('test-1', { type: 'C', data: { x: 1 }, metadata: null });
        await store.write('test-1', { type: 'D' });
        expect(await store.readStream('test-1')).toMatchObject([
          { type: 'A', data: { foo: 'bar' }, metadata: { correlationId: '123' } },
          { type: 'B', data: {}, metadata: null },
          { type: 'C', data: { x: 1 }, metadata: null },
          { type: 'D', data: {}, metadata: null },
        ]);
      });

      test('WRITE-003: an id that is given is kept, in lower case', async () => {
        const store = await empty();
        await store.write('test-1', { ...event(), id: GIVEN_ID.toUpperCase() });
        expect((await store.readStream('test-1'))[0]?.id).toBe(GIVEN_ID);
      });

      test('ids that are made are of version 7, rising and unique', async () => {
        const store = await withMessages('test-1', 300);
        const ids = (await store.readStream('test-1')).map(({ id }) => id);
        expect(
          ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
        ).toBe(true);
        expect(new Set(ids).size).toBe(300);
        expect(ids).toEqual([...ids].sort());
      });

      test('WRITE-004, Message DB write-message/expected-version: the version that is expected', async () => {
        const store = await withMessages('test-1', 2);
        expect((await store.write('test-1', event(), { expectedVersion: 1n })).position).toBe(2n);
      });

      test('WRITE-005, Message DB write-message/expected-version-error: a conflict says both versions, and nothing is written', async () => {
        const store = await withMessages('test-1', 2);
        const error = await failureOf(store.write('test-1', event(), { expectedVersion: 5n }));
        expect(error).toMatchObject({
          code: 'version_conflict',
          message: 'Wrong expected version: 5 (Stream: test-1, Stream Version: 1)',
          details: { stream: 'test-1', expectedVersion: '5', actualVersion: '1' },
        });
        expect(await store.version('test-1')).toBe(1n);
        expect(await store.info()).toEqual({ messages: 2n, head: 2n });
      });

      test('WRITE-006: five writes have positions 0 to 4 and rising global positions', async () => {
        const store = await empty();
        const written = [];
        for (const message of events(5)) written.push(await store.write('test-1', message));
        expect(positionsOf(written)).toEqual([0, 1, 2, 3, 4]);
        expect(globalPositionsOf(written)).toEqual([1, 2, 3, 4, 5]);
      });

      test('several messages are one write: their places follow each other', async () => {
        const store = await withMessages('test-1', 1);
        expect(await store.write('test-1', events(3), { expectedVersion: 0n })).toEqual({
          position: 3n,
          globalPosition: 4n,
        });
        expect(positionsOf(await store.readStream('test-1'))).toEqual([0, 1, 2, 3]);
      });

      test('a thousand messages in one write', async () => {
        const store = await empty();
        expect(await store.write('test-1', events(1_000))).toEqual({
          position: 999n,
          globalPosition: 1_000n,
        });
        const read = await store.readStream('test-1');
        expect(read.map(({ data }) => (data as { index: number }).index)).toEqual(upTo(1_000));
        expect(positionsOf(read)).toEqual(upTo(1_000));
      });

      test('EDGE-007: no stream expected: goes once, then is a conflict', async () => {
        const store = await empty();
        expect(await store.write('test-1', event(), { expectedVersion: 'no-stream' })).toMatchObject({
          position: 0n,
        });
        const error = await failureOf(store.write('test-1', event(), { expectedVersion: 'no-stream' }));
        expect(error).toMatchObject({
          code: 'version_conflict',
          details: { stream: 'test-1', expectedVersion: 'no-stream', actualVersion: '0' },
        });
      });

      test('EDGE-008: version 0 expected of a stream that does not exist', async () => {
        const store = await empty();
        const error = await failureOf(store.write('test-1', event(), { expectedVersion: 0n }));
        expect(error).toMatchObject({
          code: 'version_conflict',
          details: { stream: 'test-1', expectedVersion: '0', actualVersion: 'no-stream' },
        });
        expect(await store.version('test-1')).toBeUndefined();
      });

      test('versions beyond 2^53 are compared exactly', async () => {
        const store = await withMessages('test-1', 1);
        const error = await failureOf(store.write('test-1', event(), { expectedVersion: LARGEST_BIGINT }));
        expect(error.details).toMatchObject({ expectedVersion: '9223372036854775807', actualVersion: '0' });
      });

      test('a version beyond 64 bits is refused, and costs nobody who writes beside it', async () => {
        const store = await withMessages('test-1', 1);
        const expectedVersion = LARGEST_BIGINT + 1n;
        const [beside, refused] = await Promise.allSettled([
          store.write('test-1', event()),
          store.write('test-1', event(), { expectedVersion }),
        ]);
        expect(beside).toMatchObject({ status: 'fulfilled', value: { position: 1n } });
        expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'invalid_options' } });
        expect(await store.version('test-1')).toBe(1n);
      });

      test('an id that is there already, in whatever stream, is refused and nothing of the write is kept', async () => {
        const store = await empty();
        await store.write('test-1', { ...event(), id: idOf(1) });
        const error = await failureOf(store.write('other-1', [event(), { ...event(), id: idOf(1) }]));
        expect(error).toMatchObject({ code: 'duplicate_message_id', details: { id: idOf(1) } });
        expect(await failureOf(store.write('test-1', { ...event(), id: idOf(1) }))).toMatchObject({
          code: 'duplicate_message_id',
        });
        expect(await store.info()).toMatchObject({ messages: 1n });
        expect((await store.write('test-1', event())).globalPosition, 'no position is lost').toBe(2n);
      });

      test('an id twice in one write is refused', async () => {
        const store = await empty();
        const message = { ...event(), id: idOf(7) };
        expect(await failureOf(store.write('test-1', [message, message]))).toMatchObject({
          code: 'duplicate_message_id',
          details: { id: idOf(7) },
        });
        expect(await store.info()).toEqual({ messages: 0n, head: 0n });
      });

      test('time is kept in microseconds, not in seconds', async () => {
        const before = Date.now();
        const store = await withMessages('test-1', 1);
        const [message] = await store.readStream('test-1');
        const timeUs = message?.timeUs as number;
        expect(Number.isSafeInteger(timeUs)).toBe(true);
        // The clock of a database beside this one may differ a little.
        expect(Math.abs(timeUs / 1_000 - before)).toBeLessThan(TEST_LIMIT_MS);
        await store.import([imported({ globalPosition: 2n })]);
        expect((await store.last('account-1'))?.timeUs).toBe(1_700_000_000_123_456);
      });
    });

    describe('names', () => {
      test.each([
        'account-123',
        'a',
        'stream-with-many-dashes',
        'stream123',
        'UPPERCASE',
        'test-stream_123.abc',
        'x-',
        'ü-ß',
        'wörld-🌍',
      ])('WRITE-007, EDGE-004, ENCODING-003: %s can be written to', async (name) => {
        const store = await empty();
        expect(await store.write(name, event())).toMatchObject({ position: 0n });
        expect((await store.last(name))?.streamName).toBe(name);
        expect(await store.version(name)).toBe(0n);
        expect(streamsOf(await store.readCategory(messageCategory(name)))).toEqual([name]);
      });

      test('names that differ in case or in accents are different streams', async () => {
        const store = await empty();
        for (const name of ['a-É', 'a-é', 'A-é', 'a-e']) await store.write(name, event());
        expect(await store.version('a-é')).toBe(0n);
        expect(await store.listStreams()).toHaveLength(4);
        expect(await store.readCategory('A')).toHaveLength(1);
      });

      test.each([
        ['empty', ''],
        ['without a category', '-1'],
        ['with a NUL', 'a-\0'],
        ['with a lone surrogate', 'a-\ud800'],
        ['too long', `a-${'x'.repeat(254)}`],
        ['no text', 7 as unknown as string],
      ])('ERROR-003: a name that is %s is refused', async (_, name) => {
        const store = await empty();
        expect(await failureOf(store.write(name, event()))).toMatchObject({ code: 'invalid_stream_name' });
        expect(await failureOf(store.readStream(name))).toMatchObject({ code: 'invalid_stream_name' });
        expect(await failureOf(store.last(name))).toMatchObject({ code: 'invalid_stream_name' });
        expect(await failureOf(store.version(name))).toMatchObject({ code: 'invalid_stream_name' });
        expect(await store.info()).toMatchObject({ messages: 0n });
      });

      test('the longest name, of characters of three bytes', async () => {
        const store = await empty();
        const name = `${'世'.repeat(127)}-${'界'.repeat(127)}`;
        await store.write(name, event());
        expect(await store.readStream(name)).toHaveLength(1);
      });

      test('Message DB get-stream-messages/error-not-stream-name', async () => {
        const store = await empty();
        expect(await failureOf(store.readStream('account'))).toMatchObject({
          code: 'invalid_stream_name',
          message: 'Must be a stream name: account',
        });
      });

      test('Message DB get-category-messages/error-not-category', async () => {
        const store = await empty();
        expect(await failureOf(store.readCategory('account-1'))).toMatchObject({
          code: 'invalid_category',
          message: 'Must be a category: account-1',
        });
        expect(await failureOf(store.readCategory('a\0'))).toMatchObject({ code: 'invalid_category' });
      });
    });

    describe('bad messages and options', () => {
      const cycle: { self?: unknown } = {};
      cycle.self = cycle;
      let deep: JsonValue = 1;
      for (let depth = 0; depth < 600; depth += 1) deep = [deep];
      test.each<[string, unknown, string]>([
        ['null', null, 'invalid_message'],
        ['a text', 'x', 'invalid_message'],
        ['without a type', {}, 'invalid_message'],
        ['with an empty type', { type: '' }, 'invalid_message'],
        ['with a type that is a number', { type: 1 }, 'invalid_message'],
        ['with a type that has a NUL', { type: 'a\0' }, 'invalid_message'],
        ['with a type that has a lone surrogate', { type: '\udc00' }, 'invalid_message'],
        ['with a type that is too long', { type: 'x'.repeat(256) }, 'invalid_message'],
        ['with an id that is not a UUID', { type: 'A', id: 'x' }, 'invalid_message'],
        ['with an empty id', { type: 'A', id: '' }, 'invalid_message'],
        ['with an id that is null', { type: 'A', id: null }, 'invalid_message'],
        ['with a NUL in its data', { type: 'A', data: { text: 'a\0b' } }, 'invalid_message'],
        ['with a NUL in a key', { type: 'A', data: { 'a\0b': 1 } }, 'invalid_message'],
        ['with a lone surrogate in its data', { type: 'A', data: ['\ud83d'] }, 'invalid_message'],
        ['with a lone surrogate in its metadata', { type: 'A', metadata: ['\ud83d'] }, 'invalid_message'],
        ['with NaN', { type: 'A', data: { deep: [Number.NaN] } }, 'invalid_message'],
        ['with an infinity', { type: 'A', metadata: Number.POSITIVE_INFINITY }, 'invalid_message'],
        ['with a bigint', { type: 'A', data: { big: 1n } }, 'invalid_message'],
        ['with a function as its data', { type: 'A', data: () => 1 }, 'invalid_message'],
        ['with a cycle', { type: 'A', data: cycle }, 'invalid_message'],
        ['nested too deep', { type: 'A', data: deep }, 'invalid_message'],
        ['too large', { type: 'A', data: 'x'.repeat(1024 * 1024) }, 'message_too_large'],
        [
          'too large in bytes, not in characters',
          { type: 'A', data: '世'.repeat(400_000) },
          'message_too_large',
        ],
      ])('a message %s is refused, and the good one beside it is not written', async (_, message, code) => {
        const store = await empty();
        const bad = message as NewMessage;
        expect(await failureOf(store.write('test-1', bad))).toMatchObject({ code });
        expect(await failureOf(store.write('test-1', [event(), bad]))).toMatchObject({ code });
        expect(
          await failureOf(
            store.writeBatch([
              { stream: 'test-2', messages: event() },
              { stream: 'test-1', messages: bad },
            ]),
          ),
        ).toMatchObject({ code });
        expect(await store.info()).toEqual({ messages: 0n, head: 0n });
      });

      test('a write without messages, and one with too many', async () => {
        const store = await emptyWith({ maxWriteMessages: 3, maxWriteBytes: 1_000 });
        expect(await failureOf(store.write('test-1', []))).toMatchObject({ code: 'invalid_options' });
        expect(await failureOf(store.write('test-1', events(4)))).toMatchObject({ code: 'invalid_options' });
        expect(
          await failureOf(
            store.writeBatch([
              { stream: 'test-1', messages: events(2) },
              { stream: 'test-2', messages: events(2) },
            ]),
          ),
        ).toMatchObject({ code: 'invalid_options' });
        expect(
          await failureOf(store.write('test-1', [event('A', 'x'.repeat(600)), event('A', 'x'.repeat(600))])),
        ).toMatchObject({ code: 'message_too_large' });
        expect(await store.info()).toMatchObject({ messages: 0n });
        expect(await store.write('test-1', events(3)), 'the control').toMatchObject({ position: 2n });
      });

      test('a batch of too many single messages', async () => {
        const store = await emptyWith({ maxWriteMessages: 3 });
        const writes = upTo(4).map((index) => ({ stream: `test-${index}`, messages: event() }));
        expect(await failureOf(store.writeBatch(writes))).toMatchObject({ code: 'invalid_options' });
        expect(await store.info()).toMatchObject({ messages: 0n });
        expect(await store.writeBatch(writes.slice(1)), 'the control').toHaveLength(3);
      });

      test.each([-1n, 1 as unknown as bigint, '1' as unknown as bigint, 'any' as unknown as bigint])(
        'an expected version of %s is refused',
        async (expectedVersion) => {
          const store = await withMessages('test-1', 2);
          expect(await failureOf(store.write('test-1', event(), { expectedVersion }))).toMatchObject({
            code: 'invalid_options',
          });
          expect(await store.version('test-1')).toBe(1n);
        },
      );

      test('EDGE-001, 002: what is no batch size or position is refused', async () => {
        const store = await withMessages('test-1', 10);
        for (const batchSize of [0, -1, 1.5, Number.NaN, '10' as unknown as number]) {
          expect(await failureOf(store.readStream('test-1', { batchSize }))).toMatchObject({
            code: 'invalid_options',
          });
          expect(await failureOf(store.readCategory('test', { batchSize }))).toMatchObject({
            code: 'invalid_options',
          });
        }
        for (const position of [-1n, 1 as unknown as bigint, LARGEST_BIGINT + 1n]) {
          expect(await failureOf(store.readStream('test-1', { position }))).toMatchObject({
            code: 'invalid_options',
          });
          expect(await failureOf(store.readStream('test-1', { globalPosition: position }))).toMatchObject({
            code: 'invalid_options',
          });
          expect(await failureOf(store.readCategory('test', { globalPosition: position }))).toMatchObject({
            code: 'invalid_options',
          });
        }
        expect(
          await failureOf(store.readStream('test-1', { position: 0n, globalPosition: 1n })),
        ).toMatchObject({ code: 'invalid_options' });
        expect(await failureOf(store.last('test-1', { type: '' }))).toMatchObject({
          code: 'invalid_options',
        });
        expect(await store.readStream('test-1', { position: LARGEST_BIGINT }), 'the control').toEqual([]);
        expect(await store.readStream('test-1', { globalPosition: LARGEST_BIGINT })).toEqual([]);
        expect(await store.readCategory('test', { globalPosition: LARGEST_BIGINT })).toEqual([]);
      });

      test('what is null where an object belongs', async () => {
        const store = await withMessages('test-1', 1);
        const none = null as never;
        const calls = [
          () => store.write('test-1', event(), none),
          () => store.writeBatch([{ stream: 'test-2', messages: event() }, none]),
          () => store.readStream('test-1', none),
          () => store.readCategory('test', none),
          () => store.readCategory('test', { consumer: none }),
          () => store.iterateStream('test-1', none).next(),
          () => store.iterateCategory('test', none).next(),
          () => store.last('test-1', none),
          () => store.listStreams(none),
          () => store.listCategories(none),
        ];
        for (const call of calls) expect(await failureOf(call())).toMatchObject({ code: 'invalid_options' });
        expect(await store.info()).toMatchObject({ messages: 1n });
      });

      test('JSON is asked about what is written, not about the objects that it is made from', async () => {
        const store = await empty();
        const self: { toJSON: () => string; limit: number; self?: unknown } = {
          toJSON: () => 'itself',
          limit: Number.POSITIVE_INFINITY,
        };
        self.self = self;
        await store.write('test-1', { type: 'A', data: { self, none: null } as never });
        expect((await store.last('test-1'))?.data).toEqual({ self: 'itself', none: null });
        const hidden = { toJSON: () => Number.NaN } as never;
        expect(await failureOf(store.write('test-1', { type: 'A', data: [hidden] }))).toMatchObject({
          code: 'invalid_message',
        });
      });

      test('close waits for the writes that were accepted', async () => {
        const { engine } = await subject();
        let release = (): void => {};
        const released = new Promise<void>((resolve) => {
          release = resolve;
        });
        const store = new MessageStore({
          ...countingReads(engine).engine,
          append: async (commands) => {
            await released;
            return engine.append(commands);
          },
        });
        const order: string[] = [];
        const write = store.write('test-1', event()).then(() => order.push('written'));
        const close = store.close().then(() => order.push('closed'));
        release();
        await Promise.all([write, close]);
        expect(order).toEqual(['written', 'closed']);
      });

      test('close waits for an import and for a deletion', async () => {
        const { engine } = await subject();
        const released = Promise.withResolvers<void>();
        const slow: MessageEngine = {
          ...countingReads(engine).engine,
          import: async (rows) => {
            await released.promise;
            return engine.import(rows);
          },
          clear: async () => {
            await released.promise;
            throw new Error('the database failed');
          },
        };
        const order: string[] = [];
        const closes = [
          (store: MessageStore) => store.import([imported()]).then(() => order.push('imported')),
          (store: MessageStore) => store.clear().catch(() => order.push('failed')),
        ].map((begin) => {
          const store = new MessageStore(slow);
          const begun = begin(store);
          return Promise.all([begun, store.close().then(() => order.push('closed'))]);
        });
        released.resolve();
        await Promise.all(closes);
        expect(order.indexOf('closed')).toBeGreaterThan(0);
        expect(order.slice().sort()).toEqual(['closed', 'closed', 'failed', 'imported']);
        expect(await engine.info()).toMatchObject({ messages: 1n });
      });

      test('options of the store itself', async () => {
        const { engine } = await subject();
        for (const options of [{ maxMessageBytes: 0 }, { maxWriteMessages: 1.5 }, { maxWaitingBytes: -1 }])
          expect(() => new MessageStore(engine, options)).toThrow(
            expect.objectContaining({ code: 'invalid_options' }),
          );
      });

      test('after it was closed, a store refuses everything', async () => {
        const store = await withMessages('test-1', 1);
        const pending = store.write('test-1', event());
        await store.close();
        expect(await pending, 'what was accepted is written').toMatchObject({ position: 1n });
        const calls = [
          () => store.write('test-1', event()),
          () => store.writeBatch([]),
          () => store.readStream('test-1'),
          () => store.readCategory('test'),
          () => store.last('test-1'),
          () => store.version('test-1'),
          () => store.listStreams(),
          () => store.listCategories(),
          () => store.import([]),
          () => store.info(),
          () => store.clear(),
          () => store.iterateStream('test-1').next(),
          () => store.iterateCategory('test').next(),
        ];
        for (const call of calls) expect(await failureOf(call())).toMatchObject({ code: 'store_closed' });
      });
    });

    describe('reading a stream', () => {
      test('READ-001, 002, 003: nothing, one message with all its fields, five in order', async () => {
        const store = await empty();
        expect(await store.readStream('test-1')).toEqual([]);
        await store.write('test-1', { ...event(), id: GIVEN_ID });
        expect(await store.readStream('test-1')).toEqual([
          {
            id: GIVEN_ID,
            streamName: 'test-1',
            type: 'TestEvent',
            position: 0n,
            globalPosition: 1n,
            data: { foo: 'bar' },
            metadata: null,
            timeUs: expect.any(Number),
          },
        ]);
        await store.write('test-1', events(4));
        expect(positionsOf(await store.readStream('test-1'))).toEqual([0, 1, 2, 3, 4]);
      });

      test('READ-004, EDGE-006: from a position, and beyond the end', async () => {
        const store = await withMessages('test-1', 10);
        expect(positionsOf(await store.readStream('test-1', { position: 5n }))).toEqual([5, 6, 7, 8, 9]);
        expect(await store.readStream('test-1', { position: 10n })).toEqual([]);
        expect(await store.readStream('test-1', { position: LARGEST_BIGINT })).toEqual([]);
        expect(await store.readStream('test-1', { globalPosition: LARGEST_BIGINT })).toEqual([]);
      });

      test('READ-005: from a global position, inclusive, no matter who wrote between', async () => {
        const store = await empty();
        for (let index = 0; index < 5; index += 1) {
          await store.write('test-1', event());
          await store.write('other-1', event());
        }
        expect(globalPositionsOf(await store.readStream('test-1', { globalPosition: 5n }))).toEqual([
          5, 7, 9,
        ]);
        expect(globalPositionsOf(await store.readStream('test-1', { globalPosition: 6n }))).toEqual([7, 9]);
        expect(
          globalPositionsOf(await store.readStream('test-1', { globalPosition: 0n, batchSize: 2 })),
        ).toEqual([1, 3]);
        expect(await store.readStream('test-1', { globalPosition: 10n })).toEqual([]);
      });

      test('READ-006, 007, EDGE-003, Message DB get-stream-messages/batch_size: limited, unlimited, larger than the stream', async () => {
        const store = await withMessages('test-1', 50);
        expect(positionsOf(await store.readStream('test-1', { batchSize: 10 }))).toEqual(upTo(10));
        expect(positionsOf(await store.readStream('test-1', { position: 7n, batchSize: 2 }))).toEqual([7, 8]);
        expect(await store.readStream('test-1', { batchSize: 'unlimited' })).toHaveLength(50);
        expect(await store.readStream('test-1', { batchSize: 1_000_000 })).toHaveLength(50);
      });

      test('a thousand messages unless it is told otherwise', async () => {
        const store = await withMessages('test-1', 1_010);
        expect(await store.readStream('test-1')).toHaveLength(1_000);
        expect(await store.readCategory('test')).toHaveLength(1_000);
        expect(await store.readStream('test-1', { batchSize: 'unlimited' })).toHaveLength(1_010);
        expect(await store.readCategory('test', { batchSize: 'unlimited' })).toHaveLength(1_010);
      });

      test('records have the JSON as text', async () => {
        const store = await empty();
        await store.write('test-1', { type: 'A', data: [1, 2], metadata: { a: 1 } });
        await store.write('test-1', { type: 'B' });
        const [first, second] = await store.readStreamRecords('test-1');
        expect(JSON.parse(first?.data as string)).toEqual([1, 2]);
        expect(JSON.parse(first?.metadata as string)).toEqual({ a: 1 });
        expect([second?.data, second?.metadata]).toEqual(['{}', null]);
        expect((await store.readCategoryRecords('test'))[1]).toEqual(second);
        expect(await store.lastRecord('test-1')).toEqual(second);
      });
    });

    describe('the last message and the version', () => {
      test('LAST-001 to 004: of a stream, of none, of a type, of a type without a match', async () => {
        const store = await empty();
        expect(await store.last('test-1')).toBeUndefined();
        for (const type of ['TypeA', 'TypeB', 'TypeA', 'TypeB', 'TypeA'])
          await store.write('test-1', event(type));
        await store.write('test-2', event('TypeC'));
        expect(await store.last('test-1')).toMatchObject({ position: 4n, type: 'TypeA' });
        expect(await store.last('test-1', { type: 'TypeB' })).toMatchObject({ position: 3n, type: 'TypeB' });
        expect(await store.last('test-1', { type: 'TypeC' })).toBeUndefined();
        expect(await store.last('test-2', { type: 'TypeC' }), 'the control').toBeDefined();
      });

      test('VERSION-001 to 003: none, of two messages 1, and after one more 2', async () => {
        const store = await empty();
        expect(await store.version('test-1')).toBeUndefined();
        await store.write('test-1', events(2));
        expect(await store.version('test-1')).toBe(1n);
        await store.write('test-1', event());
        expect(await store.version('test-1')).toBe(2n);
      });
    });

    describe('reading a category', () => {
      /** Three streams of `test` with two messages each, and one of another category between them. */
      const threeStreams = async (): Promise<MessageStore> => {
        const store = await empty();
        for (const name of [
          'test-1',
          'test-2',
          'other-1',
          'test-3',
          'test-1',
          'tester-1',
          'test-2',
          'test-3',
        ])
          await store.write(name, event());
        return store;
      };

      test('CATEGORY-001, 004, 008: its streams merged by global position, with their names', async () => {
        const store = await threeStreams();
        const read = await store.readCategory('test');
        expect(streamsOf(read)).toEqual(['test-1', 'test-2', 'test-3', 'test-1', 'test-2', 'test-3']);
        expect(globalPositionsOf(read)).toEqual([1, 2, 4, 5, 7, 8]);
        expect(positionsOf(read)).toEqual([0, 0, 0, 1, 1, 1]);
      });

      test('CATEGORY-002, 003: from a global position, inclusive, and a number of them', async () => {
        const store = await threeStreams();
        expect(globalPositionsOf(await store.readCategory('test', { globalPosition: 4n }))).toEqual([
          4, 5, 7, 8,
        ]);
        expect(
          globalPositionsOf(await store.readCategory('test', { globalPosition: 3n, batchSize: 2 })),
        ).toEqual([4, 5]);
        expect(
          globalPositionsOf(await store.readCategory('test', { globalPosition: 0n, batchSize: 1 })),
        ).toEqual([1]);
        expect(await store.readCategory('test', { globalPosition: 9n })).toEqual([]);
        expect(await store.readCategory('test', { globalPosition: LARGEST_BIGINT })).toEqual([]);
        expect(await store.readCategory('test', { batchSize: 'unlimited' })).toHaveLength(6);
      });

      test('CATEGORY-007: one that does not exist, and one that another begins with', async () => {
        const store = await threeStreams();
        expect(await store.readCategory('nonexistent')).toEqual([]);
        expect(await store.readCategory('tes')).toEqual([]);
        expect(await store.readCategory('tester')).toHaveLength(1);
      });

      test('an empty category is all of them', async () => {
        const store = await threeStreams();
        expect(globalPositionsOf(await store.readCategory(''))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
        expect(globalPositionsOf(await store.readCategory('', { globalPosition: 3n, batchSize: 2 }))).toEqual(
          [3, 4],
        );
      });

      test('CATEGORY-006, Message DB correlated: by the category of the correlation stream, and by equality', async () => {
        const store = await empty();
        const correlated = (correlationStreamName: JsonValue): NewMessage => ({
          type: 'A',
          metadata: { correlationStreamName },
        });
        await store.write('test-1', correlated('workflow-123'));
        await store.write('test-2', correlated('other-456'));
        await store.write('test-3', correlated('workflow'));
        // What a LIKE of `workflow-%` or `work_low-%` would take too, and what is no name.
        await store.write('test-4', correlated('workflow_x-1'));
        await store.write('test-5', correlated('workXlow-1'));
        await store.write('test-6', correlated('xworkflow-1'));
        await store.write('test-7', correlated('WORKFLOW-1'));
        await store.write('test-8', correlated(7));
        await store.write('test-9', [
          { type: 'A', metadata: ['workflow-1'] },
          event(),
          { type: 'A', metadata: 'workflow-1' },
        ]);
        await store.write('another-1', correlated('workflow-9-9+1'));
        const read = async (name: string, correlation: string): Promise<string[]> =>
          streamsOf(await store.readCategory(name, { correlation }));
        expect(await read('test', 'workflow')).toEqual(['test-1', 'test-3']);
        expect(await read('test', 'work_low')).toEqual([]);
        expect(await read('test', 'workflow_x')).toEqual(['test-4']);
        expect(await read('', 'workflow')).toEqual(['test-1', 'test-3', 'another-1']);
        expect(await read('test', 'none')).toEqual([]);
      });

      test('the correlation is that of the metadata as they are stored, whatever made them', async () => {
        const store = await empty();
        const own = { correlationStreamName: 'workflow-1' };
        await store.write('task-1', { type: 'A', metadata: { toJSON: () => own } as never });
        await store.write('task-2', { type: 'A', metadata: Object.create(own) as never });
        const found = await store.readCategory('task', { correlation: 'workflow' });
        expect(found.map(({ streamName, metadata }) => [streamName, metadata])).toEqual([['task-1', own]]);
        expect((await store.last('task-2'))?.metadata).toEqual({});
      });

      test('Message DB correlated/error-stream-name', async () => {
        const store = await empty();
        expect(await failureOf(store.readCategory('test', { correlation: 'workflow-1' }))).toMatchObject({
          code: 'invalid_options',
          message: 'Correlation must be a category (Correlation: workflow-1)',
        });
        expect(await failureOf(store.readCategory('test', { correlation: '' }))).toMatchObject({
          code: 'invalid_options',
        });
      });

      test('CATEGORY-005, Message DB consumer-group: members are disjoint, together complete, and by cardinal id', async () => {
        const store = await empty();
        const names = Array.from({ length: 20 }, (_, index) => `test-${index}`);
        for (const name of names) {
          await store.write(name, event());
          await store.write(`${name}+part`, event());
        }
        for (const size of [1, 2, 3, 7, 32_767]) {
          const all: string[] = [];
          for (let member = 0; member < Math.min(size, 7); member += 1) {
            const read = streamsOf(await store.readCategory('test', { consumer: { member, size } }));
            expect(read.every((name) => consumerGroupMember(name, size) === member)).toBe(true);
            expect(read).toEqual(
              streamsOf(await store.readCategory('test')).filter(
                (name) => consumerGroupMember(name, size) === member,
              ),
            );
            all.push(...read);
          }
          if (size <= 7) expect(all.sort()).toEqual(names.flatMap((name) => [name, `${name}+part`]).sort());
        }
      });

      test('a limit counts the messages of the member, not those that were passed over', async () => {
        const store = await empty();
        for (let index = 0; index < 40; index += 1) await store.write(`test-${index}`, event());
        const all = streamsOf(await store.readCategory('test', { consumer: { member: 1, size: 4 } }));
        expect(all.length).toBeGreaterThan(3);
        expect(
          streamsOf(await store.readCategory('test', { consumer: { member: 1, size: 4 }, batchSize: 3 })),
        ).toEqual(all.slice(0, 3));
      });

      test('a stream without an id belongs to no member', async () => {
        const store = await empty();
        await store.write('test', event());
        await store.write('test-1', event());
        const members = [0, 1, 2];
        const read = await Promise.all(
          members.map((member) => store.readCategory('test', { consumer: { member, size: 3 } })),
        );
        expect(streamsOf(read.flat())).toEqual(['test-1']);
        expect(await store.readCategory('test', { consumer: { member: 0, size: 1 } })).toHaveLength(1);
        expect(await store.readCategory('test'), 'the control').toHaveLength(2);
      });

      test('Message DB consumer-group/correlated: a group and a correlation together', async () => {
        const store = await empty();
        for (let index = 0; index < 12; index += 1) {
          await store.write(`test-${index}`, {
            type: 'A',
            metadata: { correlationStreamName: index % 2 === 0 ? 'workflow-1' : 'other-1' },
          });
        }
        const read = await Promise.all(
          [0, 1, 2].map((member) =>
            store.readCategory('test', { correlation: 'workflow', consumer: { member, size: 3 } }),
          ),
        );
        expect(streamsOf(read.flat()).sort()).toEqual([
          'test-0',
          'test-10',
          'test-2',
          'test-4',
          'test-6',
          'test-8',
        ]);
        expect(
          read.every((messages) => messages.length < 6),
          'no member has all of them',
        ).toBe(true);
      });

      test.each<[string, object, string]>([
        ['missing-group-member', { size: 2 }, 'must be specified'],
        ['missing-group-size', { member: 0 }, 'must be specified'],
        ['size-too-small', { member: 0, size: 0 }, 'size must not be less than 1'],
        ['size-too-large', { member: 0, size: 32_768 }, 'size must not be greater than 32767'],
        ['member-too-small', { member: -1, size: 2 }, 'member must not be less than 0'],
        ['member-equal-to-size', { member: 2, size: 2 }, 'member must be less than the group size'],
        ['member-greater-than-size', { member: 3, size: 2 }, 'member must be less than the group size'],
        ['fractions', { member: 0.5, size: 2 }, 'whole numbers'],
        ['texts', { member: '0', size: '2' }, 'whole numbers'],
      ])('Message DB consumer-group/%s is refused', async (_, consumer, words) => {
        const store = await empty();
        const error = await failureOf(
          store.readCategory('test', { consumer: consumer as { member: number; size: number } }),
        );
        expect(error.code).toBe('invalid_options');
        expect(error.message).toContain(words);
      });
    });

    describe('what is written is what is read', () => {
      test.each<[string, JsonValue]>([
        ['READ-008', { nested: { array: [1, 2, 3], bool: true, null: null } }],
        ['ENCODING-001', { text: 'Hello 世界 🌍 émojis' }],
        ['ENCODING-002', { description: 'Test 测试 🎉' }],
        ['ENCODING-004', { emptyString: '', '': '' }],
        ['ENCODING-005', { isTrue: true, isFalse: false }],
        ['ENCODING-006', { nullValue: null }],
        [
          'ENCODING-007',
          {
            integer: 42,
            float: 2.5e-7,
            negative: -100,
            zero: 0,
            tiny: 5e-324,
            huge: 1.7e308,
            exact: 9007199254740991,
          },
        ],
        ['ENCODING-008', { level1: { level2: { level3: { value: 'deep' } } } }],
        ['ENCODING-009', { items: [1, 'two', { three: 3 }, null, true] }],
        ['ENCODING-010', { text: 'x'.repeat(100_000) }],
        ['characters that SQL and JSON escape', `'";\\/\b\f\n\r\t\u0001\u007f\u2028%_$1?`],
        ['null itself', null],
        ['a text itself', 'text'],
        ['a number itself', -0.5],
        ['an array itself', []],
        ['a key that is special to JavaScript', JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}')],
      ])('%s, as data and as metadata', async (_, value) => {
        const store = await empty();
        await store.write('test-1', { type: 'A', data: value, metadata: value });
        const [read] = await store.readStream('test-1');
        expect(read?.data).toEqual(value);
        expect(read?.metadata).toEqual(value);
        expect(JSON.stringify((await store.readCategory('test'))[0]?.data).length).toBe(
          JSON.stringify(value).length,
        );
      });

      test('types of any characters', async () => {
        const store = await empty();
        const types = ["O'Brien", 'Überwiesen 💸', 'a\nb', '%', ' '];
        for (const type of types) await store.write('test-1', event(type));
        expect((await store.readStream('test-1')).map(({ type }) => type)).toEqual(types);
        expect((await store.last('test-1', { type: '%' }))?.position).toBe(3n);
      });
    });

    describe('batches over several streams', () => {
      test('each part has the places of its last message', async () => {
        const store = await withMessages('b-1', 1);
        expect(
          await store.writeBatch([
            { stream: 'a-1', messages: events(2), expectedVersion: 'no-stream' },
            { stream: 'b-1', messages: event(), expectedVersion: 0n },
          ]),
        ).toEqual([
          { position: 1n, globalPosition: 3n },
          { position: 1n, globalPosition: 4n },
        ]);
        expect(streamsOf(await store.readCategory(''))).toEqual(['b-1', 'a-1', 'a-1', 'b-1']);
      });

      test('a later part sees the ones before', async () => {
        const store = await empty();
        expect(
          await store.writeBatch([
            { stream: 'a-1', messages: event(), expectedVersion: 'no-stream' },
            { stream: 'a-1', messages: events(2), expectedVersion: 0n },
          ]),
        ).toEqual([
          { position: 0n, globalPosition: 1n },
          { position: 2n, globalPosition: 3n },
        ]);
      });

      test('a conflict of one part undoes all of them', async () => {
        const store = await withMessages('b-1', 1);
        const error = await failureOf(
          store.writeBatch([
            { stream: 'a-1', messages: events(2) },
            { stream: 'b-1', messages: event(), expectedVersion: 5n },
            { stream: 'c-1', messages: event() },
          ]),
        );
        expect(error).toMatchObject({
          code: 'version_conflict',
          details: { stream: 'b-1', expectedVersion: '5', actualVersion: '0' },
        });
        expect(await store.info()).toEqual({ messages: 1n, head: 1n });
        expect(await store.write('d-1', event())).toEqual({ position: 0n, globalPosition: 2n });
      });

      test('an id twice in different parts undoes all of them', async () => {
        const store = await empty();
        const error = await failureOf(
          store.writeBatch([
            { stream: 'a-1', messages: { ...event(), id: idOf(1) } },
            { stream: 'b-1', messages: { ...event(), id: idOf(1) } },
          ]),
        );
        expect(error).toMatchObject({ code: 'duplicate_message_id', details: { id: idOf(1) } });
        expect(await store.info()).toEqual({ messages: 0n, head: 0n });
      });

      test('an empty batch does nothing', async () => {
        const store = await empty();
        expect(await store.writeBatch([])).toEqual([]);
        expect(await failureOf(store.writeBatch({} as never))).toMatchObject({ code: 'invalid_options' });
      });
    });

    describe('the engine', () => {
      test('commands of one transaction see each other, and a refusal hurts only its own', async () => {
        const { engine, store } = await subject();
        const verdicts = await engine.append([
          command('a-1', [idOf(1)], -1n),
          command('a-1', [idOf(2)], -1n),
          command('a-1', [idOf(3), idOf(4)], 0n),
          command('b-1', [idOf(5), idOf(1)]),
          command('a-1', [idOf(6)], 2n),
          { appends: [...command('c-1', [idOf(7)]).appends, ...command('a-1', [idOf(8)], 9n).appends] },
          command('b-1', [idOf(5)], -1n),
          command('b-1', [idOf(5)]),
        ]);
        expect(verdicts).toEqual([
          { kind: 'written', ends: [{ position: 0n, globalPosition: 1n }] },
          { kind: 'conflict', stream: 'a-1', expectedVersion: -1n, actualVersion: 0n },
          { kind: 'written', ends: [{ position: 2n, globalPosition: 3n }] },
          { kind: 'duplicate_id', id: idOf(1) },
          { kind: 'written', ends: [{ position: 3n, globalPosition: 4n }] },
          { kind: 'conflict', stream: 'a-1', expectedVersion: 9n, actualVersion: 3n },
          { kind: 'written', ends: [{ position: 0n, globalPosition: 5n }] },
          { kind: 'duplicate_id', id: idOf(5) },
        ]);
        expect((await store.readCategory('')).map(({ id }) => id)).toEqual([1, 3, 4, 6, 5].map(idOf));
        expect(positionsOf(await store.readStream('a-1'))).toEqual([0, 1, 2, 3]);
        expect(await store.info()).toEqual({ messages: 5n, head: 5n });
      });

      test('the least 64-bit hash has a member too (its absolute value would overflow)', async () => {
        const { engine } = await subject();
        const least = -(2n ** 63n);
        const [append] = command('h-1', [idOf(1)]).appends;
        await engine.append([{ appends: [{ ...(append as StreamAppend), cardinalHash: least }] }]);
        const read = async (member: number, size: number): Promise<number> =>
          (
            await engine.readCategory({
              category: 'h',
              globalPosition: 1n,
              limit: 10,
              correlation: null,
              consumer: { member, size },
            })
          ).length;
        // 2^63 mod 32,767 is 2^3, as 2^15 mod 32,767 is 1.
        expect([await read(0, 1), await read(8, 32_767), await read(7, 32_767)]).toEqual([1, 1, 0]);
        expect([await read(0, 2), await read(2, 3), await read(1, 3)]).toEqual([1, 1, 0]);
      });

      test('a write that succeeds after a conflict is a success (no error is left over from before)', async () => {
        const store = await withMessages('a-1', 1);
        for (let round = 0; round < 5; round += 1) {
          await failureOf(store.write('a-1', event(), { expectedVersion: 99n }));
          const version = (await store.version('a-1')) as bigint;
          expect(await store.write('a-1', event(), { expectedVersion: version })).toMatchObject({
            position: version + 1n,
          });
        }
      });
    });

    describe('concurrent writers', () => {
      test.each([10, 50])(
        'EDGE-005: %i writers of one stream: positions are unique and sequential',
        async (writers) => {
          const { engine, store } = await subject();
          const each = 4;
          const written = await Promise.all(
            Array.from({ length: writers }, async () => {
              // Each has its own store, so that the engine has to order them; and waits for its own writes.
              const own = new MessageStore(engine);
              const places = [];
              for (let index = 0; index < each; index += 1) places.push(await own.write('test-1', event()));
              return places;
            }),
          );
          const sorted = positionsOf(written.flat()).sort((a, b) => a - b);
          expect(sorted).toEqual(upTo(writers * each));
          expect(positionsOf(await store.readStream('test-1'))).toEqual(upTo(writers * each));
          for (const places of written)
            expect(positionsOf(places)).toEqual(positionsOf(places).sort((a, b) => a - b));
          const global = globalPositionsOf(await store.readCategory(''));
          expect(global, 'a stream in the order of the global positions').toEqual(
            [...global].sort((a, b) => a - b),
          );
        },
      );

      test.each([10, 50])('%i writers through one store', async (writers) => {
        const store = await empty();
        const written = await Promise.all(
          Array.from({ length: writers }, (_, index) => store.write('test-1', event('A', { index }))),
        );
        expect(positionsOf(written), 'in the order of the calls').toEqual(upTo(writers));
        const read = await store.readStream('test-1');
        expect(read.map(({ data }) => (data as { index: number }).index)).toEqual(upTo(writers));
      });

      test.each([10, 50])(
        '%i writers expect the same version: exactly one wins, each time',
        async (writers) => {
          const { engine, store } = await subject();
          const stores = Array.from({ length: writers }, (_, index) =>
            // One half shares a store, the other half has one each.
            index % 2 === 0 ? store : new MessageStore(engine),
          );
          for (let version = -1n; version < 4n; version += 1n) {
            const expectedVersion = version === -1n ? 'no-stream' : version;
            const outcomes = await Promise.allSettled(
              stores.map((each, writer) => each.write('race-1', event('A', { writer }), { expectedVersion })),
            );
            const winners = outcomes.filter(({ status }) => status === 'fulfilled');
            expect(winners).toHaveLength(1);
            for (const outcome of outcomes) {
              if (outcome.status === 'fulfilled') {
                expect(outcome.value.position).toBe(version + 1n);
                continue;
              }
              expect(outcome.reason).toMatchObject({
                code: 'version_conflict',
                details: { actualVersion: String(version + 1n) },
              });
            }
          }
          expect(await store.info()).toMatchObject({ messages: 5n });
        },
      );

      test('a category that is tailed while fifty writers commit: nothing is skipped, nothing comes twice', async () => {
        const { engine, store } = await subject();
        const writers = 50;
        const each = 4;
        let isWriting = true;
        const writing = Promise.all(
          Array.from({ length: writers }, async (_, writer) => {
            const own = new MessageStore(engine);
            for (let index = 0; index < each; index += 1) {
              await own.write(
                `tail-${writer}`,
                Array.from({ length: 1 + (index % 3) }, () => event('A', { writer, index })),
              );
              if (index % 2 === 0) await own.write(`noise-${writer}`, event());
            }
          }),
        ).finally(() => {
          isWriting = false;
        });
        // A failure is for the await below, not for the process while the loop still reads.
        writing.catch(() => {});
        const seen: Message[] = [];
        let next = 1n;
        const readPage = async (): Promise<number> => {
          const page = await store.readCategory('tail', { globalPosition: next, batchSize: 7 });
          seen.push(...page);
          const last = page.at(-1);
          if (last !== undefined) next = last.globalPosition + 1n;
          return page.length;
        };
        while (isWriting) {
          await readPage();
          // An engine without I/O would otherwise never let the writers' own timers and sockets have their turn.
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
        await writing;
        while ((await readPage()) > 0);
        expect(globalPositionsOf(seen)).toEqual(
          globalPositionsOf(await store.readCategory('tail', { batchSize: 'unlimited' })),
        );
        expect(seen).toHaveLength(writers * (1 + 2 + 3 + 1));
        for (let writer = 0; writer < writers; writer += 1) {
          const own = seen.filter(({ streamName }) => streamName === `tail-${writer}`);
          expect(positionsOf(own)).toEqual(upTo(7));
        }
      });
    });

    describe('iteration', () => {
      test('a stream over pages, from either kind of place', async () => {
        const { engine, store } = await subject();
        await store.write('test-1', events(25));
        const counted = countingReads(engine);
        const counting = new MessageStore(counted.engine);
        expect(positionsOf(await collect(counting.iterateStream('test-1', { batchSize: 10 })))).toEqual(
          upTo(25),
        );
        expect(counted.limits).toEqual([10, 10, 10]);
        expect(
          positionsOf(await collect(store.iterateStream('test-1', { position: 20n, batchSize: 2 }))),
        ).toEqual(upTo(25, 20));
        expect(
          positionsOf(await collect(store.iterateStream('test-1', { globalPosition: 20n, batchSize: 2 }))),
        ).toEqual(upTo(25, 19));
        expect(await collect(store.iterateStream('test-2'))).toEqual([]);
        expect(
          positionsOf(await collect(store.iterateStream('test-1', { batchSize: 5 }))),
          'a last page that is full',
        ).toEqual(upTo(25));
      });

      test('a category over pages, with a filter', async () => {
        const store = await empty();
        for (let index = 0; index < 30; index += 1) await store.write(`test-${index}`, event());
        await store.write('other-1', event());
        expect(globalPositionsOf(await collect(store.iterateCategory('test', { batchSize: 7 })))).toEqual(
          upTo(31, 1),
        );
        expect(
          globalPositionsOf(await collect(store.iterateCategory('', { globalPosition: 29n, batchSize: 2 }))),
        ).toEqual([29, 30, 31]);
        const consumer = { member: 1, size: 3 };
        expect(
          globalPositionsOf(await collect(store.iterateCategory('test', { consumer, batchSize: 2 }))),
        ).toEqual(globalPositionsOf(await store.readCategory('test', { consumer })));
      });

      test('reads a page only when it is asked for, and no more once it is left', async () => {
        const { engine, store } = await subject();
        await store.write('test-1', events(50));
        const counted = countingReads(engine);
        const counting = new MessageStore(counted.engine);
        let seen = 0;
        for await (const message of counting.iterateCategory('test', { batchSize: 10 })) {
          expect(message.position).toBe(BigInt(seen));
          seen += 1;
          expect(counted.limits.length).toBe(Math.ceil(seen / 10));
          if (seen === 15) break;
        }
        expect(counted.limits).toEqual([10, 10]);
      });

      test('has fewer messages in a page where they are large, and more again behind them', async () => {
        const { engine, store } = await subject();
        const sizes = [...Array<number>(20).fill(1_000), ...Array<number>(500).fill(10)];
        await store.write(
          'test-1',
          sizes.map((size) => event('A', 'x'.repeat(size))),
        );
        const counted = countingReads(engine);
        const counting = new MessageStore(counted.engine, { maxPageBytes: 4_100 });
        expect(positionsOf(await collect(counting.iterateStream('test-1')))).toEqual(upTo(520));
        // Texts of 1,002 and of 12 characters: 4 and 341 in a page, no more than eight times as many as before.
        expect(counted.limits).toEqual([16, 4, 4, 32, 256, 341]);
        counted.limits.length = 0;
        expect(positionsOf(await collect(counting.iterateCategory('test', { batchSize: 100 })))).toEqual(
          upTo(520),
        );
        expect(counted.limits).toEqual([16, 4, 4, 32, 100, 100, 100, 100, 100]);
        counted.limits.length = 0;
        const tiny = new MessageStore(counted.engine, { maxPageBytes: 1 });
        expect(await collect(tiny.iterateStream('test-1', { position: 518n }))).toHaveLength(2);
      });

      test('has no “unlimited”: it would hold everything', async () => {
        const store = await withMessages('test-1', 1);
        const unlimited = { batchSize: 'unlimited' as unknown as number };
        expect(await failureOf(store.iterateStream('test-1', unlimited).next())).toMatchObject({
          code: 'invalid_options',
        });
        expect(await failureOf(store.iterateCategory('test', unlimited).next())).toMatchObject({
          code: 'invalid_options',
        });
      });
    });

    describe('listing', () => {
      const NAMES = [
        'a-1',
        'a-2',
        'a',
        'ab-1',
        'b-1',
        'B-1',
        'é-1',
        '世-1',
        '🌍-1',
        'b-1+2',
        'b.c-1',
        'b%-1',
      ];
      const inByteOrder = (names: readonly string[]): string[] => {
        const encoder = new TextEncoder();
        const keys = new Map(names.map((name) => [name, encoder.encode(name)]));
        return [...names].sort((left, right) => {
          const [a, b] = [keys.get(left) as Uint8Array, keys.get(right) as Uint8Array];
          for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
            const difference = (a[index] as number) - (b[index] as number);
            if (difference !== 0) return difference;
          }
          return a.length - b.length;
        });
      };
      const named = async (): Promise<MessageStore> => {
        const store = await empty();
        for (const name of NAMES) await store.write(name, event());
        await store.write('a-1', events(2));
        return store;
      };

      test('streams in byte order, with version and last global position', async () => {
        const store = await named();
        const listed = await store.listStreams();
        expect(listed.map(({ stream }) => stream)).toEqual(inByteOrder(NAMES));
        expect(listed.find(({ stream }) => stream === 'a-1')).toEqual({
          stream: 'a-1',
          version: 2n,
          lastGlobalPosition: BigInt(NAMES.length + 2),
        });
      });

      test.each([1, 2, 5, 1_000])('streams by cursor, %i at a time', async (limit) => {
        const store = await named();
        const all: string[] = [];
        for (let after = ''; ; ) {
          const page = await store.listStreams({ after, limit });
          all.push(...page.map(({ stream }) => stream));
          if (page.length < limit) break;
          after = page.at(-1)?.stream as string;
        }
        expect(all).toEqual(inByteOrder(NAMES));
      });

      test.each(['a', 'a-', 'b', 'b%', 'b.', 'b_', '世', '🌍', 'é-1', 'zz', 'B'])(
        'streams that begin with %s',
        async (prefix) => {
          const store = await named();
          const expected = inByteOrder(NAMES.filter((name) => name.startsWith(prefix)));
          expect((await store.listStreams({ prefix })).map(({ stream }) => stream)).toEqual(expected);
          expect((await store.listStreams({ prefix, limit: 1 })).map(({ stream }) => stream)).toEqual(
            expected.slice(0, 1),
          );
          if (expected[0] === undefined) return;
          expect(
            (await store.listStreams({ prefix, after: expected[0] })).map(({ stream }) => stream),
          ).toEqual(expected.slice(1));
          expect(
            (await store.listStreams({ prefix, after: ' ' })).map(({ stream }) => stream),
            'a cursor before them',
          ).toEqual(expected);
          expect(await store.listStreams({ prefix, after: '\u{10ffff}' }), 'a cursor behind them').toEqual(
            [],
          );
        },
      );

      test('categories, with how many streams and messages they have', async () => {
        const store = await named();
        const categories = [...new Set(NAMES.map(messageCategory))];
        const listed = await store.listCategories();
        expect(listed.map((each) => each.category)).toEqual(inByteOrder(categories));
        expect(listed.find((each) => each.category === 'a')).toEqual({
          category: 'a',
          streams: 3n,
          messages: 5n,
        });
        expect(listed.find((each) => each.category === 'b')).toEqual({
          category: 'b',
          streams: 2n,
          messages: 2n,
        });
        expect(listed.find((each) => each.category === 'ab')).toEqual({
          category: 'ab',
          streams: 1n,
          messages: 1n,
        });
        const names = async (options: object): Promise<string[]> =>
          (await store.listCategories(options)).map((each) => each.category);
        expect(await names({ prefix: 'b' })).toEqual(['b', 'b%', 'b.c']);
        expect(await names({ prefix: 'b', after: 'b', limit: 1 })).toEqual(['b%']);
        expect(await names({ after: 'b%', limit: 2 })).toEqual(['b.c', 'é']);
        expect(await names({ prefix: 'x' })).toEqual([]);
      });

      test('a hundred unless it is told otherwise; none of an empty store; bad options are refused', async () => {
        const store = await empty();
        expect(await store.listStreams()).toEqual([]);
        expect(await store.listCategories()).toEqual([]);
        await store.writeBatch(
          Array.from({ length: 101 }, (_, index) => ({ stream: `c${index}-1`, messages: event() })),
        );
        expect(await store.listStreams()).toHaveLength(100);
        expect(await store.listCategories()).toHaveLength(100);
        expect(await store.listStreams({ limit: 1_000 })).toHaveLength(101);
        for (const options of [
          { limit: 0 },
          { limit: 1_001 },
          { limit: 1.5 },
          { prefix: '\0' },
          { after: '\ud800' },
          { prefix: 7 as unknown as string },
        ]) {
          expect(await failureOf(store.listStreams(options))).toMatchObject({ code: 'invalid_options' });
          expect(await failureOf(store.listCategories(options))).toMatchObject({ code: 'invalid_options' });
        }
      });
    });

    describe('numbers', () => {
      test('keep their digits in data and metadata, written or imported', async () => {
        const store = await empty();
        const numbers = [
          '9007199254740993',
          '-9007199254740993',
          '0.12345678901234567890',
          '1.50',
          '12345678901234567890.10',
        ];
        const exact = new JsonText(`{"n": [${numbers.join(',\n ')}]}`) as unknown as JsonValue;
        await store.write('account-1', { type: 'T', data: exact, metadata: exact });
        await store.import([
          imported({ streamName: 'account-2', globalPosition: 9n, data: exact, metadata: exact }),
        ]);
        const records = await store.readCategoryRecords('account');
        expect(records).toHaveLength(2);
        for (const { data, metadata } of records) {
          for (const text of [data, metadata ?? '']) expect(text.match(/-?[\d.]+/g), text).toEqual(numbers);
        }
      });

      test('null is data', async () => {
        const store = await empty();
        await store.write('account-1', { type: 'T', data: null });
        await store.import([imported({ streamName: 'account-2', globalPosition: 9n, data: null })]);
        expect((await store.readCategory('account')).map(({ data }) => data)).toEqual([null, null]);
      });
    });

    describe('importing', () => {
      test('places, ids and times are kept; gaps are allowed; later writes go on behind', async () => {
        const store = await empty();
        const messages = [
          imported({ position: 3n, globalPosition: 100n }),
          imported({
            id: idOf(2),
            position: 5n,
            globalPosition: 105n,
            metadata: { correlationStreamName: 'wf-1' },
          }),
          imported({ id: idOf(3), streamName: 'other-1', globalPosition: 110n, data: [null] }),
        ];
        await store.import(messages);
        expect(await store.readCategory('')).toEqual(messages);
        expect(await store.info()).toEqual({ messages: 3n, head: 110n });
        expect(await store.version('account-1')).toBe(5n);
        expect(globalPositionsOf(await store.readStream('account-1', { globalPosition: 101n }))).toEqual([
          105,
        ]);
        expect(streamsOf(await store.readCategory('account', { correlation: 'wf' }))).toEqual(['account-1']);
        expect(await store.write('account-1', event(), { expectedVersion: 5n })).toEqual({
          position: 6n,
          globalPosition: 111n,
        });
        expect(await store.info()).toEqual({ messages: 4n, head: 111n });
        await store.import([imported({ id: idOf(9), streamName: 'early-1', globalPosition: 50n })]);
        expect(await store.info()).toEqual({ messages: 5n, head: 111n });
        expect(globalPositionsOf(await store.readCategory(''))).toEqual([50, 100, 105, 110, 111]);
        expect((await store.write('early-1', event())).globalPosition).toBe(112n);
        expect(await store.info()).toEqual({ messages: 6n, head: 112n });
      });

      test.each<[string, Partial<ImportedMessage>, string]>([
        ['a position', { id: idOf(9), globalPosition: 9n }, 'position'],
        ['a global position', { id: idOf(9), position: 9n }, 'global_position'],
        ['an id', { position: 9n, globalPosition: 9n }, 'id'],
      ])('%s that is taken: nothing of the import is kept', async (_, changes, what) => {
        const store = await empty();
        await store.import([imported()]);
        const good = imported({ id: idOf(5), streamName: 'good-1', globalPosition: 5n });
        const error = await failureOf(store.import([good, imported(changes)]));
        expect(error).toMatchObject({
          code: 'position_exists',
          details: { what, stream: 'account-1', position: String(changes.position ?? 0n) },
        });
        expect(await store.info()).toEqual({ messages: 1n, head: 1n });
        expect(
          await failureOf(
            store.import([good, { ...good, ...changes, streamName: 'x-1', id: idOf(5), globalPosition: 6n }]),
          ),
          'twice in one import',
        ).toMatchObject({ code: 'position_exists' });
        await store.import([good]);
        expect(await store.info()).toMatchObject({ messages: 2n });
      });

      test('a message that is there already, the same at the same place, counts as done', async () => {
        const store = await empty();
        const data = { b: [1, 1.5e3, 'x'], a: { d: null, c: 1e-7 } } as const;
        const messages = upTo(300).map((n) =>
          imported({
            id: idOf(n),
            streamName: `account-${n % 7}`,
            position: BigInt(Math.floor(n / 7)),
            globalPosition: BigInt(n < 150 ? n + 1 : n * 1_000),
            data: { ...data, b: [...data.b], n } as JsonValue,
            metadata: n % 2 === 0 ? null : { z: 1, y: [2.5] },
          }),
        );
        expect(await store.import(messages.slice(0, 200))).toEqual({ imported: 200, repeated: 0 });
        expect(await store.import(messages)).toEqual({ imported: 100, repeated: 200 });
        expect(await store.import([...messages].reverse())).toEqual({ imported: 0, repeated: 300 });
        expect(await store.info()).toMatchObject({ messages: 300n });
        // Twice in one import, as in a text that was sent in two parts which overlap.
        const next = imported({ id: idOf(999), streamName: 'other-1', globalPosition: 1_000_000n });
        expect(await store.import([next, next])).toEqual({ imported: 1, repeated: 1 });
        expect(globalPositionsOf(await store.readStream('other-1'))).toEqual([1_000_000]);
        // What differs in anything is another message, and nothing of its import is kept.
        const good = imported({ id: idOf(998), streamName: 'other-2', globalPosition: 1_000_001n });
        for (const changes of [
          { data: { n: 5 } },
          { metadata: {} },
          { type: 'U' },
          { timeUs: 1 },
          { id: idOf(997) },
        ]) {
          const other = { ...(messages[4] as ImportedMessage), ...changes };
          expect(await failureOf(store.import([messages[3] as ImportedMessage, good, other]))).toMatchObject({
            code: 'position_exists',
            details: { stream: 'account-4', position: '0' },
          });
        }
        expect(await store.info()).toMatchObject({ messages: 301n });
      });

      test.each<[string, Partial<Record<keyof ImportedMessage, unknown>>, string]>([
        ['without an id', { id: undefined }, 'invalid_message'],
        ['with a negative position', { position: -1n }, 'invalid_message'],
        ['with a position that is a number', { position: 1 }, 'invalid_message'],
        ['with a position beyond 2^52', { position: 2n ** 52n + 1n }, 'invalid_message'],
        ['with global position 0', { globalPosition: 0n }, 'invalid_message'],
        ['with a global position beyond 2^52', { globalPosition: 2n ** 52n + 1n }, 'invalid_message'],
        ['with a time that is no whole number', { timeUs: 1.5 }, 'invalid_message'],
        ['without a time', { timeUs: undefined }, 'invalid_message'],
        ['without a stream', { streamName: undefined }, 'invalid_stream_name'],
        ['without a type', { type: undefined }, 'invalid_message'],
      ])('a message %s is refused', async (_, changes, code) => {
        const store = await empty();
        const bad = imported({
          id: idOf(2),
          position: 1n,
          globalPosition: 2n,
          ...(changes as Partial<ImportedMessage>),
        });
        expect(await failureOf(store.import([imported(), bad]))).toMatchObject({ code });
        expect(await store.info()).toEqual({ messages: 0n, head: 0n });
      });

      test('an iteration from a global position gives what a read does, where the two orders differ', async () => {
        const store = await empty();
        await store.import([
          imported({ position: 0n, globalPosition: 200n }),
          imported({ id: idOf(2), position: 1n, globalPosition: 100n }),
          imported({ id: idOf(3), position: 2n, globalPosition: 300n }),
        ]);
        const read = await store.readStream('account-1', { globalPosition: 150n });
        expect(globalPositionsOf(read)).toEqual([200, 300]);
        const pages = store.iterateStream('account-1', { globalPosition: 150n, batchSize: 1 });
        expect(globalPositionsOf(await collect(pages))).toEqual([200, 300]);
      });

      test('a thousand at once, out of order, then read in order', async () => {
        const store = await empty();
        const messages = upTo(1_000).map((index) =>
          imported({
            id: idOf(index),
            streamName: `s-${index % 7}`,
            position: BigInt(Math.floor(index / 7)),
            globalPosition: BigInt(index * 3 + 1),
          }),
        );
        await store.import([...messages].reverse());
        expect(globalPositionsOf(await store.readCategory('s'))).toEqual(
          upTo(1_000).map((index) => index * 3 + 1),
        );
        expect(await store.info()).toEqual({ messages: 1_000n, head: 2_998n });
        const [page] = await store.readCategory('s', { globalPosition: 1_500n, batchSize: 1 });
        expect(page?.globalPosition).toBe(1_501n);
      });

      test('at the highest places there are, and writes go on behind them', async () => {
        const store = await empty();
        await store.import([imported({ position: 2n ** 52n, globalPosition: 2n ** 52n })]);
        expect(await store.write('account-1', events(2))).toEqual({
          position: 2n ** 52n + 2n,
          globalPosition: 2n ** 52n + 2n,
        });
        expect(await store.version('account-1')).toBe(2n ** 52n + 2n);
        const read = await store.readStream('account-1', { position: 2n ** 52n + 1n });
        expect(read.map(({ position }) => position)).toEqual([2n ** 52n + 1n, 2n ** 52n + 2n]);
        expect(await store.readCategory('account', { globalPosition: 2n ** 52n + 2n })).toHaveLength(1);
        expect(await store.info()).toEqual({ messages: 3n, head: 2n ** 52n + 2n });
      });

      test('an import of nothing, and what is no array', async () => {
        const store = await empty();
        await store.import([]);
        expect(await failureOf(store.import({} as never))).toMatchObject({ code: 'invalid_options' });
        expect(await store.info()).toEqual({ messages: 0n, head: 0n });
      });
    });

    describe('clearing', () => {
      test('deletes everything, says how much, and begins again', async () => {
        const store = await withMessages('test-1', 5);
        await store.import([imported({ globalPosition: 100n })]);
        expect(await store.clear()).toBe(6n);
        expect(await store.info()).toEqual({ messages: 0n, head: 0n });
        expect(await store.readCategory('')).toEqual([]);
        expect(await store.listStreams()).toEqual([]);
        expect(await store.version('test-1')).toBeUndefined();
        expect(await store.write('test-1', event(), { expectedVersion: 'no-stream' })).toEqual({
          position: 0n,
          globalPosition: 1n,
        });
        expect(await store.clear()).toBe(1n);
        expect(await store.clear()).toBe(0n);
      });
    });
  });
}

async function collect(messages: AsyncIterable<Message>): Promise<Message[]> {
  const all: Message[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

/** The engine, with the limits of the reads that it was asked for. */
function countingReads(engine: MessageEngine): { engine: MessageEngine; limits: number[] } {
  const limits: number[] = [];
  const counting: MessageEngine = {
    append: (commands) => engine.append(commands),
    import: (rows) => engine.import(rows),
    last: (stream, type) => engine.last(stream, type),
    version: (stream) => engine.version(stream),
    listStreams: (list) => engine.listStreams(list),
    listCategories: (list) => engine.listCategories(list),
    info: () => engine.info(),
    clear: () => engine.clear(),
    readStream(read) {
      limits.push(read.limit);
      return engine.readStream(read);
    },
    readCategory(read) {
      limits.push(read.limit);
      return engine.readCategory(read);
    },
  };
  return { engine: counting, limits };
}
