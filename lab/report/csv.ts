/** The report for spreadsheets: a line for each repetition (RFC 4180). */

import type { BenchResult, HistogramRecord, RepRecord, VariantResult } from '../result.ts';
import { type Cell, csvText } from './csv-text.ts';

const AUDIT = ['sent', 'refused', 'found', 'lost', 'duplicated', 'outOfOrder'] as const;
const SERVER = [
  'walBytesPerRow',
  'walFullPageImages',
  'tableBytesPerRow',
  'indexBytesPerRow',
  'checkpoints',
] as const;
const LATENCY = [
  'p50Us',
  'p90Us',
  'p99Us',
  'p999Us',
  'maxUs',
] as const satisfies readonly (keyof HistogramRecord)[];

/** One line for each repetition, in the order in which they ran; the columns are the same in each. */
export function csvReport({ suite, startedAt, state, variants }: BenchResult): string {
  const all = variants
    .flatMap((variant) => variant.reps.map((rep) => ({ variant, rep })))
    .sort((left, right) => left.rep.order - right.rep.order);
  const labels = names(all.map(({ variant }) => variant.labels));
  const metrics = names(all.map(({ rep }) => rep.metrics));
  const histograms = names(all.map(({ rep }) => rep.histograms));
  const hasServer = all.some(({ rep }) => rep.server !== undefined);
  const header = [
    ...['suite', 'started_at', 'state', 'variant', 'role'],
    ...labels.map((label) => `label.${label}`),
    ...['rep', 'order', 'units', 'elapsed_ms', 'per_second'],
    ...metrics,
    ...histograms.flatMap((name) => LATENCY.map((figure) => `${name}.${figure}`)),
    ...AUDIT,
    ...(hasServer ? SERVER.map((figure) => `server.${figure}`) : []),
    'broken',
  ];
  const line = ({ variant, rep }: { variant: VariantResult; rep: RepRecord }): Cell[] => [
    ...[suite, startedAt, state, variant.name, variant.role],
    ...labels.map((label) => variant.labels?.[label]),
    ...[rep.rep, rep.order, rep.units, rep.elapsedMs, rep.perSecond],
    ...metrics.map((metric) => rep.metrics[metric]),
    ...histograms.flatMap((name) => LATENCY.map((figure) => rep.histograms?.[name]?.[figure])),
    ...AUDIT.map((figure) => rep.audit?.[figure]),
    ...(hasServer ? SERVER.map((figure) => rep.server?.[figure]) : []),
    rep.broken,
  ];
  return csvText([header, ...all.map(line)]);
}

function names(records: readonly (Readonly<Record<string, unknown>> | undefined)[]): string[] {
  return [...new Set(records.flatMap((record) => Object.keys(record ?? {})))];
}
