/**
 * `GET /health`: 200 where the database answers, an error where it does not. Everybody may ask, as health checks of others do, and
 * hears only that; where the database is, how fast it answers and what is wrong is for those who may read.
 */

import { sql } from 'drizzle-orm';
import { Hono } from 'hono';
import { isSluiceError, SluiceError } from '../../src/core/errors.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { describeTarget } from '../../src/database/target.ts';
import { hasRole } from '../access.ts';
import { connect, databaseTarget } from '../database.ts';
import type { Env } from '../env.ts';
import { HealthMemory } from '../health-memory.ts';

/** How long the database may take to answer before it counts as unreachable. Health checks give up after 5 s or so. */
const HEALTH_TIME_LIMIT_MS = 3_000;

export function healthRoutes(): Hono<{ Bindings: Env }> {
  const healthRoute = new Hono<{ Bindings: Env }>();
  const memory = new HealthMemory(Date.now);

  healthRoute.get('/health', async (context) => {
    const { env } = context;
    if (hasRole(env, 'read', context.req.header('authorization')))
      return context.json({ status: 'ok', database: await askDatabase(env) });
    try {
      await memory.ask(databaseKey(env), () => askDatabase(env), tooManyAsk);
    } catch (error) {
      throw withoutDetails(error);
    }
    return context.json({ status: 'ok' });
  });
  return healthRoute;
}

/** Tells databases apart, and the ways to them. It holds the password, and stays in memory. */
function databaseKey({ HYPERDRIVE, DATABASE_URL, DRIVER, NEON_PROXY }: Env): string {
  return JSON.stringify([HYPERDRIVE?.connectionString, DATABASE_URL, DRIVER, NEON_PROXY]);
}

function tooManyAsk(): SluiceError {
  return new SluiceError('rate_limited', 'Too many ask at the same time: ask again in a second');
}

interface DatabaseHealth {
  address: string;
  driver: string;
  latencyMs: number;
}

async function askDatabase(env: Env): Promise<DatabaseHealth> {
  const target = databaseTarget(env);
  const startedAtMs = Date.now();
  // A separate connection: one of another request could not be used here, and a shard's would say nothing of new ones.
  const connection = await connect(target, HEALTH_TIME_LIMIT_MS);
  try {
    await withTimeLimit(connection.db.execute(sql`select 1`), HEALTH_TIME_LIMIT_MS, 'asking the database');
  } catch (error) {
    throw new SluiceError('database_unreachable', `The database ${describeTarget(target)} does not answer`, {
      cause: error,
    });
  } finally {
    connection.close();
  }
  return { address: describeTarget(target), driver: target.driver, latencyMs: Date.now() - startedAtMs };
}

/** The same code, with a sentence that names no host, user or database. */
function withoutDetails(error: unknown): unknown {
  if (!isSluiceError(error) || error.code === 'rate_limited') return error;
  const what =
    error.code === 'invalid_configuration'
      ? 'The address of the database is missing or wrong'
      : 'The database cannot be used';
  return new SluiceError(
    error.code,
    `${what}. Those who may read are told why: send "Authorization: Bearer <a token of READ_TOKENS>"`,
    { cause: error },
  );
}
