/** The message store's engine on Postgres: one namespace, its own schema (../sql/schema.ts). */

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
import { messageSchema } from '../sql/schema.ts';

export class PostgresMessageEngine implements MessageEngine {
  readonly #store: PostgresStore;

  constructor(options: PostgresEngineOptions) {
    this.#store = new PostgresStore(messageSchema, options);
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
    return this.#store.use('append', (run) => append(run, this.#store.schema, commands));
  }

  async import(rows: readonly ImportRow[]): Promise<ImportVerdict> {
    if (rows.length === 0) return { kind: 'imported' };
    return this.#store.use('import', (run) => importRows(run, this.#store.schema, rows));
  }

  async readStream({ stream, position, globalPosition, limit }: ReadStream): Promise<MessageRecord[]> {
    const rows = await this.#store.rows<RecordRow>(
      globalPosition === null
        ? call(this.#store.schema, 'read_stream_v2', [stream, String(position ?? 0n), limitText(limit)])
        : call(this.#store.schema, 'read_stream_from_global_v2', [
            stream,
            String(globalPosition),
            limitText(limit),
          ]),
    );
    return rows.map(toRecord);
  }

  async readCategory(read: ReadCategory): Promise<MessageRecord[]> {
    const { category, globalPosition, limit, correlation, consumer } = read;
    const rows = await this.#store.rows<RecordRow>(
      call(this.#store.schema, 'read_category_v2', [
        category,
        String(globalPosition),
        limitText(limit),
        correlation,
        consumer?.member ?? null,
        consumer?.size ?? null,
      ]),
    );
    return rows.map(toRecord);
  }

  async last(stream: string, type: string | null): Promise<MessageRecord | undefined> {
    const [row] = await this.#store.rows<RecordRow>(
      call(this.#store.schema, 'last_message_v2', [stream, type]),
    );
    return row === undefined ? undefined : toRecord(row);
  }

  async version(stream: string): Promise<bigint | undefined> {
    const [row] = await this.#store.rows<{ answer: string | null }>(
      scalarCall(this.#store.schema, 'stream_version_v2', [stream]),
    );
    return row === undefined || row.answer === null ? undefined : BigInt(row.answer);
  }

  async listStreams({ prefix, after, limit }: ListNames): Promise<StreamSummary[]> {
    const rows = await this.#store.rows<{
      stream_name: string;
      version: string;
      last_global_position: string;
    }>(call(this.#store.schema, 'list_streams_v2', [prefix, after, limit]));
    return rows.map((row) => ({
      stream: row.stream_name,
      version: BigInt(row.version),
      lastGlobalPosition: BigInt(row.last_global_position),
    }));
  }

  async listCategories({ prefix, after, limit }: ListNames): Promise<CategorySummary[]> {
    const rows = await this.#store.rows<{ category: string; streams: string; messages: string }>(
      call(this.#store.schema, 'list_categories_v2', [prefix, after, limit]),
    );
    return rows.map(({ category, streams, messages }) => ({
      category,
      streams: BigInt(streams),
      messages: BigInt(messages),
    }));
  }

  async info(): Promise<{ messages: bigint; head: bigint }> {
    const [row] = await this.#store.rows<{ messages: string; head: string }>(
      call(this.#store.schema, 'info_v2', []),
    );
    return { messages: BigInt(row?.messages ?? 0), head: BigInt(row?.head ?? 0) };
  }

  async clear(): Promise<bigint> {
    const [row] = await this.#store.rows<{ answer: string }>(
      scalarCall(this.#store.schema, 'clear_v2', []),
      'clear',
    );
    return BigInt(row?.answer ?? 0);
  }
}

/**
 * Opens a namespace's message store for `appendOn`: upgrades it where an older version of Sluice made it.
 *
 * @param transaction `callers`: as a part of the transaction that is open on the connection, at READ COMMITTED
 * @returns whether it was upgraded, which is undone where the caller's transaction is rolled back
 * @throws SluiceError `unknown_namespace`, `schema_version`. Otherwise the driver's error
 */
export function openMessages(
  connection: Pick<Connection, 'db'>,
  schema: string,
  transaction: 'own' | 'callers' = 'own',
): Promise<boolean> {
  return openStore(connection, schema, messageSchema, transaction);
}

