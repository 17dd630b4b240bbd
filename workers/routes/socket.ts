/** `GET /ws/:sink`: finds out who connects, finds the producer's shard, and hands the upgrade over to it. */

import { type Context, Hono } from 'hono';
import { readCredentials } from '../../src/access/credentials.ts';
import { ownedName } from '../../src/access/producer-name.ts';
import { encodeAccess, type SocketAccess } from '../../src/access/socket-access.ts';
import { assertTenantName } from '../../src/access/tenant.ts';
import { closeCode, closeReason, isSluiceError, rawCloseCode, SluiceError } from '../../src/core/errors.ts';
import { assertProducerName, shardOf } from '../../src/protocol/producer.ts';
import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import type { Authorization } from '../authorization.ts';
import { bound } from '../bound.ts';
import type { Env } from '../env.ts';
import { ADDRESS_HEADER, ASSIGNED_HEADER, GRANT_HEADER, PRODUCER_HEADER } from '../objects.ts';
import { encodeShardName } from '../shard-name.ts';
import type { Sinks } from '../sinks.ts';
import { chooseProtocol } from '../subprotocol.ts';

/** Headers of an upgrade that a shard gets. */
const PASSED_ON = [
  'upgrade',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'cf-connecting-ip',
];

export function socketRoutes(sinks: Sinks, authorization: Authorization): Hono<{ Bindings: Env }> {
  const socketRoute = new Hono<{ Bindings: Env }>();

  socketRoute.get('/ws/:sink', (context) => {
    const { env, req } = context;
    const { sink: sinkName } = req.param();
    const shards = bound(env, 'SHARD');
    // A browser shows neither status nor body of a refused upgrade, and would try again for ever without a reason.
    return acceptUpgrade(context, async () => {
      const isOpen = authorization.isOpen(env);
      const sink = sinks.find(env, sinkName);
      if (sink === undefined) throw isOpen ? sinks.unknown(env, sinkName) : unknownToStrangers(sinkName);
      const given = producerIn(req.queries('producer'));
      const named = tenantIn(req.queries('tenant'));
      const access = isOpen ? 'open' : await accessOf(context, authorization, sinkName, given, named);
      const grant = typeof access === 'string' ? undefined : access;
      // An open sink has no tenants. Where nobody has said yet who it is, a token of another tenant is refused later.
      const tenant = access === 'none' ? named : grant?.tenant;
      const producer = given ?? grant?.producer;
      const owned = ownedName(tenant, producer ?? crypto.randomUUID());
      const number = shardOf(owned, sink.options.shards);
      const shard = shards.getByName(encodeShardName({ sink: sinkName, shard: number }));
      return { shard, producer: owned, isAssigned: producer === undefined, access };
    });
  });
  return socketRoute;
}

/** Where an upgrade goes: the Durable Object, the producer's whole name there, and what it may do. */
export interface Destination {
  shard: { fetch(request: Request): Promise<Response> };
  producer: string;
  /** The server has made up its name. */
  isAssigned: boolean;
  access: SocketAccess;
}

/**
 * Passes an upgrade on to where `find` says. What it throws as a SluiceError is said over the socket: the upgrade is accepted,
 * and the socket closed at once with code and reason.
 *
 * @throws SluiceError `upgrade_required`, `unsupported_subprotocol`; what `find` throws, where no upgrade was asked for
 */
export async function acceptUpgrade(
  context: Pick<Context, 'req'>,
  find: () => Destination | Promise<Destination>,
): Promise<Response> {
  const request = context.req.raw;
  if (!isUpgrade(request)) {
    // Who asks without an upgrade can read an answer.
    await find();
    throw new SluiceError(
      'upgrade_required',
      'This address takes WebSockets: send the request with the header "Upgrade: websocket"',
    );
  }
  const protocol = chooseProtocol(request);
  let destination: Destination;
  try {
    destination = await find();
  } catch (error) {
    return refusedUpgrade(request, error);
  }
  return destination.shard.fetch(shardRequest(request, protocol, destination));
}

