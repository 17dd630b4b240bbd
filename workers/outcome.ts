/**
 * Refusals between Durable Objects as values. An error that is thrown out of a call between objects is logged by the
 * platform as an exception that nobody caught, though its caller did; what a client may do wrong is no such thing.
 */

import { type ErrorCode, httpStatus, isSluiceError, SluiceError } from '../src/core/errors.ts';

export type Outcome<Value> =
  | { value: Value }
  | { refusal: { code: ErrorCode; message: string; details: Record<string, unknown> } };

/** What work returns, or how it refuses. What it fails with (a status of 500 and above) is thrown. */
export async function outcomeOf<Value>(work: () => Value | Promise<Value>): Promise<Outcome<Value>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (!isSluiceError(error) || httpStatus(error.code) >= 500) throw error;
    const { code, message, details } = error;
    return { refusal: { code, message, details: { ...details } } };
  }
}

/** The value of an outcome. @throws SluiceError what was refused */
export async function unwrap<Value>(outcome: Promise<Outcome<Value>>): Promise<Value> {
  const settled = await outcome;
  if ('value' in settled) return settled.value;
  const { code, message, details } = settled.refusal;
  throw new SluiceError(code, message, { details });
}
