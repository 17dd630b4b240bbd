/** Options that are values, or are made of the Worker's bindings, which code outside a request cannot see. */

import { SluiceError } from '../core/errors.ts';
import { MAX_SECRETS, MIN_SECRET_BYTES } from '../core/limits.ts';

/** A value, or a function of the bindings and variables of the Worker that gives it. */
// biome-ignore lint/suspicious/noExplicitAny: they are of the user's own type
export type FromEnv<Value> = Value | ((env: any) => Value);

/** The value. */
export function fromEnv<Value>(given: FromEnv<Value>, env: unknown): Value {
  return typeof given === 'function' ? (given as (env: unknown) => Value)(env) : given;
}

/**
 * The secrets of a list, or of a text with white space between them. All of them are valid at the same time; the first one signs.
 *
 * @param what names them in errors, as in `JWT_SECRET`
 * @throws SluiceError `invalid_configuration` where there is none, one is shorter than 32 bytes, or there are more than 8
 */
export function secretsOf(given: string | readonly string[] | undefined, what: string): string[] {
  const secrets = typeof given === 'string' ? given.split(/\s+/).filter(Boolean) : [...(given ?? [])];
  const isGood =
    secrets.length > 0 &&
    secrets.length <= MAX_SECRETS &&
    secrets.every((secret) => typeof secret === 'string' && byteLength(secret) >= MIN_SECRET_BYTES);
  if (isGood) return secrets;
  throw new SluiceError(
    'invalid_configuration',
    `${what} is wrong: 1 to ${MAX_SECRETS} secrets of ${MIN_SECRET_BYTES} bytes or more are allowed, with white space between them`,
  );
}

const encoder = new TextEncoder();

function byteLength(text: string): number {
  return encoder.encode(text).length;
}
