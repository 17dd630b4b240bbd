/** Path to handler, and the one place where an error becomes an answer. */

import { Hono } from 'hono';
import { isSluiceError, SluiceError } from '../../src/core/errors.ts';
import type { Authorization } from '../authorization.ts';
import type { Env } from '../env.ts';
import { logFailure } from '../log.ts';
import type { OriginRules } from '../origins.ts';
import { problemResponse } from '../problem.ts';
import type { Limits } from '../request-limit.ts';
import type { Sinks } from '../sinks.ts';
import { adminRoutes } from './admin.ts';
import { dashboardRoutes } from './dashboard.ts';
import { healthRoutes } from './health.ts';
import { metricsRoutes } from './metrics.ts';
import { monitorRoutes } from './monitor.ts';
import { sessionRoutes } from './sessions.ts';
import { socketRoutes } from './socket.ts';
import { statsRoutes } from './stats.ts';
import { surfacedNotFound, surfaceOf } from './surface.ts';
import { ticketRoutes } from './tickets.ts';

/** Routes that a Worker has only where it asks for them. */
export interface RouterPart {
  /** What `GET /` says of them: a line each. */
  help: readonly string[];
  routes(): Hono<{ Bindings: Env }>;
}

const HELP = [
  'GET /ws/:sink   a WebSocket; one JSON message per line (?producer= names you)',
  'GET /health     is it well? (?deep=1 asks the database)',
  'GET /dashboard  the page that shows whether all is well',
  'GET /stats      figures of every shard, for those who may read',
  'GET /metrics    the same for Prometheus, without waking a shard; for those who may read',
  'GET /monitor/view   what the monitor knows; /monitor/events each second, /monitor/history, /monitor/audit: for those who may read',
  'POST /admin/tickets   a ticket, which opens one socket; for those who may operate',
  'GET /admin/:sink/dead-letters   how many messages Postgres refused, of each shard; for those who may read',
  'GET /admin/:sink/sessions   who is connected; for those who may read',
  '    /admin/revoke, /admin/reinstate, /admin/:sink/sessions/end: for those who may operate',
  '    /admin/:sink/:shard/…       lists, retries and drops them; resumes and drains a shard: for those who may operate',
];

/** Routes whose requests are counted by address, and those of which only the ones with a wrong token are. */
const COUNTED = ['/ws/*', '/rpc', '/append', '/import'];
const WITH_TOKENS = [
  '/admin/*',
  '/stats',
  '/metrics',
  '/monitor/*',
  '/read',
  '/export',
  '/subscribe',
  '/events/subscribe',
];

/** The routes of a Worker with these sinks, and of its parts. */
export function createRouter(
  sinks: Sinks,
  authorization: Authorization,
  origins: OriginRules,
  limits: Limits,
  parts: readonly RouterPart[],
): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  const help = [...HELP, ...parts.flatMap((part) => part.help)];
  routes.get('/', (context) =>
    context.text(`Sluice: WebSocket messages in, Postgres rows out.\n\n${help.join('\n')}\n`),
  );
  routes.route('/', socketRoutes(sinks, authorization));
  routes.route('/', healthRoutes());
  routes.route('/', statsRoutes(sinks));
  routes.route('/', metricsRoutes());
  routes.route('/', monitorRoutes());
  routes.route('/', dashboardRoutes());
  routes.route('/', sessionRoutes(sinks));
  routes.route('/', ticketRoutes(sinks, authorization));
  routes.route('/', adminRoutes(sinks));
  for (const part of parts) routes.route('/', part.routes());
  const router = surfaceOf(routes, origins);
  for (const path of COUNTED) router.use(path, limits.requests);
  for (const path of WITH_TOKENS) router.use(path, limits.wrongTokens);
  router.route('/', routes);
  router.notFound(
    surfacedNotFound(origins, ({ req }) =>
      problemResponse(
        new SluiceError(
          'not_found',
          `There is nothing at ${req.path.slice(0, 200)}; GET / lists what there is`,
        ),
      ),
    ),
  );
  router.onError((error) => {
    if (!isSluiceError(error)) logFailure('A request failed', error);
    return problemResponse(error);
  });
  return router;
}
