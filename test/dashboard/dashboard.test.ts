/** The dashboard in a real Chromium, with figures in many states. */

import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { MonitorView } from '../../src/monitor/view.ts';
import { axeFindings, launchChromium } from '../support/chromium.ts';
import { FakeMonitor, shardState } from '../support/fake-monitor.ts';
import {
  awkwardView,
  emptyView,
  failingView,
  manyShardsView,
  NOON_MS,
  pausedView,
  wellView,
} from '../support/monitor-views.ts';
import { eventually, HANG_LIMIT_MS } from '../support/patience.ts';

const fake = new FakeMonitor();
let browser: Browser;
let contexts: BrowserContext[] = [];
/** What no page may do: ask another host, break its policy, or throw. */
let trespasses: string[] = [];

beforeAll(async () => {
  [browser] = await Promise.all([launchChromium(), fake.start()]);
});

afterAll(async () => {
  await Promise.all([browser?.close(), fake.stop()]);
});

beforeEach(() => {
  fake.reset();
  contexts = [];
  trespasses = [];
});

afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  expect(trespasses).toEqual([]);
});

interface Visit extends BrowserContextOptions {
  fragment?: string;
}

async function visit({ fragment = '', ...options }: Visit = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(HANG_LIMIT_MS);
  contexts.push(context);
  const page = await context.newPage();
  page.on('pageerror', (error) => trespasses.push(`threw ${error.message}`));
  page.on('console', (message) => {
    // Chromium reports every status from 400 on, and every request that is cut off; pages under test provoke both.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      trespasses.push(`logged ${message.text()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${fake.url}/`) && request.url() !== 'data:,')
      trespasses.push(`asked ${request.url()}`);
  });
  await page.goto(`${fake.url}${fake.base}/dashboard${fragment}`);
  return page;
}

async function isLive(page: Page): Promise<void> {
  await page.locator('header .pill', { hasText: 'live' }).waitFor();
}

/** What is to be read, as it is laid out. */
async function textOf(locator: Locator): Promise<string> {
  return (await locator.allInnerTexts()).join('\n');
}

/** What cannot be seen without scrolling the whole page sideways. */
async function tooWide(page: Page): Promise<string[]> {
  return (await page.evaluate(`[...document.querySelectorAll('body *')]
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5 && !element.closest('.table'))
    .map((element) => element.outerHTML.slice(0, 80))
    .concat(document.documentElement.scrollWidth > innerWidth ? ['the whole page'] : [])`)) as string[];
}

/**
 * At the width of a desk and of a phone; axe has to have had something to check.
 *
 * @param schemes colours at each width. Default: one at each, as states are many
 */
async function isFitForAll(
  page: Page,
  schemes: readonly ('dark' | 'light')[][] = [['dark'], ['light']],
): Promise<void> {
  for (const [index, width] of [1280, 390].entries()) {
    await page.setViewportSize({ width, height: 900 });
    // Charts follow the width of their places a moment later.
    await eventually(async () => expect(await tooWide(page)).toEqual([]));
    for (const colorScheme of schemes[index] ?? []) {
      await page.emulateMedia({ colorScheme });
      const { violations, passes } = await axeFindings(page);
      expect(violations, `at ${width} in ${colorScheme}`).toEqual([]);
      expect(passes).toBeGreaterThan(10);
    }
  }
}

const LETTERS = Array.from({ length: 120 }, (_, index) => ({
  id: index + 1,
  payload: JSON.stringify({ sensor: 'kitchen', celsius: 'warm', n: index }),
}));
const GROUP = {
  key: { by: 'postgres', sqlState: '22P02', column: 'celsius', constraint: null },
  count: 120,
  reason: 'invalid input syntax for type numeric: "warm"',
  firstFailedAtMs: NOON_MS - 600_000,
  lastFailedAtMs: NOON_MS - 500_000,
} as const;

function withLetters(): void {
  fake.view = pausedView();
  fake.groups = [
    GROUP,
    {
      ...GROUP,
      key: { ...GROUP.key, by: 'schema', sqlState: null },
      count: 2,
      reason: 'a number is expected',
    },
  ];
  fake.letters = LETTERS;
}

