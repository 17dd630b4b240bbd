import { sql } from 'drizzle-orm';
import { expect, it } from 'vitest';
import { benchTableName } from '../../lab/suites/ingest/bench-sink.ts';
import { TestShard, until, useDatabase } from './support.ts';

const query = useDatabase();

it.each(['table', 'shard'] as const)(
  "a shard's dead letters with deadLetters '%s', and what is dropped of them",
  async (deadLetters) => {
    const shard = await new TestShard(query, { lingerMs: 0, deadLetters }).createTable();
    const table = sql.raw(benchTableName(shard.spec.table));
    await query(sql`alter table ${table} add constraint no_letter check (payload::text not like '%letter%')`);
    const client = await shard.connect('letters');
    const own = JSON.stringify(`letter of ${shard.spec.table}`);
    client.send(`1\n${own}\n2`);
    await shard.received(3);
    await shard.drain();
    await until(async () => expect(await shard.stats()).toMatchObject({ committed: 2, dead: 1 }));
    const rows = () =>
      query(sql`select by, sql_state, constraint_name from sluice_dead_letters where payload = ${own}`);
    if (deadLetters === 'shard') {
      expect(await shard.stats()).toMatchObject({ deadLetters: 1, deadLetterTable: null });
      expect(await rows()).toEqual([]);
    } else {
      await until(async () =>
        expect(await rows()).toEqual([{ by: 'postgres', sql_state: '23514', constraint_name: 'no_letter' }]),
      );
      await until(async () =>
        expect((await shard.stats()).deadLetterTable).toEqual({
          isBehind: false,
          failuresInARow: 0,
          lastError: null,
        }),
      );
    }
    expect(await shard.stub.dropDeadLetters({ ids: { reason: '23514' } })).toEqual({
      dropped: 1,
      missing: [],
    });
    await until(async () => expect(await rows()).toEqual([]));
    await client.close();
  },
);
