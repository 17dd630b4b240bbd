/** A sink of routes: one message, several tables, one transaction. */

import { doublePrecision, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { isSluiceError } from '../../../src/core/errors.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { sqlState } from '../../../src/database/connection.ts';
import { fromPayload } from '../../../src/sinks/column-sources.ts';
import type { ReadMessage } from '../../../src/sinks/message-batch.ts';
import { RefusedRows } from '../../../src/sinks/refused-rows.ts';
import { defineRouteSink, type RouteSinkDefinition } from '../../../src/sinks/route-sink.ts';
import type { RouteSink } from '../../../src/sinks/sink.ts';
import { writingOf } from '../../../src/writers/writers.ts';
import { freshName, rowsOf, testDatabase } from '../../support/connect.ts';
import { batchOf } from './contract.ts';

const TRADE = '{"kind":"trade","symbol":"A","price":1.5}';
const QUOTE = '{"kind":"quote","symbol":"B","bid":2}';
const OTHER = '{"kind":"other"}';

describe.each(['tcp', 'neon'] as const)('with the driver %s', (driver) => {
  const database = testDatabase(driver);
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  interface Market {
    sink: RouteSink;
    read: () => Promise<{ trades: string[]; quotes: string[]; log: string[] }>;
  }

  async function market(
    writer: 'bulk' | 'unnest' | 'copy',
    change: (routes: RouteSinkDefinition['routes']) => Partial<RouteSinkDefinition> = () => ({}),
  ): Promise<Market> {
    const [tradesName, quotesName, logName] = [freshName('trades'), freshName('quotes'), freshName('log')];
    await rowsOf(
      connection,
      `create table ${tradesName} (symbol text not null, price double precision not null check (price < 100));
       create table ${quotesName} (symbol text not null, bid double precision);
       create table ${logName} (message jsonb not null)`,
    );
    const trades = pgTable(tradesName, {
      symbol: text().notNull(),
      price: doublePrecision().notNull(),
    });
    const quotes = pgTable(quotesName, { symbol: text().notNull(), bid: doublePrecision() });
    const log = pgTable(logName, { message: jsonb().notNull() });
    const routes: RouteSinkDefinition['routes'] = {
      trades: { table: trades, when: ({ json }) => json.kind === 'trade' },
      quotes: { table: quotes, when: ({ json }) => json.kind === 'quote' },
      log: { table: log, columns: { message: fromPayload }, when: ({ json }) => json.kind !== 'other' },
    };
    const sink = defineRouteSink('market', { routes, options: { writer }, ...change(routes) });
    const column = async (query: string): Promise<string[]> =>
      (await rowsOf<{ value: string }>(connection, query)).map(({ value }) => value);
    return {
      sink,
      read: async () => ({
        trades: await column(`select symbol || ' ' || price as value from ${tradesName} order by 1`),
        quotes: await column(`select symbol || ' ' || bid as value from ${quotesName} order by 1`),
        log: await column(`select message ->> 'symbol' as value from ${logName} order by 1`),
      }),
    };
  }

  async function write(sink: RouteSink, ...payloads: string[]): Promise<void> {
    await writingOf(sink).create()(batchOf(payloads.map((payload) => ({ payload }))))(connection);
  }

  describe.each(['bulk', 'unnest', 'copy'] as const)('the writer %s', (writer) => {
    test('writes each message to every table whose route takes it', async () => {
      const { sink, read } = await market(writer);
      await write(sink, TRADE, QUOTE, TRADE.replace('"A"', '"C"'));
      expect(await read()).toEqual({ trades: ['A 1.5', 'C 1.5'], quotes: ['B 2'], log: ['A', 'B', 'C'] });
    });

    test('writes to all tables or to none', async () => {
      const { sink, read } = await market(writer);
      const refused = write(sink, QUOTE, TRADE, TRADE.replace('1.5', '100'));
      expect(sqlState(await refused.catch((error: unknown) => error))).toBe('23514');
      expect(await read()).toEqual({ trades: [], quotes: [], log: [] });
      // The control: without that message.
      await write(sink, QUOTE, TRADE);
      expect(await read()).toEqual({ trades: ['A 1.5'], quotes: ['B 2'], log: ['A', 'B'] });
    });

    test('leaves the transaction to its caller', async () => {
      const { sink, read } = await market(writer);
      const prepared = writingOf(sink).create()(batchOf([{ payload: TRADE }, { payload: QUOTE }]));
      await rowsOf(connection, 'begin');
      await prepared(connection, 'callers');
      expect((await read()).log).toEqual(['A', 'B']);
      await rowsOf(connection, 'rollback');
      expect((await read()).log).toEqual([]);
    });
  });

  test.each(['bulk', 'unnest', 'copy'] as const)(
    'several routes of %s have rules for rows that meet under a key',
    async (writer) => {
      const names = { latest: freshName('latest'), first: freshName('first') };
      for (const name of Object.values(names))
        await rowsOf(connection, `create table ${name} (symbol text primary key, price double precision)`);
      const latest = pgTable(names.latest, { symbol: text().primaryKey(), price: doublePrecision() });
      const first = pgTable(names.first, { symbol: text().primaryKey(), price: doublePrecision() });
      const sink = defineRouteSink('market', {
        routes: {
          latest: { table: latest, onConflict: { action: 'update', columns: ['symbol'] } },
          first: { table: first, onConflict: 'ignore' },
        },
        options: { writer },
      });
      for (const price of [1, 2]) await write(sink, `{"symbol":"A","price":${price}}`);
      expect(await rowsOf(connection, `select * from ${names.latest}`)).toEqual([{ symbol: 'A', price: 2 }]);
      expect(await rowsOf(connection, `select * from ${names.first}`)).toEqual([{ symbol: 'A', price: 1 }]);
    },
  );

  test('a message that no route takes is refused; with unrouted: ignore it counts as written', async () => {
    const { sink, read } = await market('copy');
    await expect(write(sink, OTHER)).rejects.toMatchObject({
      code: 'invalid_message',
      message: 'No route of the sink market takes the message',
    });
    const ignoring = await market('copy', () => ({ unrouted: 'ignore' }));
    await write(ignoring.sink, OTHER, TRADE, OTHER);
    expect((await ignoring.read()).trades).toEqual(['A 1.5']);
    await write(ignoring.sink, OTHER);
    expect(await read()).toEqual({ trades: [], quotes: [], log: [] });
  });

  test('all messages that are refused are named at once, each with its reason', async () => {
    const { sink } = await market('copy', (routes) => ({
      routes: {
        ...routes,
        broken: {
          ...(routes.log as RouteSinkDefinition['routes'][string]),
          when: ({ json }: ReadMessage) => {
            if (json.fail === true) throw new Error('no such thing');
            return json.promise === true ? (Promise.resolve(true) as unknown as boolean) : false;
          },
        },
      },
    }));
    const batch = batchOf(
      [
        TRADE,
        OTHER,
        '{"kind":"trade","symbol":"A","price":"much"}',
        QUOTE,
        '{"kind":"quote"}',
        '{"kind":"quote","symbol":"A","fail":true}',
        '{"kind":"quote","symbol":"A","promise":true}',
      ].map((payload) => ({ payload })),
    );
    let thrown: unknown;
    try {
      writingOf(sink).create()(batch);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(RefusedRows);
    const found = [...(thrown as RefusedRows).rows].map(([row, error]) => [row, error.code]);
    expect(found).toEqual([
      [1, 'invalid_message'],
      [2, 'invalid_message'],
      [4, 'invalid_message'],
      [5, 'sink_failed'],
      [6, 'sink_failed'],
    ]);
    const sentences = [...(thrown as RefusedRows).rows.values()].map(({ message }) => message);
    expect(sentences[1]).toContain('price');
    expect(sentences[2]).toContain('symbol');
    expect(sentences[3]).toBe("The sink's own code failed: no such thing");
    expect(sentences[4]).toContain(
      'when of the route broken of the sink market returned a value of type object',
    );
  });

  test('one message that a route refuses has the fault itself', async () => {
    const { sink } = await market('copy');
    const fault = await write(sink, '{"kind":"trade","symbol":"A","price":"much"}').catch((error) => error);
    expect(isSluiceError(fault) && fault.code).toBe('invalid_message');
    expect(fault).not.toBeInstanceOf(RefusedRows);
  });
});
