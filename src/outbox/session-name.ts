/** The names of sessions: a session's number in its epoch, so that a newer one is known as such, and a text that nobody else has. */

/**
 * The highest number of a session. No epoch has so many, unless somebody says so who wants to use the numbers up; a higher one
 * would not be read as a number any more, and every session after it would pass for the newest.
 */
export const MAX_SESSION_ORDINAL = 999_999_999;

export function sessionName(ordinal: number, random: string): string {
  return `${ordinal}.${random}`;
}

/** The number of a session in its epoch; 0 where there is none, or where its name has none. */
export function ordinalOf(session: string | undefined): number {
  const [ordinal = ''] = session?.split('.', 1) ?? [];
  return /^\d{1,9}$/.test(ordinal) ? Number(ordinal) : 0;
}
