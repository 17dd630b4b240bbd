/** The messages that the suite `store` writes and reads. */

import type { ImportedMessage, NewMessage } from '../../../src/messages/message.ts';
import { messagesPerOperation, type StoreFixtureName, type StoreOperation } from './job.ts';

/** The category of everything that is written and read. */
export const BENCH_CATEGORY = 'account';
/** The stream that `read-10` reads: 100 messages. */
export const BENCH_STREAM = `${BENCH_CATEGORY}-0`;
const BENCH_TYPE = 'AccountCreated';

/** A category that is read has so many messages, in so many streams: as in EventoDB's benchmark. */
const CATEGORY_MESSAGES = 100;
const CATEGORY_STREAMS = 10;
const STREAM_MESSAGES = 100;
/** The other messages of the big fixture are spread over so many categories, ten to a stream. */
const OTHER_CATEGORIES = 100;
const OTHER_STREAM_MESSAGES = 10;

/** The data of every message: the account's number, its name (both as EventoDB's benchmark has them), and the place in the stream. */
export interface AccountCreated {
  accountId: string;
  name: string;
  n: number;
}

/** Data of message `n` of the stream `account-<account>`. */
export function accountData(account: number, n: number): AccountCreated & { [key: string]: string | number } {
  return { accountId: String(account), name: `Account ${account}`, n };
}

/** Operation `operation` writes to its own stream, which is new. */
export function streamOf(operation: number): string {
  return `${BENCH_CATEGORY}-${operation}`;
}

/** The messages that operation `operation` writes. */
export function messagesOf(operation: number, count: number): NewMessage[] {
  return Array.from({ length: count }, (_, n) => ({ type: BENCH_TYPE, data: accountData(operation, n) }));
}

/** A message as an audit knows it: what was written where. */
export interface Placed {
  stream: string;
  position: number;
  type: string;
  data: AccountCreated;
}

/** What a read must return, in this order. */
export function expectedRead(operation: StoreOperation): Placed[] {
  if (operation === 'read-10')
    return Array.from({ length: messagesPerOperation(operation) }, (_, n) => placed(0, n));
  return Array.from({ length: CATEGORY_MESSAGES }, (_, index) => placedInCategory(index));
}

function placedInCategory(index: number): Placed {
  return placed(index % CATEGORY_STREAMS, Math.floor(index / CATEGORY_STREAMS));
}

function placed(account: number, n: number): Placed {
  return { stream: streamOf(account), position: n, type: BENCH_TYPE, data: accountData(account, n) };
}

/** How many messages a fixture holds before it is read. */
export function fixtureSize(fixture: StoreFixtureName, others: number): number {
  return { writes: 0, stream: STREAM_MESSAGES, small: CATEGORY_MESSAGES, big: CATEGORY_MESSAGES + others }[
    fixture
  ];
}

/** All messages of a fixture, by global position. Those that are read lie evenly among the others. */
export function* fixtureMessages(fixture: StoreFixtureName, others: number): Generator<ImportedMessage> {
  const size = fixtureSize(fixture, others);
  let read = 0;
  for (let global = 1; global <= size; global += 1) {
    if (fixture === 'stream') {
      yield imported(placed(0, global - 1), global);
    } else if (global === Math.floor(((read + 1) * size) / CATEGORY_MESSAGES)) {
      yield imported(placedInCategory(read), global);
      read += 1;
    } else {
      yield imported(otherMessage(global - 1 - read), global);
    }
  }
}

function otherMessage(index: number): Placed {
  const inCategory = Math.floor(index / OTHER_CATEGORIES);
  const account = Math.floor(inCategory / OTHER_STREAM_MESSAGES);
  return {
    ...placed(account, inCategory % OTHER_STREAM_MESSAGES),
    stream: `other${index % OTHER_CATEGORIES}-${account}`,
  };
}

export const FIRST_TIME_US = Date.UTC(2026, 0, 1) * 1_000;

function imported({ stream, position, type, data }: Placed, global: number): ImportedMessage {
  return {
    id: benchId(global),
    streamName: stream,
    type,
    position: BigInt(position),
    globalPosition: BigInt(global),
    data: { ...data },
    metadata: null,
    timeUs: FIRST_TIME_US + global,
  };
}

/** A UUID in the form of version 7 that rises with `n`, as those of a store rise with time. */
export function benchId(n: number): string {
  return `01970000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
}
