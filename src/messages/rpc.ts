/**
 * `POST /rpc`: the methods of the message store as `["method", …arguments]`, with the wire shapes and the error codes of
 * EventoDB (`docs/API.md` there), so that clients written for it work unchanged. It knows neither HTTP nor who asks:
 * stores and namespaces come in as ports, which refuse whoever may not use them.
 */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import { elementsOf, memberOf } from '../core/json-parts.ts';
import { MAX_LIST_NAMES, MAX_NAMESPACES, MAX_PAGE_BYTES } from '../core/limits.ts';
import { compactJson, hasUnevenNumber, JsonText } from '../store/exact-numbers.ts';
import {
  checkNamespace,
  createToken,
  hashToken,
  MAX_DESCRIPTION_LENGTH,
  type Namespaces,
  namespaceOfToken,
  STORE_ENGINES,
  type StoreEngine,
} from '../store/namespaces.ts';
import { PageSize } from '../store/page-size.ts';
import { formatTimeUs } from '../store/wire-time.ts';
import type { MessageRecord } from './engine.ts';
import type { JsonObject, JsonValue } from './message.ts';
import type { MessageStore } from './message-store.ts';

export interface RpcPorts {
  /** The store of the caller's namespace. @throws SluiceError `unauthorized` */
  store(): Promise<MessageStore>;
  /**
   * The namespaces, for a caller who may do this.
   *
   * @param namespace the one it is about; undefined: all
   * @throws SluiceError `unauthorized` or `admin_disabled`
   */
  namespaces(namespace?: string): Promise<Namespaces>;
  health(): Promise<JsonObject>;
  /** Told what becomes `BACKEND_ERROR`, whose text the caller does not get unless it is an error of Sluice. */
  onFailure(error: unknown): void;
  randomBytes(length: number): Uint8Array;
}

export interface RpcAnswer {
  status: number;
  /** JSON text. In pieces where it is longer than a page: the next one is read once it is asked for. */
  body: string | AsyncIterable<string>;
}

/**
 * What `sys.version` answers: the version of Message DB whose semantics these are. Clients of system 1 show it, and
 * some compare it.
 */
export const RPC_VERSION = '1.3.0';

/** Messages that a read holds in memory at a time, whatever it was asked for; fewer where they are large. */
const PAGE_MESSAGES = 1_000;

/** Streams whose last message is asked for at a time, to tell when they were written to. */
const LISTED_AT_A_TIME = 16;

type Arguments = readonly JsonValue[];
type Method = (args: Arguments, ports: RpcPorts, text: string) => Promise<string | AsyncIterable<string>>;

const METHODS: Readonly<Record<string, Method>> = {
  'stream.write': streamWrite,
  'stream.get': streamGet,
  'stream.last': streamLast,
  'stream.version': streamVersion,
  'category.get': categoryGet,
  'ns.create': namespaceCreate,
  'ns.delete': namespaceDelete,
  'ns.list': namespaceList,
  'ns.info': namespaceInfo,
  'ns.streams': namespaceStreams,
  'ns.categories': namespaceCategories,
  'sys.version': async () => JSON.stringify(RPC_VERSION),
  'sys.health': async (_, { health }) => JSON.stringify(await health()),
};

/** Methods that are about the caller's own namespace, and run where its store is. */
const STORE_METHODS: ReadonlySet<string> = new Set([
  'stream.write',
  'stream.get',
  'stream.last',
  'stream.version',
  'category.get',
  'ns.streams',
  'ns.categories',
]);

/**
 * Characters of a request that no store answers: a name, a description, metadata. It is parsed before anybody has shown
 * a token, and nested arrays take thirty times the memory of their text.
 */
export const MAX_UNSTORED_REQUEST_CHARACTERS = 64 * 1024;

