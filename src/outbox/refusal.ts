/**
 * Why a message or a batch was refused, and by whom: what dead letters, `/stats`, the log and nacks say of an error. Every text
 * has a bound, values in it are cut, and no address, password or statement is in it.
 */

import { type ErrorCode, errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import { MAX_DEAD_LETTER_REASON_LENGTH } from '../core/limits.ts';
import { type ServerError, serverErrorOf } from '../database/server-error.ts';

/**
 * Who refused it.
 *
 * - `postgres`: the database, for a value, a constraint or a trigger.
 * - `mapping`: Sluice, because the message does not fit the sink's columns or streams.
 * - `schema`: the sink's schema of messages.
 * - `sink`: the sink's own code, which threw.
 */
export const REFUSERS = ['postgres', 'mapping', 'schema', 'sink'] as const;

export type Refuser = (typeof REFUSERS)[number];

export interface Refusal {
  /** Null where nobody said it: a letter of an older version, or an error that is about no message, as a lost connection. */
  by: Refuser | null;
  /** The SQLSTATE; null where it did not come from Postgres. */
  sqlState: string | null;
  /** What was wrong, in one line. */
  reason: string;
  /** Postgres's DETAIL and HINT. */
  detail: string | null;
  hint: string | null;
  table: string | null;
  column: string | null;
  constraint: string | null;
}

/** What an error says beside its sentence. */
export type RefusalDetails = Omit<Refusal, 'reason'>;

/** Longest DETAIL, and longest HINT. */
const MAX_ADVICE_LENGTH = 300;
/** Longest name. Postgres cuts its own at 63 bytes. */
const MAX_NAME_LENGTH = 128;
/** Characters of a value that are shown. */
const MAX_VALUE_LENGTH = 60;

/** What is said of an error, found along its causes. */
export function refusalOf(error: unknown): Refusal {
  const by = refuserOf(error);
  const server = by === null || by === 'postgres' ? serverErrorOf(error) : undefined;
  const reason = errorText(error);
  return {
    by,
    sqlState: server?.sqlState ?? null,
    reason: bounded(server === undefined ? reason : withCutValues(reason), MAX_DEAD_LETTER_REASON_LENGTH),
    detail: advice(server?.detail),
    hint: advice(server?.hint),
    ...placeOf(error, server),
  };
}

/** What a refusal says beside its sentence; null where it says nothing more. */
export function detailsOf({ reason: _, ...details }: Refusal): RefusalDetails | null {
  return Object.values(details).every((value) => value === null) ? null : details;
}

/** What is said of a message that the sink's schema refuses, or where the schema itself fails. */
export function refusalBySchema({ code, message }: { code: ErrorCode; message: string }): Refusal {
  const by = code === 'sink_failed' ? 'sink' : 'schema';
  return refusalOf(new SluiceError(code, message, { details: { by } }));
}

function refuserOf(error: unknown): Refuser | null {
  if (!isSluiceError(error)) return serverErrorOf(error) === undefined ? null : 'postgres';
  const { by } = error.details;
  if (isRefuser(by)) return by;
  switch (error.code) {
    case 'sink_failed':
      return 'sink';
    case 'invalid_message':
    case 'invalid_stream_name':
      return 'mapping';
    case 'duplicate_message_id':
      return 'postgres';
    default:
      return serverErrorOf(error) === undefined ? null : 'postgres';
  }
}

/** True for the name of somebody who refuses messages. */
export function isRefuser(value: unknown): value is Refuser {
  return (REFUSERS as readonly unknown[]).includes(value);
}

function placeOf(
  error: unknown,
  server: ServerError | undefined,
): Pick<Refusal, 'table' | 'column' | 'constraint'> {
  if (server === undefined) {
    const column = isSluiceError(error) ? error.details.column : undefined;
    return { table: null, column: name(column), constraint: null };
  }
  const copied = copyPlace(server.where);
  return {
    table: name(server.table ?? copied?.table),
    column: name(server.column ?? copied?.column),
    constraint: name(server.constraint),
  };
}

// A value that its type refuses has no column in the server's fields, but COPY says where it was: "COPY readings, line 3, column
// celsius: …". In other languages the words between are others, and stand at the same places.
function copyPlace(where: string | undefined): { table: string; column: string | undefined } | undefined {
  const match = /^COPY ([^,\n]+), \S+ \d+(?:, \S+ ([^:\n]+):)?/m.exec(where ?? '');
  return match === null ? undefined : { table: match[1] as string, column: match[2] };
}

/**
 * A text with its values cut: what stands in quotes, and in the brackets of "Key (device)=(…)" and "Failing row contains (…)".
 * The text may have been cut before, and so lack the end of a quote.
 */
function withCutValues(text: string): string {
  return text
    .replace(
      /(?<=[=\s])\((?:(.{61,})\)|(.{61,})$)/su,
      (_, whole?: string, rest?: string) => `(${cutValue(whole ?? rest)})`,
    )
    .replaceAll(/"([^"]{61,})(?:"|$)/gu, (_, value: string) => `"${cutValue(value)}"`);
}

function cutValue(value = ''): string {
  return `${Array.from(value).slice(0, MAX_VALUE_LENGTH).join('')}…`;
}

function advice(text: string | undefined): string | null {
  return text === undefined ? null : bounded(withCutValues(text), MAX_ADVICE_LENGTH);
}

function name(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? bounded(value, MAX_NAME_LENGTH) : null;
}

// What a trigger or a sink's own code says may hold anything: an address with its password is the worst of it, and a NUL is what
// Postgres cannot keep. The cut may halve a surrogate pair.
function bounded(text: string, most: number): string {
  return text
    .replaceAll(/\b(postgres(?:ql)?:\/\/)[^\s@/]*@/giu, '$1…@')
    .replaceAll('\0', '\ufffd')
    .slice(0, most)
    .toWellFormed();
}
