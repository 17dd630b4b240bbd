/** `sluice/client` and its storages as they are published: how large, where they run, and that they do what their sources do. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { buildClientBundle, CLIENT_TARGETS } from '../../../local/build/client-bundle.ts';
import { INTERNAL_NAMES } from '../../../local/build/client-names.ts';
import { REPOSITORY } from '../../../local/repository.ts';
import * as source from '../../../src/client/index.ts';
import * as sourceStorages from '../../../src/client/storages/index.ts';
import { FakeSluiceServer } from '../../support/fake-sluice-server.ts';
import { FakeTimers, settled } from '../../support/fake-timers.ts';

/** Bytes of each file; gzip level 9. */
const MAX_CLIENT_BYTES = 12_000;
const MAX_STORAGES_BYTES = 2_100;

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/** The one that wrangler brings. */
function bundler(): typeof import('esbuild') {
  return createRequire(require.resolve('wrangler/package.json'))('esbuild');
}

let folder = '';
let code = '';
let storagesCode = '';
let declarations = '';
let bundle: typeof source;
let storages: typeof sourceStorages;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-bundle-'));
  await buildClientBundle({ outdir: folder });
  const read = (name: string) => readFile(join(folder, 'client', name), 'utf8');
  code = await read('index.js');
  storagesCode = await read('storages/index.js');
  declarations = (await read('index.d.ts')) + (await read('storages/index.d.ts'));
  bundle = await import(pathToFileURL(join(folder, 'client/index.js')).href);
  storages = await import(pathToFileURL(join(folder, 'client/storages/index.js')).href);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('each file', () => {
  test('is small', () => {
    for (const [name, text, most] of [
      ['sluice/client', code, MAX_CLIENT_BYTES],
      ['sluice/client/storages', storagesCode, MAX_STORAGES_BYTES],
    ] as const) {
      const bytes = gzipSync(text, { level: 9 }).length;
      expect(bytes, `${name} has ${bytes} bytes (gzip -9), and ${most} at most`).toBeLessThanOrEqual(most);
    }
  });

  test('holds only what is its own', () => {
    expect([code.includes('durability'), storagesCode.includes('durability')]).toEqual([false, true]);
    expect([code.includes('sluice.v1'), storagesCode.includes('sluice.v1')]).toEqual([true, false]);
  });

  test('imports nothing', () => {
    const importing = /\b(?:import|require)\s*[({"'*]|\bfrom\s*["']/;
    for (const text of [code, storagesCode]) expect(text).not.toMatch(importing);
    for (const control of [
      'import{a}from"b"',
      'import"b"',
      'await import("b")',
      'require("b")',
      'export*from"b"',
    ])
      expect(control).toMatch(importing);
  });

  test('exports what its source exports', () => {
    expect(Object.keys(bundle).sort()).toEqual(Object.keys(source).sort());
    expect(Object.keys(storages).sort()).toEqual(Object.keys(sourceStorages).sort());
  });

  test('has a source map that leads to the sources', async () => {
    expect(code).toMatch(/\n\/\/# sourceMappingURL=index\.js\.map\n$/);
    const map = JSON.parse(await readFile(join(folder, 'client/index.js.map'), 'utf8')) as {
      sources: string[];
      sourcesContent: string[];
      mappings: string;
    };
    const index = map.sources.findIndex((path) => path.endsWith('src/client/sluice-client.ts'));
    expect(map.sourcesContent[index]).toBe(
      await readFile(join(REPOSITORY, 'src/client/sluice-client.ts'), 'utf8'),
    );
    expect(map.mappings.length).toBeGreaterThan(1_000);
  });

  test('has no syntax that its oldest platforms do not know', async () => {
    const { transform } = bundler();
    const target = [...CLIENT_TARGETS];
    const supported = { 'top-level-await': false };
    // What esbuild would have to change comes out as other text.
    for (const text of [code, storagesCode]) {
      const kept = (await transform(text, { target, supported })).code;
      expect(kept).toBe((await transform(text, { target: 'esnext' })).code);
    }
    const control = 'export async function f(g) { using h = g(); return h }';
    expect((await transform(control, { target })).code).not.toBe(
      (await transform(control, { target: 'esnext' })).code,
    );
  });

  /** Members that are newer than Safari 16 or Node 20 (MDN's tables). */
  const NEWER =
    /\.(?:withResolvers|fromAsync|groupBy|isWellFormed|toWellFormed|toSorted|toReversed|toSpliced|with|union|intersection|difference|symmetricDifference|isSubsetOf|isSupersetOf|isDisjointFrom|asyncDispose|dispose|transfer|transferToFixedLength|escape|sumPrecise|f16round|toBase64|toHex|fromBase64|fromHex|getOrInsert|getOrInsertComputed|isError|pause|waitAsync|try|any|canParse|drop|take)\(|\b(?:Iterator|Temporal|DisposableStack|Float16Array|WeakRef|FinalizationRegistry|URLPattern)\b|\(\?<[=!]/;

  test('uses nothing of the library that they do not have', () => {
    for (const text of [code, storagesCode]) expect(text.match(NEWER)?.[0]).toBeUndefined();
    for (const control of [
      'Promise.withResolvers()',
      'Array.fromAsync([])',
      'new Set().union(a)',
      'Iterator.from(a)',
      '[].toSorted()',
      'RegExp.escape("a")',
      '/(?<=a)b/',
    ])
      expect(control).toMatch(NEWER);
  });
});

describe('short names', () => {
  /** Names as a program has them, without those in comments. */
  const namesOf = (text: string) =>
    new Set(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '').match(/[A-Za-z_$][\w$]*/g) ?? []);
  const taken = (names: readonly string[], text: string) => names.filter((name) => namesOf(text).has(name));

  test('stand for none that a user, the server or a storage reads', async () => {
    expect(taken(INTERNAL_NAMES, declarations)).toEqual([]);
    const frames = await readFile(join(REPOSITORY, 'src/client/frames.ts'), 'utf8');
    const platforms = await Promise.all(
      ['record-storage', 'web-storage', 'indexed-db-storage', 'web-lock', 'memory-storage'].map((name) =>
        readFile(join(REPOSITORY, `src/client/storages/${name}.ts`), 'utf8'),
      ),
    );
    for (const text of [frames, ...platforms]) expect(taken(INTERNAL_NAMES, text)).toEqual([]);
    expect(taken(['sendBatch', 'acked', 'pump'], declarations)).toEqual(['sendBatch', 'acked']);
  });

  test('are all of members that there are', async () => {
    const files = (await readdir(join(REPOSITORY, 'src/client'))).filter((name) => name.endsWith('.ts'));
    const texts = await Promise.all(
      files.map((name) => readFile(join(REPOSITORY, 'src/client', name), 'utf8')),
    );
    const there = namesOf(texts.join('\n'));
    expect(INTERNAL_NAMES.filter((name) => !there.has(name))).toEqual([]);
    expect(new Set(INTERNAL_NAMES).size).toBe(INTERNAL_NAMES.length);
  });
});

describe('declarations', () => {
  const check = async (program: string): Promise<string> => {
    const project = await mkdtemp(join(folder, 'project-'));
    await mkdir(join(project, 'node_modules'), { recursive: true });
    await writeFile(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'es2022',
          lib: ['es2022', 'dom'],
          module: 'esnext',
          moduleResolution: 'bundler',
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck: false,
          noEmit: true,
          types: [],
        },
        files: ['program.ts'],
      }),
    );
    await writeFile(join(project, 'program.ts'), program);
    const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc');
    return run(process.execPath, [tsc, '-p', project]).then(
      () => '',
      ({ stdout }: { stdout: string }) => stdout,
    );
  };

  const PROGRAM = `
    import { SluiceClient, SluiceError } from '../client/index.js';
    import { indexedDbStorage, memoryStorage, webStorage } from '../client/storages/index.js';
    import type { BatchReceipt, ClientEvent, ClientStorage, CloseReport, SluiceClientOptions } from '../client/index.js';
    const storages: ClientStorage[] = [
      memoryStorage(),
      webStorage(localStorage, 'key'),
      webStorage(sessionStorage, 'key', { locks: undefined }),
      indexedDbStorage('name', { indexedDB, locks: navigator.locks }),
    ];
    const options: SluiceClientOptions = {
      url: new URL('wss://example.com/ws/messages'),
      openSocket: (url, protocol) => new WebSocket(url, protocol),
      storage: storages[0]!,
      onEvent: (event: ClientEvent) => {
        if (event.type === 'recovered' && event.inDoubt !== undefined) console.log(event.inDoubt.messages);
      },
    };
    export async function main(): Promise<CloseReport> {
      const client = new SluiceClient(options);
      client.post({ a: 1 });
      const receipt: BatchReceipt = await client.sendBatch(['1']);
      await client.send(receipt).catch((error: unknown) => {
        if (error instanceof SluiceError && error.code === 'dead_letter') console.log(error.details);
      });
      return client.close();
    }
  `;

  test('compile strictly with nothing but the library of browsers', async () => {
    expect(await check(PROGRAM)).toBe('');
  });

  test('refuse what is wrong (the control)', async () => {
    expect(await check(PROGRAM.replace("['1']", '[1]'))).toMatch(/program\.ts.*not assignable/);
    expect(await check(PROGRAM.replace("'dead_letter'", "'deadletter'"))).toMatch(/program\.ts.*no overlap/);
  });
});

type Step =
  | ['send' | 'post' | 'batch' | 'credit' | 'smaller' | 'defer' | 'pass', number]
  | ['cut' | 'restart' | 'begin'];

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(
        fc.constantFrom<'send' | 'post' | 'batch' | 'pass'>('send', 'post', 'batch', 'pass'),
        fc.integer({ min: 1, max: 30 }),
      ),
    },
    fc.tuple(
      fc.constantFrom<'credit' | 'smaller' | 'defer'>('credit', 'smaller', 'defer'),
      fc.integer({ min: 1, max: 20 }),
    ),
    fc.tuple(fc.constantFrom<'cut' | 'restart' | 'begin'>('cut', 'restart', 'begin')),
  ),
  { minLength: 1, maxLength: 30 },
);

