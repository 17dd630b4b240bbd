/** `GET /ws/:sink`: finds the producer's shard and hands the upgrade over to it. */

import { Hono } from 'hono';
import { SluiceError } from '../../src/errors.ts';
import { assertKnownNames } from '../../src/option-table.ts';
import { assertProducerName, shardOf } from '../../src/protocol/producer.ts';
import { SLUICE_V1 } from '../../src/protocol/sluice-v1.ts';
import type { Env } from '../env.ts';
import { PRODUCER_HEADER } from '../shard.ts';
import { encodeShardName } from '../shard-name.ts';
import { findSink, unknownSink } from '../sinks.ts';

export const socketRoute = new Hono<{ Bindings: Env }>();

socketRoute.get('/ws/:sink', (context) => {
  const { sink: sinkName } = context.req.param();
  const sink = findSink(context.env, sinkName);
  if (sink === undefined) throw unknownSink(context.env, sinkName);
  const { producer } = context.req.query();
  assertKnownNames(context.req.query(), ['producer']);
  const name = producerOf(producer);
  const shard = shardOf(name, sink.options.shards);
  return upgrade(context.req.raw, context.env, encodeShardName({ sink: sinkName, shard }), name);
});

/** The name that a client gave itself, or a new one. */
export function producerOf(given: string | undefined): string {
  if (given === undefined) return crypto.randomUUID();
  assertProducerName(given);
  return given;
}

/** Passes an upgrade on to a shard. Junk is refused here, before it costs a Durable Object request. */
export function upgrade(request: Request, env: Env, shardName: string, producer: string): Promise<Response> {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
    throw new SluiceError(
      'upgrade_required',
      'This address takes WebSockets: send the request with the header "Upgrade: websocket"',
    );
  }
  assertSubprotocol(request.headers.get('sec-websocket-protocol'));
  const headers = new Headers(request.headers);
  headers.set(PRODUCER_HEADER, producer);
  return env.SHARD.getByName(shardName).fetch(new Request(request, { headers }));
}

// A client that offers subprotocols expects one of them in the answer, and closes by itself where there is none.
function assertSubprotocol(offered: string | null): void {
  if (offered === null || offered.split(',').some((protocol) => protocol.trim() === SLUICE_V1)) return;
  throw new SluiceError(
    'unsupported_subprotocol',
    `Unknown subprotocol ${JSON.stringify(offered.slice(0, 100))}: offer ${SLUICE_V1}, or none for the raw mode`,
  );
}
