/** The lab page in a real Chromium, on a real Worker and a real Postgres. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BenchResult } from '../../../lab/result.ts';
import type { StoredRun } from '../../../lab/run/run-store.ts';
import { type LocalWorker, startWorker } from '../../../local/worker.ts';
import { axeFindings, launchChromium } from '../../support/chromium.ts';
import { ownDatabase } from '../../support/own-database.ts';
import { HANG_LIMIT_MS } from '../../support/patience.ts';

/** Over within a second or two, and long enough for every clock. */
const TINY = {
  suite: 'store',
  engines: 'object',
  operations: 'write-1',
  writers: 1,
  rounds: 100,
  others: 0,
  reps: 1,
};
/** Minutes of work: whatever is to be seen in the middle of a run can be seen. */
const LONG = { suite: 'ingest', modes: 'naive', clients: 2, messages: 20_000, reps: 3 };
const TOKEN = 'open-sesame-please';

const database = ownDatabase();
let browser: Browser;
let open: LocalWorker;
let guarded: LocalWorker;

beforeAll(async () => {
  const bindings = { DATABASE_URL: database.url, BENCH: 'open', OPERATORS: 'open', RUNS_ON: 'a test' };
  browser = await launchChromium();
  guarded = await startWorker({ bindings: { ...bindings, BENCH: 'on', BENCH_TOKEN: TOKEN } });
  // The last one, as only then its process is told from the other's.
  open = await startWorker({ bindings, onLog() {} });
});

afterAll(async () => {
  await Promise.all([browser?.close(), open?.stop(), guarded?.stop()]);
});

let contexts: BrowserContext[] = [];
/** What no page may do: ask another host, break its policy, or throw. */
let trespasses: string[] = [];
/** Every request of every page. */
let requests: { url: string; headers: Record<string, string> }[] = [];

beforeEach(async () => {
  contexts = [];
  trespasses = [];
  requests = [];
  // One object for all tests: what one leaves, another must not meet.
  const { runs } = (await (await ask('/bench/runs')).json()) as { runs: StoredRun[] };
  for (const { id } of runs) {
    await ask(`/bench/runs/${id}/cancel`, { method: 'POST' });
    await ask(`/bench/runs/${id}`, { method: 'DELETE' });
  }
});

afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  expect(trespasses).toEqual([]);
});

async function visit(options: BrowserContextOptions = {}, worker = open): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 }, ...options });
  context.setDefaultTimeout(HANG_LIMIT_MS);
  contexts.push(context);
  const page = await context.newPage();
  watch(page, worker);
  await page.goto(address('/bench', worker));
  return page;
}

function watch(page: Page, worker: LocalWorker): void {
  page.on('pageerror', (error) => trespasses.push(`threw ${error.message}`));
  page.on('console', (message) => {
    // Chromium reports every status from 400 on, and every request that is cut off; pages under test provoke both.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      trespasses.push(`logged ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    const url = request.url();
    requests.push({ url, headers: request.headers() });
    const isOwn = url.startsWith(worker.url.href) || url.startsWith(`blob:${worker.url.origin}/`);
    if (!isOwn && url !== 'data:,') trespasses.push(`asked ${url}`);
  });
}

function address(path: string, worker = open): string {
  return new URL(path, worker.url).href;
}

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(address(path), init);
}

/** Starts a run as another client does. */
async function start(given: Record<string, unknown>): Promise<string> {
  const response = await ask('/bench/runs', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(given),
  });
  const text = await response.text();
  expect(response.status, text).toBe(202);
  return (JSON.parse(text) as StoredRun).id;
}

/** The same, and waits until it is over. */
async function finished(given: Record<string, unknown>): Promise<string> {
  const id = await start(given);
  const events = await (await ask(`/bench/runs/${id}/events`)).text();
  expect(events).toContain('"status":"complete"');
  return id;
}

/** The heading of the run that is shown, once it says this. */
async function runIs(page: Page, status: string): Promise<void> {
  await page.getByRole('heading', { level: 2, name: new RegExp(`^Run of \\w+: ${status}$`) }).waitFor();
}

function startButton(page: Page): Locator {
  return page.getByRole('button', { name: 'Start the run' });
}

