/** `GET /dashboard`: the page that shows whether all is well. Everybody gets it; the figures it asks for with an operator's token. */

import { Hono } from 'hono';
import type { Env } from '../env.ts';
import { dashboardPage } from '../pages/dashboard/dashboard-page.ts';

export function dashboardRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();
  routes.get('/dashboard', () => dashboardPage());
  return routes;
}
