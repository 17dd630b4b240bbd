/** What to do about each alert, in a sentence or two: who is woken up has it beside the alert. The whole of it is in docs/operations.md. */

const REMEDIES: Readonly<Record<string, string>> = {
  SluiceNotCommitting:
    'Bring Postgres back, or find what makes it slow. Nothing is lost: messages wait in the storage of the shards, and are written as soon as a try succeeds.',
  SluiceSinkPaused:
    'Correct what Postgres names: a missing table or column, a right, a password. Then press "Try again"; without it the shard tries by itself within 5 minutes.',
  SluiceSinkStopped:
    'The database is not the one that the shard knows: it was restored from the past, or is another one. Find out which, before you let the shard go on (sluice shard resume).',
  SluiceQueueOld:
    'If the shard retries or is paused, that alert has the cause. If it runs, Postgres takes less than arrives: look at locks, indexes and the longest transaction.',
  SluiceQueueHalfFull: 'Nothing while it empties. Otherwise remove the cause, or make room (maxOutboxBytes).',
  SluiceQueueFullSoon:
    'Remove the cause while there is time. Else make room (maxOutboxBytes, up to 8 GiB), or send less.',
  SluiceQueueFull:
    'Clients wait, and nothing that was acknowledged is lost. Remove what keeps Postgres from writing; to make room at once, raise maxOutboxBytes in a deployment.',
  SluiceErrorRateHigh:
    'Look at the reasons: a client sends what is wrong, and was told so. Its last deployment is the usual cause.',
  SluiceAckSlow:
    'If flushes are slow too, it is Postgres. If not, send more messages in a frame, or use more shards.',
  SluiceDeadLetters:
    'Look at the dead letters: each names the column or constraint. Correct the table and retry them, or correct who sends them.',
  SluiceDeadLettersNearFull:
    'Correct the cause and retry them all, or drop those that nobody needs: without room for another one the sink pauses.',
  SluicePoolSaturated:
    'Make the table faster to write (fewer indexes, writer copy), then use more connections or shards.',
  SluiceMonitorDeaf:
    'Ask /stats, which wakes the shard. If it does not answer, the log says why it cannot start: deploy again what ran before.',
  SluicePostgresConnectionsNearLimit:
    'End what is idle and not needed, put a pooler in front, use fewer connections or shards, or raise max_connections.',
};

/** Empty for a rule that is no more: an alert of an older version may be in the history. */
export function remedyOf(rule: string): string {
  return Object.hasOwn(REMEDIES, rule) ? (REMEDIES[rule] as string) : '';
}
