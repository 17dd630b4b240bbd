import type { Audit } from '../result.ts';

/** Adds up audits; null where there is none. */
export function sumAudits(audits: readonly (Audit | null)[]): Audit | null {
  const present = audits.filter((audit) => audit !== null);
  if (present.length === 0) return null;
  const sum: Audit = { sent: 0, refused: 0, found: 0, lost: 0, duplicated: 0, outOfOrder: 0 };
  for (const audit of present) {
    for (const key of Object.keys(sum) as (keyof Audit)[]) sum[key] += audit[key];
  }
  return sum;
}
