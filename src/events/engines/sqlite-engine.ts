/**
 * The event store in SQLite: one database is one namespace. The same statements run in a Durable Object and in Node.
 *
 * `event_tags` holds, for each event, a row of each of its tags and one of the empty tag, which no event can have. So the events of
 * (tag, type) are one range of its key, in the order of positions, and "events of a type" is the range of (empty, type). A
 * condition is a look into such a range after `after`: its cost does not depend on how many events there are, and no
 * statistics can change its plan, because there is no other index.
 *
 * Everything is synchronous inside: a command is never interrupted by another. What a command may be refused for is known before it has
 * written anything, so a refusal has nothing to undo.
 */

import { MAX_POSITION } from '../../core/limits.ts';
import type { Sqlite, SqliteValue } from '../../database/sqlite.ts';
import { openSqliteStore, type SqliteStoreSchema } from '../../store/sqlite-store.ts';
import type {
  AppendCommand,
  AppendCondition,
  AppendVerdict,
  EventEngine,
  EventQuery,
  EventRecord,
  EventRow,
  QueryItem,
  ReadEvents,
} from '../engine.ts';

export interface SqliteEventEngineOptions {
  /** Milliseconds since 1970; fractions count. Default: the platform's clock. */
  now?: () => number;
}

/** An event as it is read: in the order of `COLUMNS`. */
type Row = [
  position: number,
  id: string | null,
  type: string,
  timeUs: number,
  tags: string,
  metadata: string | null,
  data: string,
];

const COLUMNS = 'e.position, e.id, e.type, e.time_us, e.tags, e.metadata, e.data';

/** Bytes of an event. SQLite knows them from the head of its row, and does not read the texts. */
const SIZE = 'octet_length(e.data) + coalesce(octet_length(e.metadata), 0) + octet_length(e.tags)';

// The data comes last: what only looks at the columns before it need not follow a long row over its pages.
const TABLES = [
  `create table if not exists events (
    position integer primary key,
    id text,
    type text not null,
    time_us integer not null,
    tags text not null,
    metadata text,
    data text not null
  ) strict`,
  // Only events that have an id pay for its index.
  'create unique index if not exists events_id on events (id) where id is not null',
  `create table if not exists event_tags (
    tag text not null,
    type text not null,
    position integer not null,
    primary key (tag, type, position)
  ) strict, without rowid`,
];

const SCHEMA: SqliteStoreSchema = {
  name: 'events',
  table: 'events',
  steps: [
    TABLES,
    // Versions are kept. Code of version 1 created at each opening what was missing.
    TABLES,
  ],
};

const SELECT_HEAD = 'select max(position) from events';

const SELECT_ID = 'select id, position from events where id = ?';
const SELECT_IDS =
  'select e.id, e.position from json_each(?) as wanted cross join events as e on e.id = wanted.value';

const INSERT_EVENT =
  'insert into events (position, id, type, time_us, tags, metadata, data) values (?, ?, ?, ?, ?, ?, ?)';

/** Events of one type that have all of the tags: one range of the key, where it is one tag. */
interface Range {
  type: string;
  /** At least one; the empty one where any will do. */
  tags: readonly string[];
}

/** The tag that every event has. */
const ANY_TAG: readonly string[] = [''];

export class SqliteEventEngine implements EventEngine {
  readonly #sqlite: Sqlite;
  readonly #now: () => number;

  /**
   * Creates the tables where there are none, and upgrades those of an older version.
   *
   * @throws SluiceError `schema_version` where a newer version of Sluice has upgraded them too far
   */
  constructor(sqlite: Sqlite, { now = () => Date.now() }: SqliteEventEngineOptions = {}) {
    this.#sqlite = sqlite;
    this.#now = now;
    openSqliteStore(sqlite, SCHEMA);
  }

