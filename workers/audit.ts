/**
 * The audit log: what operators did by a route that changes something. It is kept by the monitor, and each entry is a line of the
 * Worker's log too, so that a Worker without a monitor has it as well.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { MiddlewareHandler } from 'hono';
import { withTimeLimit } from '../src/core/time-limit.ts';
import type { OperatorEntry } from '../src/monitor/shard-report.ts';
import { bearerToken } from './access.ts';
import type { Env } from './env.ts';
import { log, logFailure } from './log.ts';
import { monitorOf } from './monitor-calls.ts';

/** The header in which an operator may give a name. It proves nothing: the token's fingerprint beside it does. */
export const OPERATOR_HEADER = 'sluice-operator';

/** An operator waits for the log at most so long. What was done is done, and the Worker's own log has it. */
const NOTE_TIME_LIMIT_MS = 2_000;

/** What is noted, by the last part of the path, and the member of the answer that counts messages. */
const NOTED: Readonly<Record<string, readonly [what: string, messages?: string]>> = {
  retry: ['retried dead letters', 'retried'],
  drop: ['dropped dead letters', 'dropped'],
  pause: ['paused a shard', 'buffered'],
  flush: ['flushed a shard', 'buffered'],
  resume: ['resumed a shard', 'buffered'],
  drain: ['drained a shard', 'buffered'],
  end: ['ended sessions'],
  revoke: ['revoked a sender'],
  reinstate: ['reinstated a sender'],
  deployments: ['marked a deployment'],
  silence: ['silenced an alert'],
  acknowledge: ['acknowledged an alert'],
  test: ['tested the receivers of alerts'],
};

/**
 * Notes what a request has done, once it has. It stands among the handlers of a route, whose parameters it reads. Tickets are not noted:
 * a deployment may issue one for each page that opens.
 */
export const audited: MiddlewareHandler<{ Bindings: Env }> = async (context, next) => {
  await next();
  const { req, res, env } = context;
  const last = req.path.slice(req.path.lastIndexOf('/') + 1);
  if (req.method !== 'POST' || !res.ok || !Object.hasOwn(NOTED, last)) return;
  const [what, member] = NOTED[last] as (typeof NOTED)[string];
  const answer: unknown = member === undefined ? null : await res.clone().json();
  const messages = (answer as Record<string, unknown> | null)?.[member ?? ''];
  const { sink, shard } = req.param() as { sink?: string; shard?: string };
  await note(env, {
    atMs: Date.now(),
    who: whoAsks(env, req.header('authorization'), req.header(OPERATOR_HEADER)),
    what,
    sink: sink ?? null,
    shard: shard === undefined ? null : Number(shard),
    messages: typeof messages === 'number' ? messages : null,
  });
};

async function note(env: Env, entry: OperatorEntry): Promise<void> {
  const { atMs: _, ...told } = entry;
  log('info', { kind: 'operator', message: 'An operator did something', ...told });
  if (env.MONITOR === undefined) return;
  try {
    await withTimeLimit(
      monitorOf(env).noteOperator(entry),
      NOTE_TIME_LIMIT_MS,
      'noting what an operator did',
    );
  } catch (error) {
    logFailure('The audit log of the monitor lacks an entry', error);
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
