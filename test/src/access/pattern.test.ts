import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesPattern } from '../../../src/access/pattern.ts';

describe('a pattern', () => {
  test.each([
    ['device-7', 'device-7'],
    ['*', 'anything'],
    ['*', ''],
    ['floor-2.*', 'floor-2.'],
    ['floor-2.*', 'floor-2.hall'],
    ['*.hall', 'floor-2.hall'],
    ['a*b*c', 'abc'],
    ['a*b*c', 'a-b-b-c'],
    ['a*bc*c', 'abcbcc'],
    ['**', 'x'],
    ['a**b', 'ab'],
  ])('%s fits %s', (pattern, name) => expect(matchesPattern(pattern, name)).toBe(true));

  test.each([
    ['device-7', 'device-70'],
    ['device-7', 'device'],
    ['floor-2.*', 'floor-20.hall'],
    // A point is a point, and not any character.
    ['floor-2.*', 'floor-2xhall'],
    ['a*a', 'a'],
    ['ab*ba', 'aba'],
    ['a*b*c', 'acb'],
    ['a*b*b', 'ab'],
    ['', 'x'],
  ])('%s does not fit %s', (pattern, name) => expect(matchesPattern(pattern, name)).toBe(false));

  test('fits what a regular expression of it fits, for any pattern and name', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 12 });
    const parts = fc.array(text, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(parts, text, (pieces, name) => {
        const expression = new RegExp(`^${pieces.map((piece) => piece.replaceAll('.', '\\.')).join('.*')}$`);
        expect(matchesPattern(pieces.join('*'), name)).toBe(expression.test(name));
      }),
      { numRuns: 2_000 },
    );
  });

  test('is looked at in as many steps as it has parts, whatever they are', () => {
    // Each `*` of a regular expression could take any number of them: 128 over 64 ways.
    const name = `${'a'.repeat(127)}b`;
    expect(matchesPattern(`${'*a'.repeat(63)}*c`, name)).toBe(false);
    expect(matchesPattern(`${'*a'.repeat(63)}*b`, name)).toBe(true);
  });
});
