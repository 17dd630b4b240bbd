/** Views of a monitor in many states, for tests of what shows them: the dashboard and `sluice top`. The same at each call. */

import type { ShardFault } from '../../src/monitor/shard-report.ts';
import {
  type AlertView,
  type HealthReason,
  type HealthStatus,
  type HistoryView,
  type MonitorView,
  SERIES,
  type ShardView,
  type ShownState,
  type SinkView,
  type Tiles,
} from '../../src/monitor/view.ts';

/** When the views are of, unless a test says otherwise. */
export const NOON_MS = Date.UTC(2026, 10, 21, 12, 0, 0);

const MINUTE_MS = 60_000;

const SPARK_STEPS = 90;

/** A figure that goes up and down around 1, the same for the same step. */
function wave(step: number, phase = 0): number {
  return 1 + 0.18 * Math.sin(step / 7 + phase) + 0.07 * Math.sin(step * 1.7 + phase);
}

function around(value: number, phase = 0): number[] {
  return Array.from({ length: SPARK_STEPS }, (_, step) => Math.round(value * wave(step, phase)));
}

const QUIET: Tiles = {
  receivedPerSecond: 0,
  committedPerSecond: 0,
  queueMessages: 0,
  queueBytes: 0,
  queueLimitBytes: 100_000_000,
  oldestMs: 0,
  ackP50Ms: null,
  ackP99Ms: null,
  flushP50Ms: null,
  flushP99Ms: null,
  deadLetters: 0,
  deadLettersLimit: 10_000,
  received: 0,
  stored: 0,
  committed: 0,
  dead: 0,
  duplicate: 0,
  refused: 0,
  sockets: 0,
  connectionsOpen: 0,
  connectionsBusy: 0,
  connectionsLimit: 2,
};

const BUSY: Tiles = {
  ...QUIET,
  receivedPerSecond: 4_312.4,
  committedPerSecond: 4_309.8,
  queueMessages: 812,
  queueBytes: 162_400,
  oldestMs: 212,
  ackP50Ms: 4.2,
  ackP99Ms: 9.1,
  flushP50Ms: 18,
  flushP99Ms: 41,
  received: 18_204_551,
  stored: 18_204_551,
  committed: 18_203_739,
  sockets: 214,
  connectionsOpen: 2,
  connectionsBusy: 1,
};

export function shardView(
  sink: string,
  shard: number,
  state: ShownState,
  given: Partial<ShardView> = {},
): ShardView {
  return {
    ...(state === 'asleep' || state === 'unknown' ? QUIET : BUSY),
    sink,
    shard,
    state,
    stateSinceMs: NOON_MS - 42 * MINUTE_MS,
    reportedAtMs: NOON_MS - 700,
    isAsleep: state === 'asleep',
    fault: null,
    producers: [
      { producer: 'acme/device-7', messages: 2_310, creditMessages: 900 },
      { producer: 'acme/device-8', messages: 1_204, creditMessages: 0 },
      { producer: 'raw', messages: 12, creditMessages: null },
    ],
    version: '8f3c21d',
    ...given,
  };
}

function sum(those: readonly Tiles[]): Tiles {
  const total: Tiles = { ...QUIET, queueLimitBytes: 0, deadLettersLimit: 0, connectionsLimit: 0 };
  for (const tiles of those) {
    for (const name of Object.keys(QUIET) as (keyof Tiles)[]) {
      const [before, value] = [total[name], tiles[name]];
      if (value === null) continue;
      const isMost = name === 'oldestMs' || name.endsWith('P50Ms') || name.endsWith('P99Ms');
      (total[name] as number) = isMost ? Math.max(before ?? 0, value) : (before ?? 0) + value;
    }
  }
  return total;
}

export function sinkView(sink: string, shards: ShardView[]): SinkView {
  const worst = ['stopped', 'held', 'full', 'paused', 'retrying', 'unknown', 'busy', 'ok', 'asleep'];
  const [first] = shards.toSorted((left, right) => worst.indexOf(left.state) - worst.indexOf(right.state));
  return {
    ...sum(shards),
    sink,
    state: first?.state ?? 'asleep',
    stateSinceMs: first?.stateSinceMs ?? NOON_MS,
    shards,
  };
}

