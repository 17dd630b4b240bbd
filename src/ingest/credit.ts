/** How much the clients of a shard may have on their way. */

import {
  CREDIT_ENDS_AT,
  MAX_CREDIT_BYTES,
  MAX_CREDIT_MESSAGES,
  MIN_CREDIT_BYTES,
  MIN_CREDIT_MESSAGES,
  SHARD_WINDOW_BYTES,
  SHARD_WINDOW_MESSAGES,
} from '../core/limits.ts';
import type { Credit } from '../protocol/sluice-v1.ts';
import type { Usage } from './capacity.ts';

export const NO_CREDIT: Credit = { messages: 0, bytes: 0 };

/**
 * The credit of each of a shard's sessions: its share of the shard's window, and no more than its share of the room.
 *
 * Windows protect the shard's event loop (a flood of frames starves the answers of Postgres), the room protects its
 * storage. Zero from nine tenths of a limit on.
 *
 * @param sessions at least 1
 */
export function creditOf({ rows, maxRows, bytes, maxBytes }: Usage, sessions: number): Credit {
  const freeBytes = maxBytes * CREDIT_ENDS_AT - bytes;
  const freeMessages = maxRows * CREDIT_ENDS_AT - rows;
  if (freeBytes < 1 || freeMessages < 1) return NO_CREDIT;
  const windowBytes = clamp(SHARD_WINDOW_BYTES / sessions, MIN_CREDIT_BYTES, MAX_CREDIT_BYTES);
  const windowMessages = clamp(SHARD_WINDOW_MESSAGES / sessions, MIN_CREDIT_MESSAGES, MAX_CREDIT_MESSAGES);
  return {
    // Where there is room, everyone gets some of it: many sessions that all wait for a whole message would wait for ever.
    messages: Math.max(1, Math.floor(Math.min(windowMessages, freeMessages / sessions))),
    bytes: Math.max(1, Math.floor(Math.min(windowBytes, freeBytes / sessions))),
  };
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
