/** Path to handler, and the one place where an error becomes an answer. */

import { Hono } from 'hono';
import { benchRoutes } from '../lab/workers/bench-routes.ts';
import { errorText, isSluiceError, SluiceError } from '../src/core/errors.ts';
import type { Env } from './env.ts';
import { problemResponse } from './problem.ts';
import { adminRoutes } from './routes/admin.ts';
import { healthRoute } from './routes/health.ts';
import { socketRoute } from './routes/socket.ts';
import { statsRoute } from './routes/stats.ts';
import { storeRoutes } from './routes/store.ts';

export const router = new Hono<{ Bindings: Env }>();

router.get('/', (context) =>
  context.text(
    [
      'Sluice: WebSocket messages in, Postgres rows out.',
      '',
      'GET /ws/:sink   a WebSocket; one JSON message per line (?producer= names you)',
      'GET /health     is the database there?',
      'GET /stats      figures of every shard',
      'GET /bench      compares the ways of writing on this database',
      'GET /admin/:sink/dead-letters   how many messages Postgres refused, of each shard',
      '    /admin/:sink/:shard/…       lists, retries and drops them; resumes and drains a shard',
      'POST /rpc       the message store: ["stream.write", …] and its other methods',
      'GET /subscribe  tells of new messages (?stream=, ?category= or ?all=true)',
      'GET /read       the event store: events that match ?query=; POST /append adds some, under a condition',
      'GET /events/subscribe   sends events that match ?query=, those to come as well',
      'POST /import    stores lines of JSON with their positions; GET /export writes them',
      '',
    ].join('\n'),
  ),
);
router.route('/', socketRoute);
router.route('/', healthRoute);
router.route('/', statsRoute);
router.route('/', benchRoutes);
router.route('/', adminRoutes);
router.route('/', storeRoutes);

router.notFound((context) =>
  problemResponse(
    new SluiceError('not_found', `There is nothing at ${context.req.path}; GET / lists what there is`),
  ),
);

router.onError((error) => {
  if (!isSluiceError(error)) console.error(JSON.stringify({ level: 'error', message: errorText(error) }));
  return problemResponse(error);
});
