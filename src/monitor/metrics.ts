/**
 * The table of metrics: everything that Sluice measures, once. `/metrics`, the documentation, the dashboards and the rules of
 * alerts are made from it, so that no two of them can differ.
 *
 * Names follow https://prometheus.io/docs/practices/naming/: a prefix, base units, `_total` for what only grows. A report holds
 * values by metric and by the value of the metric's one label of its own; sink and shard are added where it is shown.
 */

/**
 * - `counter`: only grows; a shard keeps its total through sleep, deployment and crash.
 * - `gauge`: as it is now.
 * - `histogram`: how values were spread, since the object that measured them was started.
 */
export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface Metric {
  /** Without the prefix `sluice_`. */
  name: string;
  type: MetricType;
  /** Units are part of the name; this is for people and for OpenTelemetry (UCUM: `s`, `By`, `{message}`). */
  unit: string;
  help: string;
  /** The one label beside sink and shard. */
  label?: string;
  /** Whose figure it is: of a shard, of a database (asked by one shard), of the monitor itself. Default: a shard's. */
  of?: 'shard' | 'database' | 'monitor';
}

const COUNTERS = [
  {
    name: 'messages_received_total',
    unit: '{message}',
    help: 'Messages that arrived, or are written again',
  },
  { name: 'received_bytes_total', unit: 'By', help: 'Text of messages that arrived' },
  { name: 'frames_received_total', unit: '{frame}', help: 'Frames that arrived over sockets' },
  { name: 'messages_stored_total', unit: '{message}', help: 'Messages made durable in the outbox' },
  { name: 'messages_committed_total', unit: '{message}', help: 'Messages that Postgres has committed' },
  {
    name: 'messages_dead_total',
    unit: '{message}',
    help: 'Messages that became dead letters, by SQLSTATE or by who refused them',
    label: 'reason',
  },
  {
    name: 'messages_duplicate_total',
    unit: '{message}',
    help: 'Messages that came again and were not written again',
  },
  {
    name: 'messages_refused_total',
    unit: '{message}',
    help: 'Messages that were not accepted, of which their sender was told',
    label: 'reason',
  },
  { name: 'batches_total', unit: '{batch}', help: 'Batches that Postgres has committed' },
  {
    name: 'retries_total',
    unit: '{try}',
    help: 'Tries to write a batch that failed, by class of SQLSTATE (its first two characters), or the code of the error',
    label: 'sqlstate_class',
  },
  {
    name: 'connections_opened_total',
    unit: '{connection}',
    help: 'Connections to Postgres that were opened',
  },
  {
    name: 'connections_failed_total',
    unit: '{connection}',
    help: 'Connections to Postgres that could not be opened',
  },
  { name: 'sockets_opened_total', unit: '{socket}', help: 'Sockets that were opened' },
  {
    name: 'sockets_closed_total',
    unit: '{socket}',
    help: 'Sockets that were closed, by code',
    label: 'code',
  },
  { name: 'sockets_refused_total', unit: '{socket}', help: 'Sockets that were one too many' },
  {
    name: 'sessions_fenced_total',
    unit: '{session}',
    help: 'Sessions that ended because another one has their producer',
  },
  { name: 'restrained_total', unit: '{time}', help: 'How often a limit told a client to wait' },
  {
    name: 'credit_stalls_total',
    unit: '{time}',
    help: 'How often the queue was so full that clients were given no further credit',
  },
  {
    name: 'memory_refused_total',
    unit: '{message}',
    help: 'Messages refused because the isolate had no memory left for them',
  },
  {
    name: 'storage_rows_written_total',
    unit: '{row}',
    help: 'Rows written to the storage of the shard: what Cloudflare bills',
  },
  { name: 'outbox_written_bytes_total', unit: 'By', help: 'Text written to the outbox' },
  {
    name: 'requests_total',
    unit: '{request}',
    help: 'Events that woke or reached the shard: upgrades, frames of hibernatable sockets, alarms, calls',
  },
  { name: 'awake_seconds_total', unit: 's', help: 'How long the object was in memory and at work' },
  {
    name: 'serialisation_seconds_total',
    unit: 's',
    help: 'Time spent making the bytes that are sent to Postgres',
  },
  {
    name: 'reports_lost_total',
    unit: '{report}',
    help: 'Reports to the monitor that failed or were not sent',
  },
] as const satisfies readonly Omit<Metric, 'type'>[];

