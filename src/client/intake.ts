import type { AckLevel } from './ack-level.ts';
import { Calls, type Ticket } from './calls.ts';
import type { ClientContext } from './context.ts';
import { type Deferred, defer } from './deferred.ts';
import { type ClientErrorCode, SluiceError } from './errors.ts';
import { escapeReplacement, HAS_REPLACEMENT, lineBytes, lineRefusal } from './message-text.ts';
import type { SendWindow } from './send-window.ts';

const MAX_BLOCKED_CALLS = 1_000;

const DROPPED_MESSAGE = 'The message was dropped: the ring was full';

/** Takes the messages of calls into the client's own window as far as there is room, and settles the calls. */
export class Intake {
  readonly calls = new Calls();
  readonly #context: ClientContext;
  /** What the server takes; unknown before the first welcome. */
  messageBytes = Number.POSITIVE_INFINITY;
  /** The level that the sink gives. */
  level: AckLevel;
  /** Nothing of older instances is left, for which a flush waits too. */
  isRecovered: boolean;
  #room: Deferred<void> | undefined;

  constructor(context: ClientContext) {
    this.#context = context;
    this.level = context.settings.ack;
    this.isRecovered = context.settings.storage === undefined;
  }

  get #hasRoom(): boolean {
    return this.calls.blocked.length === 0 && this.#context.buffer.hasRoom;
  }

  /** Takes a call, or lets it wait for room, or refuses it; true where there may be something to send. */
  enqueue(texts: readonly string[], ticket: Ticket): boolean {
    const { blocked } = this.calls;
    if (blocked.length > 0) {
      if (blocked.length >= MAX_BLOCKED_CALLS) this.#refuseFull(ticket);
      else blocked.push({ texts, next: 0, ticket });
      return false;
    }
    const { waiting } = this.#context.own;
    const { length, bytes } = waiting;
    const { counts } = this.#context;
    const { refused, dropped } = counts;
    this.calls.add(ticket, this.#context.own.taken);
    const next = this.#take(texts, 0, ticket);
    if (next < texts.length) {
      if (this.#context.settings.whenFull === 'reject') {
        this.#context.own.rollback(length, bytes);
        counts.refused = refused;
        this.calls.rollback();
        this.#refuseFull(ticket);
        return false;
      }
      ticket.isOpen = true;
      blocked.push({ texts, next, ticket });
    }
    this.#tellDropped(dropped);
    ticket.finishRefused();
    return true;
  }

  /** Lets blocked calls in as far as there is room, in their order. */
  admitBlocked(): void {
    const { blocked } = this.calls;
    const { dropped } = this.#context.counts;
    for (let call = blocked.at(0); call; call = blocked.at(0)) {
      const { ticket, texts } = call;
      if (!ticket.isOpen) {
        ticket.isOpen = true;
        this.calls.add(ticket, this.#context.own.taken);
      }
      call.next = this.#take(texts, call.next, ticket);
      if (call.next < texts.length) break;
      ticket.isOpen = false;
      ticket.finishRefused();
      blocked.shift();
    }
    this.#tellDropped(dropped);
    if (this.#room && this.#hasRoom) {
      this.#room.resolve();
      this.#room = undefined;
    }
  }

  /** Settles the calls and flushes that have reached their level. */
  settle(): void {
    const { acked, sent } = this.#context.own;
    this.calls.settle(this.level === 'none' ? sent : acked, this.isRecovered ? acked : -1);
  }

  /** Resolves when there is room: one promise for all who ask, however often. */
  ready(): Promise<void> {
    if (this.#hasRoom) return Promise.resolve();
    this.#room ??= defer<void>();
    return this.#room.promise;
  }

  /** Refuses a call as a whole: nothing of it was taken. */
  refuseCall(ticket: Ticket, error: SluiceError): void {
    this.#context.counts.refused += ticket.total;
    ticket.reject(error);
    this.#tellRefused(ticket, error.code, error.message);
  }

  /** Settles one message as refused; false where it was settled before. */
  refuseSequence(window: SendWindow, sequence: number, code: ClientErrorCode, message: string): boolean {
    if (!window.refuse(sequence)) return false;
    this.#context.counts.refused += 1;
    if (window === this.#context.own) this.#refuseInCall(sequence, code, message);
    return true;
  }

  refuseTooLarge(window: SendWindow, sequence: number, bytes?: number): void {
    this.refuseSequence(window, sequence, 'message_too_large', this.#tooLargeMessage(bytes));
  }

  /** Rejects all that waits for something; the error may depend on the call. Returns the texts that still waited for room. */
  end(reason: SluiceError, errorOf: (ticket: Ticket) => SluiceError): string[] {
    const left = this.calls.blocked.slice().flatMap(({ texts, next }) => texts.slice(next));
    this.calls.rejectAll(errorOf);
    this.#room?.reject(reason);
    this.#room = undefined;
    return left;
  }

  /** Takes messages from `from` on, and returns the index of the first for which there is no room. */
  #take(texts: readonly string[], from: number, ticket: Ticket): number {
    const { settings, counts, buffer, own } = this.#context;
    const { whenFull } = settings;
    const maxBytes = Math.min(this.messageBytes + 1, buffer.maxBytes);
    for (let index = from; index < texts.length; index += 1) {
      let text = texts[index] as string;
      let bytes = lineBytes(text);
      if (bytes === HAS_REPLACEMENT) {
        text = escapeReplacement(text);
        bytes = lineBytes(text);
      }
      if (bytes < 0) {
        const { code, message } = lineRefusal(bytes);
        this.#skip(ticket, index, code, message);
      } else if (bytes > maxBytes) this.#skipTooLarge(ticket, index, bytes - 1);
      else {
        if (!buffer.fits(bytes)) {
          if (whenFull === 'block' || whenFull === 'reject') return index;
          if (whenFull === 'drop-oldest') this.#dropOldest(bytes);
          if (!buffer.fits(bytes)) {
            ticket.skip(index, 'message_dropped', DROPPED_MESSAGE);
            counts.dropped += 1;
            continue;
          }
        }
        own.push(text, bytes);
        ticket.last += 1;
      }
    }
    return texts.length;
  }

  /** Makes room by dropping what was never sent. Its places stay, so that the numbers of the others are what they were. */
  #dropOldest(bytes: number): void {
    const own = this.#context.own;
    while (own.waiting.length > 0 && !this.#context.buffer.fits(bytes)) {
      const sequence = own.dropOldest();
      // One that turned out too large is settled, and in no storage.
      if (own.refused.delete(sequence)) continue;
      own.discard(sequence);
      this.#context.counts.dropped += 1;
      this.#refuseInCall(sequence, 'message_dropped', DROPPED_MESSAGE);
    }
  }

  /** Settles a message of a call that never gets a sequence. */
  #skip(ticket: Ticket, index: number, code: ClientErrorCode, message: string): void {
    ticket.skip(index, code, message);
    this.#context.counts.refused += 1;
    this.#tellRefused(ticket, code, message);
  }

  #skipTooLarge(ticket: Ticket, index: number, bytes: number): void {
    const { maxBytes } = this.#context.buffer;
    if (bytes < maxBytes) this.#skip(ticket, index, 'message_too_large', this.#tooLargeMessage(bytes));
    else this.#skip(ticket, index, 'ring_full', `The message has ${bytes} bytes, ringBytes is ${maxBytes}`);
  }

  #tooLargeMessage(bytes?: number): string {
    const size = bytes === undefined ? 'is too large' : `has ${bytes} bytes`;
    return `The message ${size}: the server takes ${this.messageBytes} bytes at most`;
  }

  #refuseInCall(sequence: number, code: ClientErrorCode, message: string): void {
    const ticket = this.calls.ticketOf(sequence);
    if (!ticket || ticket.isDone) return;
    ticket.refuse(ticket.indexOf(sequence), code, message);
    ticket.finishRefused();
  }

  #refuseFull(ticket: Ticket): void {
    this.refuseCall(ticket, new SluiceError('ring_full', 'The ring is full'));
  }

  #tellRefused({ kind }: Ticket, code: ClientErrorCode, message: string): void {
    if (kind === 'post') this.#context.emit({ type: 'refused', code, message });
  }

  #tellDropped(before: number): void {
    const messages = this.#context.counts.dropped - before;
    if (messages > 0) this.#context.emit({ type: 'dropped', messages });
  }
}
