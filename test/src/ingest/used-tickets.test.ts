import { describe, expect, test } from 'vitest';
import { NodeSqlite } from '../../../local/sqlite.ts';
import { UsedTickets } from '../../../src/ingest/used-tickets.ts';

const used = expect.objectContaining({
  code: 'unauthorized',
  message: expect.stringContaining('used before'),
});
const countOf = (sqlite: NodeSqlite) =>
  sqlite.run<{ count: number }>('select count(*) as count from used_tickets')[0]?.count;

describe('a ticket', () => {
  test('is used once; another one is another', () => {
    const tickets = new UsedTickets(new NodeSqlite());
    tickets.use({ id: 'a', untilMs: 100 }, 10);
    tickets.use({ id: 'b', untilMs: 100 }, 10);
    expect(() => tickets.use({ id: 'a', untilMs: 100 }, 11)).toThrow(used);
    expect(() => tickets.use({ id: 'b', untilMs: 100 }, 99)).toThrow(used);
  });

  test('is remembered by the storage, and not by the object that used it', () => {
    const sqlite = new NodeSqlite();
    new UsedTickets(sqlite).use({ id: 'a', untilMs: 100 }, 10);
    expect(() => new UsedTickets(sqlite).use({ id: 'a', untilMs: 100 }, 11)).toThrow(used);
    expect(() => new UsedTickets(new NodeSqlite()).use({ id: 'a', untilMs: 100 }, 11)).not.toThrow();
  });

  test('is forgotten once it would have expired anyway, and is refused from then on because it has', () => {
    const sqlite = new NodeSqlite();
    const tickets = new UsedTickets(sqlite);
    tickets.use({ id: 'a', untilMs: 100 }, 10);
    tickets.use({ id: 'b', untilMs: 200 }, 100);
    expect(countOf(sqlite)).toBe(1);
    expect(() => tickets.use({ id: 'a', untilMs: 100 }, 100)).toThrow(/expired/);
    expect(() => tickets.use({ id: 'b', untilMs: 200 }, 199)).toThrow(used);
  });

  test('is refused where there is no room to remember it, and there is room again when others have expired', () => {
    const sqlite = new NodeSqlite();
    const tickets = new UsedTickets(sqlite, 3);
    for (const id of ['a', 'b', 'c']) tickets.use({ id, untilMs: 100 }, 10);
    expect(() => tickets.use({ id: 'd', untilMs: 100 }, 10)).toThrow(
      expect.objectContaining({ code: 'authorization_unavailable' }),
    );
    expect(countOf(sqlite)).toBe(3);
    // After a restart too.
    expect(() => new UsedTickets(sqlite, 3).use({ id: 'd', untilMs: 100 }, 10)).toThrow(/Too many/);
    tickets.use({ id: 'd', untilMs: 200 }, 100);
    expect(countOf(sqlite)).toBe(1);
  });
});