test('what these tests look for is found where it is planted', async () => {
  const page = await visit({ viewport: { width: 390, height: 800 } });
  await isLive(page);
  await page.evaluate(`(() => {
    const field = document.createElement('input');
    field.id = 'planted';
    field.style.width = '500px';
    const text = document.createElement('p');
    text.textContent = 'hardly to be read';
    text.style.color = 'silver';
    document.querySelector('main').append(field, text);
    document.body.insertAdjacentHTML('beforeend', '<b style="color:red" onclick="1"></b>');
    fetch('http://127.0.0.1:9/').catch(() => {});
  })()`);
  expect(await tooWide(page)).toEqual([expect.stringContaining('planted'), 'the whole page']);
  const { violations } = await axeFindings(page);
  expect(violations.map((violation) => violation.split(':')[0])).toEqual(
    expect.arrayContaining(['color-contrast', 'label']),
  );
  await eventually(() =>
    expect(trespasses.filter((one) => /Security Policy/.test(one)).length).toBeGreaterThan(1),
  );
  trespasses = [];
});

const STATES: [name: string, view: () => MonitorView, fragments: string[]][] = [
  ['all is well', wellView, ['', '#/sinks/readings']],
  ['a sink is paused', pausedView, ['', '#/sinks/trades', '#/sinks/trades/0', '#/alerts']],
  ['there are no figures yet', emptyView, ['', '#/sinks/none', '#/alerts']],
  ['everything fails', failingView, ['', '#/alerts']],
  ['there are 256 shards', manyShardsView, ['', '#/sinks/many']],
  [
    'names and texts are awkward',
    awkwardView,
    ['', `#/sinks/${'n'.repeat(128)}`, `#/sinks/${encodeURIComponent('قراءات-المستشعر')}/0`],
  ],
];

test.each(STATES)('where %s, everybody can use it, on a desk and on a phone', async (_, view, fragments) => {
  withLetters();
  fake.view = view();
  for (const [index, fragment] of fragments.entries()) {
    const page = await visit({ fragment });
    await isLive(page);
    if (fragment.startsWith('#/sinks/') && !fragment.endsWith('none'))
      await page.locator('canvas').first().waitFor();
    const both = ['dark', 'light'] as const;
    await (index === 0 ? isFitForAll(page, [[...both], [...both]]) : isFitForAll(page));
    await page.close();
  }
});

describe('at one look', () => {
  test('it says that all is well, and says so when it no longer is, within the same page', async () => {
    const page = await visit();
    await page.getByText('All is well').waitFor();
    await eventually(async () => expect(await textOf(page.locator('header'))).toMatch(/^Sluice\s+ok/));
    fake.show(pausedView());
    await page.getByRole('heading', { name: 'Needs attention (1)' }).waitFor();
    const trouble = await textOf(page.locator('.trouble'));
    expect(trouble).toContain('trades, shards 0, 1, 2, 3');
    expect(trouble).toContain('column "price" of relation "trades" does not exist');
    expect(trouble).toContain('SQLSTATE 42703');
    expect(trouble).toContain('Perhaps you meant to reference the column "trades.prize".');
    expect(trouble).toContain('18,244 messages wait in all; room for 66 min at the present rate.');
    expect(trouble).toContain('What to do: Correct what Postgres names.');
    expect(await textOf(page.locator('header'))).toMatch(/^Sluice\s+failing/);
    expect(await page.getByRole('link', { name: /More/ }).first().getAttribute('href')).toBe(
      'https://example.com/docs/operations.md#sluicesinkpaused',
    );
    await page.getByRole('link', { name: 'See the sink' }).click();
    await page.getByRole('heading', { level: 1, name: 'trades' }).waitFor();
    fake.show(wellView());
    // A sink of which nothing is reported any more.
    await page.getByRole('heading', { level: 1, name: 'Not here' }).waitFor();
  });

  test('the figures are those of the view, short, and to the digit for those who hover', async () => {
    fake.view = pausedView();
    const page = await visit();
    const tile = page.locator('.tile', { hasText: 'Waiting' });
    await tile.getByText('19.1k').waitFor();
    expect(await tile.locator('.figure').getAttribute('title')).toMatch(/^19,056 messages, /);
    const row = page.getByRole('row', { name: /^trades/ });
    expect((await textOf(row)).split(/\s*\t\s*|\n/).map((cell) => cell.trim())).toEqual(
      expect.arrayContaining(['500', '0', '18.2k', '2 min', '37']),
    );
    await eventually(async () =>
      expect(await textOf(page.getByRole('row', { name: /^clicks/ }))).toContain('asleep'),
    );
  });

  test('256 shards are one line of what needs attention, and those in trouble come first', async () => {
    fake.view = manyShardsView();
    const page = await visit({ fragment: '#/sinks/many' });
    await page.getByText('many, 86 shards').waitFor();
    const rows = page.getByRole('region', { name: 'Shards of many' }).getByRole('row');
    expect(await rows.count()).toBe(1 + 32);
    expect(await textOf(rows.nth(1))).toContain('retrying');
    await page.getByRole('button', { name: 'Show all 256 shards' }).click();
    await eventually(async () => expect(await rows.count()).toBe(1 + 256));
  });
});

