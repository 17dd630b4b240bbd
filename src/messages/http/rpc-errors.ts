/** Errors of the store as `/rpc` answers them: EventoDB's codes and statuses. */

import { isSluiceError, SluiceError } from '../../core/errors.ts';
import { failureText } from '../../store/failure-text.ts';
import type { JsonObject } from '../message.ts';

const STATUS = {
  INVALID_REQUEST: 400,
  AUTH_REQUIRED: 401,
  AUTH_INVALID: 401,
  AUTH_UNAUTHORIZED: 403,
  METHOD_NOT_FOUND: 404,
  NAMESPACE_NOT_FOUND: 404,
  NAMESPACE_EXISTS: 409,
  STREAM_VERSION_CONFLICT: 409,
  POSITION_EXISTS: 409,
  // EventoDB answers BACKEND_ERROR, which a client tries again, for ever.
  MESSAGE_ID_EXISTS: 409,
  TOO_MANY_SUBSCRIBERS: 429,
  IMPORT_FAILED: 500,
  CHECKPOINT_AHEAD: 503,
  BACKEND_ERROR: 500,
} as const;

export type RpcErrorCode = keyof typeof STATUS;

export class RpcError extends Error {
  readonly code: RpcErrorCode;
  readonly details: JsonObject | undefined;

  constructor(code: RpcErrorCode, message: string, details?: JsonObject) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export function invalid(message: string): RpcError {
  return new RpcError('INVALID_REQUEST', message);
}

const CODES: Readonly<Record<string, RpcErrorCode>> = {
  invalid_options: 'INVALID_REQUEST',
  invalid_stream_name: 'INVALID_REQUEST',
  invalid_category: 'INVALID_REQUEST',
  invalid_message: 'INVALID_REQUEST',
  invalid_namespace: 'INVALID_REQUEST',
  invalid_json: 'INVALID_REQUEST',
  invalid_utf8: 'INVALID_REQUEST',
  message_too_large: 'INVALID_REQUEST',
  nul_character: 'INVALID_REQUEST',
  lone_surrogate: 'INVALID_REQUEST',
  number_out_of_range: 'INVALID_REQUEST',
  nesting_too_deep: 'INVALID_REQUEST',
  operators_closed: 'AUTH_UNAUTHORIZED',
  forbidden: 'AUTH_UNAUTHORIZED',
  unknown_namespace: 'NAMESPACE_NOT_FOUND',
  namespace_exists: 'NAMESPACE_EXISTS',
  version_conflict: 'STREAM_VERSION_CONFLICT',
  position_exists: 'POSITION_EXISTS',
  duplicate_message_id: 'MESSAGE_ID_EXISTS',
  too_many_subscribers: 'TOO_MANY_SUBSCRIBERS',
};

/** What an error is on the wire. */
export function rpcErrorOf(error: unknown): { code: RpcErrorCode; message: string; details?: JsonObject } {
  if (error instanceof RpcError) {
    const { code, message, details } = error;
    return { code, message, ...(details === undefined ? {} : { details }) };
  }
  if (!isSluiceError(error)) return { code: 'BACKEND_ERROR', message: failureText(error) };
  const { code, message } = error;
  const details = error.details ?? {};
  if (code === 'unauthorized') {
    return { code: details.token === 'missing' ? 'AUTH_REQUIRED' : 'AUTH_INVALID', message };
  }
  if (code === 'version_conflict') {
    const expected = versionNumber(details.expectedVersion);
    const actual = versionNumber(details.actualVersion);
    return {
      code: 'STREAM_VERSION_CONFLICT',
      message: `Expected version ${expected}, stream is at version ${actual}`,
      details: { expected, actual },
    };
  }
  if (code === 'checkpoint_ahead')
    return { code: 'CHECKPOINT_AHEAD', message, details: details as JsonObject };
  const wire = CODES[code];
  return wire === undefined
    ? { code: 'BACKEND_ERROR', message: failureText(error) }
    : { code: wire, message };
}

/** An error as an answer: `{"error":{"code","message","details"}}`. */
export function rpcErrorAnswer(
  error: unknown,
  onFailure: (error: unknown) => void,
): { status: number; body: string } {
  const wire = rpcErrorOf(error);
  if (wire.code === 'BACKEND_ERROR') onFailure(error);
  return { status: STATUS[wire.code], body: JSON.stringify({ error: wire }) };
}

/** A request without a token, or with one that is not right. */
export function unauthorized(token: 'missing' | 'invalid'): SluiceError {
  return new SluiceError(
    'unauthorized',
    token === 'missing'
      ? 'Authorization header required: send "Authorization: Bearer <token of the namespace>"'
      : 'The token is not that of a namespace',
    { details: { token } },
  );
}

function versionNumber(version: unknown): number {
  return version === 'no-stream' ? -1 : Number(version);
}
