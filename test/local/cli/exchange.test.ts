/** `export` and `import` between namespaces of a Worker that runs, over TCP. */

import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalWorker, startWorker } from '../../../local/worker.ts';
import { commandLine } from '../../support/command-line.ts';
import { EventoDbClient } from '../../support/eventodb-client.ts';

const cli = commandLine();
let worker: LocalWorker;

beforeAll(async () => {
  worker = await startWorker({ bindings: { OPERATORS: 'open' } });
});
afterAll(() => worker?.stop());

function clientOf(token?: string): EventoDbClient {
  return new EventoDbClient((where, init) => fetch(new URL(where, worker.url), init), token);
}

async function createNamespace(name: string): Promise<string> {
  return (await clientOf().rpc<{ token: string }>('ns.create', name)).token;
}

async function exportOf(token: string): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(new URL('/export', worker.url), { headers })).text();
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

    // Once more: what is there already counts as done. Something else at these places does not.
    const again = await run(target, 'import', '--input', file);
    expect(again).toMatchObject({ exitCode: 0, stdout: '' });
    expect(again.stderr).toMatch(/^30 messages imported in \S+ \(30 messages were there already\)\n$/);
    await writeFile(
      `${file}.other`,
      lines[0]?.replace(/"id":"[^"]+"/, `"id":"${crypto.randomUUID()}"`) ?? '',
    );
    const other = await run(target, 'import', '--input', `${file}.other`);
    expect(other.exitCode).toBe(1);
    expect(other.stderr).toMatch(/^sluice: Line 1: POSITION_EXISTS: .*; nothing of it is stored\. /);
  });

  it('take - for stdin and stdout, and stdin compressed or not', async () => {
    const source = await createNamespace('cli-dash-source');
    await clientOf(source).write('a-1', { type: 'T', data: { text: '世界' } });
    const exported = await run(source, 'export', '--output', '-');
    expect(exported).toMatchObject({ exitCode: 0, stderr: '1 messages exported\n' });
    expect(exported.stdout).toContain('世界');
    await expect(stat(path.join(cli.folder, '-'))).rejects.toThrow('ENOENT');
    await expect(stat(path.join(cli.folder, '-.partial'))).rejects.toThrow('ENOENT');
    const inputs: [name: string, args: string[], input: Uint8Array][] = [
      ['dash', ['--input', '-'], Buffer.from(exported.stdout)],
      ['gzip', [], gzipSync(exported.stdout)],
    ];
    for (const [name, args, input] of inputs) {
      const target = await createNamespace(`cli-dash-${name}`);
      const imported = await cli.run(
        ['import', ...args, '--url', worker.url.href],
        { SLUICE_STORE_TOKEN: target },
        input,
      );
      expect(imported, name).toMatchObject({ exitCode: 0 });
      expect(await exportOf(target), name).toBe(exported.stdout);
    }
  });

  it('say what was seen instead of lines of JSON', async () => {
    const token = await createNamespace('cli-seen');
    const cases: [exitCode: number, text: string, input: Uint8Array][] = [
      [2, 'The input is text in UTF-16LE', Buffer.from('{"id":1}\n', 'utf16le')],
      // Beyond what is looked at before.
      [
        1,
        "Line 5001: INVALID_JSON: Malformed JSON: Unexpected token 'N'",
        Buffer.from(`${'\n'.repeat(5_000)}{"id":NaN}\n`),
      ],
      [
        1,
        'Line 5001: INVALID_UTF8: The line is not UTF-8: the byte 0xB0',
        Buffer.from(`${'\n'.repeat(5_000)}"\xb0"\n`, 'latin1'),
      ],
    ];
    for (const [exitCode, text, input] of cases) {
      const ended = await cli.run(['import', '--url', worker.url.href], { SLUICE_STORE_TOKEN: token }, input);
      expect(ended.stderr).toContain(text);
      expect(ended.stderr.trim().split('\n')).toHaveLength(1);
      expect(ended.exitCode).toBe(exitCode);
    }
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
    const stored = async () =>
      (await clientOf(token).rpc<{ messageCount: number }>('ns.info', 'cli-large')).messageCount;
    let before = 0;
    for (let time = 0; time < 2; time += 1) {
      const torn = await run(token, 'import', '--input', `${file}.gz`);
      expect(torn.exitCode).toBe(1);
      expect(torn.stderr).toMatch(
        /^sluice: Cannot read the input: its compressed data are cut off \(unexpected end of file\); ([\d,]+) messages of it are stored\. Run the import again/,
      );
      const told = Number(/([\d,]+) messages of it/.exec(torn.stderr)?.[1]?.replaceAll(',', ''));
      expect(told).toBe(await stored());
      if (time > 0) expect(told).toBe(before);
      before = told;
    }
    expect(before).toBeGreaterThan(100);
    // A line that is wrong, far before the end of what is sent.
    const broken = [...lines];
    broken[4_321] = '{"id":';
    await writeFile(`${file}.broken`, broken.join('\n'));
    const ended = await run(token, 'import', '--input', `${file}.broken`);
    expect(ended.exitCode).toBe(1);
    expect(ended.stderr).toMatch(/^sluice: Line 4322: INVALID_JSON: .*; 4,000 messages of it are stored\. /);
    // The whole file: what is stored counts as done.
    const whole = await run(token, 'import', '--input', file);
    expect(whole.exitCode).toBe(0);
    expect(whole.stderr).toMatch(
      /^20,000 messages imported in \S+ \(4,\d{3} messages were there already\)|^20,000 messages imported in/,
    );
    expect(await stored()).toBe(20_000);
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
