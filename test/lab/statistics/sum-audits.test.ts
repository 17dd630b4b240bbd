import { expect, test } from 'vitest';
import type { Audit } from '../../../lab/result.ts';
import { sumAudits } from '../../../lab/statistics/sum-audits.ts';

test('audits add up figure by figure, and null adds nothing', () => {
  const first: Audit = { sent: 1, refused: 2, found: 3, lost: 4, duplicated: 5, outOfOrder: 6 };
  const second: Audit = { sent: 10, refused: 20, found: 30, lost: 40, duplicated: 50, outOfOrder: 60 };
  expect(sumAudits([first, null, second])).toEqual({
    sent: 11,
    refused: 22,
    found: 33,
    lost: 44,
    duplicated: 55,
    outOfOrder: 66,
  });
  expect(first.sent).toBe(1);
  expect(sumAudits([null, null])).toBeNull();
  expect(sumAudits([])).toBeNull();
});
