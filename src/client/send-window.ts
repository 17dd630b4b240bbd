import { type Batch, DROPPED_BYTES, splitBatch } from './batch.ts';
import { Deque } from './deque.ts';
import type { UnsettledMessages } from './events.ts';
import { DROPPED, utf8Bytes } from './message-text.ts';
import type { SendBuffer } from './send-buffer.ts';
import type { StoredBatch, StoredInstance } from './storage.ts';
import { WaitingMessages } from './waiting-messages.ts';

/** Small writes of a storage are put together up to here, so that they become frames of a good size. */
const RESTORED_BATCH_MESSAGES = 1_000;
const RESTORED_BATCH_BYTES = 64 * 1024;

/**
 * The messages of one instance, from the first that is not acked to the last that was taken. The sequence of a message is
 * its place among all that the instance has taken, so a number is never given twice, whatever a storage remembers.
 *
 * `acked + 1 … cut` are in batches without a hole, `cut + 1 … taken` wait to be cut into some.
 */
export class SendWindow {
  readonly instance: string;
  readonly #buffer: SendBuffer;
  readonly waiting = new WaitingMessages();
  readonly cutBatches = new Deque<Batch>();
  epoch: number | undefined;
  session: string | undefined;
  /** Highest sequence that is in a batch. */
  cut = 0;
  /** Highest sequence that was ever put into a frame. */
  sentUpTo = 0;
  /** Highest sequence that has reached the level. Never goes back. */
  ackedUpTo = 0;
  /** Refused ones above `acked`. */
  readonly refusals = new Set<number>();

  // Where the batches stand on this connection: those before `cursor` are sent on it, those before `#storedIndex` were
  // acked on it as stored. What older connections sent counts for nothing (PROTOCOL.md, "Going on after a lost
  // connection").
  cursor = 0;
  #storedIndex = 0;
  /** What was acked as stored on this connection. */
  storedHere = 0;
  /** Highest sequence that was ever sent on this connection, though the client may have gone back since. */
  maxSentHere = 0;
  /** Messages that are sent on this connection and not acked on it as stored, and their bytes. */
  outMessages = 0;
  outBytes = 0;

  /** It is in a storage. */
  readonly isKept: boolean;
  // What the storage has: all up to `saved`, once this is done up to `saving`.
  saved: number;
  saving = 0;
  trimmed = 0;
  /** The session that the storage does not have yet. */
  unsavedSession: string | undefined;
  readonly discards = new Deque<{ first: number; last: number }>();
  readonly aside = new Deque<StoredBatch>();
  /** Nothing of it is needed any more. */
  isForgotten = false;

  // What a recovery has to tell.
  restoredCount = 0;
  refusedCount = 0;
  isKnown = true;
  missing: { from: number; to: number } | undefined;
  setAsideRun: { from: number; to: number; messages: number } | undefined;

  constructor(instance: string, buffer: SendBuffer, isKept: boolean) {
    this.instance = instance;
    this.#buffer = buffer;
    this.isKept = isKept;
    this.saved = isKept ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Highest sequence that was given. */
  get lastTaken(): number {
    return this.cut + this.waiting.amount;
  }

  /** Nothing is left of it. */
  get isEmpty(): boolean {
    return this.cutBatches.amount + this.waiting.amount === 0;
  }

  get isAllSent(): boolean {
    return this.cursor === this.cutBatches.amount && this.waiting.amount === 0;
  }

  /** Highest sequence that is sent on this connection, and not to be sent again. */
  get sentHere(): number {
    return (this.cutBatches.at(this.cursor)?.first ?? this.cut + 1) - 1;
  }

  push(text: string, bytes: number): void {
    this.waiting.push(text, bytes);
    this.#buffer.add(1, bytes);
  }

  /** Takes away what was pushed after there were `length` waiting messages of `bytes`. */
  rollback(length: number, bytes: number): void {
    const { waiting } = this;
    this.#buffer.add(length - waiting.amount, bytes - waiting.utf8Size);
    waiting.truncate(length, bytes);
  }

  /** Drops the first that waits, whose place stays; returns its sequence. */
  dropOldest(): number {
    const bytes = this.waiting.sizeAt(0);
    this.waiting.takeJoined(1, bytes);
    this.#buffer.add(-1, -bytes);
    this.#skipSequences(1);
    return this.cut;
  }

  /** Puts dropped messages into the next places. */
  #skipSequences(count: number): void {
    const { last } = this.cutBatches;
    if (last && !last.text && this.cursor < this.cutBatches.amount) {
      last.count += count;
      last.utf8Size += count * DROPPED_BYTES;
    } else
      this.cutBatches.push({ first: this.cut + 1, count, utf8Size: count * DROPPED_BYTES, text: undefined });
    this.cut += count;
  }

