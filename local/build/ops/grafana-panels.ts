/** What the Grafana dashboard shows, panel by panel. `$sink` and `$shard` are chosen on the page. */

export interface Target {
  expr: string;
  legend: string;
}

export interface Panel {
  title: string;
  description: string;
  /** As Grafana calls units. */
  unit: string;
  targets: readonly Target[];
}

export interface Row {
  title: string;
  panels: readonly Panel[];
}

const OF = '{sink=~"$sink",shard=~"$shard"}';
/** Counted per second. */
const rate = (metric: string, by = 'sink'): string =>
  `sum by (${by}) (rate(${metric}${OF}[$__rate_interval]))`;
const sum = (metric: string, by = 'sink'): string => `sum by (${by}) (${metric}${OF})`;

const quantile = (share: number, metric: string, by: string): string =>
  `histogram_quantile(${share}, sum by (${by}le) (rate(${metric}_bucket${OF}[$__rate_interval])))`;

export const ROWS: readonly Row[] = [
  {
    title: 'Is it well?',
    panels: [
      {
        title: 'Messages in and out',
        description: 'Where fewer come out than go in, the queue grows.',
        unit: 'cps',
        targets: [
          { expr: rate('sluice_messages_received_total'), legend: '{{sink}} received' },
          { expr: rate('sluice_messages_committed_total'), legend: '{{sink}} committed' },
        ],
      },
      {
        title: 'Alerts that fire',
        description: "By the monitor's own rules (docs/operations.md).",
        unit: 'short',
        targets: [{ expr: 'sum by (rule) (sluice_alerts_firing)', legend: '{{rule}}' }],
      },
      {
        title: 'Shards by state',
        description: 'A deaf one has messages and has not reported.',
        unit: 'short',
        targets: [{ expr: 'sluice_monitor_shards', legend: '{{state}}' }],
      },
      {
        title: 'Shards that do not write',
        description: 'Retrying goes on by itself; paused, stopped and held wait for somebody.',
        unit: 'short',
        targets: [
          {
            expr: `sum by (sink, state) (sluice_state{sink=~"$sink",shard=~"$shard",state!="running"})`,
            legend: '{{sink}} {{state}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Queue',
    panels: [
      {
        title: 'Messages that wait',
        description: 'Accepted and not settled.',
        unit: 'short',
        targets: [{ expr: sum('sluice_queue_messages'), legend: '{{sink}}' }],
      },
      {
        title: 'Age of the oldest message',
        description: 'Above a minute, health is degraded.',
        unit: 's',
        targets: [
          {
            expr: `max by (sink) ((time() - (sluice_queue_oldest_timestamp_seconds${OF} > 0)) or 0 * sluice_queue_messages${OF})`,
            legend: '{{sink}}',
          },
        ],
      },
      {
        title: 'How full the queue is',
        description: 'The fullest shard, by bytes.',
        unit: 'percentunit',
        targets: [
          {
            expr: `max by (sink) (sluice_queue_bytes${OF} / (sluice_queue_limit_bytes${OF} > 0))`,
            legend: '{{sink}}',
          },
        ],
      },
      {
        title: 'Dead letters kept',
        description: 'Where there is no room for another one, the shard pauses.',
        unit: 'short',
        targets: [
          { expr: sum('sluice_dead_letters'), legend: '{{sink}}' },
          { expr: sum('sluice_dead_letters_limit'), legend: '{{sink}} limit' },
        ],
      },
    ],
  },
  {
    title: 'Latency',
    panels: [
      {
        title: 'Ack',
        description: 'From the arrival of a message to its ack, by level.',
        unit: 's',
        targets: [
          { expr: quantile(0.5, 'sluice_ack_duration_seconds', 'level, '), legend: '{{level}} p50' },
          { expr: quantile(0.99, 'sluice_ack_duration_seconds', 'level, '), legend: '{{level}} p99' },
        ],
      },
      {
        title: 'Flush',
        description: 'How long Postgres took for a batch.',
        unit: 's',
        targets: [
          { expr: quantile(0.5, 'sluice_flush_duration_seconds', ''), legend: 'p50' },
          { expr: quantile(0.99, 'sluice_flush_duration_seconds', ''), legend: 'p99' },
        ],
      },
      {
        title: 'Messages of a batch',
        description: 'Large batches are cheap, and each message waits for its batch.',
        unit: 'short',
        targets: [
          { expr: quantile(0.5, 'sluice_batch_messages', ''), legend: 'p50' },
          { expr: quantile(0.99, 'sluice_batch_messages', ''), legend: 'p99' },
        ],
      },
      {
        title: 'Connecting, and delay of timers',
        description: 'p99. Timers that are late say that the isolate is busy.',
        unit: 's',
        targets: [
          { expr: quantile(0.99, 'sluice_connect_duration_seconds', ''), legend: 'connect' },
          { expr: quantile(0.99, 'sluice_event_loop_delay_seconds', ''), legend: 'timers' },
        ],
      },
    ],
  },
  {
    title: 'Faults',
    panels: [
      {
        title: 'Retries by class of SQLSTATE',
        description:
          '08: no connection. 40: a serialisation failure or a deadlock. 53: no resources. 57: the server shuts down.',
        unit: 'cps',
        targets: [{ expr: rate('sluice_retries_total', 'sqlstate_class'), legend: '{{sqlstate_class}}' }],
      },
      {
        title: 'Dead letters, new',
        description: 'By SQLSTATE, or by who refused them.',
        unit: 'cps',
        targets: [{ expr: rate('sluice_messages_dead_total', 'reason'), legend: '{{reason}}' }],
      },
      {
        title: 'Refused',
        description: 'Messages that were not accepted. Their sender was told.',
        unit: 'cps',
        targets: [
          { expr: rate('sluice_messages_refused_total', 'reason'), legend: '{{reason}}' },
          { expr: rate('sluice_memory_refused_total', 'sink'), legend: '{{sink}}, memory' },
        ],
      },
      {
        title: 'Duplicates, fenced sessions, waits',
        description:
          'Messages that came again; producers that were taken over; how often senders were told to wait.',
        unit: 'cps',
        targets: [
          { expr: rate('sluice_messages_duplicate_total'), legend: '{{sink}} duplicate' },
          { expr: rate('sluice_sessions_fenced_total'), legend: '{{sink}} fenced' },
          { expr: rate('sluice_credit_stalls_total'), legend: '{{sink}} stalled' },
          { expr: rate('sluice_restrained_total'), legend: '{{sink}} restrained' },
        ],
      },
    ],
  },
  {
    title: 'Connections and cost',
    panels: [
      {
        title: 'Connections to Postgres',
        description: 'Of all shards, by state.',
        unit: 'short',
        targets: [
          { expr: sum('sluice_database_connections', 'state'), legend: '{{state}}' },
          { expr: `sum(sluice_database_connections_limit${OF})`, legend: 'limit' },
        ],
      },
      {
        title: 'Sockets',
        description: 'Open ones by protocol, and producers.',
        unit: 'short',
        targets: [
          { expr: sum('sluice_sockets', 'protocol'), legend: '{{protocol}}' },
          { expr: `sum(sluice_producers${OF})`, legend: 'producers' },
        ],
      },
      {
        title: 'Rows written to the storage of shards',
        description: 'What Cloudflare bills, beside requests and time awake.',
        unit: 'cps',
        targets: [
          { expr: rate('sluice_storage_rows_written_total'), legend: '{{sink}} rows' },
          { expr: rate('sluice_requests_total'), legend: '{{sink}} requests' },
        ],
      },
      {
        title: 'Memory of the fullest isolate',
        description: 'Messages are refused from the limit on.',
        unit: 'bytes',
        targets: [
          { expr: `max(sluice_isolate_buffered_bytes${OF})`, legend: 'held' },
          { expr: `max(sluice_isolate_limit_bytes${OF})`, legend: 'limit' },
        ],
      },
    ],
  },
  {
    title: 'Postgres',
    panels: [
      {
        title: 'Connections to the server',
        description: 'All of them, not only those of shards.',
        unit: 'short',
        targets: [
          {
            expr: 'sum by (database, state) (sluice_postgres_connections)',
            legend: '{{database}} {{state}}',
          },
          { expr: 'sluice_postgres_connections_limit', legend: '{{database}} limit' },
        ],
      },
      {
        title: 'Write-ahead log',
        description: 'Bytes per second, and how far standbys have not replayed.',
        unit: 'bytes',
        targets: [
          {
            expr: 'rate(sluice_postgres_wal_bytes_total[$__rate_interval])',
            legend: '{{database}} written per second',
          },
          { expr: 'sluice_postgres_replication_lag_bytes', legend: '{{standby}} lag' },
        ],
      },
      {
        title: 'Tables and indexes',
        description: 'Sizes, of the tables of the sinks.',
        unit: 'bytes',
        targets: [
          { expr: 'sluice_postgres_table_bytes', legend: '{{table}}' },
          { expr: 'sluice_postgres_index_bytes', legend: '{{table}} indexes' },
        ],
      },
      {
        title: 'Longest transaction, and rows for vacuum',
        description: 'A transaction that stays open keeps dead rows.',
        unit: 'short',
        targets: [
          { expr: 'sluice_postgres_longest_transaction_seconds', legend: '{{database}} seconds' },
          { expr: 'sluice_postgres_dead_tuples', legend: '{{table}} dead rows' },
        ],
      },
    ],
  },
];
