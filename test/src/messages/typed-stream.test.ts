import type { StandardSchemaV1 } from '@standard-schema/spec';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import { NodeSqlite } from '../../../local/sqlite.ts';
import { SqliteMessageEngine } from '../../../src/messages/engines/sqlite-engine.ts';
import type { JsonValue, Message } from '../../../src/messages/message.ts';
import { MessageStore } from '../../../src/messages/message-store.ts';

type AccountEvent =
  | { type: 'Opened'; data: { owner: string } }
  | { type: 'Deposited'; data: { amount: number }; metadata: { by: string } }
  | { type: 'Closed' };

const zodEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('Opened'), data: z.object({ owner: z.string() }) }),
  z.object({
    type: z.literal('Deposited'),
    data: z.object({ amount: z.number().positive() }),
    metadata: z.object({ by: z.string() }),
  }),
]);

const valibotEvent = v.variant('type', [
  v.object({ type: v.literal('Opened'), data: v.object({ owner: v.string() }) }),
  v.object({
    type: v.literal('Deposited'),
    data: v.object({ amount: v.pipe(v.number(), v.minValue(0)) }),
    metadata: v.object({ by: v.string() }),
  }),
]);

function openMemoryStore(): MessageStore {
  return new MessageStore(new SqliteMessageEngine(new NodeSqlite()));
}

async function eventsOf(store: MessageStore, stream: string): Promise<unknown[]> {
  const messages = await store.readStream(stream);
  return messages.map(({ type, data, metadata }) => ({ type, data, metadata }));
}

/** What a promise is rejected with; fails where it is not. */
async function errorOf(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; details: unknown }> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome === undefined) throw new Error('it was not refused');
  return outcome as never;
}

describe('raw numbers', () => {
  const raw = (text: string): number => (JSON as unknown as { rawJSON(text: string): number }).rawJSON(text);

  test.each([
    ['without a schema', undefined],
    ['with one, which sees numbers', zodEvent],
  ])('keep their digits: %s', async (_, schema) => {
    const store = openMemoryStore();
    const account = store.stream<{ type: string; data: { amount: number }; metadata: { by: string } }>(
      'account-1',
      schema as never,
    );
    await account.write({
      type: 'Deposited',
      data: { amount: raw('9007199254740993.10') },
      metadata: { by: 'x' },
    });
    const [record] = await store.readStreamRecords('account-1');
    expect(record?.data).toBe('{"amount":9007199254740993.10}');
    expect((await account.last())?.data.amount).toBe(Number('9007199254740993.1'));
  });
});

describe('without a schema', () => {
  test('events of a union are written and read, and the type tells the data', async () => {
    const account = openMemoryStore().stream<AccountEvent>('account-1');
    expect(await account.version()).toBeUndefined();
    expect(await account.last()).toBeUndefined();
    await account.write({ type: 'Opened', data: { owner: 'Ada' } }, { expectedVersion: 'no-stream' });
    const written = await account.write([
      { type: 'Deposited', data: { amount: 10 }, metadata: { by: 'web' } },
      { type: 'Closed' },
    ]);
    expect(written).toEqual({ position: 2n, globalPosition: 3n });
    expect(await account.version()).toBe(2n);

    let balance = 0;
    const types: string[] = [];
    for (const event of await account.read()) {
      types.push(event.type);
      if (event.type === 'Deposited') {
        expectTypeOf(event.data).toEqualTypeOf<{ amount: number }>();
        expectTypeOf(event.metadata).toEqualTypeOf<{ by: string }>();
        balance += event.data.amount;
        expect(event.metadata.by).toBe('web');
      }
    }
    expect([types, balance]).toEqual([['Opened', 'Deposited', 'Closed'], 10]);

    const opened = await account.last({ type: 'Opened' });
    expectTypeOf(opened?.data).toEqualTypeOf<{ owner: string } | undefined>();
    expect(opened).toMatchObject({ position: 0n, data: { owner: 'Ada' } });
    expect(await account.last()).toMatchObject({ type: 'Closed', data: {} });
    expect((await account.read({ position: 1n, batchSize: 1 })).map(({ type }) => type)).toEqual([
      'Deposited',
    ]);
  });

  test('a version conflict is what the store says', async () => {
    const account = openMemoryStore().stream<AccountEvent>('account-1');
    await account.write({ type: 'Closed' });
    expect(await errorOf(account.write({ type: 'Closed' }, { expectedVersion: 'no-stream' }))).toMatchObject({
      code: 'version_conflict',
    });
  });

  test('iterates over a stream of any length in pages', async () => {
    const account = openMemoryStore().stream<AccountEvent>('account-1');
    await account.write(
      Array.from({ length: 25 }, (_, n) => ({
        type: 'Deposited' as const,
        data: { amount: n },
        metadata: { by: 'web' },
      })),
    );
    const amounts: number[] = [];
    for await (const event of account.iterate({ batchSize: 10, position: 3n })) {
      if (event.type === 'Deposited') amounts.push(event.data.amount);
    }
    expect(amounts).toEqual(Array.from({ length: 22 }, (_, n) => n + 3));
  });

  test('plain JSON needs no types', async () => {
    const stream = openMemoryStore().stream('notes-1');
    await stream.write({ type: 'Noted', data: ['anything', { is: null }] });
    const [note] = await stream.read();
    expectTypeOf(note?.data).toEqualTypeOf<JsonValue | undefined>();
    expect(note?.data).toEqual(['anything', { is: null }]);
  });
});

