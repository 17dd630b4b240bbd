/** Compression in steps: what goes in comes out before more goes in, so that little is ever held and time can be told apart. */

import { Failures } from './failures.ts';

export interface ByteSteps {
  /** Takes bytes, and gives what has come out meanwhile. Not to be called again before it has resolved. */
  push(chunk: Uint8Array): Promise<Uint8Array[]>;
  /** Ends the input, and gives the rest. */
  finish(): Promise<Uint8Array[]>;
  /** Lets go of it, whatever state it is in. */
  close(): void;
}

export interface Zstd {
  compress(): ByteSteps;
  decompress(): ByteSteps;
}

/** What is used of a zlib stream of Node, which workerd has as well (`nodejs_compat`). */
interface ZlibStream {
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown;
  once(event: 'end' | 'error', listener: (error: Error) => void): unknown;
  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean;
  end(): unknown;
  destroy(): unknown;
}

/** What is used of `node:zlib`. Runtimes before Node 22.15 have no zstd. */
export interface ZlibModule {
  createZstdCompress?(options: { chunkSize: number; params: Record<number, number> }): unknown;
  createZstdDecompress?(options: { chunkSize: number }): unknown;
  constants: Record<string, unknown>;
}

/**
 * Room for what comes out at a time. A block of zstd takes up to 128 KiB; with less room than the last one needs, workerd
 * ends a stream with "Unexpected end of file".
 */
const CHUNK_BYTES = 256 * 1024;

/** The Postgres stress test's level. */
const ZSTD_LEVEL = 3;

/** zstd by the streams of `node:zlib`, in Node and in workerd; undefined where the runtime has none. */
export function zstdOf(zlib: ZlibModule): Zstd | undefined {
  const { createZstdCompress, createZstdDecompress, constants } = zlib;
  const level = constants.ZSTD_c_compressionLevel;
  if (createZstdCompress === undefined || createZstdDecompress === undefined || typeof level !== 'number') {
    return undefined;
  }
  return {
    compress: () =>
      steps(createZstdCompress({ chunkSize: CHUNK_BYTES, params: { [level]: ZSTD_LEVEL } }) as ZlibStream),
    decompress: () => steps(createZstdDecompress({ chunkSize: CHUNK_BYTES }) as ZlibStream),
  };
}

function steps(stream: ZlibStream): ByteSteps {
  let out: Uint8Array[] = [];
  stream.on('data', (chunk) => out.push(chunk));
  const failures = new Failures();
  const ended = new Promise<void>((resolve) => stream.once('end', () => resolve()));
  stream.once('error', (error) => failures.fail(error));
  const take = (): Uint8Array[] => {
    const taken = out;
    out = [];
    return taken;
  };
  return {
    async push(chunk) {
      await failures.orFail(
        new Promise<void>((resolve, reject) => {
          stream.write(chunk, (error) => (error ? reject(error) : resolve()));
        }),
      );
      return take();
    },
    async finish() {
      stream.end();
      await failures.orFail(ended);
      return take();
    },
    close: () => void stream.destroy(),
  };
}