async function fillTiny(page: Page): Promise<void> {
  await page.getByLabel('Suite').selectOption('store');
  const options = page.getByRole('group', { name: 'Options of store' });
  await options.getByRole('checkbox', { name: 'postgres' }).uncheck();
  for (const operation of [
    'write-10',
    'write-100',
    'write-1000',
    'read-10',
    'category-100',
    'category-big',
  ]) {
    await options.getByRole('checkbox', { name: operation, exact: true }).uncheck();
  }
  for (const [name, value] of [
    ['writers', '1'],
    ['rounds', '100'],
    ['others', '0'],
  ] as const) {
    await options.getByLabel(name, { exact: true }).fill(value);
  }
  await page.getByLabel('reps', { exact: true }).fill('1');
}

/** In both colour schemes; axe has to have had something to check. */
async function isAccessible(page: Page): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    const { violations, passes } = await axeFindings(page);
    expect(violations, `in ${colorScheme}`).toEqual([]);
    expect(passes).toBeGreaterThan(10);
  }
}

/** What cannot be seen without scrolling the whole page sideways. */
async function tooWide(page: Page): Promise<string[]> {
  return (await page.evaluate(`[...document.querySelectorAll('body *')]
    .filter((element) => element.getBoundingClientRect().right > innerWidth && !element.closest('.scroll'))
    .map((element) => element.outerHTML.slice(0, 80))
    .concat(document.documentElement.scrollWidth > innerWidth ? ['the whole page'] : [])`)) as string[];
}

async function fits(page: Page): Promise<void> {
  expect(await tooWide(page)).toEqual([]);
}

test('what these tests look for is found where it is planted', async () => {
  const page = await visit({ viewport: { width: 360, height: 740 } });
  await startButton(page).waitFor();
  await fits(page);
  await page.evaluate(`(() => {
    const field = document.createElement('input');
    field.id = 'planted';
    field.style.width = '500px';
    const text = document.createElement('p');
    text.textContent = 'hardly to be read';
    text.style.color = 'silver';
    document.querySelector('main').append(field, text);
  })()`);
  expect(await tooWide(page)).toEqual([expect.stringContaining('planted'), 'the whole page']);
  const { violations } = await axeFindings(page);
  expect(violations.map((violation) => violation.split(':')[0]).toSorted()).toEqual([
    'color-contrast',
    'label',
  ]);
});

