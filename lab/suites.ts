/** All suites of the bench, by name. */

import { dcbSuite } from './suites/dcb/suite.ts';
import { ingestSuite } from './suites/ingest/ingest-suite.ts';
import { ratesSuite } from './suites/rates/rates-suite.ts';
import { storeSuite } from './suites/store/suite.ts';
import { stressSuite } from './suites/stress/stress-suite.ts';

export const SUITES = {
  ingest: ingestSuite,
  store: storeSuite,
  dcb: dcbSuite,
  rates: ratesSuite,
  stress: stressSuite,
} as const;

/** Of every run. The default makes two runs send the same data; other seeds show whether the data mattered. */
export const SEED = {
  kind: 'integer',
  min: 0,
  max: 2_147_483_647,
  default: 1,
  description: 'Draws the order of the repetitions and all that is random: the same seed, the same data',
} as const;
