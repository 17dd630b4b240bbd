/**
 * Checks, in one pass and without building anything, that a text is JSON which Postgres will take as `jsonb`.
 *
 * `JSON.parse` alone is not enough: it accepts `"\u0000"`, lone surrogates, `1e400000` and ten thousand nested
 * arrays, and each of those makes Postgres refuse the whole batch that the message travels in. It also builds
 * objects that nobody needs: the message's own text is what is stored. The property tests hold this file
 * against `JSON.parse` and against a real Postgres.
 */

import {
  MAX_NESTING_DEPTH,
  MAX_NUMERIC_FRACTION_DIGITS,
  MAX_NUMERIC_INTEGER_DIGITS,
} from '../core/limits.ts';

/** The verdict on a text. `plain`: valid, and free of backslashes and control characters. */
export const JSON_PLAIN = 0;
/** Valid, but with a backslash or with a tab, newline or carriage return between tokens. */
export const JSON_ESCAPED = 1;
export const JSON_INVALID = 2;
export const JSON_NUL = 3;
export const JSON_LONE_SURROGATE = 4;
export const JSON_NUMBER_OUT_OF_RANGE = 5;
export const JSON_TOO_DEEP = 6;

const TAB = 0x09;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

// What may come next. The three states differ in which closing bracket they allow.
const VALUE = 0;
const VALUE_OR_CLOSE = 1;
const AFTER_VALUE = 2;
const KEY = 3;
const KEY_OR_CLOSE = 4;

// 1 = array, 0 = object, one entry per open bracket. Shared: the function is synchronous and never re-entered.
const containers = new Uint8Array(MAX_NESTING_DEPTH);

/** Where the scan stands; set by the helpers, which return a verdict. Module state keeps the hot loop free of allocation. */
let position = 0;
let escaped = false;

/**
 * Checks `text` from `start` (inclusive) to `end` (exclusive).
 *
 * @returns one of the verdicts above; the first fault found decides.
 */
export function checkJson(text: string, start = 0, end = text.length): number {
  position = start;
  escaped = false;
  let depth = 0;
  let state = VALUE;
  for (;;) {
    let code = position < end ? text.charCodeAt(position) : -1;
    while (code === SPACE || code === TAB || code === NEWLINE || code === CARRIAGE_RETURN) {
      if (code !== SPACE) escaped = true;
      position += 1;
      code = position < end ? text.charCodeAt(position) : -1;
    }
    if (code === -1) {
      if (state === AFTER_VALUE && depth === 0) return escaped ? JSON_ESCAPED : JSON_PLAIN;
      return JSON_INVALID;
    }

    if (state === AFTER_VALUE) {
      if (depth === 0) return code === 0 ? JSON_NUL : JSON_INVALID;
      const inArray = containers[depth - 1] === 1;
      position += 1;
      if (code === COMMA) state = inArray ? VALUE : KEY;
      else if (code === (inArray ? CLOSE_BRACKET : CLOSE_BRACE)) depth -= 1;
      else return code === 0 ? JSON_NUL : JSON_INVALID;
      continue;
    }

    if (state === KEY || state === KEY_OR_CLOSE) {
      if (code === QUOTE) {
        const verdict = scanString(text, end);
        if (verdict !== JSON_PLAIN) return verdict;
        code = position < end ? text.charCodeAt(position) : -1;
        while (code === SPACE || code === TAB || code === NEWLINE || code === CARRIAGE_RETURN) {
          if (code !== SPACE) escaped = true;
          position += 1;
          code = position < end ? text.charCodeAt(position) : -1;
        }
        if (code !== COLON) return code === 0 ? JSON_NUL : JSON_INVALID;
        position += 1;
        state = VALUE;
        continue;
      }
      if (code === CLOSE_BRACE && state === KEY_OR_CLOSE) {
        position += 1;
        depth -= 1;
        state = AFTER_VALUE;
        continue;
      }
      return code === 0 ? JSON_NUL : JSON_INVALID;
    }

    if (code === QUOTE) {
      const verdict = scanString(text, end);
      if (verdict !== JSON_PLAIN) return verdict;
      state = AFTER_VALUE;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const verdict = scanNumber(text, end);
      if (verdict !== JSON_PLAIN) return verdict;
      state = AFTER_VALUE;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (depth === MAX_NESTING_DEPTH) return JSON_TOO_DEEP;
      containers[depth] = code === OPEN_BRACKET ? 1 : 0;
      depth += 1;
      position += 1;
      state = code === OPEN_BRACKET ? VALUE_OR_CLOSE : KEY_OR_CLOSE;
    } else if (code === CLOSE_BRACKET && state === VALUE_OR_CLOSE) {
      position += 1;
      depth -= 1;
      state = AFTER_VALUE;
    } else if (text.startsWith('true', position) || text.startsWith('null', position)) {
      position += 4;
      if (position > end) return JSON_INVALID;
      state = AFTER_VALUE;
    } else if (text.startsWith('false', position)) {
      position += 5;
      if (position > end) return JSON_INVALID;
      state = AFTER_VALUE;
    } else {
      return code === 0 ? JSON_NUL : JSON_INVALID;
    }
  }
}

