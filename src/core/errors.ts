/**
 * The one error family of Sluice. Every error that a user can meet has a code; the table below says which
 * HTTP status and which WebSocket close code belong to it. Codes are also names in statistics and on the
 * wire, so a code is never renamed without a note in the changelog.
 */

const ERROR_TABLE = {
  invalid_options: { status: 400, closeCode: 4400 },
  unsupported_subprotocol: { status: 400, closeCode: 1002 },
  unauthorized: { status: 401, closeCode: 4401 },
  forbidden: { status: 403, closeCode: 4403 },
  origin_not_allowed: { status: 403, closeCode: 4403 },
  bench_disabled: { status: 403, closeCode: 1008 },
  operators_closed: { status: 403, closeCode: 1008 },
  unknown_sink: { status: 404, closeCode: 4404 },
  unknown_shard: { status: 404, closeCode: 1008 },
  unknown_dead_letter: { status: 404, closeCode: 1008 },
  not_found: { status: 404, closeCode: 1008 },
  bench_running: { status: 409, closeCode: 1013 },
  upgrade_required: { status: 426, closeCode: 1002 },
  invalid_configuration: { status: 500, closeCode: 1011 },
  internal: { status: 500, closeCode: 1011 },
  database_unreachable: { status: 503, closeCode: 1013 },
  database_refused: { status: 503, closeCode: 1013 },
  time_limit: { status: 504, closeCode: 1013 },

  // What a raw socket's frames can be refused for (PROTOCOL.md, "Refusals").
  binary_frame: { status: 400, closeCode: 1003 },
  frame_too_large: { status: 413, closeCode: 1009 },
  message_too_large: { status: 413, closeCode: 1009 },
  invalid_utf8: { status: 400, closeCode: 1007 },
  invalid_json: { status: 400, closeCode: 1007 },
  nul_character: { status: 400, closeCode: 1007 },
  lone_surrogate: { status: 400, closeCode: 1007 },
  number_out_of_range: { status: 400, closeCode: 1007 },
  nesting_too_deep: { status: 400, closeCode: 1007 },
  buffer_full: { status: 503, closeCode: 1013 },
  memory_full: { status: 503, closeCode: 1013 },

  // How `sluice.v1` refuses frames and ends sockets (PROTOCOL.md, "nack" and "Close codes").
  invalid_frame: { status: 400, closeCode: 4400 },
  unknown_type: { status: 400, closeCode: 4400 },
  invalid_hello: { status: 400, closeCode: 4400 },
  hello_required: { status: 400, closeCode: 4400 },
  fenced: { status: 409, closeCode: 4410 },
  hello_timeout: { status: 408, closeCode: 4408 },
  replaced: { status: 409, closeCode: 4409 },
  over_credit: { status: 429, closeCode: 4429 },
  rate_limited: { status: 429, closeCode: 4429 },
  too_many_connections: { status: 429, closeCode: 4429 },
  shard_failed: { status: 500, closeCode: 4500 },
  shard_unavailable: { status: 503, closeCode: 4503 },
  authorization_unavailable: { status: 503, closeCode: 4503 },
  slow_reader: { status: 503, closeCode: 4504 },
  too_many_errors: { status: 429, closeCode: 1008 },
  dead_letter: { status: 422, closeCode: 4400 },

  // What stops or pauses a shard's flushes (src/ingest/flusher.ts, src/outbox).
  checkpoint_behind: { status: 503, closeCode: 4503 },
  checkpoint_ahead: { status: 503, closeCode: 4503 },
  checkpoint_missing: { status: 503, closeCode: 4503 },
  dead_letters_full: { status: 503, closeCode: 4503 },
  paused_by_operator: { status: 503, closeCode: 4503 },
  sink_failed: { status: 500, closeCode: 4500 },

  // What the client library throws (src/client).
  send_buffer_full: { status: 503, closeCode: 4400 },
  client_closed: { status: 503, closeCode: 1000 },
  message_dropped: { status: 503, closeCode: 4400 },
  message_refused: { status: 400, closeCode: 4400 },
  connection_lost: { status: 503, closeCode: 1006 },
  fate_unknown: { status: 409, closeCode: 4410 },
  storage_in_use: { status: 409, closeCode: 4409 },

  // What the message store and the event store answer (src/store).
  invalid_stream_name: { status: 400, closeCode: 1008 },
  invalid_category: { status: 400, closeCode: 1008 },
  invalid_message: { status: 400, closeCode: 1008 },
  invalid_namespace: { status: 400, closeCode: 1008 },
  unknown_namespace: { status: 404, closeCode: 1008 },
  namespace_exists: { status: 409, closeCode: 1008 },
  version_conflict: { status: 409, closeCode: 1008 },
  position_exists: { status: 409, closeCode: 1008 },
  duplicate_message_id: { status: 409, closeCode: 1008 },
  append_conflict: { status: 409, closeCode: 1008 },
  duplicate_event_id: { status: 409, closeCode: 1008 },
  invalid_event: { status: 400, closeCode: 1008 },
  invalid_query: { status: 400, closeCode: 1008 },
  too_many_subscribers: { status: 429, closeCode: 1013 },
  schema_version: { status: 503, closeCode: 1013 },
  store_closed: { status: 503, closeCode: 1001 },

  // Outcomes of a bench run (the CLI turns them into its exit codes).
  audit_failed: { status: 500, closeCode: 1011 },
  aborted: { status: 500, closeCode: 1001 },
} as const satisfies Record<string, { status: number; closeCode: number }>;

