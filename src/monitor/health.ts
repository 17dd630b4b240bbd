/** Whether a deployment is well: `ok`, `degraded` or `failing`, of each sink and of all, with the reasons and since when. */

import type { Health, HealthReason, HealthStatus, ShardView, SinkView } from './view.ts';

/** A queue whose oldest message is older is not well. */
const OLD_MS = 60_000;

/** Dead letters are near their limit from here on: a shard without room for another one pauses. */
const NEARLY_FULL = 0.8;

const ORDER: readonly HealthStatus[] = ['ok', 'degraded', 'failing'];

export function judgeHealth(sinks: readonly SinkView[], nowMs: number): Health {
  const reasons = sinks.flatMap(({ shards }) => shards.flatMap((shard) => reasonsOf(shard, nowMs)));
  reasons.sort((a, b) => ORDER.indexOf(b.status) - ORDER.indexOf(a.status) || a.sinceMs - b.sinceMs);
  const worst = (those: readonly HealthReason[]): HealthStatus =>
    those.reduce<HealthStatus>(
      (status, reason) => (ORDER.indexOf(reason.status) > ORDER.indexOf(status) ? reason.status : status),
      'ok',
    );
  return {
    status: worst(reasons),
    sinks: Object.fromEntries(
      sinks.map(({ sink }) => [sink, worst(reasons.filter((reason) => reason.sink === sink))]),
    ),
    reasons,
  };
}

function reasonsOf(shard: ShardView, nowMs: number): HealthReason[] {
  const reasons: HealthReason[] = [];
  const { sink, shard: number, state, stateSinceMs, fault, queueMessages, oldestMs, deadLetters } = shard;
  const reason = (
    status: HealthReason['status'],
    name: string,
    message: string,
    sinceMs: number = stateSinceMs,
  ): void => {
    reasons.push({
      status,
      sink,
      shard: number,
      reason: name,
      sinceMs,
      message,
      code: fault?.code ?? null,
      sqlState: fault?.details?.sqlState ?? null,
    });
  };
  const why = fault === null ? '' : `: ${fault.message}`;
  const waiting = `${queueMessages} ${queueMessages === 1 ? 'message waits' : 'messages wait'}`;
  if (state === 'stopped') reason('failing', 'stopped', `It has stopped${why}. ${waiting}`);
  if (state === 'paused') reason('failing', 'paused', `It has paused${why}. ${waiting}`);
  if (state === 'held') reason('failing', 'held', `It has no sink to write to${why}. ${waiting}`);
  if (state === 'full')
    reason('failing', 'queue-full', `The queue is full: nothing more is accepted. ${waiting}${why}`);
  if (state === 'retrying') reason('degraded', 'retrying', `It tries again by itself${why}. ${waiting}`);
  if (state === 'unknown')
    reason(
      'degraded',
      'deaf',
      `It has not reported since, and had messages then. ${waiting}`,
      shard.reportedAtMs,
    );
  if (oldestMs > OLD_MS && state !== 'paused' && state !== 'stopped')
    reason(
      'degraded',
      'queue-old',
      `The oldest message waits for ${Math.round(oldestMs / 1_000)} s. ${waiting}`,
      nowMs - oldestMs + OLD_MS,
    );
  const { deadLettersLimit } = shard;
  if (deadLettersLimit > 0 && deadLetters >= NEARLY_FULL * deadLettersLimit)
    reason(
      'degraded',
      'dead-letters-near-full',
      `${deadLetters} of ${deadLettersLimit} dead letters are kept; with no room for another one it pauses`,
      shard.reportedAtMs,
    );
  return reasons;
}
