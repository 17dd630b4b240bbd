import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  MAX_NESTING_DEPTH,
  MAX_NUMERIC_FRACTION_DIGITS,
  MAX_NUMERIC_INTEGER_DIGITS,
} from '../../../src/core/limits.ts';
import type { Connection } from '../../../src/database/connection.ts';
import {
  checkJson,
  JSON_ESCAPED,
  JSON_INVALID,
  JSON_LONE_SURROGATE,
  JSON_NUL,
  JSON_NUMBER_OUT_OF_RANGE,
  JSON_PLAIN,
  JSON_TOO_DEEP,
} from '../../../src/protocol/check-json.ts';
import { rowsOf, testDatabase } from '../../support/connect.ts';

const NAMES: Record<number, string> = {
  [JSON_PLAIN]: 'plain',
  [JSON_ESCAPED]: 'escaped',
  [JSON_INVALID]: 'invalid',
  [JSON_NUL]: 'NUL',
  [JSON_LONE_SURROGATE]: 'lone surrogate',
  [JSON_NUMBER_OUT_OF_RANGE]: 'number out of range',
  [JSON_TOO_DEEP]: 'too deep',
};

function verdict(text: string, start?: number, end?: number): string {
  return NAMES[checkJson(text, start, end)] as string;
}

function isTaken(text: string): boolean {
  return ['plain', 'escaped'].includes(verdict(text));
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const NUMBER = /-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?/g;

/** What a text that JSON.parse takes is to be refused for; written to be obvious, not fast. */
function faults(text: string): Set<string> {
  const found = new Set<string>();
  const strings = text.match(/"(?:[^"\\]|\\.)*"/gs) ?? [];
  for (const string of strings) {
    const value: string = JSON.parse(string);
    if (value.includes('\0')) found.add('NUL');
    // A pair of which only one half is escaped is a pair to JSON.parse, and none once the text is UTF-8.
    if (!value.isWellFormed() || !string.isWellFormed()) found.add('lone surrogate');
  }
  const rest = text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, '""');
  for (const [, integer = '', fraction = '', exponent = '0'] of rest.matchAll(NUMBER)) {
    const power = Number(exponent);
    if (integer.length + power > MAX_NUMERIC_INTEGER_DIGITS) found.add('number out of range');
    if (fraction.length - power > MAX_NUMERIC_FRACTION_DIGITS) found.add('number out of range');
  }
  let depth = 0;
  for (const character of rest) {
    if (character === '[' || character === '{') depth += 1;
    if (character === ']' || character === '}') depth -= 1;
    if (depth > MAX_NESTING_DEPTH) found.add('too deep');
  }
  return found;
}

function expectRightVerdict(text: string): void {
  const found = verdict(text);
  if (!parses(text)) {
    expect(isTaken(text)).toBe(false);
    return;
  }
  const expected = faults(text);
  if (expected.size > 0) expect([...expected]).toContain(found);
  else expect(found).toBe(/[\\\t\n\r]/.test(text) ? 'escaped' : 'plain');
}

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });

const hex = (unit: number): fc.Arbitrary<string> =>
  fc.constantFrom(
    `\\u${unit.toString(16).padStart(4, '0')}`,
    `\\u${unit.toString(16).padStart(4, '0').toUpperCase()}`,
  );

/** Characters of a string, as they are written in JSON. `fault`: also those that Postgres does not take. */
function characters(fault: boolean): fc.Arbitrary<string> {
  const good: fc.WeightedArbitrary<string>[] = [
    {
      weight: 12,
      arbitrary: fc
        .integer({ min: 0x20, max: 0x7e })
        .map((unit) => String.fromCharCode(unit))
        .filter((character) => !'"\\'.includes(character)),
    },
    {
      weight: 4,
      arbitrary: fc
        .string({ unit: 'binary', minLength: 1, maxLength: 1 })
        .filter((character) => character >= ' ' && !'"\\'.includes(character)),
    },
    {
      weight: 3,
      arbitrary: fc.constantFrom('\\n', '\\t', '\\r', '\\b', '\\f', '\\/', '\\"', '\\\\', '\\\\u0000'),
    },
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 0xd7ff }).chain(hex) },
    { weight: 2, arbitrary: fc.constantFrom('\\ud83d\\ude00', '\\uD800\\uDC00', '\\udbff\\udfff', '😀') },
  ];
  const bad: fc.WeightedArbitrary<string>[] = [
    { weight: 1, arbitrary: fc.constantFrom('\\u0000', '\0', '\u0001', '\\x', '\\u00g0', '\\u12', '\\') },
    { weight: 2, arbitrary: fc.integer({ min: 0xd800, max: 0xdfff }).chain(hex) },
    {
      weight: 2,
      arbitrary: fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit)),
    },
  ];
  return fc.oneof(...good, ...(fault ? bad : []));
}

