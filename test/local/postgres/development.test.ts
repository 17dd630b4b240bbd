import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  DEVELOPMENT_PORT,
  DEVELOPMENT_URL,
  type DevelopmentPostgres,
  startDevelopmentPostgres,
} from '../../../local/postgres/development.ts';
import { probePostgres } from '../../../local/postgres/probe.ts';
import { hold, temporaryData } from './support.ts';

describe('the development Postgres', () => {
  let data: Awaited<ReturnType<typeof temporaryData>>;
  let other: Awaited<ReturnType<typeof temporaryData>>;
  let started: DevelopmentPostgres[];
  let said: string[];

  beforeEach(async () => {
    data = await temporaryData();
    other = await temporaryData();
    started = [];
    said = [];
  });
  afterEach(async () => {
    for (const server of started) await server.stop();
    await data.remove();
    await other.remove();
  });

  async function start(port: number): Promise<DevelopmentPostgres> {
    const onLog = (message: string) => said.push(message);
    const server = await startDevelopmentPostgres({ dataDirectory: data.dataDirectory, port, onLog });
    started.push(server);
    return server;
  }

  test('starts the embedded one at its port, and a second run shares it', async () => {
    const port = await unusedPort();
    const first = await start(port);
    expect(first).toMatchObject({ port, shared: false });
    const second = await start(port);
    expect(second).toMatchObject({ port, url: first.url, shared: true });
    await second.stop();
    expect((await probePostgres(first.url)).state).toBe('answers');
    await first.stop();
    await first.stop();
    expect((await probePostgres(first.url)).state).toBe('fails');
  });

  test('uses a server of somebody else with our credentials, and leaves it running', async () => {
    const foreign = await hold(other.dataDirectory, 0);
    const server = await start(foreign.server.port);
    expect(server).toMatchObject({ url: foreign.server.url, shared: true });
    await server.stop();
    expect((await probePostgres(foreign.server.url)).state).toBe('answers');
    await foreign.finish();
  });

  test('adopts and stops the server of a run that was killed', async () => {
    const dead = await hold(data.dataDirectory, 0);
    await dead.kill();
    const server = await start(dead.server.port);
    expect(server).toMatchObject({ url: dead.server.url, shared: false });
    await server.stop();
    expect((await probePostgres(dead.server.url)).state).toBe('fails');
  });

  test('takes a free port, and says so, when another program has its own', async () => {
    const blocker = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as { port: number };
    const first = await start(port);
    expect(first.port).not.toBe(port);
    expect(first.shared).toBe(false);
    expect(said.join('\n')).toContain(`Another program has port ${port}`);
    expect((await probePostgres(first.url)).state).toBe('answers');
    expect(await start(port)).toMatchObject({ port: first.port, shared: true });
    await new Promise((resolve) => blocker.close(resolve));
  });

  test('has the address of the Docker Compose file', async () => {
    const file = await readFile(
      path.resolve(import.meta.dirname, '../../../local/docker-compose.yml'),
      'utf8',
    );
    const { username, password, pathname, port } = new URL(DEVELOPMENT_URL);
    expect(Number(port)).toBe(DEVELOPMENT_PORT);
    expect(file).toContain(`- 127.0.0.1:${DEVELOPMENT_PORT}:5432\n`);
    expect(file).toContain(`POSTGRES_USER: ${username}\n`);
    expect(file).toContain(`POSTGRES_PASSWORD: ${password}\n`);
    expect(file).toContain(`POSTGRES_DB: ${pathname.slice(1)}\n`);
  });
});

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
