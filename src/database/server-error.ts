/**
 * What the server says of an error, in its own fields (PostgreSQL documentation, "Error and Notice Message Fields"): the same
 * from both drivers, and found along the causes, since Drizzle wraps the driver's error.
 */

/** Longest text of `message`, `detail`, `hint` and `where` that is kept. They may repeat a value, which has no bound. */
export const MAX_SERVER_TEXT = 500;

/** Longest name that is kept. Postgres cuts its own at 63 bytes; those that a trigger makes up may be of any length. */
const MAX_SERVER_NAME = 128;

/** The fields of an error of the server. A field that the server left out, or left empty, is not there. */
export interface ServerError {
  readonly sqlState: string;
  /** What went wrong, in the server's language. */
  readonly message: string;
  /** More about it, often with values of the row. */
  readonly detail?: string;
  readonly hint?: string;
  /** Where in the server's work it happened: functions, and the line and column of a COPY. */
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
  /** The function in the server's source that raised it. Its name is never translated. */
  readonly routine?: string;
}

/** From the drivers' names of the fields to ours, with the longest text that is kept. */
const FIELDS = [
  ['detail', MAX_SERVER_TEXT],
  ['hint', MAX_SERVER_TEXT],
  ['where', MAX_SERVER_TEXT],
  ['schema', MAX_SERVER_NAME],
  ['table', MAX_SERVER_NAME],
  ['column', MAX_SERVER_NAME],
  ['dataType', MAX_SERVER_NAME],
  ['constraint', MAX_SERVER_NAME],
  ['routine', MAX_SERVER_NAME],
] as const satisfies readonly (readonly [keyof ServerError, number])[];

// Every SQLSTATE of Postgres has a digit; the codes of sockets that are as long (EPIPE) have none. A trigger may make up one
// of letters only (`using errcode = 'ABCDE'`): the server's severity beside it tells it from a socket's.
const SQL_STATE = /^[0-9A-Z]{5}$/;
const HAS_DIGIT = /[0-9]/;

/** The SQLSTATE of an error of the server, looked for along the causes; undefined where it is none. */
export function sqlState(error: unknown): string | undefined {
  return found(error)?.code;
}

/** The fields of an error of the server, looked for along the causes; undefined where it is none. */
export function serverErrorOf(error: unknown): ServerError | undefined {
  const server = found(error);
  if (server === undefined) return undefined;
  const fields: Record<string, string> = {};
  for (const [name, most] of FIELDS) {
    const text = server[name];
    if (typeof text === 'string' && text !== '') fields[name] = cut(text, most);
  }
  const message = typeof server.message === 'string' ? server.message : '';
  return { sqlState: server.code, message: cut(message, MAX_SERVER_TEXT), ...fields };
}

/** An error with these fields, as the drivers make them: for refusals that came as data. */
export function asServerError({ sqlState: code, message, ...fields }: ServerError): Error {
  return Object.assign(new Error(message), { ...fields, code, severity: 'ERROR' });
}

/** How many causes are looked at. */
const MAX_DEPTH = 5;

function found(error: unknown): (Record<string, unknown> & { code: string }) | undefined {
  let current: unknown = error;
  for (let depth = 0; depth < MAX_DEPTH && typeof current === 'object' && current !== null; depth += 1) {
    const { code, severity } = current as Record<string, unknown>;
    if (typeof code === 'string' && SQL_STATE.test(code)) {
      if (HAS_DIGIT.test(code) || typeof severity === 'string')
        return current as Record<string, unknown> & { code: string };
    }
    current = 'cause' in current ? current.cause : undefined;
  }
  return undefined;
}

// The cut may halve a surrogate pair.
function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
}
