/**
 * What a text has to be for a type of Postgres. Each check gives the text that Postgres reads, or throws where Postgres would
 * refuse it for certain: spellings that only some versions know, such as 1_000 or 0x1f, are left to Postgres.
 */

import { ValueFault } from './value-fault.ts';

type Check = (text: string) => string;

/** Blanks as C's isspace knows them. */
const BLANK = '[ \\t\\n\\v\\f\\r]';

// One way to read each run of digits: with `0*(\d+)`, 60,000 zeros and a letter took longer than a shard may take.
const WHOLE = new RegExp(`^${BLANK}*([+-]?)0*(0|[1-9]\\d*)${BLANK}*$`);
const MAYBE_WHOLE = new RegExp(`^${BLANK}*[+-]?\\d[\\da-fxo_]*${BLANK}*$`, 'i');

/** Whole numbers of so many bits. */
export function integerText(bits: bigint): Check {
  const limit = 1n << (bits - 1n);
  // So many digits are within the limit whatever they are.
  const safeDigits = String(limit).length - 1;
  return (text) => {
    if (isShortNumber(text, safeDigits)) return text;
    const whole = WHOLE.exec(text);
    if (whole === null) {
      if (MAYBE_WHOLE.test(text)) return text;
      throw new ValueFault('it is not a whole number');
    }
    const [, sign, digits = ''] = whole;
    if (digits.length <= safeDigits) return text;
    const value = digits.length > safeDigits + 1 ? undefined : BigInt(digits);
    if (value === undefined || value > limit || (value === limit && sign !== '-'))
      throw new ValueFault(`it is not from ${-limit} to ${limit - 1n}`);
    return text;
  };
}

// The usual case, without a pattern: an optional minus and a few digits.
function isShortNumber(text: string, maxDigits: number): boolean {
  let at = text.charCodeAt(0) === 0x2d ? 1 : 0;
  if (at === text.length || text.length - at > maxDigits) return false;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

/** What the text of a number may begin with: a sign, a point, a digit, NaN or an infinity. */
const MAYBE_NUMBER = new RegExp(`^${BLANK}*[-+.\\dni]`, 'i');

function maybeNumber(text: string): string {
  if (MAYBE_NUMBER.test(text)) return text;
  throw new ValueFault('it is not a number');
}

/**
 * Floating-point numbers.
 *
 * @param smallest what is nearer to zero than this, and not zero, is surely none
 * @param largest what is further from zero than this is surely none
 */
export function floatText(smallest: number, largest: number): { string: Check; number: Check } {
  return {
    string: maybeNumber,
    number(digits) {
      const value = Math.abs(Number(digits));
      if (
        value > largest ||
        (value < smallest && value > 0) ||
        (value === 0 && /^-?[\d.]*[1-9]/.test(digits))
      )
        throw new ValueFault('it is out of range');
      return digits;
    },
  };
}

/** Numbers with at most so many digits, of which `scale` stand after the point. */
export function numericText(precision: number | undefined, scale: number): { string: Check; number: Check } {
  if (precision === undefined) return { string: maybeNumber, number: (digits) => digits };
  const maxWhole = Math.max(0, precision - scale);
  return {
    string: maybeNumber,
    number(digits) {
      // Rounding may still make it too large, which Postgres sees.
      if (digits.length > maxWhole && wholeDigits(digits) > maxWhole)
        throw new ValueFault(
          `it has more than ${maxWhole} ${maxWhole === 1 ? 'digit' : 'digits'} before the point`,
        );
      return digits;
    },
  };
}

/** How many digits a JSON number has before its point once it is written without an exponent; below 1 where it has none. */
function wholeDigits(digits: string): number {
  const found = /^-?(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(digits);
  if (found === null) return 0;
  const [, whole = '', fraction = '', exponent = '0'] = found;
  const first = /[1-9]/.exec(whole + fraction)?.index;
  return first === undefined ? 0 : whole.length - first + Number(exponent);
}

const BOOLEANS = new Set([
  't',
  'tr',
  'tru',
  'true',
  'f',
  'fa',
  'fal',
  'fals',
  'false',
  'y',
  'ye',
  'yes',
  'n',
  'no',
  'on',
  'of',
  'off',
  '1',
  '0',
]);
const BLANKS = ' \t\n\v\f\r';

// A loop, and no `[ …]+$`: that is tried at each blank of a run that ends elsewhere.
function withoutBlanksAround(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && BLANKS.includes(text.charAt(start))) start += 1;
  while (end > start && BLANKS.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

export function isBooleanText(text: string): string {
  if (BOOLEANS.has(text) || BOOLEANS.has(withoutBlanksAround(text).toLowerCase())) return text;
  throw new ValueFault('it is not a boolean');
}

const UUID = /^\{?(?:[\da-f]{4}-?){7}[\da-f]{4}\}?$/i;

export function uuidText(text: string): string {
  if (UUID.test(text)) return text;
  throw new ValueFault('it is not a UUID');
}

export function enumText(members: readonly string[]): Check {
  const known = new Set(members);
  return (text) => {
    if (known.has(text)) return text;
    throw new ValueFault(
      `it is none of ${members.slice(0, 10).join(', ')}${members.length > 10 ? ', …' : ''}`,
    );
  };
}

/** Texts of at most so many characters. Postgres cuts blanks at the end, and nothing else. */
export function textWithin(characters: number): Check {
  return (text) => {
    if (text.length <= characters) return text;
    const all = [...text];
    if (all.length <= characters || all.slice(characters).every((character) => character === ' '))
      return text;
    throw new ValueFault(`it has ${all.length} characters, and the column takes ${characters}`);
  };
}

export function bitsWithin(length: number): Check {
  return (text) => {
    // B101 and X5 are other spellings.
    if (/^[bx]/i.test(text)) return text;
    if (!/^[01]*$/.test(text)) throw new ValueFault('it has other characters than 0 and 1');
    if (text.length !== length)
      throw new ValueFault(`it has ${text.length} bits, and the column takes ${length}`);
    return text;
  };
}

/** Bytes as hexadecimal digits, with blanks between the pairs. */
const HEX_BYTES = /^\\x(?:[ \n\t\r]*[\da-f]{2})*[ \n\t\r]*$/i;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Base64, also the kind for addresses and without its padding; or `\x` and hexadecimal digits. */
export function bytesText(text: string): string {
  if (text.startsWith('\\x')) {
    if (HEX_BYTES.test(text)) return text;
    throw new ValueFault('it begins as hexadecimal bytes do, and is none');
  }
  let bytes: string;
  try {
    bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    throw new ValueFault('it is not base64');
  }
  let hex = '\\x';
  for (let at = 0; at < bytes.length; at += 1) hex += HEX[bytes.charCodeAt(at)] as string;
  return hex;
}
