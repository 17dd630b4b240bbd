/**
 * The rules of alerts, with defaults that are right for most. The docs, the rules for Prometheus and the options are made from
 * this table.
 *
 * A fault gives one page where possible: what others tell already (a paused sink has an old queue) warns. Each limit has a place
 * below it where the alert ends, so that a value near the limit does not flap.
 */

import { QUEUE_FULL_AT } from '../../core/limits.ts';
import type { AlertRule, ShardRule } from './rule.ts';
import {
  allowedSilenceMs,
  FILL,
  faultText,
  fullInText,
  greater,
  increaseOf,
  isPoolBusy,
  NEVER_SECONDS,
  orNone,
  recentEndsInMs,
  SMALL_FILL,
  TEMPORARY_REASONS,
} from './rule-parts.ts';
import { countText, shareText, timeText, waitingText } from './words.ts';

/** How long a dead letter is news. */
export const DEAD_LETTER_NEWS_MS = 900_000;

/** How old a database's figures may be: they are asked every 30 s while a shard is awake, and say nothing of a database that sleeps. */
const DATABASE_FIGURES_MS = 300_000;

const NOT_COMMITTING: ShardRule = {
  name: 'SluiceNotCommitting',
  of: 'shard',
  severity: 'page',
  limit: { option: 'above', value: 5, unit: 'seconds', min: 1, max: 3_600, resolvesAt: 1 },
  // The limit is a time already: waiting for longer would only tell later.
  forSeconds: 0,
  keepFiringSeconds: 3,
  summary: 'Messages wait, and no batch has succeeded for 5 s',
  value: ({ stalledMs, uncommittedMs, state }) => (state === 'running' ? stalledMs : uncommittedMs) / 1_000,
  // A sink that is paused or stopped has its own alert.
  fires: ({ stalledMs, state }, limit) =>
    (state === 'running' || state === 'retrying') && stalledMs > limit * 1_000,
  // One that fired goes on until a batch succeeds, also while the state changes: a resolved alert says that messages flow again.
  resolves: ({ uncommittedMs }, limit) => uncommittedMs <= limit * 1_000,
  firesInMs: ({ state, stalledMs }, limit) =>
    state === 'retrying' && stalledMs <= limit * 1_000 ? limit * 1_000 - stalledMs + 1 : undefined,
  sentence: (facts) =>
    `no batch has succeeded for ${timeText(facts.uncommittedMs)}, ${waitingText(facts.waiting)}${faultText(facts)}`,
  // What is scraped may be ten seconds old: a batch that is on its way has to be so for longer than that.
  promql: (limit) =>
    `(time() - ${greater('sluice_last_commit_timestamp_seconds', 'sluice_queue_oldest_timestamp_seconds')} > ${limit} and on (sink, shard) sluice_state{state="retrying"} == 1 or sluice_last_try_timestamp_seconds > sluice_last_commit_timestamp_seconds and time() - sluice_last_try_timestamp_seconds > ${limit + 10}) and on (sink, shard) sluice_queue_messages > 0`,
};

const SINK_PAUSED: ShardRule = {
  name: 'SluiceSinkPaused',
  of: 'shard',
  severity: 'page',
  limit: null,
  forSeconds: 0,
  keepFiringSeconds: 3,
  summary: 'Postgres refuses for a reason that somebody has to remove: a missing table, a password',
  value: ({ state }) => Number(state === 'paused'),
  // A try is not a return: one that fails again would end the alert and begin another.
  resolves: ({ state, uncommittedMs }) => state !== 'paused' && (state !== 'retrying' || uncommittedMs === 0),
  sentence: (facts) => `it is paused, ${waitingText(facts.waiting)}${faultText(facts)}`,
  promql: () => 'sluice_state{state="paused"} == 1',
};

