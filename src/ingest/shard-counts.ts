/**
 * What a shard has counted in all its lives: what its storage had when this life began, and what was counted since. The names are
 * those of the metrics (src/monitor/metrics.ts), with the value of a label after a bar: `messages_refused_total|gap`.
 */

import type { LaneSums, SavedCounts } from '../outbox/lane-totals.ts';
import type { IntakeCounters } from './intake-counters.ts';
import type { Measurements } from './measurements.ts';
import type { MessageTotals } from './message-totals.ts';

/** What else counts in this life. */
export interface LifeSums {
  committed: number;
  dead: number;
  flushes: number;
  /** Messages that were made durable, and the text that was written with them. */
  stored: number;
  writtenBytes: number;
  rowsWritten: number;
  memoryRefused: number;
  restrained: number;
  refusedConnections: number;
}

const RECEIVED = 'messages_received_total';
const STORED = 'messages_stored_total';
const COMMITTED = 'messages_committed_total';
const DEAD = 'messages_dead_total';
const DUPLICATE = 'messages_duplicate_total';
const REFUSED = 'messages_refused_total';
const ROWS = 'storage_rows_written_total';
const EXACT = [RECEIVED, STORED, COMMITTED, DEAD];
/** The reason of dead letters that a crash has left without one. */
const UNKNOWN = 'unknown';

export interface ShardCountsOptions {
  /** The shard's figures when its storage was last written. */
  saved: SavedCounts;
  /** What the lanes had dealt with when this life began, and what they held. */
  lanes: LaneSums & { unsettled: number };
  counters: IntakeCounters;
  measured: Measurements;
  life: () => LifeSums;
}

export class ShardCounts {
  readonly #options: ShardCountsOptions;
  /** What earlier lives have counted. */
  readonly #base: SavedCounts;

  constructor(options: ShardCountsOptions) {
    this.#options = options;
    this.#base = baseOf(options);
  }

  /** All that is above 0, by name. */
  get all(): SavedCounts {
    const { counters, measured, life } = this.#options;
    const sums = life();
    const { connections } = measured;
    const counts = { ...this.#base };
    const add = (name: string, count: number): void => {
      if (count > 0) counts[name] = (counts[name] ?? 0) + count;
    };
    const addEach = (name: string, each: Iterable<[string, number]>): void => {
      for (const [label, count] of each) add(`${name}|${label}`, count);
    };
    // What was found at the start arrived in a life before.
    add(RECEIVED, counters.received - counters.recovered);
    add('received_bytes_total', measured.frameBytes);
    add('frames_received_total', measured.frames);
    add(STORED, sums.stored);
    add(COMMITTED, sums.committed);
    addEach(DEAD, measured.dead.entries());
    add(DUPLICATE, counters.duplicate);
    addEach(REFUSED, Object.entries(counters.refused));
    add('batches_total', sums.flushes);
    addEach('retries_total', measured.retries.entries());
    add('connections_opened_total', connections.opened);
    add('connections_failed_total', connections.failed);
    add('sockets_opened_total', measured.socketsOpened);
    addEach('sockets_closed_total', measured.socketsClosed.entries());
    add('sockets_refused_total', sums.refusedConnections);
    add('sessions_fenced_total', measured.sessionsFenced);
    add('restrained_total', sums.restrained);
    add('credit_stalls_total', measured.creditStalls);
    add('memory_refused_total', sums.memoryRefused);
    add(ROWS, sums.rowsWritten);
    add('outbox_written_bytes_total', sums.writtenBytes);
    add('requests_total', measured.requests);
    add('awake_seconds_total', measured.awakeMs / 1_000);
    add('serialisation_seconds_total', measured.serialisationMs / 1_000);
    add('reports_lost_total', measured.reportsLost);
    return counts;
  }

  /** As text, for a lane's row, which is written with it. */
  get text(): string {
    const counts = this.all;
    counts[ROWS] = (counts[ROWS] ?? 0) + 1;
    return JSON.stringify(counts);
  }

  /**
   * Somebody knows what earlier lives had counted after their storage was last written. Where the storage is another one by now,
   * as after it was lost, that is of no meaning.
   */
  raise(known: SavedCounts): void {
    if ((known[STORED] ?? 0) > (this.#base[STORED] ?? 0)) return;
    const isDurable = (this.#base[STORED] ?? 0) > 0;
    for (const [name, count] of Object.entries(known)) {
      // These are exact, and no other figure can be right.
      if (isDurable && EXACT.some((exact) => name === exact || name.startsWith(`${exact}|`))) continue;
      this.#base[name] = Math.max(this.#base[name] ?? 0, count);
    }
    if (isDurable) this.#base[RECEIVED] = receivedOf(this.#base, this.#options.lanes.rewritten);
  }

  get messages(): MessageTotals {
    const { counters, life } = this.#options;
    const { stored, committed, dead } = life();
    const refused = Object.values(counters.refused).reduce((sum, count) => sum + count, 0);
    const base = this.#base;
    return {
      received: (base[RECEIVED] ?? 0) + counters.received - counters.recovered,
      stored: (base[STORED] ?? 0) + stored,
      committed: (base[COMMITTED] ?? 0) + committed,
      dead: sumOf(base, DEAD) + dead,
      duplicate: (base[DUPLICATE] ?? 0) + counters.duplicate,
      refused: sumOf(base, REFUSED) + refused,
    };
  }
}

/**
 * The figures that a life begins with. Those that the positions of the outbox tell are exact after a crash; the others lack
 * what came since the storage was last written.
 */
function baseOf({ saved, lanes }: ShardCountsOptions): SavedCounts {
  const base = { ...saved };
  const { stored, dead, rewritten, unsettled } = lanes;
  base[STORED] = stored;
  base[COMMITTED] = Math.max(0, stored - unsettled - dead + rewritten);
  const unnamed = dead - sumOf(base, DEAD);
  if (unnamed > 0) base[`${DEAD}|${UNKNOWN}`] = (base[`${DEAD}|${UNKNOWN}`] ?? 0) + unnamed;
  base[RECEIVED] = receivedOf(base, rewritten);
  return base;
}

/** Each message that was received was stored, written again, or came to nothing. */
function receivedOf(base: SavedCounts, rewritten: number): number {
  return (base[STORED] ?? 0) + rewritten + (base[DUPLICATE] ?? 0) + sumOf(base, REFUSED);
}

function sumOf(counts: SavedCounts, name: string): number {
  let sum = 0;
  for (const [key, count] of Object.entries(counts)) if (key.startsWith(`${name}|`)) sum += count;
  return sum;
}
