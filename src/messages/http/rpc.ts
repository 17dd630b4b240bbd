/**
 * `POST /rpc`: the methods of the message store as `["method", …arguments]`, with the wire shapes and the error codes of
 * EventoDB (`docs/API.md` there), so that clients written for it work unchanged. It knows neither HTTP nor who asks:
 * stores and namespaces come in as ports, which refuse those who may not use them.
 */

import { errorText } from '../../core/errors.ts';
import type { JsonValue } from '../message.ts';
import type { Arguments } from './rpc-arguments.ts';
import { invalid, RpcError, rpcErrorAnswer } from './rpc-errors.ts';
import type { Method, RpcPorts } from './rpc-method.ts';
import {
  namespaceCategories,
  namespaceCreate,
  namespaceDelete,
  namespaceInfo,
  namespaceList,
  namespaceStreams,
} from './rpc-namespaces.ts';
import { categoryGet, streamGet, streamLast, streamVersion, streamWrite } from './rpc-streams.ts';

export interface RpcAnswer {
  status: number;
  /** JSON text. In pieces where it is longer than a page: the next one is read once it is asked for. */
  body: string | AsyncIterable<string>;
}

/**
 * What `sys.version` answers: the version of Message DB whose semantics these are. Clients of EventoDB show it, and
 * some compare it.
 */
export const RPC_VERSION = '1.3.0';

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
