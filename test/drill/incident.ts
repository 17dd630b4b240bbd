/** An incident of the drill: what happens, and what each who should say so says. */

import type { DrillBed, HealthAnswer, LogLine, WitnessName } from './drill-bed.ts';
import type { Samples } from './samples.ts';
import type { Told } from './webhook-receiver.ts';

/** What each says. Missing: it has nothing to say, and `silent` says why. */
export interface Testimony {
  health?: (health: HealthAnswer) => boolean;
  metrics?: (samples: Samples) => boolean;
  log?: (line: LogLine) => boolean;
  dashboard?: (text: string) => boolean;
  webhook?: (told: Told) => boolean;
}

export interface Incident {
  /** The heading in docs/operations.md. */
  title: string;
  /** Makes it happen. */
  strike(bed: DrillBed): Promise<void>;
  /** How long it lasts after everybody has said so, in the usual and in the short form. */
  lastsMs: readonly [usual: number, short: number];
  /** Puts it right. */
  end(bed: DrillBed): Promise<void>;
  /** The table that is written again then: the time of the first row is when it is over. */
  table: string;
  begins: Testimony;
  ends: Testimony;
  /** What is said all the time from the strike to the end, since nobody has to be woken up. */
  stays?: Testimony;
  /** The most that each may take, in seconds after the strike or after the first success. Default: `WITHIN_S`. */
  within?: Partial<Record<WitnessName, { begins?: number; ends?: number }>>;
}
