import type { AckLevel } from './ack-level.ts';
import { Calls, type Ticket } from './calls.ts';
import type { ClientContext } from './context.ts';
import { type Deferred, defer } from './deferred.ts';
import { type ClientErrorCode, SluiceError } from './errors.ts';
import type { RefusalReason } from './events.ts';
import { lineOf, utf8Bytes } from './message-text.ts';
import type { SendWindow } from './send-window.ts';

const MAX_BLOCKED_CALLS = 1_000;

const DROPPED_MESSAGE = 'The message was dropped: the send buffer was full';

/** Takes the messages of calls into the client's own window as far as there is room, and settles the calls. */
export function createIntake({ settings, counts, buffer, own, emit }: ClientContext) {
  const { whenFull } = settings;
  const calls = new Calls();
  const { blocked } = calls;
  let room: Deferred<void> | undefined;

  const self = {
    calls,
    /** What the server takes; unknown before the first welcome. */
    mostBytes: Number.POSITIVE_INFINITY,
    /** The level that the sink gives. */
    ackLevel: settings.ack as AckLevel,
    /** Nothing of older instances is left, for which a flush waits too. */
    isRecovered: !settings.storage as boolean,
    /** Takes a call, or lets it wait for room, or refuses it; true where there may be something to send. */
    enqueue(texts: readonly string[], ticket: Ticket): boolean {
      if (blocked.amount > 0) {
        if (blocked.amount >= MAX_BLOCKED_CALLS) refuseFull(ticket);
        else blocked.push({ texts, next: 0, ticket });
        return false;
      }
      const { waiting } = own;
      const { amount: length, utf8Size: bytes } = waiting;
      const { refused, dropped } = counts;
      calls.add(ticket, own.lastTaken);
      const next = take(texts, 0, ticket);
      if (next < texts.length) {
        if (whenFull === 'reject') {
          own.rollback(length, bytes);
          counts.refused = refused;
          calls.rollback();
          refuseFull(ticket);
          return false;
        }
        ticket.isOpen = true;
        blocked.push({ texts, next, ticket });
      }
      tellDropped(dropped);
      ticket.finishRefused();
      return true;
    },

    /** Lets blocked calls in as far as there is room, in their order. */
    admitBlocked(): void {
      const { dropped } = counts;
      for (let call = blocked.at(0); call; call = blocked.at(0)) {
        const { ticket, texts } = call;
        if (!ticket.isOpen) {
          ticket.isOpen = true;
          calls.add(ticket, own.lastTaken);
        }
        call.next = take(texts, call.next, ticket);
        if (call.next < texts.length) break;
        ticket.isOpen = false;
        ticket.finishRefused();
        blocked.shift();
      }
      tellDropped(dropped);
      if (room && hasRoom()) {
        room.resolve();
        room = undefined;
      }
    },

    /** Settles the calls and flushes that have reached their level. */
    settle(): void {
      const { ackedUpTo: acked, sentUpTo: sent } = own;
      calls.settle(self.ackLevel === 'none' ? sent : acked, self.isRecovered ? acked : -1);
    },

    /** Resolves when there is room: one promise for all who ask, however often. */
    ready(): Promise<void> {
      if (hasRoom()) return Promise.resolve();
      room ??= defer<void>();
      return room.promise;
    },

    /** Refuses a call as a whole: nothing of it was taken. */
    refuseCall(ticket: Ticket, error: SluiceError): void {
      counts.refused += ticket.total;
      ticket.reject(error);
      tellRefused(ticket, error.code, error.message);
    },

    /** Settles one message as refused; false where it was settled before. */
    refuseSequence(
      window: SendWindow,
      sequence: number,
      code: ClientErrorCode,
      message: string,
      reason?: RefusalReason,
    ): boolean {
      if (!window.refuse(sequence)) return false;
      counts.refused += 1;
      if (window === own) refuseInCall(sequence, code, message, reason);
      return true;
    },

    refuseTooLarge(window: SendWindow, sequence: number, bytes?: number): void {
      self.refuseSequence(window, sequence, 'message_too_large', tooLargeMessage(bytes));
    },

    /** Rejects all that waits for something; the error may depend on the call. Returns the texts that still waited for room. */
    end(reason: SluiceError, errorOf: (ticket: Ticket) => SluiceError): string[] {
      const left = blocked.slice().flatMap(({ texts, next }) => texts.slice(next));
      calls.rejectAll(errorOf);
      room?.reject(reason);
      room = undefined;
      return left;
    },
  };

  function hasRoom(): boolean {
    return blocked.amount === 0 && buffer.hasRoom;
  }

  /** Takes messages from `from` on, and returns the index of the first for which there is no room. */
  function take(texts: readonly string[], from: number, ticket: Ticket): number {
    const maxBytes = Math.min(self.mostBytes + 1, buffer.maxBytes);
    for (let index = from; index < texts.length; index += 1) {
      const text = texts[index] as string;
      // The usual text is looked at once, and has as many bytes as characters.
      const isPlain = typeof text === 'string' && /^[ -~]{2,}$/.test(text);
      const line = isPlain ? text : lineOf(text);
      if (typeof line !== 'string') {
        skip(ticket, index, line.code, line.message);
        continue;
      }
      const bytes = (isPlain ? line.length : utf8Bytes(line)) + 1;
      if (bytes > maxBytes) skipTooLarge(ticket, index, bytes - 1);
      else {
        if (!buffer.fits(bytes)) {
          if (whenFull === 'block' || whenFull === 'reject') return index;
          if (whenFull === 'drop-oldest') dropOldest(bytes);
          if (!buffer.fits(bytes)) {
            ticket.skip(index, 'message_dropped', DROPPED_MESSAGE);
            counts.dropped += 1;
            continue;
          }
        }
        own.push(line, bytes);
        ticket.last += 1;
      }
    }
    return texts.length;
  }

  /** Makes room by dropping what was never sent. Its places stay, so that the numbers of the others are what they were. */
  function dropOldest(bytes: number): void {
    while (own.waiting.amount > 0 && !buffer.fits(bytes)) {
      const sequence = own.dropOldest();
      // One that turned out too large is settled, and in no storage.
      if (own.refusals.delete(sequence)) continue;
      own.discardText(sequence);
      counts.dropped += 1;
      refuseInCall(sequence, 'message_dropped', DROPPED_MESSAGE);
    }
  }

  /** Settles a message of a call that never gets a sequence. */
  function skip(ticket: Ticket, index: number, code: ClientErrorCode, message: string): void {
    ticket.skip(index, code, message);
    counts.refused += 1;
    tellRefused(ticket, code, message);
  }

  function skipTooLarge(ticket: Ticket, index: number, bytes: number): void {
    const { maxBytes } = buffer;
    if (bytes < maxBytes) skip(ticket, index, 'message_too_large', tooLargeMessage(bytes));
    else
      skip(
        ticket,
        index,
        'send_buffer_full',
        `The message has ${bytes} bytes, sendBufferBytes is ${maxBytes}`,
      );
  }

  function tooLargeMessage(bytes?: number): string {
    const size = bytes === undefined ? 'is too large' : `has ${bytes} bytes`;
    return `The message ${size}: the server takes ${self.mostBytes} bytes at most`;
  }

  function refuseInCall(
    sequence: number,
    code: ClientErrorCode,
    message: string,
    reason?: RefusalReason,
  ): void {
    const ticket = calls.ticketOf(sequence);
    if (!ticket || ticket.isDone) return;
    ticket.refuse(ticket.indexOf(sequence), code, message, reason);
    ticket.finishRefused();
  }

  function refuseFull(ticket: Ticket): void {
    self.refuseCall(ticket, new SluiceError('send_buffer_full', 'The send buffer is full'));
  }

  function tellRefused({ callKind }: Ticket, code: ClientErrorCode, message: string): void {
    if (callKind === 'post') emit({ type: 'refused', code, message });
  }

  function tellDropped(before: number): void {
    const messages = counts.dropped - before;
    if (messages > 0) emit({ type: 'dropped', messages });
  }

  return self;
}

export type Intake = ReturnType<typeof createIntake>;