const GAUGES = [
  { name: 'queue_messages', unit: '{message}', help: 'Messages accepted and not settled' },
  { name: 'queue_bytes', unit: 'By', help: 'What they count for' },
  { name: 'queue_limit_bytes', unit: 'By', help: 'How much there is room for' },
  { name: 'queue_limit_messages', unit: '{message}', help: 'How many messages there is room for' },
  {
    name: 'queue_oldest_timestamp_seconds',
    unit: 's',
    help: 'When the oldest message that waits was received; 0 while none waits',
  },
  { name: 'outbox_bytes', unit: 'By', help: 'Text in the outbox' },
  { name: 'state', unit: '1', help: '1 for the state that the shard is in', label: 'state' },
  {
    name: 'lane_state',
    unit: '1',
    help: 'State of each lane: 0 running, 1 retrying, 2 paused, 3 stopped',
    label: 'lane',
  },
  {
    name: 'last_commit_timestamp_seconds',
    unit: 's',
    help: 'When Postgres last committed a batch; 0 before the first',
  },
  { name: 'last_try_timestamp_seconds', unit: 's', help: 'When a batch was last tried; 0 before the first' },
  { name: 'sockets', unit: '{socket}', help: 'Open sockets', label: 'protocol' },
  { name: 'producers', unit: '{producer}', help: 'Producers with an open socket' },
  {
    name: 'credit_messages',
    unit: '{message}',
    help: 'Messages that clients may send before they hear more',
  },
  { name: 'dead_letters', unit: '{message}', help: 'Dead letters that are kept' },
  { name: 'dead_letters_limit', unit: '{message}', help: 'How many dead letters there is room for' },
  {
    name: 'database_connections',
    unit: '{connection}',
    help: 'Connections of the shard to Postgres',
    label: 'state',
  },
  { name: 'database_connections_limit', unit: '{connection}', help: 'How many the shard may open' },
  { name: 'isolate_buffered_bytes', unit: 'By', help: 'What all shards of the isolate hold in memory' },
  { name: 'isolate_limit_bytes', unit: 'By', help: 'From where on they take nothing' },
  { name: 'heap_bytes', unit: 'By', help: 'Memory of the isolate, where the platform tells it' },
] as const satisfies readonly Omit<Metric, 'type'>[];

const HISTOGRAMS = [
  {
    name: 'ack_duration_seconds',
    unit: 's',
    help: 'From the arrival of a message to its ack, by level',
    label: 'level',
  },
  { name: 'flush_duration_seconds', unit: 's', help: 'How long Postgres took for a batch' },
  { name: 'batch_messages', unit: '{message}', help: 'Messages of a batch' },
  { name: 'connect_duration_seconds', unit: 's', help: 'How long it took to connect to Postgres' },
  { name: 'event_loop_delay_seconds', unit: 's', help: 'How late timers were' },
] as const satisfies readonly Omit<Metric, 'type'>[];

/** What the monitor says of each shard. */
const OF_REPORTS = [
  {
    name: 'report_timestamp_seconds',
    type: 'gauge',
    unit: 's',
    help: 'When the monitor last heard of the shard',
  },
] as const satisfies readonly Metric[];

