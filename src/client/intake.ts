import type { AckLevel } from './ack-level.ts';
import { type Call, Calls } from './calls.ts';
import type { ClientContext } from './context.ts';
import { type Deferred, defer } from './deferred.ts';
import { type ClientErrorCode, SluiceError } from './errors.ts';
import type { RefusalReason } from './events.ts';
import { lineOf, utf8Bytes } from './message-text.ts';
import type { SendWindow } from './send-window.ts';

const MAX_BLOCKED_CALLS = 1_000;

const DROPPED_MESSAGE = 'The message was dropped: the send buffer is full';

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
    enqueue(texts: readonly string[], call: Call): boolean {
      if (blocked.amount > 0) {
        if (blocked.amount >= MAX_BLOCKED_CALLS) refuseFull(call);
        else blocked.push({ texts, next: 0, call });
        return false;
      }
      const { waiting } = own;
      const { amount: length, utf8Size: bytes } = waiting;
      const { refused, dropped } = counts;
      calls.add(call, own.lastTaken);
      const next = take(texts, 0, call);
      if (next < texts.length) {
        if (whenFull === 'reject') {
          own.rollback(length, bytes);
          counts.refused = refused;
          calls.rollback();
          refuseFull(call);
          return false;
        }
        call.isOpen = true;
        blocked.push({ texts, next, call });
      }
      tellDropped(dropped);
      call.finishRefused();
      return true;
    },

    /** Lets blocked calls in as far as there is room, in their order. */
    admitBlocked(): void {
      const { dropped } = counts;
      for (let first = blocked.at(0); first; first = blocked.at(0)) {
        const { call, texts } = first;
        if (!call.isOpen) {
          call.isOpen = true;
          calls.add(call, own.lastTaken);
        }
        first.next = take(texts, first.next, call);
        if (first.next < texts.length) break;
        call.isOpen = false;
        call.finishRefused();
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
    refuseCall(call: Call, error: SluiceError): void {
      counts.refused += call.total;
      call.reject(error);
      tellRefused(call, error.code, error.message);
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
    end(reason: SluiceError, errorOf: (call: Call) => SluiceError): string[] {
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
  function take(texts: readonly string[], from: number, call: Call): number {
    const maxBytes = Math.min(self.mostBytes + 1, buffer.maxBytes);
    for (let index = from; index < texts.length; index += 1) {
      const text = texts[index] as string;
      // The usual text is looked at once, and has as many bytes as characters.
      const isPlain = typeof text === 'string' && /^[ -~]{2,}$/.test(text);
      const line = isPlain ? text : lineOf(text);
      if (typeof line !== 'string') {
        skip(call, index, line.code, line.message);
        continue;
      }
      const bytes = (isPlain ? line.length : utf8Bytes(line)) + 1;
      if (bytes > maxBytes) skipTooLarge(call, index, bytes - 1);
      else {
        if (!buffer.fits(bytes)) {
          if (whenFull === 'block' || whenFull === 'reject') return index;
          if (whenFull === 'drop-oldest') dropOldest(bytes);
          if (!buffer.fits(bytes)) {
            call.skip(index, 'message_dropped', DROPPED_MESSAGE);
            counts.dropped += 1;
            continue;
          }
        }
        own.push(line, bytes);
        call.last += 1;
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
  function skip(call: Call, index: number, code: ClientErrorCode, message: string): void {
    call.skip(index, code, message);
    counts.refused += 1;
    tellRefused(call, code, message);
  }

  function skipTooLarge(call: Call, index: number, bytes: number): void {
    const { maxBytes } = buffer;
    if (bytes < maxBytes) skip(call, index, 'message_too_large', tooLargeMessage(bytes));
    else
      skip(call, index, 'send_buffer_full', `The message has ${bytes} bytes, sendBufferBytes is ${maxBytes}`);
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
    const call = calls.callOf(sequence);
    if (!call || call.isDone) return;
    call.refuse(call.indexOf(sequence), code, message, reason);
    call.finishRefused();
  }

  function refuseFull(call: Call): void {
    self.refuseCall(call, new SluiceError('send_buffer_full', 'The send buffer is full'));
  }

  function tellRefused({ callKind }: Call, code: ClientErrorCode, message: string): void {
    if (callKind === 'post') emit({ type: 'refused', code, message });
  }

  function tellDropped(before: number): void {
    const messages = counts.dropped - before;
    if (messages > 0) emit({ type: 'dropped', messages });
  }

  return self;
}

export type Intake = ReturnType<typeof createIntake>;
