/**
 * The list of the shards that may hold something, kept by one object of the shards' class, so that a Worker needs no other
 * class for it. It is asked for those that no option
 * names any more: shards beyond the number that their sink has now, and shards of sinks that are no longer defined. A shard
 * needs it for nothing: without it, such a shard still writes what it has, and is out of sight only.
 */

import { MAX_LISTED_SHARDS, MAX_SHARD_COUNTS } from '../src/core/limits.ts';
import type { Sqlite } from '../src/database/sqlite.ts';
import type { Env } from './env.ts';
import type { FormerDirectory, ListedShards, RevocationList, ShardDirectory, ShardPlace } from './objects.ts';

/** The name of the object that keeps the list. Shards have a slash in theirs. */
export const DIRECTORY_NAME = 'directory';

export function shardDirectory(env: Env): ShardDirectory & RevocationList {
  return env.SHARD.getByName(DIRECTORY_NAME);
}

export function formerDirectory(env: Partial<Pick<Env, 'REGISTRY'>>): FormerDirectory | undefined {
  return env.REGISTRY?.getByName('shards');
}

export class ShardTable {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    sqlite.run(
      'create table if not exists shards (sink text not null, shard integer not null, primary key (sink, shard)) strict, without rowid',
    );
    sqlite.run(
      'create table if not exists shard_counts (sink text not null, shards integer not null, noted_at_ms integer not null, primary key (sink, shards)) strict, without rowid',
    );
  }

  note(sink: string, shards: number, nowMs: number): number[] {
    const counts = (): number[] =>
      this.#sqlite
        .run<{ shards: number }>(
          'select shards from shard_counts where sink = ? order by noted_at_ms desc limit ?',
          sink,
          MAX_SHARD_COUNTS,
        )
        .map((row) => row.shards);
    const known = counts();
    // Each shard says the same: only the first writes.
    if (known[0] === shards) return known;
    this.#sqlite.run(
      'insert into shard_counts (sink, shards, noted_at_ms) values (?, ?, ?) on conflict (sink, shards) do update set noted_at_ms = excluded.noted_at_ms',
      sink,
      shards,
      nowMs,
    );
    return counts();
  }

  /** Takes over what another list holds. What is known here already stays as it is. */
  takeOver({ places, counts }: ListedShards): void {
    for (const place of places) this.add(place);
    // Older than anything noted here, in the order that they have.
    counts.forEach(({ sink, shards }, index) => {
      this.#sqlite.run(
        'insert or ignore into shard_counts (sink, shards, noted_at_ms) values (?, ?, ?)',
        sink,
        shards,
        -index,
      );
    });
  }

  /** All of it. */
  all(): ListedShards {
    return {
      places: this.list(),
      counts: this.#sqlite.run('select sink, shards from shard_counts order by noted_at_ms desc'),
    };
  }

  add({ sink, shard }: ShardPlace): void {
    this.#sqlite.run('insert or ignore into shards (sink, shard) values (?, ?)', sink, shard);
  }

  remove({ sink, shard }: ShardPlace): void {
    this.#sqlite.run('delete from shards where sink = ? and shard = ?', sink, shard);
  }

  list(sink?: string): ShardPlace[] {
    return sink === undefined
      ? this.#sqlite.run('select sink, shard from shards order by sink, shard limit ?', MAX_LISTED_SHARDS)
      : this.#sqlite.run(
          'select sink, shard from shards where sink = ? order by shard limit ?',
          sink,
          MAX_LISTED_SHARDS,
        );
  }
}
