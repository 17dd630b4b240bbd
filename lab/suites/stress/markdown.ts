/** The report of the Postgres stress test: its sections, its words, its tables with two decimals and mebibytes. */

import { readsPerSecond, writesPerSecond } from './csv.ts';
import { epochsPerSecond, type Iteration, totalSeconds } from './iteration.ts';
import { pointLines, pointsOf } from './points.ts';

export interface ReportSetup {
  generatedAtMs: number;
  mode: 'sync' | 'async';
  format: string;
  start: number;
  end: number;
  step: number;
  concurrency: number;
  /** As the database knows it. */
  table: string;
}

type Column = readonly [header: string, align: '---:' | '---', text: (iteration: Iteration) => string];

const SYNC_COLUMNS: readonly Column[] = [
  ['iter', '---:', ({ iteration }) => String(iteration)],
  ['epochs', '---:', ({ epochs }) => String(epochs)],
  ['status', '---', ({ status }) => status],
  ['write_s', '---:', ({ writeSeconds }) => writeSeconds.toFixed(2)],
  ['read_s', '---:', ({ readSeconds }) => readSeconds.toFixed(2)],
  ['total_s', '---:', (iteration) => totalSeconds(iteration).toFixed(2)],
  ['eps', '---:', (iteration) => epochsPerSecond(iteration, false).toFixed(2)],
  ['client_payload_mb', '---:', ({ clientPayloadBytes }) => megabytes(clientPayloadBytes)],
  ['db_payload_mb', '---:', ({ dbPayloadBytes }) => megabytes(dbPayloadBytes)],
  ['db_row_mb', '---:', ({ dbRowBytes }) => megabytes(dbRowBytes)],
  ['db_table_mb', '---:', ({ dbTableBytes }) => megabytes(dbTableBytes)],
  ['write_peak_mb', '---:', ({ writePeakBytes }) => megabytes(writePeakBytes)],
  ['read_peak_mb', '---:', ({ readPeakBytes }) => megabytes(readPeakBytes)],
  ['write_rss_delta_mb', '---:', ({ writeRssBytes }) => megabytes(writeRssBytes)],
  ['read_rss_delta_mb', '---:', ({ readRssBytes }) => megabytes(readRssBytes)],
  ['error', '---', ({ error }) => errorCell(error)],
];

const ASYNC_COLUMNS: readonly Column[] = [
  ['iter', '---:', ({ iteration }) => String(iteration)],
  ['concurrency', '---:', ({ concurrency }) => String(concurrency)],
  ['epochs', '---:', ({ epochs }) => String(epochs)],
  ['status', '---', ({ status }) => status],
  ['write_s', '---:', ({ writeSeconds }) => writeSeconds.toFixed(2)],
  ['read_s', '---:', ({ readSeconds }) => readSeconds.toFixed(2)],
  ['total_s', '---:', (iteration) => totalSeconds(iteration).toFixed(2)],
  ['write_rps', '---:', (iteration) => writesPerSecond(iteration).toFixed(2)],
  ['read_rps', '---:', (iteration) => readsPerSecond(iteration).toFixed(2)],
  [
    'writes_ok/total',
    '---',
    ({ successWrites, failedWrites }) => `${successWrites}/${successWrites + failedWrites}`,
  ],
  [
    'reads_ok/total',
    '---',
    ({ successReads, failedReads }) => `${successReads}/${successReads + failedReads}`,
  ],
  [
    'payload_total_mb',
    '---:',
    ({ clientPayloadBytes, concurrency }) => megabytes(clientPayloadBytes * concurrency),
  ],
  ['payload_per_record_mb', '---:', ({ clientPayloadBytes }) => megabytes(clientPayloadBytes)],
  ['db_table_mb', '---:', ({ dbTableBytes }) => megabytes(dbTableBytes)],
  ['write_peak_mb', '---:', ({ writePeakBytes }) => megabytes(writePeakBytes)],
  ['read_peak_mb', '---:', ({ readPeakBytes }) => megabytes(readPeakBytes)],
  ['write_rss_delta_mb', '---:', ({ writeRssBytes }) => megabytes(writeRssBytes)],
  ['read_rss_delta_mb', '---:', ({ readRssBytes }) => megabytes(readRssBytes)],
  ['error', '---', ({ error }) => errorCell(error)],
];

/**
 * The report of a run. It is the original's, line by line; only the last section is not: it says what the times include,
 * which two versions of the Postgres stress test answer differently.
 */
export function stressReport(iterations: readonly Iteration[], setup: ReportSetup): string {
  const isAsync = setup.mode === 'async';
  return [
    '# Stress Test Report',
    '',
    `Generated at (UTC): ${new Date(setup.generatedAtMs).toISOString().slice(0, 19).replace('T', ' ')}Z`,
    '',
    '## Configuration',
    '',
    `- Mode: \`${setup.mode}\``,
    `- Payload format: \`${setup.format}\``,
    `- Epoch range: \`${setup.start}..${setup.end}\``,
    `- Step: \`${setup.step}\``,
    ...(isAsync ? [`- Async concurrency: \`${setup.concurrency}\``] : []),
    `- Table: \`${setup.table}\``,
    '',
    ...(isAsync ? notRun('Linear Benchmark', 'Linear benchmark', 'async') : syncSections(iterations)),
    ...(isAsync ? asyncSections(iterations) : notRun('Async Fanout Results', 'Async benchmark', 'sync')),
    '## What The Times Include',
    '',
    ...(isAsync ? ASYNC_TIMES : SYNC_TIMES),
    '',
  ].join('\n');
}

const SYNC_TIMES = [
  '- write_s: connecting, generating and encoding the record, inserting it and learning its id.',
  '- read_s: connecting, selecting the record and decoding it. Comparing it with what was written is not part of it.',
];
const ASYNC_TIMES = [
  '- write_s: connecting and inserting, of all rows together. The record is generated and encoded once, before.',
  '- read_s: connecting and selecting, of all rows together. The bytes are received and not decoded.',
];

function notRun(title: string, name: string, mode: string): string[] {
  return [`## ${title}`, '', `${name} was not executed in this run (\`--mode ${mode}\`).`, ''];
}

function syncSections(iterations: readonly Iteration[]): string[] {
  return [
    '## Breaking Point And Stability Point',
    '',
    ...pointLines(pointsOf(iterations, false)),
    '',
    '## Comparison Table (All Iterations)',
    '',
    ...table(SYNC_COLUMNS, iterations),
    '',
  ];
}

function asyncSections(iterations: readonly Iteration[]): string[] {
  return [
    '## Async Fanout Results',
    '',
    '### Breaking Point And Stability Point',
    '',
    ...pointLines(pointsOf(iterations, true)),
    '',
    '### Comparison Table (All Iterations)',
    '',
    ...table(ASYNC_COLUMNS, iterations),
    '',
  ];
}

function table(columns: readonly Column[], iterations: readonly Iteration[]): string[] {
  return [
    `| ${columns.map(([header]) => header).join(' | ')} |`,
    `|${columns.map(([, align]) => align).join('|')}|`,
    ...iterations.map((iteration) => `| ${columns.map(([, , text]) => text(iteration)).join(' | ')} |`),
  ];
}

// What the platform does not tell is no zero.
function megabytes(bytes: number | null): string {
  return bytes === null ? '' : (bytes / (1024 * 1024)).toFixed(2);
}

// A bar would end the cell, a line break the table.
function errorCell(error: string): string {
  return error.replaceAll('|', '/').replaceAll(/\r?\n/g, ' ');
}
