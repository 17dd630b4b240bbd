/** The tables of a shard's outbox, and what can be asked of them without opening a lane. */

import { hasTable, type Sqlite } from '../database/sqlite.ts';
import { createIncarnations } from './incarnations.ts';
import { createLaneFaults } from './lane-faults.ts';
import { addTotals } from './lane-totals.ts';

/**
 * A group's key in SQLite joins lane and position, so that the table needs no second index, which would be billed as a
 * second row. 2^48 messages are three thousand years at 3,000 messages a millisecond.
 */
export const LANE_SPAN = 2 ** 48;

/** The tables of the outbox. Safe to call again. */
export function createOutboxTables(sqlite: Sqlite): void {
  sqlite.run(
    'create table if not exists outbox_lanes (lane integer primary key, incarnation text not null, head integer not null, fence integer, cuts text not null, totals text)',
  );
  addTotals(sqlite);
  // The texts come last: what only counts messages need not read them.
  sqlite.run(
    'create table if not exists outbox_groups (key integer primary key, rows integer not null, bytes integer not null, runs text not null, body text not null)',
  );
  // Positions that are settled by a dead letter, as long as their group is kept.
  sqlite.run('create table if not exists outbox_dead (key integer primary key)');
  createIncarnations(sqlite);
  createLaneFaults(sqlite);
}

/**
 * How many lanes the outbox has messages of that are not settled: a sink that was deployed with fewer connections still has
 * to drain them.
 */
export function lanesInOutbox(sqlite: Sqlite): number {
  if (!hasTable(sqlite, 'outbox_groups')) return 0;
  const last = sqlite.run<{ key: number | null }>('select max(key) as key from outbox_groups')[0]?.key ?? -1;
  for (let lane = Math.floor(last / LANE_SPAN); lane >= 0; lane -= 1) {
    const [group] = sqlite.run<{ key: number; rows: number }>(
      'select key, rows from outbox_groups where key >= ? and key < ? order by key desc limit 1',
      lane * LANE_SPAN,
      (lane + 1) * LANE_SPAN,
    );
    const [row] = sqlite.run<{ head: number }>('select head from outbox_lanes where lane = ?', lane);
    if (group !== undefined && group.key - lane * LANE_SPAN + group.rows > (row?.head ?? 0)) return lane + 1;
  }
  return 0;
}

/** Deletes the groups of lanes that are not opened any more and have nothing left to write. */
export function forgetSettledLanes(sqlite: Sqlite, openLanes: number): void {
  if (!hasTable(sqlite, 'outbox_groups')) return;
  const from = openLanes * LANE_SPAN;
  if (sqlite.run('select 1 from outbox_groups where key >= ? limit 1', from).length === 0) return;
  sqlite.run('delete from outbox_groups where key >= ?', from);
  if (hasTable(sqlite, 'outbox_dead')) sqlite.run('delete from outbox_dead where key >= ?', from);
}

/** Messages that are not settled, and the text of their groups: for who only counts. */
export function outboxTotals(sqlite: Sqlite): { rows: number; bytes: number } {
  let rows = 0;
  let bytes = 0;
  for (const { lane, head } of sqlite.run<{ lane: number; head: number }>(
    'select lane, head from outbox_lanes',
  )) {
    const base = lane * LANE_SPAN;
    const [sum] = sqlite.run<{ bytes: number | null; tail: number | null }>(
      'select sum(bytes) as bytes, max(key + rows) as tail from outbox_groups where key >= ? and key < ? and key + rows > ?',
      base,
      base + LANE_SPAN,
      base + head,
    );
    if (sum?.tail === null || sum?.tail === undefined) continue;
    rows += sum.tail - base - head;
    bytes += sum.bytes ?? 0;
  }
  return { rows, bytes };
}
