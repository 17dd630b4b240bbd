/** The suite `stress`: one ever larger record into Postgres and back, until it breaks (the ramp of the Postgres stress test). */

import { type OptionsOf, optionTable } from '../../../src/core/option-table.ts';
import type { BenchResult, Conclusion } from '../../result.ts';
import { DRIVER_OPTION, type Suite, type Variant } from '../../suite.ts';
import { BENCH_TABLE_PREFIX } from '../ingest/bench-sink.ts';
import { iterationsCsv } from './csv.ts';
import { iterationsOf } from './iteration.ts';
import { stressReport } from './markdown.ts';
import { PAYLOAD_FORMATS } from './payload-format.ts';
import { STRESS_MODES } from './phase.ts';
import { pointLines, pointsOf } from './points.ts';
import { rampOf } from './ramp.ts';

/** Epochs of the largest record: ten times the Postgres stress test's end, and far beyond every limit of Postgres. */
const MAX_EPOCHS = 10_000_000;

/** The Postgres stress test's options. Its `--dsn` is DATABASE_URL. */
export const STRESS_PARAMETERS = optionTable({
  mode: {
    kind: 'choice',
    choices: STRESS_MODES,
    default: 'sync',
    description: 'One record at a time, or the same record by many connections at once (--mode)',
  },
  table: {
    kind: 'name',
    default: 'stress_records',
    description: `Table of the records, after ${BENCH_TABLE_PREFIX} (--table)`,
  },
  payload: {
    kind: 'choice',
    choices: PAYLOAD_FORMATS,
    default: 'ndjson_zstd',
    description: 'How a record is stored: bytea, jsonb, bytea (--payload-format)',
  },
  start: {
    kind: 'integer',
    min: 1,
    max: MAX_EPOCHS,
    default: 10_000,
    description: 'Epochs of the first record (--start-epochs)',
  },
  end: {
    kind: 'integer',
    min: 1,
    max: MAX_EPOCHS,
    default: 100_000,
    description: 'Epochs of the last record (--end-epochs)',
  },
  step: {
    kind: 'integer',
    min: 1,
    max: MAX_EPOCHS,
    default: 30_000,
    description: 'Epochs between two records (--step-epochs)',
  },
  drop: {
    kind: 'switch',
    default: false,
    description: 'Drop the table before the run (--drop-table)',
  },
  truncate: {
    kind: 'switch',
    default: false,
    description: 'Empty the table before the first iteration (--truncate-before-start)',
  },
  keep: {
    kind: 'switch',
    default: false,
    description:
      'Keep the rows between iterations, and the table after the run (--keep-data-between-iterations)',
  },
  timeout: {
    kind: 'integer',
    min: 0,
    max: 86_400_000,
    default: 0,
    description: 'Milliseconds that a statement may take; 0: as long as it wants (--statement-timeout-ms)',
  },
  concurrency: {
    kind: 'integer',
    min: 1,
    max: 500,
    default: 10,
    description: 'Connections at the same time in mode async (--async-concurrency)',
  },
  results: {
    kind: 'name',
    default: 'iteration_results',
    description: 'Name of the CSV of mode sync, without its ending (--results-csv)',
  },
  fanout: {
    kind: 'name',
    default: 'async_fanout_results',
    description: 'Name of the CSV of mode async, without its ending (--async-results-csv)',
  },
  report: {
    kind: 'name',
    default: 'stress_test_report',
    description: 'Name of the Markdown report, without its ending (--report-md)',
  },
  driver: DRIVER_OPTION,
});

export type StressParameters = OptionsOf<typeof STRESS_PARAMETERS>;

/** The name of the table as the database knows it, unquoted. */
export function stressTableName({ table }: Pick<StressParameters, 'table'>): string {
  return BENCH_TABLE_PREFIX + table;
}

/** Rows that an iteration writes. */
export function rowsPerIteration({ mode, concurrency }: StressParameters): number {
  return mode === 'sync' ? 1 : concurrency;
}

export interface StressStep {
  /** From 1. */
  iteration: number;
  epochs: number;
}

/** Reads a variant back. @throws RangeError for a variant of another ramp */
export function stressStepOf({ name }: Pick<Variant, 'name'>, parameters: StressParameters): StressStep {
  const ramp = rampOf(parameters);
  const index = ramp.findIndex((epochs) => variantName(epochs) === name);
  const epochs = ramp[index];
  if (epochs === undefined) throw new RangeError(`The ramp has no iteration ${name}`);
  return { iteration: index + 1, epochs };
}

function variantName(epochs: number): string {
  return `${epochs} epochs`;
}

