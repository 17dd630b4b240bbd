/** What was written against what is found, and what a read returned against what it should: pure arithmetic. */

import type { Message } from '../../../src/messages/message.ts';
import type { ReadVerdict } from '../../jobs/read-judge.ts';
import type { Audit } from '../../result.ts';
import { type AccountCreated, accountData, BENCH_CATEGORY, type Placed } from './data.ts';

const CLEAN: Readonly<Audit> = { sent: 0, refused: 0, found: 0, lost: 0, duplicated: 0, outOfOrder: 0 };

/**
 * Judges all messages of a namespace, given by global position, into which `operations` operations each wrote
 * `perOperation` messages to their own stream.
 *
 * Every message must be at its place: a message elsewhere counts as one that is missing there and one that nobody
 * wrote here, so a stream with a gap cannot pass. Out of order: a position that does not follow the one before in
 * its stream, or a global position that does not rise.
 */
export async function auditWrites(
  messages: AsyncIterable<Message> | Iterable<Message>,
  operations: number,
  perOperation: number,
): Promise<Audit> {
  const audit: Audit = { ...CLEAN, sent: operations * perOperation };
  const isFound = new Uint8Array(operations * perOperation);
  const next = new Float64Array(operations);
  let known = 0;
  let lastGlobal = 0n;
  for await (const message of messages) {
    audit.found += 1;
    const account = accountOf(message.streamName, operations);
    const position = Number(message.position);
    let isOutOfOrder = message.globalPosition <= lastGlobal;
    lastGlobal = message.globalPosition;
    if (account !== undefined) {
      isOutOfOrder ||= position !== next[account];
      next[account] = position + 1;
    }
    if (isOutOfOrder) audit.outOfOrder += 1;
    const place = account === undefined || position >= perOperation ? -1 : account * perOperation + position;
    const isOurs =
      account !== undefined && isFound[place] === 0 && isSame(message.data, accountData(account, position));
    if (isOurs) {
      isFound[place] = 1;
      known += 1;
    } else {
      audit.duplicated += 1;
    }
  }
  audit.lost = audit.sent - known;
  return audit;
}

/** Compares every field of a read. */
export function compareRead(messages: readonly Message[], expected: readonly Placed[]): ReadVerdict {
  let right = 0;
  let lastGlobal = 0n;
  for (const [index, message] of messages.entries()) {
    const placed = expected[index];
    if (
      placed !== undefined &&
      message.streamName === placed.stream &&
      message.position === BigInt(placed.position) &&
      message.globalPosition > lastGlobal &&
      message.type === placed.type &&
      message.metadata === null &&
      isSame(message.data, placed.data)
    ) {
      right += 1;
    }
    lastGlobal = message.globalPosition;
  }
  return { sent: expected.length, right, wrong: messages.length - right };
}

/** A look that costs next to nothing: as many as expected, and the first and the last in their places. */
export function hasItsEnds(messages: readonly Message[], expected: readonly Placed[]): boolean {
  return (
    messages.length === expected.length &&
    isAt(messages[0], expected[0]) &&
    isAt(messages.at(-1), expected.at(-1))
  );
}

function isAt(message: Message | undefined, placed: Placed | undefined): boolean {
  return (
    message !== undefined &&
    placed !== undefined &&
    message.streamName === placed.stream &&
    message.position === BigInt(placed.position)
  );
}

function accountOf(stream: string, operations: number): number | undefined {
  const prefix = `${BENCH_CATEGORY}-`;
  if (!stream.startsWith(prefix)) return undefined;
  const account = Number(stream.slice(prefix.length));
  return Number.isInteger(account) && account >= 0 && account < operations ? account : undefined;
}

function isSame(found: unknown, expected: AccountCreated): boolean {
  if (typeof found !== 'object' || found === null) return false;
  const { accountId, name, n, ...more } = found as Partial<AccountCreated>;
  return (
    accountId === expected.accountId &&
    name === expected.name &&
    n === expected.n &&
    Object.keys(more).length === 0
  );
}
