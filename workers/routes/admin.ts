/**
 * `/admin`: what an operator may ask of a shard. Its dead letters can be listed, read, retried and dropped; a shard that
 * has stopped can be resumed, and one that is about to be restarted drained.
 */

import { Hono } from 'hono';
import { SluiceError } from '../../src/core/errors.ts';
import {
  DRAIN_TIME_LIMIT_MS,
  MAX_DEAD_LETTER_REASON_LENGTH,
  MAX_LISTED_DEAD_LETTERS,
  MAX_TAKEN_DEAD_LETTERS,
} from '../../src/core/limits.ts';
import { assertKnownNames, optionTable, resolveOptions } from '../../src/core/option-table.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { readEditedPayload } from '../../src/ingest/edited-payload.ts';
import type {
  DeadLetterChoice,
  DeadLetterFilter,
  DeadLetterIds,
} from '../../src/outbox/dead-letter-filter.ts';
import type { DeadLetterGroupKey } from '../../src/outbox/dead-letter-groups.ts';
import { MISSING_CHOICES, type MissingChoice } from '../../src/outbox/missing-messages.ts';
import type { ShardAdmin } from '../../src/outbox/shard-admin.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import type { Env } from '../env.ts';
import { isInRange, listedShards } from '../listed-shards.ts';
import { encodeShardName } from '../shard-name.ts';
import type { Sinks } from '../sinks.ts';
import { mayOperate, mayRead, readBody } from './admin-requests.ts';

const PAGE_PARAMETERS = optionTable({
  after: {
    kind: 'integer',
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    default: 0,
    description: 'The last id of the page before',
  },
  limit: {
    kind: 'integer',
    min: 1,
    max: MAX_LISTED_DEAD_LETTERS,
    default: 50,
    description: 'Letters in a page',
  },
});

const DRAIN_PARAMETERS = optionTable({
  closeSockets: { kind: 'switch', default: false, description: 'Close the sockets before' },
});

