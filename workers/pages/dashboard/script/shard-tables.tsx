/** The tables of sinks and of a sink's shards. */

import type { JSX } from 'preact';
import { exactCount, shownDuration, shownRate } from '../../../../src/monitor/shown-figures.ts';
import type { ShownState, SinkView, Tiles } from '../../../../src/monitor/view.ts';
import { Meter } from '../../parts/meter.tsx';
import { type Column, type Row, Table } from '../../parts/table.tsx';
import { linkTo } from './route.ts';
import { Ago, Count, State } from './shown.tsx';

const FIGURES: readonly Column[] = [
  { title: 'state', isText: true },
  { title: 'in/s' },
  { title: 'out/s' },
  { title: 'waiting' },
  { title: 'oldest' },
  { title: 'ack p99' },
  { title: 'dead' },
  { title: 'sockets' },
  { title: 'connections' },
];

export function SinksTable({ sinks, nowMs }: { sinks: readonly SinkView[]; nowMs: number }): JSX.Element {
  if (sinks.length === 0) {
    return (
      <p class="empty">
        No shard has reported yet. Connect a client to <code>/ws/&lt;sink&gt;</code> and send a message: its
        sink appears here within seconds.
      </p>
    );
  }
  return (
    <Table
      label="Table of sinks"
      columns={[{ title: 'sink' }, ...FIGURES]}
      rows={sinks.map((sink) => ({
        key: sink.sink,
        cells: [
          <a key="link" href={linkTo(sink.sink)} title={sink.sink}>
            <bdi>{sink.sink}</bdi>
          </a>,
          <span key="state">
            <State state={sink.state} sinceMs={sink.stateSinceMs} nowMs={nowMs} />
            {sink.shards.length > 1 ? <span class="quiet small"> {sink.shards.length} shards</span> : null}
          </span>,
          ...figuresOf(sink),
        ],
      }))}
    />
  );
}

/** So many rows at once; the others are a button away. */
export const SHOWN_SHARDS = 32;

const WORST_FIRST: Record<ShownState, number> = {
  stopped: 0,
  held: 1,
  full: 2,
  paused: 3,
  retrying: 4,
  unknown: 5,
  busy: 6,
  ok: 7,
  running: 7,
  asleep: 8,
};

export interface ShardsTableProps {
  sink: SinkView;
  nowMs: number;
  showsAll: boolean;
  onShowAll(): void;
}

/** Those first that need somebody. */
export function ShardsTable({ sink, nowMs, showsAll, onShowAll }: ShardsTableProps): JSX.Element {
  const sorted = sink.shards.toSorted(
    (left, right) => WORST_FIRST[left.state] - WORST_FIRST[right.state] || left.shard - right.shard,
  );
  const shown = showsAll ? sorted : sorted.slice(0, SHOWN_SHARDS);
  const rows: Row[] = shown.map((shard) => ({
    key: String(shard.shard),
    cells: [
      <a key="link" href={linkTo(sink.sink, shard.shard)}>
        shard {shard.shard}
      </a>,
      <State key="state" state={shard.state} sinceMs={shard.stateSinceMs} nowMs={nowMs} />,
      ...figuresOf(shard),
      <Ago key="reported" atMs={shard.reportedAtMs} nowMs={nowMs} />,
    ],
  }));
  return (
    <>
      <Table
        label={`Shards of ${sink.sink}`}
        columns={[{ title: 'shard' }, ...FIGURES, { title: 'reported' }]}
        rows={rows}
      />
      {sorted.length > shown.length ? (
        <button type="button" onClick={onShowAll}>
          Show all {sorted.length} shards
        </button>
      ) : null}
    </>
  );
}

function figuresOf(tiles: Tiles): JSX.Element[] {
  const { queueBytes, queueLimitBytes, connectionsOpen, connectionsLimit } = tiles;
  return [
    <span key="in" title={`${exactCount(tiles.receivedPerSecond)} messages/s`}>
      {shownRate(tiles.receivedPerSecond)}
    </span>,
    <span key="out" title={`${exactCount(tiles.committedPerSecond)} messages/s`}>
      {shownRate(tiles.committedPerSecond)}
    </span>,
    <span key="waiting">
      <Count value={tiles.queueMessages} unit="messages" />
      {queueLimitBytes > 0 && queueBytes >= 0.01 * queueLimitBytes ? (
        <Meter share={queueBytes / queueLimitBytes} />
      ) : null}
    </span>,
    <span key="oldest">{tiles.oldestMs === 0 ? '–' : shownDuration(tiles.oldestMs)}</span>,
    <span key="ack">{shownDuration(tiles.ackP99Ms)}</span>,
    <span key="dead" class={tiles.deadLetters > 0 ? 'text-bad' : undefined}>
      <Count value={tiles.deadLetters} unit="dead letters" />
    </span>,
    <Count key="sockets" value={tiles.sockets} unit="open sockets" />,
    <span key="connections" title={`${tiles.connectionsBusy} of them at work`}>
      {connectionsOpen} of {connectionsLimit}
    </span>,
  ];
}
