/** The event store's engine on Postgres: one namespace, tables of its schema (../sql/schema.ts). */

import { SluiceError } from '../../core/errors.ts';
import type { Connection } from '../../database/connection.ts';
import { openStore } from '../../store/open-store.ts';
import {
  arrayText,
  call,
  limitText,
  type Parameter,
  procedureCall,
  type Run,
  runStatement,
  type Statement,
  scalarCall,
  textArrayText,
} from '../../store/postgres-statements.ts';
import { type PostgresEngineOptions, PostgresStore } from '../../store/postgres-store.ts';
import type {
  AppendCommand,
  AppendVerdict,
  EventEngine,
  EventRecord,
  EventRow,
  ReadEvents,
} from '../engine.ts';
import { eventSchema } from '../sql/schema.ts';
import { arrayTexts, parseTextArray, shortArrayText } from './array-text.ts';
import { ANY_TAG, ConditionColumns, partParameters, partsOfQuery } from './postgres-conditions.ts';

export class PostgresEventEngine implements EventEngine {
  readonly #store: PostgresStore;

  constructor(options: PostgresEngineOptions) {
    this.#store = new PostgresStore(eventSchema, options);
  }

  /**
   * Opens the namespace, and upgrades it where an older version of Sluice made it. The first use does so by itself.
   *
   * @throws SluiceError `unknown_namespace`, `schema_version`, `database_unreachable`, `database_refused`
   */
  open(): Promise<void> {
    return this.#store.open();
  }

  async append(commands: readonly AppendCommand[]): Promise<readonly AppendVerdict[]> {
    if (commands.length === 0) return [];
    const calls = callsOf(commands);
    return this.#store.use('append', async (run, connection) => {
      if (calls.length < 2) return append(run, this.#store.schema, calls);
      // All of the group or nothing, as with one call.
      return connection.db.transaction(
        (db) => append((statement) => runStatement({ db }, statement), this.#store.schema, calls),
        { isolationLevel: 'read committed' },
      );
    });
  }

