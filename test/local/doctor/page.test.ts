/** docs/doctor.md has a row for each check, and shows what the doctor prints. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Check } from '../../../local/doctor/check.ts';
import { CHECKS } from '../../../local/doctor/checks.ts';
import type { DatabaseFacts } from '../../../local/doctor/database-facts.ts';
import { findingText } from '../../../local/doctor/report.ts';
import { REPOSITORY } from '../../../local/repository.ts';

const page = readFileSync(join(REPOSITORY, 'docs/doctor.md'), 'utf8');

describe.each(Object.entries(CHECKS))('the checks of the area %s', (area, checks) => {
  test('have a row each, below its heading, and no others', () => {
    const [, section = ''] = page.split(`\n## The ${area}\n`);
    const rows = section.split('\n## ')[0]?.match(/^\| `.*$/gm);
    expect(rows).toEqual(checks.map(({ name, about, remedy }) => `| \`${name}\` | ${about} | ${remedy} |`));
  });
});

test('names of checks are unique', () => {
  const names = Object.values(CHECKS).flatMap((checks) => checks.map(({ name }) => name));
  expect(names.length).toBeGreaterThan(40);
  expect(new Set(names).size).toBe(names.length);
});

test('what is shown as printed is what is printed', async () => {
  const check = CHECKS.database.find(({ name }) => name === 'max-wal-size') as Check<DatabaseFacts>;
  const facts = { isDevelopment: false, isNeon: false, ask: () => Promise.resolve([{ megabytes: 1_024 }]) };
  const [finding] = await check.look(facts as unknown as DatabaseFacts);
  expect(page).toContain(`\`\`\`text\n${findingText(finding as never)}\`\`\``);
});