const digits = (maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength });

function numbers(fault: boolean): fc.Arbitrary<string> {
  const exponent = fault
    ? fc.oneof(
        fc.integer({ min: -400, max: 400 }),
        fc.integer({ min: 131_060, max: 131_080 }),
        fc.integer({ min: -16_390, max: -16_370 }),
        fc.constantFrom(999_999, -999_999, 12_345_678_901_234, -12_345_678_901_234),
      )
    : fc.integer({ min: -400, max: 400 });
  return fc
    .tuple(
      fc.constantFrom('', '-'),
      fc.oneof(
        fc.nat().map(String),
        fc.constantFrom('0', '9007199254740993'),
        digits(30).map((text) => text.replace(/^0+(?=\d)/, '')),
      ),
      fc.option(digits(12), { nil: '' }),
      fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+', 'E+'), exponent), { nil: undefined }),
    )
    .map(([sign, integer, fraction, power]) => {
      const tail = power === undefined ? '' : `${power[1] < 0 ? power[0].slice(0, 1) : power[0]}${power[1]}`;
      return `${sign}${integer}${fraction === '' ? '' : `.${fraction}`}${tail}`;
    });
}

/** JSON texts with white space anywhere, some with faults in them. */
function texts(fault: boolean): fc.Arbitrary<string> {
  const string = fc.string({ unit: characters(fault), maxLength: 8 }).map((inner) => `"${inner}"`);
  const spaced = (value: fc.Arbitrary<string>) =>
    fc.tuple(space, value, space).map((parts) => parts.join(''));
  const { value } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
    value: spaced(
      fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom('true', 'false', 'null', '[]', '{}', '""', '[ ]', '{\n}'),
        numbers(fault),
        string,
        tie('array'),
        tie('object'),
      ),
    ),
    array: fc.array(tie('value'), { maxLength: 4 }).map((values) => `[${values.join(',')}]`),
    object: fc
      .array(fc.tuple(spaced(string), tie('value')), { maxLength: 4 })
      .map((entries) => `{${entries.map((entry) => entry.join(':')).join(',')}}`),
  }));
  return value;
}

/** A text with some places changed. */
const mutated = fc
  .tuple(
    texts(true),
    fc.array(
      fc.tuple(
        fc.nat(),
        fc.nat(3),
        fc.oneof(
          fc.constantFrom(
            '',
            '"',
            '\\',
            '{',
            '}',
            '[',
            ']',
            ',',
            ':',
            '-',
            '+',
            '.',
            'e',
            '0',
            '1',
            'true',
            '\n',
            ' ',
            '\0',
            '\ufeff',
            '\u00a0',
            '/',
          ),
          fc.string({ maxLength: 2 }),
        ),
      ),
      { minLength: 1, maxLength: 3 },
    ),
  )
  .map(([text, edits]) => {
    let edited = text;
    for (const [at, length, insert] of edits) {
      const place = at % (edited.length + 1);
      edited = edited.slice(0, place) + insert + edited.slice(place + length);
    }
    return edited;
  });

const garbage = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'{}[]",:-+.eE0123tfn\\ u\n') }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
);

