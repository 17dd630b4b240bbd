/**
 * The message store in SQLite: one database is one namespace. The same statements run in a Durable Object and in Node.
 *
 * The rowid is the global position, so that an index on the category alone holds its messages in the order in which they are read,
 * and the table needs no key beside it. Everything is synchronous inside: a command is never interrupted by another.
 */

import { MAX_POSITION } from '../../core/limits.ts';
import type { Sqlite, SqliteValue } from '../../database/sqlite.ts';
import { openSqliteStore, type SqliteStoreSchema } from '../../store/sqlite-store.ts';
import type {
  AppendCommand,
  AppendVerdict,
  CategorySummary,
  ImportRow,
  ImportVerdict,
  ListNames,
  MessageEngine,
  MessageRecord,
  MessageRow,
  ReadCategory,
  ReadStream,
  StreamAppend,
  StreamSummary,
} from '../engine.ts';

export interface SqliteMessageEngineOptions {
  /** Milliseconds since 1970; fractions count. Default: the platform's clock. */
  now?: () => number;
}

/** A message as it is read: in the order of `COLUMNS`. */
type Row = [
  id: string,
  stream: string,
  type: string,
  position: number,
  globalPosition: number,
  data: string,
  metadata: string | null,
  timeUs: number,
];

const COLUMNS = 'id, stream, type, position, global_position, data, metadata, time_us';

// The data comes last: what only looks at the columns before it need not follow a long row over its pages.
const TABLES = [
  `create table if not exists messages (
    global_position integer primary key,
    stream text not null,
    position integer not null,
    category text not null,
    cardinal_hash integer,
    correlation text,
    type text not null,
    id text not null,
    time_us integer not null,
    metadata text,
    data text not null
  ) strict`,
  'create unique index if not exists messages_stream on messages (stream, position)',
  'create index if not exists messages_category on messages (category)',
  'create unique index if not exists messages_id on messages (id)',
  // Only messages that have a correlation pay for its index.
  'create index if not exists messages_correlation on messages (category, correlation) where correlation is not null',
  // One row: global positions below the head that no message has. Only imports leave some.
  'create table if not exists message_gaps (only integer primary key check (only = 1), positions integer not null) strict',
];

const SCHEMA: SqliteStoreSchema = {
  name: 'messages',
  table: 'messages',
  steps: [
    TABLES,
    // Versions are kept. Code of version 1 created at each opening what was missing.
    TABLES,
  ],
};

// One statement, because another process may import between two.
const SELECT_INFO =
  'select (select max(global_position) from messages) as head, (select positions from message_gaps) as gaps';
const SELECT_VERSION = 'select max(position) as version from messages where stream = ?';
const SELECT_PLACES =
  'select (select max(global_position) from messages) as head, (select max(position) from messages where stream = ?) as version';

// 64 bits do not fit into a binding, which is a JavaScript number; as text they do.
const INSERT = `insert into messages
  (global_position, stream, position, category, cardinal_hash, correlation, type, id, time_us, metadata, data)
  values (?, ?, ?, ?, cast(? as integer), ?, ?, ?, ?, ?, ?)`;

/** Undoes what a command has written, without being an error of the database. */
class Refusal extends Error {
  readonly verdict: AppendVerdict | ImportVerdict;

  constructor(verdict: AppendVerdict | ImportVerdict) {
    super(verdict.kind);
    this.verdict = verdict;
  }
}

export class SqliteMessageEngine implements MessageEngine {
  readonly #sqlite: Sqlite;
  readonly #now: () => number;

  /**
   * Creates the tables where there are none, and upgrades those of an older version.
   *
   * @throws SluiceError `schema_version` where a newer version of Sluice has upgraded them too far
   */
  constructor(sqlite: Sqlite, { now = () => Date.now() }: SqliteMessageEngineOptions = {}) {
    this.#sqlite = sqlite;
    this.#now = now;
    openSqliteStore(sqlite, SCHEMA);
  }