  /** Notes that the storage need not keep a text, where it has it or is about to. */
  discardText(sequence: number): void {
    if (!this.isKept || sequence > Math.max(this.saved, this.saving)) return;
    const { last } = this.discards;
    if (last?.last === sequence - 1) last.last = sequence;
    else this.discards.push({ first: sequence, last: sequence });
  }

  /** Replaces what waits and is larger than the server takes; calls for each with its sequence. */
  dropAbove(maxBytes: number, dropped: (sequence: number) => void): void {
    for (let index = 0; index < this.waiting.amount; index += 1) {
      const bytes = this.waiting.sizeAt(index);
      if (bytes <= maxBytes) continue;
      const sequence = this.cut + 1 + index;
      this.waiting.replace(index, DROPPED, DROPPED_BYTES);
      this.#buffer.add(0, DROPPED_BYTES - bytes);
      this.discardText(sequence);
      dropped(sequence);
    }
  }

  /** Replaces a single message that no frame can hold any more. */
  dropOversized(batch: Batch): void {
    this.#buffer.add(0, DROPPED_BYTES - batch.utf8Size);
    batch.utf8Size = DROPPED_BYTES;
    batch.text = DROPPED;
    this.discardText(batch.first);
  }

  /** Makes a batch of the first that wait. */
  cutBatch(count: number, bytes: number): void {
    this.cutBatches.push({
      first: this.cut + 1,
      count,
      utf8Size: bytes,
      text: this.waiting.takeJoined(count, bytes),
    });
    this.cut += count;
  }

  /** Puts back what a storage has kept, with a dropped message for each place of which it has nothing. */
  restore({ session, acked, batches, discarded, inDoubt }: StoredInstance): void {
    this.session = session;
    this.ackedUpTo = this.cut = this.storedHere = this.trimmed = acked;
    const gone = [...discarded];
    for (const { first, count } of inDoubt) gone.push({ first, last: first + count - 1 });
    gone.sort(byFirst);
    let nextGone = 0;
    for (const { first, text } of [...batches].sort(byFirst)) {
      for (const [offset, line] of text.split('\n').entries()) {
        const sequence = first + offset;
        // A line that stands for a dropped message is as good as none.
        if (sequence <= this.cut || line === DROPPED) continue;
        while ((gone[nextGone]?.last ?? sequence) < sequence) nextGone += 1;
        if ((gone[nextGone]?.first ?? sequence + 1) > sequence) this.#restoreText(sequence, line);
      }
    }
    this.saved = this.sentUpTo = this.cut;
  }

