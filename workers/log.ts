/** The log of the Worker: a line of JSON for each thing (src/core/log-line.ts). The platform adds where it came from. */

import { errorText, isSluiceError } from '../src/core/errors.ts';
import { type LogFields, type LogLevel, type LogLine, logLine } from '../src/core/log-line.ts';
import { sqlState } from '../src/database/server-error.ts';

export function writeLine(line: LogLine): void {
  const text = JSON.stringify(line);
  if (line.level === 'error') console.error(text);
  else if (line.level === 'warn') console.warn(text);
  else console.info(text);
}

export function log(level: LogLevel, fields: LogFields): void {
  writeLine(logLine(level, Date.now(), fields));
}

/**
 * Says that something failed.
 *
 * @param doing what, as in "The directory of shards failed"
 */
export function logFailure(doing: string, error: unknown, fields: Partial<LogFields> = {}): void {
  const code = isSluiceError(error) ? error.code : null;
  log('error', {
    code,
    sqlstate: sqlState(error) ?? null,
    ...fields,
    message: `${doing}: ${errorText(error)}`,
  });
}