describe('a run', () => {
  test('is started from the form, shown while it goes on and read at its end', async () => {
    const page = await visit();
    await isAccessible(page);
    await fillTiny(page);
    await startButton(page).click();
    await runIs(page, 'complete');

    const table = page.getByRole('table', { name: 'Medians over the repetitions' });
    await table.getByRole('rowheader', { name: 'object write-1', exact: true }).waitFor();
    await page.getByRole('img', { name: /^messages per second of each variant/ }).waitFor();
    await page.getByRole('heading', { name: 'Notes' }).waitFor();
    await isAccessible(page);

    const { runs } = (await (await ask('/bench/runs')).json()) as { runs: StoredRun[] };
    const [run] = runs;
    expect(new URL(page.url()).hash).toBe(`#run=${run?.id}`);
    const shown = (await (await ask(`/bench/runs/${run?.id}`)).json()) as { result: BenchResult };
    expect(shown.result.config).toMatchObject({ engines: ['object'], operations: ['write-1'], rounds: 100 });

    // A report that was saved is the one that the server has.
    const saving = page.waitForEvent('download');
    await page.getByRole('group', { name: 'Save the report' }).getByRole('button', { name: /^JSON/ }).click();
    const file = await saving;
    expect(file.suggestedFilename()).toMatch(/^store-\d{8}-\d{6}\.json$/);
    expect(JSON.parse(await readFile(await file.path(), 'utf8'))).toEqual(shown.result);

    // The options of a run can be used once more, also after something else was typed.
    await page.getByLabel('Suite').selectOption('ingest');
    await page.getByRole('button', { name: 'Use these options' }).click();
    expect(await page.getByLabel('rounds', { exact: true }).filter({ visible: true }).inputValue()).toBe(
      '100',
    );
    const boxes = page
      .getByRole('group', { name: 'Options of store' })
      .getByRole('checkbox', { checked: true });
    expect(await boxes.count()).toBe(2);
  });

  test('that is under way is told, found again after a reload, and cancelled', async () => {
    const id = await start(LONG);
    // Opened without the run's address: the page finds it.
    const page = await visit();
    await runIs(page, 'running');
    expect(new URL(page.url()).hash).toBe(`#run=${id}`);
    const step = page.getByText(
      /^[a-z: ]+, repetition \d of 3: [1-9]\d* %\. \d+ of \d+ repetitions are over\.$/,
    );
    await step.waitFor();
    await page.getByRole('img', { name: /^Progress over time: [1-9]\d* % after \d+ seconds$/ }).waitFor();
    expect(Number(await page.getByRole('progressbar').getAttribute('value'))).toBeGreaterThan(0);
    await page.getByRole('row', { name: /running/ }).waitFor();
    await isAccessible(page);

    await page.reload();
    await runIs(page, 'running');
    // Nothing moves while the last messages sink in; how far the run is is known all the same.
    await page.getByText(/\d+ of \d+ repetitions are over\.$/).waitFor();

    await page.getByRole('button', { name: 'Cancel the run' }).click();
    await runIs(page, 'aborted');
    await page
      .getByText('The run was stopped before its end; what is shown is complete in itself.')
      .waitFor();
    expect(await page.getByRole('button', { name: 'Cancel the run' }).isVisible()).toBe(false);
    await page.getByRole('status').filter({ hasText: 'The run was cancelled.' }).waitFor();
    expect(await (await ask(`/bench/runs/${id}`)).json()).toMatchObject({ status: 'aborted' });
    await isAccessible(page);
  });

  test('goes on where it was when the Worker dies in the middle of it, and so does the page', async () => {
    const page = await visit();
    await startButton(page).waitFor();
    const id = await start({ ...TINY, reps: 15 });
    const events = `/bench/runs/${id}/events`;
    await page.evaluate(`location.hash = 'run=${id}'`);
    const cells = page.locator('#rate-table td').filter({ hasText: /\d/ });
    await cells.nth(3).waitFor();
    const dead = await open.processId();
    expect(dead).toBeDefined();
    process.kill(dead as number, 'SIGKILL');
    await runIs(page, 'complete');
    const asked = requests
      .filter(({ url }) => url.endsWith(events))
      .map(({ headers }) => headers['last-event-id']);
    expect(asked.length).toBeGreaterThan(1);
    // What it had seen it did not ask for again.
    expect(Number(asked.at(-1))).toBeGreaterThan(4);
    const told = await (await ask(events)).text();
    expect(told.match(/event: repetition/g)).toHaveLength(45);
    expect(await cells.count()).toBe(45);
  });

  test('shows each repetition in a table beside its chart, and tells screen readers of quarters only', async () => {
    const page = await visit();
    await page.evaluate(`
      globalThis.told = [];
      new MutationObserver(() => told.push(document.getElementById('announcer').textContent))
        .observe(document.getElementById('announcer'), { childList: true });
    `);
    await fillTiny(page);
    await page.getByLabel('reps', { exact: true }).fill('10');
    await startButton(page).click();
    await runIs(page, 'complete');
    const rows = page.locator('#rate-table tbody tr');
    expect(await rows.count()).toBe(3);
    for (const row of await rows.all()) expect(await row.locator('td').allTextContents()).toHaveLength(10);
    const figures = (await page.locator('#rate-table td').allTextContents()).map((text) =>
      Number(text.replaceAll(',', '')),
    );
    expect(figures.every((figure) => figure > 0)).toBe(true);
    const label = await page.locator('#rate-chart').getAttribute('aria-label');
    const highest = Math.max(...figures).toLocaleString('en-US');
    expect(label).toContain(`with ${highest} per second`);
    const told = (await page.evaluate('told')) as string[];
    expect(told.at(0)).toBe('The run has started.');
    expect(told.at(-1)).toBe('The run is complete.');
    expect(told.length).toBeLessThanOrEqual(5);
  });

  test('is removed from the list when that is confirmed', async () => {
    const id = await finished(TINY);
    const page = await visit();
    const row = page.locator(`tr[data-run="${id}"]`);
    await row.getByRole('button', { name: /^Delete/ }).click();
    const dialog = page.getByRole('dialog', { name: /^Delete the run of store/ });
    await isAccessible(page);
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect((await ask(`/bench/runs/${id}`)).status).toBe(200);
    await row.getByRole('button', { name: /^Delete/ }).click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('There is no run yet.').waitFor();
    expect((await ask(`/bench/runs/${id}`)).status).toBe(404);
  });
});