export function adminRoutes(sinks: Sinks): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>();

  routes.get('/admin/:sink/dead-letters', mayRead, async (context) => {
    assertKnownNames(context.req.query(), []);
    const { sink: name } = context.req.param();
    const numbers = (await listedShards(sinks, context.env, name)).get(name);
    if (numbers === undefined) throw sinks.unknown(context.env, name);
    const all = await Promise.all(
      numbers.map(async (shard) => {
        const { count, bytes, maxRows, maxBytes, isFull, state, code, buffered } = await shardOf(
          context.env,
          name,
          shard,
        ).summary();
        return { shard, count, bytes, maxRows, maxBytes, isFull, state, code, buffered };
      }),
    );
    // One that no option names is shown for what it holds.
    const shards = all.filter(
      ({ shard, count, buffered }) => count > 0 || buffered > 0 || isInRange(sinks, context.env, name, shard),
    );
    return context.json({
      sink: name,
      count: shards.reduce((sum, { count }) => sum + count, 0),
      isFull: shards.some(({ isFull }) => isFull),
      shards,
    });
  });

  routes.get('/admin/:sink/:shard/dead-letters', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    const { reason, column, since, until, group, ...page } = context.req.query();
    const where = readFilter({
      reason,
      column,
      since,
      until,
      group: group === undefined ? group : parsedGroup(group),
    });
    const { letters, next, totals } = await shard.listDeadLetters({
      ...resolveOptions(PAGE_PARAMETERS, page),
      ...(Object.keys(where).length === 0 ? {} : { where }),
    });
    return context.json({ letters: letters.map(presentLetter), next, totals });
  });

  routes.get('/admin/:sink/:shard/dead-letters/groups', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    assertKnownNames(context.req.query(), []);
    return context.json({ groups: await shard.groupDeadLetters() });
  });

  routes.get('/admin/:sink/:shard/dead-letters/:id{[0-9]+}', mayOperate, async (context) => {
    const { id } = context.req.param();
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    assertKnownNames(context.req.query(), []);
    const letter = Number.isSafeInteger(Number(id)) ? await shard.readDeadLetter(Number(id)) : null;
    if (letter === null) {
      throw new SluiceError(
        'unknown_dead_letter',
        `There is no dead letter ${id} in this shard: it was retried or dropped, or never was`,
      );
    }
    return context.json(presentLetter(letter));
  });

  routes.post('/admin/:sink/:shard/dead-letters/retry', mayOperate, async (context) => {
    const { shard, sink } = await askedShard(sinks, context.env, context.req.param());
    // The shard keeps its letters: there is nowhere to write them.
    if (sink === undefined) throw sinks.unknown(context.env, context.req.param('sink'));
    const body = await readBody(context.req, ['ids', 'where', 'payload']);
    const ids = readChoice(body);
    if (body.payload === undefined) return context.json(await shard.retryDeadLetters({ ids }));
    if (typeof body.payload !== 'string') {
      throw invalid(
        'payload',
        'the text of a message is allowed, as in {"ids":[7],"payload":"{\\"celsius\\":21}"}',
      );
    }
    if (!Array.isArray(ids) || ids.length !== 1)
      throw invalid('payload', 'it replaces one message, so name one id');
    const payload = readEditedPayload(body.payload, sink.options.maxMessageBytes);
    return context.json(await shard.retryDeadLetters({ ids, payload }));
  });

  routes.post('/admin/:sink/:shard/dead-letters/drop', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    const body = await readBody(context.req, ['ids', 'where']);
    return context.json(await shard.dropDeadLetters({ ids: readChoice(body) }));
  });

  routes.post('/admin/:sink/:shard/resume', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    const { missing } = await readBody(context.req, ['missing']);
    if (missing === undefined) return context.json(await shard.resume());
    if (!isMissingChoice(missing)) throw invalid('missing', `${MISSING_CHOICES.join(' or ')} is allowed`);
    return context.json(await shard.resume({ missing }));
  });

  routes.post('/admin/:sink/:shard/pause', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    await readBody(context.req, []);
    return context.json(await shard.pauseShard());
  });

  routes.post('/admin/:sink/:shard/flush', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    await readBody(context.req, []);
    return context.json(await shard.flushShard());
  });

  routes.post('/admin/:sink/:shard/drain', mayOperate, async (context) => {
    const { shard } = await askedShard(sinks, context.env, context.req.param());
    const body = await readBody(context.req, Object.keys(DRAIN_PARAMETERS));
    const request = resolveOptions(DRAIN_PARAMETERS, body);
    return context.json(
      await withTimeLimit(shard.drainShard(request), DRAIN_TIME_LIMIT_MS, 'waiting for the shard to drain'),
    );
  });
  return routes;
}

function shardOf(env: Env, sink: string, shard: number): ShardAdmin {
  return env.SHARD.getByName(encodeShardName({ sink, shard }));
}

/**
 * The shard of a path. One that the sink does not have would be created by asking for it, so it has to be in the directory;
 * then its sink may be undefined.
 */
async function askedShard(
  sinks: Sinks,
  env: Env,
  { sink: name, shard: number }: { sink: string; shard: string },
): Promise<{ sink: Sink | undefined; shard: ShardAdmin }> {
  const sink = sinks.find(env, name);
  // Written in one way only: 00 would be another name of shard 0.
  const shard = /^(0|[1-9]\d{0,8})$/.test(number) ? Number(number) : undefined;
  const found = (): { sink: Sink | undefined; shard: ShardAdmin } => ({
    sink,
    shard: shardOf(env, name, shard as number),
  });
  if (sink !== undefined && shard !== undefined && shard < sink.options.shards) return found();
  const listed = (await listedShards(sinks, env, name)).get(name);
  if (listed === undefined) throw sinks.unknown(env, name);
  if (shard !== undefined && listed.includes(shard)) return found();
  const shards = sink?.options.shards ?? 0;
  throw new SluiceError(
    'unknown_shard',
    sink === undefined
      ? `The sink ${name} is not defined; shards of it that hold something: ${listed.join(', ')}`
      : `The sink ${name} has no shard ${JSON.stringify(number)}: it has ${shards}, counted from 0`,
    { details: { shards } },
  );
}

