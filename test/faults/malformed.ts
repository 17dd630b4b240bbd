/** What no server should take: lines that are no messages, and frames that are none of `sluice.v1`. */

import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import type { Random } from './random.ts';

/** Bytes of a message above the usual limit. */
const TOO_LARGE = 65_537;

/** Deeper than a message may be, up to where a parser that calls itself runs out of stack. */
const depths = fc.oneof(fc.integer({ min: 513, max: 600 }), fc.constant(10_000));

function isJson(text: string): boolean {
  try {
    // As it arrives: halves of surrogate pairs are no characters, and the network has others in their place.
    JSON.parse(Buffer.from(text).toString());
    return true;
  } catch {
    return false;
  }
}

const NEARLY_JSON = [
  '{a:1}',
  "{'a':1}",
  '{"a":1,}',
  '[1,]',
  '[,]',
  '{"a"}',
  '{"a":}',
  '{"a":1 "b":2}',
  '{"a":1}{"b":2}',
  '1 2',
  '01',
  '-',
  '+1',
  '.5',
  '1.',
  '1e',
  '0x10',
  '1_000',
  'NaN',
  'Infinity',
  'undefined',
  'True',
  'nul',
  '//1',
  '"\\x41"',
  '"\\u12g4"',
  '"tab\tinside"',
  '"open',
  '"\\"',
  '\u00a0',
  '\ufeff{}',
  ']',
  '}',
  '[}',
];

/** Lines that are not JSON, or JSON that Postgres would not take. */
export const badLine: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 80, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
    { weight: 40, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) },
    { weight: 40, arbitrary: fc.constantFrom(...NEARLY_JSON) },
    {
      weight: 60,
      arbitrary: fc.tuple(fc.json(), fc.nat()).map(([json, cut]) => json.slice(0, cut % (json.length + 1))),
    },
    {
      weight: 40,
      arbitrary: fc.constantFrom('"\\u0000"', '{"\\u0000":1}', '["a\\u0000b"]', '"\0"', '{"a":"\0"}', '\0'),
    },
    {
      weight: 40,
      arbitrary: fc.constantFrom(
        '"\\ud800"',
        '"\\udc00"',
        '"\\udc00\\ud800"',
        '"\\ud83dx\\ude42"',
        '{"\\udfff":0}',
        '"\\ud83d🙂"',
      ),
    },
    { weight: 20, arbitrary: fc.constantFrom('1e131072', '-1e400000', '[1e-16384]', '1e9999999999') },
    {
      weight: 20,
      arbitrary: fc
        .tuple(depths, fc.constantFrom('[', '{"a":'), fc.boolean())
        .map(([depth, open, isClosed]) =>
          isClosed ? `${open.repeat(depth)}1${(open === '[' ? ']' : '}').repeat(depth)}` : open.repeat(depth),
        ),
    },
    { weight: 2, arbitrary: fc.constant(`"${'x'.repeat(TOO_LARGE)}"`) },
    // Newlines part the lines. Lines of white space are skipped by the raw mode, and `ping` is answered.
  )
  .filter(
    (line) =>
      !line.includes('\n') &&
      !/^[ \t\r]*$/.test(line) &&
      line !== 'ping' &&
      (!isJson(line) || isRefusedJson(line)),
  );

// JSON that is refused all the same, as it is made above.
function isRefusedJson(line: string): boolean {
  const isDeep = /^(?:\[|\{"a":){513}/.test(line);
  return isDeep || line.length > TOO_LARGE || /\\u0000|\\ud[89a-f]|^\[?-?1e-?\d{5,}\]?$/i.test(line);
}

/** A frame of `sluice.v1` that cannot be taken, and the one answer that it gets. */
export interface BadFrame {
  frame: string | Uint8Array;
  answer: 'invalid_frame' | 'unknown_type' | 'invalid_utf8' | 'frame_too_large' | 'gap';
}

const notWhole = fc.constantFrom<unknown>(
  0,
  -1,
  1.5,
  '1',
  '',
  null,
  true,
  false,
  [],
  [1],
  {},
  2 ** 53,
  1e300,
  -(2 ** 53),
);

const KNOWN_TYPES: ReadonlySet<unknown> = new Set(['hello', 'batch', 'ping', 'pong', 'flush', 'bye']);

/** What would be a message, were the frame around it one: if it is ever stored, nobody has sent it. */
const STRAY = '{"stray":true}';

function withLines(header: unknown, lines: number): string {
  return [JSON.stringify(header), ...Array.from({ length: lines }, () => STRAY)].join('\n');
}

function firstLineIsObject(text: string): boolean {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text).toString().split('\n')[0] as string);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
  } catch {
    return false;
  }
}

function firstLineIsUtf8(frame: Uint8Array): boolean {
  const newline = frame.indexOf(10);
  return isUtf8(newline === -1 ? frame : frame.subarray(0, newline));
}

