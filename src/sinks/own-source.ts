/** Sources that a sink's own code makes: what they give is looked at before a writer takes it for a text. */

import { SluiceError } from '../core/errors.ts';
import { isBuiltIn } from './column-sources.ts';
import type { ColumnSource } from './sink.ts';
import { shown } from './value-fault.ts';

/** A source that throws `sink_failed` where it would give anything but a text, or null where it may. */
export function checkedSource(sink: string, key: string, source: ColumnSource): ColumnSource {
  if (isBuiltIn(source)) return source;
  const mayBeNull = source.shape === 'any';
  return {
    ...source,
    text(columns, row) {
      const text: unknown = source.text(columns, row);
      if (typeof text === 'string' || (text === null && mayBeNull)) return text;
      throw new SluiceError(
        'sink_failed',
        `The source of the column ${key} of the sink ${sink} returned ${described(text)}: it has to return the text that Postgres reads${mayBeNull ? ', or null for NULL' : ''}`,
      );
    },
  };
}

function described(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'object' || typeof value === 'function')
    return `${Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`}`;
  return `the ${typeof value} ${shown(String(value))}`;
}
