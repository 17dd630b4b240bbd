/**
 * What a database does for the message store. An engine is one namespace; it takes checked input, in batches, with JSON
 * as text, and throws only where the database fails. What a caller may do wrong is a verdict, never an exception: an
 * exception in a transaction would cost everyone else in it theirs.
 */

/** A message on its way into an engine. */
export interface MessageRow {
  /** A UUID in lower case. */
  id: string;
  type: string;
  /** JSON text. */
  data: string;
  /** JSON text; null for none. */
  metadata: string | null;
  /** Category of `metadata.correlationStreamName`; null where there is none. */
  correlation: string | null;
}

/** Messages of one stream. */
export interface StreamAppend {
  stream: string;
  category: string;
  /** `hash64` of the stream's cardinal id; null where the name has no id. */
  cardinalHash: bigint | null;
  /** -1: the stream must have no messages; null: whatever its version. */
  expectedVersion: bigint | null;
  /** At least one. */
  messages: readonly MessageRow[];
}

/** What one caller wants written: all of it or nothing. A later append of it sees the ones before. */
export interface AppendCommand {
  appends: readonly StreamAppend[];
}

export type AppendVerdict =
  /** The places of the last message of each append. */
  | { kind: 'written'; ends: readonly { position: bigint; globalPosition: bigint }[] }
  | { kind: 'conflict'; stream: string; expectedVersion: bigint; actualVersion: bigint }
  | { kind: 'duplicate_id'; id: string };

/** A message with the places that it had elsewhere. */
export interface ImportRow extends MessageRow {
  stream: string;
  category: string;
  cardinalHash: bigint | null;
  position: bigint;
  globalPosition: bigint;
  timeUs: number;
}

export type ImportVerdict =
  | { kind: 'imported' }
  /** What is there already: the place in the stream, the global position or the id. */
  | { kind: 'exists'; what: 'position' | 'global_position' | 'id'; stream: string; position: bigint };

/** A message as an engine returns it. */
export interface MessageRecord {
  id: string;
  stream: string;
  type: string;
  position: bigint;
  globalPosition: bigint;
  /** JSON text. */
  data: string;
  /** JSON text; null for none. */
  metadata: string | null;
  timeUs: number;
}

export interface ReadStream {
  stream: string;
  /** Inclusive; exactly one of the two is given. */
  position: bigint | null;
  globalPosition: bigint | null;
  limit: number;
}

export interface ReadCategory {
  /** Empty: all messages. */
  category: string;
  /** Inclusive. */
  globalPosition: bigint;
  limit: number;
  /** Only messages whose `correlation` equals it; null: all. */
  correlation: string | null;
  /** Only streams whose `abs(cardinalHash % size)` is `member`; null: all. */
  consumer: { member: number; size: number } | null;
}

export interface ListNames {
  /** Empty: all. */
  prefix: string;
  /** Exclusive; in byte order (UTF-8) of the names. Empty: from the start. */
  after: string;
  limit: number;
}

export interface StreamSummary {
  stream: string;
  /** Position of its last message. */
  version: bigint;
  lastGlobalPosition: bigint;
}

export interface CategorySummary {
  category: string;
  streams: bigint;
  messages: bigint;
}

export interface MessageEngine {
  /** Runs all commands in one transaction, in their order; a later one sees the earlier ones. */
  append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]>;
  /** All rows or none. Later appends go on after the highest positions. */
  import(rows: readonly ImportRow[]): Promise<ImportVerdict>;
  /** By position, or by global position (the same order). */
  readStream(read: ReadStream): Promise<MessageRecord[]>;
  readCategory(read: ReadCategory): Promise<MessageRecord[]>;
  /** The last message of the stream, or the last of a type; undefined where there is none. */
  last(stream: string, type: string | null): Promise<MessageRecord | undefined>;
  /** Position of the last message; undefined where there is none. */
  version(stream: string): Promise<bigint | undefined>;
  listStreams(list: ListNames): Promise<StreamSummary[]>;
  listCategories(list: ListNames): Promise<CategorySummary[]>;
  /** How many messages, and the last global position (0: none yet). */
  info(): Promise<{ messages: bigint; head: bigint }>;
  /** Deletes all messages, and returns how many. Positions begin again. */
  clear(): Promise<bigint>;
}
