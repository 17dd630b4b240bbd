/**
 * JSON whose numbers keep their digits on the way from a request into a store. `JSON.parse` makes doubles of them:
 * 9007199254740993 becomes 9007199254740992, 1.50 becomes 1.5, and 1E400 an infinity. So where a text has such a number,
 * what is stored is cut out of it.
 */

import { endOfString } from '../core/json-parts.ts';

/** The end of a number that stands where a value may stand. */
const END = '(?=[\\s,\\]}]|$)';

/**
 * Finds a number that JavaScript may write in another way than it was written: of many digits, with an exponent or with
 * zeros at its end, a negative zero, a very small one. It may find one in a string too, which costs time only.
 */
const UNEVEN_NUMBER = new RegExp(
  `(?:^|[:,[\\s])-?(?:[\\d.]{16}|\\d[\\d.]*[eE]|(?:0|[1-9]\\d*)\\.\\d*0${END}|0\\.0{6}|(?<=-)0${END})`,
);

/** Whether a JSON text may have a number that JavaScript would write in another way. */
export function hasUnevenNumber(json: string): boolean {
  return UNEVEN_NUMBER.test(json);
}

/** JSON as text, in the place of a value: it is stored as it is, but for blanks and needless escapes. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** For code that takes it for a value. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

const QUOTE = 0x22;
const SPACE = 0x20;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** Pieces that are joined at a time. */
const MAX_PIECES = 10_000;

/** The digits of the largest double: a number of more may be an infinity. */
const MAX_DOUBLE_DIGITS = 309;

/**
 * A JSON text in one line: without blanks between its parts, strings as `JSON.stringify` writes them, numbers as they are.
 *
 * @param json good JSON
 * @param onInfinite told of a number that is an infinity to JavaScript, as it was written; it may throw
 */
export function compactJson(json: string, onInfinite?: (source: string) => void): string {
  let text = '';
  let pieces: string[] = [];
  /** What is before it was taken. */
  let from = 0;
  let at = 0;
  // Looked for once, not once for each string.
  let backslash = json.indexOf('\\');
  while (at < json.length) {
    // Millions of small ones would take many times the memory of the text.
    if (pieces.length > MAX_PIECES) {
      text += pieces.join('');
      pieces = [];
    }
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(json, at);
      if (backslash !== -1 && backslash < end) {
        pieces.push(json.slice(from, at), JSON.stringify(JSON.parse(json.slice(at, end))));
        from = end;
        backslash = json.indexOf('\\', end);
      }
      at = end;
    } else if (code <= SPACE) {
      pieces.push(json.slice(from, at));
      while (at < json.length && json.charCodeAt(at) <= SPACE) at += 1;
      from = at;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const end = endOfNumber(json, at);
      if (onInfinite !== undefined) checkFinite(json, at, end, onInfinite);
      at = end;
    } else {
      at += 1;
    }
  }
  if (from === 0) return json;
  pieces.push(json.slice(from));
  return text + pieces.join('');
}

function endOfNumber(json: string, start: number): number {
  let at = start + 1;
  for (; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    // Digits, signs, a point and the letters of an exponent: all that is no end of a value.
    if (code <= SPACE || code === 0x2c || code === 0x5d || code === 0x7d) break;
  }
  return at;
}

function checkFinite(json: string, start: number, end: number, onInfinite: (source: string) => void): void {
  const source = json.slice(start, end);
  if (source.length < MAX_DOUBLE_DIGITS && !/e/i.test(source)) return;
  if (!Number.isFinite(Number(source))) onInfinite(source);
}
