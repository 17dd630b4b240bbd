/** Sentences without what stood in messages, and without the database's address: a log is read by more people than a table. */

import type { Refusal } from '../outbox/refusal.ts';

/** SQLSTATE classes whose sentences name columns, tables and constraints in quotes, and never a value: PostgreSQL has those in DETAIL. */
const NAMES_ONLY = /^(0A|08|23|25|26|28|3D|3F|40|42|53|55|57|58|F0|HV|XX)/;

/** A sentence that is longer is cut before it is looked at: what repeats in the expressions below takes time with its square. */
const MAX_SENTENCE_LENGTH = 2_000;

const QUOTED = /"[^"]*"|'[^']*'|«[^»]*»|„[^“]*“/g;

/**
 * A sentence with its values taken out.
 *
 * @param details who refused the message; null where the error is about no message
 */
export function withoutValues(whole: string, details: Pick<Refusal, 'by' | 'sqlState'> | null): string {
  const sentence = whole.slice(0, MAX_SENTENCE_LENGTH);
  switch (details?.by) {
    case 'mapping':
      // src/sinks/value-fault.ts: the last colon is that before the reason.
      return sentence.replace(/ cannot take .*(?=: )/s, ' cannot take a value');
    case 'schema':
    case 'sink':
      return sentence.replaceAll(QUOTED, '…').replaceAll(/\d+/g, '…');
    case 'postgres':
      if (details.sqlState === null || NAMES_ONLY.test(details.sqlState)) return sentence;
      return sentence.replaceAll(QUOTED, '"…"');
    default:
      return sentence;
  }
}

/** How a database is named in sentences: `user@host:port/database (tcp)`. */
const ADDRESS = / \S+@\S+:\d+\/\S+ \((?:tcp|neon)\)/g;
/** What platforms add to it: the name that was not found, the IP address that was tried. */
const NAME = /\b(ENOTFOUND|EAI_AGAIN) \S+/g;
const IP = / ?(?:\b\d{1,3}(?:\.\d{1,3}){3}\b|\[?[\da-f]{0,4}(?::[\da-f]{0,4}){3,7}\]?)(?::\d+)?/gi;

/** @param host of the database, where it is known */
export function withoutAddress(sentence: string, host: string | undefined): string {
  const plain = sentence
    .slice(0, MAX_SENTENCE_LENGTH)
    .replaceAll(ADDRESS, '')
    .replaceAll(NAME, '$1')
    .replaceAll(IP, '');
  return host === undefined ? plain : plain.replaceAll(host, '…');
}
