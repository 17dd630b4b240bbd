/**
 * What one repetition of the suite `store` does, as data, and the messages that it writes and reads: both follow from
 * the order alone, so that the place that runs it and the audit that judges it need nothing from each other.
 */

import type { ImportedMessage, NewMessage } from '../../../src/messages/message.ts';

/**
 * `memory`, `file`, `full`: node:sqlite in memory, in a file (WAL, synchronous NORMAL), and in a file with synchronous
 * FULL. `object`: the SQLite of a Durable Object.
 */
export const STORE_ENGINES = ['memory', 'file', 'full', 'postgres', 'object'] as const;
export type StoreEngine = (typeof STORE_ENGINES)[number];

export const STORE_OPERATIONS = [
  'write-1',
  'write-10',
  'write-100',
  'write-1000',
  'read-10',
  'category-100',
  'category-big',
] as const;
export type StoreOperation = (typeof STORE_OPERATIONS)[number];

/**
 * `store`: through one store. `stores`: each writer has its own, with a connection of its own. `floor`: bare
 * statements; writes go to a table with a primary key and nothing else. `indexed`: writes to a table with indexes for
 * streams, categories and ids, which is what the order of reads costs whoever writes.
 */
export type StoreWay = 'store' | 'stores' | 'floor' | 'indexed';

export interface StoreOrder {
  engine: StoreEngine;
  operation: StoreOperation;
  way: StoreWay;
  /** Loops that run at the same time, each waiting for its operation before the next. */
  writers: number;
  /** Operations of all writers together. */
  operations: number;
  /** Messages of other categories beside the category that `category-big` reads. */
  others: number;
}

/** The data that an order needs: namespaces that are prepared once, or one that is new for each repetition of writes. */
export type Room = 'writes' | 'stream' | 'small' | 'big';

export function roomOf({ operation }: Pick<StoreOrder, 'operation'>): Room {
  switch (operation) {
    case 'read-10':
      return 'stream';
    case 'category-100':
      return 'small';
    case 'category-big':
      return 'big';
    default:
      return 'writes';
  }
}

/** Messages of one operation: what it writes, or what it must return. */
export function messagesPerOperation(operation: StoreOperation): number {
  return {
    'write-1': 1,
    'write-10': 10,
    'write-100': 100,
    'write-1000': 1_000,
    'read-10': 10,
    'category-100': 100,
    'category-big': 100,
  }[operation];
}

export function isWrite(operation: StoreOperation): boolean {
  return operation.startsWith('write');
}

/** The category of everything that is written and read. */
export const BENCH_CATEGORY = 'account';
/** The stream that `read-10` reads: 100 messages. */
export const BENCH_STREAM = `${BENCH_CATEGORY}-0`;
const BENCH_TYPE = 'AccountCreated';

/** A category that is read has so many messages, in so many streams: system 1's benchmark. */
const CATEGORY_MESSAGES = 100;
const CATEGORY_STREAMS = 10;
const STREAM_MESSAGES = 100;
/** The other messages of the big room are spread over so many categories, ten to a stream. */
const OTHER_CATEGORIES = 100;
const OTHER_STREAM_MESSAGES = 10;

/** The data of every message: the account's number, its name (both as system 1 has them), and the place in the stream. */
export interface AccountCreated {
  accountId: string;
  name: string;
  n: number;
}

/** Data of message `n` of the stream `account-<account>`. */
export function accountData(account: number, n: number): AccountCreated & { [key: string]: string | number } {
  return { accountId: String(account), name: `Account ${account}`, n };
}

/** Operation `operation` writes to a stream of its own, which is new. */
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

/** How many messages a room holds before it is read. */
export function roomSize(room: Room, others: number): number {
  return { writes: 0, stream: STREAM_MESSAGES, small: CATEGORY_MESSAGES, big: CATEGORY_MESSAGES + others }[
    room
  ];
}

/** All messages of a room, by global position. Those that are read lie evenly among the others. */
export function* roomMessages(room: Room, others: number): Generator<ImportedMessage> {
  const size = roomSize(room, others);
  let read = 0;
  for (let global = 1; global <= size; global += 1) {
    if (room === 'stream') {
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

const FIRST_TIME_US = Date.UTC(2026, 0, 1) * 1_000;

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

/** Where an order is carried out inside the Worker, behind the run: letters and digits. */
export function storePlaceOf(order: StoreOrder): string {
  return order.way === 'floor' || order.way === 'indexed' ? 'floor' : roomOf(order);
}
