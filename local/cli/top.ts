/** `sluice top`: the dashboard in a terminal, new each second; or once, for scripts. */

import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { Option } from 'commander';
import { errorText, isSluiceError } from '../../src/core/errors.ts';
import type { MonitorView } from '../../src/monitor/view.ts';
import { TOKEN_VARIABLE } from '../operator-token.ts';
import { AdminClient } from './admin-client.ts';
import { EXIT } from './exit-codes.ts';
import { topScreen } from './top-screen.ts';

const EVERY_MS = 1_000;

interface TopFlags {
  token?: string;
  once?: true;
}

/** Adds the command. */
export function defineTop(program: Command): void {
  program
    .command('top')
    .description('Show whether all is well, new each second: the dashboard in a terminal')
    .argument('[url]', 'address of the Worker', 'http://localhost:8787')
    .option('--token <text>', `token of an operator (better: the variable ${TOKEN_VARIABLE})`)
    .addOption(new Option('--once', 'print it once; exit code 0: all is well, 1: something is not'))
    .action(top);
}

async function top(url: string, { token, once }: TopFlags): Promise<void> {
  const client = new AdminClient({ url, ...(token === undefined ? {} : { token }) });
  const read = (): Promise<MonitorView> => client.view();
  const hasColour = process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '';
  // What is piped is read by a program or later: once is enough.
  if (once === true || process.stdout.isTTY !== true) {
    const view = await read();
    const lines = topScreen(view, { width: process.stdout.columns ?? 80, hasColour });
    process.stdout.write(`${lines.join('\n')}\n`);
    if (view.health.status !== 'ok') process.exitCode = EXIT.failed;
    return;
  }
  await watch(read, hasColour);
}

/** Paints until `q` or Ctrl-C is pressed. */
async function watch(read: () => Promise<MonitorView>, hasColour: boolean): Promise<void> {
  const { stdin, stdout } = process;
  const end = new AbortController();
  // The first answer decides whether there is anything to watch.
  let view = await read();
  let trouble: string | undefined;
  let chosen = -1;
  const paint = (): void => {
    const lines = topScreen(view, {
      width: stdout.columns,
      height: stdout.rows - 1,
      hasColour,
      chosen: view.sinks[chosen]?.sink,
      foot: trouble ?? 'q quits   ↑ ↓ choose a sink',
    });
    // Each line is ended where the one before was longer, and what was below is cleared: nothing flickers.
    stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\n')}\u001b[J`);
  };
  const onKey = (key: Buffer): void => {
    const text = key.toString();
    if (text === 'q' || text === '\u0003') {
      end.abort();
      return;
    }
    if (text === '\u001b[A') chosen = Math.max(-1, chosen - 1);
    if (text === '\u001b[B') chosen = Math.min(view.sinks.length - 1, chosen + 1);
    paint();
  };
  stdin.setRawMode?.(true);
  stdin.on('data', onKey).resume();
  stdout.on('resize', paint);
  // A screen of its own: what was there before comes back at the end.
  stdout.write('\u001b[?1049h\u001b[?25l');
  try {
    for (;;) {
      paint();
      await pause(EVERY_MS, undefined, { signal: end.signal });
      try {
        view = await read();
        trouble = undefined;
      } catch (error) {
        trouble = `These figures are old: ${isSluiceError(error) ? error.message : errorText(error)}`;
      }
    }
  } catch (error) {
    if (!end.signal.aborted) throw error;
  } finally {
    stdout.write('\u001b[?25h\u001b[?1049l');
    stdin.setRawMode?.(false);
    stdin.off('data', onKey).pause();
    stdout.off('resize', paint);
  }
}
