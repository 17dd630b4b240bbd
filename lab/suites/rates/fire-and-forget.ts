/**
 * THE BAD EXAMPLE. How BedrockRelay wrote before its plan (AndrewSamaha/BedrockRelay, apps/relay/src/lib/db): one INSERT
 * for each packet through a pool, not awaited, an error only logged, and nothing that makes the sender wait. It is here
 * to be measured and nowhere else: it is no writer of a sink and cannot become one.
 *
 * Two things end what is pending. The pool fails an INSERT that waits 2 s for a connection, and that message is lost;
 * and the bench ends a step where too much is pending, so that it does not go on until there is no memory left.
 */

import { quoteName } from '../../../src/core/sql-text.ts';
import { BENCH_TABLE_PREFIX } from '../ingest/bench-sink.ts';
import { benchProducer } from '../ingest/payload.ts';
import type { Making } from './making.ts';
import { benchPacket } from './packet.ts';
import type { LoadSchedule, MessageTaker } from './scheduled-load.ts';

/** The settings of BedrockRelay's pool. A query that waits longer than the last for a connection fails. */
export const RELAY_POOL = { idleTimeoutMillis: 30_000, connectionTimeoutMillis: 2_000 } as const;

/** How many of a pool's connections are busy, how many are not, and how many queries wait for one. */
export interface PoolUsage {
  active: number;
  idle: number;
  waiting: number;
}

/** A pool of the driver, as its own library makes it. */
export interface QueryPool {
  query(text: string, values: readonly unknown[]): Promise<unknown>;
  readonly usage: PoolUsage;
  /** Ends all connections; for what is still on them it waits a moment at most. */
  close(): Promise<void>;
}

/** The relay's one statement, with the columns of a bench table. */
export function insertStatement(table: string): string {
  return `insert into ${quoteName(BENCH_TABLE_PREFIX + table)} (producer, sequence, payload, received_at) values ($1, $2, $3, $4)`;
}

/** Takes the messages of one client. Like the original, it takes whatever comes. */
export function fireAndForget(
  pool: QueryPool,
  { run, table, client, schedule }: { run: string; table: string; client: number; schedule: LoadSchedule },
  making: Making,
  onFailure: (error: unknown) => void,
): MessageTaker {
  const producer = benchProducer(run, client);
  const statement = insertStatement(table);
  return {
    room: () => Number.POSITIVE_INFINITY,
    take(from, to, onSettled) {
      for (let n = from; n < to; n += 1) {
        const [text] = making.texts(producer, n, [benchPacket(schedule.seed, client, n)]);
        // The promise is nobody's business here: that is the example.
        void pool.query(statement, [producer, n + 1, text, new Date().toISOString()]).then(
          () => onSettled(n, n + 1, true),
          (error: unknown) => {
            onFailure(error);
            onSettled(n, n + 1, false);
          },
        );
      }
    },
  };
}