  async append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]> {
    const timeUs = Math.floor(this.#now() * 1_000);
    return this.#sqlite.transaction(() => {
      const last = { position: this.#head() };
      return commands.map((command) => this.#appendOne(command, last, timeUs));
    });
  }

  async read({
    query,
    after,
    before,
    backwards,
    limit,
    maxBytes = Number.POSITIVE_INFINITY,
  }: ReadEvents): Promise<EventRecord[]> {
    if (after >= MAX_POSITION) return [];
    const from = Number(after);
    const to = before === null || before > MAX_POSITION ? Number(MAX_POSITION) : Number(before);
    if (query === 'all')
      return this.#page(backwards ? READ_ALL_BACKWARDS : READ_ALL_FORWARDS, [from, to], limit, maxBytes);
    return this.#readItems(query, from, to, backwards, limit, maxBytes);
  }

  async head(): Promise<bigint> {
    return BigInt(this.#head());
  }

  async clear(): Promise<bigint> {
    return this.#sqlite.transaction(() => {
      const events = this.#sqlite.rows<[number]>('select count(*) from events')[0]?.[0] ?? 0;
      this.#sqlite.run('delete from events');
      this.#sqlite.run('delete from event_tags');
      return BigInt(events);
    });
  }

  #head(): number {
    return this.#sqlite.rows<[number | null]>(SELECT_HEAD)[0]?.[0] ?? 0;
  }

  /** @param last the last position; it moves with what is appended */
  #appendOne(
    { events, condition }: AppendCommand,
    last: { position: number },
    timeUs: number,
  ): AppendVerdict {
    const repeated = this.#repeated(events);
    if (repeated !== undefined) return repeated;
    if (condition !== null) {
      const conflict = this.#conflict(condition, last.position);
      if (conflict !== undefined) return { kind: 'conflict', position: BigInt(conflict) };
    }
    for (const event of events) {
      last.position += 1;
      this.#insert(event, last.position, timeUs);
    }
    return { kind: 'appended', position: BigInt(last.position), isRepeated: false };
  }

  #repeated(events: readonly EventRow[]): AppendVerdict | undefined {
    const [first] = events;
    if (first === undefined || first.id === null) return undefined;
    const stored =
      events.length === 1
        ? this.#sqlite.rows<[id: string, position: number]>(SELECT_ID, first.id)
        : this.#sqlite.rows<[id: string, position: number]>(
            SELECT_IDS,
            JSON.stringify(events.map(({ id }) => id)),
          );
    const [any] = stored;
    if (any === undefined) return undefined;
    if (stored.length < events.length) return { kind: 'duplicate_id', id: any[0] };
    let position = 0;
    for (const [, at] of stored) position = Math.max(position, at);
    return { kind: 'appended', position: BigInt(position), isRepeated: true };
  }

  /** The first position that matches the condition. */
  #conflict({ query, after }: AppendCondition, head: number): number | undefined {
    if (after >= BigInt(head)) return undefined;
    const from = Number(after);
    // Nothing was ever taken out: after a position below the head there is the next one.
    if (query === 'all') return from + 1;
    let first: number | undefined;
    for (const range of this.#ranges(query)) {
      // Only what would come before the match that is known.
      const [position] = this.#positions(range, from, first ?? head + 1, false, 1);
      if (position !== undefined) first = position;
    }
    return first;
  }

  #insert({ id, type, tags, data, metadata }: EventRow, position: number, timeUs: number): void {
    this.#sqlite.run(INSERT_EVENT, position, id, type, timeUs, JSON.stringify(tags), metadata, data);
    this.#sqlite.run(insertTags(tags.length), type, position, ...tags);
  }

  /** The ranges that a query is made of. An item without types has one for each type that events with its first tag have. */
  #ranges(items: readonly QueryItem[]): Range[] {
    const ranges: Range[] = [];
    for (const { types, tags } of items) {
      const own = tags.length === 0 ? ANY_TAG : tags;
      const wanted = types.length === 0 ? this.#typesOf(own[0] as string) : types;
      for (const type of wanted) ranges.push({ type, tags: own });
    }
    return ranges;
  }

  /** Goes from type to type through the key: the events between them are not read. */
  #typesOf(tag: string): string[] {
    return this.#sqlite
      .rows<[string]>(
        `with recursive types (type) as (
          select (select type from event_tags where tag = ?1 order by type limit 1)
          union all
          select (select type from event_tags where tag = ?1 and type > types.type order by type limit 1)
            from types where types.type is not null
        )
        select type from types where type is not null`,
        tag,
      )
      .map(([type]) => type);
  }

  /** Positions of a range between two, both exclusive, in order. */
  #positions(range: Range, from: number, to: number, backwards: boolean, limit: number): number[] {
    const { type, tags } = range;
    const [only] = tags;
    if (tags.length === 1 && only !== undefined)
      return this.#positionsOf(only, type, from, to, backwards, limit);
    // A first round of looks: most conditions end here, because nothing comes after their position, and so they save the
    // 20 µs that a recursive statement takes to begin.
    let [low, high] = [from, to];
    let hasCommon = true;
    for (const [number, tag] of tags.entries()) {
      const [next] = this.#positionsOf(tag, type, low, high, backwards, 1);
      if (next === undefined) return [];
      if (number > 0) hasCommon &&= backwards ? next === high - 1 : next === low + 1;
      if (backwards) high = next + 1;
      else low = next - 1;
    }
    if (hasCommon && limit === 1) return [backwards ? high - 1 : low + 1];
    const statement = commonPositions(tags.length, backwards);
    return this.#sqlite.rows<[number]>(statement, type, low, high, limit, ...tags).map(firstColumn);
  }

  #positionsOf(
    tag: string,
    type: string,
    from: number,
    to: number,
    backwards: boolean,
    limit: number,
  ): number[] {
    const statement = backwards ? POSITIONS_BACKWARDS : POSITIONS_FORWARDS;
    return this.#sqlite.rows<[number]>(statement, tag, type, from, to, limit).map(firstColumn);
  }

  #readItems(
    items: Exclude<EventQuery, 'all'>,
    from: number,
    to: number,
    backwards: boolean,
    limit: number,
    maxBytes: number,
  ): EventRecord[] {
    const [item] = items;
    const [tag = ANY_TAG[0] as string, second] = item?.tags ?? [];
    const [type] = item?.types ?? [];
    if (items.length === 1 && item?.types.length === 1 && type !== undefined && second === undefined)
      return this.#page(backwards ? READ_BACKWARDS : READ_FORWARDS, [tag, type, from, to], limit, maxBytes);
    // What others append between two of the statements must not be seen by the later one alone.
    const end = this.#sqlite.isExclusive === true ? to : Math.min(to, this.#head() + 1);
    const ranges = this.#ranges(items);
    if (ranges.length === 0) return [];
    const records: EventRecord[] = [];
    let bytes = 0;
    for (const positions of this.#merged(ranges, from, end, backwards, limit)) {
      const [count, size] = this.#fitting(READ_POSITIONS, [JSON.stringify(positions)], maxBytes - bytes);
      const fitting = count < positions.length ? positions.slice(0, count) : positions;
      records.push(...this.#records(READ_POSITIONS, JSON.stringify(fitting)));
      bytes += size;
      if (bytes >= maxBytes) break;
    }
    return records;
  }

  /** The positions of several ranges in order and without repetitions, in parts. */
  *#merged(
    ranges: readonly Range[],
    from: number,
    to: number,
    backwards: boolean,
    limit: number,
  ): Generator<number[]> {
    const sign = backwards ? -1 : 1;
    const firstPart = Math.max(MIN_PART, Math.min(MAX_PART, Math.ceil((limit * 2) / ranges.length)));
    let open = ranges.map((range) => ({ range, part: firstPart, known: [] as number[], isFull: false }));
    let passed = backwards ? to : from;
    let left = limit;
    while (open.length > 0 && left > 0) {
      // Up to here all ranges are known.
      let reach = backwards ? from : to;
      for (const one of open) {
        if (one.known.length === 0) {
          const [low, high] = backwards ? [from, passed] : [passed, to];
          one.known = this.#positions(one.range, low, high, backwards, one.part);
          one.isFull = one.known.length === one.part;
          one.part = Math.min(MAX_PART, one.part * 4);
        }
        const last = one.known.at(-1);
        if (one.isFull && last !== undefined && last * sign < reach * sign) reach = last;
      }
      const found = new Set<number>();
      for (const one of open) {
        let taken = 0;
        for (const position of one.known) {
          if (position * sign > reach * sign) break;
          found.add(position);
          taken += 1;
        }
        one.known = taken === one.known.length ? [] : one.known.slice(taken);
      }
      // A range whose last part was not full has no more, once that part is used up.
      open = open.filter(({ known, isFull }) => known.length > 0 || isFull);
      passed = reach;
      const part = [...found].sort((a, b) => (a - b) * sign).slice(0, left);
      left -= part.length;
      for (let at = 0; at < part.length; at += MAX_LIST) yield part.slice(at, at + MAX_LIST);
    }
  }

  /** What a statement finds, whose last parameter is the limit. */
  #page(
    statement: Reading,
    bindings: readonly SqliteValue[],
    limit: number,
    maxBytes: number,
  ): EventRecord[] {
    const [count] = this.#fitting(statement, [...bindings, limit], maxBytes);
    return this.#records(statement, ...bindings, Math.min(count, limit));
  }

  /** How many events come to the bytes, of those that a statement finds, and what they come to. */
  #fitting(
    { sizes }: Reading,
    bindings: readonly SqliteValue[],
    maxBytes: number,
  ): [count: number, bytes: number] {
    if (maxBytes === Number.POSITIVE_INFINITY) return [Number.POSITIVE_INFINITY, 0];
    let count = 0;
    let bytes = 0;
    for (const [size] of this.#sqlite.rows<[number]>(sizes, ...bindings)) {
      count += 1;
      bytes += size;
      if (bytes >= maxBytes) break;
    }
    return [count, bytes];
  }

  #records({ events }: Reading, ...bindings: SqliteValue[]): EventRecord[] {
    return this.#sqlite.rows<Row>(events, ...bindings).map(toRecord);
  }
}

