/** All suites of the bench, by name. */

import { ingestSuite } from './ingest-suite.ts';
import { storeSuite } from './store-suite.ts';

export const SUITES = { ingest: ingestSuite, store: storeSuite } as const;