describe('what the server refuses', () => {
  test('is shown at the field that it is about, and leaves nothing', async () => {
    const page = await visit();
    const reps = page.getByLabel('reps', { exact: true });
    await reps.fill('51');
    await startButton(page).click();
    const error = page.getByText('Cannot use "51" for reps: a whole number from 1 to 50 is allowed');
    await error.waitFor();
    expect(await reps.getAttribute('aria-invalid')).toBe('true');
    expect(await reps.getAttribute('aria-describedby')).toContain(await error.getAttribute('id'));
    expect(await page.evaluate('document.activeElement.id')).toBe(await reps.getAttribute('id'));
    await isAccessible(page);

    // What was put right is an error no longer; the next one is shown.
    await reps.fill('1');
    const modes = page
      .getByRole('group', { name: 'Options of ingest' })
      .getByRole('group', { name: 'modes' });
    for (const box of await modes.getByRole('checkbox').all()) await box.uncheck();
    await startButton(page).click();
    await modes.getByText('Cannot use [] for modes').waitFor();
    expect(await error.isVisible()).toBe(false);
    await modes.getByRole('checkbox', { name: 'copy' }).check();

    // No number, and not the default instead.
    const clients = page.getByLabel('clients', { exact: true }).filter({ visible: true });
    await clients.fill('many');
    await startButton(page).click();
    await page.getByText('Cannot use "many" for clients').waitFor();
    await clients.fill('10');

    // What is about no single field.
    await page.getByLabel('messages', { exact: true }).filter({ visible: true }).fill('1000000');
    await startButton(page).click();
    await page.getByRole('alert').filter({ hasText: 'at most 2000000 are allowed' }).waitFor();
    expect(await (await ask('/bench/runs')).json()).toEqual({ runs: [] });
  });

  test('because another run is under way has a way to that run', async () => {
    const page = await visit();
    await startButton(page).waitFor();
    const id = await start(LONG);
    await startButton(page).click();
    const alert = page.getByRole('alert').filter({ hasText: `The run ${id} is under way` });
    const focused = page.locator('#run-title:focus');
    await alert.getByRole('link', { name: 'Show it' }).click();
    await focused.waitFor();
    await runIs(page, 'running');
    // Also where it is shown already.
    await alert.getByRole('link', { name: 'Show it' }).click();
    await focused.waitFor();
  });

  test('is told where there is no such run', async () => {
    const page = await visit();
    await page.goto(address('/bench#run=nobody'));
    await page.getByRole('alert').filter({ hasText: 'There is no run "nobody"' }).waitFor();
    await startButton(page).waitFor();
  });
});

describe('two runs', () => {
  test('are compared in words and figures, and a comparison has an address', async () => {
    const base = await finished({ ...TINY, reps: 3 });
    const head = await finished({ ...TINY, reps: 3 });
    const page = await visit();
    // The latest against the one before it, without anything chosen.
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    const table = page.getByRole('table', { name: 'Changes from the base run' });
    await table.waitFor();
    expect(new URL(page.url()).hash).toBe(`#base=${base}&head=${head}`);
    expect(await table.getByRole('columnheader').allTextContents()).toEqual(
      expect.arrayContaining(['change', 'p', 'verdict']),
    );
    const row = table.getByRole('row', { name: /object write-1 perSecond/ });
    expect(await row.textContent()).toMatch(/[+−][\d.]+ %.*\d\.\d{3}too few runs$/);
    await page.getByText(/^too_few_runs: 3 repetitions cannot show a difference/).waitFor();
    await page.locator('#comparison-title:focus').waitFor();
    await isAccessible(page);

    await page.reload();
    await table.waitFor();
    await page
      .getByRole('row', { name: /complete/ })
      .first()
      .getByRole('link')
      .click();
    await runIs(page, 'complete');
    expect(await table.isVisible()).toBe(false);
    await page.goBack();
    await table.waitFor();
  });

  test('of different suites are refused at the form', async () => {
    await finished(TINY);
    await finished({ suite: 'ingest', modes: 'copy', clients: 1, messages: 5, reps: 1 });
    const page = await visit();
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: 'Cannot compare a run of the suite store' }).waitFor();
    await isAccessible(page);
  });
});

