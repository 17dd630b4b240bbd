/** `GET /ws/:sink`: finds the producer's shard and hands the upgrade over to it. */

import { type Context, Hono } from 'hono';
import { closeCode, closeReason, isSluiceError, rawCloseCode, SluiceError } from '../../src/core/errors.ts';
import { assertProducerName, shardOf } from '../../src/protocol/producer.ts';
import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import { bound } from '../bound.ts';
import type { Env } from '../env.ts';
import { PRODUCER_HEADER } from '../objects.ts';
import { encodeShardName } from '../shard-name.ts';
import type { Sinks } from '../sinks.ts';
import { chooseProtocol } from '../subprotocol.ts';

export function socketRoutes(sinks: Sinks): Hono<{ Bindings: Env }> {
  const socketRoute = new Hono<{ Bindings: Env }>();

  socketRoute.get('/ws/:sink', (context) => {
    const { sink: sinkName } = context.req.param();
    const shards = bound(context.env, 'SHARD');
    // A browser shows neither status nor body of a refused upgrade, and would try again for ever without a reason.
    return acceptUpgrade(context, () => {
      const sink = sinks.find(context.env, sinkName);
      if (sink === undefined) throw sinks.unknown(context.env, sinkName);
      const producer = producerOf(context.req.queries('producer'));
      const number = shardOf(producer, sink.options.shards);
      const shard = shards.getByName(encodeShardName({ sink: sinkName, shard: number }));
      return { shard, producer };
    });
  });
  return socketRoute;
}

/** Where an upgrade goes: the Durable Object, and the producer's name there. */
export interface Destination {
  shard: { fetch(request: Request): Promise<Response> };
  producer: string;
}

/**
 * Passes an upgrade on to where `find` says. What it throws as a SluiceError is said over the socket: the upgrade is accepted,
 * and the socket closed at once with code and reason.
 *
 * @throws SluiceError `upgrade_required`, `unsupported_subprotocol`; what `find` throws, where no upgrade was asked for
 */
export async function acceptUpgrade(
  context: Pick<Context, 'req'>,
  find: () => Destination,
): Promise<Response> {
  const request = context.req.raw;
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
    // Who asks without an upgrade can read an answer.
    find();
    throw new SluiceError(
      'upgrade_required',
      'This address takes WebSockets: send the request with the header "Upgrade: websocket"',
    );
  }
  const protocol = chooseProtocol(request);
  try {
    const { shard, producer } = find();
    return upgrade(request, shard, producer);
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    const code = protocol === SLUICE_V1 ? closeCode(error.code) : rawCloseCode(error.code);
    return refusingSocket(protocol, code, closeReason(error.code, error.message));
  }
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
  const [name, second] = given ?? [];
  if (name === undefined) return crypto.randomUUID();
  if (second !== undefined)
    throw new SluiceError('invalid_options', 'producer is given twice: name the producer once', {
      details: { option: 'producer' },
    });
  assertProducerName(name);
  return name;
}

/** Passes an upgrade on to a shard. Junk is refused here, before it costs a Durable Object request. */
function upgrade(request: Request, shard: Destination['shard'], producer: string): Promise<Response> {
  const headers = new Headers(request.headers);
  headers.set(PRODUCER_HEADER, producer);
  return shard.fetch(new Request(request, { headers }));
}
