import type { AckLevel } from './ack-level.ts';
import type { Connection } from './connection.ts';
import type { ClientContext } from './context.ts';
import type { Ending } from './ending.ts';
import { type FrameCode, type RefusalCode, SluiceError } from './errors.ts';
import type { ClientEvent, RefusalReason } from './events.ts';
import {
  creditOf,
  type Limits,
  membersOf,
  runOf,
  type ServerFrame,
  storedOf,
  wholeFrom,
  wholesOf,
} from './frames.ts';
import type { Intake } from './intake.ts';
import type { Link } from './link.ts';
import type { Recovery } from './recovery.ts';
import type { SendWindow } from './send-window.ts';
import { HEADER_BYTES, type Sender } from './sender.ts';
import type { WindowStorage } from './window-storage.ts';

const LEVELS: readonly AckLevel[] = ['none', 'stored', 'committed'];

const REFUSAL_CODES: readonly RefusalCode[] = [
  'invalid_json',
  'invalid_utf8',
  'nul_character',
  'lone_surrogate',
  'number_out_of_range',
  'nesting_too_deep',
  'message_too_large',
  'dead_letter',
  'invalid_message',
  'sink_failed',
];

const REASONS = ['by', 'column', 'constraint', 'sqlState'] as const;

const FRAME_CODES: readonly FrameCode[] = [
  'invalid_frame',
  'invalid_utf8',
  'unknown_type',
  'binary_frame',
  'frame_too_large',
];

export interface ReceiverParts extends ClientContext {
  readonly intake: Intake;
  readonly sender: Sender;
  readonly link: Link;
  readonly recovery: Recovery;
  readonly keeper: WindowStorage;
  readonly ending: Ending;
}

