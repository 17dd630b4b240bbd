/**
 * `/bench`: the comparison, run inside the Worker; and what the CLI's bench needs of a Worker: sockets into shards
 * of its own, and a way to wait until these are empty.
 */

import { Hono } from 'hono';
import { assertKnownNames } from '../../src/option-table.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { assertBenchAccess } from '../access.ts';
import { drainShards, shardsOf } from '../bench/ingest-ports.ts';
import { benchShardName, readBenchTarget } from '../bench/target.ts';
import type { Env } from '../env.ts';
import { producerOf, upgrade } from './socket.ts';

export const benchRoutes = new Hono<{ Bindings: Env }>();

benchRoutes.use('/bench/*', async (context, next) => {
  await assertBenchAccess(context.env, context.req.header('authorization'));
  await next();
});

// One object for the whole deployment, so that one run at a time is a fact and not a hope.
benchRoutes.get('/bench', (context) => context.env.BENCH_OBJECT.getByName('bench').fetch(context.req.raw));

benchRoutes.get('/bench/ws', (context) => {
  const query = context.req.query();
  assertKnownNames(query, ['target', 'producer']);
  const target = readBenchTarget(query.target);
  const producer = producerOf(query.producer);
  return upgrade(
    context.req.raw,
    context.env,
    benchShardName(target, shardOf(producer, target.shards)),
    producer,
  );
});

benchRoutes.post('/bench/drain', async (context) => {
  const query = context.req.query();
  assertKnownNames(query, ['target']);
  const target = readBenchTarget(query.target);
  return context.json(await drainShards(context.env, target));
});

benchRoutes.get('/bench/stats', async (context) => {
  const query = context.req.query();
  assertKnownNames(query, ['target']);
  const target = readBenchTarget(query.target);
  return context.json(await Promise.all(shardsOf(context.env, target).map((shard) => shard.stats())));
});
