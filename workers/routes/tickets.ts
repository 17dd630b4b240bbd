/** `POST /admin/tickets`: a ticket for a backend that cannot make one itself, because it is written in another language. */

import { Hono } from 'hono';
import type { TicketRequest } from '../../src/access/tickets.ts';
import type { Authorization } from '../authorization.ts';
import type { Env } from '../env.ts';
import type { Sinks } from '../sinks.ts';
import { mayOperate, readBody } from './admin-requests.ts';

const MEMBERS = [
  'sink',
  'producer',
  'tenant',
  'priority',
  'limits',
  'expiresAtMs',
  'tokenId',
  'lifetimeMs',
] as const satisfies (keyof TicketRequest)[];

export function ticketRoutes(sinks: Sinks, authorization: Authorization): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  routes.post('/admin/tickets', mayOperate, async ({ req, env, json }) => {
    const asked = (await readBody(req, MEMBERS)) as unknown as TicketRequest;
    const ticket = await authorization.issueTicket(asked, env);
    // A ticket for a sink that is not there would open nothing, and its holder could not say why.
    if (sinks.find(env, asked.sink) === undefined) throw sinks.unknown(env, asked.sink);
    return json({ ticket });
  });
  return routes;
}
