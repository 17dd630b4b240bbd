/** All suites of the bench, by name. */

import { ingestSuite } from './ingest-suite.ts';

export const SUITES = { ingest: ingestSuite } as const;