describe('without a mouse', () => {
  test('a run is chosen, started and cancelled, and its result is reached', async () => {
    const page = await visit();
    await startButton(page).waitFor();
    const tabTo = async (name: string): Promise<void> => {
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press('Tab');
        const found = (await page.evaluate(
          `[document.activeElement.textContent, ...[...(document.activeElement.labels ?? [])].map((label) => label.textContent)]`,
        )) as string[];
        if (found.includes(name)) return;
      }
      throw new Error(`Tab does not come to ${name}`);
    };
    const type = async (text: string): Promise<void> => {
      await page.keyboard.press('ControlOrMeta+A');
      await page.keyboard.type(text);
    };
    await tabTo('Suite');
    await page.keyboard.type('ingest');
    await tabTo('reps');
    await type('3');
    for (const mode of ['naive', 'buffered', 'bulk', 'unnest']) {
      await tabTo(mode);
      if (mode !== 'naive') await page.keyboard.press('Space');
    }
    await tabTo('clients');
    await type('2');
    await tabTo('messages');
    await type('20000');
    // Enter in a field starts the run.
    await page.keyboard.press('Enter');
    await page.locator('#run-title:focus').waitFor();
    await page.getByText(/^[a-z: ]+, repetition 1 of 3/).waitFor();
    await tabTo('Cancel the run');
    await page.keyboard.press('Enter');
    await runIs(page, 'aborted');
    await page.locator('#run-title:focus').waitFor();
    await page.getByRole('heading', { name: 'Notes' }).waitFor();
    await tabTo('Use these options');
    // Whatever has the focus shows it.
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
  });
});