/** Does what the server's frames ask for (PROTOCOL.md). */
export function createReceiver(parts: ReceiverParts) {
  const { clock, counts, emit, intake, keeper, link, own, recovery, sender } = parts;
  const { producer, ack: asked } = parts.settings;
  const self = {
    receive(connection: Connection, data: unknown): void {
      connection.heardMs = clock.now();
      connection.askedMs = undefined;
      if (typeof data !== 'string' || data === 'pong') return;
      let frame: ServerFrame;
      try {
        frame = membersOf(JSON.parse(data));
      } catch {
        link.protocolError(connection, 'invalid_frame', 'The server sent no JSON');
        return;
      }
      const { t } = frame;
      if (!connection.isWelcomed) {
        if (t === 'welcome') welcome(connection, frame);
      } else if (t === 'ack' || t === 'flow') {
        sender.creditNow = creditOf(frame) ?? sender.creditNow;
        if (t === 'ack') ack(connection, storedOf(frame), wholeFrom(frame.committed, 0));
        else if (frame.reason === 'room') sender.resumeSending();
        sender.pump();
      } else if (t === 'nack') nack(connection, frame);
      else if (t === 'gap') gap(connection, frame);
      else if (t === 'ping') sender.transmit(connection, JSON.stringify({ t: 'pong', id: frame.id }));
      else if (t === 'drain') link.drain(connection, wholeFrom(frame.retryMs, 0));
      else if (t === 'auth') link.renew(connection);
      else if (t === 'bye') bye(connection);
    },
  };

  function welcome(connection: Connection, frame: ServerFrame): void {
    const { window, isOwn } = connection;
    const isResumed = window.epoch !== undefined;
    const epoch = wholeFrom(frame.epoch, 1);
    const stored = storedOf(frame);
    const credit = creditOf(frame);
    const limits = limitsOf(frame);
    if (
      stored === undefined ||
      !epoch ||
      (isOwn && isResumed && epoch !== window.epoch) ||
      (typeof frame.producer === 'string' && frame.producer !== producer) ||
      !credit ||
      !limits
    ) {
      link.protocolError(connection, 'invalid_frame', 'The server sent no welcome');
      return;
    }
    sender.creditNow = credit;
    takeLimits(limits, limits.messageBytes);
    counts.connections += 1;
    window.epoch = epoch;
    const wanted = isOwn ? asked : frame.stored === undefined ? 'committed' : 'stored';
    const given = oneOf(LEVELS, frame.ack) ?? wanted;
    connection.ackLevel = given;
    const missing = runOf(frame.missing);
    const hasNoSession = window.session === undefined;
    // After a recovery too: the next one names it, and is not told that what this one sends may be a copy's.
    if (typeof frame.session === 'string') {
      window.session = frame.session;
      if (window.isKept) window.unsavedSession = frame.session;
    }
    if (isOwn) {
      if (given !== intake.ackLevel) {
        intake.ackLevel = given;
        emit({ type: 'level', asked, given });
      }
      emit({ type: 'connected', epoch, resumed: isResumed, delivery: String(frame.delivery) });
      if (isResumed && frame.known === false) emit({ type: 'unknown', epoch, next: window.ackedUpTo + 1 });
      if (missing) emit({ type: 'missing', ...missing });
      if (stored > window.sentUpTo) {
        endForeign(window, stored);
        return;
      }
      intake.calls.isFlushDue = intake.calls.hasFlushes;
    } else {
      // An instance that was never welcomed has sent nothing, so there was nothing to know.
      window.isKnown &&= frame.known !== false || (hasNoSession && !isResumed);
      window.missing = missing ?? window.missing;
      const sure = wholeFrom(frame.sure, 0);
      if (sure !== undefined) {
        recovery.putAside(window, sure, stored);
        admitBlocked();
      }
      window.trimDroppedEnd();
    }
    sender.restart();
    // All that was not acked goes out once more, even what the server says it has: the nack of a message that it refused
    // may have been lost with the connection before, and comes again only when the message does.
    window.restart();
    // Only now may anything be sent.
    connection.isWelcomed = true;
    connection.awaitProgress(clock.now());
    intake.settle();
    keeper.run();
    if (isOwn || !finishRecovery(connection)) sender.pump();
  }

  /**
   * The server has more of this epoch than was sent: a copy of this running client has sent under its numbers. To go on would
   * let new messages pass for those.
   */
  function endForeign(window: SendWindow, stored: number): void {
    const { sentUpTo: sent } = window;
    const message = 'A copy of this client has sent in its epoch';
    if (window.isKept) window.doubtUpTo(stored);
    parts.ending.end(new SluiceError('fenced', message, { details: { stored, sent } }));
  }

  function takeLimits(limits: Limits, messageBytes: number): void {
    sender.frameLimits = limits;
    const isSmaller = messageBytes < intake.mostBytes;
    intake.mostBytes = messageBytes;
    if (!isSmaller) return;
    // What waits and is larger than the server takes, as it is known now.
    own.dropAbove(messageBytes + 1, (sequence) => intake.refuseTooLarge(own, sequence));
    admitBlocked();
  }

  /** Takes over how far the server is. */
  function ack(connection: Connection, reported = 0, reportedCommitted = 0): void {
    const { window } = connection;
    // An ack covers nothing that was not sent on this connection.
    const { sentHere } = window;
    const committed = Math.min(reportedCommitted, sentHere);
    const stored = Math.max(Math.min(reported, sentHere), committed);
    const nowMs = clock.now();
    const isProgress = stored > window.storedHere;
    if (isProgress) {
      connection.outSinceMs = nowMs;
      window.reach(stored);
      sender.forgetTrouble();
      sender.resumeSending();
    }
    const acked = connection.ackLevel === 'committed' ? committed : stored;
    if (acked > window.ackedUpTo) {
      counts.acked += window.release(acked);
      if (connection.isOwn) intake.settle();
      keeper.run();
      admitBlocked();
    } else if (!isProgress) return;
    link.failuresInARow = 0;
    connection.awaitProgress(nowMs);
    finishRecovery(connection);
  }

  function nack(connection: Connection, frame: ServerFrame): void {
    const { window } = connection;
    const from = wholeFrom(frame.from, 1);
    const to = wholeFrom(frame.to, 1);
    const code = String(frame.code);
    const message = String(frame.message ?? '');
    const temporary = frame.temporary === true;
    const reason: RefusalReason = {};
    for (const name of REASONS) if (typeof frame[name] === 'string') reason[name] = frame[name];
    const event: ClientEvent = {
      type: 'nack',
      code,
      temporary,
      message,
      ...(from && { from }),
      ...(to && { to }),
      ...reason,
    };
    if (!temporary && from && to) {
      const refusal = oneOf(REFUSAL_CODES, code) ?? 'message_refused';
      const text = refusalText(code, message);
      const last = Math.min(to, window.maxSentHere);
      let isNews = false;
      for (let sequence = Math.max(from, window.ackedUpTo + 1); sequence <= last; sequence += 1)
        isNews = intake.refuseSequence(window, sequence, refusal, text, reason) || isNews;
      // What is sent again after a lost connection is refused again, and what was dropped here is known to be.
      if (isNews) emit(event);
      return;
    }
    emit(event);
    if (temporary) {
      counts.deferred += 1;
      sender.defer(window, from ?? window.storedHere + 1);
      return;
    }
    const known = oneOf(FRAME_CODES, code) ?? 'invalid_frame';
    link.protocolError(connection, known, `The server could not read a frame: ${message || code}`);
  }

  function gap(connection: Connection, frame: ServerFrame): void {
    const { window } = connection;
    const expected = wholeFrom(frame.expected, 1);
    if (!expected) return;
    counts.gaps += 1;
    emit({ type: 'gap', expected, got: wholeFrom(frame.got, 0) ?? 0 });
    // Every batch after the gap is answered with one: the first of them says it all.
    if (expected === sender.rewoundTo) return;
    if (expected <= window.storedHere || expected <= window.ackedUpTo || expected > window.sentHere) {
      // It has forgotten what it acked. The hello of the next connection says where this client stands.
      link.giveUp(connection, 'The server has lost messages');
      return;
    }
    sender.rewoundTo = expected;
    window.rewind(expected);
    sender.pump();
  }

  function bye(connection: Connection): void {
    if (connection.byeMs !== undefined && !connection.isOwn) {
      connection.close();
      link.goOn();
    } else if (!parts.ending.endIfDone()) link.giveUp(connection, 'The server said bye');
  }

  /** Lets calls in that waited for room, and sends what they bring. */
  function admitBlocked(): void {
    intake.admitBlocked();
    intake.settle();
    keeper.run();
    sender.schedule();
  }

  /** Ends the recovery of an instance of which all is settled; false where something is left. */
  function finishRecovery(connection: Connection): boolean {
    const isFinished = !connection.isOwn && recovery.finish(connection.window);
    if (isFinished) parts.ending.sayBye(connection);
    return isFinished;
  }

  return self;
}

export type Receiver = ReturnType<typeof createReceiver>;

/** A word that is known, or undefined. */
function oneOf<T extends string>(known: readonly T[], word: unknown): T | undefined {
  return known.find((one) => one === word);
}

/** What the server takes at most. The bytes of a message also have to fit into a frame. */
function limitsOf({ limits }: ServerFrame): (Limits & { messageBytes: number }) | undefined {
  const found = wholesOf(limits, { frameMessages: 1, frameBytes: HEADER_BYTES + 2, messageBytes: 1 });
  if (found) found.messageBytes = Math.min(found.messageBytes, found.frameBytes - HEADER_BYTES - 1);
  return found;
}

/** The server's own sentence, where it sent one. */
function refusalText(code: string, message: string): string {
  if (code === 'dead_letter') return `The message is a dead letter: ${message}`;
  return message || code;
}