/** A name from the error table. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** An error with a code for machines, a sentence for people and, where it helps, data for recovery. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/**
 * Tells whether a value is one of Sluice's errors. It reads the code, not the class: classes do not survive
 * RPC between Durable Objects or a second copy of the package.
 */
export function isSluiceError(value: unknown): value is SluiceError {
  return (
    value instanceof Error &&
    'code' in value &&
    typeof value.code === 'string' &&
    Object.hasOwn(ERROR_TABLE, value.code)
  );
}

/** The HTTP status that belongs to a code. */
export function httpStatus(code: ErrorCode): number {
  return ERROR_TABLE[code].status;
}

/** The WebSocket close code that belongs to a code. */
export function closeCode(code: ErrorCode): number {
  return ERROR_TABLE[code].closeCode;
}

/** The standard close code for a raw socket, which has none of the codes of `sluice.v1` (PROTOCOL.md, "Closing"). */
export function rawCloseCode(code: ErrorCode): number {
  const own = closeCode(code);
  if (own < 4000) return own;
  return own < 4500 ? 1008 : 1013;
}

/** The longest reason of a close frame, in bytes (RFC 6455, 5.5). */
const MAX_CLOSE_REASON_BYTES = 123;

/** The reason of a close: the code and a sentence, cut where it is too long. Sentences are in ASCII. */
export function closeReason(code: ErrorCode, sentence: string): string {
  const reason = `${code}: ${sentence}`.replaceAll(/[^\x20-\x7e]/g, '?');
  return reason.length <= MAX_CLOSE_REASON_BYTES
    ? reason
    : `${reason.slice(0, MAX_CLOSE_REASON_BYTES - 3)}...`;
}

/** The body of an `application/problem+json` answer (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: ErrorCode;
  detail: string;
  [extension: string]: unknown;
}

const TITLES: Partial<Record<ErrorCode, string>> = {
  invalid_options: 'Wrong options',
  unknown_sink: 'Unknown sink',
  upgrade_required: 'Upgrade required',
  database_unreachable: 'Database unreachable',
};

/** Turns any thrown value into problem details. What is not a SluiceError becomes `internal` without its text. */
export function toProblem(error: unknown): Problem {
  if (!isSluiceError(error)) {
    // The text of a foreign error may hold an address or a statement; it goes to the log, not to the client.
    const code = 'internal';
    return {
      type: 'about:blank',
      title: 'Internal error',
      status: 500,
      code,
      detail: toldText(error),
    };
  }
  return {
    ...error.details,
    type: 'about:blank',
    title: TITLES[error.code] ?? sentenceCase(error.code),
    status: httpStatus(error.code),
    code: error.code,
    detail: error.message,
  };
}

function sentenceCase(code: string): string {
  const words = code.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * What a client may be told of any thrown value: the sentence of an error of Sluice without its causes, which may name hosts, users
 * and statements.
 */
export function toldText(error: unknown): string {
  return isSluiceError(error) ? error.message : 'Something failed inside Sluice; see the log';
}

/** The text of any thrown value, with the causes that say more than the error itself, on one line. */
export function errorText(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 4 && current !== undefined && current !== null; depth += 1) {
    const part = ownText(current);
    if (part !== '' && !parts.some((known) => known.includes(part))) parts.push(part);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ').replaceAll(/\s+/g, ' ').slice(0, 500);
}

function ownText(value: unknown): string {
  // Drizzle's text is the statement with its parameters, which are users' data; what went wrong is in the cause.
  if (value instanceof Error && 'query' in value && 'params' in value && value.cause !== undefined) return '';
  // A refused connection to a name with several addresses is an AggregateError with an empty message.
  if (value instanceof AggregateError && value.errors.length > 0) return ownText(value.errors[0]);
  if (value instanceof Error) return value.message === '' ? value.name : value.message;
  return String(value);
}
