/**
 * JSON as values whose numbers are exact, and back. A number that a double cannot hold becomes a `bigint`, or its own text
 * where it has a fraction or an exponent.
 */

import { withoutTrailingZeros } from './trailing-zeros.ts';

/** A value of exact JSON. */
export type ExactJson =
  | string
  | number
  | bigint
  | boolean
  | null
  | ExactJson[]
  | { [name: string]: ExactJson };

/**
 * Finds a number that a double may not hold: of sixteen digits or more, or with an exponent. Fifteen digits always fit. It may
 * find one in a string too, which costs time only.
 */
const MAYBE_INEXACT = /(?:^|[:,[\s])-?(?:[\d.]{16}|\d[\d.]*[eE])/;

/** The reviver of a `JSON.parse` that hands over each number's own text (ECMAScript, "JSON.parse source text access"). */
type SourceReviver = (this: unknown, name: string, value: unknown, context: { source: string }) => unknown;

/** Parses JSON. The slow way, which looks at each number's text, is taken only where some number needs it. */
export function parseExact(json: string): ExactJson {
  if (!MAYBE_INEXACT.test(json)) return JSON.parse(json) as ExactJson;
  return JSON.parse(json, exactNumber as unknown as (name: string, value: unknown) => unknown) as ExactJson;
}

const exactNumber: SourceReviver = (_name, value, context) => {
  if (typeof value !== 'number') return value;
  const { source } = context;
  if (/^-?\d+$/.test(source)) return Number.isSafeInteger(value) ? value : BigInt(source);
  return isSameNumber(source, String(value)) ? value : source;
};

/** Whether two decimal texts stand for one number. */
function isSameNumber(one: string, other: string): boolean {
  const a = partsOf(one);
  const b = partsOf(other);
  return a !== undefined && b !== undefined && a.digits === b.digits && a.exponent === b.exponent;
}

/** The digits of a number without zeros at either end, and the power of ten that they are multiplied with. */
function partsOf(text: string): { digits: string; exponent: number } | undefined {
  const found = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (found === null) return undefined;
  const [, sign = '', whole = '', fraction = '', power = '0'] = found;
  const digits = (whole + fraction).replace(/^0+/, '');
  const kept = withoutTrailingZeros(digits);
  if (kept === '') return { digits: '', exponent: 0 };
  return { digits: sign + kept, exponent: Number(power) - fraction.length + (digits.length - kept.length) };
}

/**
 * A value as JSON: a `bigint` as its digits, a `Date` as an ISO text, bytes as base64, everything else as `JSON.stringify` has it.
 *
 * @throws TypeError where a value is none of JSON: a number that is not finite, a symbol, a function, a circle
 */
export function stringifyExact(value: unknown): string {
  const text = JSON.stringify(value, exactValue);
  if (text === undefined) throw new TypeError(`A value of type ${typeof value} is no JSON`);
  return text;
}

/** JSON.rawJSON belongs to the same proposal as the reviver's third argument, and is not in TypeScript's library yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

function exactValue(this: Record<string, unknown>, name: string, given: unknown): unknown {
  if (typeof given === 'bigint') return rawJSON(String(given));
  if (typeof given === 'number' && !Number.isFinite(given)) throw new TypeError(`${given} is no JSON number`);
  if (typeof given === 'function' || typeof given === 'symbol')
    throw new TypeError(`A ${typeof given} is no JSON value`);
  // JSON.stringify has asked toJSON already. It makes null of a Date that is not valid, and an object of a Buffer.
  const own = this[name];
  if (own instanceof Date && given === null) throw new TypeError('A Date that is not valid is no JSON value');
  return own instanceof Uint8Array ? base64Of(own) : given;
}

const BASE64_CHUNK = 0x8000;

/** Bytes as base64. */
function base64Of(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += BASE64_CHUNK)
    text += String.fromCharCode(...bytes.subarray(at, at + BASE64_CHUNK));
  return btoa(text);
}
