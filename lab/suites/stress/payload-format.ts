/** The formats that a record is stored in, and the way back. */

import { calculateObjectSize, deserialize, serialize, setInternalBufferSize } from 'bson';
import { SluiceError } from '../../../src/core/errors.ts';
import type { PayloadColumn, ValueRead, ValueToWrite } from './copy-value.ts';
import { drawRecord, type Epoch, type EpochRecord, epochKey, epochLine, epochSource } from './epochs.ts';
import { Stopwatch } from './stopwatch.ts';
import type { ByteSteps, Zstd } from './zstd.ts';

/** `bson` and `ndjson_zstd` are stored as `bytea`. */
export const PAYLOAD_FORMATS = ['bson', 'jsonb', 'ndjson_zstd'] as const;
export type PayloadFormat = (typeof PAYLOAD_FORMATS)[number];

export function columnOf(format: PayloadFormat): PayloadColumn {
  return format === 'jsonb' ? 'jsonb' : 'bytea';
}

export interface CodecPorts {
  /** Undefined where the runtime has no zstd. */
  zstd: Zstd | undefined;
  /** Takes a look at the memory, where there is one: large values live for moments that no timer meets. */
  sampleMemory(): void;
}

/** What parts of encoding and decoding take. */
export interface CodecClocks {
  generate: Stopwatch;
  encode: Stopwatch;
  decode: Stopwatch;
}

/** Longest string of V8 (`buffer.constants.MAX_STRING_LENGTH` of Node 24). */
const MAX_STRING_CHARACTERS = 2 ** 29 - 24;
/** The length of a document is 32 bits with a sign (bsonspec.org). */
const MAX_BSON_BYTES = 2 ** 31 - 1;
/** Bytes of a piece of a value that is there as a whole. */
const PIECE_BYTES = 256 * 1024;
/** Epochs of one piece of NDJSON: about as many bytes. */
const PIECE_EPOCHS = 512;

const encoder = new TextEncoder();

/**
 * A record in its format, ready to be written. `bson` and `jsonb` need the whole record as an object, and its encoded
 * form beside it. `ndjson_zstd` holds a piece of it: its pieces are drawn and compressed as they are taken.
 *
 * @throws SluiceError `message_too_large` where the format or the runtime cannot hold it, `invalid_configuration` where
 * there is no zstd
 */
export function encodeRecord(
  format: PayloadFormat,
  { seed, epochs }: { seed: number; epochs: number },
  ports: CodecPorts,
  clocks: CodecClocks,
): ValueToWrite {
  const column = columnOf(format);
  switch (format) {
    case 'bson': {
      const record = clocks.generate.run(() => drawRecord(seed, epochs));
      ports.sampleMemory();
      const bytes = clocks.encode.run(() => encodeBson(record));
      ports.sampleMemory();
      return { column, length: bytes.length, chunks: pieces(bytes) };
    }
    case 'jsonb': {
      const record = clocks.generate.run(() => drawRecord(seed, epochs));
      ports.sampleMemory();
      const text = clocks.encode.run(() => encodeJson(record));
      ports.sampleMemory();
      // Digits and names of fields: a byte each.
      return { column, length: text.length, chunks: textPieces(text, clocks.encode) };
    }
    case 'ndjson_zstd':
      return { column, length: undefined, chunks: compressedLines(seed, epochs, ports, clocks) };
  }
}

function encodeBson(record: EpochRecord): Uint8Array {
  const size = calculateObjectSize(record);
  if (size > MAX_BSON_BYTES) {
    throw new SluiceError(
      'message_too_large',
      `A document of ${size} bytes is longer than BSON allows (${MAX_BSON_BYTES})`,
    );
  }
  // The library writes into its own buffer of 17 MB, and beyond its end it throws.
  setInternalBufferSize(size);
  return serialize(record);
}

function encodeJson(record: EpochRecord): string {
  try {
    return JSON.stringify(record);
  } catch (error) {
    throw error instanceof RangeError ? tooLongText(error) : error;
  }
}

