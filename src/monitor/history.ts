/**
 * The monitor's history: points of each shard in steps of 10 s for a day, of a minute for 14 days, of an hour for a year. A step is
 * made of the finer one below it when it is over, so that nothing has to be kept in memory for it; what no step is made of yet is
 * read from the finer one.
 */

import type { Sqlite } from '../database/sqlite.ts';
import { mergeInTime, type Point, readPoint, writePoint } from './point.ts';

export interface Tier {
  stepMs: number;
  keepMs: number;
}

const DAY_MS = 86_400_000;

/** From the finest to the coarsest: each step is a whole number of those before it. */
export const TIERS: readonly [Tier, Tier, Tier] = [
  { stepMs: 10_000, keepMs: DAY_MS },
  { stepMs: 60_000, keepMs: 14 * DAY_MS },
  { stepMs: 3_600_000, keepMs: 365 * DAY_MS },
];

/** Of one shard. With it at its limit, the oldest points of the finest steps go first. */
const MAX_SHARD_BYTES = 10_000_000;

/** What a row takes beside its text. */
const ROW_BYTES = 16;

/** Rows that go at a time where a shard has too many. */
const TRIMMED_ROWS = 1_000;

export interface TimedPoint {
  atMs: number;
  point: Point;
}

export class History {
  readonly #sqlite: Sqlite;
  readonly #maxShardBytes: number;
  /** The last step of each shard that was written, by shard. */
  readonly #lastMs = new Map<number, number>();
  /** What each shard's rows take, by shard. */
  readonly #bytes = new Map<number, number>();
  #prunedAtMs = Number.NEGATIVE_INFINITY;

  constructor(sqlite: Sqlite, maxShardBytes = MAX_SHARD_BYTES) {
    this.#sqlite = sqlite;
    this.#maxShardBytes = maxShardBytes;
    sqlite.run(
      'create table if not exists history (shard integer not null, tier integer not null, at_s integer not null, point text not null, primary key (shard, tier, at_s)) strict, without rowid',
    );
  }

  /**
   * Adds what happened to a shard to the step that a time lies in. Times of one shard must not go back by more than the coarsest
   * steps that are over: those are not made again.
   */
  add(shard: number, nowMs: number, point: Point): void {
    const [finest] = TIERS;
    const atMs = startOf(nowMs, finest.stepMs);
    const last = this.#last(shard);
    if (last !== undefined && atMs > last) this.#rollUp(shard, last, atMs);
    const known = this.#read(shard, 0, atMs, atMs + finest.stepMs)[0];
    this.#write(shard, 0, atMs, known === undefined ? point : mergeInTime(known.point, point));
    this.#lastMs.set(shard, Math.max(last ?? atMs, atMs));
    this.#prune(nowMs);
    this.#trim(shard);
  }

  /**
   * The points of a shard between two times, in the steps of a tier, oldest first. Steps in which nothing was reported are missing.
   *
   * @param tier 0 to 2: of `TIERS`
   */
  read(shard: number, tier: number, fromMs: number, toMs: number): TimedPoint[] {
    const { stepMs } = TIERS[tier] as Tier;
    const from = startOf(fromMs, stepMs);
    const points = this.#read(shard, tier, from, toMs);
    if (tier === 0) return points;
    const last = points.at(-1);
    const openMs = last === undefined ? from : last.atMs + stepMs;
    return [...points, ...joined(this.read(shard, tier - 1, openMs, toMs), stepMs)];
  }