export function monitorView(sinks: SinkView[], given: Partial<MonitorView> = {}): MonitorView {
  const all = sum(sinks.flatMap(({ shards }) => shards));
  const reasons = given.health?.reasons ?? [];
  const status: HealthStatus = reasons.some((reason) => reason.status === 'failing')
    ? 'failing'
    : reasons.length > 0
      ? 'degraded'
      : 'ok';
  return {
    atMs: NOON_MS,
    version: '8f3c21d',
    all,
    sparks: {
      received: around(all.receivedPerSecond),
      committed: around(all.committedPerSecond, 0.3),
      queueMessages: around(all.queueMessages, 2),
      oldestMs: around(all.oldestMs, 2),
      ackP99Ms: around(all.ackP99Ms ?? 0, 4),
      deadLetters: around(all.deadLetters, 1),
    },
    sinks,
    databases: [DATABASE],
    alerts: [],
    events: [
      {
        atMs: NOON_MS - 3 * 60 * MINUTE_MS,
        sink: null,
        shard: null,
        kind: 'deployment',
        code: null,
        sqlState: null,
        message: 'version 8f3c21d was deployed',
      },
    ],
    ...given,
    health: { status, sinks: Object.fromEntries(sinks.map(({ sink }) => [sink, status])), reasons },
  };
}

const DATABASE: MonitorView['databases'][number] = {
  address: 'db.internal:5432/readings',
  atMs: NOON_MS - 12_000,
  serverVersion: '18.4',
  samples: [
    ['postgres_connections', 'active', 9],
    ['postgres_connections', 'idle', 32],
    ['postgres_connections_limit', '', 100],
    ['postgres_longest_transaction_seconds', '', 0.2],
    ['postgres_table_bytes', 'readings', 4_812_000_000],
    ['postgres_index_bytes', 'readings', 912_000_000],
    ['postgres_dead_tuples', 'readings', 12_044],
    ['postgres_replication_lag_bytes', 'standby-1', 0],
  ],
  hidden: ['pg_stat_statements: the extension is not installed'],
};

export const FAULT: ShardFault = {
  code: 'database_refused',
  message: 'column "price" of relation "trades" does not exist',
  atMs: NOON_MS - 2 * MINUTE_MS,
  failuresInARow: 7,
  details: {
    by: 'postgres',
    sqlState: '42703',
    detail: null,
    hint: 'Perhaps you meant to reference the column "trades.prize".',
    table: 'trades',
    column: 'price',
    constraint: null,
  },
};

export function reasonOf(given: Partial<HealthReason>): HealthReason {
  return {
    status: 'failing',
    sink: 'trades',
    shard: 0,
    reason: 'paused',
    sinceMs: NOON_MS - 2 * MINUTE_MS,
    message: `It has paused: ${FAULT.message}. 4561 messages wait`,
    code: 'database_refused',
    sqlState: '42703',
    ...given,
  };
}

export function alertOf(given: Partial<AlertView>): AlertView {
  return {
    id: 'a1',
    rule: 'SluiceSinkPaused',
    severity: 'page',
    sink: 'trades',
    shard: null,
    state: 'firing',
    activeAtMs: NOON_MS - 2 * MINUTE_MS,
    firedAtMs: NOON_MS - MINUTE_MS,
    resolvedAtMs: null,
    value: 1,
    message: 'trades is paused: column "price" of relation "trades" does not exist',
    remedy: 'Correct what Postgres names. Then press "Try again".',
    runbook: 'https://example.com/docs/operations.md#sluicesinkpaused',
    silencedUntilMs: null,
    acknowledgedBy: null,
    ...given,
  };
}

const READINGS = (): SinkView =>
  sinkView('readings', [
    shardView('readings', 0, 'busy'),
    shardView('readings', 1, 'ok', { ...BUSY, queueMessages: 0, queueBytes: 0, oldestMs: 0 }),
  ]);
const CLICKS = (): SinkView =>
  sinkView('clicks', [
    shardView('clicks', 0, 'asleep', { received: 9_204, committed: 9_204, stored: 9_204 }),
  ]);