/** Positions of a range that are looked up at once, at least and at most. */
const MIN_PART = 16;
const MAX_PART = 1_024;

/** Positions of one list. A Durable Object takes texts of 2 MB, and a call so many arguments. */
const MAX_LIST = 4_096;

/** A statement that finds events, and the same for their sizes. */
interface Reading {
  events: string;
  sizes: string;
}

function reading(statement: (columns: string) => string): Reading {
  return { events: statement(COLUMNS), sizes: statement(SIZE) };
}

// In the order of the list: a cross join goes through its left side, and an array comes as it is. A sort would cost as much again.
const READ_POSITIONS = reading(
  (columns) =>
    `select ${columns} from json_each(?) as wanted cross join events as e on e.position = wanted.value`,
);

const READ_ALL_FORWARDS = readAll('asc');
const READ_ALL_BACKWARDS = readAll('desc');

function readAll(order: 'asc' | 'desc'): Reading {
  return reading(
    (columns) =>
      `select ${columns} from events as e where e.position > ? and e.position < ? order by e.position ${order} limit ?`,
  );
}

const READ_FORWARDS = readRange('asc');
const READ_BACKWARDS = readRange('desc');

function readRange(order: 'asc' | 'desc'): Reading {
  return reading(
    (columns) => `select ${columns} from event_tags as t cross join events as e on e.position = t.position
    where t.tag = ? and t.type = ? and t.position > ? and t.position < ? order by t.position ${order} limit ?`,
  );
}