/** Scans a string from its opening quote to after its closing one. */
function scanString(text: string, end: number): number {
  let index = position + 1;
  // How the high surrogate before this place was written: 1 as itself, 6 as an escape; 0: there is none.
  let highLength = 0;
  while (index < end) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      position = index + 1;
      return highLength === 0 ? JSON_PLAIN : JSON_LONE_SURROGATE;
    }
    if (code < SPACE) return code === 0 ? JSON_NUL : JSON_INVALID;
    let unit = code;
    let length = 1;
    if (code === BACKSLASH) {
      escaped = true;
      unit = escapedUnit(text, index, end);
      if (unit === -1) return JSON_INVALID;
      if (unit === 0) return JSON_NUL;
      length = text.charCodeAt(index + 1) === 0x75 ? 6 : 2;
    }
    // A high surrogate must be followed by a low one, written in the same way, and no low one stands alone: a half that
    // is not escaped is no character on its own, and an escaped half beside it is one that Postgres refuses.
    if (unit >= 0xd800 && unit <= 0xdfff) {
      if ((unit >= 0xdc00 ? length : 0) !== highLength) return JSON_LONE_SURROGATE;
      highLength = highLength === 0 ? length : 0;
    } else if (highLength !== 0) {
      return JSON_LONE_SURROGATE;
    }
    index += length;
  }
  return JSON_INVALID;
}

/** The code unit that the escape at `index` stands for, or -1 where it is no escape. */
function escapedUnit(text: string, index: number, end: number): number {
  if (index + 1 >= end) return -1;
  switch (text.charCodeAt(index + 1)) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return SPACE;
    case 0x75: {
      if (index + 6 > end) return -1;
      let unit = 0;
      for (let at = index + 2; at < index + 6; at += 1) {
        const digit = hexDigit(text.charCodeAt(at));
        if (digit === -1) return -1;
        unit = unit * 16 + digit;
      }
      return unit;
    }
    default:
      return -1;
  }
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** Scans a number and checks that Postgres's `numeric` can hold it. */
function scanNumber(text: string, end: number): number {
  let index = position;
  if (text.charCodeAt(index) === MINUS) index += 1;
  const integerStart = index;
  while (index < end && isDigit(text.charCodeAt(index))) index += 1;
  const integerDigits = index - integerStart;
  if (integerDigits === 0) return JSON_INVALID;
  if (integerDigits > 1 && text.charCodeAt(integerStart) === ZERO) return JSON_INVALID;

  let fractionDigits = 0;
  if (index < end && text.charCodeAt(index) === POINT) {
    const fractionStart = index + 1;
    index = fractionStart;
    while (index < end && isDigit(text.charCodeAt(index))) index += 1;
    fractionDigits = index - fractionStart;
    if (fractionDigits === 0) return JSON_INVALID;
  }

  let exponent = 0;
  if (index < end && (text.charCodeAt(index) | 0x20) === 0x65) {
    index += 1;
    let sign = 1;
    const code = index < end ? text.charCodeAt(index) : -1;
    if (code === PLUS || code === MINUS) {
      if (code === MINUS) sign = -1;
      index += 1;
    }
    const exponentStart = index;
    while (index < end && isDigit(text.charCodeAt(index))) {
      // Far above every limit a further digit changes nothing; stopping keeps the sum exact.
      if (exponent < 1_000_000) exponent = exponent * 10 + (text.charCodeAt(index) - ZERO);
      index += 1;
    }
    if (index === exponentStart) return JSON_INVALID;
    exponent *= sign;
  }

  position = index;
  // A little stricter than Postgres for numbers like 0e999999, whose value it could hold; nobody measures in them.
  if (integerDigits + exponent > MAX_NUMERIC_INTEGER_DIGITS) return JSON_NUMBER_OUT_OF_RANGE;
  if (fractionDigits - exponent > MAX_NUMERIC_FRACTION_DIGITS) return JSON_NUMBER_OUT_OF_RANGE;
  return JSON_PLAIN;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}
