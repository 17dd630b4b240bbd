/** Postgres' own view, a line for each database. */

import type { JSX } from 'preact';
import type { DatabaseMetricName } from '../../../../src/monitor/metrics.ts';
import type { DatabaseReport } from '../../../../src/monitor/shard-report.ts';
import { exactCount, shownBytes, shownCount, shownDuration } from '../../../../src/monitor/shown-figures.ts';
import { Ago } from './shown.tsx';

export function Databases({
  databases,
  nowMs,
}: {
  databases: readonly DatabaseReport[];
  nowMs: number;
}): JSX.Element {
  return (
    <section class="card" aria-labelledby="postgres">
      <h2 id="postgres">Postgres</h2>
      {databases.length === 0 ? (
        <p class="empty">
          Not asked yet: a shard asks, at most every 30 s, while it has a connection open. Nothing is asked of
          a database that sleeps.
        </p>
      ) : (
        <ul class="list">
          {databases.map((database) => (
            <li key={database.address}>
              <DatabaseLine database={database} nowMs={nowMs} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function DatabaseLine({ database, nowMs }: { database: DatabaseReport; nowMs: number }): JSX.Element {
  const { address, serverVersion, samples, hidden, atMs } = database;
  const of = (name: DatabaseMetricName): { label: string; value: number }[] =>
    samples.flatMap(([metric, label, value]) => (metric === name ? [{ label, value }] : []));
  const sum = (name: DatabaseMetricName): number | null => {
    const found = of(name);
    return found.length === 0 ? null : found.reduce((total, { value }) => total + value, 0);
  };
  const limit = sum('postgres_connections_limit');
  const longest = sum('postgres_longest_transaction_seconds');
  const lags = of('postgres_replication_lag_bytes');
  const facts: [string, string, string?][] = [
    ['version', serverVersion],
    [
      'connections',
      `${shownCount(sum('postgres_connections'))}${limit === null ? '' : ` of ${shownCount(limit)}`}`,
    ],
    ['longest transaction', shownDuration(longest === null ? null : longest * 1_000)],
    ['tables', shownBytes(sum('postgres_table_bytes'))],
    ['indexes', shownBytes(sum('postgres_index_bytes'))],
    ['dead rows', shownCount(sum('postgres_dead_tuples')), exactCount(sum('postgres_dead_tuples'))],
    [
      'replication lag',
      lags.length === 0 ? 'no standby' : shownBytes(Math.max(...lags.map(({ value }) => value))),
    ],
  ];
  return (
    <>
      <p class="row apart">
        <code>
          <bdi>{address}</bdi>
        </code>
        <span class="quiet small">
          <Ago atMs={atMs} nowMs={nowMs} />
        </span>
      </p>
      <dl class="facts">
        {facts.map(([name, text, exact]) => (
          <div key={name} title={exact}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      {hidden.length > 0 ? (
        <p class="quiet small">Not to be seen with this role: {hidden.join('; ')}</p>
      ) : null}
    </>
  );
}
