/** Why a value cannot go into its column, and the error that says so of a message. */

import { SluiceError } from '../core/errors.ts';

/** What a reader of a type throws for a value that Postgres would refuse. */
export class ValueFault extends Error {
  override readonly name = 'ValueFault';
}

/** Characters of a value that an error shows. */
const SHOWN_CHARACTERS = 60;

/** A value as errors show it: on one line, and cut. */
export function shown(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length <= SHOWN_CHARACTERS ? line : `${line.slice(0, SHOWN_CHARACTERS)}…`;
}

/** A column as errors name it. */
export interface NamedColumn {
  name: string;
  sqlType: string;
}

/** The error for a message whose value does not fit into its column. */
export function unfitValue(
  { name, sqlType }: NamedColumn,
  value: string,
  fault: ValueFault,
  row: number,
): SluiceError {
  return refusedMessage(
    `The column ${name} (${sqlType}) cannot take ${shown(value)}: ${fault.message}`,
    row,
    name,
  );
}

/** The error for a message without a value for a column that needs one. @param isNull true where it has null */
export function missingValue({ name, sqlType }: NamedColumn, isNull: boolean, row: number): SluiceError {
  const found = isNull ? 'the message has null for it' : 'the message has no value for it';
  return refusedMessage(`The column ${name} (${sqlType}) must not be NULL, and ${found}`, row, name);
}

/**
 * The error for a message that the mapping refuses.
 *
 * @param row its place in the batch's columns
 */
export function refusedMessage(sentence: string, row: number, column?: string): SluiceError {
  return new SluiceError('invalid_message', sentence, {
    details: { row, ...(column === undefined ? {} : { column }) },
  });
}
