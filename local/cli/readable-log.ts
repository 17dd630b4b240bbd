/** The log of a Worker for people: lines of JSON (src/core/log-line.ts) as sentences, everything else as it is. */

import { StringDecoder } from 'node:string_decoder';

/** What stands in front of a line. Colours only where somebody looks. */
const COLOURS: Record<string, string> = { error: '\u001b[31m', warn: '\u001b[33m', info: '\u001b[36m' };
const PLAIN = '\u001b[0m';

/** A line of the log longer than that is passed on as it is. */
const MAX_LINE_LENGTH = 64 * 1024;

/**
 * A line as a sentence: `17:05:09 warn readings/0 retrying: Cannot reach the database (08006)`.
 *
 * @returns undefined where it is no line of the log
 */
export function readableLine(line: string, hasColours: boolean): string | undefined {
  const start = line.indexOf('{"level":"');
  if (start === -1) return undefined;
  let read: Record<string, unknown>;
  try {
    read = JSON.parse(line.slice(start)) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { level, at, sink, shard, code, sqlstate, message, host } = read;
  if (typeof level !== 'string' || typeof message !== 'string') return undefined;
  const time = typeof at === 'string' ? new Date(at).toLocaleTimeString('en-GB') : '';
  const place = typeof sink === 'string' ? `${sink}${typeof shard === 'number' ? `/${shard}` : ''}` : '';
  const known = [sqlstate ?? code, host].filter((part) => typeof part === 'string').join(', ');
  const colour = hasColours ? (COLOURS[level] ?? '') : '';
  const shownLevel = colour === '' ? level : `${colour}${level}${PLAIN}`;
  return [time, shownLevel, place, message, known === '' ? '' : `(${known})`]
    .filter((part) => part !== '')
    .join(' ');
}

/** Reads a stream by lines, and writes each as people read it. What has no end yet is written once nothing more comes. */
export class ReadableLog {
  readonly #write: (text: string) => void;
  readonly #hasColours: boolean;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(write: (text: string) => void, hasColours: boolean) {
    this.#write = write;
    this.#hasColours = hasColours;
  }

  add(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#write(`${readableLine(line, this.#hasColours) ?? line}\n`);
    // What has no end yet, as a question, is not held back, unless it may become a line of the log.
    if (this.#rest !== '' && (!this.#rest.includes('{') || this.#rest.length > MAX_LINE_LENGTH)) {
      this.#write(this.#rest);
      this.#rest = '';
    }
  }

  end(): void {
    if (this.#rest !== '') this.#write(readableLine(this.#rest, this.#hasColours) ?? this.#rest);
    this.#rest = '';
  }
}
