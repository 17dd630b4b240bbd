/** Times in milliseconds since 1970 as the texts that Postgres reads. */

import { ValueFault } from './value-fault.ts';

/** The first day that Postgres has, and the last millisecond that JavaScript has. */
const FIRST_MS = Date.UTC(-4713, 10, 24);
const LAST_MS = 8_640_000_000_000_000;

/**
 * A time in UTC, with its microseconds where the number has a fraction.
 *
 * @throws ValueFault where Postgres has no such time
 */
export function timestampOf(digits: string): string {
  const { date, micros } = timeOf(digits);
  const time = date.toISOString().slice(-13, -1);
  const fraction = micros === 0 ? '' : String(micros).padStart(3, '0');
  return withEra(date, (day) => `${day}T${time}${fraction}Z`);
}

/** The day of a time in UTC. @throws ValueFault where Postgres has no such day */
export function dateOf(digits: string): string {
  return withEra(timeOf(digits).date, (day) => day);
}

function timeOf(digits: string): { date: Date; micros: number } {
  const ms = Number(digits);
  if (!(ms >= FIRST_MS && ms <= LAST_MS))
    throw new ValueFault('it is beyond the times that Postgres has, in milliseconds since 1970');
  let whole = Math.floor(ms);
  let micros = Math.round((ms - whole) * 1000);
  if (micros === 1000) {
    whole += 1;
    micros = 0;
  }
  return { date: new Date(whole), micros };
}

// Postgres has no year 0 and no negative ones, and reads years of five digits as they are.
function withEra(date: Date, write: (day: string) => string): string {
  const year = date.getUTCFullYear();
  const rest = date.toISOString().slice(-20, -14);
  const day = (shownYear: number): string => `${String(shownYear).padStart(4, '0')}${rest}`;
  return year > 0 ? write(day(year)) : `${write(day(1 - year))} BC`;
}
