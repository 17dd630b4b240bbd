/** The list of what is revoked, kept by the one object that keeps the list of shards (shard-directory.ts). */

import {
  type Revocable,
  type Revocation,
  type RevokedName,
  tooManyRevocations,
} from '../src/access/revocations.ts';
import { MAX_REVOCATIONS } from '../src/core/limits.ts';
import type { Sqlite } from '../src/database/sqlite.ts';

interface Row {
  kind: Revocable;
  name: string;
  at_ms: number;
  until_ms: number | null;
}

export class RevocationTable {
  readonly #sqlite: Sqlite;
  readonly #max: number;

  /** @param max how many it holds at most */
  constructor(sqlite: Sqlite, max = MAX_REVOCATIONS) {
    this.#sqlite = sqlite;
    this.#max = max;
    sqlite.run(
      'create table if not exists revocations (kind text not null, name text not null, at_ms integer not null, until_ms integer, primary key (kind, name)) strict, without rowid',
    );
  }

  /**
   * Safe to repeat: the later call wins.
   *
   * @throws SluiceError `invalid_options` where there is no room
   */
  add({ kind, name, atMs, untilMs }: Revocation, nowMs: number): void {
    this.#prune(nowMs);
    const [row] = this.#sqlite.run<{ others: number }>(
      'select count(*) as others from revocations where not (kind = ? and name = ?)',
      kind,
      name,
    );
    if ((row?.others ?? 0) >= this.#max) throw tooManyRevocations(this.#max);
    this.#sqlite.run(
      'insert or replace into revocations (kind, name, at_ms, until_ms) values (?, ?, ?, ?)',
      kind,
      name,
      atMs,
      untilMs,
    );
  }

  remove({ kind, name }: RevokedName): void {
    this.#sqlite.run('delete from revocations where kind = ? and name = ?', kind, name);
  }

  /** All that hold at `nowMs`, the latest first. */
  list(nowMs: number): Revocation[] {
    this.#prune(nowMs);
    return this.#sqlite
      .run<Row>('select kind, name, at_ms, until_ms from revocations order by at_ms desc, kind, name')
      .map(({ kind, name, at_ms: atMs, until_ms: untilMs }) => ({ kind, name, atMs, untilMs }));
  }

  // Deletes nothing most of the time, which writes no row.
  #prune(nowMs: number): void {
    this.#sqlite.run('delete from revocations where until_ms <= ?', nowMs);
  }
}
