/**
 * `/bench`: the lab page, and runs inside the Worker; and what the CLI's bench needs of a Worker: sockets into its own
 * shards, and a way to wait until these are empty.
 */

import { type Context, Hono } from 'hono';
import { decodeUtf8 } from '../../src/core/decode-utf8.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { assertKnownNames, optionTable, resolveOptions } from '../../src/core/option-table.ts';
import type { JsonValue } from '../../src/messages/message.ts';
import { shardOf } from '../../src/protocol/producer.ts';
import { bound } from '../../workers/bound.ts';
import { ownAddress } from '../../workers/routes/own-path.ts';
import { acceptUpgrade, producerOf } from '../../workers/routes/socket.ts';
import { BENCH_CALLS } from '../jobs/job.ts';
import { asksForPage, labPage } from '../page/lab-page.ts';
import { assertBenchAccess, assertBenchIsOn } from './access.ts';
import { objectOf, readJob } from './bench-jobs.ts';
import { BENCH_NAME } from './bench-object.ts';
import type { LabEnv } from './env.ts';
import { drainShards, shardsOf } from './ingest-ports.ts';
import { benchShardName, readBenchName, readBenchTarget } from './target.ts';

export const benchRoutes = new Hono<{ Bindings: LabEnv }>();

// Before the token is asked for: a browser that opens an address cannot send one, and the page asks for it itself. So it
// is a 200 for everybody; a 401 would be one for everybody.
benchRoutes.get('/bench', async (context, next) => {
  if (!asksForPage(context.req.raw)) return next();
  assertBenchIsOn(context.env);
  return labPage();
});

benchRoutes.use('/bench/*', async (context, next) => {
  assertBenchAccess(context.env, context.req.header('authorization'));
  await next();
});

benchRoutes.get('/bench', (context) => {
  // A run that begins with a GET could be begun by any page that a browser shows; the browser says when it is another's.
  const site = context.req.header('sec-fetch-site');
  if (site === 'cross-site' || site === 'same-site') {
    throw new SluiceError('unauthorized', 'A page of another site may not start a run');
  }
  return runs(context);
});
for (const path of [
  '/bench/suites',
  '/bench/schema.json',
  '/bench/compare',
  '/bench/compare/fragment',
  '/bench/runs',
  '/bench/runs/*',
]) {
  benchRoutes.all(path, (context) => runs(context));
}

// One object for the whole deployment, so that one run at a time is a fact and not a hope.
function runs(context: Context<{ Bindings: LabEnv }>): Promise<Response> {
  const request = new Request(ownAddress(context), context.req.raw);
  return bound(context.env, 'BENCH_OBJECT').getByName(BENCH_NAME).fetch(request);
}

benchRoutes.get('/bench/ws', (context) =>
  acceptUpgrade(context, () => {
    const target = readBenchTarget(context.req.query('target'));
    const producer = producerOf(context.req.queries('producer'));
    const shard = bound(context.env, 'BENCH_SHARD').getByName(
      benchShardName(target, shardOf(producer, target.shards)),
    );
    // The guard of /bench was passed.
    return { shard, producer, isAssigned: false, access: 'open' };
  }),
);

benchRoutes.post('/bench/drain', async (context) => {
  const query = context.req.query();
  assertKnownNames(query, ['target']);
  const target = readBenchTarget(query.target);
  return context.json(await drainShards(context.env, target));
});

/** The JSON of a body; null where it is none. */
async function readJson({ req }: Context<{ Bindings: LabEnv }>): Promise<unknown> {
  const text = decodeUtf8(await req.arrayBuffer(), 'The body');
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const CALL = optionTable({
  call: { kind: 'choice', choices: BENCH_CALLS, default: 'prepare', description: '' },
});

for (const suite of ['store', 'dcb'] as const) {
  benchRoutes.post(`/bench/${suite}`, async (context) => {
    const { target, ...query } = context.req.query();
    const { call } = resolveOptions(CALL, query);
    const job = readJob(suite, await readJson(context));
    const stub = objectOf(context.env, suite, readBenchName(target, 'target'));
    return context.json((await stub.takeJob(call, job)) as JsonValue);
  });
}

benchRoutes.get('/bench/stats', async (context) => {
  const query = context.req.query();
  assertKnownNames(query, ['target']);
  const target = readBenchTarget(query.target);
  return context.json(await Promise.all(shardsOf(context.env, target).map((shard) => shard.stats())));
});
