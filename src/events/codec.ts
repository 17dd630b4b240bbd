/** How the data of an event becomes the text that engines keep, and back. */

import { errorText, SluiceError } from '../core/errors.ts';
import { JsonText } from '../store/exact-numbers.ts';

export interface EventCodec<Data> {
  /** The text of the data, without NUL and lone surrogates. What it throws becomes `invalid_event`. */
  write(data: Data): string;
  /** The data of a text. What it throws becomes `invalid_event`, which names the event's position. */
  read(text: string): Data;
}

/** Data is anything that JSON can hold; undefined is written as null. */
export const jsonCodec: EventCodec<unknown> = {
  write: (data) => (data === undefined ? 'null' : writeJson('data', data)),
  read: (text) => JSON.parse(text),
};

/** Data is a text that nobody looks into, as in the DCB specification. */
export const textCodec: EventCodec<string> = {
  write(data: unknown) {
    if (typeof data === 'string') return data;
    throw new SluiceError('invalid_event', `The data of an event must be a text, not ${kindOf(data)}`);
  },
  read: (text) => text,
};

/**
 * JSON text of a value. NUL and lone surrogates are escaped in it, so that any text keeps it.
 *
 * @throws SluiceError `invalid_event` where JSON cannot write it: a cycle, a bigint, a function, NaN or an infinity
 */
export function writeJson(what: 'data' | 'metadata', value: unknown): string {
  if (value instanceof JsonText) return value.text;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
    // JSON.stringify writes NaN and the infinities as null, and would so change the data without a word.
    if (text?.includes('null') && hasUnwritableNumber(value))
      throw new TypeError('it has a number that is NaN or an infinity');
  } catch (error) {
    throw new SluiceError(
      'invalid_event',
      `The ${what} of an event cannot be written as JSON: ${errorText(error)}`,
      { cause: error },
    );
  }
  if (text !== undefined) return text;
  throw new SluiceError(
    'invalid_event',
    `The ${what} of an event cannot be written as JSON: it is a ${typeof value}`,
  );
}

export function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
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
