/** How a shard stands, for those who watch it. Asked for a few times a minute, so that it may look at every session. */

import type { HistogramSnapshot } from '../core/exponential-histogram.ts';
import type { LaneState } from '../outbox/lane-faults.ts';
import type { SavedCounts } from '../outbox/lane-totals.ts';
import type { Producer } from '../outbox/producer.ts';
import type { Capacity } from './capacity.ts';
import type { FlusherStats } from './flusher-stats.ts';
import type { Lanes } from './lanes.ts';
import type { MemoryHold } from './memory-hold.ts';
import type { Sessions } from './sessions.ts';

/** A producer that has sent something since it was last asked. */
export interface Sender {
  /** The whole name: `acme/device-7`. */
  producer: string;
  messages: number;
  /** Messages that it was last told it may send; null for a raw socket. */
  creditMessages: number | null;
}

export interface PipelineFigures {
  counts: SavedCounts;
  /** Whether it writes, and what keeps it from that; sums over the lanes. */
  trouble: FlusherStats;
  lanes: readonly LaneState[];
  /** Messages that are not settled, what they count for, and the room for them. */
  queue: { messages: number; bytes: number; maxMessages: number; maxBytes: number };
  /** When the oldest of them was received; undefined where there is none. */
  oldestAtMs: number | undefined;
  outboxBytes: number;
  /** Messages that clients were told they may send, all together. */
  creditMessages: number;
  flush: HistogramSnapshot;
  /** What clients are acked first: without an outbox, messages are only taken. */
  ackLevel: 'stored' | 'taken';
  /** What all shards of the isolate hold in memory, and from where on they take nothing. */
  isolate: { bytes: number; maxBytes: number };
}

export interface FigureSources {
  counts: SavedCounts;
  lanes: Lanes;
  capacity: Capacity;
  sessions: Sessions;
  memory: MemoryHold;
  hasOutbox: boolean;
}

export function figuresOf({
  counts,
  lanes,
  capacity,
  sessions,
  memory,
  hasOutbox,
}: FigureSources): PipelineFigures {
  const { bytes, maxRows, maxBytes } = capacity.usage();
  let creditMessages = 0;
  for (const [, { credit }] of sessions.entries()) creditMessages += credit.messages;
  return {
    counts,
    trouble: lanes.trouble,
    lanes: lanes.all.map(({ flusher }) => flusher.stats.state),
    queue: { messages: lanes.rows, bytes, maxMessages: maxRows, maxBytes },
    oldestAtMs: lanes.oldestAtMs,
    outboxBytes: lanes.all.reduce((sum, { lane }) => sum + lane.storedBytes, 0),
    creditMessages,
    flush: lanes.flushLatency.snapshot(),
    ackLevel: hasOutbox ? 'stored' : 'taken',
    isolate: { bytes: memory.heldBytes, maxBytes: memory.limitBytes },
  };
}

/** Those that sent most since the last call, the first of them first. */
export function takeSenders(sessions: Sessions, raw: Iterable<Producer>, limit: number): Sender[] {
  const senders: Sender[] = [];
  const note = (producer: Producer, creditMessages: number | null): void => {
    const messages = producer.nextSequence - producer.reportedSequence;
    producer.reportedSequence = producer.nextSequence;
    if (messages > 0) senders.push({ producer: producer.name, messages, creditMessages });
  };
  for (const [producer, { credit }] of sessions.entries()) note(producer, credit.messages);
  for (const producer of raw) note(producer, null);
  return senders.sort((left, right) => right.messages - left.messages).slice(0, limit);
}
