import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { elementsOf, memberOf, membersOf } from '../../../src/core/json-parts.ts';
import { compactJson, hasUnevenNumber } from '../../../src/store/exact-numbers.ts';

const NUMBERS = [
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
];

const anyNumber = fc
  .tuple(fc.constantFrom('', '-'), fc.stringMatching(/^(0|[1-9]\d{0,25})(\.\d{1,25})?([eE][+-]?\d{1,3})?$/))
  .map(([sign, text]) => sign + text);

describe('hasUnevenNumber', () => {
  test.each(NUMBERS)('finds %s, wherever it stands', (number) => {
    for (const text of [
      number,
      `[${number}]`,
      `[1, ${number} ]`,
      `{"a":${number}}`,
      `{"a":${number},"b":[2]}`,
    ]) {
      expect(hasUnevenNumber(text), text).toBe(true);
      // The control: JavaScript writes it in another way.
      expect(JSON.stringify(JSON.parse(text)).replaceAll(' ', '')).not.toBe(text.replaceAll(' ', ''));
    }
  });

  test('finds every number that JavaScript writes in another way', () => {
    fc.assert(
      fc.property(fc.array(anyNumber, { minLength: 1 }), (numbers) => {
        const text = `[${numbers.join(',')}]`;
        if (JSON.stringify(JSON.parse(text)) !== text) expect(hasUnevenNumber(text)).toBe(true);
      }),
    );
  });

  test('passes over what is usual', () => {
    expect(hasUnevenNumber('{"a":[1,-2.5,123456789012345],"b":"v1.0 at 10:00:00.000Z"}')).toBe(false);
  });
});

describe('compactJson', () => {
  test('keeps numbers, and says the same in one line', () => {
    fc.assert(
      fc.property(
        fc.array(anyNumber),
        fc.json(),
        fc.constantFrom(undefined, 1, '\t'),
        (numbers, json, blanks) => {
          const compact = JSON.stringify(JSON.parse(json));
          const pretty = JSON.stringify(JSON.parse(json), undefined, blanks);
          const text = `[ ${numbers.join(' ,\r\n')} ${numbers.length === 0 ? '' : ','}{"x" : ${pretty}}\n]`;
          expect(compactJson(text)).toBe(`[${[...numbers, `{"x":${compact}}`].join(',')}]`);
        },
      ),
    );
  });

  test('writes strings as JSON.stringify does', () => {
    expect(compactJson('["\\u00e9\\/", "\\u0000\\ud83c\\udf0d", "\\"\\\\" , "a b"]')).toBe(
      '["é/","\\u0000🌍","\\"\\\\","a b"]',
    );
  });

  test('names a number that is an infinity', () => {
    const found: string[] = [];
    const long = '9'.repeat(400);
    compactJson(`{"a":[1E400,-2e999,1e300, ${long}],"1e999":"2e999"}`, (source) => found.push(source));
    expect(found).toEqual(['1E400', '-2e999', long]);
  });

  test('takes time that grows with the text, whatever is in it', () => {
    // Each of them would take minutes if strings or numbers were looked at against all of the text.
    for (const unit of ['"a",', '"\\\\",', '1e1,', ' ,'.replace(',', '1,')]) {
      const text = `[${unit.repeat(500_000)}0]`;
      expect(compactJson(text).length).toBeLessThanOrEqual(text.length);
      expect(elementsOf(text)).toHaveLength(500_001);
    }
  });
});

describe('the parts of JSON', () => {
  test('are those that JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.array(fc.json()), fc.constantFrom('', ' ', '\n\t'), (parts, blank) => {
        const list = `${blank}[${parts.map((part) => blank + part + blank).join(',')}]${blank}`;
        expect(elementsOf(list)?.map((text) => JSON.parse(text))).toEqual(JSON.parse(list));
        const object = `${blank}{${parts.map((part, n) => `${blank}"n${n}\\n"${blank}:${blank}${part}${blank}`).join(',')}}`;
        expect(membersOf(object)).toEqual(parts.map((part, n) => [`n${n}\n`, part.trim()]));
      }),
    );
    expect(elementsOf('{}')).toBeUndefined();
    expect(membersOf('[]')).toBeUndefined();
    expect(memberOf('{"a":1,"b":2,"\\u0061":[3 ]}', 'a')).toBe('[3 ]');
    expect(memberOf('{"a":1}', 'b')).toBeUndefined();
  });
});
