/** The rows of one lane of the outbox in SQLite: its groups, its dead positions, and its own row. */

import type { Sqlite } from '../database/sqlite.ts';
import type { EncodedGroup } from './group.ts';
import { addIncarnation, forgetIncarnations, readIncarnations } from './incarnations.ts';
import { decodeTotals, encodeTotals, type LaneTotals } from './lane-totals.ts';
import { LANE_SPAN } from './outbox-tables.ts';

/** Groups looked at in one query when some are read back. */
const READ_BACK_GROUPS = 128;

const NOTHING_YET: LaneTotals = { start: 0n, dead: 0, rewritten: 0 };

/** A lane's own row. Positions are below 2^53 in storage. */
export interface LaneRow {
  /** Names this lane's life in Postgres. */
  incarnation: string;
  /** The first position that is not settled. */
  head: bigint;
  /** The last known position of the checkpoint in Postgres; null before the first batch. */
  fence: bigint | null;
  /** Ends of the batches that were cut and are not settled. */
  cuts: readonly bigint[];
  totals: LaneTotals;
}

/** A group without its messages. */
export interface GroupHeader {
  /** The position of its first message. */
  start: bigint;
  rows: number;
  /** Text of its row. */
  bytes: number;
  runs: string;
}

/** A group with its messages, one below the other. */
export interface StoredGroup extends Omit<GroupHeader, 'start'> {
  body: string;
}

export class LaneStorage {
  readonly #sqlite: Sqlite;
  readonly #lane: number;
  /** The keys of the lane's groups: from `#base` to before `#end`. */
  readonly #base: number;
  readonly #end: number;

  constructor(sqlite: Sqlite, lane: number) {
    this.#sqlite = sqlite;
    this.#lane = lane;
    this.#base = lane * LANE_SPAN;
    this.#end = this.#base + LANE_SPAN;
  }