const POSITIONS_FORWARDS = positionsOfRange('asc');
const POSITIONS_BACKWARDS = positionsOfRange('desc');

function positionsOfRange(order: 'asc' | 'desc'): string {
  return `select position from event_tags where tag = ? and type = ? and position > ? and position < ? order by position ${order} limit ?`;
}

/** Statements by direction and number of tags. */
const COMMON: Record<'asc' | 'desc', string[]> = { asc: [], desc: [] };

/**
 * Positions that several tags have in common. It goes round the tags: each step is a look for the next position at or after
 * the one before. Where as many steps in a row as there are tags stay at one position, all tags have it. So it takes at most as
 * many rounds as the rarest tag has events, however many the others have, and nothing has to be counted before.
 */
function commonPositions(tags: number, backwards: boolean): string {
  const order = backwards ? 'desc' : 'asc';
  const known = COMMON[order][tags];
  if (known !== undefined) return known;
  const [start, atOrBehind, sign] = backwards ? ['?3 - 1', '<=', '-'] : ['?2 + 1', '>=', '+'];
  // How many steps in a row have stayed at the position of a step; the step itself knows it of the one before.
  const agreed = 'case when steps.position = steps.before then steps.agreed + 1 else 1 end';
  const cases = Array.from({ length: tags }, (_, number) => `when ${number} then ?${number + 5}`).join(' ');
  const statement = `with recursive steps (number, before, position, agreed) as (
      select 0, ${start}, ${start}, -1
      union all
      select
        (steps.number + 1) % ${tags},
        steps.position,
        (
          select own.position from event_tags as own
          where own.tag = case steps.number ${cases} end and own.type = ?1
            and own.position ${atOrBehind} steps.position ${sign} (${agreed} = ${tags})
            and own.position > ?2 and own.position < ?3
          order by own.position ${order} limit 1
        ),
        ${agreed}
      from steps where steps.position is not null
    )
    select position from steps where position = before and agreed = ${tags - 1} limit ?4`;
  COMMON[order][tags] = statement;
  return statement;
}

/** Statements by the number of tags. */
const INSERT_TAGS: string[] = [];

function insertTags(tags: number): string {
  const known = INSERT_TAGS[tags];
  if (known !== undefined) return known;
  const rows = Array.from({ length: tags }, (_, index) => `, (?${index + 3}, ?1, ?2)`).join('');
  const statement = `insert into event_tags (tag, type, position) values ('', ?1, ?2)${rows}`;
  INSERT_TAGS[tags] = statement;
  return statement;
}

function firstColumn([position]: [number]): number {
  return position;
}

function toRecord([position, id, type, timeUs, tags, metadata, data]: Row): EventRecord {
  return { position: BigInt(position), id, type, tags: JSON.parse(tags), data, metadata, timeUs };
}