describe('on a screen of 360 pixels', () => {
  test.each(['light', 'dark'] as const)('everything fits (%s)', async (colorScheme) => {
    const base = await finished(TINY);
    const head = await finished(TINY);
    const page = await visit({ viewport: { width: 360, height: 740 }, colorScheme });
    await startButton(page).waitFor();
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(ground).toBe(colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(13, 17, 23)');
    for (const suite of ['store', 'dcb', 'ingest']) {
      await page.getByLabel('Suite').selectOption(suite);
      await fits(page);
    }
    await page.goto(address(`/bench#run=${head}`));
    await page.getByRole('heading', { name: 'Notes' }).waitFor();
    await fits(page);
    await page.goto(address(`/bench#base=${base}&head=${head}`));
    await page.getByRole('table', { name: 'Changes from the base run' }).waitFor();
    await fits(page);
    const id = await start(LONG);
    await page.goto(address(`/bench#run=${id}`));
    await page.getByText(/^[a-z: ]+, repetition \d of 3: [1-9]/).waitFor();
    await fits(page);
  });
});

describe('where the bench has a token', () => {
  test('the page asks for it, sends it as a header, and keeps it in the tab only', async () => {
    const page = await visit({}, guarded);
    const field = page.getByLabel("The bench's token");
    await field.waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('token-input');
    expect(await startButton(page).isVisible()).toBe(false);
    await isAccessible(page);

    await field.fill('close-sesame');
    await page.keyboard.press('Enter');
    await page.getByText('This is not the token, or it is no longer.').waitFor();
    await isAccessible(page);
    await field.fill('Ünglaublich');
    await page.keyboard.press('Enter');
    await page.getByText('characters of ASCII').waitFor();

    await field.fill(TOKEN);
    await page.keyboard.press('Enter');
    await fillTiny(page);
    await startButton(page).click();
    await runIs(page, 'complete');
    await page.getByRole('heading', { name: 'Notes' }).waitFor();
    const saving = page.waitForEvent('download');
    await page.getByRole('group', { name: 'Save the report' }).getByRole('button', { name: /^CSV/ }).click();
    expect(await readFile(await (await saving).path(), 'utf8')).toContain('object write-1');
    expect(requests.some(({ url }) => url.endsWith('/events'))).toBe(true);
    for (const { url, headers } of requests) {
      expect(decodeURIComponent(url)).not.toContain(TOKEN);
      if (url.includes('/events')) expect(headers.authorization).toBe(`Bearer ${TOKEN}`);
    }
    expect(
      await page.evaluate('[Object.values(sessionStorage), Object.values(localStorage), document.cookie]'),
    ).toEqual([[TOKEN], [], '']);

    await page.reload();
    await runIs(page, 'complete');
    // Another tab knows nothing of it.
    const other = await (contexts[0] as BrowserContext).newPage();
    watch(other, guarded);
    await other.goto(address('/bench', guarded));
    await other.getByLabel("The bench's token").waitFor();

    await page.getByRole('button', { name: 'Forget the token' }).click();
    await field.waitFor();
    await page.reload();
    await field.waitFor();
    expect(await startButton(page).isVisible()).toBe(false);
  });

  test('the page is there for everybody, and nothing else is', async () => {
    const page = await fetch(address('/bench', guarded), { headers: { accept: 'text/html' } });
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    for (const path of ['/bench', '/bench/suites', '/bench/runs', '/bench/compare/fragment']) {
      expect((await fetch(address(path, guarded))).status).toBe(401);
      const asPage = await fetch(address(path, guarded), { headers: { accept: 'text/html' } });
      if (path !== '/bench') expect(asPage.status).toBe(401);
    }
  });
});

describe('the policy of the page', () => {
  test('lets in nothing but its own script and style', async () => {
    const page = await visit();
    await startButton(page).waitFor();
    const policy = (await fetch(page.url(), { headers: { accept: 'text/html' } })).headers.get(
      'content-security-policy',
    );
    expect(policy).toMatch(
      /^default-src 'none'; script-src 'sha256-[^ ;]+'; style-src 'sha256-[^ ;]+'; connect-src 'self'; /,
    );
    const tried = (await page.evaluate(`new Promise((resolve) => {
      const broken = [];
      addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
        broken.push(effectiveDirective);
        if (broken.length === 4) resolve({ broken, hasRun: globalThis.hasRun === true });
      });
      const script = document.createElement('script');
      script.textContent = 'globalThis.hasRun = true';
      document.body.append(script);
      const text = document.createElement('p');
      text.setAttribute('style', 'color: red');
      document.body.append(text);
      const image = document.createElement('img');
      image.src = '/health';
      document.body.append(image);
      fetch('https://sluice.invalid/').catch(() => {});
    })`)) as { broken: string[]; hasRun: boolean };
    expect(tried.hasRun).toBe(false);
    expect(tried.broken.toSorted()).toEqual(['connect-src', 'img-src', 'script-src-elem', 'style-src-attr']);
    // The console tells of them, and so would it of anything that the page did by itself.
    expect(trespasses.splice(0).length).toBeGreaterThanOrEqual(4);
  });

  test('and of the bench: a page of another site starts no run, and a terminal does', async () => {
    const page = await visit();
    const elsewhere = createServer((_, response) => {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>Another page</title>');
    }).listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    // Another origin on another site, as far as the browser is concerned.
    await page.goto(`http://localhost:${(elsewhere.address() as AddressInfo).port}/`);
    const asked = page.waitForRequest((request) => request.url().includes('/bench?'));
    const url = JSON.stringify(address('/bench?suite=store'));
    expect(
      await page.evaluate(`fetch(${url}, { mode: 'no-cors' }).then(() => 'read', () => 'kept from it')`),
    ).toBe('kept from it');
    await asked;
    elsewhere.close();
    elsewhere.closeAllConnections();
    expect(await (await ask('/bench/runs')).json()).toEqual({ runs: [] });
    trespasses = [];

    const query = new URLSearchParams(
      Object.entries(TINY).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const text = await ask(`/bench?${query}`, { headers: { accept: '*/*' } });
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await text.text()).toContain('object write-1');
    expect(await (await ask('/bench/runs')).json()).toMatchObject({ runs: [{ status: 'complete' }] });
  });
});
