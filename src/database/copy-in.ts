/**
 * A `COPY … FROM STDIN` whose data is ready: one write for all of it.
 *
 * pg-copy-streams sends every chunk as two writes. On Workers each write is awaited by the runtime as an event of its
 * own, and events of a shard queue after its frames; a flush then waits for its turn a dozen times (measured under a
 * flood of frames: 30 ms instead of 4 ms around each COPY). So the whole batch becomes one message here. For data
 * that is still being made, pg-copy-streams remains the right tool (connection.ts, `copyStream`).
 */

import type { Connection as WireConnection } from 'pg';

/** What a query object is to node-postgres and to Neon's client: they call these as the server's answers arrive. */
export class CopyIn {
  readonly #statement: string;
  readonly #data: readonly Uint8Array[];
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  /** Resolves when the server has committed the rows. */
  readonly finished: Promise<void>;
  // The client wraps the callback of a query with a time limit; without one it would call undefined.
  callback = (): void => {};

  constructor(statement: string, data: readonly Uint8Array[]) {
    this.#statement = statement;
    this.#data = data;
    this.finished = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  submit(connection: WireConnection): void {
    connection.query(this.#statement);
  }

  handleCopyInResponse(connection: WireConnection): void {
    connection.stream.write(copyMessages(this.#data));
  }

  // The clients forget a query once they have told it its error: no ReadyForQuery follows here. They do wait for the
  // server's before they send the next query.
  handleError(error: unknown): void {
    this.#settle?.reject(error);
  }

  handleReadyForQuery(): void {
    this.#settle?.resolve();
  }

  handleCommandComplete(): void {}

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}
}

const COPY_DATA = 0x64; // d
const COPY_DONE = 0x63; // c

// PostgreSQL documentation, "Message Formats": a type byte, a length that counts itself, the content.
function copyMessages(chunks: readonly Uint8Array[]): Uint8Array {
  const dataBytes = chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);
  const message = new Uint8Array(5 + dataBytes + 5);
  const view = new DataView(message.buffer);
  message[0] = COPY_DATA;
  view.setUint32(1, 4 + dataBytes);
  let at = 5;
  for (const chunk of chunks) {
    message.set(chunk, at);
    at += chunk.length;
  }
  message[at] = COPY_DONE;
  view.setUint32(at + 1, 4);
  return message;
}
