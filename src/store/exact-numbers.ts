/**
 * JSON whose numbers keep their digits on the way from a request into a store. `JSON.parse` makes doubles of them:
 * 9007199254740993 becomes 9007199254740992, 1.50 becomes 1.5, and 1E400 an infinity.
 */

/** The end of a number that stands where a value may stand. */
const END = '(?=[\\s,\\]}]|$)';

/**
 * Finds a number that JavaScript may write in another way than it was written: of many digits, with an exponent or with
 * zeros at its end, a negative zero, a very small one. It may find one in a string too, which costs time only.
 */
const UNEVEN_NUMBER = new RegExp(
  `(?:^|[:,[\\s])-?(?:[\\d.]{16}|\\d[\\d.]*[eE]|(?:0|[1-9]\\d*)\\.\\d*0${END}|0\\.0{6}|(?<=-)0${END})`,
);

/** ECMAScript's "JSON.parse source text access": what `JSON.stringify` writes as it was read. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/**
 * A parsed JSON text with numbers that `JSON.stringify` writes as they were written. Such a number is an object to
 * everybody else: it is meant for what is stored and not looked into.
 *
 * @param text JSON
 * @param parsed what `JSON.parse` has made of it; returned where it has changed no number
 * @param onInfinite told of a number that is an infinity to JavaScript, as it was written; it may throw
 */
export function withExactNumbers<Value>(
  text: string,
  parsed: Value,
  onInfinite: (source: string) => void = () => {},
): Value {
  if (!UNEVEN_NUMBER.test(text)) return parsed;
  const asWritten = (_name: string, value: unknown, context?: { source?: string }): unknown => {
    const source = context?.source;
    if (typeof value !== 'number' || source === undefined) return value;
    if (!Number.isFinite(value)) onInfinite(source);
    return source === String(value) && !Object.is(value, -0) ? value : rawJSON(source);
  };
  try {
    return JSON.parse(text, asWritten) as Value;
  } catch (error) {
    // Nested so deep that the stack ends, which is far deeper than any store takes: it is refused there.
    if (error instanceof RangeError) return parsed;
    throw error;
  }
}
