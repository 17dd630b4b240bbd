import { doublePrecision, pgTable, text } from 'drizzle-orm/pg-core';
import { describe, expect, test } from 'vitest';
import type { ReadMessage } from '../../../src/sinks/message-batch.ts';
import { defineRouteSink, type RouteSinkDefinition } from '../../../src/sinks/route-sink.ts';

const trades = pgTable('trades', { symbol: text().notNull(), price: doublePrecision().notNull() });
const quotes = pgTable('quotes', { symbol: text().notNull(), bid: doublePrecision() });
const secured = pgTable('secured', { symbol: text() }).enableRLS();
const isTrade = ({ json }: ReadMessage): boolean => json?.kind === 'trade';

function define(definition: Partial<RouteSinkDefinition>): ReturnType<typeof defineRouteSink> {
  return defineRouteSink('market', {
    routes: { trades: { table: trades, when: isTrade }, quotes: { table: quotes } },
    ...definition,
  });
}

describe('a sink of routes', () => {
  test('has its routes in their order, and refuses by default what none takes', () => {
    const sink = define({});
    expect(
      sink.routes.map(({ name, sink: { name: table, quotedTable } }) => [name, table, quotedTable]),
    ).toEqual([
      ['trades', 'market.trades', '"trades"'],
      ['quotes', 'market.quotes', '"quotes"'],
    ]);
    expect(sink.unrouted).toBe('refuse');
    expect(sink.checkpointTable).toBe('sluice_checkpoints');
  });

  test.each([
    ['no route', { routes: {} }, 'Sink market: it has 0 routes, and needs 1 to 16'],
    [
      'too many routes',
      {
        routes: Object.fromEntries(
          Array.from({ length: 17 }, (_, index) => [`r${index}`, { table: quotes }]),
        ),
      },
      'Sink market: it has 17 routes, and needs 1 to 16',
    ],
    [
      'an unknown rule for what no route takes',
      { unrouted: 'drop' as 'ignore' },
      `Sink market: unrouted is 'refuse' or 'ignore', not "drop"`,
    ],
    [
      'a writer that writes message by message',
      { options: { writer: 'naive' as const } },
      "Sink market: the writer naive writes message by message, and so cannot write to several tables in one transaction: set options: { writer: 'copy' }, 'unnest' or 'bulk'",
    ],
    [
      'a predicate that is no function',
      { routes: { trades: { table: trades, when: true as never } } },
      'Sink market: when of the route trades is a function of a message',
    ],
    [
      'a table of a route that cannot work, by the name of both',
      { routes: { trades: { table: trades, columns: { nothing: 'default' as const } } } },
      'Sink market.trades: the table has no column "nothing", only symbol, price',
    ],
  ])('refuses %s', (_, definition, sentence) => {
    expect(() => define(definition)).toThrow(sentence);
  });

  test('a table with row security needs a writer that is named, as in a sink of one table', () => {
    const routes = { secured: { table: secured } };
    expect(() => define({ routes })).toThrow("set options: { writer: 'unnest' }");
    expect(define({ routes, options: { writer: 'unnest' } }).options.writer).toBe('unnest');
  });

  test('its mapping tells which messages go where, so that a change is seen', () => {
    const before = define({}).mapping;
    expect(define({}).mapping).toEqual(before);
    const other = define({
      routes: { trades: { table: trades, when: () => true }, quotes: { table: quotes } },
    }).mapping;
    expect(other).not.toEqual(before);
    expect(define({ unrouted: 'ignore' }).mapping).not.toEqual(before);
    expect(Object.keys(before)).toContain('trades.price');
  });
});
