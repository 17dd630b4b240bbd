import { describe, expect, test } from 'vitest';
import { allowedText, optionTable, resolveOptions } from '../../../src/core/option-table.ts';

const TABLE = optionTable({
  count: { kind: 'integer', min: -2, max: 10, default: 3, description: 'A number' },
  color: { kind: 'choice', choices: ['red', 'blue'], default: 'red', description: 'A word' },
  sizes: { kind: 'choices', choices: ['s', 'm', 'l'], default: ['m'], description: 'Words' },
  loud: { kind: 'switch', default: false, description: 'On or off' },
  pools: { kind: 'integers', min: 1, max: 100, default: [10, 20], description: 'Numbers' },
  table: { kind: 'name', default: 'records', description: 'A name' },
});

describe('resolveOptions', () => {
  test('fills in what is not given', () => {
    expect(resolveOptions(TABLE, {})).toEqual({
      count: 3,
      color: 'red',
      sizes: ['m'],
      loud: false,
      pools: [10, 20],
      table: 'records',
    });
    expect(resolveOptions(TABLE, { count: undefined })).toMatchObject({ count: 3 });
  });

  test.each([
    [{ count: 10 }],
    [{ count: -2 }],
    [{ count: 0 }],
    [{ color: 'blue' }],
    [{ sizes: ['l', 's'] }],
    [{ loud: true }],
    [{ loud: false }],
    [{ pools: [1, 100] }],
    [{ table: '_Some_1' }],
  ])('takes %j as it is', (given) => {
    expect(resolveOptions(TABLE, given)).toMatchObject(given);
  });

  test.each<[Record<string, string>, Record<string, unknown>]>([
    [{ count: '7' }, { count: 7 }],
    [{ count: ' -2 ' }, { count: -2 }],
    [{ sizes: 's, l' }, { sizes: ['s', 'l'] }],
    [{ sizes: 's,s' }, { sizes: ['s'] }],
    [{ loud: '' }, { loud: true }],
    [{ loud: 'true' }, { loud: true }],
    [{ loud: '1' }, { loud: true }],
    [{ loud: 'false' }, { loud: false }],
    [{ loud: '0' }, { loud: false }],
    [{ pools: '5, 50,5' }, { pools: [5, 50] }],
  ])('reads the text %j as %j', (given, expected) => {
    expect(resolveOptions(TABLE, given)).toMatchObject(expected);
  });

  test.each<[string, unknown, string]>([
    ['count', 11, 'a whole number from -2 to 10'],
    ['count', -3, 'a whole number from -2 to 10'],
    ['count', 1.5, 'a whole number'],
    ['count', Number.NaN, 'a whole number'],
    ['count', '', 'a whole number'],
    ['count', '1e1', 'a whole number'],
    ['count', '0x1', 'a whole number'],
    ['count', null, 'a whole number'],
    ['count', [1], 'a whole number'],
    ['color', 'green', 'one of red, blue'],
    ['color', 'RED', 'one of red, blue'],
    ['color', ['red'], 'one of red, blue'],
    ['sizes', '', 'a comma-separated list of s, m, l'],
    ['sizes', 's,xl', 'a comma-separated list of s, m, l'],
    ['sizes', [], 'a comma-separated list of s, m, l'],
    ['loud', 'yes', 'true or false'],
    ['loud', 1, 'true or false'],
    ['pools', '', 'a comma-separated list of whole numbers from 1 to 100'],
    ['pools', '5,', 'a comma-separated list of whole numbers'],
    ['pools', '5,101', 'a comma-separated list of whole numbers'],
    ['pools', [], 'a comma-separated list of whole numbers'],
    ['pools', 5, 'a comma-separated list of whole numbers'],
    ['table', 'drop table x', 'a name of letters, digits and underscores'],
    ['table', '1a', 'a name of letters, digits and underscores'],
    ['table', 'a"b', 'a name of letters, digits and underscores'],
    ['table', '', 'a name of letters, digits and underscores'],
    ['table', 'a'.repeat(49), 'a name of letters, digits and underscores'],
  ])('refuses %s = %j and says what is allowed', (name, value, allowed) => {
    expect(() => resolveOptions(TABLE, { [name]: value }, 'sink')).toThrow(
      expect.objectContaining({
        code: 'invalid_options',
        message: expect.stringMatching(
          new RegExp(`sink\\.${name}: ${allowed}.* is allowed(, at most 48, beginning with no digit)?$`),
        ),
        details: expect.objectContaining({ option: name, allowed: expect.any(String) }),
      }),
    );
  });

  test('refuses a name that it does not know, and names those that it does', () => {
    expect(() => resolveOptions(TABLE, { colour: 'red' })).toThrow(
      'Unknown option colour: known are count, color, sizes, loud, pools, table',
    );
    expect(() => resolveOptions({}, { colour: 'red' }, 'x')).toThrow(
      'Unknown option x.colour: there are none here',
    );
    expect(() => resolveOptions(TABLE, { toString: 'red' })).toThrow('Unknown option toString');
  });
});

test('every kind of option says what it allows', () => {
  expect(Object.values(TABLE).map(allowedText)).toEqual([
    'a whole number from -2 to 10 is allowed',
    'one of red, blue is allowed',
    'a comma-separated list of s, m, l is allowed',
    'true or false is allowed',
    'a comma-separated list of whole numbers from 1 to 100 is allowed',
    'a name of letters, digits and underscores is allowed, at most 48, beginning with no digit',
  ]);
});