/** All is well. */
export function wellView(): MonitorView {
  return monitorView([READINGS(), CLICKS()]);
}

const PAUSED: Partial<ShardView> = {
  receivedPerSecond: 125,
  committedPerSecond: 0,
  queueMessages: 4_561,
  queueBytes: 912_200,
  oldestMs: 121_000,
  stateSinceMs: NOON_MS - 2 * MINUTE_MS,
  connectionsOpen: 0,
  connectionsBusy: 0,
  flushP50Ms: null,
  flushP99Ms: null,
  fault: FAULT,
};

/** One sink of three is paused, and has dead letters. */
export function pausedView(): MonitorView {
  const trades = sinkView(
    'trades',
    [0, 1, 2, 3].map((shard) =>
      shardView('trades', shard, 'paused', {
        ...PAUSED,
        deadLetters: shard === 0 ? 37 : 0,
        dead: shard === 0 ? 41 : 0,
      }),
    ),
  );
  return monitorView([READINGS(), trades, CLICKS()], {
    health: { status: 'failing', sinks: {}, reasons: [0, 1, 2, 3].map((shard) => reasonOf({ shard })) },
    alerts: [
      alertOf({}),
      alertOf({
        id: 'a2',
        rule: 'SluiceDeadLettersArriving',
        severity: 'warn',
        state: 'pending',
        firedAtMs: null,
        message: '37 dead letters arrived within 10 minutes',
      }),
    ],
    events: [
      {
        atMs: NOON_MS - 2 * MINUTE_MS,
        sink: 'trades',
        shard: 0,
        kind: 'paused',
        code: 'database_refused',
        sqlState: '42703',
        message: `paused: ${FAULT.message}`,
      },
      {
        atMs: NOON_MS - 9 * MINUTE_MS,
        sink: 'trades',
        shard: 0,
        kind: 'dead-letters',
        code: null,
        sqlState: '22P02',
        message: '37 messages became dead letters: invalid input syntax for type numeric',
      },
      ...wellView().events,
    ],
  });
}

/** Nothing was reported yet. */
export function emptyView(): MonitorView {
  return monitorView([], {
    databases: [],
    events: [],
    sparks: { received: [], committed: [], queueMessages: [], oldestMs: [], ackP99Ms: [], deadLetters: [] },
  });
}

const STATES: readonly ShownState[] = [
  'ok',
  'running',
  'busy',
  'retrying',
  'paused',
  'stopped',
  'held',
  'full',
  'asleep',
  'unknown',
];

/** A sink for each state there is; nearly all of them are in trouble. */
export function failingView(): MonitorView {
  const reasons: HealthReason[] = [];
  const sinks = STATES.map((state) => {
    const isWell = ['ok', 'running', 'busy', 'asleep'].includes(state);
    if (!isWell)
      reasons.push(
        reasonOf({
          sink: `in-${state}`,
          reason: state,
          status: state === 'retrying' || state === 'unknown' ? 'degraded' : 'failing',
        }),
      );
    return sinkView(`in-${state}`, [
      shardView(
        `in-${state}`,
        0,
        state,
        isWell ? {} : { ...PAUSED, deadLetters: 10_000, dead: 10_000, queueBytes: 100_000_000 },
      ),
    ]);
  });
  return monitorView(sinks, {
    health: { status: 'failing', sinks: {}, reasons },
    alerts: STATES.map((state, index) =>
      alertOf({
        id: `f${index}`,
        sink: `in-${state}`,
        acknowledgedBy: index % 2 === 0 ? null : 'Ada',
        silencedUntilMs: index % 3 === 0 ? NOON_MS + 3_600_000 : null,
      }),
    ),
  });
}

/** A sink with 256 shards, a third of which try again. */
export function manyShardsView(): MonitorView {
  const shards = Array.from({ length: 256 }, (_, shard) =>
    shardView(
      'many',
      shard,
      shard % 3 === 0 ? 'retrying' : 'busy',
      shard % 3 === 0 ? { ...PAUSED, state: 'retrying' } : {},
    ),
  );
  const reasons = shards
    .filter(({ state }) => state === 'retrying')
    .map(({ shard }) =>
      reasonOf({
        sink: 'many',
        shard,
        reason: 'retrying',
        status: 'degraded',
        message: `It tries again by itself: ${FAULT.message}. ${4_000 + shard} messages wait`,
      }),
    );
  return monitorView([sinkView('many', shards)], { health: { status: 'degraded', sinks: {}, reasons } });
}