describe('what comes from outside', () => {
  test('is text wherever it is shown', async () => {
    fake.view = awkwardView();
    const markup = '<img src=x onerror="globalThis.pwned=1">';
    fake.groups = [{ ...GROUP, reason: markup, key: { ...GROUP.key, column: markup } }];
    fake.letters = [{ id: 1, payload: markup }];
    const page = await visit();
    await isLive(page);
    expect(await textOf(page.locator('body'))).toContain(markup);
    // An address that is none of the web is no link.
    expect(await page.locator('a[href^="javascript"]').count()).toBe(0);
    await page.getByRole('link', { name: markup, exact: true }).first().click();
    await page.getByRole('heading', { level: 1, name: markup }).waitFor();
    await page.getByRole('button', { name: 'Show them' }).click();
    await page.getByRole('button', { name: '1', exact: true }).click();
    await eventually(async () => expect(await page.getByLabel('The message').inputValue()).toBe(markup));
    await page.keyboard.press('Escape');
    await page.goto(`${fake.url}/dashboard#/alerts`);
    await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor();
    expect(await page.evaluate('[globalThis.pwned ?? null, document.images.length]')).toEqual([null, 0]);
  });
});

describe('the token', () => {
  test('is asked for, told when it is wrong, kept in the tab, and never part of an address', async () => {
    fake.tokens = { 'good-token': 'operate' };
    const page = await visit();
    const urls: string[] = [];
    page.on('request', (request) => urls.push(request.url()));
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    expect(await textOf(page.getByRole('alert'))).toBe('');
    await isFitForAll(page);
    const field = page.getByLabel('Token of an operator');
    await field.fill('two words');
    await page.keyboard.press('Enter');
    await page.getByText('A token has no spaces').waitFor();
    await field.fill('wrong-token');
    await page.keyboard.press('Enter');
    await page.getByText('This token is not known here.').waitFor();
    await isFitForAll(page);
    await page.getByLabel('Token of an operator').fill('good-token');
    await page.getByRole('button', { name: 'Open' }).click();
    await isLive(page);
    await page.reload();
    await isLive(page);
    expect(urls.filter((url) => url.includes('token'))).toEqual([]);
    expect(await page.evaluate('[localStorage.length, document.cookie, sessionStorage.length]')).toEqual([
      0,
      '',
      1,
    ]);
    await page.getByRole('button', { name: 'Forget it' }).click();
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });

  test('that may only look shows all, and is told why it may not act', async () => {
    fake.tokens = { reader: 'read' };
    fake.view = pausedView();
    const page = await visit();
    await page.getByLabel('Token of an operator').fill('reader');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('dialog').getByText('0 of 4 shards did it').waitFor();
    expect(await textOf(page.getByRole('dialog'))).toContain('This token may only look');
    expect(fake.posted).toEqual([]);
  });
});