function tooLongText(cause?: unknown): SluiceError {
  return new SluiceError(
    'message_too_large',
    `The JSON of the record is longer than a string of this runtime may be (${MAX_STRING_CHARACTERS} characters)`,
    { cause },
  );
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

function* textPieces(text: string, clock: Stopwatch): Generator<Uint8Array> {
  for (let at = 0; at < text.length; at += PIECE_BYTES) {
    yield clock.run(() => encoder.encode(text.slice(at, at + PIECE_BYTES)));
  }
}

function zstdFrom({ zstd }: CodecPorts): Zstd {
  if (zstd !== undefined) return zstd;
  throw new SluiceError(
    'invalid_configuration',
    'This runtime has no zstd (node:zlib has it since Node 22.15): use another format',
  );
}

async function* compressedLines(
  seed: number,
  epochs: number,
  ports: CodecPorts,
  { generate, encode }: CodecClocks,
): AsyncGenerator<Uint8Array> {
  const compressor = zstdFrom(ports).compress();
  const nextEpoch = epochSource(seed);
  try {
    for (let from = 1; from <= epochs; from += PIECE_EPOCHS) {
      const to = Math.min(epochs, from + PIECE_EPOCHS - 1);
      const drawn = generate.run(() => Array.from({ length: to - from + 1 }, nextEpoch));
      yield* await encode.wait(() => compressor.push(encoder.encode(linesOf(from, drawn))));
    }
    yield* await encode.wait(() => compressor.finish());
  } finally {
    compressor.close();
  }
}

function linesOf(from: number, drawn: readonly Epoch[]): string {
  let text = '';
  for (const [offset, epoch] of drawn.entries()) text += `${epochLine(from + offset, epoch)}\n`;
  return text;
}

/** What a reader does with each epoch that was decoded, in their order. */
export type OnEpoch = (key: string, epoch: unknown) => void;

/**
 * Decodes a value as it comes in.
 *
 * @param onEpoch called for each epoch with its key; its time is no part of decoding
 * @throws SluiceError `message_too_large` where the runtime cannot hold it; what the decoders throw where it is none of
 * its format
 */
export async function decodeValue(
  format: PayloadFormat,
  value: ValueRead,
  ports: CodecPorts,
  { decode }: Pick<CodecClocks, 'decode'>,
  onEpoch?: OnEpoch,
): Promise<void> {
  if (format === 'ndjson_zstd') return decodeLines(value, ports, decode, onEpoch);
  const bytes = await collect(value);
  ports.sampleMemory();
  const record = decode.run(() => (format === 'bson' ? deserialize(bytes) : parseJson(bytes)));
  ports.sampleMemory();
  if (onEpoch === undefined) return;
  for (const key of Object.keys(record)) onEpoch(key, record[key]);
}

async function collect({ length, chunks }: ValueRead): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length > MAX_STRING_CHARACTERS) throw tooLongText();
  return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
}

async function decodeLines(
  { chunks }: ValueRead,
  ports: CodecPorts,
  clock: Stopwatch,
  onEpoch: OnEpoch | undefined,
): Promise<void> {
  const decompressor: ByteSteps = zstdFrom(ports).decompress();
  const decoder = new TextDecoder();
  let rest = '';
  const parse = (bytes: Uint8Array): Record<string, unknown>[] => {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() as string;
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const take = (bytes: Uint8Array): void => {
    const parsed = clock.run(() => parse(bytes));
    if (onEpoch === undefined) return;
    for (const line of parsed) for (const key of Object.keys(line)) onEpoch(key, line[key]);
  };
  try {
    for await (const chunk of chunks) {
      for (const bytes of await clock.wait(() => decompressor.push(chunk))) take(bytes);
    }
    for (const bytes of await clock.wait(() => decompressor.finish())) take(bytes);
  } finally {
    decompressor.close();
  }
  if (rest !== '') throw new SluiceError('invalid_json', 'The last line of the value has no end');
}

/** Epochs that compile the code of a format before it is measured. */
const WARM_UP_EPOCHS = 2_000;

/** Encodes and decodes a small record in memory: a fresh process has run none of the code, and no ramp should measure that. */
export async function warmUpCodec(format: PayloadFormat, ports: CodecPorts): Promise<void> {
  const clock = new Stopwatch(() => 0);
  const clocks = { generate: clock, encode: clock, decode: clock };
  const { chunks } = encodeRecord(format, { seed: 0, epochs: WARM_UP_EPOCHS }, ports, clocks);
  const kept: Uint8Array[] = [];
  for await (const chunk of chunks) kept.push(chunk);
  const value = { length: kept.reduce((sum, { length }) => sum + length, 0), chunks: inTurn(kept) };
  await decodeValue(format, value, ports, clocks);
}

async function* inTurn(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** Compares what is read with what a seed draws, epoch by epoch. */
export class RecordCheck {
  readonly #nextEpoch: () => Epoch;
  readonly #epochs: number;
  #seen = 0;
  #fault: string | undefined;

  constructor({ seed, epochs }: { seed: number; epochs: number }) {
    this.#nextEpoch = epochSource(seed);
    this.#epochs = epochs;
  }

  // All formats keep the order: `jsonb` sorts keys by length and then as bytes, which is the order of the numbers.
  readonly take: OnEpoch = (key, epoch) => {
    this.#seen += 1;
    if (this.#fault !== undefined) return;
    const turn = epochKey(this.#seen);
    if (this.#seen > this.#epochs) this.#fault = `has ${key}, which was not written`;
    else if (key !== turn) this.#fault = `has ${key} where ${turn} was written`;
    else if (!isSameEpoch(this.#nextEpoch(), epoch)) this.#fault = `has another ${key} than was written`;
  };

  /** What is not as it was written, as the end of a sentence; undefined where all of it is. */
  finish(): string | undefined {
    if (this.#fault !== undefined) return this.#fault;
    if (this.#seen < this.#epochs) return `has ${this.#seen} epochs of ${this.#epochs} that were written`;
    return undefined;
  }
}

function isSameEpoch(written: Epoch, read: unknown): boolean {
  if (typeof read !== 'object' || read === null) return false;
  const names = Object.keys(written) as (keyof Epoch)[];
  if (Object.keys(read).length !== names.length) return false;
  return names.every((name) => (read as Record<string, unknown>)[name] === written[name]);
}