export const stressSuite: Suite<typeof STRESS_PARAMETERS> = {
  name: 'stress',
  title: 'Ever larger records into Postgres and back',
  unit: 'epochs',
  parameters: STRESS_PARAMETERS,
  presets: {
    // Over in seconds: each iteration starts two processes.
    quick: { start: 500, end: 1_000, step: 500 },
    // The Postgres stress test's own ramp.
    full: { start: 10_000, end: 1_000_000, step: 10_000 },
  },
  variants: (parameters) =>
    rampOf(parameters).map((epochs, index) => ({
      name: variantName(epochs),
      role: 'measured',
      description: `iteration ${index + 1}: ${rowsText(parameters)} of ${epochs} epochs as ${parameters.payload}`,
      ladder: 'ramp',
    })),
  unitsPerRep: (variant, parameters) =>
    stressStepOf(variant, parameters).epochs * rowsPerIteration(parameters),
  sharesOf: [],
  columns: [
    { title: 'write s', metric: 'writeSeconds', digits: 3 },
    { title: 'read s', metric: 'readSeconds', digits: 3 },
    { title: 'generate s', metric: 'generateSeconds', digits: 3 },
    { title: 'encode s', metric: 'encodeSeconds', digits: 3 },
    { title: 'decode s', metric: 'decodeSeconds', digits: 3 },
    { title: 'db write s', metric: 'dbWriteSeconds', digits: 3 },
    { title: 'db read s', metric: 'dbReadSeconds', digits: 3 },
    { title: 'payload MiB', metric: 'clientPayloadMib', digits: 2 },
    { title: 'stored MiB', metric: 'dbPayloadMib', digits: 2 },
    { title: 'write heap MiB', metric: 'writePeakMib', digits: 1 },
    { title: 'read heap MiB', metric: 'readPeakMib', digits: 1 },
    { title: 'write RSS MiB', metric: 'writeRssMib', digits: 1 },
    { title: 'read RSS MiB', metric: 'readRssMib', digits: 1 },
  ],
  conclude(result, { mode }) {
    const points = pointsOf(iterationsOf(result), mode === 'async');
    const broken = iterationsOf(result).find(({ status }) => status !== 'OK');
    const conclusion: Conclusion = {
      title: 'Breaking Point And Stability Point',
      text: [
        ...pointLines(points).map((line) => line.slice('- '.length).replaceAll('`', '')),
        ...(broken === undefined ? [] : [`It broke with ${broken.status}: ${broken.error}`]),
      ].join(' '),
      figures: {
        breakingPointEpochs: points.breaking,
        stabilityPointEpochs: points.stability,
        optimalEpochs: points.optimal?.epochs ?? null,
        optimalEpochsPerSecond: points.optimal?.epochsPerSecond ?? null,
        breakingStatus: broken?.status ?? null,
      },
    };
    return [conclusion];
  },
  files: stressFiles,
  notes: ({ mode, keep }) => [
    ...(mode === 'sync'
      ? [
          'write s and read s are as in the Postgres stress test: writing holds generating and encoding the record, reading holds decoding it. db write s and db read s are without; connecting is part of both.',
        ]
      : [
          'The record is generated and encoded once, before the time of writing begins, and what is read is not decoded, as in the Postgres stress test. Encode and decode are shown for the one record that the audit compares.',
        ]),
    'ndjson_zstd is drawn, compressed and sent piece by piece, by COPY as hexadecimal digits; the other formats are there as a whole and go by binary COPY. A statement takes as long as its pieces, and its time limit holds for them too; Postgres looks at the limit once the whole row has come.',
    'Each row is read once more after the time and compared with what was written; in mode async one row is, and the others with it inside the database.',
    'heap and RSS: what writing or reading took in its own process, above where it began; heap is with garbage not yet collected, seen at pieces and every few milliseconds. RSS is the high-water mark of that process. A Worker knows neither: its process.memoryUsage is zero.',
    'An iteration that fails ends the ramp. With several repetitions the files show medians; an iteration that failed in one of them failed.',
    ...(keep ? ['The rows of all iterations and repetitions stay, so table sizes grow with them.'] : []),
  ],
};

function rowsText(parameters: StressParameters): string {
  const rows = rowsPerIteration(parameters);
  return parameters.mode === 'sync' ? 'one record' : `${rows} times the same record, at once,`;
}

/** The Postgres stress test's files: the CSV of the mode, and the report. */
function stressFiles(result: BenchResult): { name: string; text: string }[] {
  const parameters = result.config as unknown as StressParameters;
  const iterations = iterationsOf(result);
  const isAsync = parameters.mode === 'async';
  return [
    {
      name: `${isAsync ? parameters.fanout : parameters.results}.csv`,
      text: iterationsCsv(iterations, isAsync),
    },
    {
      name: `${parameters.report}.md`,
      text: stressReport(iterations, {
        ...parameters,
        format: parameters.payload,
        table: stressTableName(parameters),
        generatedAtMs: Date.parse(result.startedAt) + result.durationMs,
      }),
    },
  ];
}
