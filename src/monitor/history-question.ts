/** What can be asked of the history. */

import { SluiceError } from '../core/errors.ts';
import { assertKnownNames } from '../core/option-table.ts';

/** The ranges, and the steps in which each is answered. */
export const RANGES = {
  '15m': { rangeMs: 15 * 60_000, stepMs: 10_000 },
  '6h': { rangeMs: 6 * 3_600_000, stepMs: 60_000 },
  '7d': { rangeMs: 7 * 86_400_000, stepMs: 3_600_000 },
  '1y': { rangeMs: 365 * 86_400_000, stepMs: 86_400_000 },
} as const;

export type Range = keyof typeof RANGES;

/** Which shards are meant. */
export interface ShardsQuestion {
  /** Missing: all sinks. */
  sink?: string | undefined;
  /** Missing: all shards of the sink. */
  shard?: number | undefined;
}

export interface HistoryQuestion extends ShardsQuestion {
  range: Range;
}

/**
 * Reads the question of `GET /monitor/history?range=15m&sink=readings&shard=0`.
 *
 * @throws SluiceError `invalid_options`
 */
export function readHistoryQuestion(query: Record<string, string>): HistoryQuestion {
  assertKnownNames(query, ['range', 'sink', 'shard']);
  const { range = '15m' } = query;
  if (!Object.hasOwn(RANGES, range)) {
    const allowed = Object.keys(RANGES).join(', ');
    throw new SluiceError(
      'invalid_options',
      `Cannot use range=${JSON.stringify(range.slice(0, 50))}: ${allowed} are allowed`,
    );
  }
  return { range: range as Range, ...readShardsQuestion(query) };
}

/**
 * Reads `sink` and `shard` of a query.
 *
 * @throws SluiceError `invalid_options`
 */
export function readShardsQuestion({ sink, shard }: Record<string, string>): ShardsQuestion {
  if (shard !== undefined && (sink === undefined || !/^\d{1,4}$/.test(shard)))
    throw new SluiceError(
      'invalid_options',
      'Cannot use shard: name a sink, and the number of one of its shards',
    );
  return { sink, shard: shard === undefined ? undefined : Number(shard) };
}

/** Whether a shard is one of those that are meant. */
export function isMeant({ sink, shard }: ShardsQuestion, of: { sink: string; shard: number }): boolean {
  return (sink === undefined || of.sink === sink) && (shard === undefined || of.shard === shard);
}