  async read(read: ReadEvents): Promise<EventRecord[]> {
    return (await this.#store.rows<RecordRow>(readCall(this.#store.schema, read))).map(toRecord);
  }

  async head(): Promise<bigint> {
    const [row] = await this.#store.rows<{ answer: string }>(
      scalarCall(this.#store.schema, 'events_head_v2', []),
    );
    return BigInt(row?.answer ?? 0);
  }

  async clear(): Promise<bigint> {
    const [row] = await this.#store.rows<{ answer: string }>(
      scalarCall(this.#store.schema, 'clear_events_v2', []),
      'clear',
    );
    return BigInt(row?.answer ?? 0);
  }
}

/**
 * Opens a namespace's event store for `appendEventsOn`: upgrades it where an older version of Sluice made it, and creates
 * it where that knew none.
 *
 * @param transaction `callers`: as a part of the transaction that is open on the connection, at READ COMMITTED
 * @returns whether it was upgraded, which is undone where the caller's transaction is rolled back
 * @throws SluiceError `unknown_namespace`, `schema_version`. Otherwise the driver's error
 */
export function openEvents(
  connection: Pick<Connection, 'db'>,
  schema: string,
  transaction: 'own' | 'callers' = 'own',
): Promise<boolean> {
  return openStore(connection, schema, eventSchema, transaction);
}

/**
 * Runs commands on a connection: in the transaction that is open there, or else in their own transactions. In the
 * caller's transaction the event store is locked for all other appends until that ends; it has to be at READ COMMITTED.
 * The namespace must have been opened by this version of Sluice: by an engine, or by `openEvents`.
 *
 * @param schema the namespace's schema
 * @returns a verdict for each command, in their order. A refused command leaves the transaction usable
 * @throws the driver's error where the database fails
 */
export function appendEventsOn(
  connection: Pick<Connection, 'db'>,
  schema: string,
  commands: readonly AppendCommand[],
): Promise<readonly AppendVerdict[]> {
  return append((statement) => runStatement(connection, statement), schema, callsOf(commands));
}

/** How many legs and items the commands of one call may ask for, so that a call stays small and quick. */
const MAX_CALL_PARTS = 20_000;

/**
 * Cuts commands where one of a call has an id that another of it has: it can only be told what becomes of its events
 * when that of the other's is known.
 */
function callsOf(commands: readonly AppendCommand[]): AppendCommand[][] {
  const calls: AppendCommand[][] = [];
  let last: AppendCommand[] = [];
  let ids = new Set<string>();
  let parts = 0;
  for (const command of commands) {
    const own = partCount(command);
    const isFull =
      parts + own > MAX_CALL_PARTS || command.events.some(({ id }) => id !== null && ids.has(id));
    if (last.length === 0 || isFull) {
      last = [];
      ids = new Set();
      parts = 0;
      calls.push(last);
    }
    last.push(command);
    parts += own;
    for (const { id } of command.events) if (id !== null) ids.add(id);
  }
  return calls;
}

function partCount({ condition }: AppendCommand): number {
  if (condition === null || condition.query === 'all') return 1;
  return condition.query.reduce((sum, { types }) => sum + Math.max(1, types.length), 0);
}

async function append(
  run: Run,
  schema: string,
  calls: readonly (readonly AppendCommand[])[],
): Promise<AppendVerdict[]> {
  const verdicts: AppendVerdict[] = [];
  for (const commands of calls) {
    const [row] = await run<{ answer: string }>(appendCall(schema, commands));
    if (row === undefined) throw new SluiceError('internal', 'An append was not answered');
    verdicts.push(...verdictsOf(commands, row.answer));
  }
  return verdicts;
}

function appendCall(schema: string, commands: readonly AppendCommand[]): Statement {
  return appendOneCall(schema, commands) ?? appendGroupCall(schema, commands);
}

/** The call for a group that is one event, for which there is a shorter way; undefined for all other groups. */
function appendOneCall(schema: string, commands: readonly AppendCommand[]): Statement | undefined {
  const { events, condition } = commands[0] as AppendCommand;
  if (commands.length > 1 || events.length > 1) return undefined;
  const parts = condition === null ? 'all' : partsOfQuery(condition.query);
  if (parts !== 'all' && parts.items.length > 0) return undefined;
  const { id, type, tags, data, metadata } = events[0] as EventRow;
  return procedureCall(schema, 'append_event_v2', [
    id,
    type,
    shortArrayText(tags),
    data,
    metadata,
    ...(parts === 'all' ? [null, null] : partParameters(parts).slice(0, 2)),
    condition === null ? null : String(condition.after),
  ]);
}

function appendGroupCall(schema: string, commands: readonly AppendCommand[]): Statement {
  const events =
    commands.length === 1 ? (commands[0] as AppendCommand).events : commands.flatMap((one) => one.events);
  const conditions = new ConditionColumns();
  const numbers = commands.map(({ condition }) => (condition === null ? 0 : conditions.numberOf(condition)));
  const postings: Posting[] = [];
  let first = 1;
  for (const command of commands) {
    const own = postingsOf(command.events, first);
    if (commands.length > 1 && !conditions.isEmpty) conditions.mark(command.events, first, own);
    postings.push(...own);
    first += command.events.length;
  }
  return procedureCall(schema, 'append_events_v2', [
    arrayText(commands.map(({ events: { length } }) => length)),
    conditions.isEmpty ? null : arrayText(numbers),
    ...contentOf(events),
    shortArrayText(postings.map(({ tag }) => tag)),
    arrayText(postings.map(({ last }) => last)),
    postings.some(({ others }) => others !== null)
      ? textArrayText(postings.map(({ others, last }) => othersText(others, last)))
      : null,
    ...conditions.parameters(),
  ]);
}

/** Ids, types, tags, data, metadata and what separates them, as the procedure takes them. */
function contentOf(events: readonly EventRow[]): Parameter[] {
  const hasMetadata = events.some(({ metadata }) => metadata !== null);
  const separator = separatorOf(events);
  return [
    events.some(({ id }) => id !== null) ? arrayText(events.map(({ id }) => id)) : null,
    shortArrayText(events.map(({ type }) => type)),
    arrayTexts(events.map(({ tags }) => tags)),
    events.map(({ data }) => data).join(separator),
    hasMetadata ? events.map(({ metadata }) => metadata ?? '').join(separator) : null,
    separator,
  ];
}

/**
 * What stands between texts that may hold anything: a candidate that none of them holds. It has no end that is also its
 * beginning, so that no text can make up one together with what follows.
 */
function separatorOf(events: readonly EventRow[]): string {
  const isFree = (separator: string): boolean =>
    !events.some(({ data, metadata }) => data.includes(separator) || metadata?.includes(separator));
  if (isFree('\n')) return '\n';
  // In one pass: a text may hold a hundred thousand candidates, and to look for one after the other would take minutes.
  const taken = new Set<string>();
  for (const { data, metadata } of events)
    for (const text of [data, metadata ?? ''])
      for (const [, number] of text.matchAll(CANDIDATES)) taken.add(number as string);
  let candidate = 0;
  while (taken.has(String(candidate))) candidate += 1;
  return `\u0001${candidate}\u0002`;
}

// Nine digits are more than any text has room for.
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a candidate is made of
const CANDIDATES = /\u0001(\d{1,9})\u0002/g;

/** Events of one command with a tag and a type: the last one, and the others before it. Numbered in the group. */
interface Posting {
  tag: string;
  type: string;
  last: number;
  others: number[] | null;
}

function postingsOf(events: readonly EventRow[], first: number): Posting[] {
  const postings: Posting[] = [];
  const ofTypes = new Map<string, Map<string, Posting>>();
  const add = (ofTags: Map<string, Posting>, tag: string, type: string, number: number): void => {
    const known = ofTags.get(tag);
    if (known === undefined) {
      const posting = { tag, type, last: number, others: null };
      ofTags.set(tag, posting);
      postings.push(posting);
      return;
    }
    // Twice the same tag on one event.
    if (known.last === number) return;
    if (known.others === null) known.others = [known.last];
    else known.others.push(known.last);
    known.last = number;
  };
  events.forEach(({ type, tags }, index) => {
    let ofTags = ofTypes.get(type);
    if (ofTags === undefined) {
      ofTags = new Map();
      ofTypes.set(type, ofTags);
    }
    add(ofTags, ANY_TAG, type, first + index);
    for (const tag of tags) add(ofTags, tag, type, first + index);
  });
  return postings;
}

function othersText(others: readonly number[] | null, last: number): string | null {
  return others === null ? null : `{${others.map((number) => last - number).join(',')}}`;
}

function verdictsOf(commands: readonly AppendCommand[], answer: string): AppendVerdict[] {
  const [head, verdictList, valueList] = answer.split(';') as [string, string?, string?];
  const verdicts = verdictList?.split(',');
  const values = valueList?.split(',');
  let position = BigInt(head);
  let first = 1;
  return commands.map(({ events }, index): AppendVerdict => {
    const number = first;
    first += events.length;
    const value = values?.[index] ?? '0';
    switch (verdicts?.[index] ?? '0') {
      case '0':
        position += BigInt(events.length);
        return { kind: 'appended', position, isRepeated: false };
      case '1':
        return { kind: 'conflict', position: BigInt(value) };
      case '2':
        return { kind: 'appended', position: BigInt(value), isRepeated: true };
      default:
        return { kind: 'duplicate_id', id: events[Number(value) - number]?.id as string };
    }
  });
}

function readCall(
  schema: string,
  { query, after, before, backwards, limit, maxBytes }: ReadEvents,
): Statement {
  const parts = partsOfQuery(query);
  const bounds = [
    String(after),
    before === null ? null : String(before),
    backwards,
    limitText(limit),
    maxBytes === undefined ? null : String(maxBytes),
  ];
  return parts === 'all'
    ? call(schema, 'read_all_events_v2', bounds)
    : call(schema, 'read_events_v2', [...partParameters(parts), ...bounds]);
}

interface RecordRow {
  position: string;
  id: string | null;
  type: string;
  tags: string;
  data: string;
  metadata: string | null;
  time_us: string;
}

function toRecord(row: RecordRow): EventRecord {
  return {
    position: BigInt(row.position),
    id: row.id,
    type: row.type,
    tags: parseTextArray(row.tags),
    data: row.data,
    metadata: row.metadata,
    timeUs: Number(row.time_us),
  };
}
