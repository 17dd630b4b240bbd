/** The ready-made storages: one contract for all. Those of the browser run in a real Chromium. */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe } from 'vitest';
import { fileStorage } from '../../../local/client-file-storage.ts';
import { REPOSITORY } from '../../../local/repository.ts';
import type { ClientStorage } from '../../../src/client/index.ts';
import { memoryStorage } from '../../../src/client/storages/memory-storage.ts';
import { launchChromium } from '../../support/chromium.ts';
import { describeClientStorage, portOf, type StoragePort } from '../../support/client-storage-contract.ts';

describe('memoryStorage', () => {
  const places = new Map<string, ClientStorage>();
  describeClientStorage(() => ({
    open(place) {
      const storage = places.get(place) ?? memoryStorage();
      places.set(place, storage);
      return portOf(storage);
    },
  }));
});

describe('fileStorage', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-storage-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  describeClientStorage(() => ({
    open: (place) => portOf(fileStorage(join(folder, encodeURIComponent(place)))),
  }));
});

/** The storages as a page has them, by a bundle of their files as they are. */
async function bundleForBrowser(): Promise<string> {
  const wrangler = createRequire(createRequire(import.meta.url).resolve('wrangler/package.json'));
  const { build } = wrangler('esbuild') as typeof import('esbuild');
  const { outputFiles } = await build({
    absWorkingDir: REPOSITORY,
    stdin: {
      contents: `
        import { webStorage } from './src/client/storages/web-storage.ts';
        import { indexedDbStorage } from './src/client/storages/indexed-db-storage.ts';
        const storages = [];
        globalThis.make = (kind, place) => storages.push(kind === 'indexedDB' ? indexedDbStorage(place) : webStorage(globalThis[kind], place)) - 1;
        globalThis.call = async (index, name, args) => {
          try {
            return { value: await storages[index][name](...args) };
          } catch (error) {
            return { error: { message: String(error.message), code: error.code } };
          }
        };`,
      resolveDir: REPOSITORY,
      loader: 'ts',
    },
    bundle: true,
    write: false,
    format: 'iife',
    target: 'safari16',
  });
  return outputFiles[0]?.text ?? '';
}

describe('in a real Chromium', () => {
  let browser: Browser;
  let server: Server;
  let page: Page;

  beforeAll(async () => {
    const script = await bundleForBrowser();
    server = createServer((_, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><title>storages</title>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    browser = await launchChromium();
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.evaluate(script);
  });
  afterAll(async () => {
    await browser?.close();
    await new Promise((resolve) => server.close(resolve));
  });

  describe.each(['localStorage', 'sessionStorage', 'indexedDB'])('%s', (kind) => {
    describeClientStorage(() => ({
      async open(place) {
        const index = await page.evaluate(`make(${JSON.stringify(kind)}, ${JSON.stringify(place)})`);
        return new Proxy({} as StoragePort, {
          get: (_, name) =>
            name === 'then'
              ? undefined
              : async (...args: unknown[]) => {
                  const call = `call(${index}, ${JSON.stringify(name)}, ${JSON.stringify(args)})`;
                  const answer = (await page.evaluate(call)) as {
                    value?: unknown;
                    error?: { message: string; code?: string };
                  };
                  if (answer.error === undefined) return answer.value;
                  throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
                },
        });
      },
    }));
  });
});