  #restoreText(sequence: number, text: string): void {
    if (sequence > this.cut + 1) this.#skipSequences(sequence - this.cut - 1);
    const bytes = utf8Bytes(text) + 1;
    const { last } = this.cutBatches;
    if (last?.text && last.count < RESTORED_BATCH_MESSAGES && last.utf8Size + bytes <= RESTORED_BATCH_BYTES) {
      last.text += `\n${text}`;
      last.count += 1;
      last.utf8Size += bytes;
    } else this.cutBatches.push({ first: sequence, count: 1, utf8Size: bytes, text });
    this.cut = sequence;
    this.restoredCount += 1;
    this.#buffer.add(1, bytes);
  }

  /**
   * What a server has between `sure` and `stored` may be another's, sent under the same sequences. Takes such texts away and
   * hands them over; their places stay.
   */
  putAside(sure: number, stored: number): StoredBatch[] {
    const to = Math.min(stored, this.lastTaken);
    const from = Math.max(sure, this.ackedUpTo) + 1;
    const taken: StoredBatch[] = [];
    if (from > to) return taken;
    this.batchFrom(to + 1);
    let messages = 0;
    for (let index = this.batchFrom(from); (this.cutBatches.at(index)?.first ?? to + 1) <= to; index += 1) {
      const batch = this.#batchAt(index);
      const { first, count, utf8Size: bytes, text } = batch;
      if (!text) continue;
      const aside = { first, count, text };
      taken.push(aside);
      this.aside.push(aside);
      this.#buffer.add(-count, -bytes);
      batch.text = undefined;
      batch.utf8Size = count * DROPPED_BYTES;
      messages += count;
      this.setAsideRun = { from: (taken[0] as StoredBatch).first, to: first + count - 1, messages };
    }
    for (const sequence of this.refusals)
      if (sequence >= from && sequence <= to) this.refusals.delete(sequence);
    return taken;
  }

  /** Sets aside all that is not acked up to a sequence, also what waits. */
  doubtUpTo(sequence: number): void {
    const count = Math.min(sequence, this.lastTaken) - this.cut;
    let bytes = 0;
    for (let index = 0; index < count; index += 1) bytes += this.waiting.sizeAt(index);
    if (count > 0) this.cutBatch(count, bytes);
    this.putAside(this.ackedUpTo, sequence);
  }

  /** Forgets dropped messages at the end: nothing comes after them that needs their places. Of older instances only. */
  trimDroppedEnd(): void {
    for (let { last } = this.cutBatches; last && !last.text; { last } = this.cutBatches) {
      this.cutBatches.truncate(this.cutBatches.amount - 1);
      this.cut = last.first - 1;
    }
    this.cursor = Math.min(this.cursor, this.cutBatches.amount);
  }

  /** A connection begins: everything that is not acked goes out on it. */
  restart(): void {
    this.storedHere = this.ackedUpTo;
    this.cursor = this.#storedIndex = this.outMessages = this.outBytes = this.maxSentHere = 0;
  }

  /** The batch at the cursor is sent. Returns how many of its messages were never sent before. */
  markSent({ first, count, utf8Size: bytes }: Batch): number {
    const last = first + count - 1;
    this.cursor += 1;
    this.outMessages += count;
    this.outBytes += bytes;
    const isNew = Math.max(0, last - Math.max(this.sentUpTo, first - 1));
    this.sentUpTo = Math.max(this.sentUpTo, last);
    this.maxSentHere = Math.max(this.maxSentHere, last);
    return isNew;
  }

  /** The batches from one index to before another are not on their way any more. */
  #countIn(from: number, to: number): void {
    for (let index = from; index < to; index += 1) {
      const { count, utf8Size: bytes } = this.#batchAt(index);
      this.outMessages -= count;
      this.outBytes -= bytes;
    }
  }

  /** Everything up to a sequence is stored. */
  reach(stored: number): void {
    const index = this.batchFrom(stored + 1);
    this.#countIn(this.#storedIndex, index);
    this.storedHere = stored;
    this.#storedIndex = index;
  }

  /** Forgets everything up to a sequence, which has reached the level. Returns how many of it were not refused. */
  release(acked: number): number {
    let settled = 0;
    for (let index = this.batchFrom(acked + 1); index > 0; index -= 1) {
      const { count, utf8Size: bytes, text } = this.#batchAt(0);
      this.cutBatches.shift();
      this.cursor -= 1;
      this.#storedIndex -= 1;
      if (!text) continue;
      settled += count;
      this.#buffer.add(-count, -bytes);
    }
    for (const sequence of this.refusals)
      if (sequence <= acked) {
        this.refusals.delete(sequence);
        settled -= 1;
      }
    this.ackedUpTo = acked;
    return settled;
  }

  /** Notes a refusal; false where the message was settled before. It stays until it is acked: it may have to go again. */
  refuse(sequence: number): boolean {
    if (sequence <= this.ackedUpTo || sequence > this.lastTaken || this.refusals.has(sequence)) return false;
    if (sequence <= this.cut && !this.#batchAt(this.#indexOf(sequence)).text) return false;
    this.refusals.add(sequence);
    this.refusedCount += 1;
    return true;
  }

  /** Goes back to a sequence, which is sent again; false when it was not sent on this connection. */
  rewind(sequence: number): boolean {
    const index = this.batchFrom(Math.max(sequence, this.storedHere + 1));
    if (index >= this.cursor) return false;
    this.#countIn(index, this.cursor);
    this.cursor = index;
    return true;
  }

  #batchAt(index: number): Batch {
    return this.cutBatches.at(index) as Batch;
  }

  /** Index of the batch that holds a sequence, or of the first after it. */
  #indexOf(sequence: number): number {
    return this.cutBatches.search(({ first, count }) => first + count <= sequence);
  }

  /** Index of the batch that begins at a sequence; splits one that holds it. */
  batchFrom(sequence: number): number {
    const index = this.#indexOf(sequence);
    const batch = this.cutBatches.at(index);
    if (!batch || batch.first >= sequence) return index;
    this.split(index, sequence - batch.first);
    return index + 1;
  }

  /** Splits a batch after its first `count` messages where it has more. */
  split(index: number, count: number): Batch {
    const batch = this.#batchAt(index);
    if (count >= batch.count) return batch;
    this.cutBatches.insert(index + 1, splitBatch(batch, count));
    if (this.cursor > index) this.cursor += 1;
    if (this.#storedIndex > index) this.#storedIndex += 1;
    return batch;
  }

  /** What is neither acked nor refused: sent ones and unsent ones. */
  unsettled(): UnsettledMessages {
    const left: UnsettledMessages = { inDoubt: [], unsent: [] };
    const note = (sequence: number, text: string): void => {
      if (text === DROPPED || this.refusals.has(sequence)) return;
      (sequence <= this.sentUpTo ? left.inDoubt : left.unsent).push(text);
    };
    for (const { first, text } of this.cutBatches.slice())
      for (const [offset, line] of text?.split('\n').entries() ?? []) note(first + offset, line);
    for (let index = 0; index < this.waiting.amount; index += 1)
      note(this.cut + 1 + index, this.waiting.textAt(index));
    return left;
  }
}

function byFirst(one: { readonly first: number }, other: { readonly first: number }): number {
  return one.first - other.first;
}