/** Whether a request asks for a socket. */
export function isUpgrade(request: Request): boolean {
  return request.method === 'GET' && request.headers.get('upgrade')?.toLowerCase() === 'websocket';
}

/** What somebody may do who connects to a sink that is not open to everybody. */
async function accessOf(
  { env, req: { raw: request } }: Context<{ Bindings: Env }>,
  authorization: Authorization,
  sink: string,
  producer: string | undefined,
  tenant: string | undefined,
): Promise<SocketAccess> {
  const { token, ticket } = readCredentials(request);
  try {
    return await authorization.ask(request, { sink, producer, tenant, token, ticket }, env);
  } catch (error) {
    // It is asked all the same: a function may know a request by something else than these.
    const hasSaidNothing = token === undefined && ticket === undefined;
    const isUnknown = isSluiceError(error) && error.code === 'unauthorized';
    if (!isUnknown || !hasSaidNothing || !isUpgrade(request)) throw error;
    // A client of sluice.v1 that can offer no token here brings it in its hello.
    if (chooseProtocol(request) !== SLUICE_V1) throw error;
    return 'none';
  }
}

/** Which sinks there are is no business of strangers. */
function unknownToStrangers(name: string): SluiceError {
  return new SluiceError('unknown_sink', `There is no sink ${JSON.stringify(name.slice(0, 64))}`);
}

/**
 * A socket that is closed at once, with the code and the reason of an error.
 *
 * @throws SluiceError `unsupported_subprotocol`; what is not one of Sluice's errors
 */
export function refusedUpgrade(request: Request, error: unknown): Response {
  if (!isSluiceError(error)) throw error;
  const protocol = chooseProtocol(request);
  const code = protocol === SLUICE_V1 ? closeCode(error.code) : rawCloseCode(error.code);
  return refusingSocket(protocol, code, closeReason(error.code, error.message));
}

function refusingSocket(protocol: string | undefined, code: number, reason: string): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.close(code, reason);
  const headers: Record<string, string> =
    protocol === undefined ? {} : { 'sec-websocket-protocol': protocol };
  return new Response(null, { status: 101, webSocket: client, headers });
}

/**
 * The name that a client gave itself, or a new one.
 *
 * @throws SluiceError `invalid_options` where it is none, or was given twice
 */
export function producerOf(given: readonly string[] | undefined): string {
  return producerIn(given) ?? crypto.randomUUID();
}

function producerIn(given: readonly string[] | undefined): string | undefined {
  const name = onlyOne(given, 'producer');
  if (name !== undefined) assertProducerName(name);
  return name;
}

function tenantIn(given: readonly string[] | undefined): string | undefined {
  const name = onlyOne(given, 'tenant');
  if (name !== undefined) assertTenantName(name);
  return name;
}

function onlyOne(given: readonly string[] | undefined, what: string): string | undefined {
  const [name, second] = given ?? [];
  if (second === undefined) return name;
  throw new SluiceError('invalid_options', `${what} is given twice: name the ${what} once`, {
    details: { option: what },
  });
}

// Only what the shard reads: no token, ticket or cookie gets beyond this, and nobody outside can say what is said here.
function shardRequest(
  request: Request,
  protocol: string | undefined,
  { producer, isAssigned, access }: Destination,
): Request {
  const headers = new Headers();
  for (const name of PASSED_ON) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  if (protocol !== undefined) headers.set('sec-websocket-protocol', protocol);
  headers.set(PRODUCER_HEADER, producer);
  headers.set(GRANT_HEADER, encodeAccess(access));
  const { origin, pathname, searchParams } = new URL(request.url);
  const address = new URL(pathname, origin);
  for (const name of ['producer', 'tenant']) {
    const value = searchParams.get(name);
    if (value !== null) address.searchParams.set(name, value);
  }
  headers.set(ADDRESS_HEADER, address.href);
  if (isAssigned) headers.set(ASSIGNED_HEADER, 'yes');
  return new Request('http://shard/', { headers });
}