const SINK_STOPPED: ShardRule = {
  name: 'SluiceSinkStopped',
  of: 'shard',
  severity: 'page',
  limit: null,
  forSeconds: 0,
  keepFiringSeconds: 3,
  summary:
    'The sink has stopped until an operator resumes it, or messages wait for a sink that is not defined any more',
  value: ({ state, waiting }) => Number(state === 'stopped' || (state === 'held' && waiting > 0)),
  sentence: (facts) =>
    facts.state === 'held'
      ? `the sink is not defined any more or is wrong, ${waitingText(facts.waiting)}${faultText(facts)}`
      : `it has stopped, ${waitingText(facts.waiting)}${faultText(facts)}`,
  promql: () =>
    'sluice_state{state="stopped"} == 1 or (sluice_state{state="held"} == 1 and on (sink, shard) sluice_queue_messages > 0)',
};

const QUEUE_OLD: ShardRule = {
  name: 'SluiceQueueOld',
  of: 'shard',
  severity: 'warn',
  limit: { option: 'above', value: 60, unit: 'seconds', min: 1, max: 86_400, resolvesAt: 0.5 },
  forSeconds: 0,
  keepFiringSeconds: 30,
  summary: 'The oldest message that waits is older than 60 s',
  value: ({ oldestMs }) => oldestMs / 1_000,
  // That nothing is written by a sink that is paused or stopped was told.
  fires: ({ oldestMs, state }, limit) =>
    (state === 'running' || state === 'retrying') && oldestMs > limit * 1_000,
  firesInMs: ({ oldestMs, waiting, state }, limit) =>
    waiting > 0 && state === 'retrying' && oldestMs <= limit * 1_000
      ? limit * 1_000 - oldestMs + 1
      : undefined,
  sentence: (facts) =>
    `the oldest message has waited for ${timeText(facts.oldestMs)}, ${waitingText(facts.waiting)}`,
  promql: (limit) =>
    `(time() - sluice_queue_oldest_timestamp_seconds > ${limit}) and on (sink, shard) sluice_queue_messages > 0 unless on (sink, shard) sluice_state{state=~"paused|stopped|held"} == 1`,
};

const QUEUE_HALF_FULL: ShardRule = {
  name: 'SluiceQueueHalfFull',
  of: 'shard',
  severity: 'warn',
  limit: { option: 'above', value: 0.5, unit: 'share', min: 0.01, max: 1, resolvesAt: 0.8 },
  // A burst may fill it for a moment: clients are slowed down, and it empties.
  forSeconds: 30,
  keepFiringSeconds: 60,
  summary: 'The queue is above 50 % of its limit',
  value: ({ fill }) => fill,
  sentence: (facts) => `the queue is ${shareText(facts.fill)} full${fullInText(facts)}`,
  promql: (limit) => `${FILL} > ${limit}`,
};

const QUEUE_FULL_SOON: ShardRule = {
  name: 'SluiceQueueFullSoon',
  of: 'shard',
  severity: 'page',
  limit: { option: 'below', value: 1_800, unit: 'seconds', min: 60, max: 86_400, resolvesAt: 2 },
  // The first minutes of a load look like a queue that grows for ever.
  forSeconds: 120,
  keepFiringSeconds: 120,
  summary: 'At the rate of the last five minutes the queue is full in less than 30 min',
  value: ({ recent: { fullInMs }, fill }) => {
    if (fill < SMALL_FILL) return NEVER_SECONDS;
    return fullInMs === undefined ? undefined : Math.min(NEVER_SECONDS, fullInMs / 1_000);
  },
  resolvesInMs: recentEndsInMs,
  sentence: (facts) => `the queue is ${shareText(facts.fill)} full${fullInText(facts)}`,
  promql: (limit) =>
    `(predict_linear(sluice_queue_bytes[5m], ${limit}) > sluice_queue_limit_bytes or predict_linear(sluice_queue_messages[5m], ${limit}) > sluice_queue_limit_messages) and on (sink, shard) ${FILL} > ${SMALL_FILL}`,
};

const QUEUE_FULL: ShardRule = {
  name: 'SluiceQueueFull',
  of: 'shard',
  severity: 'page',
  // Clients that keep to their credit stop there, and fill it no further.
  limit: { option: 'above', value: QUEUE_FULL_AT, unit: 'share', min: 0.1, max: 1, resolvesAt: 0.8 },
  forSeconds: 5,
  keepFiringSeconds: 30,
  summary: 'The queue is full: clients have to wait, and raw sockets have messages refused',
  value: ({ fill }) => fill,
  sentence: (facts) =>
    `the queue is full (${shareText(facts.fill)}), ${waitingText(facts.waiting)}${faultText(facts)}`,
  promql: (limit) => `${FILL} > ${limit}`,
};

