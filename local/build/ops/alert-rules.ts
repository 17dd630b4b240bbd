/** The rules of the monitor as a file of rules for Prometheus. */

import { type AlertRule, runbookOf } from '../../../src/monitor/alerts/rule.ts';
import { ALERT_RULES } from '../../../src/monitor/alerts/rules.ts';

export interface Annotations {
  summary: string;
  runbook_url: string;
}

export function annotationsOf({ name, summary }: AlertRule): Annotations {
  return { summary, runbook_url: runbookOf(name) };
}

/** The rule's expression with its default limit. */
export function expressionOf({ promql, limit }: AlertRule): string {
  return promql(limit?.value ?? 0);
}

export function alertRules(): string {
  const rules = ALERT_RULES.map((rule) => {
    const { summary, runbook_url } = annotationsOf(rule);
    return [
      `      - alert: ${rule.name}`,
      `        expr: ${quoted(expressionOf(rule))}`,
      `        for: ${rule.forSeconds}s`,
      `        keep_firing_for: ${rule.keepFiringSeconds}s`,
      '        labels:',
      `          severity: ${rule.severity}`,
      '        annotations:',
      `          summary: ${quoted(summary)}`,
      `          runbook_url: ${quoted(runbook_url)}`,
    ].join('\n');
  });
  return `# Made by local/build/ops.ts from src/monitor/alerts/rules.ts: changes here are lost.
# keep_firing_for needs Prometheus 2.42 or newer. Intervals of 15 s or less are right for both scrapes and rules.
groups:
  - name: sluice
    rules:
${rules.join('\n')}
`;
}

/** A text as YAML takes it, whatever it holds. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
