/** How figures went over 15 minutes, 6 hours, 7 days or a year: of all sinks, of a sink, or of a shard. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { shownBytes, shownCount, shownDuration, shownRate } from '../../../../src/monitor/shown-figures.ts';
import type { HistoryView, SeriesName } from '../../../../src/monitor/view.ts';
import { LineChart } from '../../parts/line-chart.tsx';
import type { Dashboard } from './dashboard.ts';
import { Ago } from './shown.tsx';

const RANGES = { '15m': '15 min', '6h': '6 h', '7d': '7 days', '1y': '1 year' } as const;
type Range = keyof typeof RANGES;

/** How often the figures are asked for. */
const EVERY_MS: Record<Range, number> = { '15m': 10_000, '6h': 60_000, '7d': 60_000, '1y': 60_000 };

interface Chart {
  lines: Partial<Record<SeriesName, string>>;
  /** A sentence, of the latest known figure of each line in turn. */
  title(...latest: string[]): string;
  show(value: number | null): string;
  isLog?: boolean;
}

const rate = (value: number | null): string => shownRate(value);
const CHARTS: readonly Chart[] = [
  {
    lines: { received: 'in/s', committed: 'out/s' },
    title: (received, committed) => `${received}/s come in, ${committed}/s go out`,
    show: rate,
  },
  {
    lines: { queueMessages: 'messages' },
    title: (messages) => `${messages} messages wait`,
    show: shownCount,
  },
  {
    lines: { oldestMs: 'oldest' },
    title: (oldest) => `The oldest message has waited ${oldest}`,
    show: shownDuration,
  },
  {
    lines: { ackP50Ms: 'p50', ackP90Ms: 'p90', ackP99Ms: 'p99' },
    title: (_, __, p99) => `Ack p99 is ${p99}`,
    show: shownDuration,
    isLog: true,
  },
  {
    lines: { flushP50Ms: 'p50', flushP90Ms: 'p90', flushP99Ms: 'p99' },
    title: (_, __, p99) => `Flush p99 is ${p99}`,
    show: shownDuration,
    isLog: true,
  },
  {
    lines: { retries: 'retries', dead: 'dead', refused: 'refused', duplicate: 'duplicate' },
    title: (retries, dead) => `${retries} retries/s, ${dead} dead letters/s`,
    show: rate,
  },
  {
    lines: { batchMessages: 'messages' },
    title: (messages) => `A batch has ${messages} messages`,
    show: shownCount,
  },
  {
    lines: { connectionsOpen: 'open', connectionsBusy: 'busy' },
    title: (open, busy) => `${open} connections to Postgres, ${busy} busy`,
    show: shownCount,
  },
  { lines: { sockets: 'sockets' }, title: (sockets) => `${sockets} sockets are open`, show: shownCount },
  { lines: { outboxBytes: 'outbox' }, title: (bytes) => `The outbox has ${bytes}`, show: shownBytes },
];

export interface ChartsProps {
  dashboard: Dashboard;
  sink?: string;
  shard?: number;
}

export function Charts({ dashboard, sink, shard }: ChartsProps): JSX.Element {
  const [range, setRange] = useState<Range>('15m');
  const [history, setHistory] = useState<HistoryView>();
  const [trouble, setTrouble] = useState<string>();
  useEffect(() => {
    let isOver = false;
    const load = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const found = await dashboard.api.get<HistoryView>('/monitor/history', { range, sink, shard });
        if (isOver) return;
        setHistory(found);
        setTrouble(undefined);
      } catch (error) {
        if (!isOver) setTrouble(error instanceof Error ? error.message : String(error));
      }
    };
    void load();
    const timer = setInterval(load, EVERY_MS[range]);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [dashboard, range, sink, shard]);

  return (
    <section class="card" aria-labelledby="charts">
      <div class="row apart">
        <h2 id="charts">Over time</h2>
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset would be a form's */}
        <div class="row" role="group" aria-label="Time range">
          {(Object.keys(RANGES) as Range[]).map((one) => (
            <button key={one} type="button" aria-pressed={one === range} onClick={() => setRange(one)}>
              {RANGES[one]}
            </button>
          ))}
        </div>
      </div>
      {trouble === undefined ? null : (
        <p class="text-bad" role="alert">
          The history could not be read: {trouble}
        </p>
      )}
      {history === undefined ? (
        <p class="empty">Reading the history…</p>
      ) : (
        <ChartList history={history} dashboard={dashboard} />
      )}
    </section>
  );
}

function ChartList({ history, dashboard }: { history: HistoryView; dashboard: Dashboard }): JSX.Element {
  const { fromMs, stepMs, series, markers } = history;
  const steps = Math.max(0, ...Object.values(series).map((values) => values.length));
  const isEmpty = Object.values(series).every((values) => values.every((value) => value === null));
  if (isEmpty)
    return <p class="empty">Nothing was reported in this time. Choose a longer one, or send a message.</p>;
  const times = Array.from({ length: steps }, (_, index) => fromMs + index * stepMs);
  const shownMarkers = markers.map(({ atMs, message }) => ({ atMs, text: message }));
  return (
    <>
      <div class="charts">
        {CHARTS.map(({ lines, title, show, isLog }) => {
          const names = Object.keys(lines) as SeriesName[];
          const latest = names.map((name) => show(series[name]?.findLast((value) => value !== null) ?? null));
          return (
            <LineChart
              key={names.join()}
              title={title(...latest)}
              times={times}
              lines={names.map((name) => ({
                name: lines[name] as string,
                values: positive(series[name] ?? [], isLog),
              }))}
              markers={shownMarkers}
              show={show}
              {...(isLog ? { isLog } : {})}
            />
          );
        })}
      </div>
      {markers.length === 0 ? null : (
        <details>
          <summary>
            {markers.length} marked {markers.length === 1 ? 'time' : 'times'} (dashed lines): deployments,
            pauses, returns
          </summary>
          <ol class="list">
            {markers.toReversed().map(({ atMs, message, sink }) => (
              <li key={`${atMs} ${message}`} class="event">
                <span class="quiet">
                  <Ago atMs={atMs} nowMs={dashboard.nowMs} />
                </span>
                <p>
                  {sink === null ? '' : <bdi>{sink}: </bdi>}
                  <bdi>{message}</bdi>
                </p>
              </li>
            ))}
          </ol>
        </details>
      )}
    </>
  );
}

/** A logarithmic axis has no place for 0. */
function positive(values: readonly (number | null)[], isLog = false): (number | null)[] {
  return isLog ? values.map((value) => (value !== null && value > 0 ? value : null)) : [...values];
}
