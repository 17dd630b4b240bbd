/**
 * The names under which a lane had, or may have, a checkpoint in some database. A lane gets another one whenever an operator
 * lets it go on where its checkpoint did not fit; but the address may point at the old database again one day, which knows
 * it by an older name only. All of them count the same messages.
 */

import type { Sqlite } from '../database/sqlite.ts';

/** Names kept for each lane. Each is a decision of an operator. */
const KEPT = 32;

/** The table of names. Safe to call again. */
export function createIncarnations(sqlite: Sqlite): void {
  sqlite.run(
    'create table if not exists outbox_incarnations (id integer primary key, lane integer not null, incarnation text not null)',
  );
}

/** The names of a lane beside its own, oldest first. */
export function readIncarnations(sqlite: Sqlite, lane: number): string[] {
  return sqlite
    .run<{ incarnation: string }>(
      'select incarnation from outbox_incarnations where lane = ? order by id',
      lane,
    )
    .map(({ incarnation }) => incarnation);
}

/** Adds a name; the oldest goes where there are too many. */
export function addIncarnation(sqlite: Sqlite, lane: number, incarnation: string): void {
  const known = readIncarnations(sqlite, lane);
  if (known.includes(incarnation)) return;
  sqlite.run('insert into outbox_incarnations (lane, incarnation) values (?, ?)', lane, incarnation);
  for (const old of known.slice(0, Math.max(0, known.length + 1 - KEPT)))
    sqlite.run('delete from outbox_incarnations where lane = ? and incarnation = ?', lane, old);
}

/** Forgets the names of a lane: what they counted is no longer what the lane counts. */
export function forgetIncarnations(sqlite: Sqlite, lane: number): void {
  sqlite.run('delete from outbox_incarnations where lane = ?', lane);
}
