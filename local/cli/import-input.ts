/** What `import` reads: a file or stdin, compressed or not, in whole lines as far as it can be read. */

import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
import { errorText, SluiceError } from '../../src/core/errors.ts';
import { INPUT_HEAD_BYTES, type UnexpectedInput, unexpectedLines } from '../input-kind.ts';

const NEWLINE = 0x0a;

/** Compressed data that are looked at together: JSON takes a tenth of its text, a bomb a thousandth. */
const COMPRESSED_PIECE_BYTES = 16 * 1024;

/** A line that is longer than a message can be: it is sent as it is, for the Worker to refuse. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

export class ImportInput {
  readonly #source: Readable;
  readonly #isFile: boolean;
  readonly #pieces: AsyncIterator<Uint8Array>;
  #head: Uint8Array[] = [];
  /** What kept the input from being read to its end. */
  failure: Error | undefined;

  /** @param file undefined or `-`: stdin */
  constructor(file: string | undefined) {
    this.#isFile = file !== undefined && file !== '-';
    this.#source = this.#isFile ? createReadStream(file as string) : process.stdin;
    this.#pieces = decompressed(this.#source)[Symbol.asyncIterator]();
  }

  /**
   * Looks at the beginning.
   *
   * @throws SluiceError `invalid_options` where there is no such file, or where it is no lines of JSON, and says what it is
   */
  async open(): Promise<void> {
    try {
      for (let bytes = 0; bytes < INPUT_HEAD_BYTES; ) {
        const { done, value } = await this.#pieces.next();
        if (done === true) break;
        this.#head.push(value);
        bytes += value.byteLength;
      }
    } catch (error) {
      const isUnread = this.#head.length === 0 && !isOfGzip(error);
      if (isUnread && this.#isFile) {
        throw new SluiceError('invalid_options', `Cannot read --input: ${errorText(error)}`, {
          cause: error,
        });
      }
      this.#fail(error);
    }
    const seen = unexpected(Buffer.concat(this.#head));
    if (seen !== undefined)
      throw new SluiceError('invalid_options', `The input is ${seen.seen}: ${seen.remedy}`);
  }

  /**
   * The text. Where it cannot be read to its end, it ends after the last whole line, and `failure` says why: so the lines
   * before are imported like any others, and it is known how many they are.
   */
  async *text(): AsyncGenerator<Uint8Array, void, undefined> {
    let held: Uint8Array[] = [];
    let heldBytes = 0;
    for await (const piece of this.#rest()) {
      const end = piece.lastIndexOf(NEWLINE) + 1;
      if (end > 0) {
        yield Buffer.concat([...held, piece.subarray(0, end)]);
        held = [];
        heldBytes = 0;
      }
      if (end < piece.byteLength) held.push(piece.subarray(end));
      heldBytes += piece.byteLength - end;
      if (heldBytes > MAX_HELD_BYTES) {
        yield Buffer.concat(held);
        held = [];
        heldBytes = 0;
      }
    }
    if (heldBytes > 0 && this.failure === undefined) yield Buffer.concat(held);
  }

  async *#rest(): AsyncGenerator<Uint8Array, void, undefined> {
    const head = this.#head;
    this.#head = [];
    yield* head;
    if (this.failure !== undefined) return;
    try {
      for (;;) {
        const { done, value } = await this.#pieces.next();
        if (done === true) return;
        yield value;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.failure = error instanceof Error ? error : new Error(String(error));
  }

  /** Reads no further. */
  close(): void {
    this.#source.destroy();
  }
}

/** A byte order mark is no fault: the Worker drops it. What comes after it is looked at. */
function unexpected(head: Uint8Array): UnexpectedInput | undefined {
  const seen = unexpectedLines(head);
  return seen?.kind === 'byte order mark' ? unexpectedLines(head.subarray(3)) : seen;
}

function isOfGzip(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}

/** The text of a source: what is compressed with gzip says so by its first two bytes. */
async function* decompressed(source: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  let first: Buffer = Buffer.alloc(0);
  let gunzip: Inflater | undefined;
  let isKnown = false;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    let piece = chunk;
    if (!isKnown) {
      first = Buffer.concat([first, chunk]);
      if (first.byteLength < 2) continue;
      isKnown = true;
      if (first[0] === 0x1f && first[1] === 0x8b) gunzip = new Inflater();
      piece = first;
    }
    if (gunzip === undefined) yield piece;
    else {
      for (let at = 0; at < piece.byteLength; at += COMPRESSED_PIECE_BYTES)
        yield* await gunzip.take(piece.subarray(at, at + COMPRESSED_PIECE_BYTES));
    }
  }
  if (!isKnown && first.byteLength > 0) yield first;
  if (gunzip === undefined) return;
  yield* await gunzip.end();
  // Where there was text as well, the error comes with the second call.
  yield* await gunzip.end();
}

/**
 * Decompresses piece by piece. A stream that is piped loses what nobody has read yet when its end turns out to be missing:
 * how much of the text came before the error would be a matter of luck.
 */
class Inflater {
  readonly #gunzip: Gunzip = createGunzip();
  #out: Uint8Array[] = [];
  #error: Error | undefined;

  constructor() {
    this.#gunzip.on('data', (piece: Uint8Array) => this.#out.push(piece));
    this.#gunzip.on('error', (error) => {
      this.#error = error;
    });
  }

  async take(compressed: Uint8Array): Promise<Uint8Array[]> {
    if (this.#gunzip.destroyed) return this.#taken();
    await new Promise<void>((resolve) => {
      // Where the data are wrong, the write is never answered.
      this.#gunzip.once('close', resolve);
      this.#gunzip.write(compressed, () => {
        this.#gunzip.off('close', resolve);
        resolve();
      });
    });
    return this.#taken();
  }

  /** @throws where the compressed data are cut off or wrong, after all of the text before that was taken */
  async end(): Promise<Uint8Array[]> {
    if (!this.#gunzip.destroyed) {
      await new Promise<void>((resolve) => {
        this.#gunzip.once('close', resolve);
        this.#gunzip.end();
      });
    }
    return this.#taken();
  }

  #taken(): Uint8Array[] {
    // What is still in the stream's own buffer comes as `data`, too.
    while (this.#gunzip.read() !== null);
    const out = this.#out;
    this.#out = [];
    // What came before the error comes first.
    if (this.#error !== undefined && out.length === 0) throw this.#error;
    return out;
  }
}
