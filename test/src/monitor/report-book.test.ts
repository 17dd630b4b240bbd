/** What the monitor keeps of reports, from one of its lives to the next. */

import { describe, expect, test } from 'vitest';
import { ReportBook } from '../../../src/monitor/report-book.ts';
import { NodeSqlite } from '../../support/node-sqlite.ts';
import { reportOf } from './reports.ts';

const HOUR_MS = Date.UTC(2026, 10, 1);

function reportAt(seconds: number, received: number, rest: Parameters<typeof reportOf>[0] = {}) {
  return reportOf({
    sentAtMs: HOUR_MS + seconds * 1_000,
    number: seconds + 1,
    counters: { messages_received_total: received },
    ...rest,
  });
}

function takeAt(book: ReportBook, report: ReturnType<typeof reportOf>) {
  return book.take(report, report.sentAtMs);
}

function receivedOf(book: ReportBook): number[] {
  const [{ id } = { id: 0 }] = book.all();
  return book.history.read(id, 0, HOUR_MS, HOUR_MS + 3_600_000).map(({ point }) => point.received);
}

describe('reports', () => {
  test('add to the history what came since the one before, also where the monitor was restarted in between', () => {
    const sqlite = new NodeSqlite();
    takeAt(new ReportBook(sqlite), reportAt(0, 1_000));
    takeAt(new ReportBook(sqlite), reportAt(10, 1_500));
    takeAt(new ReportBook(sqlite), reportAt(20, 1_501));
    const book = new ReportBook(sqlite);
    expect(receivedOf(book)).toEqual([0, 500, 1]);
    expect(book.all()[0]?.latest.report).toMatchObject({ number: 21 });
  });

  test('of each second write no more rows than those of each ten seconds', () => {
    const rowsOf = (everySeconds: number): number => {
      const sqlite = new NodeSqlite();
      const book = new ReportBook(sqlite);
      takeAt(book, reportAt(0, 0));
      const before = sqlite.rowsWritten;
      for (let seconds = everySeconds; seconds <= 50; seconds += everySeconds)
        takeAt(book, reportAt(seconds, seconds));
      expect(receivedOf(book).reduce((sum, count) => sum + count)).toBe(50);
      return sqlite.rowsWritten - before;
    };
    expect(rowsOf(1)).toBe(rowsOf(10));
  });

  test('of a shard that has lost some of what it had counted step back in nothing, and count nothing twice', () => {
    const book = new ReportBook(new NodeSqlite());
    const stored = { messages_stored_total: 900 };
    takeAt(
      book,
      reportAt(0, 1_000, {
        counters: { ...stored, messages_received_total: 1_000, batches_total: 50, retries_total: 1 },
      }),
    );
    const life = { sinceMs: HOUR_MS, number: 1 };
    takeAt(
      book,
      reportAt(10, 0, { ...life, counters: { ...stored, messages_received_total: 990, batches_total: 48 } }),
    );
    takeAt(
      book,
      reportAt(20, 0, {
        ...life,
        number: 2,
        counters: { messages_stored_total: 910, messages_received_total: 1_003, batches_total: 49 },
      }),
    );
    expect(receivedOf(book)).toEqual([0, 0, 3]);
    expect(book.all()[0]?.latest.report.counters).toEqual([
      ['messages_stored_total', '', 910],
      ['messages_received_total', '', 1_003],
      ['batches_total', '', 50],
      ['retries_total', '', 1],
    ]);
    // The control: a storage that was lost begins again.
    takeAt(
      book,
      reportAt(30, 0, {
        sinceMs: HOUR_MS + 1,
        counters: { messages_stored_total: 7, messages_received_total: 8 },
      }),
    );
    expect(receivedOf(book)).toEqual([0, 0, 3, 8]);
  });

  test('that come late are passed over', () => {
    const book = new ReportBook(new NodeSqlite());
    takeAt(book, reportAt(10, 500));
    expect(takeAt(book, reportAt(5, 100)).isTaken).toBe(false);
    expect(takeAt(book, reportAt(10, 500)).isTaken).toBe(false);
    expect(takeAt(book, reportAt(10, 500, { sinceMs: -1, number: 99 })).isTaken, 'of an older life').toBe(
      false,
    );
    expect(takeAt(book, reportAt(20, 501)).isTaken, 'the control').toBe(true);
  });

  test('of a shard that lost its storage begin again, and count no minus', () => {
    const book = new ReportBook(new NodeSqlite());
    takeAt(book, reportAt(0, 1_000));
    takeAt(book, reportAt(10, 7, { sinceMs: 5, number: 1 }));
    expect(receivedOf(book)).toEqual([0, 7]);
  });

  test('of more shards than are kept forget the one that is silent for longest', () => {
    const book = new ReportBook(new NodeSqlite());
    for (let shard = 0; shard <= 2_048; shard += 1) {
      const report = reportOf({ shard, sentAtMs: HOUR_MS + shard });
      book.take(report, report.sentAtMs);
    }
    const shards = book.all().map(({ latest }) => latest.report.shard);
    expect(shards).toHaveLength(2_048);
    expect(shards).not.toContain(0);
    expect(shards).toContain(1);
  });
});