describe('checkJson against JSON.parse', () => {
  test('takes what JSON.stringify makes', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), fc.nat(4), (json, indent) => {
        expectRightVerdict(json);
        expectRightVerdict(JSON.stringify(JSON.parse(json), null, indent));
      }),
      { numRuns: 1_000 },
    );
  });

  test('takes every text without faults, written in whatever way', () => {
    fc.assert(
      fc.property(texts(false), (text) => {
        expect(parses(text)).toBe(true);
        expect(isTaken(text)).toBe(true);
        expectRightVerdict(text);
      }),
      { numRuns: 3_000 },
    );
  });

  test.each([
    ['texts with faults', texts(true)],
    ['texts with changed places', mutated],
    ['garbage', garbage],
  ])(
    'refuses of %s what JSON.parse refuses, and beyond that only what it has a reason for',
    (_, arbitrary) => {
      fc.assert(fc.property(arbitrary, expectRightVerdict), { numRuns: 5_000 });
    },
  );

  test('says the same of a part of a text as of the part alone', () => {
    fc.assert(
      fc.property(
        fc.oneof(texts(true), mutated, garbage),
        fc.string(),
        fc.string(),
        (text, before, after) => {
          expect(verdict(before + text + after, before.length, before.length + text.length)).toBe(
            verdict(text),
          );
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test.each(['true', 'false', 'null', '"ab"', '"\\u0041"', '"\\n"', '[1]', '{"a":1}', '"😀"'])(
    'does not read %j beyond the end that it is given',
    (text) => {
      for (let end = 0; end < text.length; end += 1) expect(verdict(text, 0, end)).toBe('invalid');
      expect(isTaken(text)).toBe(true);
      expect(verdict(`x${text}`, 1)).toBe(verdict(text));
    },
  );

  test('a number that is cut is what is left of it', () => {
    const whole = '-12.5e+3';
    expect(Array.from(whole, (_, index) => verdict(whole, 0, index + 1))).toEqual([
      'invalid',
      'plain',
      'plain',
      'invalid',
      'plain',
      'invalid',
      'invalid',
      'plain',
    ]);
  });
});

describe('the reasons beyond JSON.parse', () => {
  test.each([
    ['"\\u0000"', 'NUL'],
    ['"\\\\u0000"', 'escaped'],
    ['"\\\\\\u0000"', 'NUL'],
    ['{"\\u0000":1}', 'NUL'],
    ['"\\u0001"', 'escaped'],
    ['"a\0"', 'NUL'],
    ['\0', 'NUL'],
    ['1\0', 'NUL'],
    ['"0"', 'plain'],
    ['"\u0001"', 'invalid'],
  ])('%j is %s', (text, expected) => {
    expect(verdict(text)).toBe(expected);
  });

  test.each([
    ['"\\ud83d\\ude00"', 'escaped'],
    ['"😀"', 'plain'],
    ['"\\ud83d"', 'lone surrogate'],
    ['"\\ude00"', 'lone surrogate'],
    ['"\\ude00\\ud83d"', 'lone surrogate'],
    ['"\\ud83d\\ud83d\\ude00"', 'lone surrogate'],
    ['"\\ud83dx\\ude00"', 'lone surrogate'],
    ['"\\ud83d\\n"', 'lone surrogate'],
    ['"\ud83d"', 'lone surrogate'],
    ['"\ude00"', 'lone surrogate'],
    ['"\ud83d\\ude00"', 'lone surrogate'],
    ['"\\ud83d\ude00"', 'lone surrogate'],
    ['{"\\udbff\\udfff":"\\ud800"}', 'lone surrogate'],
    ['"\\ud7ff\\ue000"', 'escaped'],
  ])('%j is %s', (text, expected) => {
    expect(verdict(text)).toBe(expected);
  });

  test.each([
    ['arrays', '[', ']', ''],
    ['objects', '{"a":', '}', '1'],
  ])('%s may be nested 512 deep, and not 513', (_, open, close, inner) => {
    const nested = (depth: number) => open.repeat(depth) + inner + close.repeat(depth);
    expect(verdict(nested(512))).toBe('plain');
    expect(verdict(nested(513))).toBe('too deep');
    expect(verdict(nested(100_000))).toBe('too deep');
    expect(verdict(`[${Array(600).fill(nested(500)).join(',')}]`)).toBe('plain');
  });

  test.each([
    ['1e131071', '1e131072'],
    ['9.999e131071', '10e131071'],
    ['-1E+131071', '-1E+131072'],
    [`${'9'.repeat(131_072)}`, `${'9'.repeat(131_073)}`],
    ['1e-16383', '1e-16384'],
    ['0.1e-16382', '0.1e-16383'],
    [`0.${'1'.repeat(16_383)}`, `0.${'1'.repeat(16_384)}`],
    [`1.${'1'.repeat(20_000)}e4000`, `1.${'1'.repeat(20_000)}e3000`],
    ['1e000000000000000000001', '1e100000000000000000001'],
    ['1e-000000000000000000001', '1e-100000000000000000001'],
  ])('a number at the limit is plain, and one beyond it out of range (%#)', (at, beyond) => {
    expect([verdict(at), verdict(beyond)]).toEqual(['plain', 'number out of range']);
    expect(verdict(`{"a":[${at}]}`)).toBe('plain');
    expect(verdict(`{"a":[${beyond}]}`)).toBe('number out of range');
  });

  test.each([
    '01',
    '-',
    '-01',
    '+1',
    '.5',
    '1.',
    '1.e5',
    '1e',
    '1e+',
    '0x10',
    '1_000',
    'NaN',
    'Infinity',
    '1e5.5',
  ])('%j is not a number', (text) => {
    expect(verdict(text)).toBe('invalid');
  });
});

describe('checkJson against Postgres', () => {
  const database = testDatabase('tcp');
  let connection: Connection;
  beforeAll(async () => {
    connection = await database.open();
  });

  /** Those of the texts that Postgres does not take as jsonb. */
  async function refusedByPostgres(candidates: readonly string[]): Promise<string[]> {
    const rows = await rowsOf<{ text: string }>(
      connection,
      sql`select text from unnest(${sql.param(candidates)}::text[]) as given (text) where not pg_input_is_valid(text, 'jsonb')`,
    );
    return rows.map(({ text }) => text);
  }

  const seed = Date.now();
  const samples = () => [
    ...fc.sample(texts(false), { numRuns: 1_500, seed }),
    ...fc.sample(texts(true), { numRuns: 3_000, seed }),
    ...fc.sample(mutated, { numRuns: 3_000, seed }),
    ...fc.sample(fc.json({ stringUnit: 'binary' }), { numRuns: 1_000, seed }),
  ];

  test(`takes nothing that Postgres refuses (seed ${seed})`, async () => {
    const taken = samples().filter(isTaken);
    expect(taken.length).toBeGreaterThan(3_000);
    expect(await refusedByPostgres(taken)).toEqual([]);
    const [row] = await rowsOf(
      connection,
      sql`select count(text::jsonb)::int as count from unnest(${sql.param(taken)}::text[]) as given (text)`,
    );
    expect(row).toEqual({ count: taken.length });
  });

  test(`refuses nothing for its characters or numbers that Postgres would take (seed ${seed})`, async () => {
    // What comes over a WebSocket is well-formed; and a raw NUL cannot even be asked about.
    const candidates = samples().filter(
      (text) =>
        text.isWellFormed() &&
        !text.includes('\0') &&
        (['NUL', 'lone surrogate'].includes(verdict(text)) ||
          // Stricter than Postgres for numbers that begin with a zero, such as 0e999999: the file says so.
          (verdict(text) === 'number out of range' && !/(?<![\d.])0/.test(text))),
    );
    expect(candidates.length).toBeGreaterThan(300);
    expect((await refusedByPostgres(candidates)).toSorted()).toEqual(candidates.toSorted());
  });

  test('agrees with Postgres about the largest numbers', async () => {
    const at = ['1e131071', '9.9e131071', '1e-16383', `0.${'1'.repeat(16_383)}`, '9'.repeat(131_072)];
    const beyond = ['1e131072', '10e131071', '1e-16384', `0.${'1'.repeat(16_384)}`, '9'.repeat(131_073)];
    expect(at.map((text) => verdict(text))).toEqual(at.map(() => 'plain'));
    expect(beyond.map((text) => verdict(text))).toEqual(beyond.map(() => 'number out of range'));
    expect(await refusedByPostgres([...at, ...beyond])).toEqual(beyond);
  });

  test('takes the deepest nesting that it allows, and is stricter than Postgres beyond that', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(await refusedByPostgres([nested(512), nested(513)])).toEqual([]);
    expect(verdict(nested(513))).toBe('too deep');
    await expect(rowsOf(connection, sql`select ${nested(100_000)}::jsonb`)).rejects.toThrow();
  });

  test('takes 0e131072 for out of range although Postgres would take it', async () => {
    expect(verdict('0e131072')).toBe('number out of range');
    expect(await refusedByPostgres(['0e131072', '1e131072'])).toEqual(['1e131072']);
  });
});