describe.each([
  ['zod', zodEvent],
  ['valibot', valibotEvent],
] as const)('with a schema of %s', (_, schema) => {
  test('what fits is written and read', async () => {
    const store = openMemoryStore();
    const account = store.stream('account-1', schema as typeof zodEvent);
    await account.write([
      { type: 'Opened', data: { owner: 'Ada' } },
      { type: 'Deposited', data: { amount: 10 }, metadata: { by: 'web' } },
    ]);
    const events = await account.read();
    expect(events.map(({ type, position, data, metadata }) => ({ type, position, data, metadata }))).toEqual([
      { type: 'Opened', position: 0n, data: { owner: 'Ada' }, metadata: null },
      { type: 'Deposited', position: 1n, data: { amount: 10 }, metadata: { by: 'web' } },
    ]);
  });

  test('what does not fit is refused with its issues, and nothing of it is written', async () => {
    const store = openMemoryStore();
    const account = store.stream('account-1', schema as typeof zodEvent);
    const error = await errorOf(
      account.write([
        { type: 'Opened', data: { owner: 'Ada' } },
        { type: 'Deposited', data: { amount: -1 }, metadata: { by: 'web' } },
      ]),
    );
    expect(error).toMatchObject({
      code: 'invalid_message',
      details: {
        stream: 'account-1',
        index: 1,
        issues: [{ path: ['data', 'amount'], message: expect.any(String) }],
      },
    });
    expect(error.message).toMatch(/^Message 1 for account-1 is not as its schema says: data\.amount: /);
    expect(await eventsOf(store, 'account-1')).toEqual([]);
    // The good one alone is taken.
    await account.write({ type: 'Opened', data: { owner: 'Ada' } });
    expect(await eventsOf(store, 'account-1')).toHaveLength(1);
  });

  test('a stored message that does not fit is refused at reading, where it is', async () => {
    const store = openMemoryStore();
    const account = store.stream('account-1', schema as typeof zodEvent);
    await store.write('account-1', [
      { type: 'Opened', data: { owner: 'Ada' } },
      { type: 'Renamed', data: {} },
      { type: 'Opened', data: { owner: 'Bob' } },
    ]);
    const refused = {
      code: 'invalid_message',
      details: { stream: 'account-1', position: '1', globalPosition: '2', issues: [expect.anything()] },
    };
    expect(await errorOf(account.read())).toMatchObject(refused);
    expect(await errorOf(account.last({ type: 'Renamed' as never }))).toMatchObject(refused);
    const seen: bigint[] = [];
    const all = (async () => {
      for await (const { position } of account.iterate()) seen.push(position);
    })();
    expect(await errorOf(all)).toMatchObject(refused);
    expect(seen).toEqual([0n]);
    // Around it everything can be read.
    expect(await account.read({ position: 2n })).toHaveLength(1);
  });
});

describe('a schema that transforms', () => {
  const schema = z.object({
    type: z.literal('Measured'),
    data: z.object({
      at: z.iso.datetime().transform((text) => new Date(text)),
      unit: z.string().default('C'),
    }),
  });

  test('keeps what was written, and reads what the schema makes of it', async () => {
    const store = openMemoryStore();
    const stream = store.stream('sensor-1', schema);
    await stream.write({ type: 'Measured', data: { at: '2026-01-01T00:00:00Z' } });
    expect(await eventsOf(store, 'sensor-1')).toMatchObject([{ data: { at: '2026-01-01T00:00:00Z' } }]);
    const [event] = await stream.read();
    expectTypeOf(event?.data).toEqualTypeOf<{ at: Date; unit: string } | undefined>();
    expect(event?.data).toEqual({ at: new Date('2026-01-01T00:00:00Z'), unit: 'C' });
  });

  test('an event that could not be read again is refused when it is written', async () => {
    const store = openMemoryStore();
    // As JSON, a date is a text.
    const stream = store.stream('sensor-1', z.object({ type: z.string(), data: z.object({ at: z.date() }) }));
    const error = await errorOf(stream.write({ type: 'Measured', data: { at: new Date(0) } }));
    expect(error).toMatchObject({ code: 'invalid_message', details: { issues: [{ path: ['data', 'at'] }] } });
    expect(await eventsOf(store, 'sensor-1')).toEqual([]);
  });
});

