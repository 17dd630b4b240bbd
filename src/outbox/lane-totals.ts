/**
 * What a lane of the outbox has dealt with since its storage began. It is in the lane's row, which is written with each batch that
 * is cut and each trim, so it costs no row. What the positions tell is not in it: it is exact after a crash too.
 */

import { hasTable, type Sqlite } from '../database/sqlite.ts';

/** A lane's part of its row. */
export interface LaneTotals {
  /** The position from which on is counted: 0, or where the lane was when its storage first got this column. */
  start: bigint;
  /** Messages before the head that became dead letters. */
  dead: number;
  /** Messages that were committed, and are written again since a database had lost them. */
  rewritten: number;
}

/** Figures of a shard by their names, as text in each of its lanes' rows. All of them only grow. */
export type SavedCounts = Record<string, number>;

/** What lanes hold together that are not opened any more: all that they had is settled. */
export interface LaneSums {
  stored: number;
  dead: number;
  rewritten: number;
}

interface TotalsText {
  start: number;
  dead: number;
  rewritten: number;
  counts?: SavedCounts;
}

/** The column. Safe to call again. */
export function addTotals(sqlite: Sqlite): void {
  const columns = sqlite.run<{ name: string }>("select name from pragma_table_info('outbox_lanes')");
  if (columns.some(({ name }) => name === 'totals')) return;
  sqlite.run('alter table outbox_lanes add column totals text');
}

/** @param counts the shard's figures, as JSON text */
export function encodeTotals({ start, dead, rewritten }: LaneTotals, counts: string): string {
  return `{"start":${start},"dead":${dead},"rewritten":${rewritten},"counts":${counts}}`;
}

/** @param head where the lane is, of whose messages nothing was counted before */
export function decodeTotals(text: string | null, head: bigint): LaneTotals {
  const read = parse(text);
  if (read === undefined) return { start: head, dead: 0, rewritten: 0 };
  return { start: BigInt(read.start), dead: read.dead, rewritten: read.rewritten };
}

/** The shard's figures when a lane's row was last written. Each row has some; the higher figure is the later one. */
export function readSavedCounts(sqlite: Sqlite): SavedCounts {
  const counts: SavedCounts = {};
  for (const { totals } of lanesOf(sqlite)) {
    for (const [name, count] of Object.entries(parse(totals)?.counts ?? {}))
      if (typeof count === 'number') counts[name] = Math.max(counts[name] ?? 0, count);
  }
  return counts;
}

/** @param openLanes lanes below this number count for themselves */
export function closedLaneSums(sqlite: Sqlite, openLanes: number): LaneSums {
  const sums = { stored: 0, dead: 0, rewritten: 0 };
  for (const { lane, head, totals } of lanesOf(sqlite)) {
    if (lane < openLanes) continue;
    const { start, dead, rewritten } = decodeTotals(totals, BigInt(head));
    sums.stored += head - Number(start);
    sums.dead += dead;
    sums.rewritten += rewritten;
  }
  return sums;
}

function lanesOf(sqlite: Sqlite): { lane: number; head: number; totals: string | null }[] {
  if (!hasTable(sqlite, 'outbox_lanes')) return [];
  addTotals(sqlite);
  return sqlite.run('select lane, head, totals from outbox_lanes');
}

// A row that somebody has changed costs figures, and no shard its start.
function parse(text: string | null): TotalsText | undefined {
  if (text === null) return undefined;
  try {
    const read = JSON.parse(text) as TotalsText;
    return [read.start, read.dead, read.rewritten].every(Number.isSafeInteger) ? read : undefined;
  } catch {
    return undefined;
  }
}
