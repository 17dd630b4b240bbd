/**
 * The stores over HTTP: `POST /rpc`, `GET /subscribe`, `POST /import` and `GET /export` for messages, `GET /read`,
 * `POST /append` and `GET /events/subscribe` for events. The token of a request names its namespace, whose Durable Object
 * checks it and answers. Namespaces are created, deleted and listed by those who
 * may operate; the holder of a namespace's token may also delete it and ask how it stands.
 */

import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { decodeUtf8 } from '../../src/core/decode-utf8.ts';
import { isSluiceError, SluiceError } from '../../src/core/errors.ts';
import { MAX_APPEND_BODY_BYTES, MAX_RPC_BODY_BYTES } from '../../src/core/limits.ts';
import {
  answerRpc,
  MAX_UNSTORED_REQUEST_CHARACTERS,
  needsStore,
  RPC_VERSION,
} from '../../src/messages/http/rpc.ts';
import { unauthorized } from '../../src/messages/http/rpc-errors.ts';
import { checkNamespace, type Namespaces, namespaceOfToken } from '../../src/store/namespaces.ts';
import { assertRole } from '../access.ts';
import { bound } from '../bound.ts';
import type { Env } from '../env.ts';
import { ACCESS_HEADER } from '../objects.ts';
import { standardEngine } from '../registry.ts';
import { registryOf } from '../registry-calls.ts';
import { jsonResponse, logStoreFailure, randomBytes, storeErrorResponse } from '../store-answers.ts';
import { streamOf } from '../streamed-body.ts';
import { ownAddress, ownPath } from './own-path.ts';

type StoreContext = Context<{ Bindings: Env }>;

export const storeRoutes = new Hono<{ Bindings: Env }>();

storeRoutes.use('/rpc', limitBody(MAX_RPC_BODY_BYTES));
storeRoutes.use('/append', limitBody(MAX_APPEND_BODY_BYTES));

storeRoutes.post('/rpc', (context) =>
  answered(context, async () => {
    assertNoForm(context, 'application/json');
    const text = decodeUtf8(await context.req.arrayBuffer(), 'The request');
    if (needsStore(text)) return forward(context, { method: 'POST', body: text });
    if (text.length > MAX_UNSTORED_REQUEST_CHARACTERS)
      throw new SluiceError(
        'message_too_large',
        `A request that is for no store is larger than ${MAX_UNSTORED_REQUEST_CHARACTERS} characters`,
      );
    const { status, body } = await answerRpc(text, {
      store: async () => {
        throw new SluiceError('internal', 'Stores are asked where they are');
      },
      namespaces: (namespace) => namespacesFor(context, namespace),
      health: async () => ({
        status: 'ok',
        backend: standardEngine(context.env),
        connections: 0,
        version: RPC_VERSION,
      }),
      onFailure: logStoreFailure,
      randomBytes,
    });
    return jsonResponse(typeof body === 'string' ? body : streamOf(body, logStoreFailure), status);
  }),
);

for (const path of ['/subscribe', '/events/subscribe'] as const) {
  storeRoutes.get(path, (context) => answered(context, () => forward(context, { method: 'GET' })));
}

storeRoutes.post('/import', (context) =>
  answered(context, async () => {
    assertNoForm(context, 'application/x-ndjson');
    return forward(context, { method: 'POST', body: context.req.raw.body });
  }),
);

storeRoutes.get('/export', (context) => answered(context, () => forward(context, { method: 'GET' })));

storeRoutes.get('/read', (context) => answered(context, () => forward(context, { method: 'GET' })));

storeRoutes.post('/append', (context) =>
  answered(context, async () => {
    assertNoForm(context, 'application/json');
    // Before anything is read for a request without a token.
    namespaceOf(context);
    return forward(context, { method: 'POST', body: await context.req.arrayBuffer() });
  }),
);

/** Passes a request on to the namespace that its token names, or to the open one. */
function forward(
  context: StoreContext,
  request: { method: string; body?: string | ArrayBuffer | ReadableStream | null },
): Promise<Response> {
  const { namespace, token } = namespaceOf(context);
  const headers: Record<string, string> = {
    [ACCESS_HEADER]: token === undefined ? 'open' : `token ${token}`,
  };
  const lastEventId = context.req.header('last-event-id');
  if (lastEventId !== undefined) headers['last-event-id'] = lastEventId;
  return bound(context.env, 'NAMESPACE')
    .getByName(namespace)
    .fetch(new Request(ownAddress(context), { ...request, headers }));
}

/** The namespace that a request is for. Whether its token is the right one, only the namespace knows. */
function namespaceOf(context: StoreContext): { namespace: string; token: string | undefined } {
  const token = tokenOf(context);
  if (token === undefined) {
    const namespace = context.env.OPEN_NAMESPACE ?? '';
    if (namespace === '') throw unauthorized('missing');
    checkNamespace(namespace);
    return { namespace, token };
  }
  const namespace = namespaceOfToken(token);
  if (namespace === undefined) throw unauthorized('invalid');
  return { namespace, token };
}

/** The namespaces, for an operator; for the holder of a namespace's token as far as they are about that one. */
async function namespacesFor(context: StoreContext, namespace: string | undefined): Promise<Namespaces> {
  const { env } = context;
  const token = tokenOf(context);
  const isOwn = token !== undefined && namespace !== undefined && namespaceOfToken(token) === namespace;
  if (isOwn && (await bound(env, 'NAMESPACE').getByName(namespace).verify(token))) return registryOf(env);
  try {
    assertRole(env, 'operate', context.req.header('authorization'));
  } catch (error) {
    if (isSluiceError(error) && error.code === 'unauthorized')
      throw unauthorized(token === undefined ? 'missing' : 'invalid');
    throw error;
  }
  return registryOf(env);
}

/** The token of a request: in the address, where an EventSource has to put it, or in its header. */
function tokenOf(context: StoreContext): string | undefined {
  const inAddress = context.req.query('token');
  if (inAddress !== undefined && inAddress !== '') return inAddress;
  const authorization = context.req.header('authorization');
  if (authorization === undefined) return undefined;
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (token === undefined) throw unauthorized('invalid');
  return token;
}

// A page of any other site can make a browser send a form or plain text to a Worker on this machine, where no token is
// asked for; what it declares as something else is asked about first, and so is a header. An address it may choose.
function assertNoForm(context: StoreContext, expected: string): void {
  if (context.req.header('authorization') !== undefined) return;
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (!['', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'].includes(type)) return;
  throw new SluiceError(
    'invalid_options',
    `Without the header Authorization, send "Content-Type: ${expected}"`,
  );
}

function limitBody(maxSize: number) {
  return bodyLimit({
    maxSize,
    onError: (context) =>
      storeErrorResponse(
        ownPath(context),
        new SluiceError('message_too_large', `The body is larger than ${maxSize} bytes`, {
          details: { maxBytes: maxSize },
        }),
      ),
  });
}

async function answered(context: StoreContext, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    return storeErrorResponse(ownPath(context), error);
  }
}
