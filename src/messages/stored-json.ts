/** Data and metadata of a message as the store keeps them: JSON as text, and what is looked up in it. */

import { errorText, SluiceError } from '../core/errors.ts';
import { MAX_NESTING_DEPTH } from '../core/limits.ts';
import {
  checkJson,
  JSON_ESCAPED,
  JSON_LONE_SURROGATE,
  JSON_NUL,
  JSON_NUMBER_OUT_OF_RANGE,
  JSON_PLAIN,
  JSON_TOO_DEEP,
} from '../protocol/check-json.ts';
import { compactJson, JsonText } from '../store/exact-numbers.ts';
import type { JsonValue } from './message.ts';
import { messageCategory, nameFault } from './names.ts';

/** JSON text that Postgres takes as jsonb, or an error that names what is wrong with the value. */
export function jsonText(what: 'data' | 'metadata', value: JsonValue): string {
  if ((value as unknown) instanceof JsonText)
    return compactJson(checkedText(what, (value as unknown as JsonText).text));
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // A cycle, a bigint, or a depth past the stack.
    const reason = errorText(error);
    throw new SluiceError(
      'invalid_message',
      `The ${what} of a message cannot be written as JSON: ${reason}`,
      {
        cause: error,
      },
    );
  }
  if (text === undefined)
    throw invalidMessage(`The ${what} of a message cannot be written as JSON: it is a ${typeof value}`);
  checkedText(what, text);
  // JSON.stringify writes NaN and the infinities as null, and would so change the data without a word.
  if (text.includes('null') && hasUnwritableNumber(value))
    throw invalidMessage(`The ${what} of a message has a number that JSON cannot write: NaN or an infinity`);
  return text;
}

function checkedText(what: 'data' | 'metadata', text: string): string {
  const verdict = checkJson(text);
  if (verdict === JSON_PLAIN || verdict === JSON_ESCAPED) return text;
  throw invalidMessage(`The ${what} of a message ${jsonFault(verdict)}`);
}

function jsonFault(verdict: number): string {
  switch (verdict) {
    case JSON_NUL:
      return 'has a NUL character, which Postgres cannot keep';
    case JSON_LONE_SURROGATE:
      return 'has a lone surrogate, which Postgres cannot keep';
    case JSON_NUMBER_OUT_OF_RANGE:
      return 'has a number that Postgres cannot keep';
    case JSON_TOO_DEEP:
      return `is nested deeper than ${MAX_NESTING_DEPTH} levels`;
    default:
      return 'is not JSON';
  }
}

/** Asks JSON.stringify, which sees what `toJSON` makes of an object, and not what is inside of that. */
function hasUnwritableNumber(value: unknown): boolean {
  let isFound = false;
  JSON.stringify(value, (_key, part: unknown) => {
    isFound ||= typeof part === 'number' && !Number.isFinite(part);
    return part;
  });
  return isFound;
}

// Of the text: `toJSON` can make other metadata of an object than it has. JSON.stringify writes letters without escapes.
export function storedCorrelation(metadata: string): string | null {
  return metadata.includes('"correlationStreamName"') ? correlationOf(JSON.parse(metadata)) : null;
}

/** Category of `metadata.correlationStreamName`; null where that is no usable text. */
export function correlationOf(metadata: JsonValue | undefined): string | null {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return null;
  const name = metadata.correlationStreamName;
  if (typeof name !== 'string') return null;
  const found = messageCategory(name);
  // What cannot be asked for is not indexed.
  return nameFault(found) === undefined ? found : null;
}

export function invalidMessage(sentence: string): SluiceError {
  return new SluiceError('invalid_message', sentence);
}