/** What a server hears of a client, and what the client tells. Names of instances are random, so they are numbered. */
async function storyOf(
  { SluiceClient }: Pick<typeof source, 'SluiceClient'>,
  { memoryStorage }: Pick<typeof sourceStorages, 'memoryStorage'>,
  plan: readonly Step[],
  hasStorage: boolean,
): Promise<string> {
  const timers = new FakeTimers();
  const server = new FakeSluiceServer(timers, { storeMs: 3, commitMs: 7 });
  server.refusal = (text) => (text.includes('bad') ? 'number_out_of_range' : undefined);
  const told: unknown[] = [];
  const storage = memoryStorage();
  const begin = () =>
    new SluiceClient({
      url: 'ws://sluice.test/ws/messages',
      producer: 'p',
      sendBufferMessages: 50,
      batchMessages: 7,
      openSocket: server.open,
      timers,
      random: () => 0.5,
      onEvent: (event) => told.push(event),
      ...(hasStorage ? { storage } : {}),
    });
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 5) {
      await settled();
      timers.advance(5);
    }
    await settled();
  };
  let client = begin();
  let number = 0;
  const text = () => {
    number += 1;
    return `{"n":${number},"is":"${number % 7 === 0 ? 'bad' : number % 11 === 0 ? '\ud800' : 'Zoë €𝄞'}"}`;
  };
  const note = (what: Promise<unknown>) =>
    what.then(
      (value) => told.push(['resolved', value]),
      ({ code, message, details }) => told.push(['rejected', code, message, details]),
    );
  for (const [what, amount = 0] of plan) {
    if (what === 'send') void note(client.sendText(text()));
    else if (what === 'post') client.post(amount % 5 === 0 ? undefined : { amount });
    else if (what === 'batch') void note(client.sendBatch(Array.from({ length: amount }, text)));
    else if (what === 'credit') server.flow({ messages: amount, bytes: amount * 40 }, 'memory_full');
    else if (what === 'smaller') server.limits = { ...server.limits, messageBytes: amount + 20 };
    else if (what === 'defer') server.deferring = amount % 3;
    else if (what === 'pass') await pass(amount);
    else if (what === 'restart') server.restart();
    else if (what === 'cut') server.cut();
    else {
      told.push(await client.close({ timeLimitMs: 0 }), client.unsettled());
      await settled();
      client = begin();
    }
  }
  server.flow({ messages: 1_000, bytes: 100_000 }, 'room');
  await pass(2_000);
  told.push(client.state, client.stats, client.inDoubt);
  const closing = client.close({ timeLimitMs: 1_000 });
  await pass(1_500);
  told.push(await closing, hasStorage ? await storage.load() : []);
  const instances: string[] = [];
  return JSON.stringify([server.received, told]).replaceAll(/[0-9a-f]{32}/g, (name) => {
    if (!instances.includes(name)) instances.push(name);
    return `instance ${instances.indexOf(name)}`;
  });
}