  #keyOf(position: bigint): number {
    return this.#base + Number(position);
  }

  #positionOf(key: number): bigint {
    return BigInt(key - this.#base);
  }

  // The lane's own row.

  /** Reads the lane's row, or makes the one of a new lane. */
  open(randomId: () => string): LaneRow {
    const [row] = this.#sqlite.run<{
      incarnation: string;
      head: number;
      fence: number | null;
      cuts: string;
      totals: string | null;
    }>('select incarnation, head, fence, cuts, totals from outbox_lanes where lane = ?', this.#lane);
    if (row !== undefined) {
      const { incarnation, head, fence, cuts, totals } = row;
      return {
        incarnation,
        head: BigInt(head),
        fence: fence === null ? null : BigInt(fence),
        cuts: (JSON.parse(cuts) as number[]).map(BigInt),
        totals: decodeTotals(totals, BigInt(head)),
      };
    }
    const incarnation = randomId();
    this.#sqlite.run(
      'insert into outbox_lanes (lane, incarnation, head, fence, cuts, totals) values (?, ?, 0, null, ?, ?)',
      this.#lane,
      incarnation,
      '[]',
      encodeTotals(NOTHING_YET, '{}'),
    );
    return { incarnation, head: 0n, fence: null, cuts: [], totals: NOTHING_YET };
  }

  /** @param counts the shard's figures, as JSON text */
  save({ incarnation, head, fence, cuts, totals }: LaneRow, counts: string): void {
    this.#sqlite.run(
      'update outbox_lanes set incarnation = ?, head = ?, fence = ?, cuts = ?, totals = ? where lane = ?',
      incarnation,
      Number(head),
      fence === null ? null : Number(fence),
      `[${cuts.join(',')}]`,
      encodeTotals(totals, counts),
      this.#lane,
    );
  }

  /** The names that the lane had, or may get, in Postgres beside that of its row, oldest first. */
  get incarnations(): string[] {
    return readIncarnations(this.#sqlite, this.#lane);
  }

  addIncarnation(incarnation: string): void {
    addIncarnation(this.#sqlite, this.#lane, incarnation);
  }

  forgetIncarnations(): void {
    forgetIncarnations(this.#sqlite, this.#lane);
  }

  // Groups.

  /** Writes a group as one row. */
  addGroup(start: bigint, { rows, runs, body }: EncodedGroup): void {
    this.#sqlite.run(
      'insert into outbox_groups (key, rows, bytes, runs, body) values (?, ?, ?, ?, ?)',
      this.#keyOf(start),
      rows,
      runs.length + body.length,
      runs,
      body,
    );
  }

  /** Deletes the groups that begin before a position. */
  deleteGroupsBefore(end: bigint): void {
    this.#sqlite.run('delete from outbox_groups where key >= ? and key < ?', this.#base, this.#keyOf(end));
  }

  /** The headers of all groups from a position on, in lots: an outbox may hold hundreds of thousands. */
  *headers(from: bigint): Generator<GroupHeader> {
    let next = this.#keyOf(from);
    for (;;) {
      const groups = this.#sqlite.run<Omit<GroupHeader, 'start'> & { key: number }>(
        'select key, rows, bytes, runs from outbox_groups where key >= ? and key < ? order by key limit ?',
        next,
        this.#end,
        READ_BACK_GROUPS,
      );
      for (const { key, rows, bytes, runs } of groups) {
        yield { start: this.#positionOf(key), rows, bytes, runs };
        next = key + 1;
      }
      if (groups.length < READ_BACK_GROUPS) return;
    }
  }

  /** The header of the first group from a position on. */
  headerAt(position: bigint): GroupHeader | undefined {
    const [group] = this.#sqlite.run<Omit<GroupHeader, 'start'> & { key: number }>(
      'select key, rows, bytes, runs from outbox_groups where key >= ? and key < ? order by key limit 1',
      this.#keyOf(position),
      this.#end,
    );
    if (group === undefined) return undefined;
    const { key, rows, bytes, runs } = group;
    return { start: this.#positionOf(key), rows, bytes, runs };
  }

  /** How many messages the groups from a position on have, and how much text. */
  totalsFrom(position: bigint): { rows: number; bytes: number } {
    const [sums] = this.#sqlite.run<{ rows: number | null; bytes: number | null }>(
      'select sum(rows) as rows, sum(bytes) as bytes from outbox_groups where key >= ? and key < ?',
      this.#keyOf(position),
      this.#end,
    );
    return { rows: sums?.rows ?? 0, bytes: sums?.bytes ?? 0 };
  }

  /** The sizes of the groups from a position on, of a lot of them. */
  sizesFrom(position: bigint): { start: bigint; rows: number; bytes: number }[] {
    return this.#sqlite
      .run<{ key: number; rows: number; bytes: number }>(
        'select key, rows, bytes from outbox_groups where key >= ? and key < ? order by key limit ?',
        this.#keyOf(position),
        this.#end,
        READ_BACK_GROUPS,
      )
      .map(({ key, rows, bytes }) => ({ start: this.#positionOf(key), rows, bytes }));
  }

  /** The groups from a position to the one that begins at `last`, with their messages. */
  read(from: bigint, last: bigint): StoredGroup[] {
    return this.#sqlite.run<StoredGroup>(
      'select rows, bytes, runs, body from outbox_groups where key >= ? and key <= ? order by key',
      this.#keyOf(from),
      this.#keyOf(last),
    );
  }

  /** Where the group begins that a position lies in; the position itself where it is a border. */
  startOfGroupAt(position: bigint): bigint {
    const [group] = this.#sqlite.run<{ key: number; rows: number }>(
      'select key, rows from outbox_groups where key >= ? and key < ? order by key desc limit 1',
      this.#base,
      this.#keyOf(position),
    );
    if (group === undefined) return position;
    const start = this.#positionOf(group.key);
    return start + BigInt(group.rows) > position ? start : position;
  }

  // Positions of dead letters.

  /** Positions of dead letters whose group is there, oldest first. */
  get deadPositions(): bigint[] {
    return this.#sqlite
      .run<{ key: number }>(
        'select key from outbox_dead where key >= ? and key < ? order by key',
        this.#base,
        this.#end,
      )
      .map(({ key }) => this.#positionOf(key));
  }

  addDeadPosition(position: bigint): void {
    this.#sqlite.run('insert or ignore into outbox_dead (key) values (?)', this.#keyOf(position));
  }

  deleteDeadPositionsBefore(end: bigint): void {
    this.#sqlite.run('delete from outbox_dead where key >= ? and key < ?', this.#base, this.#keyOf(end));
  }
}
