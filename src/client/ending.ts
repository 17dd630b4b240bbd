import { Alarm } from './alarm.ts';
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
  readonly storage: WindowStorage;
}

/** How a client ends: by `close`, or by an error that connecting again does not repair. */
export class Ending {
  readonly #parts: EndingParts;
  readonly #limit: Alarm;
  #closing: Deferred<CloseReport> | undefined;
  #closed: { report: CloseReport; error: SluiceError; isLate: boolean } | undefined;
  /** Messages of calls that still waited for room at the end. */
  leftBlocked: string[] = [];

  constructor(parts: EndingParts) {
    this.#parts = parts;
    this.#limit = new Alarm(parts.settings.timers);
  }

  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** The error that ended the client. */
  get endError(): SluiceError | undefined {
    return this.#closed?.error;
  }

  /** Why nothing more is taken. */
  get overError(): SluiceError | undefined {
    return this.endError ?? (this.isClosing ? closedError(0) : undefined);
  }

  /** Messages of which nothing is known yet; after the end, those of which nothing was ever known. */
  get unsettledCount(): number {
    const { buffer, own, intake, recovery } = this.#parts;
    return (
      this.#closed?.report.unacked ??
      buffer.messages - own.refused.size - recovery.refusedCount + intake.calls.blockedMessages
    );
  }

  get #isEmpty(): boolean {
    const { own, intake } = this.#parts;
    return intake.isRecovered && own.isEmpty && intake.calls.blocked.length === 0;
  }

  /** Sends what waits, says goodbye and resolves when everything is acked, or after the time limit. */
  close(timeLimitMs: number): Promise<CloseReport> {
    if (this.#closing) return this.#closing.promise;
    const { sender } = this.#parts;
    this.#closing = defer<CloseReport>();
    const { promise, resolve } = this.#closing;
    if (!this.#closed && !(timeLimitMs > 0)) this.end(undefined, true);
    else {
      this.#limit.set(timeLimitMs, () => {
        // What waits for a storage that does not answer waits no longer.
        if (this.#closed) resolve(this.#closed.report);
        else this.end(undefined, true);
      });
      sender.isDue = true;
      if (this.#closed) this.settle();
      else if (sender.connection?.isWelcomed || !this.endIfDone()) sender.pump();
    }
    return promise;
  }

  /** Ends a client that was closed and has nothing left to do; true where it has ended. */
  endIfDone(): boolean {
    if (!this.#closed && this.isClosing && this.#isEmpty) this.end();
    return this.#closed !== undefined;
  }

  /** Says goodbye where all of an instance is settled, or all of a closing client's own is sent. */
  sayBye(connection: Connection): void {
    const { own, intake, sender, recovery } = this.#parts;
    const { window, isOwn } = connection;
    if (connection.byeMs !== undefined) return;
    const isOver = isOwn
      ? this.isClosing && own.isAllSent && intake.calls.blocked.length === 0
      : recovery.next !== window;
    if (!isOver) return;
    // A server that is about to go answers no goodbye, and there is nothing left to wait for.
    if (connection.drainUntilMs !== undefined) {
      if (isOwn) this.endIfDone();
    } else if (window.outMessages === 0) {
      // What is on its way may still be deferred, and after the goodbye nothing can be sent again.
      connection.byeMs = this.#parts.settings.timers.now();
      sender.transmit(connection, '{"t":"bye"}');
    }
  }

  /** Ends the client: with an error by itself, without one because it was closed. */
  end(error?: SluiceError, timedOut = false): void {
    if (this.#closed) return;
    const { counts, own, intake, sender, link, storage, emit } = this.#parts;
    const unacked = this.unsettledCount;
    const { acked, refused, dropped } = counts;
    const report: CloseReport = { unacked, acked, refused, dropped, timedOut };
    if (error) report.code = error.code;
    const reason = error ?? closedError(unacked);
    this.#closed = { report, error: reason, isLate: timedOut };

    link.stop();
    sender.stop();
    const { code, message } = reason;
    const isTakenOver = code === 'fenced' || code === 'replaced';
    const unknown = isTakenOver ? fateUnknownError(reason) : reason;
    this.leftBlocked = intake.end(reason, ({ kind, first, last }) =>
      kind !== 'flush' && first <= own.sent && last > own.acked ? unknown : reason,
    );
    // Nothing of this instance is left, so nothing of it needs to be kept.
    if (own.isEmpty) own.isForgotten = true;

    if (isTakenOver) emit({ type: code, code, message });
    else if (error) emit({ type: 'failed', code, message });
    emit({ type: 'closed', report });
    storage.hurry();
    this.settle();
  }

  /** Resolves `close` once the storage has done the last it has to do. */
  settle(): void {
    if (!this.#closed || !this.#closing) return;
    const { report, isLate } = this.#closed;
    if (!this.#parts.storage.isIdle && !isLate) return;
    this.#limit.stop();
    this.#closing.resolve(report);
  }
}

function closedError(unacked: number): SluiceError {
  const rest = unacked && ` with ${unacked} messages unacked`;
  return new SluiceError('client_closed', `The client was closed${rest || ''}`, { details: { unacked } });
}

function fateUnknownError(cause: SluiceError): SluiceError {
  return new SluiceError('fate_unknown', `The server may have the message or not. ${cause.message}`, {
    details: { ended: cause.code },
    cause,
  });
}