  /** What the history of a shard takes. */
  bytesOf(shard: number): number {
    let bytes = this.#bytes.get(shard);
    if (bytes === undefined) {
      const [sum] = this.#sqlite.run<{ bytes: number | null }>(
        'select sum(length(point) + ?) as bytes from history where shard = ?',
        ROW_BYTES,
        shard,
      );
      bytes = sum?.bytes ?? 0;
      this.#bytes.set(shard, bytes);
    }
    return bytes;
  }

  /** Forgets all of a shard. */
  forget(shard: number): void {
    this.#sqlite.run('delete from history where shard = ?', shard);
    this.#lastMs.delete(shard);
    this.#bytes.delete(shard);
  }

  #last(shard: number): number | undefined {
    const known = this.#lastMs.get(shard);
    if (known !== undefined) return known;
    const [row] = this.#sqlite.run<{ at: number | null }>(
      'select max(at_s) as at from history where shard = ? and tier = 0',
      shard,
    );
    return row?.at == null ? undefined : row.at * 1_000;
  }

  // The steps that are over once time has moved on from the last point to the next one.
  #rollUp(shard: number, lastMs: number, nextMs: number): void {
    for (let tier = 1; tier < TIERS.length; tier += 1) {
      const { stepMs } = TIERS[tier] as Tier;
      const fromMs = startOf(lastMs, stepMs);
      if (startOf(nextMs, stepMs) === fromMs) return;
      const [whole] = joined(this.#read(shard, tier - 1, fromMs, fromMs + stepMs), stepMs);
      if (whole !== undefined) this.#write(shard, tier, fromMs, whole.point);
    }
  }

  #read(shard: number, tier: number, fromMs: number, toMs: number): TimedPoint[] {
    return this.#sqlite
      .rows<[at: number, point: string]>(
        'select at_s, point from history where shard = ? and tier = ? and at_s >= ? and at_s < ? order by at_s',
        shard,
        tier,
        Math.floor(fromMs / 1_000),
        Math.ceil(toMs / 1_000),
      )
      .map(([at, point]) => ({ atMs: at * 1_000, point: readPoint(point) }));
  }

  #write(shard: number, tier: number, atMs: number, point: Point): void {
    const text = writePoint(point);
    // One that is written over counts twice until the next start: the limit is a little early then, never late.
    this.#bytes.set(shard, this.bytesOf(shard) + text.length + ROW_BYTES);
    this.#sqlite.run(
      'insert into history (shard, tier, at_s, point) values (?, ?, ?, ?) on conflict (shard, tier, at_s) do update set point = excluded.point',
      shard,
      tier,
      atMs / 1_000,
      text,
    );
  }

  // Once an hour, for all shards: those that have gone report no more.
  #prune(nowMs: number): void {
    if (nowMs - this.#prunedAtMs < 3_600_000) return;
    this.#prunedAtMs = nowMs;
    // One step in the index for each shard: `distinct` would read all points.
    let shard = this.#shardAfter(-1);
    for (; shard !== undefined; shard = this.#shardAfter(shard)) {
      const pruned = shard;
      TIERS.forEach(({ keepMs }, tier) => {
        const gone = this.#sqlite.rows<[length: number]>(
          'delete from history where shard = ? and tier = ? and at_s < ? returning length(point)',
          pruned,
          tier,
          Math.floor((nowMs - keepMs) / 1_000),
        );
        const bytes = this.#bytes.get(pruned);
        if (bytes === undefined) return;
        this.#bytes.set(
          pruned,
          gone.reduce((left, [length]) => left - length - ROW_BYTES, bytes),
        );
      });
    }
  }

  #shardAfter(shard: number): number | undefined {
    const [row] = this.#sqlite.run<{ next: number | null }>(
      'select min(shard) as next from history where shard > ?',
      shard,
    );
    return row?.next ?? undefined;
  }

  #trim(shard: number): void {
    if (this.bytesOf(shard) <= this.#maxShardBytes) return;
    for (let tier = 0; tier < TIERS.length; tier += 1) {
      this.#bytes.delete(shard);
      while (this.bytesOf(shard) > this.#maxShardBytes) {
        const { rowsWritten } = this.#sqlite;
        this.#sqlite.run(
          'delete from history where shard = ? and tier = ? and at_s in (select at_s from history where shard = ? and tier = ? order by at_s limit ?)',
          shard,
          tier,
          shard,
          tier,
          TRIMMED_ROWS,
        );
        this.#bytes.delete(shard);
        if (this.#sqlite.rowsWritten === rowsWritten) break;
      }
    }
  }
}

function startOf(atMs: number, stepMs: number): number {
  return Math.floor(atMs / stepMs) * stepMs;
}

/** Points of finer steps as those of coarser ones. */
function joined(points: readonly TimedPoint[], stepMs: number): TimedPoint[] {
  const steps: TimedPoint[] = [];
  for (const { atMs, point } of points) {
    const startMs = startOf(atMs, stepMs);
    const last = steps.at(-1);
    if (last?.atMs === startMs) last.point = mergeInTime(last.point, point);
    else steps.push({ atMs: startMs, point });
  }
  return steps;
}
