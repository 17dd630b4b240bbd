/** `GET /metrics`: what the shards last reported, for Prometheus. It asks the monitor alone and wakes no shard. */

import { Hono } from 'hono';
import { assertKnownNames } from '../../src/core/option-table.ts';
import { readShardsQuestion } from '../../src/monitor/history-question.ts';
import { acceptedFormat } from '../../src/monitor/metrics-format.ts';
import { METRICS_CONTENT_TYPES } from '../../src/monitor/prometheus-text.ts';
import { requireRole } from '../access.ts';
import type { Env } from '../env.ts';
import { monitorOf } from '../monitor-calls.ts';

export function metricsRoutes(): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  routes.get('/metrics', requireRole('read'), async (context) => {
    const query = context.req.query();
    assertKnownNames(query, ['sink', 'shard']);
    const format = acceptedFormat(context.req.header('accept'));
    const text = await monitorOf(context.env).metrics({ ...readShardsQuestion(query), format });
    return context.body(text, 200, { 'content-type': METRICS_CONTENT_TYPES[format], vary: 'accept' });
  });
  return routes;
}