describe('a schema that answers later', () => {
  const known = new Set(['Ada']);
  const schema = z.object({
    type: z.literal('Opened'),
    data: z.object({ owner: z.string().refine(async (owner) => known.has(owner), 'nobody knows them') }),
  });

  test('is waited for, when writing and when reading', async () => {
    const store = openMemoryStore();
    const stream = store.stream('account-1', schema);
    await stream.write({ type: 'Opened', data: { owner: 'Ada' } });
    expect(await errorOf(stream.write({ type: 'Opened', data: { owner: 'Bob' } }))).toMatchObject({
      code: 'invalid_message',
      message: expect.stringContaining('data.owner: nobody knows them'),
    });
    expect((await stream.read()).map(({ data }) => data)).toEqual([{ owner: 'Ada' }]);
    await store.write('account-1', { type: 'Opened', data: { owner: 'Bob' } });
    expect(await errorOf(stream.read())).toMatchObject({ details: { position: '1' } });
    expect(await errorOf(stream.last())).toMatchObject({ details: { position: '1' } });
  });

  test('sees a copy, which nobody changes in the meantime', async () => {
    const store = openMemoryStore();
    const stream = store.stream('account-1', schema);
    const event = { type: 'Opened' as const, data: { owner: 'Ada' } };
    const written = stream.write(event);
    event.data.owner = 'Bob';
    await written;
    expect(await eventsOf(store, 'account-1')).toMatchObject([{ data: { owner: 'Ada' } }]);
  });
});

describe('what a schema is asked', () => {
  function recording(asked: unknown[]): StandardSchemaV1<{ type: string; data?: unknown }, { type: string }> {
    return {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate(value) {
          asked.push(value);
          return { value: value as { type: string } };
        },
      },
    };
  }

  test('is the same at writing and at reading', async () => {
    const asked: unknown[] = [];
    const stream = openMemoryStore().stream('account-1', recording(asked));
    await stream.write([
      { type: 'Bare' },
      { type: 'Full', data: { none: undefined, n: 1 } },
      { type: 'Noted', data: null, metadata: { by: 'web' } } as { type: string },
    ]);
    const whenWriting = asked.splice(0);
    expect(whenWriting).toStrictEqual([
      { type: 'Bare', data: {} },
      { type: 'Full', data: { n: 1 } },
      { type: 'Noted', data: null, metadata: { by: 'web' } },
    ]);
    await stream.read();
    expect(asked).toStrictEqual(whenWriting);
  });

  test.each([
    ['NaN', { n: Number.NaN }],
    ['infinity', { n: Number.POSITIVE_INFINITY }],
    ['a bigint', { n: 1n }],
    ['a function', () => {}],
    ['a cycle', cycle()],
  ])('is not asked about %s, which is not JSON', async (_, data) => {
    const asked: unknown[] = [];
    const stream = openMemoryStore().stream('account-1', recording(asked));
    expect(await errorOf(stream.write({ type: 'T', data }))).toMatchObject({ code: 'invalid_message' });
    expect(asked).toEqual([]);
    expect(await stream.version()).toBeUndefined();
  });

  test('issues are listed up to a hundred', async () => {
    const stream = openMemoryStore().stream(
      'list-1',
      z.object({ type: z.string(), data: z.array(z.number()) }),
    );
    const data = Array.from({ length: 500 }, () => 'text' as unknown as number);
    const error = await errorOf(stream.write({ type: 'T', data }));
    expect((error.details as { issues: unknown[] }).issues).toHaveLength(100);
    expect(error.message).toContain('(and 499 more)');
  });
});

function cycle(): unknown {
  const value: { self?: unknown } = {};
  value.self = value;
  return value;
}

test('the types say what may be written and what is read', () => {
  const store = openMemoryStore();
  const plain = store.stream<AccountEvent>('account-1');
  // Only the compiler looks at it.
  if (false as boolean) {
    // @ts-expect-error there is no such type
    void plain.write({ type: 'Renamed', data: {} });
    // @ts-expect-error the data are those of another type
    void plain.write({ type: 'Opened', data: { amount: 1 } });
    // @ts-expect-error its metadata are missing
    void plain.write({ type: 'Deposited', data: { amount: 1 } });
    // @ts-expect-error there is no such type to be last
    void plain.last({ type: 'Renamed' });
    // @ts-expect-error the schema is of other events
    store.stream<AccountEvent>('account-1', z.object({ type: z.literal('Renamed') }));
  }
  expectTypeOf(plain.read).returns.resolves.items.toExtend<{
    type: AccountEvent['type'];
    position: bigint;
  }>();
  const typed = store.stream('account-1', zodEvent);
  type Read = Awaited<ReturnType<typeof typed.read>>[number];
  expectTypeOf<Read['type']>().toEqualTypeOf<'Opened' | 'Deposited'>();
  expectTypeOf<Extract<Read, { type: 'Deposited' }>['data']>().toEqualTypeOf<{ amount: number }>();
  const untyped = store.stream('account-1');
  expectTypeOf<Awaited<ReturnType<typeof untyped.read>>[number]['type']>().toEqualTypeOf<Message['type']>();
});
