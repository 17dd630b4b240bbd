/** The messages of the fault lab: no two are alike, and each says by itself which one it is. */

import { createHash } from 'node:crypto';
import type { Random } from './random.ts';

/** Names a message. Within a producer each client counts its messages from 0, in the order of sending. */
export interface MessageName {
  producer: string;
  /** Counts the clients that used the producer's name. */
  client: number;
  n: number;
}

/** Where a message was stored, and what is there. */
export interface StoredMessage {
  producer: string;
  epoch: number;
  sequence: number;
  payload: string;
}

/** Postgres refuses rows with this in their payload, in the tables of runs that ask for it. */
export const POISON = '"poison":true';

// What writers have to escape, and what takes more than one byte.
const SPECIAL = ['\\n', '\\\\', '\\"', '\\t', 'é', '€', '🙂', '\\u00e9', ',', '{', "'", '\\\\N', '\\\\.'];

/** A message of about `bytes`, with text that nobody else has. */
export function messageText(
  { producer, client, n }: MessageName,
  random: Random,
  { bytes = 90, isPoison = false }: { bytes?: number; isPoison?: boolean } = {},
): string {
  const head = `{"producer":"${producer}","client":${client},"n":${n},${isPoison ? `${POISON},` : ''}"k":"`;
  let text = '';
  do {
    text += Math.floor(random.next() * 2 ** 48).toString(36);
    if (random.chance(0.2)) text += random.pick(SPECIAL);
  } while (head.length + text.length < bytes);
  return `${head}${text}"}`;
}

/** Which message a text says it is; undefined for a text that is none of ours. */
export function nameOf(text: string): MessageName | undefined {
  try {
    const { producer, client, n } = JSON.parse(text) as Record<string, unknown>;
    if (typeof producer !== 'string' || typeof client !== 'number' || typeof n !== 'number') return undefined;
    return { producer, client, n };
  } catch {
    return undefined;
  }
}

/** What a message is to the oracle: its content, whatever name or number it has. */
export function contentHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** A message's name as one text, for maps and for people. */
export function keyOf({ producer, client, n }: MessageName): string {
  return `${producer}/${client}/${n}`;
}