/** @param next the sequence that the server expects */
export function badFrame(next: number): fc.Arbitrary<BadFrame> {
  const invalid = (frame: string): BadFrame => ({ frame, answer: 'invalid_frame' });
  const noHeader = (text: string): boolean => text !== 'ping' && !firstLineIsObject(text);
  const counts = fc.integer({ min: 1, max: 6 });
  return fc.oneof(
    { weight: 60, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }).filter(noHeader).map(invalid) },
    { weight: 40, arbitrary: fc.json().filter(noHeader).map(invalid) },
    // A header that is cut off.
    {
      weight: 40,
      arbitrary: fc
        .nat({ max: 20 })
        .map((length) => invalid(`{"t":"batch","seq":${next}`.slice(0, length)))
        .filter(({ frame }) => frame !== ''),
    },
    // Objects of other types, and of none.
    {
      weight: 60,
      arbitrary: fc
        .dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 })
        .filter(({ t }) => !KNOWN_TYPES.has(t))
        .map((header) => ({ frame: withLines(header, 0), answer: 'unknown_type' as const })),
    },
    {
      weight: 40,
      arbitrary: fc
        .constantFrom<unknown>('__proto__', 'constructor', 'toString', 'Batch', 'hello ', '', 1, null, {}, [
          'batch',
        ])
        .map((t) => ({ frame: withLines({ t, seq: next, n: 1 }, 1), answer: 'unknown_type' as const })),
    },
    // Batches whose numbers are none.
    {
      weight: 40,
      arbitrary: fc.tuple(notWhole, counts).map(([seq, n]) => invalid(withLines({ t: 'batch', seq, n }, n))),
    },
    {
      weight: 40,
      arbitrary: fc
        .tuple(fc.oneof(notWhole, fc.integer({ min: 10_001 })), counts)
        .map(([n, lines]) => invalid(withLines({ t: 'batch', seq: next, n }, lines))),
    },
    {
      weight: 20,
      arbitrary: counts.map((lines) =>
        invalid(withLines({ t: 'batch', seq: 2 ** 53 - 1, n: lines + 1 }, lines + 1)),
      ),
    },
    // Batches that say another number of lines than they have.
    {
      weight: 60,
      arbitrary: fc
        .tuple(counts, fc.nat({ max: 7 }))
        .filter(([n, lines]) => n !== lines)
        .map(([n, lines]) => invalid(withLines({ t: 'batch', seq: next, n }, lines))),
    },
    {
      weight: 40,
      arbitrary: fc.tuple(fc.integer({ min: next + 1, max: 2 ** 53 - 10 }), counts).map(([seq, n]) => ({
        frame: withLines({ t: 'batch', seq, n }, n),
        answer: 'gap' as const,
      })),
    },
    // Known frames at the wrong moment, or with the wrong fields.
    {
      weight: 20,
      arbitrary: fc
        .constantFrom('{"t":"hello"}', '{"t":"hello","ack":"all"}', '{"t":"pong"}', '{"t":"pong","id":"1"}')
        .map(invalid),
    },
    {
      weight: 40,
      arbitrary: fc
        .uint8Array({ maxLength: 80 })
        .filter((frame) => !firstLineIsObject(Buffer.from(frame).toString()))
        .map(
          (frame) => ({ frame, answer: firstLineIsUtf8(frame) ? 'invalid_frame' : 'invalid_utf8' }) as const,
        ),
    },
    {
      weight: 1,
      arbitrary: fc.constant({
        frame: withLines({ t: 'batch', seq: next, n: 1 }, 1).padEnd(2 ** 20 + 1),
        answer: 'frame_too_large' as const,
      }),
    },
  );
}

/** The same `count` of them for the same state of chance. */
export function sample<Value>(arbitrary: fc.Arbitrary<Value>, count: number, random: Random): Value[] {
  return fc.sample(arbitrary, { numRuns: count, seed: random.integer(0, 2 ** 31 - 1) });
}

/** Members of a message that look like trouble, and are JSON that Postgres takes. */
export const STRANGE_MEMBERS: readonly string[] = [
  '"__proto__":{"polluted":true}',
  '"constructor":{"prototype":{"polluted":true}}',
  '"toString":null,"hasOwnProperty":1',
  '"big":9007199254740993,"bigger":-123456789012345678901234567890.123456789',
  '"exponent":1e131071,"small":1e-16383',
  '"zero":-0,"and":0.10,"or":1E+2',
  '"twice":1,"twice":2',
  '"":"","\\u0061":1',
  '"no nul":"\\\\u0000","no half":"\\\\ud800"',
  '"pair":"\\ud83d\\ude42","character":"🙂"',
  '"escapes":"\\b\\f\\n\\r\\t\\/\\"\\\\"',
  '"t":"batch","seq":1',
  '"copy":"\\\\.","null":"\\\\N","quote":"\'\'","dollar":"$1 $$"',
  '"separators":"\u2028\u2029\u0085\u00a0\ufeff"',
  '"bidi":"\u202e\u2066","joiner":"\u200d","private":"\ue000\uffff"',
  `"deep":${'['.repeat(511)}${']'.repeat(511)}`,
  `"long":"${'é'.repeat(30_000)}"`,
];
