/** `export` and `import` between namespaces of a Worker that runs, over TCP. */

import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalWorker, startWorker } from '../../../local/worker.ts';
import { commandLine } from '../../support/command-line.ts';
import { System1Client } from '../../support/system1-client.ts';

const cli = commandLine();
let worker: LocalWorker;

beforeAll(async () => {
  worker = await startWorker({ bindings: { ADMIN: 'on' } });
});
afterAll(() => worker?.stop());

function clientOf(token?: string): System1Client {
  return new System1Client((where, init) => fetch(new URL(where, worker.url), init), token);
}

async function createNamespace(name: string): Promise<string> {
  return (await clientOf().rpc<{ token: string }>('ns.create', name)).token;
}

const run = (token: string, ...args: string[]) =>
  cli.run([...args, '--url', worker.url.href], { SLUICE_STORE_TOKEN: token });

describe('export and import', () => {
  it('carry a namespace into another, through a file that is compressed', async () => {
    const source = await createNamespace('cli-source');
    for (let n = 0; n < 30; n += 1)
      await clientOf(source).write(`${n % 3 === 0 ? 'a' : 'b'}-${n}`, {
        type: 'T',
        data: { n, text: '世界 🌍' },
      });
    const file = path.join(cli.folder, 'all.ndjson.gz');
    expect(await run(source, 'export', '--gzip', '--output', file)).toMatchObject({
      exitCode: 0,
      stdout: '',
      stderr: '30 messages exported\n',
    });
    const lines = gunzipSync(await readFile(file))
      .toString()
      .trim()
      .split('\n');
    expect(lines).toHaveLength(30);
    await expect(stat(`${file}.partial`)).rejects.toThrow('ENOENT');

    const target = await createNamespace('cli-target');
    const imported = await run(target, 'import', '--input', file);
    expect(imported).toMatchObject({ exitCode: 0, stdout: '' });
    expect(imported.stderr).toMatch(/^30 messages imported in \d/);
    expect((await run(target, 'export')).stdout).toBe(`${lines.join('\n')}\n`);

    const some = (
      await run(source, 'export', '--category', 'a', '--since', '2025-01-01', '--until', '2200-01-01')
    ).stdout;
    expect(some.trim().split('\n')).toEqual(lines.filter((line) => line.includes('"stream":"a-')));
    expect((await run(source, 'export', '--since', '2200-01-01')).stdout).toBe('');

    // Its places are taken now.
    const again = await run(target, 'import', '--input', file);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toMatch(/^sluice: Line 1: POSITION_EXISTS: /);
  });

  it('say what is wrong with a large import, too, of which the Worker reads no further', async () => {
    const token = await createNamespace('cli-large');
    const lines = Array.from({ length: 20_000 }, (_, index) =>
      JSON.stringify({
        id: crypto.randomUUID(),
        stream: `a-${index}`,
        type: 'T',
        pos: 0,
        gpos: index + 1,
        data: { text: 'x'.repeat(500) },
        time: '2025-01-15T10:00:00Z',
      }),
    );
    const file = path.join(cli.folder, 'large.ndjson');
    await writeFile(file, lines.join('\n'));
    const wrong = `${token.slice(0, -64)}${'0'.repeat(64)}`;
    const refused = await run(wrong, 'import', '--input', file);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('not that of a namespace');
    // A file that ends in the middle.
    await writeFile(`${file}.gz`, gzipSync(lines.join('\n')).subarray(0, 50_000));
    const torn = await run(token, 'import', '--input', `${file}.gz`);
    expect(torn.exitCode).toBe(1);
    expect(torn.stderr).toMatch(/^sluice: Cannot read the input: .*unexpected end of file/);
  });

  it('say what is wrong, in one line', async () => {
    const token = await createNamespace('cli-wrong');
    const file = path.join(cli.folder, 'wrong.ndjson');
    await writeFile(file, '{"id":');
    const cases: [exitCode: number, text: string, token: string, ...args: string[]][] = [
      [1, 'Line 1: INVALID_JSON', token, 'import', '--input', file],
      [2, 'Cannot read --input', token, 'import', '--input', path.join(cli.folder, 'none')],
      [2, 'Not a time: "yesterday"', token, 'export', '--since', 'yesterday'],
      [1, 'Authorization header required', '', 'export'],
      [1, 'not that of a namespace', 'nonsense', 'export'],
    ];
    for (const [exitCode, text, given, ...args] of cases) {
      const ended = await run(given, ...args);
      expect(ended.exitCode, args.join(' ')).toBe(exitCode);
      expect(ended.stderr).toContain(text);
      expect(ended.stderr.trim().split('\n')).toHaveLength(1);
    }
    const nowhere = await cli.run(['export', '--url', 'http://127.0.0.1:1', '--token', 'x']);
    expect(nowhere).toMatchObject({ exitCode: 1, stdout: '' });
    expect(nowhere.stderr).toContain('Nothing answers at http://127.0.0.1:1');
  });
});
