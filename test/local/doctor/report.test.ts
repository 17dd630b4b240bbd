import { describe, expect, test } from 'vitest';
import type { Finding } from '../../../local/doctor/check.ts';
import { runChecks } from '../../../local/doctor/checks.ts';
import { countFindings, findingText, reportJson, summaryText } from '../../../local/doctor/report.ts';

const finding = (state: Finding['state'], more: Partial<Finding> = {}): Finding => ({
  state,
  what: 'It is so.',
  ...more,
});
const report = (...findings: Finding[]) => [{ name: 'one', area: 'database' as const, findings }];

describe('a finding as text', () => {
  test('is wrapped at 80 columns, with its commands whole', () => {
    const command = `alter table ${'x'.repeat(90)} set logged`;
    const text = findingText(
      finding('wrong', {
        what: 'word '.repeat(40).trim(),
        why: 'because '.repeat(20).trim(),
        remedy: [command],
      }),
    );
    const lines = text.split('\n');
    expect(lines[0]).toMatch(/^WRONG {2}word/);
    expect(lines.at(-2)).toBe(`       > ${command}`);
    expect(lines.at(-1)).toBe('');
    for (const line of lines.slice(0, -2)) expect(line.length).toBeLessThanOrEqual(80);
    expect(Math.max(...lines.slice(0, -2).map((line) => line.length))).toBeGreaterThan(75);
    expect(text.match(/\bword\b/g)).toHaveLength(40);
  });

  test('a word that is longer than a line stays whole', () => {
    const long = 'y'.repeat(100);
    expect(findingText(finding('good', { what: `a ${long} b` }))).toBe(
      `ok     a\n       ${long}\n       b\n`,
    );
  });
});

describe('the end', () => {
  test.each([
    [[], 'Nothing is wrong\n'],
    [[finding('good'), finding('unknown')], 'Nothing is wrong\n'],
    [[finding('unwise')], 'Nothing is wrong; 1 thing is unwise\n'],
    [
      [finding('wrong'), finding('wrong'), finding('unwise'), finding('unwise')],
      '2 things are wrong; 2 things are unwise\n',
    ],
  ])('of %j', (findings, text) => expect(summaryText(countFindings(report(...findings)))).toBe(text));

  test('says whether all that is wrong is that something could not be asked', () => {
    const lost = finding('wrong', { isUnreachable: true });
    expect(countFindings(report(lost, finding('unwise')))).toMatchObject({
      wrong: 1,
      isOnlyUnreachable: true,
    });
    expect(countFindings(report(lost, finding('wrong')))).toMatchObject({
      wrong: 2,
      isOnlyUnreachable: false,
    });
  });
});

test('JSON has every check, those that found nothing too', () => {
  const parsed = JSON.parse(
    reportJson([...report(), { name: 'two', area: 'database', findings: [finding('unwise')] }]),
  );
  expect(parsed).toEqual({
    wrong: 0,
    unwise: 1,
    unknown: 0,
    checks: [
      { name: 'one', area: 'database', findings: [] },
      { name: 'two', area: 'database', findings: [{ state: 'unwise', what: 'It is so.' }] },
    ],
  });
});

test('a check that fails spoils no other', async () => {
  const told: Finding[] = [];
  const about = { about: '', remedy: '' };
  const reports = await runChecks(
    'database',
    [
      {
        name: 'broken',
        ...about,
        look() {
          throw new Error('no way');
        },
      },
      { name: 'whole', ...about, look: (facts: Finding) => [facts] },
    ],
    finding('wrong'),
    (one) => told.push(one),
  );
  expect(reports.map(({ name, findings }) => [name, findings[0]?.state])).toEqual([
    ['broken', 'unknown'],
    ['whole', 'wrong'],
  ]);
  expect(told).toEqual([
    { state: 'unknown', what: 'The check broken could not look', why: 'no way' },
    finding('wrong'),
  ]);
});
