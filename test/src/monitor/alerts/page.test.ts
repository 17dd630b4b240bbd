/** The table of docs/alerts.md is the table of rules. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type AlertRule, runbookOf } from '../../../../src/monitor/alerts/rule.ts';
import { ALERT_RULES } from '../../../../src/monitor/alerts/rules.ts';

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../../${path}`, import.meta.url)), 'utf8');

function rowOf({ name, severity, summary, limit, forSeconds }: AlertRule): string {
  const setting = limit === null ? '–' : `\`${limit.option}: ${limit.value}\``;
  const wait = forSeconds === 0 ? 'at once' : `${forSeconds} s`;
  return `| [${name}](${runbookOf(name).replace('docs/', '')}) | ${severity} | ${summary} | ${setting} | ${wait} |`;
}

test('docs/alerts.md has a row for each rule, as the table of rules says it, in its order', () => {
  const rows = read('docs/alerts.md')
    .split('\n')
    .filter((line) => line.startsWith('| [Sluice'));
  expect(rows).toEqual(ALERT_RULES.map(rowOf));
});

test('the runbook has a heading for each rule', () => {
  const headings = read('docs/operations.md')
    .split('\n')
    .flatMap((line) => /^#+ Alert (Sluice\w+)$/.exec(line)?.[1] ?? []);
  expect(headings.toSorted()).toEqual(ALERT_RULES.map(({ name }) => name).toSorted());
});
