import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8BytesAtMost } from '../../../src/core/utf8.ts';

const encoder = new TextEncoder();

describe('utf8BytesAtMost', () => {
  test('agrees with TextEncoder at every limit near the size, for any part of any text', () => {
    const text = fc.string({ unit: 'binary', maxLength: 30 });
    fc.assert(
      fc.property(text, text, text, fc.integer({ min: -3, max: 3 }), (before, part, after, off) => {
        const bytes = encoder.encode(part).length;
        const whole = before + part + after;
        expect(utf8BytesAtMost(whole, before.length, before.length + part.length, bytes + off)).toBe(
          off >= 0,
        );
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['a', 1],
    ['é', 2],
    ['€', 3],
    ['😀', 4],
    ['\u007f', 1],
    ['\u0080', 2],
    ['\u07ff', 2],
    ['\u0800', 3],
    ['\uffff', 3],
  ])('counts %j as %i bytes', (character, bytes) => {
    const text = character.repeat(100);
    expect(utf8BytesAtMost(text, 0, text.length, 100 * bytes)).toBe(true);
    expect(utf8BytesAtMost(text, 0, text.length, 100 * bytes - 1)).toBe(false);
  });

  test('an empty part fits into nothing, and one character does not', () => {
    expect(utf8BytesAtMost('ab', 1, 1, 0)).toBe(true);
    expect(utf8BytesAtMost('ab', 1, 2, 0)).toBe(false);
  });
});
