import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closeCode } from '../../../src/core/errors.ts';
import {
  DEFAULT_FRAME_LIMITS,
  decodeFrame,
  encodeErrorFrame,
  type RefusalCode,
  refusalText,
} from '../../../src/protocol/frame.ts';

const MEBIBYTE = 1024 * 1024;

function taken(frame: string): string[] {
  return decodeFrame(frame).payloads;
}

describe('the messages of a frame', () => {
  test('one message is one payload, as it was written', () => {
    const frame = '{"b": 9007199254740993, "a": 1.0}';
    expect(decodeFrame(frame)).toEqual({
      payloads: [frame],
      plain: [true],
      text: frame,
      refusals: [],
      refusedCount: 0,
    });
  });

  test('many messages are as many payloads, in their order', () => {
    const messages = Array.from({ length: 1_000 }, (_, n) => `{"n":${n}}`);
    expect(taken(messages.join('\n'))).toEqual(messages);
  });

  test.each([
    ['1\n2\n', ['1', '2']],
    ['\n\n1\n\n\n2\n\n', ['1', '2']],
    ['1\r\n2\r\n', ['1', '2']],
    ['\r\n \t\r\n1', ['1']],
    ['1\n2', ['1', '2']],
    ['', []],
    ['\n', []],
    ['  \r', []],
  ])('%j is %j: blank lines and line ends are no messages', (frame, payloads) => {
    expect(decodeFrame(frame)).toMatchObject({ payloads, refusals: [], refusedCount: 0 });
  });

  test.each([
    ['1\n{"a":2}\n"\\n"', true],
    ['1', true],
    ['1\n', false],
    ['\n1', false],
    ['1\n\n2', false],
    ['1\r\n2', false],
    ['1\n\t2', false],
    ['1\n{', false],
    ['{', false],
    ['', false],
  ])('%j is one text below the other as it is: %s', (frame, isText) => {
    expect(decodeFrame(frame).text).toBe(isText ? frame : undefined);
  });

  test('a carriage return inside a message stays, and so do escapes', () => {
    expect(decodeFrame('{"a":\r1}\r\n"\\r\\n"')).toMatchObject({
      payloads: ['{"a":\r1}', '"\\r\\n"'],
      plain: [false, false],
    });
  });

  test('are plain where they hold no backslash and no control character', () => {
    const { plain } = decodeFrame('"a"\n"\\\\"\n[1,\t2]\n" \u007f😀"\n{"a":1}\r');
    expect(plain).toEqual([true, false, false, true, false]);
  });

  test('U+FFFD is taken where the sink stores it, and where it is escaped', () => {
    const text = '"\ufffd"';
    expect(decodeFrame(text).refusals).toEqual([{ line: 1, code: 'invalid_utf8' }]);
    expect(decodeFrame('"\\ufffd"').payloads).toEqual(['"\\ufffd"']);
    expect(decodeFrame(text, { ...DEFAULT_FRAME_LIMITS, takesReplacement: true }).payloads).toEqual([text]);
  });

  test('whatever is written comes back, whatever white space and bad lines stand between', () => {
    const line = fc.oneof(
      { weight: 3, arbitrary: fc.json({ stringUnit: 'grapheme' }).map((text) => ({ text, isGood: true })) },
      { weight: 1, arbitrary: fc.constantFrom('{', 'x', '01', '"').map((text) => ({ text, isGood: false })) },
      { weight: 1, arbitrary: fc.constantFrom('', ' ', '\t').map((text) => ({ text, isGood: undefined })) },
    );
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('\n', '\r\n', ' \n'), (lines, end) => {
        const decoded = decodeFrame(lines.map(({ text }) => text).join(end), {
          ...DEFAULT_FRAME_LIMITS,
          takesReplacement: true,
        });
        const values = (texts: readonly string[]) => texts.map((text) => JSON.parse(text));
        expect(values(decoded.payloads)).toEqual(values(lines.filter((l) => l.isGood).map((l) => l.text)));
        expect(decoded.plain).toHaveLength(decoded.payloads.length);
        if (decoded.text !== undefined) expect(decoded.text).toBe(decoded.payloads.join('\n'));
        const bad = lines.flatMap(({ isGood }, index) => (isGood === false ? [index + 1] : []));
        expect(decoded.refusedCount).toBe(bad.length);
        expect(decoded.refusals).toEqual(bad.slice(0, 10).map((at) => ({ line: at, code: 'invalid_json' })));
      }),
      { numRuns: 500 },
    );
  });
});

