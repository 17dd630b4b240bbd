/** The CSV files of the Postgres stress test: its headers, its order, six decimals for times and rates, whole bytes. */

import { type Cell, csvText, type Decimal } from '../../report/csv-text.ts';
import { epochsPerSecond, type Iteration, totalSeconds } from './iteration.ts';

type Column = readonly [header: string, cell: (iteration: Iteration) => Cell];

const SYNC_COLUMNS: readonly Column[] = [
  ['iteration', ({ iteration }) => whole(iteration)],
  ['epochs', ({ epochs }) => whole(epochs)],
  ['status', ({ status }) => status],
  ['write_time_s', ({ writeSeconds }) => decimal(writeSeconds)],
  ['read_time_s', ({ readSeconds }) => decimal(readSeconds)],
  ['total_time_s', (iteration) => decimal(totalSeconds(iteration))],
  ['epochs_per_second', (iteration) => decimal(epochsPerSecond(iteration, false))],
  ['client_payload_bytes', ({ clientPayloadBytes }) => whole(clientPayloadBytes)],
  ['db_payload_bytes', ({ dbPayloadBytes }) => whole(dbPayloadBytes)],
  ['db_row_bytes', ({ dbRowBytes }) => whole(dbRowBytes)],
  ['db_table_bytes', ({ dbTableBytes }) => whole(dbTableBytes)],
  ['write_peak_alloc_bytes', ({ writePeakBytes }) => whole(writePeakBytes)],
  ['read_peak_alloc_bytes', ({ readPeakBytes }) => whole(readPeakBytes)],
  ['write_rss_delta_bytes', ({ writeRssBytes }) => whole(writeRssBytes)],
  ['read_rss_delta_bytes', ({ readRssBytes }) => whole(readRssBytes)],
  ['error', ({ error }) => error],
];

const ASYNC_COLUMNS: readonly Column[] = [
  ['iteration', ({ iteration }) => whole(iteration)],
  ['concurrency', ({ concurrency }) => whole(concurrency)],
  ['epochs', ({ epochs }) => whole(epochs)],
  ['status', ({ status }) => status],
  ['write_time_s', ({ writeSeconds }) => decimal(writeSeconds)],
  ['read_time_s', ({ readSeconds }) => decimal(readSeconds)],
  ['total_time_s', (iteration) => decimal(totalSeconds(iteration))],
  ['write_records_per_second', (iteration) => decimal(writesPerSecond(iteration))],
  ['read_records_per_second', (iteration) => decimal(readsPerSecond(iteration))],
  ['success_writes', ({ successWrites }) => whole(successWrites)],
  ['failed_writes', ({ failedWrites }) => whole(failedWrites)],
  ['success_reads', ({ successReads }) => whole(successReads)],
  ['failed_reads', ({ failedReads }) => whole(failedReads)],
  ['payload_bytes_total', ({ clientPayloadBytes, concurrency }) => whole(clientPayloadBytes * concurrency)],
  ['payload_bytes_per_record', ({ clientPayloadBytes }) => whole(clientPayloadBytes)],
  ['db_table_bytes', ({ dbTableBytes }) => whole(dbTableBytes)],
  ['write_peak_alloc_bytes', ({ writePeakBytes }) => whole(writePeakBytes)],
  ['read_peak_alloc_bytes', ({ readPeakBytes }) => whole(readPeakBytes)],
  ['write_rss_delta_bytes', ({ writeRssBytes }) => whole(writeRssBytes)],
  ['read_rss_delta_bytes', ({ readRssBytes }) => whole(readRssBytes)],
  ['error', ({ error }) => error],
];

export function writesPerSecond({ successWrites, writeSeconds }: Iteration): number {
  return writeSeconds > 0 ? successWrites / writeSeconds : 0;
}

export function readsPerSecond({ successReads, readSeconds }: Iteration): number {
  return readSeconds > 0 ? successReads / readSeconds : 0;
}

/** The iterations as CSV, as Python's csv module writes them, but for words that a spreadsheet would take for a formula. */
export function iterationsCsv(iterations: readonly Iteration[], isAsync: boolean): string {
  const columns = isAsync ? ASYNC_COLUMNS : SYNC_COLUMNS;
  return csvText([
    columns.map(([header]) => header),
    ...iterations.map((iteration) => columns.map(([, cell]) => cell(iteration))),
  ]);
}

function decimal(value: number): Decimal {
  return { value, digits: 6 };
}

// What the platform does not tell is empty: a zero would be a figure.
function whole(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
