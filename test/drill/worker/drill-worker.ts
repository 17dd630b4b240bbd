/** The Worker of the drill: a user's own, with two sinks, whose shards can be killed. */

import { bigint, doublePrecision, pgTable, text } from 'drizzle-orm/pg-core';
import { fromMessage, fromProducer } from '../../../src/index.ts';
import { createSluice } from '../../../workers/create-sluice.ts';
import type { Env } from '../../../workers/env.ts';
import { encodeShardName } from '../../../workers/shard-name.ts';

function table(name: string) {
  return pgTable(name, {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    producer: text().notNull(),
    number: bigint({ mode: 'number' }).notNull(),
    celsius: doublePrecision(),
  });
}

function member(name: 'number' | 'celsius') {
  return fromMessage(({ payload }) => String((JSON.parse(payload) as Record<string, unknown>)[name]));
}

const columns = { producer: fromProducer, number: member('number'), celsius: member('celsius') };

/** Bytes of the outbox of the sink `small`, which is filled. */
const SMALL_OUTBOX_BYTES = 256 * 1024;

const sluice = createSluice({
  sinks: {
    readings: { table: table('readings'), columns, options: { lingerMs: 50 } },
    small: {
      table: table('small'),
      columns,
      options: { lingerMs: 50, maxOutboxBytes: SMALL_OUTBOX_BYTES, maxBufferBytes: SMALL_OUTBOX_BYTES },
    },
  },
});

const KILL = '/drill/kill';

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== KILL) return sluice.fetch(request, env, context);
    const name = encodeShardName({ sink: searchParams.get('sink') ?? '', shard: 0 });
    const shard = env.SHARD.getByName(name) as unknown as { kill(): Promise<void> };
    // The call ends with the object that it is made to.
    await shard.kill().catch(() => {});
    return new Response(null, { status: 204 });
  },
};

export class Shard extends sluice.Shard {
  /** RPC: ends the object as a crash would. */
  async kill(): Promise<void> {
    this.ctx.abort('Killed by the drill');
  }
}

export class Monitor extends sluice.Monitor {}