/** True for a request that needs the store of the caller's namespace. It reads no further than the method's name. */
export function needsStore(text: string): boolean {
  const plain = /^\s*\[\s*"([\w.]+)"/.exec(text)?.[1];
  if (plain !== undefined) return STORE_METHODS.has(plain);
  if (text.length > MAX_UNSTORED_REQUEST_CHARACTERS) return false;
  // Names can be written with escapes, too.
  try {
    const [method] = readRequest(text);
    return STORE_METHODS.has(method);
  } catch {
    return false;
  }
}

/** Answers one request. It never throws: what goes wrong is an answer. */
export async function answerRpc(text: string, ports: RpcPorts): Promise<RpcAnswer> {
  try {
    const [name, args] = readRequest(text);
    const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
    if (method === undefined) {
      throw new RpcError(
        'METHOD_NOT_FOUND',
        `Unknown method: ${JSON.stringify(name.slice(0, 100))}; there are ${Object.keys(METHODS).join(', ')}`,
      );
    }
    return { status: 200, body: await method(args, ports, text) };
  } catch (error) {
    return rpcErrorAnswer(error, ports.onFailure);
  }
}

const STATUS = {
  INVALID_REQUEST: 400,
  AUTH_REQUIRED: 401,
  AUTH_INVALID: 401,
  AUTH_UNAUTHORIZED: 403,
  METHOD_NOT_FOUND: 404,
  NAMESPACE_NOT_FOUND: 404,
  NAMESPACE_EXISTS: 409,
  STREAM_VERSION_CONFLICT: 409,
  POSITION_EXISTS: 409,
  // System 1 answers BACKEND_ERROR, which a client tries again, for ever.
  MESSAGE_ID_EXISTS: 409,
  TOO_MANY_SUBSCRIBERS: 429,
  IMPORT_FAILED: 500,
  CHECKPOINT_AHEAD: 503,
  BACKEND_ERROR: 500,
} as const;

export type RpcErrorCode = keyof typeof STATUS;

class RpcError extends Error {
  readonly code: RpcErrorCode;
  readonly details: JsonObject | undefined;

  constructor(code: RpcErrorCode, message: string, details?: JsonObject) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

const CODES: Readonly<Record<string, RpcErrorCode>> = {
  invalid_options: 'INVALID_REQUEST',
  invalid_stream_name: 'INVALID_REQUEST',
  invalid_category: 'INVALID_REQUEST',
  invalid_message: 'INVALID_REQUEST',
  invalid_namespace: 'INVALID_REQUEST',
  invalid_json: 'INVALID_REQUEST',
  invalid_utf8: 'INVALID_REQUEST',
  message_too_large: 'INVALID_REQUEST',
  nul_character: 'INVALID_REQUEST',
  lone_surrogate: 'INVALID_REQUEST',
  number_out_of_range: 'INVALID_REQUEST',
  nesting_too_deep: 'INVALID_REQUEST',
  admin_disabled: 'AUTH_UNAUTHORIZED',
  unknown_namespace: 'NAMESPACE_NOT_FOUND',
  namespace_exists: 'NAMESPACE_EXISTS',
  version_conflict: 'STREAM_VERSION_CONFLICT',
  position_exists: 'POSITION_EXISTS',
  duplicate_message_id: 'MESSAGE_ID_EXISTS',
  too_many_subscribers: 'TOO_MANY_SUBSCRIBERS',
};

/** What an error is on the wire. */
export function rpcErrorOf(error: unknown): { code: RpcErrorCode; message: string; details?: JsonObject } {
  if (error instanceof RpcError) {
    const { code, message, details } = error;
    return { code, message, ...(details === undefined ? {} : { details }) };
  }
  if (!isSluiceError(error)) return { code: 'BACKEND_ERROR', message: failureText(error) };
  const { code, message } = error;
  const details = error.details ?? {};
  if (code === 'unauthorized') {
    return { code: details.token === 'missing' ? 'AUTH_REQUIRED' : 'AUTH_INVALID', message };
  }
  if (code === 'version_conflict') {
    const expected = versionNumber(details.expectedVersion);
    const actual = versionNumber(details.actualVersion);
    return {
      code: 'STREAM_VERSION_CONFLICT',
      message: `Expected version ${expected}, stream is at version ${actual}`,
      details: { expected, actual },
    };
  }
  if (code === 'checkpoint_ahead')
    return { code: 'CHECKPOINT_AHEAD', message, details: details as JsonObject };
  const wire = CODES[code];
  return wire === undefined
    ? { code: 'BACKEND_ERROR', message: failureText(error) }
    : { code: wire, message };
}

/** Failures whose text is about what the caller did, or when. */
const TOLD_FAILURES: ReadonlySet<string> = new Set(['buffer_full', 'time_limit', 'store_closed']);

/**
 * What a caller is told of a failure. Whoever has a token is a tenant: addresses of databases and what these say go to
 * the log.
 */
export function failureText(error: unknown): string {
  if (isSluiceError(error)) {
    if (TOLD_FAILURES.has(error.code)) return error.message;
    if (error.code === 'database_unreachable') return 'The database cannot be reached; see the log';
  }
  return 'Something failed inside Sluice; see the log';
}

/** An error as an answer: `{"error":{"code","message","details"}}`. */
export function rpcErrorAnswer(
  error: unknown,
  onFailure: (error: unknown) => void,
): { status: number; body: string } {
  const wire = rpcErrorOf(error);
  if (wire.code === 'BACKEND_ERROR') onFailure(error);
  return { status: STATUS[wire.code], body: JSON.stringify({ error: wire }) };
}

/** A request without a token, or with one that is not right. */
export function unauthorized(token: 'missing' | 'invalid'): SluiceError {
  return new SluiceError(
    'unauthorized',
    token === 'missing'
      ? 'Authorization header required: send "Authorization: Bearer <token of the namespace>"'
      : 'The token is not that of a namespace',
    { details: { token } },
  );
}

function versionNumber(version: unknown): number {
  return version === 'no-stream' ? -1 : Number(version);
}

function readRequest(text: string): [method: string, args: Arguments] {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch (error) {
    throw new RpcError('INVALID_REQUEST', 'Malformed JSON request', { error: errorText(error) });
  }
  if (!Array.isArray(request) || request.length === 0)
    throw invalid('the request must be an array: ["method", …arguments]');
  const [method, ...args] = request as JsonValue[];
  if (typeof method !== 'string') throw invalid('method name must be a string');
  return [method, args];
}

async function streamWrite(args: Arguments, ports: RpcPorts, text: string): Promise<string> {
  const store = await ports.store();
  const stream = nameOf(args[0], 'streamName');
  const message = objectOf(args[1], 'message');
  const type = message.type;
  if (typeof type !== 'string' || type === '') throw invalid('message.type must be a non-empty string');
  objectOf(message.data, 'message.data');
  const metadata = isAbsent(message.metadata) ? null : objectOf(message.metadata, 'message.metadata');
  const options = optionsOf(args[2]);
  const id = textOption(options, 'id', 'options.id');
  const expected = integerOption(options, 'expectedVersion', -1);
  // With the digits that were sent, for the store; what is checked above are values.
  const sent = hasUnevenNumber(text) ? sentTexts(text) : message;
  const { position, globalPosition } = await store.write(
    stream,
    {
      type,
      data: sent.data as JsonValue,
      metadata: metadata === null ? null : (sent.metadata as JsonValue),
      ...(id === undefined || id === '' ? {} : { id }),
    },
    expected === undefined ? {} : { expectedVersion: expected === -1 ? 'no-stream' : BigInt(expected) },
  );
  return `{"position":${position},"globalPosition":${globalPosition}}`;
}

/** Data and metadata as they stand in the text of a `stream.write`. */
function sentTexts(text: string): { data: JsonText; metadata: JsonText } {
  const message = elementsOf(text)?.[2] ?? '{}';
  const partOf = (name: string): JsonText =>
    new JsonText(compactJson(memberOf(message, name) ?? 'null', refuseInfinite));
  return { data: partOf('data'), metadata: partOf('metadata') };
}

function refuseInfinite(source: string): never {
  throw new SluiceError(
    'number_out_of_range',
    `The message has the number ${source.slice(0, 100)}, which is an infinity to most readers; write it as a text`,
  );
}

async function streamGet(args: Arguments, ports: RpcPorts): Promise<string | AsyncIterable<string>> {
  const store = await ports.store();
  const stream = nameOf(args[0], 'streamName');
  const options = optionsOf(args[1]);
  const position = integerOption(options, 'position', 0) ?? 0;
  const globalPosition = integerOption(options, 'globalPosition', 0);
  return listed(
    batchSizeOf(options),
    async (after, batchSize) => {
      const from = BigInt(globalPosition ?? 0);
      if (after === undefined) {
        const start =
          globalPosition === undefined ? { position: BigInt(position) } : { globalPosition: from };
        return store.readStreamRecords(stream, { ...start, batchSize });
      }
      // By position also here: imports may have given the stream another order than that of all messages.
      const found: MessageRecord[] = [];
      for (let next = after.position + 1n; found.length < batchSize; ) {
        const page = await store.readStreamRecords(stream, { position: next, batchSize });
        for (const record of page) if (record.globalPosition >= from) found.push(record);
        const last = page.at(-1);
        if (last === undefined || page.length < batchSize) break;
        next = last.position + 1n;
      }
      return found.slice(0, batchSize);
    },
    streamRow,
  );
}

async function streamLast(args: Arguments, ports: RpcPorts): Promise<string> {
  const store = await ports.store();
  const stream = nameOf(args[0], 'streamName');
  const type = textOption(optionsOf(args[1]), 'type', 'options.type');
  const last = await store.lastRecord(stream, type === undefined ? {} : { type });
  return last === undefined ? 'null' : streamRow(last);
}

async function streamVersion(args: Arguments, ports: RpcPorts): Promise<string> {
  const store = await ports.store();
  const version = await store.version(nameOf(args[0], 'streamName'));
  return version === undefined ? 'null' : String(version);
}

async function categoryGet(args: Arguments, ports: RpcPorts): Promise<string | AsyncIterable<string>> {
  const store = await ports.store();
  // System 1 refuses the empty name here, though its later stores read all categories by it.
  const category = nameOf(args[0], 'categoryName');
  const options = optionsOf(args[1]);
  const from = integerOption(options, 'globalPosition', 0) ?? integerOption(options, 'position', 0) ?? 1;
  const correlation = textOption(options, 'correlation', 'options.correlation');
  const group = isAbsent(options.consumerGroup)
    ? {}
    : objectOf(options.consumerGroup, 'options.consumerGroup');
  const member = integerOption(group, 'member', undefined, 'options.consumerGroup.');
  const size = integerOption(group, 'size', undefined, 'options.consumerGroup.');
  if ((member === undefined) !== (size === undefined))
    throw invalid('options.consumerGroup requires both member and size');
  return listed(
    batchSizeOf(options),
    (after, batchSize) =>
      store.readCategoryRecords(category, {
        globalPosition: after === undefined ? BigInt(Math.max(1, from)) : after.globalPosition + 1n,
        batchSize,
        ...(correlation === undefined ? {} : { correlation }),
        ...(member === undefined || size === undefined ? {} : { consumer: { member, size } }),
      }),
    categoryRow,
  );
}

async function namespaceCreate(args: Arguments, ports: RpcPorts): Promise<string> {
  const namespaces = await ports.namespaces();
  const namespace = nameOf(args[0], 'namespace ID');
  checkNamespace(namespace);
  const options = optionsOf(args[1]);
  const description = textOption(options, 'description', 'options.description') ?? '';
  if (description.length > MAX_DESCRIPTION_LENGTH)
    throw invalid(`options.description must have at most ${MAX_DESCRIPTION_LENGTH} characters`);
  if (!isAbsent(options.metadata)) objectOf(options.metadata, 'options.metadata');
  const engine = textOption(options, 'engine', 'options.engine') as StoreEngine | undefined;
  if (engine !== undefined && !STORE_ENGINES.includes(engine))
    throw invalid(`options.engine must be one of ${STORE_ENGINES.join(', ')}`);
  const given = textOption(options, 'token', 'options.token') ?? '';
  if (given !== '' && namespaceOfToken(given) !== namespace)
    throw invalid(
      `options.token must be a token of this namespace: ns_${btoa(namespace).replaceAll('=', '')}_<64 hex digits>`,
    );
  const token = given === '' ? createToken(namespace, ports.randomBytes) : given;
  const { createdAtUs } = await namespaces.create({
    namespace,
    description,
    engine,
    tokenHash: hashToken(token),
  });
  return JSON.stringify({ namespace, token, createdAt: formatTimeUs(createdAtUs) });
}

async function namespaceDelete(args: Arguments, ports: RpcPorts): Promise<string> {
  const namespace = nameOf(args[0], 'namespace ID');
  const namespaces = await ports.namespaces(namespace);
  const { deletedAtUs, messagesDeleted } = await namespaces.delete(namespace);
  return `{"namespace":${JSON.stringify(namespace)},"deletedAt":"${formatTimeUs(deletedAtUs)}","messagesDeleted":${messagesDeleted}}`;
}

async function namespaceList(args: Arguments, ports: RpcPorts): Promise<string> {
  const namespaces = await ports.namespaces();
  const found = await allPages(
    optionsOf(args[0]),
    (page) => namespaces.list(page),
    ({ namespace }) => namespace,
  );
  return `[${found
    .map(
      ({ namespace, description, createdAtUs, messages }) =>
        `{"namespace":${JSON.stringify(namespace)},"description":${JSON.stringify(description)},"createdAt":"${formatTimeUs(createdAtUs)}","messageCount":${messages}}`,
    )
    .join(',')}]`;
}

async function namespaceInfo(args: Arguments, ports: RpcPorts): Promise<string> {
  const namespace = nameOf(args[0], 'namespace ID');
  const namespaces = await ports.namespaces(namespace);
  const info = await namespaces.info(namespace);
  return JSON.stringify({
    namespace: info.namespace,
    description: info.description,
    createdAt: formatTimeUs(info.createdAtUs),
    messageCount: Number(info.messages),
    streamCount: Number(info.streams ?? 0n),
    lastActivity: info.lastActivityUs === undefined ? null : formatTimeUs(info.lastActivityUs),
    // Beyond system 1.
    engine: info.engine,
    ...(info.events === undefined ? {} : { eventCount: Number(info.events) }),
  });
}

async function namespaceStreams(args: Arguments, ports: RpcPorts): Promise<string> {
  const store = await ports.store();
  const options = optionsOf(args[0]);
  const streams = await store.listStreams({
    prefix: textOption(options, 'prefix', 'prefix') ?? '',
    after: textOption(options, 'cursor', 'cursor') ?? '',
    limit: limitOf(options) ?? 100,
  });
  const rows: string[] = [];
  for (let index = 0; index < streams.length; index += LISTED_AT_A_TIME) {
    const some = streams.slice(index, index + LISTED_AT_A_TIME);
    const last = await Promise.all(some.map(({ stream }) => lastActivity(store, stream)));
    for (const [at, { stream, version }] of some.entries()) {
      rows.push(
        `{"stream":${JSON.stringify(stream)},"version":${version},"lastActivity":${JSON.stringify(last[at])}}`,
      );
    }
  }
  return `[${rows.join(',')}]`;
}

async function lastActivity(store: MessageStore, stream: string): Promise<string | null> {
  const last = await store.lastRecord(stream);
  return last === undefined ? null : formatTimeUs(last.timeUs);
}

async function namespaceCategories(args: Arguments, ports: RpcPorts): Promise<string> {
  const store = await ports.store();
  const options = optionsOf(args[0]);
  const prefix = textOption(options, 'prefix', 'prefix') ?? '';
  const categories = await allPages(
    options,
    ({ after, limit }) => store.listCategories({ prefix, after, limit }),
    ({ category }) => category,
  );
  return `[${categories
    .map(
      ({ category, streams, messages }) =>
        `{"category":${JSON.stringify(category)},"streamCount":${streams},"messageCount":${messages}}`,
    )
    .join(',')}]`;
}

/** How a namespace stands: the part of its info that only its store knows. */
export async function storeFigures(
  store: MessageStore,
): Promise<{ messages: bigint; streams: bigint; lastActivityUs: number | undefined }> {
  const { messages, head } = await store.info();
  const [last] =
    head === 0n ? [] : await store.readCategoryRecords('', { globalPosition: head, batchSize: 1 });
  let streams = 0n;
  for (let after = ''; ; ) {
    const page = await store.listCategories({ prefix: '', after, limit: MAX_LIST_NAMES });
    for (const category of page) streams += category.streams;
    const end = page.at(-1);
    if (end === undefined || page.length < MAX_LIST_NAMES) break;
    after = end.category;
  }
  return { messages, streams, lastActivityUs: last?.timeUs };
}

/**
 * One page where one was asked for by `limit`; else everything, as EventoDB's clients expect, or a refusal where that is
 * too much for one answer.
 */
async function allPages<Row>(
  options: JsonObject,
  read: (page: { after: string; limit: number }) => Promise<Row[]>,
  nameOfRow: (row: Row) => string,
): Promise<Row[]> {
  const limit = limitOf(options);
  let after = textOption(options, 'cursor', 'cursor') ?? '';
  if (limit !== undefined) return read({ after, limit });
  const rows: Row[] = [];
  for (;;) {
    const page = await read({ after, limit: MAX_LIST_NAMES });
    rows.push(...page);
    if (rows.length > MAX_NAMESPACES)
      throw invalid(`There are more than ${MAX_NAMESPACES}: ask for them in pages, by limit and cursor`);
    const last = page.at(-1);
    if (last === undefined || page.length < MAX_LIST_NAMES) return rows;
    after = nameOfRow(last);
  }
}

/**
 * Messages as a JSON array. Up to a page it is one text; beyond that, pages are read as the array is taken, so that
 * memory stays bounded.
 *
 * @param limit undefined: all
 */
async function listed(
  limit: number | undefined,
  read: (after: MessageRecord | undefined, batchSize: number) => Promise<MessageRecord[]>,
  row: (message: MessageRecord) => string,
): Promise<string | AsyncIterable<string>> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  if (left === 0) return '[]';
  const size = new PageSize(PAGE_MESSAGES, MAX_PAGE_BYTES);
  const firstWanted = Math.min(left, size.messages);
  // Before the answer begins, so that what is wrong with the request is a status.
  const first = await read(undefined, firstWanted);
  size.learn(first);
  left -= first.length;
  if (first.length < firstWanted || left === 0) return `[${first.map(row).join(',')}]`;
  return (async function* () {
    yield `[${first.map(row).join(',')}`;
    let after = first.at(-1) as MessageRecord;
    while (left > 0) {
      const wanted = Math.min(left, size.messages);
      const page = await read(after, wanted);
      size.learn(page);
      left -= page.length;
      if (page.length > 0) yield `,${page.map(row).join(',')}`;
      if (page.length < wanted) break;
      after = page.at(-1) as MessageRecord;
    }
    yield ']';
  })();
}

// Data and metadata are JSON text already.
function streamRow({ id, type, position, globalPosition, data, metadata, timeUs }: MessageRecord): string {
  return `["${id}",${JSON.stringify(type)},${position},${globalPosition},${data},${metadata ?? 'null'},"${formatTimeUs(timeUs)}"]`;
}

function categoryRow(record: MessageRecord): string {
  const { id, stream, type, position, globalPosition, data, metadata, timeUs } = record;
  return `["${id}",${JSON.stringify(stream)},${JSON.stringify(type)},${position},${globalPosition},${data},${metadata ?? 'null'},"${formatTimeUs(timeUs)}"]`;
}

function invalid(message: string): RpcError {
  return new RpcError('INVALID_REQUEST', message);
}

// Clients write null for what they leave out.
function isAbsent(value: JsonValue | undefined): value is null | undefined {
  return value === undefined || value === null;
}

function nameOf(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(`${what} must be a non-empty string`);
}

function objectOf(value: JsonValue | undefined, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw invalid(`${what} must be an object`);
}

// Options that mean nothing here are passed over, as system 1 does: its clients send some.
function optionsOf(value: JsonValue | undefined): JsonObject {
  return isAbsent(value) ? {} : objectOf(value, 'options');
}

function textOption(options: JsonObject, name: string, what: string): string | undefined {
  const value = options[name];
  if (isAbsent(value)) return undefined;
  if (typeof value === 'string') return value;
  throw invalid(`${what} must be a string`);
}

function integerOption(
  options: JsonObject,
  name: string,
  min: number | undefined,
  path = 'options.',
): number | undefined {
  const value = options[name];
  if (isAbsent(value)) return undefined;
  if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER)
    throw invalid(`${path}${name} must be at most ${Number.MAX_SAFE_INTEGER} (2^53 - 1)`);
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw invalid(`${path}${name} must be a whole number`);
  if (min !== undefined && value < min) throw invalid(`${path}${name} must be at least ${min}`);
  return value;
}

/** As many as were asked for: the answer is read in pages. @returns undefined for all */
function batchSizeOf(options: JsonObject): number | undefined {
  const size = integerOption(options, 'batchSize', -1) ?? 1_000;
  return size === -1 ? undefined : size;
}

function limitOf(options: JsonObject): number | undefined {
  const limit = integerOption(options, 'limit', undefined, '');
  if (limit === undefined || (limit >= 1 && limit <= MAX_LIST_NAMES)) return limit;
  throw invalid(`limit must be between 1 and ${MAX_LIST_NAMES}`);
}