const ERROR_RATE: ShardRule = {
  name: 'SluiceErrorRateHigh',
  of: 'shard',
  severity: 'warn',
  limit: { option: 'above', value: 0.01, unit: 'share', min: 0.000_1, max: 1, resolvesAt: 0.5 },
  forSeconds: 60,
  keepFiringSeconds: 60,
  summary:
    'More than 1 % of the messages of the last five minutes, and at least ten, became dead letters or were refused for good',
  value: ({ recent }) => recent.errorShare,
  resolvesInMs: recentEndsInMs,
  sentence: ({ recent }) =>
    `${shareText(recent.errorShare ?? 0)} of the messages of the last five minutes became dead letters or were refused (${countText(recent.failed)})`,
  promql: (limit) =>
    `(${orNone('sluice_messages_dead_total')} + ${orNone(`sluice_messages_refused_total{reason!~"${TEMPORARY_REASONS}"}`)}) / ${increaseOf('sluice_messages_received_total')} > ${limit}`,
};

const ACK_SLOW: ShardRule = {
  name: 'SluiceAckSlow',
  of: 'shard',
  severity: 'warn',
  // Far above what a sink that is well takes (milliseconds to stored, a second to committed at the usual linger), so that it is
  // right without knowing the target of anybody; who has one sets it.
  limit: { option: 'above', value: 5, unit: 'seconds', min: 0.001, max: 3_600, resolvesAt: 0.8 },
  forSeconds: 300,
  keepFiringSeconds: 60,
  summary: 'For five minutes, 1 % of the acks took longer than 5 s',
  value: ({ recent }) => (recent.ackP99Ms === undefined ? undefined : recent.ackP99Ms / 1_000),
  resolvesInMs: recentEndsInMs,
  sentence: ({ recent }) => `1 % of the acks take longer than ${timeText(recent.ackP99Ms ?? 0)}`,
  promql: (limit) =>
    `histogram_quantile(0.99, sum by (sink, shard, level, le) (rate(sluice_ack_duration_seconds_bucket[2m]))) > ${limit}`,
};

const DEAD_LETTERS: ShardRule = {
  name: 'SluiceDeadLetters',
  of: 'shard',
  severity: 'warn',
  limit: null,
  forSeconds: 0,
  keepFiringSeconds: 0,
  summary: 'Messages have become dead letters within the last 15 minutes',
  value: ({ deadNews, deadAgoMs }) => (deadAgoMs < DEAD_LETTER_NEWS_MS ? deadNews : 0),
  resolvesInMs: ({ deadAgoMs }) =>
    deadAgoMs < DEAD_LETTER_NEWS_MS ? DEAD_LETTER_NEWS_MS - deadAgoMs : undefined,
  sentence: ({ deadNews, deadLetters }) =>
    `${deadNews === 1 ? '1 message has' : `${countText(deadNews)} messages have`} become dead letters; ${countText(deadLetters)} are kept`,
  promql: () => 'sum by (sink, shard) (increase(sluice_messages_dead_total[15m])) > 0',
};

const DEAD_LETTERS_NEAR_FULL: ShardRule = {
  name: 'SluiceDeadLettersNearFull',
  of: 'shard',
  severity: 'page',
  limit: { option: 'above', value: 0.8, unit: 'share', min: 0.01, max: 1, resolvesAt: 0.9 },
  forSeconds: 0,
  keepFiringSeconds: 60,
  summary: 'The room for dead letters is more than 80 % full. When it is full, the sink pauses',
  value: ({ deadFill }) => deadFill,
  sentence: ({ deadFill, deadLetters }) =>
    `${countText(deadLetters)} dead letters take ${shareText(deadFill)} of the room for them; when it is full, the sink pauses`,
  promql: (limit) => `sluice_dead_letters / sluice_dead_letters_limit > ${limit}`,
};

