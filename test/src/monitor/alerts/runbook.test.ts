import { describe, expect, test } from 'vitest';
import { remedyOf } from '../../../../src/monitor/alerts/remedies.ts';
import { runbookOf } from '../../../../src/monitor/alerts/rule.ts';
import { ALERT_RULES } from '../../../../src/monitor/alerts/rules.ts';
import { readPage } from '../../../support/pages.ts';

const page = readPage('docs/operations.md');
const sections = new Map(
  page
    .split(/^#{2,3} /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section] as const),
);

/** A heading as an anchor, as GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-');
}

describe('the runbook', () => {
  test.each(ALERT_RULES.map((rule) => [rule.name, rule] as const))(
    'has %s where its alert points',
    (name, rule) => {
      const section = sections.get(`Alert ${name}`) ?? '';
      expect(runbookOf(name)).toBe(`docs/operations.md#${anchorOf(`Alert ${name}`)}`);
      for (const part of ['What it means.', 'What to look at.', 'What to do.'])
        expect(section).toContain(`**${part}**`);
      expect(section).toContain(`(${rule.severity})`);
      expect(remedyOf(name), 'beside the alert').not.toBe('');
    },
  );

  test('has no alert that there is not', () => {
    const named = [...sections.keys()].filter((heading) => heading.startsWith('Alert '));
    expect(named.map((heading) => heading.slice('Alert '.length)).sort()).toEqual(
      ALERT_RULES.map(({ name }) => name).sort(),
    );
  });

  test('has no link to a place of its own that is not there', () => {
    const anchors = new Set([...sections.keys()].map(anchorOf));
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor as string);
    expect(links.length).toBeGreaterThan(20);
    expect(links.filter((anchor) => !anchors.has(anchor))).toEqual([]);
  });
});
