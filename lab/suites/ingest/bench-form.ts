/** Sinks of the bench that do more than put each message as it is into one row. */

import { messageSources } from '../../../src/sinks/column-sources.ts';
import { defineRouteSink } from '../../../src/sinks/route-sink.ts';
import type { Sink } from '../../../src/sinks/sink.ts';
import { type BenchSinkSpec, benchSink, createBenchTable } from './bench-sink.ts';
import {
  createMappedTable,
  type MappedTable,
  mappedSink,
  mappedTable,
  routedSink,
  routedTables,
} from './mapped-sink.ts';

/** The sink that a spec describes. */
export function sinkOfSpec(spec: BenchSinkSpec): Sink {
  const { form } = spec;
  if (form === undefined) return benchSink(spec);
  switch (form) {
    case 'mapped':
      return mappedSink(spec);
    case 'routed':
      return routedSink(spec);
    case 'copied':
    case 'half-copied':
      return copiedSink(spec);
  }
}

/** The tables whose columns are members of messages; undefined: the messages are there as they are. */
export function mappedTablesOf({
  form,
  table,
}: Pick<BenchSinkSpec, 'form' | 'table'>): MappedTable[] | undefined {
  if (form === 'mapped') return [mappedTable(table)];
  return form === 'routed' ? routedTables(table) : undefined;
}

/** The names of all tables of a sink, without the prefix. */
export function tablesOfSpec(spec: Pick<BenchSinkSpec, 'form' | 'table'>): string[] {
  const { form, table } = spec;
  const mapped = mappedTablesOf(spec);
  if (mapped !== undefined) return mapped.map((one) => one.table);
  return form === undefined ? [table] : [table, copyOf(table)];
}

/** The statements that create the tables of a sink. */
export function createTablesOf(spec: BenchSinkSpec) {
  const isMapped = mappedTablesOf(spec) !== undefined;
  return tablesOfSpec(spec).map((table) =>
    isMapped ? createMappedTable(table) : createBenchTable(table, spec.column, spec.upsert),
  );
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
