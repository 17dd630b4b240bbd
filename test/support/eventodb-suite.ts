/**
 * The suites of EventoDB's SDK-TEST-SPEC that go over `/rpc`, as cases: run over real HTTP in workerd for each engine,
 * and over the method table alone in Node.
 */

import { expect } from 'vitest';
import { consumerGroupMember } from '../../src/messages/names.ts';
import { type EventoDbClient, EventoDbError, type WriteResult } from './eventodb-client.ts';

export interface EventoDbCase {
  name: string;
  run(
    client: EventoDbClient,
    others: { anonymous: EventoDbClient; withToken(token: string): EventoDbClient },
  ): Promise<void>;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/;
const EVENT = { type: 'TestEvent', data: { foo: 'bar' } };

let streams = 0;

/** A stream of a test's own. Its category is its own too, and has no dash. */
function fresh(prefix = 'test'): string {
  streams += 1;
  return `${prefix}${streams}-${Math.random().toString(36).slice(2)}`;
}

async function writeSome(client: EventoDbClient, stream: string, count: number) {
  const written: WriteResult[] = [];
  for (let n = 0; n < count; n += 1)
    written.push(await client.write(stream, { type: 'TestEvent', data: { n } }));
  return written;
}

/** The error that a call ends with. */
export async function errorOf(
  call: Promise<unknown>,
): Promise<{ code: string; status: number; message: string; details: unknown }> {
  const outcome = await call.then(
    (answer) => new Error(`It answered ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  );
  if (!(outcome instanceof EventoDbError)) throw outcome;
  const { code, status, message, details } = outcome;
  return { code, status, message, details };
}

async function readBack(
  client: EventoDbClient,
  message: { data: unknown; metadata?: unknown },
): Promise<[unknown, unknown]> {
  const stream = fresh();
  await client.write(stream, { type: 'TestEvent', ...message });
  const [row] = await client.get(stream);
  return [row?.[4], row?.[5]];
}

const suite: [name: string, run: EventoDbCase['run']][] = [
  [
    'WRITE-001: writes a minimal message',
    async (client) => {
      const first = await client.write(fresh(), EVENT);
      expect(first).toEqual({ position: 0, globalPosition: expect.any(Number) });
      expect(first.globalPosition).toBeGreaterThan(0);
    },
  ],
  [
    'WRITE-002: keeps metadata',
    async (client) =>
      expect((await readBack(client, { data: {}, metadata: { correlationId: '123' } }))[1]).toEqual({
        correlationId: '123',
      }),
  ],
  [
    'WRITE-003: keeps a custom id',
    async (client) => {
      const stream = fresh();
      const id = crypto.randomUUID();
      await client.write(stream, EVENT, { id });
      expect((await client.get(stream))[0]?.[0]).toBe(id);
      await client.write(stream, EVENT, { id: '' });
      expect((await client.get(stream))[1]?.[0]).toMatch(UUID);
    },
  ],
  [
    'WRITE-003: an id that is taken is a conflict, and one that is none an error',
    async (client) => {
      const id = crypto.randomUUID();
      await client.write(fresh(), EVENT, { id });
      const stream = fresh();
      expect(await errorOf(client.write(stream, EVENT, { id }))).toMatchObject({
        code: 'MESSAGE_ID_EXISTS',
        status: 409,
      });
      expect(await errorOf(client.write(stream, EVENT, { id: 'no-uuid' }))).toMatchObject({
        code: 'INVALID_REQUEST',
        status: 400,
      });
      expect(await client.version(stream)).toBeNull();
    },
  ],
  [
    'WRITE-004: writes where the expected version is right',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 2);
      expect((await client.write(stream, EVENT, { expectedVersion: 1 })).position).toBe(2);
    },
  ],
  [
    'WRITE-005: refuses where it is wrong, and tells both versions',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 2);
      expect(await errorOf(client.write(stream, EVENT, { expectedVersion: 5 }))).toEqual({
        code: 'STREAM_VERSION_CONFLICT',
        status: 409,
        message: 'Expected version 5, stream is at version 1',
        details: { expected: 5, actual: 1 },
      });
      expect(await client.version(stream)).toBe(1);
    },
  ],
  [
    'WRITE-005: an error of one write is not that of the next (EventoDB kept it after a retry)',
    async (client) => {
      const stream = fresh();
      await errorOf(client.write(stream, EVENT, { expectedVersion: 5 }));
      expect((await client.write(stream, EVENT, { expectedVersion: -1 })).position).toBe(0);
    },
  ],
  [
    'WRITE-006: counts positions from 0, and global positions upwards',
    async (client) => {
      const written = await writeSome(client, fresh(), 5);
      expect(written.map(({ position }) => position)).toEqual([0, 1, 2, 3, 4]);
      const global = written.map(({ globalPosition }) => globalPosition);
      expect(global).toEqual([...new Set(global)].sort((a, b) => a - b));
    },
  ],
  [
    'WRITE-007: writes to a stream with an id',
    async (client) => {
      const { position } = await client.write('account-123', EVENT);
      expect((await client.get('account-123', { position }))[0]?.[4]).toEqual(EVENT.data);
    },
  ],
  [
    'WRITE-008: keeps empty data',
    async (client) => expect((await readBack(client, { data: {} }))[0]).toEqual({}),
  ],
  [
    'WRITE-009: keeps null as metadata, given or left out',
    async (client) => {
      expect((await readBack(client, { data: { x: 1 }, metadata: null }))[1]).toBeNull();
      expect((await readBack(client, { data: { x: 1 } }))[1]).toBeNull();
    },
  ],
  [
    'WRITE-010: refuses without a token',
    async (_, { anonymous }) => {
      expect(await errorOf(anonymous.write(fresh(), EVENT))).toMatchObject({
        code: 'AUTH_REQUIRED',
        status: 401,
      });
    },
  ],
  [
    'READ-001: a stream that is not there is empty',
    async (client) => expect(await client.get(fresh())).toEqual([]),
  ],
  [
    'READ-002: a message has seven fields',
    async (client) => {
      const stream = fresh();
      const { globalPosition } = await client.write(stream, EVENT);
      expect(await client.get(stream)).toEqual([
        [
          expect.stringMatching(UUID),
          'TestEvent',
          0,
          globalPosition,
          { foo: 'bar' },
          null,
          expect.stringMatching(TIME),
        ],
      ]);
    },
  ],
  [
    'READ-003: messages come in their order',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 5);
      expect((await client.get(stream)).map((row) => [row[2], row[4]])).toEqual(
        [0, 1, 2, 3, 4].map((n) => [n, { n }]),
      );
    },
  ],
  [
    'READ-004: reads from a position',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 10);
      expect((await client.get(stream, { position: 5 })).map((row) => row[2])).toEqual([5, 6, 7, 8, 9]);
    },
  ],
  [
    'READ-005: reads from a global position, inclusive',
    async (client) => {
      const stream = fresh();
      const written = await writeSome(client, stream, 4);
      const from = written[2]?.globalPosition;
      expect((await client.get(stream, { globalPosition: from })).map((row) => row[3])).toEqual(
        written.slice(2).map(({ globalPosition }) => globalPosition),
      );
      expect(await client.get(stream, { globalPosition: 0 })).toHaveLength(4);
    },
  ],
  [
    'READ-006: reads no more than the batch size',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 15);
      expect((await client.get(stream, { batchSize: 10 })).map((row) => row[2])).toEqual([
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
      ]);
    },
  ],
  [
    'READ-007: reads all with -1',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 50);
      expect(await client.get(stream, { batchSize: -1 })).toHaveLength(50);
    },
  ],
  [
    'READ-008, READ-009: data and metadata come back as they were',
    async (client) => {
      const data = { nested: { array: [1, 2, 3], bool: true, null: null } };
      const metadata = { correlationId: '123', userId: 'user-456' };
      expect(await readBack(client, { data, metadata })).toEqual([data, metadata]);
    },
  ],
  [
    'READ-010: time is UTC with nine decimals, and is that of the write',
    async (client) => {
      const stream = fresh();
      const before = Date.now();
      await client.write(stream, EVENT);
      const time = (await client.get(stream))[0]?.[6] ?? '';
      expect(time).toMatch(TIME);
      const ms = Date.parse(time);
      // Postgres has its own clock, on the same machine.
      expect(ms).toBeGreaterThan(before - 5_000);
      expect(ms).toBeLessThan(Date.now() + 5_000);
    },
  ],
  [
    'LAST-001 to LAST-004: the last message, of all or of a type',
    async (client) => {
      const stream = fresh();
      expect(await client.last(stream)).toBeNull();
      for (const type of ['TypeA', 'TypeB', 'TypeA', 'TypeB', 'TypeA'])
        await client.write(stream, { type, data: {} });
      expect((await client.last(stream))?.[2]).toBe(4);
      expect((await client.last(stream, { type: 'TypeB' }))?.slice(1, 3)).toEqual(['TypeB', 3]);
      expect(await client.last(stream, { type: 'TypeC' })).toBeNull();
    },
  ],
  [
    'VERSION-001 to VERSION-003: the version of a stream',
    async (client) => {
      const stream = fresh();
      expect(await client.version(stream)).toBeNull();
      await client.write(stream, EVENT);
      expect(await client.version(stream)).toBe(0);
      await writeSome(client, stream, 2);
      expect(await client.version(stream)).toBe(2);
    },
  ],
  [
    'CATEGORY-001, CATEGORY-004, CATEGORY-008: a category has the messages of its streams, in eight fields, in their order',
    async (client) => {
      const category = fresh().split('-')[0] ?? '';
      const names = [`${category}-1`, `${category}-2`, `${category}-3`, `${category}-1`];
      const written: WriteResult[] = [];
      for (const name of names) written.push(await client.write(name, EVENT));
      expect(await client.category(category)).toEqual(
        names.map((name, index) => [
          expect.stringMatching(UUID),
          name,
          'TestEvent',
          written[index]?.position,
          written[index]?.globalPosition,
          { foo: 'bar' },
          null,
          expect.stringMatching(TIME),
        ]),
      );
    },
  ],
  [
    'CATEGORY-002: from a global position, inclusive; 0 is the beginning',
    async (client) => {
      const stream = fresh();
      const category = stream.split('-')[0] ?? '';
      const written = (await writeSome(client, stream, 4)).map(({ globalPosition }) => globalPosition);
      expect((await client.category(category, { position: written[2] })).map((row) => row[4])).toEqual(
        written.slice(2),
      );
      expect((await client.category(category, { globalPosition: written[3] })).map((row) => row[4])).toEqual(
        written.slice(3),
      );
      expect(await client.category(category, { position: 0 })).toHaveLength(4);
    },
  ],
  [
    'CATEGORY-003: no more than the batch size',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 12);
      const category = stream.split('-')[0] ?? '';
      expect(await client.category(category, { batchSize: 10 })).toHaveLength(10);
      expect(await client.category(category, { batchSize: -1 })).toHaveLength(12);
    },
  ],
  [
    'CATEGORY-005: members of a consumer group share the streams by cardinal id',
    async (client) => {
      const category = fresh().split('-')[0] ?? '';
      const names = ['1', '2', '3', '4', '1+retry'].map((id) => `${category}-${id}`);
      for (const name of [...names, category]) await client.write(name, EVENT);
      for (const member of [0, 1]) {
        const rows = await client.category(category, { consumerGroup: { member, size: 2 } });
        expect(rows.map((row) => row[1])).toEqual(
          names.filter((name) => consumerGroupMember(name, 2) === member),
        );
        expect(rows.length).toBeGreaterThan(0);
      }
    },
  ],
  [
    'CATEGORY-005: a consumer group that cannot be is an error',
    async (client) => {
      for (const group of [
        { member: 0 },
        { size: 2 },
        { member: 2, size: 2 },
        { member: -1, size: 2 },
        { member: 0, size: 0 },
        { member: 0, size: 32_768 },
        { member: '0', size: 2 },
        'none',
      ])
        expect(
          await errorOf(client.category('test', { consumerGroup: group })),
          JSON.stringify(group),
        ).toMatchObject({ code: 'INVALID_REQUEST' });
    },
  ],
  [
    'CATEGORY-006: correlation is equality of categories, not a beginning (EventoDB had LIKE)',
    async (client) => {
      const category = fresh().split('-')[0] ?? '';
      for (const [id, correlationStreamName] of [
        ['1', 'workflow-123'],
        ['2', 'other-456'],
        ['3', 'workflow2-1'],
        ['4', 'workflow'],
        ['5', 'work_low-1'],
      ])
        await client.write(`${category}-${id}`, { ...EVENT, metadata: { correlationStreamName } });
      expect((await client.category(category, { correlation: 'workflow' })).map((row) => row[1])).toEqual([
        `${category}-1`,
        `${category}-4`,
      ]);
      expect(await errorOf(client.category(category, { correlation: 'workflow-123' }))).toMatchObject({
        code: 'INVALID_REQUEST',
      });
    },
  ],
  [
    'CATEGORY-007: a category that is not there is empty',
    async (client) => expect(await client.category('nonexistent')).toEqual([]),
  ],
  [
    'SYS-001: the version is one',
    async (client) => expect(await client.rpc('sys.version')).toMatch(/^\d+\.\d+\.\d+$/),
  ],
  [
    'SYS-002: health has a status',
    async (client) => expect(await client.rpc('sys.health')).toMatchObject({ status: 'ok' }),
  ],
  [
    'AUTH-001: a token is taken',
    async (client) => expect((await client.write(fresh(), EVENT)).position).toBe(0),
  ],
  [
    'AUTH-002: no token is an error',
    async (_, { anonymous }) => {
      for (const method of [
        'stream.get',
        'stream.last',
        'stream.version',
        'category.get',
        'ns.streams',
        'ns.categories',
      ])
        expect(await errorOf(anonymous.rpc(method, 'test-1')), method).toMatchObject({
          code: 'AUTH_REQUIRED',
          status: 401,
        });
    },
  ],
  [
    'AUTH-003: what is no token, or not the right one, is an error',
    async (_, { withToken }) => {
      for (const token of [
        'invalid-token',
        'ns_',
        'ns_ZGVmYXVsdA_abc',
        `ns_ZGVmYXVsdA_${'0'.repeat(64)}`,
        `ns__${'0'.repeat(64)}`,
      ])
        expect(await errorOf(withToken(token).write(fresh(), EVENT)), token).toMatchObject({
          code: 'AUTH_INVALID',
          status: 401,
        });
    },
  ],
  [
    'ERROR-001: an unknown method is an error that names those there are',
    async (client) => {
      const error = await errorOf(client.rpc('invalid.method'));
      expect(error).toMatchObject({ code: 'METHOD_NOT_FOUND', status: 404 });
      expect(error.message).toContain('stream.write');
      expect(await errorOf(client.rpc('constructor'))).toMatchObject({ code: 'METHOD_NOT_FOUND' });
    },
  ],
  [
    'ERROR-002, ERROR-003: arguments that are missing or wrong are errors, and nothing is written',
    async (client) => {
      const stream = fresh();
      for (const args of [
        [],
        [stream],
        [stream, null],
        [stream, 'text'],
        [stream, {}],
        [stream, { type: '', data: {} }],
        [stream, { type: 5, data: {} }],
        [stream, { type: 'T' }],
        [stream, { type: 'T', data: [] }],
        [stream, { type: 'T', data: null }],
        [stream, { type: 'T', data: {}, metadata: 'x' }],
        [stream, { type: 'T', data: {} }, 'options'],
        [stream, { type: 'T', data: {} }, { id: 5 }],
        [stream, { type: 'T', data: {} }, { expectedVersion: '1' }],
        [stream, { type: 'T', data: {} }, { expectedVersion: 1.5 }],
        [stream, { type: 'T', data: {} }, { expectedVersion: -2 }],
        [123, { type: 'T', data: {} }],
        ['', { type: 'T', data: {} }],
        ['-1', { type: 'T', data: {} }],
        ['a\u0000b-1', { type: 'T', data: {} }],
        [stream, { type: 'T', data: { text: '\u0000' } }],
        [stream, { type: 'T', data: { text: '\ud800' } }],
      ])
        expect(await errorOf(client.rpc('stream.write', ...args)), JSON.stringify(args)).toMatchObject({
          code: 'INVALID_REQUEST',
          status: 400,
        });
      for (const [method, ...args] of [
        ['stream.get'],
        ['stream.get', 5],
        ['stream.get', stream, []],
        ['stream.get', stream, { position: '5' }],
        ['stream.get', stream, { batchSize: -2 }],
        ['stream.get', stream, { globalPosition: true }],
        ['stream.last', stream, { type: 5 }],
        ['stream.version'],
        ['category.get', ''],
        ['category.get', stream],
        ['category.get', 'test', { correlation: 5 }],
        ['ns.streams', { limit: 0 }],
        ['ns.streams', { limit: 1_001 }],
        ['ns.streams', { prefix: 5 }],
      ])
        expect(
          await errorOf(client.rpc(String(method), ...args)),
          JSON.stringify([method, ...args]),
        ).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
      expect(await client.version(stream)).toBeNull();
      // The control: the same call with what it needs.
      expect((await client.write(stream, { type: 'T', data: {} })).position).toBe(0);
    },
  ],
  [
    'ERROR-005: a body that is no request is an error',
    async (client) => {
      for (const body of ['', '{', 'null', '{}', '[]', '[5]', '["stream.write"', '"stream.write"'])
        expect(await errorOf(client.raw(body)), body).toMatchObject({ code: 'INVALID_REQUEST', status: 400 });
    },
  ],
  [
    'ERROR-005: a method may be written with escapes and spaces',
    async (client) => {
      expect(await client.raw(` [ "stream.version" , "none-1" ] `)).toBeNull();
      expect(await client.raw(String.raw`["stream\u002eversion","none-1"]`)).toBeNull();
    },
  ],
  [
    'ENCODING-001, ENCODING-002: Unicode comes back in data and metadata',
    async (client) => {
      const data = { text: 'Hello 世界 🌍 émojis', 键: '值' };
      const metadata = { description: 'Test 测试 🎉' };
      expect(await readBack(client, { data, metadata })).toEqual([data, metadata]);
    },
  ],
  [
    'ENCODING-003: special characters in the name of a stream',
    async (client) => {
      for (const name of ['test-stream_123.abc', 'tést-ünï 🌍/?&%"\\'])
        expect(
          (await client.get(name, { position: (await client.write(name, EVENT)).position }))[0]?.[4],
        ).toEqual(EVENT.data);
    },
  ],
  [
    'ENCODING-004 to ENCODING-009: JSON comes back as it was',
    async (client) => {
      const data = {
        emptyString: '',
        isTrue: true,
        isFalse: false,
        nullValue: null,
        integer: 42,
        float: 2.5e-3,
        negative: -100,
        zero: 0,
        level1: { level2: { level3: { value: 'deep' } } },
        items: [1, 'two', { three: 3 }, null, true, []],
        '': { quote: '"', backslash: '\\', newline: '\n', control: '\u0001', separator: '\u2028' },
      };
      expect((await readBack(client, { data }))[0]).toEqual(data);
    },
  ],
  [
    'ENCODING-010: 100 KB are taken, and more than 1 MiB refused',
    async (client) => {
      const data = { text: 'x'.repeat(100_000) };
      expect((await readBack(client, { data }))[0]).toEqual(data);
      const stream = fresh();
      expect(
        await errorOf(client.write(stream, { type: 'T', data: { text: 'x'.repeat(1_100_000) } })),
      ).toMatchObject({ code: 'INVALID_REQUEST' });
      expect(await client.version(stream)).toBeNull();
    },
  ],
  [
    'EDGE-001, EDGE-003: a batch size of 0 is empty, and one that is too large is cut',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 5);
      expect(await client.get(stream, { batchSize: 0 })).toEqual([]);
      expect(await client.get(stream, { batchSize: 1_000_000 })).toHaveLength(5);
    },
  ],
  [
    'EDGE-002: a negative position is an error',
    async (client) => {
      expect(await errorOf(client.get(fresh(), { position: -1 }))).toMatchObject({ code: 'INVALID_REQUEST' });
      expect(await errorOf(client.category('test', { position: -1 }))).toMatchObject({
        code: 'INVALID_REQUEST',
      });
    },
  ],
  [
    'EDGE-004: names of all kinds can be written to; one without an id is a category, and read as one',
    async (client) => {
      for (const name of ['a', 'stream-with-many-dashes', 'stream123', 'UPPERCASE']) {
        const { position, globalPosition } = await client.write(name, EVENT);
        const rows = name.includes('-')
          ? await client.get(name, { position })
          : await client.category(name, { position: globalPosition });
        expect(rows).toHaveLength(1);
        expect(await client.version(name)).toBe(position);
      }
      const error = await errorOf(client.get('a'));
      expect(error).toMatchObject({ code: 'INVALID_REQUEST' });
      expect(error.message).toContain('Must be a stream name: a');
    },
  ],
  [
    'EDGE-005: ten writes at once all succeed, at positions that are each their own',
    async (client) => {
      const stream = fresh();
      const written = await Promise.all(Array.from({ length: 10 }, () => client.write(stream, EVENT)));
      expect(written.map(({ position }) => position).sort((a, b) => a - b)).toEqual([
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
      ]);
      expect(new Set(written.map(({ globalPosition }) => globalPosition)).size).toBe(10);
    },
  ],
  [
    'EDGE-005: of ten writes at once with the same expected version, one succeeds',
    async (client) => {
      const stream = fresh();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, () => client.write(stream, EVENT, { expectedVersion: -1 })),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(await client.version(stream)).toBe(0);
    },
  ],
  [
    'EDGE-006: reading beyond the end is empty',
    async (client) => {
      const stream = fresh();
      await writeSome(client, stream, 5);
      expect(await client.get(stream, { position: 100 })).toEqual([]);
    },
  ],
  [
    'EDGE-007, EDGE-008: -1 expects no stream, 0 one message',
    async (client) => {
      const stream = fresh();
      expect(await errorOf(client.write(stream, EVENT, { expectedVersion: 0 }))).toMatchObject({
        details: { expected: 0, actual: -1 },
      });
      expect((await client.write(stream, EVENT, { expectedVersion: -1 })).position).toBe(0);
      expect(await errorOf(client.write(stream, EVENT, { expectedVersion: -1 }))).toMatchObject({
        code: 'STREAM_VERSION_CONFLICT',
        details: { expected: -1, actual: 0 },
      });
      expect((await client.write(stream, EVENT, { expectedVersion: 0 })).position).toBe(1);
    },
  ],
  [
    'listing: streams by prefix and cursor, with version and last activity, and categories with their counts',
    async (client) => {
      const category = fresh('list').split('-')[0] ?? '';
      const names = ['b', 'a', 'c'].map((id) => `${category}-${id}`);
      for (const name of names) await writeSome(client, name, 2);
      await client.write(category, EVENT);
      const row = (stream: string, version: number) => ({
        stream,
        version,
        lastActivity: expect.stringMatching(TIME),
      });
      expect(await client.rpc('ns.streams', { prefix: category })).toEqual([
        row(category, 0),
        row(`${category}-a`, 1),
        row(`${category}-b`, 1),
        row(`${category}-c`, 1),
      ]);
      expect(await client.rpc('ns.streams', { prefix: category, cursor: `${category}-a`, limit: 1 })).toEqual(
        [row(`${category}-b`, 1)],
      );
      const categories = await client.rpc<{ category: string }[]>('ns.categories');
      expect(categories).toContainEqual({ category, streamCount: 4, messageCount: 7 });
      expect(categories.map((one) => one.category)).toEqual(categories.map((one) => one.category).sort());
    },
  ],
];

export const EVENTODB_CASES: readonly EventoDbCase[] = suite.map(([name, run]) => ({ name, run }));
