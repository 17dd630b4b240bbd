/** What `npm run test:fast` takes, and that nothing in it reaches a service; and which files share a process. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  CHANGES_THE_PROCESS,
  companionFiles,
  fastFiles,
  postgresFiles,
  whatKeepsApart,
  whatSlows,
} from './support/fast-files.ts';
import { LONGEST } from './support/longest-first.ts';

describe('the fast files', () => {
  const files = fastFiles();

  test('are those with nothing to start, this one too', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(files).toContain('test/fast-files.test.ts');
    expect(whatSlows('test/fast-files.test.ts')).toBeUndefined();
  });

  test('are none that reach a process through what they import', () => {
    const file = 'test/local/cli/main.test.ts';
    expect(files).not.toContain(file);
    expect(whatSlows(file)).toEqual([file, 'test/support/command-line.ts', 'node:child_process']);
  });

  test.each([
    ['test/support/connect.ts', expect.stringContaining('databaseUrl')],
    ['test/support/command-line.ts', 'node:child_process'],
    ['test/support/chromium.ts', 'node:child_process'],
    ['local/worker.ts', 'node:child_process'],
    ['workers/shard.ts', 'cloudflare:workers'],
  ])('are none that import %s', (file, reason) => {
    expect(whatSlows(file)?.at(-1)).toEqual(reason);
  });

  test('are none of those that run in workerd', () => {
    expect(files.filter((file) => file.includes('/workers/'))).toEqual([]);
  });
});

describe('the files that need only Postgres', () => {
  const files = postgresFiles();

  test('are no fast ones, and none that run in workerd', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(files).toContain('test/src/writers/copy.test.ts');
    const fast = new Set(fastFiles());
    expect(files.filter((file) => fast.has(file) || file.includes('/workers/'))).toEqual([]);
  });

  test.each([
    ['test/local/migrations.test.ts', 'node:child_process'],
    ['test/lab/local/lab-page.test.ts', 'playwright-core'],
    ['test/support/postgres.ts', 'node:child_process'],
  ])('are none that import what %s starts', (file, reason) => {
    expect(files).not.toContain(file);
    expect(whatKeepsApart(file)?.at(-1)).toBe(reason);
  });

  test('do not change what the next file in their process sees', () => {
    const changing = [
      "process.env.A = 'b'",
      'process.env[name] = value',
      "process.chdir('/')",
      "vi.mock('pg')",
      'vi.useFakeTimers()',
      'globalThis.a = 1',
    ];
    expect(changing.filter((code) => !CHANGES_THE_PROCESS.test(code))).toEqual([]);
    const harmless = ['process.env.A === 1', 'Number(process.env.RUNS ?? 40)', "vi.spyOn(db, 'execute')"];
    expect(harmless.filter((code) => CHANGES_THE_PROCESS.test(code))).toEqual([]);
  });
});

describe('the files that start something and share processes', () => {
  const files = companionFiles();

  test('are none of the others, none that change the process, and none of the longest', () => {
    expect(files.length).toBeGreaterThan(20);
    expect(files).toContain('test/local/cli/main.test.ts');
    const others = new Set([...fastFiles(), ...postgresFiles(), ...LONGEST]);
    expect(files.filter((file) => others.has(file) || file.includes('/workers/'))).toEqual([]);
    // The control: it sets variables of the process.
    expect(files).not.toContain('test/src/database/one-meaning.test.ts');
  });
});

describe('a connection', () => {
  test.each([
    ['a port', () => connect(5432, '127.0.0.1')],
    ['a port, by options', () => connect({ port: 5432 })],
    ['a socket file', () => connect('/var/run/postgresql/.s.PGSQL.5432')],
  ])('to %s of somebody else is refused', (_, open) => {
    expect(open).toThrow('A fast test connects to');
  });

  test('by fetch is refused, too', async () => {
    await expect(fetch('http://127.0.0.1:8787/')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('A fast test connects to 127.0.0.1:8787') },
    });
  });

  test('to a server of the test itself is not', async () => {
    const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [said] = await once(socket.setEncoding('utf8'), 'data');
    expect(said).toBe('hello');
    server.close();
  });
});
