/**
 * What happened to one shard within one step of time: sums, highest values, and two histograms. Points of neighbouring steps, and of
 * the same step of several shards, can be merged; percentiles are those of the merged histograms and never means of percentiles.
 */

import { addBuckets, type Buckets, packBuckets, unpackBuckets } from './buckets.ts';

/** Counted within the step. */
export const POINT_SUMS = [
  'received',
  'committed',
  'dead',
  'refused',
  'duplicate',
  'retries',
  'rowsWritten',
  'batches',
] as const;

/** The highest value within the step. Over shards they are added up, `oldestMs` alone is not. */
export const POINT_PEAKS = [
  'queueMessages',
  'queueBytes',
  'oldestMs',
  'outboxBytes',
  'deadLetters',
  'sockets',
  'connectionsOpen',
  'connectionsBusy',
] as const;

export type PointSum = (typeof POINT_SUMS)[number];
export type PointPeak = (typeof POINT_PEAKS)[number];

export interface Point extends Record<PointSum | PointPeak, number> {
  /** How long acks took, and batches. */
  ack: Buckets;
  flush: Buckets;
}

/** Merges points of one shard, of steps that follow each other. */
export function mergeInTime(a: Point, b: Point): Point {
  return merge(a, b, () => Math.max);
}

/** Merges points of the same step of several shards. */
export function mergeShards(a: Point, b: Point): Point {
  return merge(a, b, (name) => (name === 'oldestMs' ? Math.max : add));
}

function add(a: number, b: number): number {
  return a + b;
}

function merge(a: Point, b: Point, ofPeak: (name: PointPeak) => (a: number, b: number) => number): Point {
  const merged = { ack: addBuckets(a.ack, b.ack), flush: addBuckets(a.flush, b.flush) } as Point;
  for (const name of POINT_SUMS) merged[name] = a[name] + b[name];
  for (const name of POINT_PEAKS) merged[name] = ofPeak(name)(a[name], b[name]);
  return merged;
}

/** As text of some 100 to 260 characters: numbers to the base 36. */
export function writePoint(point: Point): string {
  const numbers = [...POINT_SUMS, ...POINT_PEAKS].map((name) =>
    Math.max(0, Math.round(point[name])).toString(36),
  );
  return `${numbers.join(' ')}|${packBuckets(point.ack)}|${packBuckets(point.flush)}`;
}

export function readPoint(text: string): Point {
  const [numbers = '', ack = '', flush = ''] = text.split('|');
  const values = numbers.split(' ');
  const point = { ack: unpackBuckets(ack), flush: unpackBuckets(flush) } as Point;
  [...POINT_SUMS, ...POINT_PEAKS].forEach((name, index) => {
    point[name] = Number.parseInt(values[index] ?? '0', 36);
  });
  return point;
}
