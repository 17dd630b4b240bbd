import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../../local/repository.ts';
import { isSluiceError } from '../../../src/core/errors.ts';
import {
  type DatabaseAddress,
  describeAddress,
  formatAddress,
  parseAddress,
} from '../../../src/database/address.ts';

const page = readFileSync(join(REPOSITORY, 'docs/database-addresses.md'), 'utf8');

/** The cells of the table below a heading, without the marks of code. */
function rowsBelow(heading: string): [string, string][] {
  const section = page.slice(page.indexOf(`## ${heading}`));
  const end = section.indexOf('\n## ', 1);
  return section
    .slice(0, end === -1 ? undefined : end)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [left = '', right = ''] = line.slice(2, -2).split(' | ');
      return [left.slice(1, -1), right.replace(/^`(.*)`$/, '$1')];
    });
}

function refusalOf(text: string): string {
  try {
    parseAddress(text);
  } catch (error) {
    expect(isSluiceError(error) && error.code).toBe('invalid_options');
    return (error as Error).message;
  }
  return 'accepted';
}

const accepted = rowsBelow('What is accepted');
const refused = rowsBelow('What is refused');

describe('docs/database-addresses.md', () => {
  test('has the rows that these tests are about', () => {
    expect(accepted.length).toBeGreaterThan(20);
    expect(refused.length).toBeGreaterThan(45);
  });

  test.each(accepted)('%s is read as %s', (given, canonical) => {
    expect(formatAddress(parseAddress(given))).toBe(canonical);
    expect(formatAddress(parseAddress(canonical))).toBe(canonical);
  });

  test.each(refused)('%s is refused: %s', (given, because) => {
    const message = refusalOf(given);
    expect(message).toContain(because);
    for (const secret of ['secret', 'cret', '100']) expect(message).not.toContain(secret);
  });
});

const part = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom(...'$\'"\\#%@:/?& +=;,[]{}<>|^`~!*()-._aZ0ü'),
    minLength: 1,
    maxLength: 20,
  }),
);
const text = part.filter((value) => !value.includes('\0') && value.isWellFormed());
const address: fc.Arbitrary<DatabaseAddress> = fc.record({
  user: text,
  password: fc.option(text, { nil: undefined }),
  host: fc.constantFrom('db.example.com', 'localhost', '127.0.0.1', '::1', '2001:db8::7', 'a_b'),
  port: fc.integer({ min: 1, max: 65_535 }),
  database: text.filter((name) => name !== '.' && name !== '..'),
  tls: fc.boolean(),
  options: fc.option(
    text.map((value) => `-c search_path=${value.trim()}.`),
    { nil: undefined },
  ),
  applicationName: fc.option(text, { nil: undefined }),
});

describe('an address', () => {
  test('written and read again is the same', () => {
    fc.assert(
      fc.property(address, (value) => {
        expect(parseAddress(formatAddress(value))).toEqual({ ...value });
      }),
      { numRuns: 2_000 },
    );
  });

  test('is written so that shells, files of variables and URL parsers leave it as it is', () => {
    fc.assert(
      fc.property(address, (value) => {
        const written = formatAddress(value);
        expect(written).toMatch(/^[\w.~%:/?&=@[\]-]+$/);
        const url = new URL(written);
        expect(url.href).toBe(written);
        expect(decodeURIComponent(url.username)).toBe(value.user);
        expect(decodeURIComponent(url.password)).toBe(value.password ?? '');
        expect(decodeURIComponent(url.pathname.slice(1))).toBe(value.database);
      }),
      { numRuns: 2_000 },
    );
  });

  test('is described without the password', () => {
    fc.assert(
      fc.property(address, text, (value, word) => {
        const described = describeAddress({ ...value, password: `~~${word}~~` });
        expect(described).toBe(describeAddress({ ...value, password: undefined }));
      }),
    );
  });

  test('that is no address is refused in one line, which repeats no part of a password', () => {
    const marks = fc.string({ unit: fc.constantFrom(...'$\'"\\#%@:/?&+=,[] '), maxLength: 6 });
    fc.assert(
      fc.property(marks, marks, marks, (one, two, three) => {
        const given = `postgres://me:${one}TOPSECRET${two}TOPSECRET${three}@db.example.com/app`;
        let message: string;
        try {
          const value = parseAddress(given);
          message = describeAddress(value);
          expect(value).toMatchObject({ user: 'me', host: 'db.example.com', database: 'app' });
          expect(value.password).toMatch(/TOPSECRET.*TOPSECRET/);
        } catch (error) {
          if (!isSluiceError(error)) throw error;
          message = error.message;
        }
        expect(message).not.toContain('TOPSECRET');
        expect(message).not.toContain('\n');
      }),
      { numRuns: 5_000 },
    );
  });

  test.each(['\n', '\t', '\u0007', '\u0085'])('with the control character %j in it is refused', (mark) => {
    expect(refusalOf(`postgres://me:a${mark}b@db.example.com/app`)).toContain('control character');
    expect(refusalOf('\r\n\tpostgres://me:ab@db.example.com/app\n')).toBe('accepted');
  });
});
