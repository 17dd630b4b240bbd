/** Arrays of texts as Postgres writes and reads them (PostgreSQL documentation, "Array Input and Output Syntax"). */

import { quotedElement } from '../../store/postgres-statements.ts';

// What needs no quotes as an element, apart from the word NULL.
const PLAIN = /^[\w:.@/+=#~-]+$/;

function isPlain(value: string): boolean {
  return PLAIN.test(value) && !(value.length === 4 && value.toLowerCase() === 'null');
}

/** As short as it can be: quotes only where an element needs them. */
export function shortArrayText(values: readonly string[]): string {
  return `{${values.map((value) => (isPlain(value) ? value : quotedElement(value))).join(',')}}`;
}

/** An array of the texts of arrays (null: none), which an array of arrays would not be: they differ in length. */
export function arrayTexts(lists: readonly (readonly string[] | null)[]): string {
  let text = '';
  for (const list of lists) {
    text += text === '' ? '{' : ',';
    if (list === null) text += 'NULL';
    else text += list.every(isPlain) ? `"{${list.join(',')}}"` : quotedElement(shortArrayText(list));
  }
  return `${text}}`;
}

/**
 * Reads an array of texts of one dimension without nulls, as Postgres writes it.
 *
 * @throws RangeError where the text is no such array, which Postgres does not write
 */
export function parseTextArray(text: string): string[] {
  if (text === '{}') return [];
  if (text[0] !== '{' || text.at(-1) !== '}') throw new RangeError('Not an array');
  if (!text.includes('"')) return text.slice(1, -1).split(',');
  const values: string[] = [];
  let at = 1;
  while (at < text.length) {
    let end = at;
    if (text[at] === '"') {
      end += 1;
      while (text[end] !== '"') {
        if (end >= text.length) throw new RangeError('An element of an array does not end');
        end += text[end] === '\\' ? 2 : 1;
      }
      values.push(text.slice(at + 1, end).replaceAll(/\\(.)/gs, '$1'));
      end += 1;
    } else {
      while (text[end] !== ',' && end < text.length - 1) end += 1;
      values.push(text.slice(at, end));
    }
    // Over the comma, or the bracket at the end.
    at = end + 1;
  }
  return values;
}