/**
 * Runs commands on a connection: in the transaction that is open there, or else in a separate one. In the caller's
 * transaction the namespace is locked for all others until that ends; it has to be at READ COMMITTED. The namespace must
 * have been opened by this version of Sluice: by an engine, or by `openMessages`.
 *
 * @param schema the namespace's schema
 * @returns a verdict for each command, in their order. A refused command leaves the transaction usable
 * @throws the driver's error where the database fails
 */
export function appendOn(
  connection: Connection,
  schema: string,
  commands: readonly AppendCommand[],
): Promise<readonly AppendVerdict[]> {
  return append((statement) => runStatement(connection, statement), schema, commands);
}

async function append(
  run: Run,
  schema: string,
  commands: readonly AppendCommand[],
): Promise<readonly AppendVerdict[]> {
  if (commands.length === 0) return [];
  const only = onlyAppendOf(commands);
  const group = only === undefined ? groupOf(commands) : { appends: [only], messages: only.messages };
  const statement = only === undefined ? appendCall(schema, commands, group) : appendOneCall(schema, only);
  const [row] = await run<{ answer: string }>(statement);
  if (row === undefined) throw new SluiceError('internal', 'An append was not answered');
  return verdictsOf(commands, group, row.answer);
}

/** The append of a group that is one message, for which there is a shorter way; undefined for all other groups. */
function onlyAppendOf(commands: readonly AppendCommand[]): StreamAppend | undefined {
  const [append] = commands.length === 1 ? (commands[0] as AppendCommand).appends : [];
  return append?.messages.length === 1 && commands[0]?.appends.length === 1 ? append : undefined;
}

function appendOneCall(schema: string, append: StreamAppend): Statement {
  const { stream, category, cardinalHash, expectedVersion, messages } = append;
  const { id, type, data, metadata, correlation } = messages[0] as MessageRow;
  return procedureCall(schema, 'append_one_v2', [
    stream,
    category,
    cardinalHash?.toString() ?? null,
    expectedVersion?.toString() ?? null,
    id,
    type,
    data,
    metadata,
    correlation,
  ]);
}

/** The parts of a group in one line each, numbered from 1 in statements and answers. */
interface Group {
  appends: readonly StreamAppend[];
  messages: readonly MessageRow[];
}

function groupOf(commands: readonly AppendCommand[]): Group {
  const appends = commands.flatMap((command) => command.appends);
  return { appends, messages: appends.flatMap((append) => append.messages) };
}

function appendCall(
  schema: string,
  commands: readonly AppendCommand[],
  { appends, messages }: Group,
): Statement {
  const streams = new StreamColumns();
  const appendStreams = appends.map((append) => streams.numberOf(append));
  const messageAppends = appends.flatMap(({ messages: { length } }, index) =>
    new Array<number>(length).fill(index + 1),
  );
  return procedureCall(schema, 'append_v2', [
    ...streams.parameters(),
    arrayText(commands.map(({ appends: { length } }) => length)),
    arrayText(appendStreams),
    arrayText(appends.map(({ expectedVersion }) => expectedVersion)),
    arrayText(appends.map(({ messages: { length } }) => length)),
    arrayText(messageAppends),
    ...contentOf(messages),
    repeatsOf(messages),
  ]);
}

/** Reads what the functions answer: the last global position before, a verdict for each command, a version for each append. */
function verdictsOf(
  commands: readonly AppendCommand[],
  { appends, messages }: Group,
  answer: string,
): AppendVerdict[] {
  const [head, verdictList, endList] = answer.split(';') as [string, string, string];
  const verdicts = verdictList.split(',');
  const ends = endList.split(',');
  let globalPosition = BigInt(head);
  let append = 0;
  return commands.map((command, index): AppendVerdict => {
    const first = append;
    append += command.appends.length;
    const verdict = Number(verdicts[index]);
    if (verdict === 0) {
      return {
        kind: 'written',
        ends: command.appends.map((part, offset) => {
          globalPosition += BigInt(part.messages.length);
          return { position: BigInt(ends[first + offset] as string), globalPosition };
        }),
      };
    }
    if (verdict > 0) {
      const { stream, expectedVersion } = appends[verdict - 1] as StreamAppend;
      return {
        kind: 'conflict',
        stream,
        expectedVersion: expectedVersion as bigint,
        actualVersion: BigInt(ends[verdict - 1] as string),
      };
    }
    return { kind: 'duplicate_id', id: (messages[-verdict - 1] as MessageRow).id };
  });
}