  async append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]> {
    const timeUs = Math.floor(this.#now() * 1_000);
    const [only] = commands;
    if (commands.length === 1 && only !== undefined) {
      // Where nobody else writes, looking for the places and inserting the row are one step without a transaction.
      const needsNone = this.#sqlite.isExclusive === true && isOneRow(only);
      return [needsNone ? this.#insertRow(only, timeUs) : this.#insertOrUndo(only, timeUs)];
    }
    return this.#sqlite.transaction(() =>
      commands.map((command) =>
        isOneRow(command) ? this.#insertRow(command, timeUs) : this.#insertOrUndo(command, timeUs),
      ),
    );
  }

  async import(rows: readonly ImportRow[]): Promise<ImportVerdict> {
    return this.#undoable<ImportVerdict>(() => {
      const { messages, head } = this.#info();
      let last = head;
      for (const row of rows) {
        const globalPosition = Number(row.globalPosition);
        this.#insertImported(row, globalPosition);
        if (globalPosition > last) last = globalPosition;
      }
      this.#sqlite.run(
        'insert into message_gaps (only, positions) values (1, ?) on conflict (only) do update set positions = excluded.positions',
        last - messages - rows.length,
      );
      return { kind: 'imported' };
    });
  }

  async readStream({ stream, position, globalPosition, limit }: ReadStream): Promise<MessageRecord[]> {
    const from = position ?? globalPosition ?? 0n;
    if (from > MAX_POSITION) return [];
    const column = position === null ? 'global_position' : 'position';
    return this.#records(
      `select ${COLUMNS} from messages indexed by messages_stream where stream = ? and ${column} >= ? order by position limit ?`,
      stream,
      Number(from),
      limit,
    );
  }

  async readCategory({
    category,
    globalPosition,
    limit,
    correlation,
    consumer,
  }: ReadCategory): Promise<MessageRecord[]> {
    if (globalPosition > MAX_POSITION) return [];
    const bindings: SqliteValue[] = [Number(globalPosition)];
    let filter = 'global_position >= ?';
    if (category !== '') {
      filter += ' and category = ?';
      bindings.push(category);
    }
    if (correlation !== null) {
      filter += ' and correlation = ?';
      bindings.push(correlation);
    }
    if (consumer !== null) {
      filter += ' and abs(cardinal_hash % ?) = ?';
      bindings.push(consumer.size, consumer.member);
    }
    // Named, because the planner's statistics may not know the database as it is now.
    const name = correlation === null ? 'messages_category' : 'messages_correlation';
    const index = category === '' ? '' : ` indexed by ${name}`;
    return this.#records(
      `select ${COLUMNS} from messages${index} where ${filter} order by global_position limit ?`,
      ...bindings,
      limit,
    );
  }

  async last(stream: string, type: string | null): Promise<MessageRecord | undefined> {
    const records =
      type === null
        ? this.#records(
            `select ${COLUMNS} from messages where stream = ? order by position desc limit 1`,
            stream,
          )
        : this.#records(
            `select ${COLUMNS} from messages where stream = ? and type = ? order by position desc limit 1`,
            stream,
            type,
          );
    return records[0];
  }

  async version(stream: string): Promise<bigint | undefined> {
    const version = this.#sqlite.run<{ version: number | null }>(SELECT_VERSION, stream)[0]?.version ?? null;
    return version === null ? undefined : BigInt(version);
  }

  /** Goes from name to name through the index: the messages between them are not read. */
  async listStreams({ prefix, after, limit }: ListNames): Promise<StreamSummary[]> {
    const rows = this.#sqlite.run<{ stream: string; version: number; lastGlobalPosition: number }>(
      `with recursive names (name) as (
        select (select min(stream) from messages where stream >= max(?1, ?2) and stream <> ?1)
        union all
        select (select min(stream) from messages where stream > names.name) from names
          where names.name is not null and substr(names.name, 1, length(?2)) = ?2
        limit ?3
      )
      select stream, position as version, global_position as lastGlobalPosition
      from names join messages on stream = name
        and position = (select max(position) from messages as own where own.stream = names.name)
      where substr(name, 1, length(?2)) = ?2
      order by name`,
      after,
      prefix,
      limit,
    );
    return rows.map(({ stream, version, lastGlobalPosition }) => ({
      stream,
      version: BigInt(version),
      lastGlobalPosition: BigInt(lastGlobalPosition),
    }));
  }

  /** Reads the index of each category that it names: where there are many messages, ask for few categories at a time. */
  async listCategories({ prefix, after, limit }: ListNames): Promise<CategorySummary[]> {
    const rows = this.#sqlite.run<{ category: string; streams: number; messages: number }>(
      `with recursive names (name) as (
        select (select min(category) from messages where category >= max(?1, ?2) and category <> ?1)
        union all
        select (select min(category) from messages where category > names.name) from names
          where names.name is not null and substr(names.name, 1, length(?2)) = ?2
        limit ?3
      )
      select name as category,
        (
          with recursive streams (stream) as (
            select (select min(stream) from messages where stream >= name || '-' and stream < name || '.')
            union all
            select (select min(stream) from messages where stream > streams.stream and stream < name || '.')
              from streams where streams.stream is not null
          )
          select count(stream) from streams
        ) + exists (select 1 from messages where stream = name) as streams,
        (select count(*) from messages where category = name) as messages
      from names where name is not null and substr(name, 1, length(?2)) = ?2
      order by name`,
      after,
      prefix,
      limit,
    );
    return rows.map(({ category, streams, messages }) => ({
      category,
      streams: BigInt(streams),
      messages: BigInt(messages),
    }));
  }

  async info(): Promise<{ messages: bigint; head: bigint }> {
    const { messages, head } = this.#info();
    return { messages: BigInt(messages), head: BigInt(head) };
  }

  async clear(): Promise<bigint> {
    return this.#sqlite.transaction(() => {
      const { messages } = this.#info();
      this.#sqlite.run('delete from messages');
      this.#sqlite.run('delete from message_gaps');
      return BigInt(messages);
    });
  }

  #info(): { messages: number; head: number } {
    const [places] = this.#sqlite.rows<[head: number | null, gaps: number | null]>(SELECT_INFO);
    const head = places?.[0] ?? 0;
    return { messages: head - (places?.[1] ?? 0), head };
  }

  /** For a command of one row: that is written or not by itself, and there is nothing to undo. */
  #insertRow(command: AppendCommand, timeUs: number): AppendVerdict {
    return this.#caught(() => this.#appendAll(command, timeUs));
  }

  #insertOrUndo(command: AppendCommand, timeUs: number): AppendVerdict {
    return this.#undoable(() => this.#appendAll(command, timeUs));
  }

  #appendAll({ appends }: AppendCommand, timeUs: number): AppendVerdict {
    return { kind: 'written', ends: appends.map((append) => this.#appendOne(append, timeUs)) };
  }

  #appendOne(append: StreamAppend, timeUs: number): { position: bigint; globalPosition: bigint } {
    const { stream, expectedVersion, messages } = append;
    const [places] = this.#sqlite.rows<[head: number | null, version: number | null]>(SELECT_PLACES, stream);
    let globalPosition = places?.[0] ?? 0;
    let position = places?.[1] ?? -1;
    if (expectedVersion !== null && expectedVersion !== BigInt(position))
      throw new Refusal({ kind: 'conflict', stream, expectedVersion, actualVersion: BigInt(position) });
    const hash = append.cardinalHash === null ? null : String(append.cardinalHash);
    for (const message of messages) {
      position += 1;
      globalPosition += 1;
      this.#insert(message, stream, append.category, hash, position, globalPosition, timeUs);
    }
    return { position: BigInt(position), globalPosition: BigInt(globalPosition) };
  }

  #insert(
    message: MessageRow,
    stream: string,
    category: string,
    hash: string | null,
    position: number,
    globalPosition: number,
    timeUs: number,
  ): void {
    try {
      this.#sqlite.run(
        INSERT,
        globalPosition,
        stream,
        position,
        category,
        hash,
        message.correlation,
        message.type,
        message.id,
        timeUs,
        message.metadata,
        message.data,
      );
    } catch (error) {
      // What failed is asked of the table, not read out of the error's text, which each platform words in its own way.
      if (this.#hasId(message.id)) throw new Refusal({ kind: 'duplicate_id', id: message.id });
      throw error;
    }
  }

  #insertImported(row: ImportRow, globalPosition: number): void {
    const { stream, position } = row;
    const exists = (what: 'position' | 'global_position' | 'id'): Refusal =>
      new Refusal({ kind: 'exists', what, stream, position });
    try {
      this.#insert(
        row,
        stream,
        row.category,
        row.cardinalHash === null ? null : String(row.cardinalHash),
        Number(position),
        globalPosition,
        row.timeUs,
      );
    } catch (error) {
      const isTaken = (statement: string, ...bindings: SqliteValue[]): boolean =>
        this.#sqlite.run(statement, ...bindings).length > 0;
      if (isTaken('select 1 from messages where stream = ? and position = ?', stream, Number(position)))
        throw exists('position');
      if (isTaken('select 1 from messages where global_position = ?', globalPosition))
        throw exists('global_position');
      if (this.#hasId(row.id)) throw exists('id');
      throw error;
    }
  }

  #hasId(id: string): boolean {
    return this.#sqlite.run('select 1 from messages where id = ?', id).length > 0;
  }

  #undoable<Verdict extends AppendVerdict | ImportVerdict>(step: () => Verdict): Verdict {
    return this.#caught(() => this.#sqlite.transaction(step));
  }

  #caught<Verdict extends AppendVerdict | ImportVerdict>(step: () => Verdict): Verdict {
    try {
      return step();
    } catch (error) {
      if (error instanceof Refusal) return error.verdict as Verdict;
      throw error;
    }
  }

  #records(statement: string, ...bindings: SqliteValue[]): MessageRecord[] {
    return this.#sqlite.rows<Row>(statement, ...bindings).map(toRecord);
  }
}

function toRecord([id, stream, type, position, globalPosition, data, metadata, timeUs]: Row): MessageRecord {
  return {
    id,
    stream,
    type,
    position: BigInt(position),
    globalPosition: BigInt(globalPosition),
    data,
    metadata,
    timeUs,
  };
}

function isOneRow({ appends }: AppendCommand): boolean {
  return appends.length === 1 && appends[0]?.messages.length === 1;
}
