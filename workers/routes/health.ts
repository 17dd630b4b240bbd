/** `GET /health`: 200 where the database answers, 503 with the reason where it does not. */

import { sql } from 'drizzle-orm';
import { Hono } from 'hono';
import { SluiceError } from '../../src/core/errors.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { describeTarget } from '../../src/database/target.ts';
import { connect, databaseTarget } from '../database.ts';
import type { Env } from '../env.ts';

/** How long the database may take to answer before it counts as unreachable. Health checks give up after 5 s or so. */
const HEALTH_TIME_LIMIT_MS = 3_000;

export function healthRoutes(): Hono<{ Bindings: Env }> {
  const healthRoute = new Hono<{ Bindings: Env }>();

  healthRoute.get('/health', async (context) => {
    const target = databaseTarget(context.env);
    const startedAtMs = Date.now();
    // A separate connection: one of another request could not be used here, and a shard's would say nothing of new ones.
    const connection = await connect(target, HEALTH_TIME_LIMIT_MS);
    try {
      await withTimeLimit(connection.db.execute(sql`select 1`), HEALTH_TIME_LIMIT_MS, 'asking the database');
    } catch (error) {
      throw new SluiceError(
        'database_unreachable',
        `The database ${describeTarget(target)} does not answer`,
        {
          cause: error,
        },
      );
    } finally {
      connection.close();
    }
    return context.json({
      status: 'ok',
      database: {
        address: describeTarget(target),
        driver: target.driver,
        latencyMs: Date.now() - startedAtMs,
      },
    });
  });
  return healthRoute;
}
