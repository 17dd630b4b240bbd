import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withExactNumbers } from '../../../src/store/exact-numbers.ts';

const stored = (text: string) => JSON.stringify(withExactNumbers(text, JSON.parse(text)));

describe('withExactNumbers', () => {
  test.each([
    '9007199254740993',
    '-9007199254740993',
    '12345678901234567890.10',
    '0.12345678901234567890',
    '1.50',
    '1.0',
    '0.0',
    '-0',
    '-0.0',
    '1e5',
    '1E400',
    '2.5E-3',
    '1e-400',
    '0.0000001',
    '100000000000000000000000',
  ])('keeps %s, wherever it stands', (number) => {
    const places = [number, `[${number}]`, `[1,${number}]`, `{"a":${number}}`, `{"a":${number},"b":[2]}`];
    for (const text of places) {
      expect(stored(text)).toBe(text);
      // The control: without it, the digits are others.
      expect(JSON.stringify(JSON.parse(text))).not.toBe(text);
    }
    expect(stored(`{ "a" : ${number} }`)).toBe(`{"a":${number}}`);
  });

  test('keeps any number, and leaves the rest alone', () => {
    const digits = fc.stringMatching(/^(0|[1-9]\d{0,25})(\.\d{1,25})?([eE][+-]?\d{1,3})?$/);
    const number = fc.tuple(fc.constantFrom('', '-'), digits).map(([sign, text]) => sign + text);
    fc.assert(
      fc.property(fc.array(number, { minLength: 1 }), fc.json(), (numbers, json) => {
        expect(stored(`[${numbers.join(',')}]`)).toBe(`[${numbers.join(',')}]`);
        expect(stored(json)).toBe(JSON.stringify(JSON.parse(json)));
      }),
    );
  });

  test('does not look at numbers that JavaScript writes as they were written', () => {
    const parsed = JSON.parse('{"a":[1,-2.5,123456789012345],"b":"v1.0 at 10:00:00.000Z"}');
    expect(withExactNumbers('{"a":[1,-2.5,123456789012345],"b":"v1.0 at 10:00:00.000Z"}', parsed)).toBe(
      parsed,
    );
  });

  test('names a number that is an infinity', () => {
    const found: string[] = [];
    withExactNumbers('{"a":[1E400,-2e999,1e300]}', null, (source) => found.push(source));
    expect(found).toEqual(['1E400', '-2e999']);
  });
});
