import { bigint, pgSchema, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quoteName } from '../../../src/core/sql-text.ts';
import {
  fromEpoch,
  fromMessage,
  fromPayload,
  fromProducer,
  fromReceivedAt,
  fromSequence,
  sequenceText,
} from '../../../src/sinks/column-sources.ts';
import { defineSink } from '../../../src/sinks/table-sink.ts';

describe('sequenceText', () => {
  test('is String() for every whole number from 0 to 2^53 - 1', () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(), fc.nat(10_000)), (sequence) => {
        expect(sequenceText(sequence)).toBe(String(sequence));
      }),
      { numRuns: 5_000 },
    );
  });

  test('is exact around every power of two and ten, and around every million near the end', () => {
    const places = [0, 1, Number.MAX_SAFE_INTEGER - 2];
    for (let power = 1; power < 53; power += 1) places.push(2 ** power);
    for (let power = 1; power < 16; power += 1)
      places.push(10 ** power, 9 * 10 ** power, 123 * 10 ** (power - 2));
    for (let high = 9_007_199_254; high > 9_007_199_254 - 2_000; high -= 1) places.push(high * 1_000_000);
    for (let high = 2 ** 33 - 500; high < 2 ** 33 + 500; high += 1) places.push(high * 1_000_000);
    for (const place of places) {
      for (const sequence of [place - 1, place, place + 1, place + 999_999]) {
        if (Number.isSafeInteger(sequence) && sequence >= 0)
          expect(sequenceText(sequence)).toBe(String(sequence));
      }
    }
  });
});

describe('quoteName', () => {
  test.each([
    ['messages', '"messages"'],
    ['My "table"', '"My ""table"""'],
    ['a.b', '"a.b"'],
  ])('%j is %s', (name, quoted) => {
    expect(quoteName(name)).toBe(quoted);
  });
});

const table = pgTable('events', {
  id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
  producer: text().notNull(),
  receivedAt: timestamp('received_at', { withTimezone: true }),
});

describe('defineSink', () => {
  test('knows the columns by their names and types in Postgres, in the order of the definition', () => {
    const { columns, quotedTable, name } = defineSink('events', {
      table,
      columns: { receivedAt: fromReceivedAt, producer: fromProducer },
    });
    expect(columns.map(({ key, name, sqlType }) => [key, name, sqlType])).toEqual([
      ['receivedAt', 'received_at', 'timestamp with time zone'],
      ['producer', 'producer', 'text'],
    ]);
    expect([name, quotedTable]).toEqual(['events', '"events"']);
  });

  test('quotes the schema of the table', () => {
    const there = pgSchema('my "schema"').table('events', { producer: text() });
    const { quotedTable } = defineSink('events', { table: there, columns: { producer: fromProducer } });
    expect(quotedTable).toBe('"my ""schema"""."events"');
  });

  test('fills in the options, and checks them', () => {
    expect(defineSink('e', { table, columns: { producer: fromProducer } }).options.writer).toBe('copy');
    expect(() =>
      defineSink('e', { table, columns: { producer: fromProducer }, options: { batchRows: 0 } }),
    ).toThrow(/e\.batchRows/);
  });

  test('refuses a column that the table does not have, and names those it has', () => {
    const columns = { producr: fromProducer } as Record<string, typeof fromProducer>;
    expect(() => defineSink('e', { table, columns })).toThrow(/"producr", only id, producer, receivedAt/);
  });

  test('refuses a table none of whose columns it writes', () => {
    const counted = pgTable('counted', {
      id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    });
    expect(() => defineSink('e', { table: counted })).toThrow(/at least one column/);
  });

  test('takes members for the columns that are not named, but not for those that Postgres fills', () => {
    const { columns } = defineSink('e', { table, columns: { receivedAt: fromReceivedAt } });
    expect(columns.map(({ key }) => key)).toEqual(['receivedAt', 'producer']);
  });
});

describe('the sources of a column', () => {
  const columns = {
    producers: ['p', 'q'],
    sequences: [1, 9_007_199_254_740_991],
    epochs: [0, 1_795_266_606_001],
    payloads: ['{}', '"\\n"'],
    plain: [true, false],
    receivedAtMs: [0, 1_700_000_000_123],
  };

  test('give the text of the row that is asked for', () => {
    const texts = [fromProducer, fromEpoch, fromSequence, fromPayload, fromReceivedAt].map((source) =>
      source.text(columns, 1),
    );
    expect(texts).toEqual(['q', '1795266606001', '9007199254740991', '"\\n"', '2023-11-14T22:13:20.123Z']);
    expect([0, 1, 0].map((row) => fromEpoch.text(columns, row))).toEqual(['0', '1795266606001', '0']);
    expect(fromReceivedAt.text(columns, 0)).toBe('1970-01-01T00:00:00.000Z');
  });

  test('say of a payload whether it is plain', () => {
    expect([0, 1].map((row) => fromPayload.isPlain?.(columns, row))).toEqual([true, false]);
  });

  test('give a computed column the whole message', () => {
    const source = fromMessage((message) => JSON.stringify(message));
    expect(JSON.parse(source.text(columns, 1) as string)).toEqual({
      producer: 'q',
      sequence: 9_007_199_254_740_991,
      epoch: 1_795_266_606_001,
      payload: '"\\n"',
      receivedAtMs: 1_700_000_000_123,
    });
  });
});