const OF_A_DATABASE = [
  {
    name: 'postgres_connections',
    type: 'gauge',
    unit: '{connection}',
    help: 'Connections to the database server, by state',
    label: 'state',
  },
  {
    name: 'postgres_connections_limit',
    type: 'gauge',
    unit: '{connection}',
    help: 'How many it allows, those that it reserves among them',
  },
  {
    name: 'postgres_connections_reserved',
    type: 'gauge',
    unit: '{connection}',
    help: 'How many of them it keeps for superusers, and for roles with pg_use_reserved_connections',
    label: 'kind',
  },
  {
    name: 'postgres_longest_transaction_seconds',
    type: 'gauge',
    unit: 's',
    help: 'Age of the oldest open transaction',
  },
  {
    name: 'postgres_wal_bytes_total',
    type: 'counter',
    unit: 'By',
    help: 'Write-ahead log written by the server',
  },
  {
    name: 'postgres_replication_lag_bytes',
    type: 'gauge',
    unit: 'By',
    help: 'How far a standby has not replayed',
    label: 'standby',
  },
  {
    name: 'postgres_table_bytes',
    type: 'gauge',
    unit: 'By',
    help: 'Size of a table of a sink',
    label: 'table',
  },
  {
    name: 'postgres_index_bytes',
    type: 'gauge',
    unit: 'By',
    help: 'Size of the indexes of a table of a sink',
    label: 'table',
  },
  {
    name: 'postgres_dead_tuples',
    type: 'gauge',
    unit: '{row}',
    help: 'Rows of a table of a sink that a vacuum will remove',
    label: 'table',
  },
  {
    name: 'postgres_statement_seconds_total',
    type: 'counter',
    unit: 's',
    help: 'Time of our statements (pg_stat_statements)',
    label: 'statement',
  },
  {
    name: 'postgres_statement_calls_total',
    type: 'counter',
    unit: '{call}',
    help: 'Calls of our statements (pg_stat_statements)',
    label: 'statement',
  },
] as const satisfies readonly Metric[];

const OF_THE_MONITOR = [
  { name: 'build_info', type: 'gauge', unit: '1', help: 'Always 1; which version runs', label: 'version' },
  {
    name: 'monitor_shards',
    type: 'gauge',
    unit: '{shard}',
    help: 'Shards by state: awake; asleep, so that nothing more comes; deaf, which should have reported and have not',
    label: 'state',
  },
  {
    name: 'monitor_storage_bytes',
    type: 'gauge',
    unit: 'By',
    help: 'Size of what the monitor keeps, most of it history',
  },
  {
    name: 'monitor_points_left_out',
    type: 'gauge',
    unit: '{series}',
    help: 'Series that are not shown because there are too many, or because they came twice or are unknown',
  },
  {
    name: 'export_points_sent_total',
    type: 'counter',
    unit: '{point}',
    help: 'Points that an exporter has brought to its receiver',
    label: 'exporter',
  },
  {
    name: 'export_points_lost_total',
    type: 'counter',
    unit: '{point}',
    help: 'Points that a receiver did not take, or that could not be brought to it',
    label: 'exporter',
  },
  { name: 'alerts_firing', type: 'gauge', unit: '{alert}', help: 'Alerts that fire, by rule', label: 'rule' },
  {
    name: 'alert_deliveries_failed_total',
    type: 'counter',
    unit: '{delivery}',
    help: 'Tries to tell a receiver of an alert that failed',
  },
] as const satisfies readonly Metric[];

export type CounterName = (typeof COUNTERS)[number]['name'];
export type GaugeName = (typeof GAUGES)[number]['name'];
export type HistogramName = (typeof HISTOGRAMS)[number]['name'];
export type DatabaseMetricName = (typeof OF_A_DATABASE)[number]['name'];
export type MonitorMetricName = (typeof OF_THE_MONITOR)[number]['name'];

export const METRICS: readonly Metric[] = [
  ...COUNTERS.map((metric) => ({ ...metric, type: 'counter' as const })),
  ...GAUGES.map((metric) => ({ ...metric, type: 'gauge' as const })),
  ...HISTOGRAMS.map((metric) => ({ ...metric, type: 'histogram' as const })),
  ...OF_REPORTS,
  ...OF_A_DATABASE.map((metric) => ({ ...metric, of: 'database' as const })),
  ...OF_THE_MONITOR.map((metric) => ({ ...metric, of: 'monitor' as const })),
];
