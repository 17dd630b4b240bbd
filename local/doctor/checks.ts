/** All checks, area by area; and how they are run. docs/doctor.md has a row for each, which a test compares. */

import { errorText } from '../../src/core/errors.ts';
import type { Area, Check, Finding } from './check.ts';
import { CONFIGURATION_CHECKS } from './configuration.ts';
import { INDEX_CHECKS } from './database-indexes.ts';
import { SERVER_CHECKS } from './database-server.ts';
import { WAL_CHECKS } from './database-wal.ts';
import { WRITE_CHECKS } from './database-writes.ts';
import { DEPLOYMENT_CHECKS } from './deployment.ts';
import { INSTALLATION_CHECKS } from './installation.ts';
import type { CheckReport } from './report.ts';

export const CHECKS = {
  installation: INSTALLATION_CHECKS,
  configuration: CONFIGURATION_CHECKS,
  database: [...WRITE_CHECKS, ...SERVER_CHECKS, ...WAL_CHECKS, ...INDEX_CHECKS],
  deployment: DEPLOYMENT_CHECKS,
} as const;

/** Runs checks one after the other. One that fails is told as something that is not known, and the next ones are run. */
export async function runChecks<Facts>(
  area: Area,
  checks: readonly Check<Facts>[],
  facts: Facts,
  onFinding: (finding: Finding) => void,
): Promise<CheckReport[]> {
  const reports: CheckReport[] = [];
  for (const check of checks) {
    const findings = await lookWith(check, facts);
    reports.push({ name: check.name, area, findings });
    for (const finding of findings) onFinding(finding);
  }
  return reports;
}

async function lookWith<Facts>(check: Check<Facts>, facts: Facts): Promise<readonly Finding[]> {
  try {
    return await check.look(facts);
  } catch (error) {
    return [{ state: 'unknown', what: `The check ${check.name} could not look`, why: errorText(error) }];
  }
}
