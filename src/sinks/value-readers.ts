/**
 * How values of JSON become the texts that Postgres reads a type from. A reader refuses only what Postgres refuses too, in all
 * writers; what it is not sure of, it leaves to Postgres.
 */

import { elementsOf, stringOf } from '../core/json-parts.ts';
import { ValueFault } from './value-fault.ts';

export interface ValueReader {
  /** The text for a value of JSON other than null. @throws ValueFault */
  json(json: string): string;
  /** The same for a string, without quotes around it. @throws ValueFault */
  string(text: string): string;
}

/** What is made of each kind of a scalar's values. A kind that is missing is refused. */
export interface ScalarRules {
  /** What a value has to be, for people: "a whole number". */
  expected: string;
  string: (text: string) => string;
  number?: (digits: string) => string;
  boolean?: (word: string) => string;
  /** Missing: an object or an array is refused. */
  container?: (json: string) => string;
}

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const T = 0x74;
const F = 0x66;

export function scalarReader(rules: ScalarRules): ValueReader {
  const { expected, string, number, boolean, container } = rules;
  const refuse = (kind: string): never => {
    throw new ValueFault(`${kind} is not ${expected}`);
  };
  return {
    string,
    json(json) {
      switch (json.charCodeAt(0)) {
        case QUOTE:
          return string(stringOf(json));
        case OPEN_BRACE:
          return container === undefined ? refuse('an object') : container(json);
        case OPEN_BRACKET:
          return container === undefined ? refuse('an array') : container(json);
        case T:
        case F:
          return boolean === undefined ? refuse('true or false') : boolean(json);
        default:
          return number === undefined ? refuse('a number') : number(json);
      }
    },
  };
}

/** The text as it is. */
export const asIs = (text: string): string => text;

/** JSON is stored as it was sent. */
export const jsonReader: ValueReader = { json: asIs, string: (text) => JSON.stringify(text) };

/** A type that only Postgres knows, such as one of an extension: strings as their text, everything else as JSON. */
export const unknownReader = scalarReader({
  expected: 'known here',
  string: asIs,
  number: asIs,
  boolean: asIs,
  container: asIs,
});

/** Arrays: `["a",null]` becomes `{"a",NULL}`, and a string is taken for an array literal of Postgres. */
export class ArrayReader implements ValueReader {
  readonly #element: ValueReader;

  constructor(element: ValueReader) {
    this.#element = element;
  }

  string(text: string): string {
    return text;
  }

  json(json: string): string {
    switch (json.charCodeAt(0)) {
      case OPEN_BRACKET:
        return this.#literal(json);
      case QUOTE:
        return stringOf(json);
      default:
        // Postgres reads {} as an array without elements.
        if (/^\{\s*\}$/.test(json)) return json;
        throw new ValueFault('it is not an array');
    }
  }

  #literal(json: string): string {
    const elements = (elementsOf(json) ?? []).map((element, index) => this.#elementLiteral(element, index));
    return `{${elements.join(',')}}`;
  }

  #elementLiteral(json: string, index: number): string {
    if (json === 'null') return 'NULL';
    if (json.charCodeAt(0) === OPEN_BRACKET) {
      // An array in an array of jsonb is a value. Any other is a dimension, which Postgres keeps whether declared or not.
      if (this.#element instanceof ArrayReader) return this.#element.#literal(json);
      if (this.#element !== jsonReader) return this.#literal(json);
    }
    const text = this.#element instanceof ArrayReader ? unknownReader.json(json) : this.#text(json, index);
    return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
  }

  #text(json: string, index: number): string {
    try {
      return this.#element.json(json);
    } catch (error) {
      if (error instanceof ValueFault)
        throw new ValueFault(`its element ${index + 1}, ${json.slice(0, 40)}: ${error.message}`);
      throw error;
    }
  }
}