function isMissingChoice(value: unknown): value is MissingChoice {
  return (MISSING_CHOICES as readonly unknown[]).includes(value);
}

function readChoice({ ids, where }: Record<string, unknown>): DeadLetterChoice {
  if (where === undefined) return readIds(ids);
  if (ids !== undefined) throw invalid('where', 'it is given in place of ids');
  const isObject = typeof where === 'object' && where !== null && !Array.isArray(where);
  const wrong = invalid('where', 'an object with some of reason, column, since, until and group is allowed');
  if (!isObject) throw wrong;
  assertKnownNames(where as Record<string, unknown>, FILTER_NAMES);
  const filter = readFilter(where as Record<string, unknown>);
  // One that asks for nothing would mean every letter, which has to be said.
  if (Object.keys(filter).length === 0) throw wrong;
  return filter;
}

const FILTER_NAMES = ['reason', 'column', 'since', 'until', 'group'];

function readFilter({ reason, column, since, until, group }: Record<string, unknown>): DeadLetterFilter {
  const filter: DeadLetterFilter = {};
  if (reason !== undefined) filter.reason = readText('reason', reason);
  if (column !== undefined) filter.column = readText('column', column);
  if (since !== undefined) filter.sinceMs = readTime('since', since);
  if (until !== undefined) filter.untilMs = readTime('until', until);
  if (group !== undefined) filter.group = readGroup(group);
  return filter;
}

function readText(option: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_DEAD_LETTER_REASON_LENGTH)
    return value;
  throw invalid(option, `1 to ${MAX_DEAD_LETTER_REASON_LENGTH} characters are allowed`);
}

/** A group in an address is JSON. */
function parsedGroup(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const GROUP_NAMES = ['by', 'sqlState', 'column', 'constraint'] as const;

function readGroup(value: unknown): DeadLetterGroupKey {
  if (typeof value !== 'object' || value === null) throw badGroup();
  const given = value as Record<string, unknown>;
  const isWhole =
    Object.keys(given).length === GROUP_NAMES.length &&
    GROUP_NAMES.every((name) => isTextOrNull(given[name]));
  if (!isWhole) throw badGroup();
  return given as unknown as DeadLetterGroupKey;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || (typeof value === 'string' && value.length <= MAX_DEAD_LETTER_REASON_LENGTH);
}

function badGroup(): SluiceError {
  return invalid('group', 'the key of a group is allowed, as GET …/dead-letters/groups lists it');
}

const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/;

function readTime(option: string, value: unknown): number {
  const timeMs = typeof value === 'string' && ISO_TIME.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw invalid(option, 'a time as in 2026-11-21T13:10:00Z is allowed, or a day (UTC)');
}

function readIds(value: unknown): DeadLetterIds {
  if (value === 'all') return 'all';
  const isList =
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_TAKEN_DEAD_LETTERS &&
    value.every((id) => Number.isSafeInteger(id) && id > 0);
  if (isList) return [...new Set<number>(value)];
  throw invalid('ids', `1 to ${MAX_TAKEN_DEAD_LETTERS} ids are allowed, as in [1,2], or "all"`);
}

function invalid(option: string, allowed: string): SluiceError {
  return new SluiceError('invalid_options', `Cannot use this ${option}: ${allowed}`, {
    details: { option, allowed },
  });
}

/** A letter for people: times as ISO text. */
function presentLetter<Letter extends { receivedAtMs: number; failedAtMs: number }>({
  receivedAtMs,
  failedAtMs,
  ...letter
}: Letter) {
  return {
    ...letter,
    receivedAt: new Date(receivedAtMs).toISOString(),
    failedAt: new Date(failedAtMs).toISOString(),
  };
}
