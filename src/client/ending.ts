import { createAlarm } from './alarm.ts';
import type { Connection } from './connection.ts';
import type { ClientContext } from './context.ts';
import { type Deferred, defer } from './deferred.ts';
import { SluiceError } from './errors.ts';
import type { CloseReport } from './events.ts';
import type { Intake } from './intake.ts';
import type { Link } from './link.ts';
import type { Recovery } from './recovery.ts';
import type { Sender } from './sender.ts';
import type { WindowStorage } from './window-storage.ts';

export interface EndingParts extends ClientContext {
  readonly intake: Intake;
  readonly sender: Sender;
  readonly link: Link;
  readonly recovery: Recovery;
  readonly keeper: WindowStorage;
}

/** How a client ends: by `close`, or by an error that connecting again does not repair. */
export function createEnding(parts: EndingParts) {
  const { buffer, clock, counts, emit, intake, keeper, link, own, recovery, sender } = parts;
  const { calls } = intake;
  const limit = createAlarm(clock);
  let closing: Deferred<CloseReport> | undefined;
  let closed: { report: CloseReport; error: SluiceError; isLate: boolean } | undefined;

  const self = {
    /** Messages of calls that still waited for room at the end. */
    leftBlocked: [] as string[],
    get isClosing(): boolean {
      return closing !== undefined;
    },

    /** The error that ended the client. */
    get endError(): SluiceError | undefined {
      return closed?.error;
    },

    /** Why nothing more is taken. */
    get overError(): SluiceError | undefined {
      return self.endError ?? (self.isClosing ? closedError(0) : undefined);
    },

    /** Messages of which nothing is known yet; after the end, those of which nothing was ever known. */
    get unsettledCount(): number {
      return (
        closed?.report.unacked ??
        buffer.messages - own.refusals.size - recovery.refusedCount + calls.blockedMessages
      );
    },

    /** Sends what waits, says goodbye and resolves when everything is acked, or after the time limit. */
    close(timeLimitMs: number): Promise<CloseReport> {
      if (closing) return closing.promise;
      closing = defer<CloseReport>();
      const { promise, resolve } = closing;
      if (!closed && !(timeLimitMs > 0)) self.end(undefined, true);
      else {
        limit.set(timeLimitMs, () => {
          // What waits for a storage that does not answer waits no longer.
          if (closed) resolve(closed.report);
          else self.end(undefined, true);
        });
        sender.isDue = true;
        if (closed) self.settle();
        else if (sender.connection?.isWelcomed || !self.endIfDone()) sender.pump();
      }
      return promise;
    },

    /** Ends a client that was closed and has nothing left to do; true where it has ended. */
    endIfDone(): boolean {
      if (!closed && self.isClosing && isEmpty()) self.end();
      return closed !== undefined;
    },

    /** Says goodbye where all of an instance is settled, or all of a closing client's own is sent. */
    sayBye(connection: Connection): void {
      const { window, isOwn } = connection;
      if (connection.byeMs !== undefined) return;
      const isOver = isOwn
        ? self.isClosing && own.isAllSent && calls.blocked.amount === 0
        : recovery.next !== window;
      if (!isOver) return;
      // A server that is about to go answers no goodbye, and there is nothing left to wait for.
      if (connection.drainUntilMs !== undefined) {
        if (isOwn) self.endIfDone();
      } else if (window.outMessages === 0) {
        // What is on its way may still be deferred, and after the goodbye nothing can be sent again.
        connection.byeMs = clock.now();
        sender.transmit(connection, '{"t":"bye"}');
      }
    },

    /** Ends the client: with an error by itself, without one because it was closed. */
    end(error?: SluiceError, timedOut = false): void {
      if (closed) return;
      const unacked = self.unsettledCount;
      const { acked, refused, dropped } = counts;
      const report: CloseReport = { unacked, acked, refused, dropped, timedOut };
      if (error) report.code = error.code;
      const reason = error ?? closedError(unacked);
      closed = { report, error: reason, isLate: timedOut };

      link.stop();
      sender.stop();
      const { code, message } = reason;
      const isTakenOver = code === 'fenced' || code === 'replaced';
      const unknown = isTakenOver ? fateUnknownError(reason) : reason;
      self.leftBlocked = intake.end(reason, ({ callKind, first, last }) =>
        callKind !== 'flush' && first <= own.sentUpTo && last > own.ackedUpTo ? unknown : reason,
      );
      // Nothing of this instance is left, so nothing of it needs to be kept.
      if (own.isEmpty) own.isForgotten = true;

      if (isTakenOver) emit({ type: code, code, message });
      else if (error) emit({ type: 'failed', code, message });
      emit({ type: 'closed', report });
      keeper.hurry();
      self.settle();
    },

    /** Resolves `close` once the storage has done the last it has to do. */
    settle(): void {
      if (!closed || !closing) return;
      const { report, isLate } = closed;
      if (!keeper.isIdle && !isLate) return;
      limit.stop();
      closing.resolve(report);
    },
  };

  function isEmpty(): boolean {
    return intake.isRecovered && own.isEmpty && calls.blocked.amount === 0;
  }

  return self;
}

export type Ending = ReturnType<typeof createEnding>;

function closedError(unacked: number): SluiceError {
  return new SluiceError('client_closed', 'The client was closed', { details: { unacked } });
}

function fateUnknownError(cause: SluiceError): SluiceError {
  return new SluiceError('fate_unknown', `The server may have the message or not. ${cause.message}`, {
    details: { ended: cause.code },
    cause,
  });
}
