/**
 * A page in a real Chromium that sends with the client to a real Worker and Postgres, and whose browser is killed with -9 and
 * started again three times: what was acked is there, nothing is there twice, and what the storage had is there or was told.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import { withTimeLimit } from '../../src/core/time-limit.ts';
import { findChromium } from '../support/chromium.ts';
import { freshName, rowsOf, testDatabase } from '../support/connect.ts';
import { HANG_LIMIT_MS } from '../support/patience.ts';
import type { PageReport } from './page-report.ts';

const KILLS = 3;

/** The browser is killed in the midst of its work once it was told of so many acks. */
const ACKED_BEFORE_KILL = 300;
/** Likewise, of so many messages that its storage has. */
const KEPT_BEFORE_KILL = 200;

const database = testDatabase('tcp');
let worker: LocalWorker;
let server: Server;
/** What the page that runs now has told. */
let onReport: (report: PageReport) => void = () => {};

beforeAll(async () => {
  worker = await startWorker({ bindings: { AUTHORIZE: 'open', DATABASE_URL: inject('databaseUrl') } });
  const script = await bundledPage();
  server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>');
  });
  new WebSocketServer({ server, path: '/reports' }).on('connection', (socket) => {
    socket.on('message', (data) => onReport(JSON.parse(data.toString()) as PageReport));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server?.close();
  server?.closeAllConnections();
  await worker?.stop();
});

async function bundledPage(): Promise<string> {
  const require = createRequire(import.meta.url);
  const wrangler = createRequire(require.resolve('wrangler/package.json'));
  const { build } = wrangler('esbuild') as typeof import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('page.ts', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
  });
  return outputFiles[0]?.text ?? '';
}

class Browser {
  readonly #folder: string;
  #process: ChildProcess | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Opens a page in a browser that has what the one before it had on disk. */
  async open(address: URL): Promise<void> {
    const { path, args, env } = await findChromium();
    this.#process = spawn(
      path,
      [
        '--headless=new',
        '--no-first-run',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        `--user-data-dir=${this.#folder}`,
        ...args,
        address.href,
      ],
      // Its own group, so that all of its processes can be ended at once.
      { detached: true, stdio: 'ignore', env },
    );
  }

  /** kill -9 of all its processes. */
  async kill(): Promise<void> {
    const browser = this.#process;
    if (browser?.pid === undefined || browser.exitCode !== null || browser.signalCode !== null) return;
    const ended = once(browser, 'exit');
    process.kill(-browser.pid, 'SIGKILL');
    await ended;
  }
}

/** All that a page told over its lives. */
class Told {
  readonly acked = new Set<string>();
  readonly refused = new Map<string, string>();
  readonly kept = new Set<string>();
  readonly found = new Set<string>();
  readonly inDoubt = new Set<string>();
  readonly events: string[] = [];
  closed: Extract<PageReport, { type: 'closed' }> | undefined;
  #changed = Promise.withResolvers<void>();

  /** Messages of a run that were acked. */
  readonly ackedOf = (run: number): number => this.#ackedOf[run] ?? 0;
  readonly #ackedOf: number[] = [];

  take(report: PageReport): void {
    switch (report.type) {
      case 'found':
        for (const text of report.texts) this.found.add(text);
        break;
      case 'kept':
        for (const text of report.texts) this.kept.add(text);
        break;
      case 'acked':
        this.acked.add(report.text);
        this.#ackedOf[report.run] = this.ackedOf(report.run) + 1;
        break;
      case 'refused':
        this.refused.set(report.text, report.code);
        break;
      case 'event':
        this.events.push(`${report.name} ${report.event}`);
        break;
      case 'closed':
        this.closed = report;
        for (const text of report.inDoubt) this.inDoubt.add(text);
    }
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }
}

/** A message by its content, however it is written. */
function contentOf(message: unknown): string {
  const { run, n, text } = message as { run: number; n: number; text: string };
  return JSON.stringify({ run, n, text });
}

interface Life {
  /** Nobody can be reached. Default: false. */
  isOffline?: boolean;
  /** When the browser is killed. */
  until: (told: Told) => boolean;
}

