/**
 * What a namespace of the message store is in Postgres: a schema with one table of messages, a lock, and the functions
 * that write and read.
 *
 * **Order.** An append takes the lock of the namespace first, and holds it until the commit. Only then are the
 * positions looked up, by a statement with its own snapshot, which sees everything that was committed under the
 * lock before. So positions have no gaps, and a message with a higher global position is never visible before one with
 * a lower: a reader that goes on after the last message it saw skips nothing. A transaction that is open elsewhere,
 * however long, holds up nobody.
 *
 * **The lock** is a table that is empty for ever, locked in the mode that excludes itself: it leaves neither a row
 * version nor WAL behind. A row that is counted up would leave a dead version with each append, which nobody can clear
 * away, but every append has to step over, while any transaction of the database stays open for long. The highest
 * position is the end of an index instead.
 *
 * **Plans** do not depend on statistics. Each statement stands in a function that allows index scans in the order of an
 * index only, and is planned once per server process with that; of the indexes, exactly one gives the order that the
 * statement asks for. It is also why reads are functions: an unnamed statement, which is what a transaction pooler
 * takes for certain, would be planned with every call.
 *
 * Nothing here needs a session: settings last as long as the function, and locks as long as the transaction.
 */

import { type SqlNames, type StoreSchema, sqlNames } from '../../store/store-schema.ts';
import { append } from './append.ts';
import { appendOne } from './append-one.ts';
import { clear } from './clear.ts';
import { importMessages } from './import.ts';
import { info } from './info.ts';
import { lastMessage } from './last-message.ts';
import { listCategories } from './list-categories.ts';
import { listStreams } from './list-streams.ts';
import { MESSAGES_LOCK } from './lock.ts';
import { readCategory } from './read-category.ts';
import { readStream } from './read-stream.ts';
import { readStreamFromGlobal } from './read-stream-from-global.ts';
import { streamVersion } from './stream-version.ts';
import { messageTables } from './tables.ts';

function functions(names: SqlNames): string[] {
  return [
    append,
    appendOne,
    importMessages,
    readStream,
    readStreamFromGlobal,
    readCategory,
    lastMessage,
    streamVersion,
    listStreams,
    listCategories,
    info,
    clear,
  ].map((statement) => statement(names));
}

/** The message store of a namespace in Postgres. */
export const messageSchema: StoreSchema = {
  name: 'messages',
  lock: MESSAGES_LOCK,
  table: 'messages',
  steps: [
    (schema) => [...messageTables(schema), ...functions(sqlNames(schema, 1))],
    // The same functions, by names that carry their version.
    (schema) => functions(sqlNames(schema, 2)),
  ],
};
