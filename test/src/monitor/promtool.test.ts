/** What Prometheus' own tool says of the texts. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { familiesOf } from '../../../src/monitor/families.ts';
import { prometheusText } from '../../../src/monitor/prometheus-text.ts';
import { missingPromtool, runPromtool } from '../../support/promtool.ts';
import { fullReport, fullSources } from './full-report.ts';

const families = familiesOf(fullSources([fullReport(), fullReport({ shard: 1 })]));

describe.skipIf(missingPromtool !== undefined)(
  `promtool${missingPromtool === undefined ? '' : ` (${missingPromtool})`}`,
  () => {
    test('finds nothing in the text for Prometheus', () => {
      expect(runPromtool(['check', 'metrics'], prometheusText(families, 'prometheus'))).toEqual({
        status: 0,
        output: '',
      });
    });

    // It does not find a series that is there twice: test/src/monitor/metrics-text-rules.ts does.
    test.each<[string, (good: string) => string]>([
      ['a metric without help', (good) => good.replace(/^# HELP sluice_queue_bytes .*\n/m, '')],
      ['a counter whose name is none', (good) => good.replaceAll('sluice_batches_total', 'sluice_batches')],
      ['a label that does not end', (good) => good.replaceAll('\\"', '"')],
    ])('a control: it finds %s', (_, breaking) => {
      const broken = breaking(prometheusText(families, 'prometheus'));
      expect(runPromtool(['check', 'metrics'], broken).status).not.toBe(0);
    });

    // It has no check of OpenMetrics, but reads it into a database: there each sample needs a time.
    function importOpenMetrics(text: string): number | null {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-openmetrics-'));
      try {
        const file = join(folder, 'metrics');
        writeFileSync(file, text.replaceAll(/^[^#\n].*$/gm, '$& 1700000000'));
        return runPromtool(['tsdb', 'create-blocks-from', 'openmetrics', file, join(folder, 'data')]).status;
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }

    test('reads the text in OpenMetrics, all of it', () => {
      expect(importOpenMetrics(prometheusText(families, 'openmetrics'))).toBe(0);
    });

    test.each([
      ['without its end', (text: string) => text.replace('# EOF\n', '')],
      ['in the other format', () => prometheusText(families, 'prometheus')],
    ])('a control: it does not read a text %s', (_, breaking) => {
      expect(importOpenMetrics(breaking(prometheusText(families, 'openmetrics')))).not.toBe(0);
    });
  },
);
