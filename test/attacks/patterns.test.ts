/**
 * Attacked: regular expressions that see what comes from outside. One that tries the same characters again and again takes minutes for a
 * few kilobytes. So every expression of the code is of a form that cannot (`isLinear`), or stands in a list with the reason why it sees
 * little or nothing of clients.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REPOSITORY } from '../../local/repository.ts';
import { parseExact } from '../../src/core/exact-json.ts';
import { shapeOf } from '../../src/database/fault-kind.ts';
import { canonicalJson } from '../../src/messages/repeated-import.ts';
import { integerText, isBooleanText } from '../../src/sinks/value-checks.ts';

/** The rooms that run in a Worker. */
const ROOMS = ['src', 'workers', 'lab/workers'];

/** Expressions of another form, by their source, and why they harm nobody. */
const LOOKED_AT: Readonly<Record<string, string>> = {
  '^(?:0{0,4}:){2,5}ffff:(\\d+\\.\\d+\\.\\d+\\.\\d+)$':
    'an address, which Cloudflare sets; a dot stands between any two repetitions',
  '^(.+):sha256:([^:]+)$': 'a secret of the deployment',
  '(\\\\*)\\ufffd': 'in the client, on what its own application sends',
  '(?:^|[:,[\\s])-?(?:[\\d.]{16}|\\d[\\d.]*[eE])': 'begins where no digit is: a run of digits is read once',
  '^(-?)(\\d+)(?:\\.(\\d+))?(?:[eE]([+-]?\\d+))?$':
    'one way to read each text: a dot or an e stands between the digits',
  '^(export\\s+)?[A-Z_]+\\s*=': 'an address of a database, from the deployment',
  '^(\\w+\\s*=\\s*\\S+\\s*)+$': 'an address of a database, from the deployment',
  '^(?:\\[([^\\]]*)\\]|([^:[\\]]*))(?::([^:]*))?$': 'an address of a database, from the deployment',
  '"[^"]*"|\'[^\']*\'|«[^»]*»|„[^“]*“': '2,000 characters at most (MAX_SHAPE_LENGTH)',
  '^COPY ([^,\\n]+), \\S+ \\d+(?:, \\S+ ([^:\\n]+):)?': 'words of Postgres; one way to read each text',
  '(?<=[=\\s])\\((?:(.{61,})\\)|(.{61,})$)':
    'the first bracket with 61 characters after it fits, whatever they are',
  '"([^"]{61,})(?:"|$)': 'a quote ends at the next, and what is between is read once',
  '\\b(postgres(?:ql)?:\\/\\/)[^\\s@/]*@': 'a slash ends the repetition, and each beginning has two',
  '^(.*?)\\s*\\[\\d*\\]$': "a type's name, from the database",
  '^([a-z_0-9 ]+?)\\s*(?:\\(\\s*(\\d+)\\s*(?:,\\s*(-?\\d+)\\s*)?\\))?\\s*((?:with|without) time zone)?$':
    "a type's name, from the database",
  '(?<!\\\\)(?:\\\\\\\\)*\\\\u0000': 'begins where a run of backslashes begins, and nowhere in it',
  '^-?(\\d+)(?:\\.(\\d*))?(?:[eE]([+-]?\\d+))?$':
    'one way to read each text: a dot or an e stands between the digits',
  '^\\\\x(?:[ \\n\\t\\r]*[\\da-f]{2})*[ \\n\\t\\r]*$':
    'one way to read each text: two digits stand between the spaces',
  'e-[0_]*\\d[\\d_]{3}': 'a zero or two too many are given back, and an e ends the run',
  '^\\s*[[{]\\s*$': 'a bracket stands between the spaces',
  '^\\s*\\[\\s*"([\\w.]+)"': 'a bracket and a quote stand between the repetitions',
  '^Bearer +(\\S*)$': 'no space is in what comes after the spaces',
  '^Bearer +(\\S+)$': 'no space is in what comes after the spaces',
  '\\/\\d+$': 'the name of a shard',
  '^(\\d+(?:\\.\\d+)?)([smhd])$': 'an option or variable of the deployment',
  '^(\\d+)\\.(\\d+)\\.(\\d+)\\.(\\d+)$':
    'a host, from an option of the deployment; a dot stands between the digits',
  '^127(\\.\\d+){3}$': 'a host, from an option of the deployment',
  '\\B(?=(\\d{3})+$)': 'a number that was just written',
  '\\ufffd+$': 'a text of a few characters that was just cut',
  '\\/+$': 'an address, from a variable of the deployment',
  "^([!#$%&'*+.^_`|~\\w-]+)\\s*=\\s*(.*)$": 'a variable of the deployment',
  '(?<comment>--[^\\n]*|\\/\\*[\\s\\S]*?(?:\\*\\/|$))':
    'a statement of the deployment, from the database, of a few kilobytes',
  '(?<dollar>\\$(?<tag>[A-Za-z_]\\w*)?\\$[\\s\\S]*?(?:\\$\\k<tag>\\$|$))':
    'a statement of the deployment, from the database, of a few kilobytes',
  "(?<escaped>\\b[eE]'(?:[^'\\\\]|\\\\[\\s\\S]|'')*(?:'|\\\\?$))":
    'a statement of the deployment, from the database, of a few kilobytes',
  '(?<number>\\d[\\w.]*(?:(?<=[eE])[+-]\\d+)?|\\.\\d\\w*)':
    'a statement of the deployment, from the database, of a few kilobytes',
  '(?<quoted>"(?:[^"]|"")*(?:"|$))': 'a statement of the deployment, from the database, of a few kilobytes',
  "(?<text>(?:\\b(?:[bBxXnN]|[uU]&))?'(?:[^']|'')*(?:'|$))":
    'a statement of the deployment, from the database, of a few kilobytes',
  '(\\((?:[^()\'"]|\\([^()]*\\))*\\))(?:\\s*,\\s*\\((?:[^()\'"]|\\([^()]*\\))*\\))+(…)?':
    'a statement of the deployment, from the database, of a few kilobytes',
  '"([a-z_][a-z0-9_$]*)"': 'a name, from the deployment; a quote ends it',
  ' ?(?:\\b\\d{1,3}(?:\\.\\d{1,3}){3}\\b|\\[?[\\da-f]{0,4}(?::[\\da-f]{0,4}){3,7}\\]?)(?::\\d+)?':
    '2,000 characters at most (MAX_SENTENCE_LENGTH)',
  ' \\S+@\\S+:\\d+\\/\\S+ \\((?:tcp|neon)\\)': '2,000 characters at most (MAX_SENTENCE_LENGTH)',
  ' cannot take .*(?=: )': '2,000 characters at most (MAX_SENTENCE_LENGTH)',
};

