/**
 * The audit log: what operators did by a route that changes something. It is kept by the monitor, and each entry is a line of the
 * Worker's log too, so that a Worker without a monitor has it as well.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { MiddlewareHandler } from 'hono';
import { errorText } from '../src/core/errors.ts';
import { withTimeLimit } from '../src/core/time-limit.ts';
import type { OperatorEntry } from '../src/monitor/shard-report.ts';
import { bearerToken } from './access.ts';
import type { Env } from './env.ts';
import { monitorOf } from './monitor-calls.ts';

/** The header in which an operator may give a name. It proves nothing: the token's fingerprint beside it does. */
export const OPERATOR_HEADER = 'sluice-operator';

/** An operator waits for the log at most so long. What was done is done, and the Worker's own log has it. */
const NOTE_TIME_LIMIT_MS = 2_000;

/** What is noted, by the end of the path, and the member of the answer that counts messages. */
const NOTED: readonly (readonly [path: RegExp, what: string, messages?: string])[] = [
  [/\/dead-letters\/retry$/, 'retried dead letters', 'retried'],
  [/\/dead-letters\/drop$/, 'dropped dead letters', 'dropped'],
  [/\/admin\/[^/]+\/\d+\/(pause|flush|resume|drain)$/, 'asked a shard to $1', 'buffered'],
  [/\/sessions\/end$/, 'ended sessions'],
  [/\/admin\/(revoke|reinstate)$/, 'asked to $1 a sender'],
  [/\/monitor\/deployments$/, 'marked a deployment'],
  [/\/monitor\/alerts\/(silence|acknowledge|test)$/, 'asked to $1 an alert'],
];

/** Notes what a request has done, once it has. Tickets are not noted: a deployment may issue one for each page that opens. */
export const audited: MiddlewareHandler<{ Bindings: Env }> = async (context, next) => {
  await next();
  if (context.req.method !== 'POST' || !context.res.ok) return;
  const { path } = context.req;
  const noted = NOTED.find(([pattern]) => pattern.test(path));
  if (noted === undefined) return;
  const [pattern, what, member] = noted;
  const answer: unknown = member === undefined ? null : await context.res.clone().json();
  const messages = (answer as Record<string, unknown> | null)?.[member ?? ''];
  const [, sink, shard] = /\/admin\/([^/]+)\/(\d+)\//.exec(path) ?? [];
  const entry: OperatorEntry = {
    atMs: Date.now(),
    who: whoAsks(context.env, context.req.header('authorization'), context.req.header(OPERATOR_HEADER)),
    what: what.replace('$1', pattern.exec(path)?.[1] ?? ''),
    sink: sink ?? /\/admin\/([^/]+)\/sessions\//.exec(path)?.[1] ?? null,
    shard: shard === undefined ? null : Number(shard),
    messages: typeof messages === 'number' ? messages : null,
  };
  await note(context.env, entry);
};

async function note(env: Env, entry: OperatorEntry): Promise<void> {
  const { atMs, ...told } = entry;
  console.info(
    JSON.stringify({
      level: 'info',
      at: new Date(atMs).toISOString(),
      message: 'An operator did something',
      ...told,
    }),
  );
  if (env.MONITOR === undefined) return;
  try {
    await withTimeLimit(
      monitorOf(env).noteOperator(entry),
      NOTE_TIME_LIMIT_MS,
      'noting what an operator did',
    );
  } catch (error) {
    console.warn(
      JSON.stringify({
        level: 'warn',
        message: `The audit log of the monitor lacks an entry: ${errorText(error)}`,
      }),
    );
  }
}

/** Who asks: the name that is given, and the first digits of the token's SHA-256, by which its owner can be found and nobody else. */
export function whoAsks(env: Env, authorization: string | undefined, name: string | undefined): string {
  const token = bearerToken(authorization);
  const fingerprint =
    env.OPERATORS === 'open' || token === ''
      ? 'open'
      : `token ${bytesToHex(sha256(utf8ToBytes(token))).slice(0, 8)}`;
  const given = (name ?? '')
    .replaceAll(/[^\x20-\x7e]/g, '')
    .trim()
    .slice(0, 64);
  return given === '' ? fingerprint : `${given} (${fingerprint})`;
}
