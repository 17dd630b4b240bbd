/**
 * Knows whether Postgres still owes an answer, from the bytes that pass by.
 *
 * Postgres ends every answer with the message ReadyForQuery (PostgreSQL documentation, "Message Formats": a type byte,
 * a length that counts itself, the content). The messages are followed by their lengths, so that nothing inside of one
 * can be taken for the end.
 */

const READY_FOR_QUERY = 0x5a; // Z
const HEADER_BYTES = 5;

export class AnswerTracker {
  #isAwaited = false;
  // The header as far as it has come, and how much of the message after it is still to come.
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #bodyBytesLeft = 0;

  /** True from a request until the ReadyForQuery that ends its answer. */
  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  /** Something was sent that Postgres will answer. */
  asked(): void {
    this.#isAwaited = true;
  }

  /** Bytes came, cut anywhere. */
  received(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#bodyBytesLeft > 0) {
        const skipped = Math.min(this.#bodyBytesLeft, bytes.length - at);
        this.#bodyBytesLeft -= skipped;
        at += skipped;
      } else {
        this.#header[this.#headerBytes] = bytes[at] as number;
        this.#headerBytes += 1;
        at += 1;
        if (this.#headerBytes === HEADER_BYTES) this.#endHeader();
      }
      // A further message may follow the end, such as a notice; only at the end of the last is nothing owed.
      if (this.#headerBytes === 0 && this.#bodyBytesLeft === 0)
        this.#isAwaited = this.#header[0] !== READY_FOR_QUERY;
    }
  }

  #endHeader(): void {
    const length = new DataView(this.#header.buffer).getUint32(1);
    this.#bodyBytesLeft = length - (HEADER_BYTES - 1);
    this.#headerBytes = 0;
  }
}
