/**
 * JSON of requests, checked before anything is made of it. Names that mean nothing are refused everywhere: `tag` for
 * `tags`, passed over, would widen a query or a condition.
 */

import { type ErrorCode, errorText, SluiceError } from '../../core/errors.ts';
import { MAX_APPEND_BODY_VALUES, MAX_HTTP_QUERY_CHARACTERS, MAX_NESTING_DEPTH } from '../../core/limits.ts';
import {
  checkJson,
  JSON_ESCAPED,
  JSON_LONE_SURROGATE,
  JSON_NUL,
  JSON_NUMBER_OUT_OF_RANGE,
  JSON_PLAIN,
  JSON_TOO_DEEP,
} from '../../protocol/check-json.ts';

/** A body below it takes little memory however it is made. */
const SMALL_BODY_CHARACTERS = 64 * 1024;

export type JsonObject = Readonly<Record<string, unknown>>;

export function parsed(name: string, text: string, code: ErrorCode): unknown {
  if (text.length > MAX_HTTP_QUERY_CHARACTERS)
    throw new SluiceError(code, `${name} has more than ${MAX_HTTP_QUERY_CHARACTERS} characters`);
  const fault = jsonFault(text);
  if (fault !== undefined) throw new SluiceError(code, `${name} ${fault.text}`);
  return JSON.parse(text);
}

export function bodyOf(text: string): unknown {
  const fault = jsonFault(text);
  if (fault !== undefined) throw new SluiceError(fault.code, `The body ${fault.text}`);
  // Eight megabytes of empty arrays would become a hundred of memory.
  if (text.length > SMALL_BODY_CHARACTERS && countValues(text) > MAX_APPEND_BODY_VALUES)
    throw new SluiceError(
      'message_too_large',
      `The body has more than ${MAX_APPEND_BODY_VALUES} values of JSON; append fewer events at a time`,
      { details: { maxValues: MAX_APPEND_BODY_VALUES } },
    );
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SluiceError('invalid_json', `The body is not JSON: ${errorText(error)}`, { cause: error });
  }
}

function jsonFault(text: string): { code: ErrorCode; text: string } | undefined {
  switch (checkJson(text)) {
    case JSON_PLAIN:
    case JSON_ESCAPED:
      return undefined;
    case JSON_NUL:
      return { code: 'nul_character', text: 'has a NUL character, which no store can keep' };
    case JSON_LONE_SURROGATE:
      return { code: 'lone_surrogate', text: 'has a lone surrogate, which is no character' };
    case JSON_NUMBER_OUT_OF_RANGE:
      return { code: 'number_out_of_range', text: 'has a number that is too large' };
    case JSON_TOO_DEEP:
      return { code: 'nesting_too_deep', text: `is nested deeper than ${MAX_NESTING_DEPTH} levels` };
    default:
      return { code: 'invalid_json', text: 'is not JSON' };
  }
}

const QUOTE = 0x22;

const COMMA = 0x2c;

const OPEN_BRACKET = 0x5b;

const BACKSLASH = 0x5c;

const OPEN_BRACE = 0x7b;

/** At least as many as the values in a JSON text, none of which is built. */
function countValues(text: string): number {
  let values = 1;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === COMMA || code === OPEN_BRACKET || code === OPEN_BRACE) {
      values += 1;
    } else if (code === QUOTE) {
      index += 1;
      for (let unit = text.charCodeAt(index); unit !== QUOTE; unit = text.charCodeAt(index))
        index += unit === BACKSLASH ? 2 : 1;
    }
  }
  return values;
}

export function assertNames(
  given: JsonObject,
  known: readonly string[],
  path: string,
  code: ErrorCode,
): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const named = `${path === '' ? '' : `${path}.`}${name.slice(0, 100)}`;
    throw new SluiceError(code, `Unknown name ${named}: known are ${known.join(', ')}`, {
      details: { option: named, allowed: known },
    });
  }
}

/** @returns undefined where it was left out */
export function wholeNumber(option: string, value: unknown, min: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  // Not shown: JavaScript would write other digits than were sent.
  if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER)
    throw new SluiceError(
      'invalid_options',
      `${option} must be at most ${Number.MAX_SAFE_INTEGER} (2^53 - 1)`,
      { details: { option } },
    );
  throw invalidOption(option, `a whole number from ${min} to 2^53 - 1`, value);
}

export function positionOf(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(value);
}

export function invalidOption(option: string, allowed: string, value: unknown): SluiceError {
  return new SluiceError('invalid_options', `${option} must be ${allowed}, and ${shown(value)}`, {
    details: { option },
  });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function shown(value: unknown): string {
  if (value === undefined) return 'is missing';
  if (Array.isArray(value)) return 'is an array';
  if (isObject(value)) return 'is an object';
  return `is ${JSON.stringify(value).slice(0, 100)}`;
}
