/**
 * Export and import of a namespace as lines of JSON, as EventoDB has them: one message a line, with its positions, in
 * the order of the global positions. Both go through in bounded memory.
 */

import { decodeUtf8, foreignEncoding } from '../../core/decode-utf8.ts';
import { errorText, isSluiceError, SluiceError } from '../../core/errors.ts';
import { memberOf } from '../../core/json-parts.ts';
import { MAX_IMPORTED_POSITION, MAX_PAGE_BYTES } from '../../core/limits.ts';
import { hasUnevenNumber, JsonText } from '../../store/exact-numbers.ts';
import { failureText } from '../../store/failure-text.ts';
import { PageSize } from '../../store/page-size.ts';
import { formatTimeUs, parseTimeUs } from '../../store/wire-time.ts';
import type { MessageRecord } from '../engine.ts';
import type { ImportedMessage, JsonObject, JsonValue } from '../message.ts';
import type { MessageStore } from '../message-store.ts';

/** Messages of one transaction of an import, and of one progress report. */
export const IMPORT_BATCH_MESSAGES = 1_000;

/** Text of one transaction of an import; a batch is ended early by it. */
export const IMPORT_BATCH_CHARACTERS = 4 * 1024 * 1024;

/** Bytes of one line. A message has up to 1 MiB, and JSON may write a character as six. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** How long an import that has failed goes on reading what it drops, so that its client reads why. */
export const IMPORT_DRAIN_MS = 10_000;

/** Messages of an export that are read at a time; fewer where they are large. */
const EXPORT_PAGE_MESSAGES = 500;

export interface ExportFilter {
  /** Empty: all. */
  categories: readonly string[];
  /** Microseconds since 1970; inclusive. */
  sinceUs?: number | undefined;
  /** Microseconds since 1970; exclusive. */
  untilUs?: number | undefined;
}

/**
 * The messages of a namespace as lines, in pieces of a page each. What is written while it runs is not among them, so
 * that it comes to an end, and its categories are of one moment. They come one after the other, as EventoDB has it. Times
 * are compared with each message: they need not rise with the positions.
 */
export async function* exportLines(
  store: MessageStore,
  { categories, sinceUs = Number.NEGATIVE_INFINITY, untilUs = Number.POSITIVE_INFINITY }: ExportFilter,
): AsyncGenerator<string, void, undefined> {
  const { head } = await store.info();
  const size = new PageSize(EXPORT_PAGE_MESSAGES, MAX_PAGE_BYTES);
  for (const category of categories.length === 0 ? [''] : new Set(categories)) {
    for (let from = 1n; ; ) {
      const batchSize = size.messages;
      const page = await store.readCategoryRecords(category, { globalPosition: from, batchSize });
      size.learn(page);
      const lines = page
        .filter(
          ({ timeUs, globalPosition }) => globalPosition <= head && timeUs >= sinceUs && timeUs < untilUs,
        )
        .map((message) => `${exportLine(message)}\n`);
      if (lines.length > 0) yield lines.join('');
      const last = page.at(-1);
      if (last === undefined || page.length < batchSize || last.globalPosition >= head) break;
      from = last.globalPosition + 1n;
    }
  }
}

function exportLine(record: MessageRecord): string {
  const { id, stream, type, position, globalPosition, data, metadata, timeUs } = record;
  // Postgres writes JSON text in one line; what SQLite keeps is what was checked and written here, in one line too.
  return `{"id":"${id}","stream":${JSON.stringify(stream)},"type":${JSON.stringify(type)},"pos":${position},"gpos":${globalPosition},"data":${data},"meta":${metadata ?? 'null'},"time":"${formatTimeUs(timeUs)}"}`;
}

/** What an import tells of itself. */
export type ImportEvent =
  /** So many messages of the text are stored; the last one has this global position. */
  | { imported: number; gpos: number }
  /** `repeated`: how many of them were there already, the same at the same places; missing where none was. */
  | { done: true; imported: number; repeated?: number; elapsed: string }
  /**
   * The import has ended early. `line`, counted from 1, is the one at fault; so many messages of the lines before are
   * stored, up to this global position (0: none). The whole text can be sent again: these count as done then.
   */
  | { error: string; message: string; line: number; imported: number; gpos: number };

export interface ImportOptions {
  /** Milliseconds since some moment. */
  now(): number;
  /** Told what becomes `IMPORT_FAILED`, whose text may hold an address or a statement. */
  onFailure(error: unknown): void;
}

/**
 * Stores lines with their positions, a batch in a transaction. It reads on only when a batch is stored, so that memory
 * is bounded by one batch and one line. It never throws: what goes wrong is the last event. After that the text is read on
 * and dropped, to its end or for `IMPORT_DRAIN_MS`: a client that is sending when its connection ends does not get to read the answer.
 */
