/**
 * What a shard has to remember about itself from one start to the next: a few texts by their names. The table is made when
 * the first of them is set, so that a shard with nothing to remember writes nothing.
 */

import { hasTable, type Sqlite } from '../database/sqlite.ts';

/**
 * - `volatile`: `yes` while producers may be further than storage says, because messages are only in memory; once they are
 *   in the outbox again, the time in ms from which on storage is right about them.
 * - `listed`: `yes` while the directory of shards names this one.
 * - `shard-counts`: the numbers of shards that the sink had, the latest first.
 * - `mapping`: what went into each column of the sink's table when the shard last wrote.
 */
export type ShardFact = 'volatile' | 'listed' | 'shard-counts' | 'mapping';

export class ShardFacts {
  readonly #sqlite: Sqlite;
  readonly #facts = new Map<string, string>();
  #hasTable: boolean;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    this.#hasTable = hasTable(sqlite, 'shard_facts');
    if (!this.#hasTable) return;
    for (const { name, value } of sqlite.run<{ name: string; value: string }>(
      'select name, value from shard_facts',
    ))
      this.#facts.set(name, value);
  }

  get(name: ShardFact): string | undefined {
    return this.#facts.get(name);
  }

  /** Remembers a text, or forgets it; writes nothing where that is so already. */
  set(name: ShardFact, value: string | undefined): void {
    if (this.#facts.get(name) === value) return;
    if (!this.#hasTable) {
      this.#sqlite.run(
        'create table if not exists shard_facts (name text primary key, value text not null) without rowid',
      );
      this.#hasTable = true;
    }
    if (value === undefined) {
      this.#sqlite.run('delete from shard_facts where name = ?', name);
      this.#facts.delete(name);
      return;
    }
    this.#sqlite.run(
      'insert into shard_facts (name, value) values (?, ?) on conflict (name) do update set value = excluded.value',
      name,
      value,
    );
    this.#facts.set(name, value);
  }
}