describe('the bundles', () => {
  test('says and tells what its sources do', async () => {
    let length = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), async (plan, hasStorage) => {
        const story = await storyOf(source, sourceStorages, plan, hasStorage);
        expect(await storyOf(bundle, storages, plan, hasStorage)).toBe(story);
        length += story.length;
      }),
      { numRuns: 100 },
    );
    expect(length).toBeGreaterThan(100_000);
    // The control: another plan is another story.
    expect(await storyOf(bundle, storages, [['batch', 3]], true)).not.toBe(
      await storyOf(bundle, storages, [['batch', 4]], true),
    );
  });

  test('keeps in a browser what its sources keep, under the same names', async () => {
    const kept = await Promise.all(
      [sourceStorages, storages].map(async ({ webStorage }) => {
        const items = new Map<string, string>();
        const area = {
          get length() {
            return items.size;
          },
          key: (index: number) => [...items.keys()][index] ?? null,
          getItem: (name: string) => items.get(name) ?? null,
          setItem: (name: string, value: string) => void items.set(name, value),
          removeItem: (name: string) => void items.delete(name),
        };
        const storage = webStorage(area, 'a/b', { locks: undefined });
        await storage.load();
        await storage.begin('i');
        await storage.saveSession('i', '1.a');
        await storage.append('i', { first: 1, count: 2, text: '1\n2' });
        await storage.append('i', { first: 3, count: 2, text: '3\n4' });
        await storage.setAside('i', { first: 3, count: 1, text: '3' });
        await storage.trim('i', 2);
        await storage.discard('i', { first: 4, last: 4 });
        return [...items];
      }),
    );
    const head = { order: 1, acked: 2, discarded: [{ first: 4, last: 4 }], session: '1.a' };
    const expected = new Map<string, unknown>([
      ['a%2Fb/i', head],
      ['a%2Fb/i/3', '2\n3\n4'],
      ['a%2Fb/i/?3', '1\n3'],
    ]);
    for (const items of kept) {
      const read = items.map(([name, value]) => [name, name.endsWith('/i') ? JSON.parse(value) : value]);
      expect(new Map(read as [string, unknown][])).toEqual(expected);
    }
  });
});

