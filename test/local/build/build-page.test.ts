import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import * as labPage from '../../../lab/page/built.ts';
import { ensurePage, LAB_PAGE } from '../../../local/build/build-page.ts';
import * as dashboard from '../../../workers/pages/dashboard/built.ts';

/** What the script of the dashboard may weigh. */
const SCRIPT_LIMIT_BYTES = 60_000;

test('a page is built where it is missing or older than its sources, and not otherwise', async () => {
  const built = join(await mkdtemp(join(tmpdir(), 'sluice-page-')), 'built.ts');
  expect(await ensurePage(LAB_PAGE, built)).toBe(true);
  const whole = await readFile(built, 'utf8');
  expect(await ensurePage(LAB_PAGE, built)).toBe(false);
  await writeFile(built, 'old');
  await utimes(built, new Date(0), new Date(0));
  expect(await ensurePage(LAB_PAGE, built)).toBe(true);
  // Not compared by `toBe`, whose message would be the whole page.
  expect((await readFile(built, 'utf8')) === whole).toBe(true);
  await rm(dirname(built), { recursive: true });
});

test.each([
  ['the bench', labPage],
  ['the dashboard', dashboard],
])('the page of %s ends its script and its style nowhere but where they end', (_, page) => {
  const { PAGE_HTML, PAGE_SCRIPT, PAGE_STYLE } = page;
  expect(PAGE_SCRIPT.includes('sessionStorage')).toBe(true);
  expect(PAGE_STYLE.includes('.uplot')).toBe(true);
  expect(/<\/?(script|style)|<!--/i.exec(`${PAGE_SCRIPT}${PAGE_STYLE}`)).toBeNull();
  // Where the Worker puts them.
  expect(PAGE_HTML.split('<style></style>')).toHaveLength(2);
  expect(PAGE_HTML.split('<script type="module"></script>')).toHaveLength(2);
});

test('the licenses of what goes out with a page go with it', () => {
  expect(labPage.PAGE_SCRIPT).toContain('uplot is part of this script.');
  for (const name of ['preact', 'uplot'])
    expect(dashboard.PAGE_SCRIPT).toContain(`${name} is part of this script.`);
  expect(dashboard.PAGE_SCRIPT.match(/Permission is hereby granted/g)).toHaveLength(2);
});

test('the script of the dashboard is small', () => {
  const bytes = gzipSync(dashboard.PAGE_SCRIPT).byteLength;
  console.log(`The script of the dashboard: ${(bytes / 1_000).toFixed(1)} kB gzip`);
  expect(bytes).toBeLessThanOrEqual(SCRIPT_LIMIT_BYTES);
  // The control: it is all there.
  expect(bytes).toBeGreaterThan(20_000);
});
