/** The files that are made from the table of metrics and from the rules of alerts, with what they should hold. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../../repository.ts';
import { alertRules } from './alert-rules.ts';
import { grafanaDashboard } from './grafana-dashboard.ts';
import { analyticsTable, metricTables, withTable } from './metric-tables.ts';
import { alertRuleTests } from './rule-tests.ts';

/** By their paths in the repository. */
export function opsFiles(): Record<string, string> {
  const page = readFileSync(join(REPOSITORY, 'docs/metrics.md'), 'utf8');
  return {
    'ops/grafana-dashboard.json': grafanaDashboard(),
    'ops/alerts.yaml': alertRules(),
    'ops/alerts-test.yaml': alertRuleTests(),
    'docs/metrics.md': withTable(
      withTable(page, 'the metrics', metricTables()),
      'the fields',
      analyticsTable(),
    ),
  };
}
