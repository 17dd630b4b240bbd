/** Sinks of the bench that do more than put each message as it is into one row. */

import { messageSources } from '../../../src/sinks/column-sources.ts';
import { defineRouteSink } from '../../../src/sinks/route-sink.ts';
import type { Sink } from '../../../src/sinks/sink.ts';
import { type BenchSinkSpec, benchSink } from './bench-sink.ts';

/**
 * What becomes of a message:
 *
 * - `copied`: it goes to two tables, as it is to each.
 * - `half-copied`: only messages of even sequences go to the second table, where all have to be.
 */
export const BENCH_FORMS = ['copied', 'half-copied'] as const;
export type BenchForm = (typeof BENCH_FORMS)[number];

/** The sink that a spec describes. */
export function sinkOfSpec(spec: BenchSinkSpec): Sink {
  return spec.form === undefined ? benchSink(spec) : copiedSink(spec);
}

/** The second table of `copied`, without the prefix. */
export function copyOf(table: string): string {
  return `${table}copy`;
}

function copiedSink({ form, ...spec }: BenchSinkSpec): Sink {
  const { table, checkpointTable } = benchSink(spec);
  const { table: copy } = benchSink({ ...spec, table: copyOf(spec.table) });
  return defineRouteSink('bench', {
    routes: {
      first: { table, columns: messageSources },
      second: {
        table: copy,
        columns: messageSources,
        ...(form === 'copied' ? {} : { when: ({ sequence }) => sequence % 2 === 0 }),
      },
    },
    options: spec.options,
    checkpointTable,
  });
}