interface Found {
  file: string;
  source: string;
}

/** The regular expressions that stand in a source text, comments aside. */
function expressionsOf(file: string, text: string): Found[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const literal =
    /(?<=[=(,:?!&|[{;]\s*|return )\/((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n*[])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])*)\/[dgimsuvy]*(?=[\s).,;:\]?])/g;
  return [...code.matchAll(literal)].map(([, source]) => ({ file, source: source as string }));
}

/**
 * Whether an expression takes time in proportion to its text, at most: it has no unbounded repetition; or one, and it is tried at one
 * place only (`^`) or nothing has to come after it; or several, none in another, of which no character ends one and begins the next,
 * as far as can be seen: what stands between them is a character that the first does not take.
 */
function isLinear(source: string): boolean {
  const bare = source.replaceAll(/\\./g, 'x').replaceAll(/\[(?:[^\]])*\]/g, 'x');
  const repetitions = [...bare.matchAll(/[*+]|\{\d+,\}/g)];
  if (repetitions.length === 0) return true;
  // A repetition of what repeats.
  if (/(?:[*+]|\{\d+,\d*\})\??\)[*+{]/.test(bare)) return false;
  if (repetitions.length === 1) {
    const end = (repetitions[0]?.index ?? 0) + (repetitions[0]?.[0].length ?? 0);
    return bare.startsWith('^') || /^[?)]*$/.test(bare.slice(end));
  }
  return false;
}

