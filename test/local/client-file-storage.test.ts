/** What a file has to stand beside the contract of all storages: power cuts, kills, growth. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileStorage } from '../../local/client-file-storage.ts';
import { REPOSITORY } from '../../local/repository.ts';
import type { StoredInstance } from '../../src/client/index.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-file-storage-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a file holds, seen by a second storage. */
async function contentOf(path: string): Promise<readonly StoredInstance[]> {
  const storage = fileStorage(path);
  const found = await storage.load();
  await storage.close();
  return found;
}

describe('a file', () => {
  test('cut anywhere, it is what it was some records before, and is written on', async () => {
    const path = join(folder, 'cut');
    const storage = fileStorage(path);
    await storage.load();
    await storage.begin('a');
    await storage.append('a', { first: 1, count: 2, text: '"é"\n2' });
    await storage.saveSession('a', '1.a');
    await storage.trim('a', 1);
    await storage.append('a', { first: 3, count: 1, text: '3' });
    await storage.close();
    const bytes = await readFile(path);
    const states = new Set<string>();
    for (let length = 0; length <= bytes.length; length += 1) {
      const cut = join(folder, `cut-${length}`);
      await writeFile(cut, bytes.subarray(0, length));
      const before = fileStorage(cut);
      states.add(JSON.stringify(await before.load()));
      await before.begin('b');
      await before.close();
      expect((await contentOf(cut)).at(-1)?.instance).toBe('b');
      await rm(cut);
      await rm(`${cut}.lock`, { force: true });
    }
    // Nothing, and after each of the five records.
    expect(states.size).toBe(6);
  });

  test('with a last record of nonsense is cut there; nonsense before it is refused', async () => {
    const path = join(folder, 'nonsense');
    const storage = fileStorage(path);
    await storage.load();
    await storage.begin('a');
    await storage.close();
    const bytes = await readFile(path, 'utf8');
    await writeFile(path, `${bytes}\0\0\0\n`);
    expect((await contentOf(path)).map(({ instance }) => instance)).toEqual(['a']);
    await writeFile(path, `nonsense\n${bytes}`);
    const refusing = fileStorage(path);
    await expect(refusing.load()).rejects.toThrow('the record at byte 0 cannot be read');
    await refusing.close();
  });

  test('does not grow with what was settled', async () => {
    const path = join(folder, 'growth');
    const storage = fileStorage(path);
    await storage.load();
    await storage.begin('a');
    await storage.saveSession('a', '7.a');
    const text = `"${'x'.repeat(20_000)}"`;
    let most = 0;
    for (let first = 1; first <= 200; first += 1) {
      await storage.append('a', { first, count: 1, text });
      await storage.trim('a', first - 3);
      most = Math.max(most, (await stat(path)).size);
    }
    expect(most).toBeLessThan(1024 * 1024);
    await storage.close();
    expect(await contentOf(path)).toEqual([
      {
        instance: 'a',
        session: '7.a',
        acked: 197,
        batches: [198, 199, 200].map((first) => ({ first, count: 1, text })),
        discarded: [],
        inDoubt: [],
      },
    ]);
  });

  test('does not grow with what was dropped, as in a long outage', async () => {
    const path = join(folder, 'dropped');
    const storage = fileStorage(path);
    await storage.load();
    await storage.begin('a');
    const text = `"${'x'.repeat(20_000)}"`;
    for (let first = 1; first <= 100; first += 1) {
      await storage.append('a', { first, count: 1, text });
      if (first > 3) await storage.discard('a', { first: first - 3, last: first - 3 });
    }
    expect((await stat(path)).size).toBeLessThan(512 * 1024);
    await storage.close();
    const [left] = await contentOf(path);
    expect(left?.batches.map(({ first }) => first)).toEqual([98, 99, 100]);
    expect(left?.discarded).toEqual([{ first: 1, last: 97 }]);
  });

  test('is free again when the process that had it open was killed with -9, and holds what that one had stored', async () => {
    const path = join(folder, 'killed');
    const program = `
      import { fileStorage } from ${JSON.stringify(join(REPOSITORY, 'local/client-file-storage.ts'))};
      const storage = fileStorage(${JSON.stringify(path)});
      await storage.load();
      await storage.begin('a');
      await storage.append('a', { first: 1, count: 1, text: '1' });
      console.log('stored');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const second = fileStorage(path);
    await expect(second.load()).rejects.toMatchObject({ code: 'storage_in_use' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await second.load()).toMatchObject([
      { instance: 'a', batches: [{ first: 1, count: 1, text: '1' }] },
    ]);
    await second.close();
  });
});
