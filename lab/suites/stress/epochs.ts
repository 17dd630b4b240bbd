/**
 * The records of the ramp: `{"epoch_1":{…},…,"epoch_n":{…}}`, each epoch with the 15 fields of the Postgres stress test, drawn from a
 * seed. The same seed draws the same record, so what was written can be drawn again and need not be kept.
 */

import { type Random, seededRandom } from '../../run/random.ts';

export interface Epoch {
  id_epoch: number;
  known_data: boolean;
  cycle_count: number;
  MFE_trunc: number;
  norm_MFE: number;
  MAE_trunc: number;
  norm_MAE: number;
  AIR_trunc: number;
  norm_AIR: number;
  HitRate: number;
  norm_Hit: number;
  'median(duration) cycle': number;
  'time_to_MFE(median)': number;
  'time_to_MAE(median)': number;
  'Intermediate score(median)': number;
}

export type EpochRecord = Record<string, Epoch>;

/** The key of an epoch, from 1. */
export function epochKey(index: number): string {
  return `epoch_${index}`;
}

/** Draws the epochs of a record, one at each call, in their order. */
export function epochSource(seed: number): () => Epoch {
  const random = seededRandom(seed);
  return function nextEpoch() {
    return {
      id_epoch: whole(random, 0, 100),
      known_data: random() < 0.5,
      cycle_count: whole(random, 5, 100),
      MFE_trunc: fraction(random),
      norm_MFE: fraction(random),
      MAE_trunc: fraction(random),
      norm_MAE: fraction(random),
      AIR_trunc: fraction(random),
      norm_AIR: fraction(random),
      HitRate: fraction(random),
      norm_Hit: fraction(random),
      'median(duration) cycle': fraction(random),
      'time_to_MFE(median)': whole(random, 5, 100),
      'time_to_MAE(median)': whole(random, 5, 100),
      'Intermediate score(median)': fraction(random),
    };
  };
}

/** A whole record as one object, for the formats that need it whole. */
export function drawRecord(seed: number, epochs: number): EpochRecord {
  const nextEpoch = epochSource(seed);
  const record: EpochRecord = {};
  for (let index = 1; index <= epochs; index += 1) record[epochKey(index)] = nextEpoch();
  return record;
}

/** One line of NDJSON, without its line break. */
export function epochLine(index: number, epoch: Epoch): string {
  return `{"${epochKey(index)}":${JSON.stringify(epoch)}}`;
}

/** A whole number between two others, both inclusive. */
function whole(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1));
}

// All 53 bits of a double, as Python's random.uniform has them: a generator of 32 bits alone would give shorter digits,
// so smaller and easier payloads than the Postgres stress test's.
function fraction(random: Random): number {
  return (Math.floor(random() * 2 ** 27) * 2 ** 26 + Math.floor(random() * 2 ** 26)) / 2 ** 53;
}
