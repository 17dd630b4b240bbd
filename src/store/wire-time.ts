/** Time as the message store writes it on the wire: `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`, in UTC. */

import { SluiceError } from '../core/errors.ts';

/** @param timeUs microseconds since 1970, from 0 to 2^53 - 1, which is in the year 2255 */
export function formatTimeUs(timeUs: number): string {
  const ms = Math.floor(timeUs / 1_000);
  return `${new Date(ms).toISOString().slice(0, 23)}${String(timeUs - ms * 1_000).padStart(3, '0')}000Z`;
}

const TIME = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d(?::?\d\d)?)?)?$/;

/**
 * Reads a time (RFC 3339, up to 9 decimals) or a date, which is its first moment in UTC. A time without a zone, as Message
 * DB's column `time` has it, is in UTC; a zone may be written as Postgres does, `+00` or `+0530`. What is finer than a
 * microsecond is cut off: no engine keeps it.
 *
 * @returns microseconds since 1970, in the years 1970 to 2255
 * @throws SluiceError `invalid_options`
 */
export function parseTimeUs(text: unknown): number {
  const match = typeof text === 'string' ? TIME.exec(text) : null;
  if (match !== null) {
    const [, date = '', time = '00:00:00', fraction = '', zone = 'Z'] = match;
    const ms = Date.parse(`${date}T${time}${zoneOf(zone)}`);
    const midnightMs = Date.parse(`${date}T00:00:00Z`);
    const timeUs = ms * 1_000 + Number(fraction.padEnd(6, '0').slice(0, 6));
    // A day that its month does not have would be read as one of the next month.
    const isReal = !Number.isNaN(ms + midnightMs) && new Date(midnightMs).toISOString().slice(0, 10) === date;
    if (isReal && timeUs >= 0 && timeUs <= Number.MAX_SAFE_INTEGER) return timeUs;
  }
  throw new SluiceError(
    'invalid_options',
    `Not a time: ${JSON.stringify(text)?.slice(0, 100)}; a text such as "2025-01-31" or "2025-01-31T12:00:00.123456Z" is allowed`,
  );
}

function zoneOf(zone: string): string {
  if (zone.length <= 1) return 'Z';
  return `${zone.slice(0, 3)}:${zone.slice(3).replace(':', '') || '00'}`;
}
