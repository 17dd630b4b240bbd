/** What `sluice dev` says of the Worker that it has started. */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { reportHealth } from '../../../local/cli/report-health.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** An application whose paths answer as given; all others with 404. */
async function application(answers: Record<string, [status: number, body: string]>): Promise<URL> {
  const server = createServer((request, response) => {
    const [status, body] = answers[request.url?.split('?')[0] ?? ''] ?? [404, 'Not found'];
    response.writeHead(status).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function said(worker: URL): Promise<string[]> {
  const lines: string[] = [];
  await reportHealth(worker, (line) => void lines.push(line));
  return lines;
}

const GOOD: [number, string] = [200, '{"status":"ok","database":{}}'];
const AWAY: [number, string] = [503, '{"code":"database_unreachable","detail":"The database is away"}'];

describe('after the start', () => {
  test('it is silent where all is well, whatever the root answers', async () => {
    expect(await said(await application({ '/health': GOOD }))).toEqual([]);
    expect(await said(new URL('/sluice', await application({ '/sluice/health': GOOD })))).toEqual([]);
  });

  test('it says why the database is out of reach, of a router below another path too', async () => {
    const sentence = ['The Worker cannot use its database: The database is away'];
    expect(await said(await application({ '/': [200, ''], '/health': AWAY }))).toEqual(sentence);
    const mounted = await application({ '/sluice/health': AWAY });
    expect(await said(new URL('/sluice', mounted))).toEqual(sentence);
  });

  test('it says that Sluice is not at the root, and how to name the path', async () => {
    for (const answers of [{}, { '/': [200, ''], '/health': [200, 'well'] }] as const) {
      const worker = await application(answers as Record<string, [number, string]>);
      expect(await said(worker)).toEqual([
        `What answers at ${worker}health is not Sluice. If its router is mounted below another path, name the path with ` +
          '--path, as in npx sluice dev --path /sluice',
      ]);
    }
  });
});