export async function* importLines(
  store: MessageStore,
  chunks: AsyncIterable<Uint8Array>,
  { now, onFailure }: ImportOptions,
): AsyncGenerator<ImportEvent, void, undefined> {
  const startMs = now();
  const pieces = chunks[Symbol.asyncIterator]();
  let imported = 0;
  let repeated = 0;
  let gpos = 0;
  let batch: ImportedMessage[] = [];
  /** The number of the line of each message. */
  let numbers: number[] = [];
  let characters = 0;
  let number = 0;
  try {
    for await (const bytes of linesOf(keptOpen(pieces))) {
      number += 1;
      const line = decodeUtf8(bytes, 'The line');
      if (line.trim() === '') continue;
      batch.push(readLine(line, bytes));
      numbers.push(number);
      characters += line.length;
      if (batch.length < IMPORT_BATCH_MESSAGES && characters < IMPORT_BATCH_CHARACTERS) continue;
      yield await storeBatch(batch);
      batch = [];
      numbers = [];
      characters = 0;
    }
    if (batch.length > 0) await storeBatch(batch);
    yield {
      done: true,
      imported,
      ...(repeated === 0 ? {} : { repeated }),
      elapsed: `${((now() - startMs) / 1_000).toFixed(1)}s`,
    };
  } catch (error) {
    const line = error instanceof LineError ? number + 1 : (numbers[indexOf(error, batch)] ?? number);
    yield { ...importError(error, onFailure), line, imported, gpos };
    await drain(pieces, { now, untilMs: now() + IMPORT_DRAIN_MS });
  } finally {
    await pieces.return?.();
  }

  async function storeBatch(messages: ImportedMessage[]): Promise<ImportEvent> {
    const done = await store.import(messages);
    imported += messages.length;
    repeated += done.repeated;
    gpos = Number(messages.at(-1)?.globalPosition ?? 0n);
    return { imported, gpos };
  }
}

/** The same, but a loop that is left does not end it. */
function keptOpen(pieces: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => pieces.next() }) };
}

/** Reads and drops. A text that cannot be read further has ended, too. */
async function drain(
  pieces: AsyncIterator<Uint8Array>,
  { now, untilMs }: { now(): number; untilMs: number },
): Promise<void> {
  try {
    while (now() < untilMs && (await pieces.next()).done !== true);
  } catch {}
}

/** Which message of a batch the store refused; -1 where it was none of them. */
function indexOf(error: unknown, batch: readonly ImportedMessage[]): number {
  if (!isSluiceError(error)) return -1;
  const { index, stream, position } = error.details;
  if (typeof index === 'number') return index;
  return batch.findLastIndex((one) => one.streamName === stream && String(one.position) === position);
}

function importError(
  error: unknown,
  onFailure: (error: unknown) => void,
): { error: string; message: string } {
  if (isSluiceError(error)) {
    const { code, message } = error;
    if (code === 'position_exists' || code === 'duplicate_message_id')
      return { error: 'POSITION_EXISTS', message };
    if (code === 'invalid_utf8') return { error: 'INVALID_UTF8', message };
    if (code === 'invalid_json') return { error: 'INVALID_JSON', message };
    if (REFUSALS.has(code)) return { error: 'INVALID_RECORD', message };
  }
  onFailure(error);
  return { error: 'IMPORT_FAILED', message: failureText(error) };
}

/** What the text is to blame for. */
const REFUSALS: ReadonlySet<string> = new Set([
  'invalid_message',
  'invalid_options',
  'invalid_stream_name',
  'message_too_large',
]);

/** A line that is longer than one may be: it is the one that follows those that were counted. */
class LineError extends SluiceError {}

const NEWLINE = 0x0a;

/** The lines of a text in UTF-8, none of whose characters has the byte of a newline in it. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  /** The beginning of a line that has not ended yet. */
  let rest: Uint8Array[] = [];
  let restBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      yield joined([...rest, chunk.subarray(start, end)]);
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    if (start < chunk.byteLength) {
      rest.push(chunk.subarray(start));
      restBytes += chunk.byteLength - start;
    }
    if (restBytes > MAX_LINE_BYTES)
      throw new LineError('invalid_json', `A line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  if (restBytes > 0) yield joined(rest);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.byteLength;
  }
  return whole;
}

function readLine(line: string, bytes: Uint8Array): ImportedMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new SluiceError('invalid_json', `Malformed JSON: ${whatWasSeen(line, bytes, error)}`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SluiceError('invalid_message', 'A line must be an object, as an export writes it');
  const { id, stream, type, pos, gpos, data, meta, time } = value as JsonObject;
  // With the digits that they have in the line.
  const sent = hasUnevenNumber(line) ? sentTexts(line) : (value as JsonObject);
  return {
    id: textOf(id, 'id'),
    streamName: textOf(stream, 'stream'),
    type: textOf(type, 'type'),
    position: positionOf(pos, 'pos'),
    globalPosition: positionOf(gpos, 'gpos'),
    data: data === undefined ? {} : (sent.data as JsonValue),
    metadata: meta === undefined || meta === null ? null : (sent.meta as JsonValue),
    timeUs: parseTimeUs(time),
  };
}

function sentTexts(line: string): { data: JsonText; meta: JsonText } {
  const partOf = (name: string): JsonText => new JsonText(memberOf(line, name) ?? 'null');
  return { data: partOf('data'), meta: partOf('meta') };
}

function whatWasSeen(line: string, bytes: Uint8Array, error: unknown): string {
  const encoding = foreignEncoding(bytes);
  if (encoding !== undefined) return `the line looks like ${encoding}; send UTF-8`;
  if (/^\s*[[{]\s*$/.test(line))
    return 'the line ends within a value; each message must be a JSON object on one line (jq -c .)';
  return errorText(error);
}

function textOf(value: JsonValue | undefined, name: string): string {
  if (typeof value === 'string') return value;
  throw new SluiceError('invalid_message', `${name} must be a string`);
}

function positionOf(value: JsonValue | undefined, name: string): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER)
    throw new SluiceError(
      'invalid_message',
      `${name} is beyond ${MAX_IMPORTED_POSITION}, the largest position that can be imported`,
    );
  throw new SluiceError('invalid_message', `${name} must be a whole number from 0`);
}
