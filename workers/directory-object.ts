/**
 * What the one object of the shards' class answers that keeps the lists which all of them share (shard-directory.ts): which
 * shards there are, and what is revoked.
 */

import { DurableObject } from 'cloudflare:workers';
import type { Revocation, RevokedName } from '../src/access/revocations.ts';
import type { Env } from './env.ts';
import type { RevocationList, ShardDirectory, ShardPlace } from './objects.ts';
import { RevocationTable } from './revocation-table.ts';
import { formerDirectory, ShardTable } from './shard-directory.ts';
import { DurableObjectSqlite } from './sqlite.ts';

export abstract class DirectoryObject extends DurableObject<Env> implements ShardDirectory, RevocationList {
  #shards: ShardTable | undefined;

  async addShard(place: ShardPlace): Promise<void> {
    (await this.#shardTable()).add(place);
  }

  async removeShard(place: ShardPlace): Promise<void> {
    (await this.#shardTable()).remove(place);
  }

  async listShards(sink?: string): Promise<ShardPlace[]> {
    return (await this.#shardTable()).list(sink);
  }

  async noteShards(sink: string, shards: number): Promise<number[]> {
    return (await this.#shardTable()).note(sink, shards, Date.now());
  }

  async addRevocation(revocation: Revocation): Promise<void> {
    this.#revocationTable().add(revocation, Date.now());
  }

  async removeRevocation(name: RevokedName): Promise<void> {
    this.#revocationTable().remove(name);
  }

  async listRevocations(): Promise<Revocation[]> {
    return this.#revocationTable().list(Date.now());
  }

  #revocationTable(): RevocationTable {
    return new RevocationTable(new DurableObjectSqlite(this.ctx.storage));
  }

  /** The list, with what the former one held. Until that is taken over nothing is answered: it may name other shards. */
  async #shardTable(): Promise<ShardTable> {
    if (this.#shards !== undefined) return this.#shards;
    const table = new ShardTable(new DurableObjectSqlite(this.ctx.storage));
    const { kv } = this.ctx.storage;
    if (kv.get('former-directory') !== 'taken over') {
      const former = await formerDirectory(this.env)?.exportShards();
      // Another call may have taken it over in the meantime, and shards may have left the list since.
      if (this.#shards !== undefined) return this.#shards;
      if (former !== undefined) table.takeOver(former);
      kv.put('former-directory', 'taken over');
    }
    this.#shards = table;
    return table;
  }
}
