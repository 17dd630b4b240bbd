/** Makes the pictures of docs/dashboard.md, of the real page: `node test/dashboard/screenshots.ts`. */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePages } from '../../local/build/build-page.ts';
import { REPOSITORY } from '../../local/repository.ts';
import { launchChromium } from '../support/chromium.ts';
import { pausedView } from '../support/monitor-views.ts';

/** What a picture may weigh. */
const LIMIT_BYTES = 150_000;

const PICTURES = [
  { name: 'dashboard-light', width: 1100, height: 720, colorScheme: 'light', fragment: '' },
  { name: 'dashboard-dark', width: 1100, height: 800, colorScheme: 'dark', fragment: '#/sinks/readings' },
  { name: 'dashboard-phone', width: 390, height: 844, colorScheme: 'light', fragment: '' },
] as const;

await ensurePages();
// After the pages are there: it imports them.
const { FakeMonitor } = await import('../support/fake-monitor.ts');
const fake = await new FakeMonitor().start();
fake.view = pausedView();
const browser = await launchChromium();
try {
  for (const { name, width, height, colorScheme, fragment } of PICTURES) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    await page.goto(`${fake.url}/dashboard${fragment}`);
    await page.locator('header .pill', { hasText: 'live' }).waitFor();
    if (fragment !== '') {
      await page.locator('canvas').first().waitFor();
      await page.getByRole('heading', { name: 'Over time' }).scrollIntoViewIfNeeded();
      await page.evaluate('scrollTo(0, 0)');
    }
    const path = join(REPOSITORY, 'docs/images', `${name}.png`);
    await page.screenshot({ path });
    const { size } = await stat(path);
    process.stdout.write(`${name}: ${Math.round(size / 1_000)} kB\n`);
    if (size > LIMIT_BYTES) throw new Error(`${path} is larger than ${LIMIT_BYTES / 1_000} kB`);
    await page.close();
  }
} finally {
  await Promise.all([browser.close(), fake.stop()]);
}
