/** What failures of Postgres are to a caller of the message store. */

import { errorText, isSluiceError, SluiceError } from '../core/errors.ts';
import { sqlState } from '../database/connection.ts';

const NOUNS = {
  append: 'an append',
  import: 'an import',
  clear: 'a deletion',
  read: 'a read',
  namespaces: 'a change or a listing of namespaces',
};

/** What the store was doing. */
export type StoreUse = keyof typeof NOUNS;

// A schema, a function or a table (PostgreSQL documentation, appendix "PostgreSQL Error Codes").
const MISSING_STATES = new Set(['3F000', '42883', '42P01']);

/** Whether a statement failed because what it names is not there. */
export function isMissing(error: unknown): boolean {
  return !isSluiceError(error) && MISSING_STATES.has(sqlState(error) ?? '');
}

/**
 * The error for a caller: `database_unreachable` where the connection was lost, `database_refused` with the SQLSTATE in
 * its details where the server refused. The driver's error, whose text holds the messages, is only its cause. Errors of
 * Sluice stay what they are.
 */
export function storeError(error: unknown, doing: StoreUse): SluiceError {
  const outcome = doing === 'read' ? '' : '; whether anything was written is not known';
  if (isSluiceError(error)) {
    if (error.code !== 'time_limit') return error;
    const message = `Postgres did not answer in time during ${NOUNS[doing]}${outcome}`;
    return new SluiceError('time_limit', message, { cause: error, details: error.details });
  }
  const state = sqlState(error);
  const options = { cause: error, details: { sqlState: state } };
  if (state === undefined || state.startsWith('08') || state.startsWith('57P0')) {
    return new SluiceError(
      'database_unreachable',
      `The connection to Postgres was lost during ${NOUNS[doing]}${outcome}: ${errorText(error)}`,
      options,
    );
  }
  return new SluiceError(
    'database_refused',
    `Postgres failed at ${NOUNS[doing]} (SQLSTATE ${state}): ${errorText(error)}`,
    options,
  );
}

/** As `storeError`, of the statements of one namespace: `unknown_namespace` where its schema is not there. */
export function namespaceError(error: unknown, schema: string, doing: StoreUse): SluiceError {
  if (!isMissing(error)) return storeError(error, doing);
  return unknownSchema(schema, error);
}

/** The error for a schema that is none of a namespace. */
export function unknownSchema(schema: string, cause?: unknown): SluiceError {
  return new SluiceError('unknown_namespace', `The namespace of the schema ${schema} does not exist`, {
    cause,
  });
}