/** Names and texts as hostile or unwieldy as they may be. */
export function awkwardView(): MonitorView {
  const long = 'n'.repeat(128);
  const rightToLeft = 'قراءات-المستشعر';
  const markup = '<img src=x onerror="globalThis.pwned=1">';
  const hostile = shardView(markup, 0, 'paused', {
    ...PAUSED,
    deadLetters: 2,
    producers: [
      { producer: `${markup}/<script>globalThis.pwned=2</script>`, messages: 5, creditMessages: 1 },
    ],
    fault: {
      ...FAULT,
      message: `${markup} refused`,
      details: { ...(FAULT.details as NonNullable<ShardFault['details']>), hint: markup, column: markup },
    },
    version: markup,
  });
  return monitorView(
    [
      sinkView(long, [
        shardView(long, 0, 'busy', {
          producers: [{ producer: `${long}/${long}`, messages: 1, creditMessages: 1 }],
        }),
      ]),
      sinkView(rightToLeft, [
        shardView(rightToLeft, 0, 'ok', {
          producers: [{ producer: `${rightToLeft}/١٢٣`, messages: 1, creditMessages: 1 }],
        }),
      ]),
      sinkView(markup, [hostile]),
    ],
    {
      version: markup,
      health: {
        status: 'failing',
        sinks: {},
        reasons: [
          reasonOf({ sink: markup, message: markup }),
          reasonOf({ sink: long, message: long, status: 'degraded' }),
        ],
      },
      alerts: [
        alertOf({
          sink: markup,
          message: markup,
          rule: markup,
          acknowledgedBy: markup,
          runbook: 'javascript:globalThis.pwned=3',
        }),
      ],
      events: [
        {
          atMs: NOON_MS - 5_000,
          sink: markup,
          shard: 0,
          kind: 'paused',
          code: null,
          sqlState: null,
          message: markup,
        },
      ],
      databases: [{ ...DATABASE, address: markup, serverVersion: markup, hidden: [markup] }],
    },
  );
}

/** How figures went: up and down, with a gap, a deployment and a pause. */
export function historyView(rangeMs = 15 * MINUTE_MS, stepMs = 10_000): HistoryView {
  const steps = Math.floor(rangeMs / stepMs);
  const scale: Partial<Record<(typeof SERIES)[number], number>> = {
    received: 4_300,
    committed: 4_300,
    queueMessages: 812,
    queueBytes: 162_000,
    oldestMs: 210,
    outboxBytes: 170_000,
    sockets: 214,
    connectionsOpen: 2,
    connectionsBusy: 1,
    batchMessages: 480,
    ackP50Ms: 4,
    ackP90Ms: 6,
    ackP99Ms: 9,
    flushP50Ms: 18,
    flushP90Ms: 30,
    flushP99Ms: 41,
    batches: 9,
    rowsWritten: 40,
  };
  const fromMs = NOON_MS - steps * stepMs;
  const line = (name: (typeof SERIES)[number], phase: number): (number | null)[] =>
    Array.from({ length: steps }, (_, step) =>
      step > 20 && step < 26 ? null : (scale[name] ?? 0) * wave(step, phase),
    );
  return {
    fromMs,
    stepMs,
    series: Object.fromEntries(
      SERIES.map((name, index) => [name, line(name, index / 5)]),
    ) as HistoryView['series'],
    markers: [
      {
        atMs: fromMs + rangeMs / 3,
        sink: null,
        shard: null,
        kind: 'deployment',
        code: null,
        sqlState: null,
        message: 'version 8f3c21d was deployed',
      },
      {
        atMs: fromMs + (rangeMs * 2) / 3,
        sink: 'trades',
        shard: 0,
        kind: 'paused',
        code: null,
        sqlState: '42703',
        message: `paused: ${FAULT.message}`,
      },
    ],
  };
}