interface Outcome {
  told: Told;
  /** The messages in Postgres, in the order of their rows. */
  stored: string[];
  /** Those that are not there, and that nobody was told about. */
  vanished: (texts: Iterable<string>) => string[];
}

/** A page that lives again and again on what it had stored, and the last time to its own end. */
async function live(storage: string, lives: readonly Life[]): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chromium-'));
  const browser = new Browser(folder);
  const producer = freshName('page');
  const told = new Told();
  onReport = (report) => told.take(report);
  try {
    for (const [run, { isOffline = false, until }] of lives.entries()) {
      const { port } = server.address() as AddressInfo;
      const target = new URL(`/ws/messages?producer=${producer}`, worker.url);
      target.protocol = 'ws:';
      // The port of discard, where nobody listens.
      if (isOffline) target.port = '9';
      const address = new URL(`http://127.0.0.1:${port}/`);
      address.search = new URLSearchParams({
        storage,
        run: String(run),
        last: String(run === lives.length - 1),
        url: target.href,
      }).toString();
      await browser.open(address);
      await withTimeLimit(
        told.until(() => until(told)),
        HANG_LIMIT_MS,
        `life ${run} of the page`,
      );
      await browser.kill();
    }
  } finally {
    await browser.kill();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  const rows = await rowsOf<{ payload: unknown }>(
    await database.open(),
    `select payload from messages where producer = '${producer}' order by id`,
  );
  const stored = rows.map(({ payload }) => contentOf(payload));
  const there = new Set(stored);
  const vanished = (texts: Iterable<string>): string[] =>
    [...texts].filter((text) => !there.has(text) && !told.inDoubt.has(text) && !told.refused.has(text));
  return { told, stored, vanished };
}

const atItsEnd: Life = { until: ({ closed }) => closed !== undefined };

function expectKept(storage: string, { told, stored, vanished }: Outcome): void {
  expect(told.closed, told.events.slice(-20).join('\n')).toMatchObject({ unacked: 0, timedOut: false });
  expect(stored).toHaveLength(new Set(stored).size);
  const there = new Set(stored);
  expect([...told.acked].filter((text) => !there.has(text))).toEqual([]);
  // What a storage had when the browser was there again.
  expect(vanished(told.found)).toEqual([]);
  // What an IndexedDB says that it has is on disk; a localStorage may lose its last moments.
  if (storage === 'IndexedDB') expect(vanished(told.kept)).toEqual([]);
  expect([...told.refused]).toEqual([]);
}

describe.each(['localStorage', 'IndexedDB'])('a page with %s', (storage) => {
  test('whose browser is killed three times loses nothing, and sends nothing twice', async () => {
    const lives = Array.from({ length: KILLS }, (_, run): Life => {
      return { until: ({ ackedOf }) => ackedOf(run) >= ACKED_BEFORE_KILL };
    });
    const outcome = await live(storage, [...lives, atItsEnd]);
    expectKept(storage, outcome);
    expect(outcome.told.acked.size).toBeGreaterThan(KILLS * ACKED_BEFORE_KILL);
  });

  test('that takes messages with nobody to be reached delivers them when it is there again', async () => {
    const outcome = await live(storage, [
      { isOffline: true, until: ({ kept }) => kept.size >= KEPT_BEFORE_KILL },
      { isOffline: true, until: ({ kept }) => kept.size >= 2 * KEPT_BEFORE_KILL },
      atItsEnd,
    ]);
    expectKept(storage, outcome);
    if (storage === 'IndexedDB') expect(outcome.told.found.size).toBeGreaterThanOrEqual(KEPT_BEFORE_KILL);
  });
});

test('the control: a storage that says it has written, and has not, is found out', async () => {
  const { told, vanished } = await live('none', [
    { isOffline: true, until: ({ kept }) => kept.size >= KEPT_BEFORE_KILL },
    atItsEnd,
  ]);
  expect(vanished(told.kept).length).toBeGreaterThanOrEqual(KEPT_BEFORE_KILL);
});
