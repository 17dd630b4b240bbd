/**
 * Options as data: one table describes each option once, and defaults, checking, CLI flags, query parameters,
 * help texts and the tables of the pages are all read from it.
 */

import { SluiceError } from './errors.ts';

interface BaseSpec {
  /** One line for the help text, without the default. */
  description: string;
}

/** A whole number with its bounds, both inclusive. */
export interface IntegerSpec extends BaseSpec {
  kind: 'integer';
  default: number;
  min: number;
  max: number;
}

/** Several whole numbers with their bounds, both inclusive; written as `1,2,3`. */
export interface IntegersSpec extends BaseSpec {
  kind: 'integers';
  default: readonly number[];
  min: number;
  max: number;
}

/** The name of something in a database: letters, digits and underscores, beginning with no digit, at most 48. */
export interface NameSpec extends BaseSpec {
  kind: 'name';
  default: string;
}

/** One of some words. */
export interface ChoiceSpec<Word extends string = string> extends BaseSpec {
  kind: 'choice';
  default: Word;
  choices: readonly Word[];
}

/** Several of some words; written as `a,b,c`. */
export interface ChoicesSpec<Word extends string = string> extends BaseSpec {
  kind: 'choices';
  default: readonly Word[];
  choices: readonly Word[];
}

/** On or off; a bare flag means on. */
export interface SwitchSpec extends BaseSpec {
  kind: 'switch';
  default: boolean;
}

export type OptionSpec = IntegerSpec | IntegersSpec | NameSpec | ChoiceSpec | ChoicesSpec | SwitchSpec;
export type OptionTable = Record<string, OptionSpec>;

type ValueOf<Spec> = Spec extends { kind: 'integer' }
  ? number
  : Spec extends { kind: 'integers' }
    ? readonly number[]
    : Spec extends { kind: 'name' }
      ? string
      : Spec extends { kind: 'choice'; choices: readonly (infer Word)[] }
        ? Word
        : Spec extends { kind: 'choices'; choices: readonly (infer Word)[] }
          ? readonly Word[]
          : boolean;

/** The resolved options that belong to a table. */
export type OptionsOf<Table extends OptionTable> = { -readonly [Name in keyof Table]: ValueOf<Table[Name]> };

/** Keeps a table's literal types, so that `OptionsOf` knows each option's words. */
export function optionTable<const Table extends OptionTable>(table: Table): Table {
  return table;
}

/**
 * Fills in defaults and checks every value. Values may be what they should be, or the text of it.
 *
 * @param path what the options belong to, for messages: an option is named as `path.name`.
 * @throws SluiceError `invalid_options` for an unknown name or a value out of bounds, naming what is allowed.
 */
export function resolveOptions<Table extends OptionTable>(
  table: Table,
  given: Readonly<Record<string, unknown>>,
  path = '',
): OptionsOf<Table> {
  assertKnownNames(given, Object.keys(table), path);
  const resolved: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(table)) {
    const value = given[name];
    resolved[name] = value === undefined ? spec.default : readValue(spec, value, label(path, name), name);
  }
  return resolved as OptionsOf<Table>;
}

/**
 * Refuses names that mean nothing: a misspelt option that is silently ignored is the hardest kind to find.
 *
 * @throws SluiceError `invalid_options`
 */
export function assertKnownNames(
  given: Readonly<Record<string, unknown>>,
  known: readonly string[],
  path = '',
): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const remedy = known.length === 0 ? 'there are none here' : `known are ${known.join(', ')}`;
    throw new SluiceError('invalid_options', `Unknown option ${label(path, name)}: ${remedy}`, {
      details: { option: name, allowed: known },
    });
  }
}

function label(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function readValue(spec: OptionSpec, value: unknown, named: string, name: string): unknown {
  switch (spec.kind) {
    case 'integer': {
      const number = readInteger(value, spec);
      if (number !== undefined) return number;
      break;
    }
    case 'integers': {
      const given = typeof value === 'string' ? value.split(',') : value;
      const numbers = Array.isArray(given) ? given.map((one) => readInteger(one, spec)) : [];
      if (numbers.length > 0 && !numbers.includes(undefined)) return [...new Set(numbers)];
      break;
    }
    case 'name':
      if (typeof value === 'string' && NAME.test(value)) return value;
      break;
    case 'choice':
      if (typeof value === 'string' && spec.choices.includes(value)) return value;
      break;
    case 'choices': {
      const words = typeof value === 'string' ? value.split(',').map((word) => word.trim()) : value;
      if (Array.isArray(words) && words.length > 0 && words.every((word) => spec.choices.includes(word))) {
        return [...new Set(words)];
      }
      break;
    }
    case 'switch':
      if (typeof value === 'boolean') return value;
      if (value === '' || value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
      break;
  }
  const allowed = allowedText(spec);
  throw new SluiceError('invalid_options', `Cannot use ${JSON.stringify(value)} for ${named}: ${allowed}`, {
    details: { option: name, value, allowed },
  });
}

const NAME = /^[a-z_][a-z0-9_]{0,47}$/i;

function readInteger(value: unknown, { min, max }: IntegerSpec | IntegersSpec): number | undefined {
  const number = typeof value === 'string' && /^-?\d+$/.test(value.trim()) ? Number(value) : value;
  const isAllowed = typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max;
  return isAllowed ? number : undefined;
}

/** What an option accepts, as the end of a sentence. */
export function allowedText(spec: OptionSpec): string {
  switch (spec.kind) {
    case 'integer':
      return `a whole number from ${spec.min} to ${spec.max} is allowed`;
    case 'integers':
      return `a comma-separated list of whole numbers from ${spec.min} to ${spec.max} is allowed`;
    case 'name':
      return 'a name of letters, digits and underscores is allowed, at most 48, beginning with no digit';
    case 'choice':
      return `one of ${spec.choices.join(', ')} is allowed`;
    case 'choices':
      return `a comma-separated list of ${spec.choices.join(', ')} is allowed`;
    case 'switch':
      return 'true or false is allowed';
  }
}
