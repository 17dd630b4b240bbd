import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INPUT_HEAD_BYTES, unexpectedLines, unexpectedText } from '../../local/input-kind.ts';

const LINE = '{"stream":"a-1","type":"T","data":{"n":1}}\n';
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');

describe('what an input is that should be lines of JSON', () => {
  test.each([
    { name: 'gzip', head: gzipSync(LINE), seen: 'compressed with gzip', remedy: 'gunzip' },
    { name: 'zstd', head: zstdCompressSync(LINE), seen: 'compressed with zstd', remedy: 'zstd -d' },
    { name: 'UTF-16 with a mark', head: utf16(`\ufeff${LINE}`), seen: 'UTF-16LE', remedy: 'iconv' },
    { name: 'UTF-16 without', head: utf16(LINE), seen: 'UTF-16LE', remedy: 'iconv' },
    { name: 'UTF-16BE', head: utf16(`\ufeff${LINE}`).swap16(), seen: 'UTF-16BE', remedy: 'iconv' },
    {
      name: 'a byte order mark',
      head: utf8(`\ufeff${LINE}`),
      seen: 'byte order mark',
      remedy: 'without one',
    },
    { name: 'Latin-1', head: Buffer.from('{"t":"21°C"}\n', 'latin1'), seen: 'not UTF-8', remedy: 'iconv' },
    { name: 'pretty-printed', head: utf8('{\n  "a": 1\n}\n'), seen: 'several lines', remedy: 'jq -c .' },
    {
      name: 'an array',
      head: utf8('[\n  {"a":1},\n  {"a":2}\n]\n'),
      seen: 'one JSON array',
      remedy: "'.[]'",
    },
    {
      name: 'an array in a line',
      head: utf8('[{"a":1},{"a":2}]\n'),
      seen: 'one JSON array',
      remedy: "'.[]'",
    },
    { name: 'NaN', head: utf8('{"data":{"n":NaN}}\n'), seen: 'NaN, which JSON', remedy: 'null' },
    { name: 'a dict', head: utf8("{'data': {'n': 1}}\n"), seen: 'single quotes', remedy: 'json.dumps' },
    { name: 'True', head: utf8('{"data": True}\n'), seen: 'True, which JSON', remedy: 'true, false' },
    { name: 'a page', head: utf8('<!doctype html>\n<html>'), seen: 'HTML', remedy: 'lines of JSON' },
  ])('$name', ({ head, seen, remedy }) => {
    const found = unexpectedLines(head);
    expect(found?.seen).toContain(seen);
    expect(found?.remedy).toContain(remedy);
  });

  test('a value that is only in a string is none', () => {
    expect(unexpectedLines(utf8('{"a":"x: NaN, {"}\n'))).toBeUndefined();
    expect(unexpectedLines(utf8(''))).toBeUndefined();
    expect(unexpectedLines(utf8('\n\n'))).toBeUndefined();
  });

  test('lines of JSON are never taken for something else, wherever the head ends', () => {
    const lines = fc.array(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), { minLength: 1 });
    fc.assert(
      fc.property(lines, fc.nat(INPUT_HEAD_BYTES * 2), (objects, end) => {
        const all = utf8(objects.map((one) => `${JSON.stringify(one)}\n`).join(''));
        const filled = new Uint8Array([...all, ...all, ...all]);
        // A head that is shorter than the limit is the whole of its input.
        expect(unexpectedLines(all)).toBeUndefined();
        if (filled.length >= INPUT_HEAD_BYTES)
          expect(unexpectedLines(filled.subarray(0, Math.max(INPUT_HEAD_BYTES, end)))).toBeUndefined();
      }),
    );
  });

  test('a line that is longer than the head is left to be judged as a whole', () => {
    const long = utf8(`{"data":"${'°'.repeat(INPUT_HEAD_BYTES)}"}\n`);
    expect(unexpectedLines(long.subarray(0, INPUT_HEAD_BYTES))).toBeUndefined();
  });
});

describe('what a text is that should be one JSON value', () => {
  test.each([
    { text: 'NaN', seen: 'NaN' },
    { text: '-Infinity', seen: '-Infinity' },
    { text: '{"a":[1,NaN]}', seen: 'NaN' },
    { text: '{"a":None}', seen: 'None' },
    { text: '{\n"a":1\n}', seen: 'several lines' },
    { text: "{'a':1}", seen: 'single quotes' },
  ])('$text', ({ text, seen }) => {
    expect(unexpectedText(text)?.seen).toContain(seen);
  });

  test('JSON in one line is what it should be', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), (text) => {
        expect(unexpectedText(text.replaceAll(/[\r\n]/g, ''))).toBeUndefined();
      }),
    );
  });
});