async function importRows(run: Run, schema: string, rows: readonly ImportRow[]): Promise<ImportVerdict> {
  if (rows.length === 0) return { kind: 'imported' };
  const taken = takenWithin(rows);
  if (taken !== undefined) return taken;
  const streams = new StreamColumns();
  const streamOf = rows.map((row) => streams.numberOf(row));
  const [found] = await run<{ number: number; what: 'position' | 'global_position' | 'id' }>(
    call(schema, 'import_v2', [
      ...streams.parameters(),
      arrayText(streamOf),
      arrayText(rows.map(({ position }) => position)),
      arrayText(rows.map(({ globalPosition }) => globalPosition)),
      arrayText(rows.map(({ timeUs }) => timeUs)),
      ...contentOf(rows),
    ]),
  );
  if (found === undefined) return { kind: 'imported' };
  const { stream, position } = rows[found.number - 1] as ImportRow;
  return { kind: 'exists', what: found.what, stream, position };
}

/** The first row that takes what a row before it has; undefined where there is none. */
function takenWithin(rows: readonly ImportRow[]): ImportVerdict | undefined {
  const positions = new Set<string>();
  const globalPositions = new Set<bigint>();
  const ids = new Set<string>();
  for (const { stream, position, globalPosition, id } of rows) {
    // A position has no spaces, so that two streams cannot give one text.
    const place = `${position} ${stream}`;
    const what = positions.has(place)
      ? 'position'
      : globalPositions.has(globalPosition)
        ? 'global_position'
        : ids.has(id)
          ? 'id'
          : undefined;
    if (what !== undefined) return { kind: 'exists', what, stream, position };
    positions.add(place);
    globalPositions.add(globalPosition);
    ids.add(id);
  }
  return undefined;
}

/** The distinct streams of a statement, numbered from 1. */
class StreamColumns {
  readonly #numbers = new Map<string, number>();
  readonly #streams: { stream: string; category: string; cardinalHash: bigint | null }[] = [];

  numberOf(of: { stream: string; category: string; cardinalHash: bigint | null }): number {
    const known = this.#numbers.get(of.stream);
    if (known !== undefined) return known;
    const number = this.#streams.push(of);
    this.#numbers.set(of.stream, number);
    return number;
  }

  parameters(): Parameter[] {
    return [
      textArrayText(this.#streams.map(({ stream }) => stream)),
      textArrayText(this.#streams.map(({ category }) => category)),
      arrayText(this.#streams.map(({ cardinalHash }) => cardinalHash)),
    ];
  }
}

/** Ids, types, data, metadata and correlations, as the functions take them. */
function contentOf(messages: readonly MessageRow[]): Parameter[] {
  return [
    arrayText(messages.map(({ id }) => id)),
    textArrayText(messages.map(({ type }) => type)),
    messages.map(({ data }) => jsonLine(data)).join('\n'),
    messages.some(({ metadata }) => metadata !== null)
      ? messages.map(({ metadata }) => (metadata === null ? '' : jsonLine(metadata))).join('\n')
      : null,
    messages.some(({ correlation }) => correlation !== null)
      ? textArrayText(messages.map(({ correlation }) => correlation))
      : null,
  ];
}

// A line break within a JSON text stands between its tokens, never in a string, so that a space means the same.
function jsonLine(json: string): string {
  return json.includes('\n') ? json.replaceAll('\n', ' ') : json;
}

/** For each message the last one before it with its id, from 1; 0 for none. Null where all ids differ. */
function repeatsOf(messages: readonly MessageRow[]): string | null {
  if (messages.length < 2) return null;
  const last = new Map<string, number>();
  let hasRepeats = false;
  const repeats = messages.map(({ id }, index) => {
    const before = last.get(id) ?? 0;
    if (before > 0) hasRepeats = true;
    last.set(id, index + 1);
    return before;
  });
  return hasRepeats ? arrayText(repeats) : null;
}

interface RecordRow {
  id: string;
  stream_name: string;
  type: string;
  position: string;
  global_position: string;
  data: string;
  metadata: string | null;
  time_us: string;
}

function toRecord(row: RecordRow): MessageRecord {
  return {
    id: row.id,
    stream: row.stream_name,
    type: row.type,
    position: BigInt(row.position),
    globalPosition: BigInt(row.global_position),
    data: row.data,
    metadata: row.metadata,
    timeUs: Number(row.time_us),
  };
}
