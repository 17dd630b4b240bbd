/** The files of ops/ and the tables of docs/metrics.md are what the table of metrics and the rules make, and Prometheus takes them. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { alertRules, expressionOf, quoted } from '../../../local/build/ops/alert-rules.ts';
import { ROWS } from '../../../local/build/ops/grafana-panels.ts';
import { withTable } from '../../../local/build/ops/metric-tables.ts';
import { opsFiles } from '../../../local/build/ops/ops-files.ts';
import { REPOSITORY } from '../../../local/repository.ts';
import { ALERT_RULES } from '../../../src/monitor/alerts/rules.ts';
import { METRICS } from '../../../src/monitor/metrics.ts';
import { missingPromtool, runPromtool } from '../../support/promtool.ts';

const files = opsFiles();

test.each(Object.entries(files))('%s is what `node local/build/ops.ts` makes', (path, text) => {
  expect(readFileSync(join(REPOSITORY, path), 'utf8')).toBe(text);
});

test('a page without the marks of a table is not written over', () => {
  expect(() => withTable('# Metrics\n', 'the metrics', '| a |')).toThrow('no marks');
  const marks = '<!-- t: made by local/build/ops.ts -->\nold\n<!-- end of t -->';
  expect(withTable(`before ${marks} after`, 't', '| a |')).toBe(
    'before <!-- t: made by local/build/ops.ts -->\n\n| a |\n\n<!-- end of t --> after',
  );
});

const panels = ROWS.flatMap((row) => row.panels);
const expressions = [
  ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ...ALERT_RULES.map(expressionOf),
];

/** Names of series that an expression asks for. */
function namesIn(expression: string): string[] {
  return [...expression.matchAll(/\bsluice_\w+/g)].map(([name]) => name);
}

const series = new Set(
  METRICS.flatMap(({ name, type }) =>
    (type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']).map((suffix) => `sluice_${name}${suffix}`),
  ),
);

describe('the panels and the rules', () => {
  test('ask only for series that there are', () => {
    const asked = new Set(expressions.flatMap(namesIn));
    expect([...asked].filter((name) => !series.has(name))).toEqual([]);
    expect(asked.size).toBeGreaterThan(40);
  });

  test('a control: a series that is not there is found', () => {
    expect(
      namesIn('rate(sluice_messages_recieved_total[5m])').filter((name) => !series.has(name)),
    ).toHaveLength(1);
    expect(series.has('sluice_ack_duration_seconds')).toBe(false);
  });

  test('counters are shown by how much they grow, and by nothing else', () => {
    for (const expression of expressions)
      for (const name of namesIn(expression).filter((one) => one.endsWith('_total')))
        expect(expression).toMatch(new RegExp(`(rate|increase)\\(${name}`));
  });

  test('name labels that the metric has', () => {
    const labels = new Set(METRICS.flatMap(({ label }) => label ?? []));
    for (const name of ['sink', 'shard', 'database', 'le']) labels.add(name);
    const asked = panels.flatMap(({ targets }) =>
      targets.flatMap(({ legend }) =>
        [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label as string),
      ),
    );
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((label) => !labels.has(label))).toEqual([]);
  });
});

test('the dashboard has every panel once, side by side, with ids of their own', () => {
  interface Shown {
    id: number;
    type: string;
    title: string;
    gridPos: { x: number; y: number; w: number; h: number };
  }
  const { panels: shown } = JSON.parse(files['ops/grafana-dashboard.json'] as string) as { panels: Shown[] };
  expect(shown.filter(({ type }) => type !== 'row').map(({ title }) => title)).toEqual(
    panels.map(({ title }) => title),
  );
  expect(new Set(shown.map(({ id }) => id)).size).toBe(shown.length);
  for (const one of shown)
    for (const other of shown.slice(shown.indexOf(one) + 1)) {
      const [a, b] = [one.gridPos, other.gridPos];
      const isApart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
      expect(isApart, `${one.title} and ${other.title}`).toBe(true);
    }
});

describe.skipIf(missingPromtool !== undefined)(
  `promtool${missingPromtool === undefined ? '' : ` (${missingPromtool})`}`,
  () => {
    /** Runs it on files of a folder of its own. */
    function run(args: readonly string[], texts: Record<string, string>): number | null {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-rules-'));
      try {
        for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
        return runPromtool([...args.slice(0, -1), join(folder, args.at(-1) as string)]).status;
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }

    test('takes the rules, and not a broken one', () => {
      const good = alertRules();
      expect(run(['check', 'rules', 'alerts.yaml'], { 'alerts.yaml': good })).toBe(0);
      const broken = good.replace('== 1', '=== 1');
      expect(run(['check', 'rules', 'alerts.yaml'], { 'alerts.yaml': broken })).not.toBe(0);
    });

    test('takes every expression of the dashboard', () => {
      const rules = panels.flatMap(({ targets }) =>
        targets.map(({ expr }) => {
          const text = expr
            .replaceAll('$__rate_interval', '1m')
            .replaceAll('$sink', '.*')
            .replaceAll('$shard', '.*');
          return `      - record: a:b\n        expr: ${quoted(text)}\n        labels: { at: ${quoted(text)} }`;
        }),
      );
      expect(rules.length).toBeGreaterThan(40);
      const text = (all: readonly string[]) => `groups:\n  - name: panels\n    rules:\n${all.join('\n')}\n`;
      expect(run(['check', 'rules', 'panels.yaml'], { 'panels.yaml': text(rules) })).toBe(0);
      const broken = text(rules).replace('sum by (', 'sum for (');
      expect(run(['check', 'rules', 'panels.yaml'], { 'panels.yaml': broken })).not.toBe(0);
    });

    const tests = files['ops/alerts-test.yaml'] as string;

    test('each rule is quiet, fires, holds, and is quiet again', () => {
      expect(tests.match(/^ {2}- name: /gm)).toHaveLength(ALERT_RULES.length);
      const texts = { 'alerts.yaml': alertRules(), 'alerts-test.yaml': tests };
      expect(run(['test', 'rules', 'alerts-test.yaml'], texts)).toBe(0);
    });

    test('a control: a rule with another limit does not pass', () => {
      const [head, first] = tests.split(/(?=^ {2}- name: )/m) as [string, string];
      const texts = (rules: string) => ({ 'alerts.yaml': rules, 'alerts-test.yaml': head + first });
      expect(run(['test', 'rules', 'alerts-test.yaml'], texts(alertRules()))).toBe(0);
      const later = alertRules()
        .replace(/> 5 and/, '> 50 and')
        .replace(/> 15\)/, '> 50)');
      expect(run(['test', 'rules', 'alerts-test.yaml'], texts(later))).not.toBe(0);
    });
  },
);
