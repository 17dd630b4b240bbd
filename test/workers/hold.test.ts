/** Writes with the input gate shut (src/ingest/input-gate-hold.ts), on the real gate and a real socket to Postgres. */

import { runInDurableObject } from 'cloudflare:test';
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { BENCH_TABLE_PREFIX } from '../../lab/suites/ingest/bench-sink.ts';
import type { SinkOptions } from '../../src/sinks/sink-options.ts';
import type { Shard } from '../../workers/shard.ts';
import { TestShard, useDatabase } from './support.ts';

const query = useDatabase();

/** A small buffer that nothing flushes until a drain: then it is nearly full, so that writes hold the frames back. */
const FULL_ENOUGH = { maxBufferBytes: 65_536, lingerMs: 60_000, batchRows: 50_000, alarmMs: 600_000 };
const MESSAGES = 250;
const DURABILITIES = ['outbox', 'memory'] as const;

async function fill(options: Partial<SinkOptions>, triggerSql: string | undefined): Promise<TestShard> {
  const shard = new TestShard(query, { ...FULL_ENOUGH, ...options });
  await shard.createTable();
  if (triggerSql !== undefined) {
    const name = BENCH_TABLE_PREFIX + shard.spec.table;
    await query(
      sql.raw(
        `create function "${name}_f"() returns trigger language plpgsql as $$ begin ${triggerSql} return null; end $$`,
      ),
    );
    await query(
      sql.raw(
        `create trigger slow before insert on "${name}" for each statement execute function "${name}_f"()`,
      ),
    );
  }
  const client = await shard.connect('held');
  for (let n = 0; n < MESSAGES; n += 1) client.send(`{"n":${n},"pad":"${'x'.repeat(80)}"}`);
  await shard.received(MESSAGES);
  return shard;
}

describe('a shard whose buffer is nearly full', () => {
  it.each(['naive', 'buffered', 'bulk', 'unnest', 'copy'] as const)(
    'writes by %s behind its gate, each message once',
    async (writer) => {
      // Row by row, messages are written as they come; the buffer must be small enough to fill up all the same.
      const shard = await fill({ writer }, undefined);
      expect((await shard.drain()).committed).toBe(MESSAGES);
      const numbers = (await shard.rows()).map(({ payload }) => (JSON.parse(payload) as { n: number }).n);
      expect(numbers.toSorted((left, right) => left - right)).toEqual(
        Array.from({ length: MESSAGES }, (_, n) => n),
      );
    },
  );

  it.each(DURABILITIES)(
    'shuts its gate to write; with room in the buffer it does not: %s',
    async (durability) => {
      const shard = await fill({ writer: 'copy', durability }, undefined);
      const { holds } = await countAndDrain(shard);
      expect(holds).toBe(1);
      const roomy = await fill({ writer: 'copy', durability, maxBufferBytes: 33_554_432 }, undefined);
      expect((await countAndDrain(roomy)).holds, 'the control').toBe(0);
    },
  );

  it.each(DURABILITIES)(
    'finishes a write that takes longer than a hold, once, with its gate open again: %s',
    async (durability) => {
      const shard = await fill({ writer: 'copy', durability }, 'perform pg_sleep(0.7);');
      const drained = await shard.drain();
      expect(drained).toMatchObject({ committed: MESSAGES, failures: 0, buffered: 0 });
      expect(await shard.rows()).toHaveLength(MESSAGES);
    },
  );
});

/** Drains a shard, and counts how often it shuts its gate meanwhile. */
async function countAndDrain(shard: TestShard): Promise<{ holds: number }> {
  return runInDurableObject(shard.stub, async (instance: Shard, state) => {
    let holds = 0;
    const shut = state.blockConcurrencyWhile.bind(state);
    const internals = instance as unknown as { ctx: { blockConcurrencyWhile: typeof shut } };
    internals.ctx.blockConcurrencyWhile = (work) => {
      holds += 1;
      return shut(work);
    };
    await instance.drain();
    return { holds };
  });
}
