/**
 * From the type of a column to how its values are read. The types are those of the Drizzle table; one that is not in this table,
 * as of an extension, a domain or a composite, is read by Postgres from the text that was sent.
 */

import { is } from 'drizzle-orm';
import { PgArray, type PgColumn, PgEnumColumn, PgEnumObjectColumn } from 'drizzle-orm/pg-core';
import { dateOf, timestampOf } from './timestamps.ts';
import {
  bitsWithin,
  bytesText,
  enumText,
  floatText,
  integerText,
  isBooleanText,
  numericText,
  textWithin,
  uuidText,
} from './value-checks.ts';
import {
  ArrayReader,
  asIs,
  jsonReader,
  type ScalarRules,
  scalarReader,
  unknownReader,
  type ValueReader,
} from './value-readers.ts';

const TEXT: ScalarRules = { expected: 'a text', string: asIs, number: asIs, boolean: asIs, container: asIs };

/** For types that are written as texts, and of which only Postgres knows which texts. */
const WRITTEN: ScalarRules = { expected: 'a text', string: asIs, number: asIs };

function integer(bits: bigint): ScalarRules {
  const string = integerText(bits);
  return { expected: 'a whole number', string, number: string };
}

function float(smallest: number, largest: number): ScalarRules {
  const { string, number } = floatText(smallest, largest);
  return { expected: 'a number', string, number };
}

function numeric(precision?: number, scale = 0): ScalarRules {
  const { string, number } = numericText(precision, scale);
  return { expected: 'a number', string, number };
}

function limited(characters: number | undefined): ScalarRules {
  if (characters === undefined) return TEXT;
  const string = textWithin(characters);
  return { expected: 'a text', string, number: string, boolean: string, container: string };
}

function bits(length = 1): ScalarRules {
  const string = bitsWithin(length);
  return { expected: `${length} bits`, string, number: string };
}

const time = (number: (digits: string) => string): ScalarRules => ({
  expected: 'a time: send ISO text or milliseconds since 1970',
  string: asIs,
  number,
});

/** Rules by the name that Drizzle writes, with the numbers that stand in brackets after it. */
const RULES: Readonly<Record<string, (first?: number, second?: number) => ScalarRules>> = {
  smallint: () => integer(16n),
  smallserial: () => integer(16n),
  integer: () => integer(32n),
  int: () => integer(32n),
  serial: () => integer(32n),
  bigint: () => integer(64n),
  bigserial: () => integer(64n),
  real: () => float(1e-46, 3.5e38),
  'double precision': () => float(0, Number.MAX_VALUE),
  numeric,
  decimal: numeric,
  boolean: () => ({ expected: 'a boolean', string: isBooleanText, number: isBooleanText, boolean: asIs }),
  uuid: () => ({ expected: 'a UUID', string: uuidText, number: uuidText }),
  text: () => TEXT,
  varchar: limited,
  'character varying': limited,
  char: (length = 1) => limited(length),
  character: (length = 1) => limited(length),
  bit: bits,
  bytea: () => ({ expected: 'base64', string: bytesText }),
  timestamp: () => time(timestampOf),
  'timestamp with time zone': () => time(timestampOf),
  'timestamp without time zone': () => time(timestampOf),
  timestamptz: () => time(timestampOf),
  date: () => time(dateOf),
  time: () => WRITTEN,
  'time with time zone': () => WRITTEN,
  interval: () => WRITTEN,
  inet: () => WRITTEN,
  cidr: () => WRITTEN,
  macaddr: () => WRITTEN,
  macaddr8: () => WRITTEN,
};

/** How the values of a column are read. */
export function readerOf(column: PgColumn): ValueReader {
  if (is(column, PgArray)) return new ArrayReader(readerOf(column.baseColumn as PgColumn));
  if (is(column, PgEnumColumn) || is(column, PgEnumObjectColumn)) {
    const members = column.enumValues as readonly string[];
    const string = enumText(members);
    return scalarReader({ expected: 'a text', string, number: string, boolean: string, container: string });
  }
  return readerOfType(column.getSQLType());
}

/** The same for the name of a type, as in `varchar(3)[]`. */
export function readerOfType(sqlType: string): ValueReader {
  const array = /^(.*?)\s*\[\d*\]$/s.exec(sqlType);
  if (array !== null) return new ArrayReader(readerOfType(array[1] as string));
  const found =
    /^([a-z_0-9 ]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?\s*((?:with|without) time zone)?$/i.exec(
      sqlType.trim(),
    );
  if (found === null) return unknownReader;
  const [, name = '', first, second, zone] = found;
  const base = `${name.toLowerCase()}${zone === undefined ? '' : ` ${zone.toLowerCase()}`}`;
  if (base === 'json' || base === 'jsonb') return jsonReader;
  const rules = Object.hasOwn(RULES, base) ? RULES[base] : undefined;
  if (rules === undefined) return unknownReader;
  return scalarReader(rules(numberOf(first), numberOf(second)));
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
