/** The errors of the client, and their codes. */

/** Codes that the client gives to errors, all of Sluice's one table (src/core/errors.ts). */
export type ClientErrorCode =
  | RefusalCode
  | FrameCode
  | CloseErrorCode
  | 'fate_unknown'
  | 'send_buffer_full'
  | 'client_closed'
  | 'message_dropped'
  | 'message_refused'
  | 'storage_in_use'
  | 'connection_lost'
  | 'internal';

/** Why a single message is refused. */
export type RefusalCode =
  | 'invalid_json'
  | 'invalid_utf8'
  | 'nul_character'
  | 'lone_surrogate'
  | 'number_out_of_range'
  | 'nesting_too_deep'
  | 'message_too_large'
  | 'dead_letter'
  | 'invalid_message'
  | 'sink_failed';

/** Why a frame cannot be read. */
export type FrameCode =
  | 'invalid_frame'
  | 'invalid_utf8'
  | 'unknown_type'
  | 'binary_frame'
  | 'frame_too_large';

/** What ends a client for good. */
export type CloseErrorCode =
  | 'invalid_frame'
  | 'invalid_options'
  | 'invalid_hello'
  | 'hello_required'
  | 'unauthorized'
  | 'forbidden'
  | 'unknown_sink'
  | 'fenced'
  | 'replaced';

/** An error with a code for machines, a sentence for people and, where it helps, data. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: ClientErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ClientErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? {};
  }
}
