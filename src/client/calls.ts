/** The promises of calls, and what they wait for. */

import { Deque } from './deque.ts';
import { type ClientErrorCode, SluiceError } from './errors.ts';
import type { BatchReceipt, RefusalReason, RefusedMessage } from './events.ts';

/** A call, and how far its messages are. Its sequences are contiguous. */
export class Call {
  readonly callKind: 'one' | 'post' | 'batch' | 'flush';
  readonly total: number;
  readonly #resolve: (receipt: BatchReceipt | undefined) => void;
  readonly #reject: (error: SluiceError) => void;
  /** Some messages of the call wait for room. */
  isOpen = false;
  isDone = false;
  /** Sequences; `last` is below `first` where none was given. */
  first = 1;
  last = 0;
  /** Indexes of messages that never get a sequence, in order. */
  #skipped: number[] | undefined;
  #refused: RefusedMessage[] | undefined;

  constructor(
    kind: Call['callKind'],
    total: number,
    resolve: (receipt: BatchReceipt | undefined) => void,
    reject: (error: SluiceError) => void,
  ) {
    this.callKind = kind;
    this.total = total;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Notes that a message is refused. */
  refuse(index: number, code: ClientErrorCode, message: string, reason?: RefusalReason): void {
    this.#refused ??= [];
    this.#refused.push({ index, code, message, ...reason });
  }

  /** Notes that a message is refused and never gets a sequence. */
  skip(index: number, code: ClientErrorCode, message: string): void {
    this.#skipped ??= [];
    this.#skipped.push(index);
    this.refuse(index, code, message);
  }

  /** The index of the message that has a sequence. */
  indexOf(sequence: number): number {
    let index = sequence - this.first;
    for (const skipped of this.#skipped ?? []) {
      if (skipped > index) break;
      index += 1;
    }
    return index;
  }

  /** Settles the call where all of its messages are refused or dropped. */
  finishRefused(): void {
    if (this.#refused?.length === this.total && !this.isOpen) this.finish();
  }

  /** Settles the call: its messages have all been settled. */
  finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    const refused = this.#refused ?? [];
    const [only] = refused;
    const hasSequence = this.last >= this.first;
    if (this.callKind === 'batch') {
      const receipt: BatchReceipt = {
        messages: this.total,
        refused: refused.sort((one, other) => one.index - other.index),
      };
      if (hasSequence) receipt.firstSequence = this.first;
      this.#resolve(receipt);
    } else if (!only) this.#resolve(undefined);
    else {
      const { index, code, message, ...reason } = only;
      const details = hasSequence ? { ...reason, sequence: this.first } : {};
      this.#reject(new SluiceError(code, message, { details }));
    }
  }

  reject(error: SluiceError): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#reject(error);
  }
}

/** A call whose messages from `next` on wait for room. */
export interface BlockedCall {
  texts: readonly string[];
  next: number;
  call: Call;
}

/** The calls of a client that are not settled, in the order of their messages. */
export class Calls {
  readonly #calls = new Deque<Call>();
  readonly #flushes = new Deque<Call>();
  readonly blocked = new Deque<BlockedCall>();
  /** A flush that the server has not been asked for on this connection. */
  isFlushDue = false;

  get hasFlushes(): boolean {
    return this.#flushes.amount > 0;
  }

  /** The last sequence that a flush waits for. */
  get flushUpTo(): number {
    return this.#flushes.last?.last ?? 0;
  }

  get blockedMessages(): number {
    return this.blocked.slice().reduce((sum, { texts, next }) => sum + texts.length - next, 0);
  }

  /** A call whose messages begin after the sequence `taken`. */
  add(call: Call, taken: number): void {
    call.first = taken + 1;
    call.last = taken;
    if (call.callKind === 'flush') {
      this.#flushes.push(call);
      this.isFlushDue = true;
    } else this.#calls.push(call);
  }

  /** Removes the call that was added last. */
  rollback(): void {
    this.#calls.truncate(this.#calls.amount - 1);
  }

  /** The call that a message came with. */
  callOf(sequence: number): Call | undefined {
    const call = this.#calls.at(this.#calls.search(({ last }) => last < sequence));
    return call && sequence >= call.first ? call : undefined;
  }

  /** Settles the calls whose messages are all at or below `reached`, and the flushes at or below `flushed`. */
  settle(reached: number, flushed: number): void {
    finishUpTo(this.#calls, reached);
    finishUpTo(this.#flushes, flushed);
  }

  /** Rejects all that is left; the error may depend on the call. */
  rejectAll(errorOf: (call: Call) => SluiceError): void {
    const blocked = this.blocked.slice().map(({ call }) => call);
    for (const call of [...this.#calls.slice(), ...this.#flushes.slice(), ...blocked])
      call.reject(errorOf(call));
    for (const calls of [this.#calls, this.#flushes, this.blocked]) calls.truncate(0);
  }
}

function finishUpTo(calls: Deque<Call>, sequence: number): void {
  for (let call = calls.at(0); call; call = calls.at(0)) {
    if (call.isOpen || call.last > sequence) break;
    call.finish();
    calls.shift();
  }
}