const files = ROOMS.flatMap((room) =>
  readdirSync(join(REPOSITORY, room), { recursive: true, encoding: 'utf8' })
    // A page that was built runs in a browser, where it harms its own reader.
    .filter((name) => name.endsWith('.ts') && !name.endsWith('built.ts'))
    .map((name) => join(room, name)),
);
const found = files.flatMap((file) => expressionsOf(file, readFileSync(join(REPOSITORY, file), 'utf8')));

/** How many expressions are made of parts, which are not read here. One more has to be looked at, as those were. */
const MADE_OF_PARTS = 5;

describe('the regular expressions of a Worker', () => {
  test('are written out, but for a few', () => {
    const made = files.flatMap((file) => [
      ...readFileSync(join(REPOSITORY, file), 'utf8').matchAll(/new RegExp\(/g),
    ]);
    expect(made).toHaveLength(MADE_OF_PARTS);
  });

  test('are found', () => {
    expect(found.length).toBeGreaterThan(60);
    expect(
      expressionsOf(
        'x',
        'const A = /^a+$/;\nif (/[/]b/.test(x)) return /c\\/d/g;\nconst half = 1 / 2 / 3; // /no/',
      ).map(({ source }) => source),
    ).toEqual(['^a+$', '[/]b', 'c\\/d']);
  });

  test('are of a form that is linear, or were looked at', () => {
    const others = found.filter(({ source }) => !isLinear(source) && !Object.hasOwn(LOOKED_AT, source));
    expect(others).toEqual([]);
  });

  test('the list has none that is gone, or that needs no reason', () => {
    for (const source of Object.keys(LOOKED_AT)) {
      expect(found.map((one) => one.source)).toContain(source);
      expect(isLinear(source), source).toBe(false);
    }
  });

  test.each(['(a+)+$', '^(a|a)*b*c*$', '\\s+$', 'a+b', '(x*)*', '^(\\d+)*$', '[^]]+,[^]]+'])(
    'the control: %s is not',
    (source) => {
      expect(isLinear(source)).toBe(false);
    },
  );
});

describe('what took seconds once', () => {
  const zeros = '0'.repeat(65_000);
  const blanks = ' '.repeat(65_000);

  test.each([
    ['a number with zeros in it', () => parseExact(`{"n":0.1${zeros}1}`)],
    ['a repeated import of such a number', () => canonicalJson(`{"n":1${zeros}1}`)],
    [
      'zeros that end as no number',
      () => expect(() => integerText(32n)(`${zeros}z`)).toThrow('not a whole number'),
    ],
    [
      'blanks that end as no boolean',
      () => expect(() => isBooleanText(`${blanks}x${blanks}y`)).toThrow('not a boolean'),
    ],
    ['quotes that are not closed', () => shapeOf('«'.repeat(65_000))],
  ])('%s is done with at once', (_, work) => {
    // Nothing is measured: the first took 13 seconds for 60,000 zeros, and a hang would end the test.
    work();
  });

  test('the control: what is as it should be is read as before', () => {
    expect(integerText(32n)(` +000${'0'.repeat(100)}7 `)).toContain('7');
    expect(integerText(32n)('0')).toBe('0');
    expect(integerText(32n)('000')).toBe('000');
    expect(isBooleanText(' \t\r\nTrue\v\f ')).toContain('True');
    expect(canonicalJson('{"n":1.50}')).toBe(canonicalJson('{"n":150e-2}'));
    expect(shapeOf('key «a» of 7')).toBe(shapeOf('key «b» of 8'));
  });
});
