/** `/admin`: who is connected, whose sessions end, and who may not come back. */

import { Hono } from 'hono';
import {
  REVOCABLE,
  type Revocable,
  type Revocation,
  type RevokedName,
} from '../../src/access/revocations.ts';
import { SluiceError } from '../../src/core/errors.ts';
import { MAX_LISTED_SESSIONS, MAX_REVOCATION_MS, MAX_REVOKED_NAME_LENGTH } from '../../src/core/limits.ts';
import { assertKnownNames } from '../../src/core/option-table.ts';
import type { Env } from '../env.ts';
import { listedShards } from '../listed-shards.ts';
import { logFailure } from '../log.ts';
import type { ShardCalls, ShardPlace } from '../objects.ts';
import { shardDirectory } from '../shard-directory.ts';
import { encodeShardName } from '../shard-name.ts';
import type { Sinks } from '../sinks.ts';
import { mayOperate, mayRead, readBody } from './admin-requests.ts';

export function sessionRoutes(sinks: Sinks): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  routes.get('/admin/:sink/sessions', mayRead, async (context) => {
    assertKnownNames(context.req.query(), []);
    const { sink } = context.req.param();
    const places = await placesOf(sinks, context.env, sink);
    const lists = await Promise.all(places.map((place) => shardAt(context.env, place).listSessions()));
    const sessions = lists.flatMap(({ sessions: some }, index) =>
      some.map(({ openedAtMs, expiresAtMs, ...session }) => ({
        shard: places[index]?.shard,
        ...session,
        openedAt: new Date(openedAtMs).toISOString(),
        expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
      })),
    );
    return context.json({
      sink,
      count: lists.reduce((sum, { count }) => sum + count, 0),
      sessions: sessions.slice(0, MAX_LISTED_SESSIONS),
    });
  });

  routes.post('/admin/:sink/sessions/end', mayOperate, async (context) => {
    const name = readName(await readBody(context.req, REVOCABLE));
    const places = await placesOf(sinks, context.env, context.req.param('sink'));
    return context.json(await tell(context.env, places, (shard) => shard.endSessions(name)));
  });

  routes.get('/admin/revocations', mayRead, async (context) => {
    assertKnownNames(context.req.query(), []);
    const revocations = await shardDirectory(context.env).listRevocations();
    return context.json({ revocations: revocations.map(presentRevocation) });
  });

  routes.post('/admin/revoke', mayOperate, async (context) => {
    const { seconds, ...named } = await readBody(context.req, [...REVOCABLE, 'seconds']);
    const nowMs = Date.now();
    const revocation: Revocation = {
      ...readName(named),
      atMs: nowMs,
      untilMs: seconds === undefined ? null : nowMs + readSeconds(seconds) * 1000,
    };
    // First where those ask who start later, then all that are there now: no shard can miss both.
    await shardDirectory(context.env).addRevocation(revocation);
    const places = await placesOf(sinks, context.env);
    const told = await tell(context.env, places, (shard) => shard.noteRevocation(revocation));
    return context.json({ ...presentRevocation(revocation), ...told });
  });

  routes.post('/admin/reinstate', mayOperate, async (context) => {
    const name = readName(await readBody(context.req, REVOCABLE));
    await shardDirectory(context.env).removeRevocation(name);
    const places = await placesOf(sinks, context.env);
    const { untold } = await tell(context.env, places, async (shard) => {
      await shard.noteReinstated(name);
      return 0;
    });
    return context.json({ ...name, untold });
  });
  return routes;
}

/** The shards of a sink, or of all. @throws SluiceError `unknown_sink` */
async function placesOf(sinks: Sinks, env: Env, sink?: string): Promise<ShardPlace[]> {
  const listed = await listedShards(sinks, env, sink);
  if (sink !== undefined && !listed.has(sink)) throw sinks.unknown(env, sink);
  return [...listed].flatMap(([name, numbers]) => numbers.map((shard) => ({ sink: name, shard })));
}

function shardAt(env: Env, place: ShardPlace): ShardCalls {
  return env.SHARD.getByName(encodeShardName(place));
}

/** Tells shards something, each of which answers with how many sockets it has closed. Those that do not answer are named. */
async function tell(
  env: Env,
  places: readonly ShardPlace[],
  say: (shard: ShardCalls) => Promise<number>,
): Promise<{ closed: number; untold: ShardPlace[] }> {
  const untold: ShardPlace[] = [];
  let closed = 0;
  await Promise.all(
    places.map(async (place) => {
      try {
        const number = await say(shardAt(env, place));
        // Not `closed += await …`, which adds to what it was before the answer came.
        closed += number;
      } catch (error) {
        untold.push(place);
        logFailure('A shard was not told', error, { ...place });
      }
    }),
  );
  return { closed, untold };
}

function presentRevocation({ kind, name, atMs, untilMs }: Revocation) {
  return {
    kind,
    name,
    at: new Date(atMs).toISOString(),
    until: untilMs === null ? null : new Date(untilMs).toISOString(),
  };
}

/** Which token, producer or tenant a body names: exactly one. */
function readName(body: Record<string, unknown>): RevokedName {
  const named = Object.entries(body).filter(([, value]) => value !== undefined);
  const [kind, name] = named[0] ?? [];
  const isGood =
    named.length === 1 && typeof name === 'string' && name !== '' && name.length <= MAX_REVOKED_NAME_LENGTH;
  if (isGood) return { kind: kind as Revocable, name };
  throw new SluiceError(
    'invalid_options',
    'Name one of token, producer and tenant, as in {"producer":"acme/device-7"}: GET /admin/:sink/sessions lists them',
    { details: { allowed: REVOCABLE } },
  );
}

function readSeconds(value: unknown): number {
  const max = MAX_REVOCATION_MS / 1000;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max) return value;
  throw new SluiceError('invalid_options', `Cannot use these seconds: 1 to ${max} is allowed`, {
    details: { option: 'seconds', allowed: `1 to ${max}` },
  });
}
