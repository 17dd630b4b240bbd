/**
 * Export and import of a namespace as lines of JSON, as system 1 has them: one message a line, with its positions, in
 * the order of the global positions. Both go through in bounded memory.
 */

import { isSluiceError, SluiceError } from '../errors.ts';
import type { MessageRecord } from './engine.ts';
import type { ImportedMessage, JsonObject, JsonValue } from './message.ts';
import type { MessageStore } from './message-store.ts';
import { failureText } from './rpc.ts';
import { formatTimeUs, parseTimeUs } from './wire-time.ts';

/** Messages of one transaction of an import, and of one progress report. */
export const IMPORT_BATCH_MESSAGES = 1_000;

/** Text of one transaction of an import; a batch is ended early by it. */
export const IMPORT_BATCH_CHARACTERS = 4 * 1024 * 1024;

/** Characters of one line. A message has up to 1 MiB, and JSON may write a character as six. */
export const MAX_LINE_CHARACTERS = 8 * 1024 * 1024;

/** Messages of an export that are read at a time. */
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
 * The messages of a namespace as lines, in pieces of a page each. Categories come one after the other, as system 1 has
 * it. Times are compared with each message: they need not rise with the positions.
 */
export async function* exportLines(
  store: MessageStore,
  { categories, sinceUs = Number.NEGATIVE_INFINITY, untilUs = Number.POSITIVE_INFINITY }: ExportFilter,
): AsyncGenerator<string, void, undefined> {
  for (const category of categories.length === 0 ? [''] : new Set(categories)) {
    for (let from = 1n; ; ) {
      const page = await store.readCategoryRecords(category, {
        globalPosition: from,
        batchSize: EXPORT_PAGE_MESSAGES,
      });
      const lines = page
        .filter(({ timeUs }) => timeUs >= sinceUs && timeUs < untilUs)
        .map((message) => `${exportLine(message)}\n`);
      if (lines.length > 0) yield lines.join('');
      const last = page.at(-1);
      if (last === undefined || page.length < EXPORT_PAGE_MESSAGES) break;
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
  /** So many messages are stored; the last one has this global position. */
  | { imported: number; gpos: number }
  | { done: true; imported: number; elapsed: string }
  /** The import has ended; the batches before are stored. `line` counts from 1. */
  | { error: string; message: string; line: number };

export interface ImportOptions {
  /** Milliseconds since some moment. */
  now(): number;
  /** Told what becomes `IMPORT_FAILED`, whose text may hold an address or a statement. */
  onFailure(error: unknown): void;
}

/**
 * Stores lines with their positions, a batch in a transaction. It reads on only when a batch is stored, so that memory
 * is bounded by one batch and one line. It never throws: what goes wrong is the last event.
 */
export async function* importLines(
  store: MessageStore,
  chunks: AsyncIterable<Uint8Array>,
  { now, onFailure }: ImportOptions,
): AsyncGenerator<ImportEvent, void, undefined> {
  const startMs = now();
  let imported = 0;
  let batch: ImportedMessage[] = [];
  let characters = 0;
  let number = 0;
  try {
    for await (const line of linesOf(chunks)) {
      number += 1;
      if (line.trim() === '') continue;
      batch.push(readLine(line));
      characters += line.length;
      if (batch.length < IMPORT_BATCH_MESSAGES && characters < IMPORT_BATCH_CHARACTERS) continue;
      yield await storeBatch(batch);
      batch = [];
      characters = 0;
    }
    if (batch.length > 0) await storeBatch(batch);
    yield { done: true, imported, elapsed: `${((now() - startMs) / 1_000).toFixed(1)}s` };
  } catch (error) {
    yield { ...importError(error, onFailure), line: error instanceof LineError ? number + 1 : number };
  }

  async function storeBatch(messages: ImportedMessage[]): Promise<ImportEvent> {
    await store.import(messages);
    imported += messages.length;
    return { imported, gpos: Number(messages.at(-1)?.globalPosition ?? 0n) };
  }
}

function importError(
  error: unknown,
  onFailure: (error: unknown) => void,
): { error: string; message: string } {
  if (isSluiceError(error)) {
    const { code, message } = error;
    if (code === 'position_exists' || code === 'duplicate_message_id')
      return { error: 'POSITION_EXISTS', message };
    if (code === 'invalid_json') return { error: 'INVALID_JSON', message };
    if (code.startsWith('invalid_') || code === 'message_too_large')
      return { error: 'INVALID_RECORD', message };
  }
  onFailure(error);
  return { error: 'IMPORT_FAILED', message: failureText(error) };
}

/** Wrong about the text before it is a line: the line is the one that follows those that were counted. */
class LineError extends SluiceError {}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw new LineError('invalid_json', 'The text is not UTF-8');
    }
  };
  let rest = '';
  for await (const chunk of chunks) {
    const lines = decode(chunk).split('\n');
    if (lines.length === 1) {
      rest += lines[0];
    } else {
      lines[0] = rest + lines[0];
      rest = lines.pop() ?? '';
      yield* lines;
    }
    if (rest.length > MAX_LINE_CHARACTERS)
      throw new LineError('invalid_json', `A line is longer than ${MAX_LINE_CHARACTERS} characters`);
  }
  rest += decode();
  if (rest !== '') yield rest;
}

function readLine(line: string): ImportedMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new SluiceError('invalid_json', 'Malformed JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SluiceError('invalid_message', 'A line must be an object, as an export writes it');
  const { id, stream, type, pos, gpos, data, meta, time } = value as JsonObject;
  return {
    id: textOf(id, 'id'),
    streamName: textOf(stream, 'stream'),
    type: textOf(type, 'type'),
    position: positionOf(pos, 'pos'),
    globalPosition: positionOf(gpos, 'gpos'),
    data: data ?? {},
    metadata: meta ?? null,
    timeUs: parseTimeUs(time),
  };
}

function textOf(value: JsonValue | undefined, name: string): string {
  if (typeof value === 'string') return value;
  throw new SluiceError('invalid_message', `${name} must be a string`);
}

function positionOf(value: JsonValue | undefined, name: string): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new SluiceError('invalid_message', `${name} must be a whole number from 0`);
}
