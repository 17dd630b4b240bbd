/**
 * `GET /health`: `ok`, `degraded` or `failing`, as the monitor knows it, without a connection to Postgres; 503 where it is failing.
 * `?deep=1`, and a Worker without a monitor, ask the database too. Everybody may ask, as health checks of others do, and hears only
 * the status; of which sink it is, why and since when, and where the database is, is for those who may read.
 */

import { sql } from 'drizzle-orm';
import { Hono } from 'hono';
import { isSluiceError, SluiceError } from '../../src/core/errors.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { describeTarget } from '../../src/database/target.ts';
import type { Health, HealthReason } from '../../src/monitor/view.ts';
import { hasRole } from '../access.ts';
import { connect, databaseTarget } from '../database.ts';
import type { Env } from '../env.ts';
import { HealthMemory } from '../health-memory.ts';
import { logFailure } from '../log.ts';
import { monitorOf } from '../monitor-calls.ts';

/** How long the database may take to answer before it counts as unreachable. Health checks give up after 5 s or so. */
const HEALTH_TIME_LIMIT_MS = 3_000;

/** How long the monitor may take. It needs a millisecond, and more where it is started for this. */
const MONITOR_TIME_LIMIT_MS = 2_000;

export function healthRoutes(): Hono<{ Bindings: Env }> {
  const healthRoute = new Hono<{ Bindings: Env }>();
  const memory = new HealthMemory<Health>(Date.now);

  healthRoute.get('/health', async (context) => {
    const { env } = context;
    context.header('cache-control', 'no-store');
    const isDeep = context.req.query('deep') === '1' || env.MONITOR === undefined;
    if (hasRole(env, 'read', context.req.header('authorization'))) {
      const database = isDeep ? await askDatabase(env) : undefined;
      const { status, sinks, reasons } = await askMonitor(env);
      const shown = { status, sinks, reasons: reasons.map(presentReason) };
      return context.json(database === undefined ? shown : { ...shown, database }, statusOf(status));
    }
    try {
      const { status } = await memory.ask(
        `${isDeep ? 'deep' : 'monitor'} ${databaseKey(env)}`,
        async () => {
          if (isDeep) await askDatabase(env);
          return askMonitor(env);
        },
        tooManyAsk,
      );
      return context.json({ status }, statusOf(status));
    } catch (error) {
      throw withoutDetails(error);
    }
  });
  return healthRoute;
}

function statusOf(status: Health['status']): 200 | 503 {
  return status === 'failing' ? 503 : 200;
}

/** Times as text, as everywhere in answers. */
function presentReason({
  sinceMs,
  ...reason
}: HealthReason): Omit<HealthReason, 'sinceMs'> & { since: string } {
  return { ...reason, since: new Date(sinceMs).toISOString() };
}

const NOTHING_KNOWN: Health = { status: 'ok', sinks: {}, reasons: [] };

/** @throws SluiceError `invalid_configuration` where the database's address is missing or wrong: nothing can be written then */
async function askMonitor(env: Env): Promise<Health> {
  databaseTarget(env);
  if (env.MONITOR === undefined) return NOTHING_KNOWN;
  try {
    return await withTimeLimit(monitorOf(env).health(), MONITOR_TIME_LIMIT_MS, 'asking the monitor');
  } catch (error) {
    // Messages do not need it. Somebody who looks needs to know that nothing is seen.
    logFailure('The monitor does not answer', error);
    const message =
      'The monitor does not answer: nothing is known of the shards. Messages are taken and written without it';
    const reason = {
      sink: null,
      shard: null,
      reason: 'monitor-silent',
      sinceMs: Date.now(),
      message,
      code: null,
      sqlState: null,
    };
    return { status: 'degraded', sinks: {}, reasons: [{ status: 'degraded', ...reason }] };
  }
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
