/**
 * Columns from the members of a message. Values are cut from the message's text and never become numbers here, so Postgres
 * gets the digits that were sent.
 */

import type { PgColumn } from 'drizzle-orm/pg-core';
import { eachMember } from '../core/json-parts.ts';
import { defaultOf, type MakeDefault } from './column-defaults.ts';
import { readerOf } from './column-types.ts';
import type { MessageColumns } from './message-batch.ts';
import type { ReadRow } from './row-source.ts';
import {
  missingValue,
  type NamedColumn,
  refusedMessage,
  shown,
  unfitValue,
  ValueFault,
} from './value-fault.ts';
import type { ValueReader } from './value-readers.ts';

/** A column whose value is one of a message, or its default. */
export interface ValueColumn extends NamedColumn {
  key: string;
  reader: ValueReader;
  /** What a message gets that has no value for it. */
  missing: MakeDefault;
  /** True where NULL is refused. */
  isNeeded: boolean;
}

export function valueColumn(key: string, column: PgColumn, sqlType: string): ValueColumn {
  return {
    key,
    name: column.name,
    sqlType,
    reader: readerOf(column),
    missing: defaultOf(column),
    isNeeded: column.notNull,
  };
}

/** What becomes of members that no column takes; `keep`: they go into one more column, after all others. */
export type RestRule = 'ignore' | 'refuse' | 'keep';

export interface MemberMapping {
  columns: readonly ValueColumn[];
  /** The keys of all columns of the table. A key wins over the name of another column. */
  tableKeys: ReadonlySet<string>;
  rest: RestRule;
  /** Members that another source reads. They are no rest. */
  readElsewhere: ReadonlySet<string>;
  /** The sentence for a message that is not an object; undefined where such a message is taken as one without members. */
  refusal: string | undefined;
}

/** Where a member goes that no column takes. */
const NOWHERE = -1;
const REST = -2;

/** How the rows are read of a sink that takes the members of its messages. */
export function memberReader({ columns, tableKeys, rest, readElsewhere, refusal }: MemberMapping): ReadRow {
  const places = placesOf(columns, tableKeys);
  for (const name of readElsewhere) if (!places.has(name)) places.set(name, NOWHERE);
  const others = rest === 'ignore' ? NOWHERE : REST;
  const count = columns.length;
  let found: (string | undefined)[] = [];
  let kept: Map<string, string> | undefined;
  let stranger: string | undefined;

  const take = (name: string, json: string): void => {
    const place = places.get(name) ?? others;
    // Of several with one name the last counts, as JSON.parse has it.
    if (place >= 0) found[place] = json;
    else if (place === REST) {
      if (rest === 'refuse') stranger ??= name;
      else {
        kept ??= new Map();
        kept.set(name, json);
      }
    }
  };

  return (messages, row) => {
    found = new Array<string | undefined>(count);
    kept = undefined;
    stranger = undefined;
    if (!eachMember(messages.payloads[row] as string, take) && refusal !== undefined)
      throw refusedMessage(refusal, row);
    if (stranger !== undefined)
      throw refusedMessage(
        `No column takes the member ${shown(JSON.stringify(stranger))} of the message`,
        row,
      );
    const texts = new Array<string | null>(rest === 'keep' ? count + 1 : count);
    for (let index = 0; index < count; index += 1)
      texts[index] = columnText(columns[index] as ValueColumn, found[index], messages, row);
    if (rest === 'keep') texts[count] = objectText(kept);
    return texts;
  };
}

function placesOf(columns: readonly ValueColumn[], tableKeys: ReadonlySet<string>): Map<string, number> {
  const places = new Map(columns.map(({ key }, index) => [key, index]));
  columns.forEach(({ name }, index) => {
    if (!tableKeys.has(name)) places.set(name, index);
  });
  return places;
}

function columnText(
  column: ValueColumn,
  json: string | undefined,
  messages: MessageColumns,
  row: number,
): string | null {
  if (json === undefined || json === 'null') {
    const text = json === undefined ? column.missing(messages, row) : null;
    if (text === null && column.isNeeded) throw missingValue(column, json !== undefined, row);
    return text;
  }
  try {
    return column.reader.json(json);
  } catch (error) {
    throw error instanceof ValueFault ? unfitValue(column, json, error, row) : error;
  }
}

/** The members that no column took, as they were sent. */
function objectText(members: ReadonlyMap<string, string> | undefined): string {
  if (members === undefined) return '{}';
  return `{${[...members].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}
