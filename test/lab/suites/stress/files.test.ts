import { describe, expect, test } from 'vitest';
import { iterationsCsv } from '../../../../lab/suites/stress/csv.ts';
import { type ReportSetup, stressReport } from '../../../../lab/suites/stress/markdown.ts';
import { iteration, ramp } from './fixtures.ts';

const SYNC_HEADER =
  'iteration,epochs,status,write_time_s,read_time_s,total_time_s,epochs_per_second,client_payload_bytes,db_payload_bytes,db_row_bytes,db_table_bytes,write_peak_alloc_bytes,read_peak_alloc_bytes,write_rss_delta_bytes,read_rss_delta_bytes,error';
const ASYNC_HEADER =
  'iteration,concurrency,epochs,status,write_time_s,read_time_s,total_time_s,write_records_per_second,read_records_per_second,success_writes,failed_writes,success_reads,failed_reads,payload_bytes_total,payload_bytes_per_record,db_table_bytes,write_peak_alloc_bytes,read_peak_alloc_bytes,write_rss_delta_bytes,read_rss_delta_bytes,error';

const fanout = iteration(1, {
  concurrency: 10,
  successWrites: 9,
  failedWrites: 1,
  successReads: 9,
  status: 'FAIL',
});

describe('the CSV', () => {
  test('of mode sync has the header of the Postgres stress test, its order and its decimals', () => {
    expect(iterationsCsv([iteration(1)], false).split('\r\n')).toEqual([
      SYNC_HEADER,
      '1,10000,OK,1.500000,0.500000,2.000000,5000.000000,1048576,1048580,1048612,3145728,2097152,524288,4194304,0,',
      '',
    ]);
  });

  test('of mode async has the header of the Postgres stress test, its order and its decimals', () => {
    expect(iterationsCsv([fanout], true).split('\r\n')).toEqual([
      ASYNC_HEADER,
      '1,10,10000,FAIL,1.500000,0.500000,2.000000,6.000000,18.000000,9,1,9,0,10485760,1048576,3145728,2097152,524288,4194304,0,',
      '',
    ]);
  });

  test('quotes an error that would end its field', () => {
    const broken = iteration(1, { error: 'a "b", c\nd' });
    expect(iterationsCsv([broken], false).split('\r\n')[1]).toMatch(/,"a ""b"", c\nd"$/);
    expect(iterationsCsv([iteration(1, { error: 'plain' })], false).split('\r\n')[1]).toMatch(/,plain$/);
  });

  test('holds no formula, and numbers below zero stay numbers', () => {
    const hostile = iteration(1, { error: '=HYPERLINK("http://x")', readRssBytes: -4_096 });
    expect(iterationsCsv([hostile], false).split('\r\n')[1]).toMatch(
      /,-4096,"'=HYPERLINK\(""http:\/\/x""\)"$/,
    );
    for (const error of ['+1+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1']) {
      expect(iterationsCsv([iteration(1, { error })], false)).toContain(`'${error}`);
    }
  });

  test('divides by no time of zero', () => {
    const none = iteration(1, { writeSeconds: 0, readSeconds: 0, status: 'FAIL' });
    expect(iterationsCsv([none], false)).toContain(',FAIL,0.000000,0.000000,0.000000,0.000000,');
    expect(iterationsCsv([none], true)).toContain(',FAIL,0.000000,0.000000,0.000000,0.000000,0.000000,');
  });

  test('leaves empty what the platform does not tell: a zero would be a figure', () => {
    const blind = iteration(1, {
      writePeakBytes: null,
      readPeakBytes: null,
      writeRssBytes: null,
      readRssBytes: null,
    });
    expect(iterationsCsv([blind], false).split('\r\n')[1]).toMatch(/,3145728,,,,,$/);
  });
});

const setup: ReportSetup = {
  generatedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  mode: 'sync',
  format: 'ndjson_zstd',
  start: 10_000,
  end: 30_000,
  step: 10_000,
  concurrency: 10,
  table: 'sluice_bench_stress_records',
};

describe('the Markdown report', () => {
  test('of mode sync', () => {
    const broken = iteration(2, { status: 'FAIL_WRITE', error: 'one | two\nthree' });
    expect(stressReport([iteration(1), broken], setup)).toBe(`# Stress Test Report

Generated at (UTC): 2026-01-02 03:04:05Z

## Configuration

- Mode: \`sync\`
- Payload format: \`ndjson_zstd\`
- Epoch range: \`10000..30000\`
- Step: \`10000\`
- Table: \`sluice_bench_stress_records\`

## Breaking Point And Stability Point

- Breaking Point: \`20000\`
- Stability Point: \`10000\`
- Conclusion: stable write/read behavior is confirmed up to \`10000\` epochs.
- Optimal efficiency point: \`10000\` epochs (5000.00 epochs/sec).

## Comparison Table (All Iterations)

| iter | epochs | status | write_s | read_s | total_s | eps | client_payload_mb | db_payload_mb | db_row_mb | db_table_mb | write_peak_mb | read_peak_mb | write_rss_delta_mb | read_rss_delta_mb | error |
|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
| 1 | 10000 | OK | 1.50 | 0.50 | 2.00 | 5000.00 | 1.00 | 1.00 | 1.00 | 3.00 | 2.00 | 0.50 | 4.00 | 0.00 |  |
| 2 | 20000 | FAIL_WRITE | 1.50 | 0.50 | 2.00 | 10000.00 | 1.00 | 1.00 | 1.00 | 3.00 | 2.00 | 0.50 | 4.00 | 0.00 | one / two three |

## Async Fanout Results

Async benchmark was not executed in this run (\`--mode sync\`).

## What The Times Include

- write_s: connecting, generating and encoding the record, inserting it and learning its id.
- read_s: connecting, selecting the record and decoding it. Comparing it with what was written is not part of it.
`);
  });

  test('of mode async', () => {
    const report = stressReport([fanout], { ...setup, mode: 'async' });
    expect(report).toContain('- Step: `10000`\n- Async concurrency: `10`\n- Table: ');
    expect(report).toContain(`## Linear Benchmark

Linear benchmark was not executed in this run (\`--mode async\`).

## Async Fanout Results

### Breaking Point And Stability Point

- Breaking Point: \`10000\`
- Stability Point: not confirmed.
- Conclusion: increase retries/resources and re-run to confirm stability.

### Comparison Table (All Iterations)

| iter | concurrency | epochs | status | write_s | read_s | total_s | write_rps | read_rps | writes_ok/total | reads_ok/total | payload_total_mb | payload_per_record_mb | db_table_mb | write_peak_mb | read_peak_mb | write_rss_delta_mb | read_rss_delta_mb | error |
|---:|---:|---:|---|---:|---:|---:|---:|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---|
| 1 | 10 | 10000 | FAIL | 1.50 | 0.50 | 2.00 | 6.00 | 18.00 | 9/10 | 9/9 | 10.00 | 1.00 | 3.00 | 2.00 | 0.50 | 4.00 | 0.00 |  |
`);
  });

  test('of a ramp that holds says that no breaking point was reached', () => {
    expect(stressReport(ramp('OK'), setup)).toContain('- Breaking Point: not reached in tested range.\n');
  });
});
