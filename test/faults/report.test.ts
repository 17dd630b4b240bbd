import { describe, expect, test } from 'vitest';
import type { RunReport } from './lab.ts';
import { failureLines, faultReport, hasPassed, markdownReport, textTable } from './report.ts';

const RUN: RunReport = {
  seed: 7,
  strikes: 3,
  recoveryMs: 20,
  tookMs: 1_000,
  sent: 1_000,
  acked: 1_000,
  committed: 1_000,
  dead: 0,
  duplicate: 5,
  lost: 0,
  doubled: 0,
  altered: 0,
  outOfOrder: 0,
  pass: true,
  failures: [],
};
const FAILED: RunReport = {
  ...RUN,
  seed: 8,
  lost: 2,
  recoveryMs: undefined,
  pass: false,
  failures: ['2 lost: p0/0/1'],
  console: ['a line of the Worker'],
};

const SCENARIO = { name: 'a-fault', title: 'A fault', run: async () => {} };
const good = faultReport(SCENARIO, [RUN, { ...RUN, recoveryMs: 1_200 }, { ...RUN, recoveryMs: 30 }]);
const bad = faultReport(SCENARIO, [RUN, FAILED]);
const skipped = faultReport(SCENARIO, [], 'no tmpfs can be mounted here');

describe('the report of the lab', () => {
  test('adds the runs of a fault up, with the median and the longest recovery', () => {
    const [header, row] = textTable({ faults: [good] }).split('\n') as [string, string];
    expect(header).toMatch(
      /^fault +runs +times +sent +acked +committed +dead +duplicate +lost +doubled +recovery ms$/,
    );
    expect(row).toMatch(/^A fault +3 +9 +3,000 +3,000 +3,000 +0 +15 +0 +0 +30, at most 1,200$/);
  });

  test('says how many runs failed, and how to see one again', () => {
    expect(textTable({ faults: [bad] })).toContain('2, 1 FAILED');
    expect(failureLines(bad)).toEqual([
      'a-fault, seed 8: npm run faults -- --only a-fault --seed 8 --runs 1',
      '  2 lost: p0/0/1',
      '  | a line of the Worker',
    ]);
    expect(failureLines(good)).toEqual([]);
  });

  test('passes only where every run did; what could not be run is named', () => {
    expect(hasPassed({ faults: [good, skipped] })).toBe(true);
    expect(hasPassed({ faults: [good, bad] })).toBe(false);
    expect(textTable({ faults: [skipped] })).toContain('not run: no tmpfs can be mounted here');
  });

  test('is Markdown with what it takes to repeat it', () => {
    const text = markdownReport({
      startedAt: '2026-11-21T12:00:00.000Z',
      tookSeconds: 12.3,
      seed: 7,
      form: 'usual',
      tool: { name: 'sluice', commit: 'abc' },
      machine: { cpu: '2 × x' },
      faults: [good, bad],
    });
    expect(text).toContain('| A fault | 3 | 9 | 3,000 |');
    expect(text).toContain('seed 7');
    expect(text).toContain('commit: abc');
    expect(text).toContain('(FAILED)');
  });
});
