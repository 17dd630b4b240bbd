/**
 * What the event store is compared with: the figures that go-crablet published, as given. They were taken on
 * another machine, and only those of appends say what was done; so they are a bar to clear and no comparison.
 */

import type { DcbOperation } from './job.ts';

/** rodolfodpk/go-crablet, `internal/benchmarks/BENCHMARK_REPORT.md` at commit 020445c (2025-06-16). */
export const REFERENCE_SOURCE =
  'rodolfodpk/go-crablet, internal/benchmarks/BENCHMARK_REPORT.md at commit 020445c (61,000 events, another machine)';

export interface Reference {
  /** Milliseconds of one operation, as the report's table has it. */
  ms: number;
  /** Events per second, for appends. */
  eventsPerSecond?: number;
  /** Why the figure cannot be compared; left out where it can. */
  fault?: string;
}

/** Figures by operation; conditional appends were published for another revision only, see `REFERENCE_NOTES`. */
export const REFERENCES: Readonly<Partial<Record<DcbOperation, Reference>>> = {
  'append-1': { ms: 1.73, eventsPerSecond: 578 },
  'append-10': { ms: 4.93, eventsPerSecond: 2_028 },
  'append-100': { ms: 47.89, eventsPerSecond: 2_088 },
  'append-1000': { ms: 464.13, eventsPerSecond: 2_155 },
  'read-simple': {
    ms: 2.42,
    fault: 'the first of 100 queries of chance, others in each run: 4.36 ms elsewhere in the same report',
  },
  'read-stream': { ms: 153.05, fault: 'a query of chance, others in each run' },
  'project-1': {
    ms: 1.56,
    fault:
      'its projectors ask for an empty tag, which no event has: an empty result; 9.33 ms elsewhere in the same report',
  },
};

/** Figures of its later suite, at one user (docs/performance*.md, Postgres 17 in Docker). */
export const LATER_REFERENCES = { appendsPerSecond: 800, conditionalAppendsPerSecond: 2_139 } as const;
