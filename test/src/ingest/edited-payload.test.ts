import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSluiceError } from '../../../src/core/errors.ts';
import { readEditedPayload } from '../../../src/ingest/edited-payload.ts';
import { decodeFrame } from '../../../src/protocol/frame.ts';

/** The message, or the code of the refusal. */
function read(payload: string, maxMessageBytes = 100): { message: string } | { code: string } {
  try {
    return { message: readEditedPayload(payload, maxMessageBytes) };
  } catch (error) {
    if (isSluiceError(error)) return { code: error.code };
    throw error;
  }
}

test.each([
  ['{"n":9007199254740993}', '{"n":9007199254740993}'],
  ['"\\u00e9"', '"\\u00e9"'],
  [' \n{"a": 1}\r\n', '{"a": 1}'],
  ['1', '1'],
])('takes %j as %j', (payload, message) => {
  expect(read(payload)).toEqual({ message });
});

test.each([
  ['', 'invalid_json'],
  [' \n', 'invalid_json'],
  ['{"a":1', 'invalid_json'],
  ['1\n2', 'invalid_json'],
  ['{\n"a": 1}', 'invalid_json'],
  ['"\\u0000"', 'nul_character'],
  ['"\\ud800"', 'lone_surrogate'],
  ['1e400000', 'number_out_of_range'],
  ['['.repeat(513), 'message_too_large'],
  [`"${'é'.repeat(50)}"`, 'message_too_large'],
])('refuses %j as %s', (payload, code) => {
  expect(read(payload)).toEqual({ code });
});

test('the bound is that of the sink, and the depth that of the wire', () => {
  expect(read('['.repeat(513), 1_000)).toEqual({ code: 'nesting_too_deep' });
  expect(read('"abc"', 4)).toEqual({ code: 'message_too_large' });
  expect(read('"abc"', 5)).toEqual({ message: '"abc"' });
});

test('says what is wrong with several lines, and does not repeat the payload', () => {
  expect(() => readEditedPayload('{\n"topsecret": 1}', 100)).toThrow(/several lines/);
  expect(() => readEditedPayload('{\n"topsecret": 1}', 100)).not.toThrow(/topsecret/);
});

describe('against a frame of the wire', () => {
  test('a text without white space around it is taken if the frame of it is one message', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '"a"',
      ':',
      '1',
      ',',
      '[',
      ']',
      '\n',
      '"\\u0000"',
      '"\\ud800"',
      ' ',
      'x',
    );
    const text = fc.oneof(
      fc.json(),
      fc.string(),
      fc.array(fragment, { maxLength: 6 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (given) => {
        const trimmed = given.trim();
        const { payloads, refusedCount } = decodeFrame(trimmed);
        const isOne = payloads.length === 1 && refusedCount === 0 && !trimmed.includes('\n');
        const found = read(given, 64 * 1024);
        expect(found).toEqual(isOne ? { message: payloads[0] } : { code: expect.any(String) });
      }),
      { numRuns: 2_000 },
    );
  });
});