/** A server that stores at once. */
async function startServer() {
  const taken: string[] = [];
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'sluice.v1' });
  server.on('connection', (socket) => {
    const credit = { messages: 1_000, bytes: 100_000 };
    const say = (frame: object) => socket.send(JSON.stringify(frame));
    socket.on('message', (data) => {
      const [header, ...lines] = String(data).split('\n');
      const { t, epoch = 7 } = JSON.parse(String(header)) as { t: string; epoch?: number };
      if (t === 'hello') {
        const limits = { frameBytes: 1_048_576, messageBytes: 65_536, frameMessages: 10_000 };
        say({ t: 'welcome', epoch, session: '1.a', known: true, stored: 0, committed: 0, credit, limits });
      } else if (t === 'batch') {
        taken.push(...lines);
        say({ t: 'ack', stored: taken.length, committed: taken.length, credit });
      } else if (t === 'bye') say({ t: 'bye' });
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return { server, taken, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws/messages` };
}

/** The newest Node 20 of this machine, of which there may be none. */
async function findNode20(): Promise<string | undefined> {
  const folders = (process.env.PATH ?? '').split(':');
  const paths = [process.env.NODE20 ?? 'node', ...folders.map((path) => join(path, 'node')), '/usr/bin/node'];
  for (const path of paths) {
    const version = await run(path, ['--version']).catch(() => undefined);
    if (version?.stdout.startsWith('v20.')) return path;
  }
  return undefined;
}

describe('in Node 20', async () => {
  const node20 = await findNode20();
  const reason = node20 === undefined ? ' (skipped: this machine has no Node 20; NODE20 may name one)' : '';

  test.skipIf(node20 === undefined)(`sends with the WebSocket of ws${reason}`, async () => {
    const { server, taken, url } = await startServer();
    const program = `
      import WS from ${JSON.stringify(pathToFileURL(require.resolve('ws')).href)};
      import { SluiceClient } from ${JSON.stringify(pathToFileURL(join(folder, 'client/index.js')).href)};
      import { memoryStorage } from ${JSON.stringify(pathToFileURL(join(folder, 'client/storages/index.js')).href)};
      const client = new SluiceClient({
        url: ${JSON.stringify(url)},
        producer: 'p',
        storage: memoryStorage(),
        openSocket: (url, protocol) => new WS(url, protocol),
      });
      client.post({ i: 1 });
      await client.send({ i: 2 });
      const { refused } = await client.sendBatch(['{"i":3}', 'Zoë €𝄞\\n', '{"i":"€𝄞"}']);
      await client.flush();
      const report = await client.close();
      console.log(JSON.stringify({ version: process.versions.node, refused, report }));
    `;
    const { stdout } = await run(node20 as string, ['--input-type=module', '--eval', program]);
    const { version, refused, report } = JSON.parse(stdout);
    expect(version).toMatch(/^20\./);
    expect(refused).toMatchObject([{ index: 1, code: 'invalid_json' }]);
    expect(report).toMatchObject({ acked: 4, refused: 1, unacked: 0, timedOut: false });
    expect(taken).toEqual(['{"i":1}', '{"i":2}', '{"i":3}', '{"i":"€𝄞"}']);
    await new Promise((resolve) => server.close(resolve));
  });
});
