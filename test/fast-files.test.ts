/** What `npm run test:fast` takes, and that nothing in it reaches a service. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { fastFiles, whatSlows } from './support/fast-files.ts';

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
