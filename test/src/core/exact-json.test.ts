import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseExact, stringifyExact } from '../../../src/core/exact-json.ts';

describe('exact JSON', () => {
  test.each([
    ['9007199254740991', 9_007_199_254_740_991],
    ['9007199254740993', 9_007_199_254_740_993n],
    ['-12345678901234567890', -12_345_678_901_234_567_890n],
    ['0.1', 0.1],
    ['0.30000000000000004', 0.30000000000000004],
    ['0.1000000000000000055511151231257827', '0.1000000000000000055511151231257827'],
    ['1.50000000000000000', 1.5],
    ['1e5', 100_000],
    ['1e400', '1e400'],
    ['1e-400', '1e-400'],
    ['-0.0', -0],
    ['"1234567890123456789"', '1234567890123456789'],
    ['{"a":[12345678901234567890,{"b":1}]}', { a: [12_345_678_901_234_567_890n, { b: 1 }] }],
  ])('%s is read as %o', (json, expected) => {
    expect(parseExact(json)).toEqual(expected);
  });

  test('a text without long numbers is parsed the fast way, and one with a long number is not', () => {
    const parse = JSON.parse;
    const revivers: unknown[] = [];
    JSON.parse = (text, reviver) => {
      revivers.push(reviver);
      return parse(text, reviver);
    };
    try {
      parseExact('{"device":"kitchen","celsius":21.5,"n":123456789012345}');
      parseExact('{"n":1234567890123456}');
    } finally {
      JSON.parse = parse;
    }
    expect(revivers[0]).toBeUndefined();
    expect(revivers[1]).toBeTypeOf('function');
  });

  test('any JSON keeps its values on the way there and back, where JSON.parse alone changes some', () => {
    const number = fc.oneof(
      fc.bigInt().map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
      fc.stringMatching(/^-?[1-9]\d{0,25}$/),
    );
    let changed = 0;
    fc.assert(
      fc.property(fc.array(number), fc.json(), (numbers, other) => {
        const json = `{"numbers":[${numbers.join(',')}],"other":${other}}`;
        const back = stringifyExact(parseExact(json));
        expect(parseExact(back)).toEqual(parseExact(json));
        for (const digits of numbers.filter((text) => /^-?\d+$/.test(text))) expect(back).toContain(digits);
        if (JSON.stringify(JSON.parse(json)) !== back) changed += 1;
      }),
    );
    expect(changed).toBeGreaterThan(0);
  });

  test('a bigint becomes its digits, a Date an ISO text, bytes base64', () => {
    const value = {
      id: 2n ** 80n,
      at: new Date(0),
      bytes: new Uint8Array([1, 2, 3]),
      more: [Buffer.from('abc')],
    };
    expect(stringifyExact(value)).toBe(
      '{"id":1208925819614629174706176,"at":"1970-01-01T00:00:00.000Z","bytes":"AQID","more":["YWJj"]}',
    );
  });

  test.each([
    ['NaN', Number.NaN],
    ['an infinity', { a: Number.POSITIVE_INFINITY }],
    ['undefined', undefined],
    ['a function', { a: () => 1 }],
    ['a symbol', Symbol('a')],
    ['a Date that is not valid', { at: new Date(Number.NaN) }],
  ])('%s is refused', (_name, value) => {
    expect(() => stringifyExact(value)).toThrow(TypeError);
  });
});
