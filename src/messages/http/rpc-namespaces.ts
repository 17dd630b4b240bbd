/** The methods of `/rpc` about namespaces: `ns.…`. */

import { MAX_LIST_NAMES, MAX_NAMESPACES } from '../../core/limits.ts';
import {
  checkNamespace,
  createToken,
  hashToken,
  MAX_DESCRIPTION_LENGTH,
  namespaceOfToken,
  STORE_ENGINES,
  type StoreEngine,
} from '../../store/namespaces.ts';
import { formatTimeUs } from '../../store/wire-time.ts';
import type { JsonObject } from '../message.ts';
import type { MessageStore } from '../message-store.ts';
import {
  type Arguments,
  isAbsent,
  limitOf,
  nameOf,
  objectOf,
  optionsOf,
  textOption,
} from './rpc-arguments.ts';
import { invalid } from './rpc-errors.ts';
import type { RpcPorts } from './rpc-method.ts';

/** Streams whose last message is asked for at a time, to tell when they were written to. */
const LISTED_AT_A_TIME = 16;

export async function namespaceCreate(args: Arguments, ports: RpcPorts): Promise<string> {
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

export async function namespaceDelete(args: Arguments, ports: RpcPorts): Promise<string> {
  const namespace = nameOf(args[0], 'namespace ID');
  const namespaces = await ports.namespaces(namespace);
  const { deletedAtUs, messagesDeleted } = await namespaces.delete(namespace);
  return `{"namespace":${JSON.stringify(namespace)},"deletedAt":"${formatTimeUs(deletedAtUs)}","messagesDeleted":${messagesDeleted}}`;
}

export async function namespaceList(args: Arguments, ports: RpcPorts): Promise<string> {
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

export async function namespaceInfo(args: Arguments, ports: RpcPorts): Promise<string> {
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
    // Beyond EventoDB.
    engine: info.engine,
    ...(info.events === undefined ? {} : { eventCount: Number(info.events) }),
  });
}

export async function namespaceStreams(args: Arguments, ports: RpcPorts): Promise<string> {
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

export async function namespaceCategories(args: Arguments, ports: RpcPorts): Promise<string> {
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
