import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImportInput } from '../../../local/cli/import-input.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sluice-input-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(bytes: Uint8Array): Promise<{ text: string; failure: string | undefined }> {
  const file = path.join(folder, 'input');
  await writeFile(file, bytes);
  const input = new ImportInput(file);
  try {
    await input.open();
    const pieces: Uint8Array[] = [];
    for await (const piece of input.text()) pieces.push(piece);
    return { text: Buffer.concat(pieces).toString(), failure: input.failure?.message };
  } finally {
    input.close();
  }
}

const line = (n: number): string => `{"n":${n},"text":"${'世界 '.repeat(n % 50)}"}\n`;
const LINES = Array.from({ length: 3_000 }, (_, n) => line(n)).join('');

describe('what an import reads', () => {
  test.each([
    ['lines', Buffer.from(LINES)],
    ['lines without an end', Buffer.from(LINES.trimEnd())],
    ['one byte', Buffer.from('1')],
    ['nothing', Buffer.alloc(0)],
  ])('%s, compressed or not', async (_, bytes) => {
    expect(await read(bytes)).toEqual({ text: bytes.toString(), failure: undefined });
    expect(await read(gzipSync(bytes))).toEqual({ text: bytes.toString(), failure: undefined });
    // Files that were put together.
    const twice = Buffer.concat([gzipSync(bytes), gzipSync(bytes)]);
    expect((await read(twice)).text).toBe(bytes.toString().repeat(2));
  });

  test('of compressed data that are cut off anywhere: all whole lines, and why there are no more', async () => {
    const compressed = gzipSync(LINES);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: compressed.byteLength - 1 }), async (length) => {
        const { text, failure } = await read(compressed.subarray(0, length));
        expect(failure).toBe('unexpected end of file');
        expect(LINES.startsWith(text)).toBe(true);
        expect(text === '' || text.endsWith('\n')).toBe(true);
        // The same once more: how much it is, is no matter of luck.
        expect((await read(compressed.subarray(0, length))).text).toBe(text);
      }),
      { numRuns: 40 },
    );
    // All but the check sum at the end: nothing of the text is lost.
    expect((await read(compressed.subarray(0, -8))).text).toBe(LINES);
  });

  test('of compressed data that are wrong', async () => {
    const compressed = gzipSync(LINES);
    compressed[compressed.byteLength - 6] = (compressed[compressed.byteLength - 6] as number) ^ 0xff;
    const { text, failure } = await read(compressed);
    expect([failure, text.endsWith('\n'), LINES.startsWith(text)]).toEqual([
      'incorrect data check',
      true,
      true,
    ]);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['zstd', Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0), /compressed with zstd: decompress it first/],
    ['gzip in gzip', gzipSync(gzipSync(LINES)), /compressed with gzip/],
    ['UTF-16', Buffer.from('{"a":1}\n', 'utf16le'), /text in UTF-16LE/],
    ['UTF-16 in gzip', gzipSync(Buffer.from('\ufeff{"a":1}\n', 'utf16le')), /text in UTF-16LE/],
    ['JSON over several lines', Buffer.from('{\n  "a": 1\n}\n'), /JSON over several lines/],
    ['the same behind a mark', Buffer.from('\ufeff{\n  "a": 1\n}\n'), /JSON over several lines/],
    ['an array', Buffer.from('[{"a":1},{"a":2}]'), /one JSON array/],
    ['NaN', Buffer.from('{"a":NaN}\n'), /text with NaN, which JSON does not have/],
    ['Latin-1', Buffer.from('{"a":"°"}\n', 'latin1'), /not UTF-8/],
  ])('refuses %s, and says what was seen', async (_, bytes, pattern) => {
    await expect(read(bytes)).rejects.toMatchObject({
      code: 'invalid_options',
      message: expect.stringMatching(pattern),
    });
  });

  test('takes a byte order mark, which the Worker drops', async () => {
    expect((await read(Buffer.from(`\ufeff${LINES}`))).text).toBe(`\ufeff${LINES}`);
  });

  test('says where there is no such file', async () => {
    for (const file of [path.join(folder, 'none'), folder])
      await expect(new ImportInput(file).open()).rejects.toMatchObject({
        code: 'invalid_options',
        message: expect.stringContaining('Cannot read --input'),
      });
  });
});
