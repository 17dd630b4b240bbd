/** `sluice top`, of a Worker that a test stands in for; and its screen, which is a function of a view. */

import { describe, expect, test } from 'vitest';
import { topScreen } from '../../../local/cli/top-screen.ts';
import { commandLine } from '../../support/command-line.ts';
import { fakeWorker } from '../../support/fake-worker.ts';
import {
  awkwardView,
  emptyView,
  failingView,
  manyShardsView,
  pausedView,
  wellView,
} from '../../support/monitor-views.ts';

const PLAIN = { width: 80, hasColour: false };
const ESCAPE = '\u001b';

describe('the screen', () => {
  test('says first whether all is well, and then what is not', () => {
    const well = topScreen(wellView(), PLAIN);
    expect(well[0]).toBe('Sluice ok  8f3c21d  12:00:00 UTC');
    expect(well.join('\n')).not.toContain('!');
    const paused = topScreen(pausedView(), PLAIN).join('\n');
    expect(paused).toMatch(/^Sluice failing/);
    expect(paused).toContain('! trades, shards 0, 1, 2, 3: It has paused: column "price" of relation');
    expect(paused).toContain('(SQLSTATE 42703)');
    expect(paused).toContain('room for 66 min');
    expect(paused).toMatch(/^ {2}trades +paused +500 +0 +18\.2k +2 min +9\.1 ms +37 +0\/8$/m);
    expect(paused).toContain('Postgres 18.4 at db.internal:5432/readings: 41 of 100 connections');
    expect(paused).toContain('firing SluiceSinkPaused');
    expect(paused).toContain('2 min ago   trades, shard 0: paused: column');
  });

  test.each([
    ['well', wellView],
    ['paused', pausedView],
    ['empty', emptyView],
    ['failing', failingView],
    ['256 shards', manyShardsView],
    ['awkward', awkwardView],
  ])('fits 80 columns where it is %s, and the lines that there is room for', (_, view) => {
    const [first] = view().sinks;
    for (const chosen of [undefined, first?.sink]) {
      const lines = topScreen(view(), { ...PLAIN, chosen, foot: 'q quits' });
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
      const low = topScreen(view(), { ...PLAIN, chosen, height: 10, foot: 'q quits' });
      expect(low.length).toBeLessThanOrEqual(10);
      expect(low.at(-1)).toBe('q quits');
    }
  });

  test('shows the shards of the sink that is chosen', () => {
    const lines = topScreen(pausedView(), { ...PLAIN, chosen: 'trades' });
    expect(lines.filter((line) => /^ {4}shard \d/.test(line))).toHaveLength(4);
    expect(lines.find((line) => line.startsWith('> '))).toContain('trades');
  });

  test('has colours only where they are wanted, and nothing from outside steers the terminal', () => {
    expect(topScreen(pausedView(), { ...PLAIN, hasColour: true }).join('\n')).toContain(
      `${ESCAPE}[31m paused`,
    );
    const view = pausedView();
    view.version = `${ESCAPE}[2J`;
    for (const event of view.events) event.message = `${ESCAPE}]0;title\u0007\u202e`;
    const text = topScreen(view, PLAIN).join('\n');
    expect(text).not.toContain(ESCAPE);
    expect(text).toContain('\\u001b[2J');
  });
});

describe('the command', () => {
  const worker = fakeWorker();
  const cli = commandLine();
  const NO_TOKEN = { SLUICE_OPERATOR_TOKEN: '' };

  test('--once prints the same, with exit code 0 where all is well and 1 where not, and brings the token', async () => {
    worker.answers = [{ body: wellView() }, { body: pausedView() }];
    const well = await cli.run(['top', worker.url, '--once', '--token', 'abc']);
    expect([well.exitCode, well.stdout]).toEqual([0, `${topScreen(wellView(), PLAIN).join('\n')}\n`]);
    const paused = await cli.run(['top', worker.url, '--once'], NO_TOKEN);
    expect([paused.exitCode, paused.stdout]).toEqual([1, `${topScreen(pausedView(), PLAIN).join('\n')}\n`]);
    expect(worker.asked).toMatchObject([
      { method: 'GET', path: '/monitor/view', authorization: 'Bearer abc' },
      { method: 'GET', path: '/monitor/view', authorization: undefined },
    ]);
  });

  test('a refusal is one line, and exit code 1', async () => {
    worker.answers = [{ status: 401, body: { code: 'unauthorized', detail: 'A token is asked for' } }];
    const { exitCode, stdout, stderr } = await cli.run(['top', worker.url, '--once'], NO_TOKEN);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(stderr).toMatch(/^sluice: A token is asked for \(set SLUICE_OPERATOR_TOKEN, or give --token\)\n$/);
  });
});
