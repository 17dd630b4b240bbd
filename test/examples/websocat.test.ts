/** The commands for websocat on the pages, with a small stand-in for it (test/support/websocat.js). */

import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { REPOSITORY } from '../../local/repository.ts';
import { type LocalWorker, startWorker } from '../../local/worker.ts';
import type { Connection } from '../../src/database/connection.ts';
import { rowsOf } from '../support/connect.ts';
import { openConnection } from '../support/open-connection.ts';
import { eventually } from '../support/patience.ts';

const clients = await readFile(join(REPOSITORY, 'docs/clients.md'), 'utf8');

const OWN_PRODUCER = 'kitchen-of-websocat';

let folder: string;
let worker: LocalWorker;
let connection: Connection;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-websocat-'));
  const program = join(folder, 'websocat');
  await writeFile(
    program,
    `#!/bin/sh\nexec "${process.execPath}" "${join(REPOSITORY, 'test/support/websocat.js')}" "$@"\n`,
  );
  await chmod(program, 0o755);
  await symlink(process.execPath, join(folder, 'node'));
  worker = await startWorker({ bindings: { AUTHORIZE: 'open', DATABASE_URL: inject('databaseUrl') } });
  connection = await openConnection({ url: inject('databaseUrl'), driver: 'tcp' });
});
afterAll(async () => {
  connection?.close();
  await worker?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs a command of a page as a shell does, at the Worker's address. */
async function run(command: string): Promise<string[]> {
  // The other example has the same producer, and the tests of both share a database.
  const here = command.replaceAll('localhost:8787', worker.url.host).replaceAll('kitchen', OWN_PRODUCER);
  const { stdout } = await promisify(execFile)('sh', ['-c', here], {
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
  return stdout.trimEnd().split('\n');
}

function payloads(producer: string): Promise<unknown[]> {
  return rowsOf(
    connection,
    `select sequence::text, payload from messages where producer = '${producer}' order by id`,
  );
}

describe('websocat, as the pages show it', () => {
  test('sends a batch of sluice.v1 and prints its acks', async () => {
    const [, command = '', output = ''] =
      /```sh\n(\{\n[^`]*websocat -n -0[^`]*)```\n\n```\n([^`]*)```/.exec(clients) ?? [];
    const lines = await run(command);
    const [welcome = '', ...others] = output.trimEnd().split('\n');
    expect(lines[0]).toContain(welcome.replace(' …', '').replace('kitchen', OWN_PRODUCER));
    // An ack may come twice, or one of what is stored before.
    expect(others).toEqual(others.filter((line) => lines.includes(line)));
    expect(lines.at(-1)).toBe(others.at(-1));
    expect(await payloads(OWN_PRODUCER)).toEqual([
      { sequence: '1', payload: { celsius: 21.5 } },
      { sequence: '2', payload: { celsius: 21.6 } },
    ]);
  });

  test('without -0, a batch that is typed line by line is none: the control', async () => {
    const typed = `{ printf '%s\\n' '{"t":"hello"}' '{"t":"batch","seq":1,"n":1}' '{"celsius":21.5}'; sleep 1; } |
      websocat --protocol sluice.v1 'ws://localhost:8787/ws/messages?producer=typed'`;
    const lines = await run(typed);
    expect(lines[0]).toContain('"t":"welcome"');
    expect(lines.filter((line) => line.includes('"t":"ack"'))).toEqual([]);
    expect(await payloads('typed')).toEqual([]);
  });

  test('takes a message per line in raw mode', async () => {
    const firstSink = await readFile(join(REPOSITORY, 'docs/first-sink.md'), 'utf8');
    expect(firstSink).toContain('\nwebsocat ws://localhost:8787/ws/readings\n');
    await run(
      `printf '%s\\n' '{"a":1}' '{"a":2}' | websocat 'ws://localhost:8787/ws/messages?producer=lines'`,
    );
    await eventually(async () => {
      const rows = (await payloads('lines')) as { payload: unknown }[];
      expect(rows.map(({ payload }) => payload)).toEqual([{ a: 1 }, { a: 2 }]);
    });
  });
});
