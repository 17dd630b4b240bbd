import type { StandardSchemaV1 } from '@standard-schema/spec';
import { pgTable, text } from 'drizzle-orm/pg-core';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { schemaAsker } from '../../../src/sinks/message-schema.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';

const ZOD = z.object({ sensor: z.string(), celsius: z.number() });
const VALIBOT = v.object({ sensor: v.string(), celsius: v.number() });

/** A schema that does what a test needs. */
function schemaOf(validate: (value: unknown) => unknown): StandardSchemaV1 {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: validate as StandardSchemaV1['~standard']['validate'],
    },
  };
}

describe('a schema', () => {
  test.each([
    ['zod', ZOD],
    ['valibot', VALIBOT],
  ])(
    'of %s takes what fits, without what it does not know, and says why it refuses what does not',
    (_name, schema) => {
      const ask = schemaAsker('readings', schema);
      expect(ask('{"sensor":"a","celsius":21.5,"other":1}')).toEqual({
        payload: '{"sensor":"a","celsius":21.5}',
      });
      const refused = ask('{"sensor":1,"celsius":"warm"}');
      expect(refused).toMatchObject({ code: 'invalid_message' });
      expect((refused as { message: string }).message).toMatch(/sensor: .+; celsius: /);
    },
  );

  test('gets numbers that a double cannot hold as bigint or text, and its output keeps all digits', () => {
    let seen: unknown;
    const ask = schemaAsker(
      's',
      schemaOf((value) => {
        seen = value;
        return { value };
      }),
    );
    const json = '{"id":9223372036854775807,"money":0.12345678901234567890123}';
    expect(ask(json)).toEqual({ payload: '{"id":9223372036854775807,"money":"0.12345678901234567890123"}' });
    expect(seen).toEqual({ id: 9_223_372_036_854_775_807n, money: '0.12345678901234567890123' });
    expect(schemaAsker('s', z.object({ id: z.bigint() }))('{"id":9223372036854775807}')).toEqual({
      payload: '{"id":9223372036854775807}',
    });
  });

  test('may make other values: times, bytes and big numbers become JSON', () => {
    const made = { at: new Date(0), bytes: new Uint8Array([1]), n: 2n ** 70n };
    expect(
      schemaAsker(
        's',
        schemaOf(() => ({ value: made })),
      )('1'),
    ).toEqual({
      payload: '{"at":"1970-01-01T00:00:00.000Z","bytes":"AQ==","n":1180591620717411303424}',
    });
  });

  test('that returns a promise failed, and says what to do', async () => {
    const ask = schemaAsker('readings', z.object({ a: z.string().refine(async () => true) }));
    expect(ask('{"a":"b"}')).toEqual({
      code: 'sink_failed',
      message:
        "The schema of the sink readings failed, and the message was not taken: it returned a promise. Messages are taken in their order, and none can wait for an answer: use a synchronous one. zod returns one too where the schema's own code throws",
    });
    // A promise that is rejected is nobody's unhandled rejection.
    expect(
      schemaAsker(
        's',
        schemaOf(() => Promise.reject(new Error('late'))),
      )('1'),
    ).toMatchObject({
      code: 'sink_failed',
    });
    await Promise.resolve();
  });

  test.each([
    ['throws', () => expect.fail('broken')],
    ['makes nothing', () => ({ value: undefined })],
    ['makes a function', () => ({ value: () => 1 })],
    ['makes NaN', () => ({ value: { a: Number.NaN } })],
    ['returns nothing', () => undefined],
  ])('that %s failed: it is no fault of the message', (_name, validate) => {
    expect(schemaAsker('s', schemaOf(validate))('1')).toMatchObject({ code: 'sink_failed' });
  });

  test('shows three issues, and each of them cut', () => {
    const issues = Array.from({ length: 9 }, (_, index) => ({
      message: 'x'.repeat(500),
      path: [{ key: 'list' }, index],
    }));
    const refused = schemaAsker(
      's',
      schemaOf(() => ({ issues })),
    )('1') as { message: string };
    expect(refused.message).toMatch(/list\.0: x+…; list\.1: x+…; list\.2: x+… \(and 6 more\)$/);
    expect(refused.message.length).toBeLessThan(400);
  });

  test('is refused where it is none, or says itself that it is asynchronous', () => {
    const table = pgTable('t', { a: text() });
    const asynchronous = v.objectAsync({ a: v.string() });
    expect(() => defineSink('t', { table, schema: {} as never })).toThrow(
      /Sink t: schema is not a Standard Schema/,
    );
    expect(() => defineSink('t', { table, schema: asynchronous })).toThrow(/Sink t: schema is asynchronous/);
    expect(defineSink('t', { table, schema: VALIBOT }).askSchema).toBeTypeOf('function');
    expect(defineSink('t', { table }).askSchema).toBeUndefined();
  });
});
