/**
 * One large value into a row and out of it, as a stream of bytes: COPY carries it in pieces, so neither side of the
 * connection holds more than a piece of it. A parameter of an INSERT would hold all of it, and as text twice.
 */

import { sql } from 'drizzle-orm';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { SluiceError } from '../../../src/core/errors.ts';
import type { Connection } from '../../../src/database/connection.ts';
import { Failures } from './failures.ts';

/** How the payload column is typed. */
export type PayloadColumn = 'bytea' | 'jsonb';

export interface ValueToWrite {
  column: PayloadColumn;
  /** Bytes of the value where they are known before; they then travel as they are, else as hexadecimal digits. */
  length: number | undefined;
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** What the drivers have in common below Drizzle. */
interface CopyClient {
  query<Stream>(stream: Stream): Stream;
  connection?: { stream?: { read?: unknown } };
}

/** What is used of the streams of `pg-copy-streams`. */
interface CopyInStream {
  write(chunk: Uint8Array): boolean;
  end(): unknown;
  once(event: 'drain' | 'finish', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** Bytes between this process and the socket. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Inserts one row, and commits it. @returns its id */
export async function writeValue(
  connection: Connection,
  table: string,
  value: ValueToWrite,
): Promise<string> {
  const isBinary = value.length !== undefined;
  const statement = `copy ${table} (payload) from stdin${isBinary ? ' (format binary)' : ''}`;
  await copyIn(connection, statement, isBinary ? binaryRow(value) : textRow(value.chunks));
  const result = (await connection.db.execute(
    sql`select currval(pg_get_serial_sequence(${table}, 'id'))::text as id`,
  )) as unknown as { rows: { id: string }[] };
  return (result.rows[0] as { id: string }).id;
}

async function copyIn(
  { db }: Connection,
  statement: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const client = (db as unknown as { $client: CopyClient }).$client;
  const stream = client.query<CopyInStream>(copyFrom(statement, { highWaterMark: HIGH_WATER_BYTES }));
  const failures = new Failures();
  stream.on('error', (error) => failures.fail(error));
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      // The server may end the statement while a piece is still being made: one who only waits for the piece learns of it late.
      const piece = await failures.orFail(iterator.next());
      if (piece.done === true) break;
      if (stream.write(piece.value)) continue;
      await failures.orFail(new Promise<void>((resolve) => stream.once('drain', resolve)));
    }
  } catch (error) {
    // Not awaited: it may be in the middle of a piece.
    void iterator.return?.()?.catch(() => {});
    throw error;
  }
  const finished = new Promise<void>((resolve) => stream.once('finish', resolve));
  stream.end();
  await failures.orFail(finished);
}

/** COPY's binary format (PostgreSQL documentation, "COPY", "Binary Format"): signature, flags, length of the extension. */
const BINARY_HEADER = Uint8Array.of(80, 71, 67, 79, 80, 89, 10, 255, 13, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
/** `jsonb` is sent as text after the version of its format. */
const JSONB_VERSION = 1;
/** The length of a field has 32 bits and a sign. */
const MAX_FIELD_BYTES = 2 ** 31 - 1;

async function* binaryRow({ column, length = 0, chunks }: ValueToWrite): AsyncGenerator<Uint8Array> {
  const prefix = column === 'jsonb' ? [JSONB_VERSION] : [];
  if (length + prefix.length > MAX_FIELD_BYTES) {
    throw new SluiceError(
      'message_too_large',
      `A value of ${length} bytes is longer than a field of Postgres may be (1 GB)`,
    );
  }
  const head = new Uint8Array(BINARY_HEADER.length + 6 + prefix.length);
  head.set(BINARY_HEADER);
  const view = new DataView(head.buffer);
  view.setInt16(BINARY_HEADER.length, 1);
  view.setInt32(BINARY_HEADER.length + 2, length + prefix.length);
  head.set(prefix, BINARY_HEADER.length + 6);
  yield head;
  yield* chunks;
  yield Uint8Array.of(255, 255);
}

const encoder = new TextEncoder();
const BYTEA_PREFIX = encoder.encode('\\\\x');
const ROW_END = encoder.encode('\n');

async function* textRow(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield BYTEA_PREFIX;
  for await (const chunk of chunks) yield hexDigits(chunk);
  yield ROW_END;
}

/** The two digits of each byte, as they lie in memory. */
const DIGIT_PAIRS = new Uint16Array(
  encoder.encode(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''))
    .buffer,
);

function hexDigits(bytes: Uint8Array): Uint8Array {
  const pairs = new Uint16Array(bytes.length);
  for (let index = 0; index < bytes.length; index += 1) {
    pairs[index] = DIGIT_PAIRS[bytes[index] as number] as number;
  }
  return new Uint8Array(pairs.buffer);
}

export interface ValueRead {
  /** Bytes of the value. */
  length: number;
  chunks: AsyncIterable<Uint8Array>;
}

/**
 * Reads the payload of a row.
 *
 * @throws SluiceError `not_found` where the row is not there
 */
export async function readValue(
  connection: Connection,
  table: string,
  id: string,
  column: PayloadColumn,
): Promise<ValueRead> {
  const client = (connection.db as unknown as { $client: CopyClient }).$client;
  // COPY's reader takes over the socket as a stream of Node; the sockets of Workers and of Neon's driver are none.
  if (typeof client.connection?.stream?.read !== 'function')
    return selectValue(connection, table, id, column);
  const stream = client.query<AsyncIterable<Uint8Array>>(
    copyTo(`copy (select payload from ${table} where id = ${BigInt(id)}) to stdout (format binary)`),
  );
  const chunks = stream[Symbol.asyncIterator]();
  const headBytes = BINARY_HEADER.length + 6 + (column === 'jsonb' ? 1 : 0);
  let held = new Uint8Array(0);
  while (held.length < headBytes) {
    const next = await chunks.next();
    if (next.done === true) throw notFound(id);
    const joined = new Uint8Array(held.length + next.value.length);
    joined.set(held);
    joined.set(next.value, held.length);
    held = joined;
    // Where no row is, the trailer follows the header.
    if (held.length >= BINARY_HEADER.length + 2 && held[BINARY_HEADER.length] === 255) throw notFound(id);
  }
  const view = new DataView(held.buffer);
  const length = view.getInt32(BINARY_HEADER.length + 2) - (column === 'jsonb' ? 1 : 0);
  return { length, chunks: valueBytes(held.subarray(headBytes), length, chunks) };
}

async function* valueBytes(
  first: Uint8Array,
  length: number,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let missing = length;
  let chunk = first;
  for (;;) {
    const own = chunk.subarray(0, missing);
    missing -= own.length;
    if (own.length > 0) yield own;
    // Read to its end, after the trailer: only then is the statement over and its error, if any, known.
    const next = await rest.next();
    if (next.done === true) break;
    chunk = next.value;
  }
  if (missing > 0) throw new SluiceError('internal', `The value ended ${missing} bytes early`);
}

async function selectValue(
  { db }: Connection,
  table: string,
  id: string,
  column: PayloadColumn,
): Promise<ValueRead> {
  const field = column === 'jsonb' ? 'payload::text' : 'payload';
  const result = (await db.execute(
    sql.raw(`select ${field} as payload from ${table} where id = ${BigInt(id)}`),
  )) as unknown as { rows: { payload: string | Uint8Array }[] };
  const payload = result.rows[0]?.payload;
  if (payload === undefined) throw notFound(id);
  const bytes = typeof payload === 'string' ? encoder.encode(payload) : payload;
  return {
    length: bytes.length,
    chunks: (async function* whole() {
      yield bytes;
    })(),
  };
}

function notFound(id: string): SluiceError {
  return new SluiceError('not_found', `Row id=${id} not found for read benchmark.`);
}