describe('the stream', () => {
  test('that breaks is said to be broken, and comes back', async () => {
    const page = await visit();
    await isLive(page);
    fake.answers.set('GET /monitor/events', {
      status: 503,
      body: { code: 'shard_unavailable', detail: 'the monitor is away' },
    });
    fake.dropStreams();
    await page.getByText('The connection is lost').waitFor();
    await page.getByText('All is well').waitFor();
    await isLive(page);
    expect(fake.opened).toBe(2);
    await page.getByText('The connection is lost').waitFor({ state: 'detached' });
  });

  test('rests while the tab is hidden, and goes on when it is seen', async () => {
    const page = await visit();
    await isLive(page);
    const hide = (isHidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await hide(true);
    await eventually(() => expect(fake.watching).toBe(0));
    await page.locator('header .pill', { hasText: 'resting' }).waitFor();
    await hide(false);
    await isLive(page);
    expect(fake.watching).toBe(1);
  });

  test('of a Worker without a monitor says what to add', async () => {
    fake.answers.set('GET /monitor/events', {
      status: 404,
      body: { code: 'invalid_configuration', detail: 'Bind MONITOR to the class Monitor' },
    });
    const page = await visit();
    await page.getByText('Bind MONITOR to the class Monitor').waitFor();
    await isFitForAll(page);
    await page.getByRole('button', { name: 'Ask again' }).click();
    await isLive(page);
  });

  test('and all else are asked for below the path that the router is mounted at', async () => {
    fake.base = '/deep/sluice';
    const page = await visit({ fragment: '#/sinks/readings' });
    await isLive(page);
    await page.locator('canvas').first().waitFor();
  });
});

describe('an action', () => {
  test.each([
    ['Try again', 'resume', {}, 'It also ends a pause'],
    ['Pause', 'pause', {}, 'Nothing is written to Postgres until somebody says'],
    ['Flush', 'flush', {}, 'without waiting for a batch to fill'],
    ['Drain', 'drain', { closeSockets: false }, 'answers when it is done'],
  ])(
    '%s asks once, says what it will do and to how many, and does it',
    async (button, route, body, words) => {
      fake.view = pausedView();
      const page = await visit({ fragment: '#/sinks/trades/2' });
      const actions = page.getByRole('group', { name: 'What can be done with trades' });
      await actions.getByRole('button', { name: button }).click();
      const dialog = page.getByRole('dialog');
      expect(await textOf(dialog)).toContain(words);
      expect(await textOf(dialog)).toContain('4,561 messages');
      await dialog.getByRole('button', { name: 'Cancel' }).click();
      await dialog.waitFor({ state: 'detached' });
      expect(fake.posted).toEqual([]);
      await actions.getByRole('button', { name: button }).click();
      await dialog.getByRole('button', { name: button }).click();
      await page.locator('.toast', { hasText: 'trades, shard 2' }).waitFor();
      expect(fake.posted).toEqual([{ path: `/admin/trades/2/${route}`, body }]);
    },
  );

  test('on a sink is done to each of its shards', async () => {
    fake.view = pausedView();
    const page = await visit({ fragment: '#/sinks/trades' });
    await page
      .getByRole('group', { name: /What can be done/ })
      .getByRole('button', { name: 'Drain' })
      .click();
    await isFitForAll(page);
    await page.getByLabel('Close the sockets first').check();
    await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
    await page.locator('.toast', { hasText: 'done for 4 shards' }).waitFor();
    expect(fake.posted).toEqual(
      [0, 1, 2, 3].map((shard) => ({ path: `/admin/trades/${shard}/drain`, body: { closeSockets: true } })),
    );
  });

  test('that fails says why in its dialog', async () => {
    fake.view = pausedView();
    fake.answers.set('POST /admin/trades/0/resume', {
      status: 503,
      body: { code: 'time_limit', detail: 'The shard did not answer' },
    });
    const page = await visit({ fragment: '#/sinks/trades/0' });
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('dialog').getByText('The shard did not answer').waitFor();
  });

  test('after a failover that has lost messages, a choice is asked for', async () => {
    fake.view = pausedView();
    fake.answers.set('POST /admin/trades/0/resume', {
      status: 200,
      body: shardState({
        isPaused: true,
        code: 'checkpoint_behind',
        message: 'behind',
        missing: { messages: 90, sinceMs: NOON_MS, held: 80, ranges: [], unlisted: 0 },
      }),
    });
    const page = await visit({ fragment: '#/sinks/trades/0' });
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('dialog').getByText('The shard still has 80 messages').waitFor();
    await page.getByLabel('Leave them missing').check();
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.locator('.toast', { hasText: 'was resumed' }).waitFor();
    expect(fake.posted.at(-1)).toEqual({ path: '/admin/trades/0/resume', body: { missing: 'give-up' } });
  });
});

describe('dead letters', () => {
  const path = '/admin/trades/0/dead-letters';

  test('are shown by their reason, then one by one, a page at a time', async () => {
    withLetters();
    const page = await visit({ fragment: '#/sinks/trades' });
    await page.getByText('120 messages').waitFor();
    await page.getByRole('button', { name: 'Show them' }).first().click();
    const rows = page.getByRole('region', { name: 'Dead letters of this reason' }).getByRole('row');
    await eventually(async () => expect(await rows.count()).toBe(51));
    await page.getByRole('button', { name: 'Show 50 more' }).click();
    await eventually(async () => expect(await rows.count()).toBe(101));
    await page.getByRole('button', { name: 'Show 50 more' }).click();
    await eventually(async () => expect(await rows.count()).toBe(121));
    expect(await page.getByRole('button', { name: 'Show 50 more' }).count()).toBe(0);
  });

  test('are retried and dropped all at once, by the reason', async () => {
    withLetters();
    const page = await visit({ fragment: '#/sinks/trades' });
    await page.getByRole('button', { name: 'Retry all 120' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Retry 120 messages' }).click();
    await page.locator('.toast', { hasText: '1 message will be written again' }).waitFor();
    await page.getByRole('button', { name: 'Drop all 120' }).click();
    expect(await textOf(page.getByRole('dialog'))).toContain('Forgets 120 messages for good');
    await page.getByRole('dialog').getByRole('button', { name: 'Drop 120 messages' }).click();
    await page.locator('.toast', { hasText: '37 messages dropped' }).waitFor();
    const body = { where: { group: GROUP.key } };
    expect(fake.posted).toEqual([
      { path: `${path}/retry`, body },
      { path: `${path}/drop`, body },
    ]);
  });

  test('are read, corrected and dropped one by one', async () => {
    withLetters();
    fake.letters = LETTERS.slice(0, 12);
    const page = await visit({ fragment: '#/sinks/trades/0' });
    await page.getByRole('button', { name: 'Show them' }).first().click();
    await page.getByRole('button', { name: '7', exact: true }).click();
    const message = page.getByLabel('The message');
    await eventually(async () => expect(await message.inputValue()).toBe(LETTERS[6]?.payload));
    await isFitForAll(page);
    await message.fill('{"sensor":"kitchen","celsius":21}');
    await page.getByRole('button', { name: 'Retry as edited' }).click();
    await page
      .locator('.toast', { hasText: 'Dead letter 7 will be written again, with the text as edited' })
      .waitFor();
    await page.getByRole('button', { name: '8', exact: true }).click();
    await page.getByRole('button', { name: 'Retry', exact: true }).click();
    await page.locator('.toast', { hasText: 'Dead letter 8 will be written again' }).waitFor();
    await page.getByRole('button', { name: '9', exact: true }).click();
    await page.getByRole('button', { name: 'Drop for good' }).click();
    await page.locator('.toast', { hasText: 'Dead letter 9 was dropped' }).waitFor();
    expect(fake.posted).toEqual([
      { path: `${path}/retry`, body: { ids: [7], payload: '{"sensor":"kitchen","celsius":21}' } },
      { path: `${path}/retry`, body: { ids: [8] } },
      { path: `${path}/drop`, body: { ids: [9] } },
    ]);
  });
});

describe('alerts', () => {
  test('are silenced, acknowledged by a name, and tested', async () => {
    fake.view = pausedView();
    const page = await visit({ fragment: '#/alerts' });
    await page.getByRole('button', { name: 'Silence SluiceSinkPaused' }).click();
    await page.getByLabel('for 4 hours').check();
    await page.getByRole('dialog').getByRole('button', { name: 'Silence' }).click();
    await page.locator('.toast', { hasText: 'silent for 4 hours' }).waitFor();
    await page.getByRole('button', { name: 'Acknowledge SluiceSinkPaused' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('Say who you are').waitFor();
    await page.getByLabel('Your name').fill('Ada');
    await page.keyboard.press('Enter');
    await page.locator('.toast', { hasText: 'Ada looks after' }).waitFor();
    await page.getByRole('button', { name: 'Send a test' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click();
    await page.locator('.toast', { hasText: 'A test alert was sent' }).waitFor();
    expect(fake.posted).toEqual([
      {
        path: '/monitor/alerts/silence',
        body: { rule: 'SluiceSinkPaused', sink: 'trades', shard: null, forSeconds: 14_400 },
      },
      { path: '/monitor/alerts/acknowledge', body: { id: 'a1', by: 'Ada' } },
      { path: '/monitor/alerts/test', body: {} },
    ]);
    expect(await textOf(page.getByRole('region', { name: 'Alerts of before' }))).toContain('resolved');
    expect(await textOf(page.getByRole('region', { name: 'Table of what operators did' }))).toContain('Ada');
  });
});

describe('charts', () => {
  test('have sentences as titles, a table behind a button, and marked times', async () => {
    const page = await visit({ fragment: '#/sinks/readings' });
    const chart = page.locator('figure', { hasText: 'come in' });
    await chart.locator('canvas').waitFor();
    expect(await page.locator('figcaption').allTextContents()).toEqual(
      expect.arrayContaining([expect.stringMatching(/^Ack p99 is [\d.]+ ms \(logarithmic\)$/)]),
    );
    await chart.getByRole('button', { name: /^Table/ }).click();
    expect(await chart.getByRole('row').count()).toBeGreaterThan(30);
    await page.getByText('2 marked times').click();
    await page.getByText('version 8f3c21d was deployed').first().waitFor();
    await page.getByRole('button', { name: '7 days' }).click();
    const week = page.getByRole('button', { name: '7 days' });
    await eventually(async () => expect(await week.getAttribute('aria-pressed')).toBe('true'));
    await isFitForAll(page);
  });

  test('of all sinks are asked for only when somebody wants them', async () => {
    const page = await visit();
    await isLive(page);
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.getByRole('button', { name: 'Show charts of all sinks' }).click();
    await page.locator('canvas').first().waitFor();
    expect(asked).toEqual(['/monitor/history']);
  });
});

test('all of it can be done by keyboard alone', async () => {
  withLetters();
  const page = await visit();
  await isLive(page);
  const focused = () =>
    page.evaluate(
      "document.activeElement === document.body ? '' : (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)",
    );
  /** Presses Tab until something of this text has the focus. */
  async function tabTo(text: RegExp): Promise<void> {
    for (let steps = 0; steps < 80; steps += 1) {
      await page.keyboard.press('Tab');
      if (text.test(String(await focused()))) return;
    }
    throw new Error(`Tab never comes to ${text}`);
  }
  await tabTo(/^See the sink$/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'trades' }).waitFor();
  // What is read next is what it is about.
  await eventually(async () => expect(await focused()).toBe('trades'));
  await tabTo(/^Pause$/);
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  expect(await focused()).toBe('Pause');
  await page.keyboard.press('Enter');
  await tabTo(/^Pause$/);
  await page.keyboard.press('Enter');
  await page.locator('.toast', { hasText: 'done for 4 shards' }).waitFor();
  await tabTo(/^Shards of trades$/);
  await tabTo(/^shard 0$/);
  await tabTo(/^Show them$/);
  await page.keyboard.press('Enter');
  await tabTo(/^1$/);
  await page.keyboard.press('Enter');
  await eventually(async () =>
    expect(await page.getByLabel('The message').inputValue()).toContain('kitchen'),
  );
  await tabTo(/^Retry$/);
  await page.keyboard.press('Enter');
  await page.locator('.toast', { hasText: 'Dead letter 1 will be written again' }).waitFor();
  expect(fake.posted).toHaveLength(5);
});