const POOL_SATURATED: ShardRule = {
  name: 'SluicePoolSaturated',
  of: 'shard',
  severity: 'warn',
  limit: { option: 'above', value: 5, unit: 'seconds', min: 1, max: 3_600, resolvesAt: 0.5 },
  // One connection that is always busy is what a busy sink looks like: that messages grow old beside it is what is wrong.
  forSeconds: 120,
  keepFiringSeconds: 30,
  summary: 'All connections of the shard are busy, and the oldest message is older than 5 s',
  value: ({ oldestMs }) => oldestMs / 1_000,
  fires: (facts, limit) => isPoolBusy(facts) && facts.oldestMs > limit * 1_000,
  resolves: (facts, limit) => !isPoolBusy(facts) || facts.oldestMs <= limit * 500,
  sentence: (facts) =>
    `all ${facts.connectionsLimit} connections are busy, and the oldest message has waited for ${timeText(facts.oldestMs)}`,
  promql: (limit) =>
    `sluice_database_connections{state="busy"} >= on (sink, shard) sluice_database_connections_limit and on (sink, shard) (time() - sluice_queue_oldest_timestamp_seconds > ${limit}) and on (sink, shard) sluice_queue_messages > 0`,
};

const MONITOR_DEAF: ShardRule = {
  name: 'SluiceMonitorDeaf',
  of: 'shard',
  severity: 'page',
  limit: { option: 'above', value: 60, unit: 'seconds', min: 30, max: 86_400, resolvesAt: 1 },
  forSeconds: 0,
  keepFiringSeconds: 0,
  summary: 'A shard has messages that wait, and has not reported for 60 s',
  value: ({ waiting, silentMs }) => (waiting > 0 ? silentMs / 1_000 : 0),
  fires: (facts, limit) => facts.silentMs > allowedSilenceMs(facts, limit),
  resolves: (facts, limit) => facts.silentMs <= allowedSilenceMs(facts, limit),
  firesInMs: (facts, limit) => {
    const allowedMs = allowedSilenceMs(facts, limit);
    return Number.isFinite(allowedMs) && facts.silentMs <= allowedMs
      ? allowedMs - facts.silentMs + 1
      : undefined;
  },
  sentence: (facts) =>
    `it has not reported for ${timeText(facts.silentMs)}, and ${waitingText(facts.waiting)} by what it said last`,
  promql: () => 'sluice_monitor_shards{state="deaf"} > 0',
};

const POSTGRES_CONNECTIONS: AlertRule = {
  name: 'SluicePostgresConnectionsNearLimit',
  of: 'database',
  severity: 'warn',
  limit: { option: 'above', value: 0.8, unit: 'share', min: 0.01, max: 1, resolvesAt: 0.9 },
  forSeconds: 60,
  keepFiringSeconds: 60,
  summary:
    'The database server has more than 80 % of the connections that it allows to others than superusers',
  value: ({ connectionShare, ageMs }) => (ageMs > DATABASE_FIGURES_MS ? 0 : connectionShare),
  resolvesInMs: ({ ageMs }) => (ageMs > DATABASE_FIGURES_MS ? undefined : DATABASE_FIGURES_MS - ageMs + 1),
  sentence: ({ connections, connectionsLimit, connectionShare }) =>
    `${countText(connections)} of ${countText(connectionsLimit)} connections are in use (${shareText(connectionShare ?? 0)})`,
  promql: (limit) =>
    `sum without (state) (sluice_postgres_connections) / (sluice_postgres_connections_limit - sum without (kind) (sluice_postgres_connections_reserved)) > ${limit}`,
};

/** All of them, in the order in which a person wants to know of them. */
export const ALERT_RULES: readonly AlertRule[] = [
  NOT_COMMITTING,
  SINK_PAUSED,
  SINK_STOPPED,
  QUEUE_FULL,
  QUEUE_FULL_SOON,
  QUEUE_HALF_FULL,
  QUEUE_OLD,
  DEAD_LETTERS,
  DEAD_LETTERS_NEAR_FULL,
  ERROR_RATE,
  ACK_SLOW,
  POOL_SATURATED,
  MONITOR_DEAF,
  POSTGRES_CONNECTIONS,
];
