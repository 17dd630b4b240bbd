/** What the figures of the suite `dcb` have to reach. */

import type { Target } from '../../targets.ts';
import { DCB_OPERATIONS, isAppend } from './job.ts';
import { REFERENCES } from './references.ts';
import { dcbVariantName } from './variants.ts';

/** Clients of the targets. */
const TARGET_CLIENTS = 20;
const TARGET_RACERS = 10;

/**
 * What a flat heap is: an iteration over the medium set never holds more beyond what was there before than a few of its
 * pages. A page of 1,000 of these events takes 0.3 MiB, and all 305,000 take 95 MiB (measured in Node 24).
 */
export const FLAT_HEAP_MIB = 2;

export function dcbTargets(): Target[] {
  const targets: Target[] = [
    {
      title: 'postgres, small: appends of 1,000',
      variant: dcbVariantName('postgres', 'small', 'append-1000'),
      metric: 'perSecond',
      bound: { atLeast: 100_000 },
      unit: ' events/s',
    },
  ];
  for (const set of ['fresh', 'small', '100k'] as const) {
    targets.push({
      title: `object, ${set}: conditional appends of ${TARGET_CLIENTS} clients on their own scopes`,
      variant: dcbVariantName('object', set, 'if-own', 'store', TARGET_CLIENTS),
      metric: 'perSecond',
      bound: { atLeast: 5_000 },
      unit: '/s',
    });
  }
  for (const engine of ['postgres', 'object'] as const) {
    targets.push({
      title: `${engine}, small: ${TARGET_RACERS} racers on one scope`,
      variant: dcbVariantName(engine, 'small', 'race', 'store', TARGET_RACERS),
      metric: 'perSecond',
      bound: { atLeast: 500 },
      unit: ' wins/s',
    });
  }
  targets.push({
    title: 'postgres, small: read by tag, against the bare indexed SELECT',
    variant: dcbVariantName('postgres', 'small', 'read-simple'),
    metric: 'usPerOperation',
    per: dcbVariantName('postgres', 'small', 'read-simple', 'indexed'),
    bound: { atMost: 1.5 },
    unit: '×',
  });
  for (const engine of ['memory', 'file', 'postgres'] as const) {
    targets.push({
      title: `${engine}, medium: heap of an iteration over everything, at its peak`,
      variant: dcbVariantName(engine, 'medium', 'read-stream'),
      metric: 'peakHeapMiB',
      bound: { atMost: FLAT_HEAP_MIB },
      unit: ' MiB',
    });
  }
  for (const operation of DCB_OPERATIONS.filter(isAppend)) {
    targets.push({
      title: `postgres, small ${operation}, against go-crablet`,
      variant: dcbVariantName('postgres', 'small', operation),
      metric: 'perSecond',
      bound: { atLeast: REFERENCES[operation]?.eventsPerSecond ?? 0 },
      unit: ' events/s',
    });
  }
  return targets;
}