describe('refusals', () => {
  test.each<[string, RefusalCode]>([
    ['{"a":', 'invalid_json'],
    ['{"a":1} {"b":2}', 'invalid_json'],
    ['\ufeff1', 'invalid_json'],
    ['"\\u0000"', 'nul_character'],
    ['"\\ud800"', 'lone_surrogate'],
    ['"\ufffd"', 'invalid_utf8'],
    ['{"\ufffd":1', 'invalid_utf8'],
    ['1e131072', 'number_out_of_range'],
    ['['.repeat(513) + ']'.repeat(513), 'nesting_too_deep'],
    [`"${'x'.repeat(65_536)}"`, 'message_too_large'],
  ])('%#: a bad message is refused for what it is, and the good ones beside it are taken', (bad, code) => {
    expect(decodeFrame(`1\n\n${bad}\n2`)).toEqual({
      payloads: ['1', '2'],
      plain: [true, true],
      refusals: [{ line: 3, code }],
      refusedCount: 1,
    });
  });

  test('a binary frame is refused as a whole, and the same bytes as text are taken', () => {
    const bytes = new TextEncoder().encode('1');
    expect(decodeFrame(bytes.buffer)).toEqual({
      payloads: [],
      plain: [],
      refusals: [{ line: 0, code: 'binary_frame' }],
      refusedCount: 1,
    });
    expect(taken('1')).toEqual(['1']);
  });

  test('ten are spelled out, and all are counted', () => {
    const frame = Array.from({ length: 25 }, (_, n) => (n % 2 === 0 ? 'bad' : String(n))).join('\n');
    const { payloads, refusals, refusedCount } = decodeFrame(frame);
    expect(refusedCount).toBe(13);
    expect(refusals.map(({ line }) => line)).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    expect(payloads).toHaveLength(12);
    expect(decodeFrame(Array(10).fill('bad').join('\n')).refusals).toHaveLength(10);
  });
});

describe('limits', () => {
  const limits = { maxMessageBytes: 10, maxFrameBytes: 30 };

  test.each([
    ['"12345678"', '"123456789"'],
    ['"éééé"', '"ééééé"'],
    ['"😀😀"', '"😀😀a"'],
    ['1.00000000', '1.000000000'],
  ])('a message of just maxMessageBytes is taken, and one byte more is refused (%j)', (fits, tooLarge) => {
    expect(new TextEncoder().encode(fits)).toHaveLength(10);
    expect(decodeFrame(`${fits}\n${tooLarge}`, limits)).toMatchObject({
      payloads: [fits],
      refusals: [{ line: 2, code: 'message_too_large' }],
    });
  });

  test('a frame of just maxFrameBytes is taken, and one byte more is refused as a whole', () => {
    const frame = '"1234567"\n"éé"\n"1234567"\n1234';
    expect(new TextEncoder().encode(frame)).toHaveLength(30 + 1);
    expect(decodeFrame(frame.slice(0, -1), limits).payloads).toHaveLength(4);
    expect(decodeFrame(frame, limits)).toMatchObject({
      payloads: [],
      refusals: [{ line: 0, code: 'frame_too_large' }],
      refusedCount: 1,
    });
  });

  test('are 64 KiB and 1 MiB unless a sink says otherwise', () => {
    expect(DEFAULT_FRAME_LIMITS).toEqual({ maxMessageBytes: 65_536, maxFrameBytes: MEBIBYTE });
    const line = `"${'x'.repeat(1021)}"`;
    const full = Array(1024).fill(line).join('\n');
    expect(full).toHaveLength(MEBIBYTE - 1);
    expect(taken(full)).toHaveLength(1024);
    expect(taken(`${full}\n`)).toHaveLength(1024);
    expect(taken(`${full}\n\n`)).toEqual([]);
  });
});

describe('the error frame', () => {
  const codes: RefusalCode[] = [
    'binary_frame',
    'frame_too_large',
    'message_too_large',
    'invalid_json',
    'nul_character',
    'lone_surrogate',
    'number_out_of_range',
    'nesting_too_deep',
    'buffer_full',
  ];

  test.each(codes)('says of %s what was wrong, and has a close code for it', (code) => {
    const frame = JSON.parse(encodeErrorFrame([{ line: 3, code }], 17));
    expect(frame).toEqual({
      t: 'error',
      refused: 17,
      errors: [{ line: 3, code, message: refusalText(code) }],
    });
    expect(refusalText(code).length).toBeGreaterThan(20);
    expect(closeCode(code)).toBeGreaterThanOrEqual(1000);
  });

  test('names the limits that hold', () => {
    const limits = { maxMessageBytes: 123, maxFrameBytes: 4567 };
    const [message, whole] = (['message_too_large', 'frame_too_large'] as const).map((code) =>
      encodeErrorFrame([{ line: 1, code }], 1, limits),
    );
    expect([message, whole]).toEqual([
      expect.stringContaining('123 bytes'),
      expect.stringContaining('4567 bytes'),
    ]);
  });
});
