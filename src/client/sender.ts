import { createAlarm } from './alarm.ts';
import { type Batch, countThatFits, linesOf } from './batch.ts';
import type { Connection } from './connection.ts';
import { type ClientContext, pauseMs } from './context.ts';
import type { Credit, Limits } from './frames.ts';
import type { Intake } from './intake.ts';
import type { SendWindow } from './send-window.ts';

/** Header of a batch with the largest numbers there are, and its newline. */
export const HEADER_BYTES = 64;

/** What a socket may hold before the client waits, and how soon it looks again: there is no event for it. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const BUFFERED_RETRY_MS = 10;

/** Pauses before a batch that was deferred goes out again, unless an ack or a `flow` says sooner that there is room. */
const DEFER_BASE_MS = 20;
const DEFER_MAX_MS = 5_000;

export interface SenderParts extends ClientContext {
  readonly intake: Intake;
  readonly link: { giveUp(connection: Connection, reason: string): void };
  readonly ending: {
    /** `close` was called: nothing lingers any more. */
    readonly isClosing: boolean;
    /** All that may go is sent. */
    sayBye(connection: Connection): void;
  };
}

/** Cuts what waits into frames, and sends them within the server's credit and limits. */
export function createSender(parts: SenderParts) {
  const { clock, counts, intake, own } = parts;
  const { calls } = intake;
  const { batchMessages, batchBytes, lingerMs, random } = parts.settings;
  let deferredInARow = 0;
  let isPumping = false;
  let pumpAgain = false;
  let isLingering = false;
  const lingering = createAlarm(clock);
  /** Waits before a batch that was deferred is sent again. */
  const deferral = createAlarm(clock);
  const bufferedCheck = createAlarm(clock);

  const self = {
    /** Where frames go; undefined while there is none. */
    connection: undefined as Connection | undefined,
    creditNow: { messages: 0, bytes: 0 } as Credit,
    frameLimits: { frameMessages: 1, frameBytes: 0 } as Limits,
    /** What waits goes out now, however little it is. */
    isDue: false,
    /** Where the client has gone back to: further gaps that say the same say nothing new. */
    rewoundTo: 0,
    /** Connected, and the server wants nothing at the moment. */
    get isPaused(): boolean {
      return deferral.isSet || !hasCredit();
    },

    /** Sees to it that what waits goes out, soon or now. */
    schedule(): void {
      if (own.waiting.amount > 0 && !self.isDue && !isFullBatch()) linger();
      else self.pump();
    },

    /** Sends what may go. */
    pump(): void {
      // Sending may fail, and a lost connection comes back here: one round at a time.
      pumpAgain = true;
      if (isPumping) return;
      isPumping = true;
      while (pumpAgain) {
        pumpAgain = false;
        sendWhatMayGo();
      }
      isPumping = false;
    },

    /** Hands a frame to the socket; false when it fails. */
    transmit(connection: Connection, frame: string): boolean {
      try {
        connection.socket.send(frame);
        return true;
      } catch (error) {
        parts.link.giveUp(connection, `No socket: ${(error as Error | undefined)?.message}`);
        return false;
      }
    },

    /** The server has no room for a batch: it goes out again when there is some, or when it has waited. */
    defer(window: SendWindow, from: number): void {
      // The batches after this one come as gaps to where the client has gone back already.
      if (window.rewind(from)) self.rewoundTo = from;
      else if (deferral.isSet) return;
      const ceiling = pauseMs(DEFER_BASE_MS, DEFER_MAX_MS, deferredInARow);
      deferredInARow += 1;
      deferral.set(ceiling * (0.5 + 0.5 * random()), () => self.pump());
    },

    /** There is room: what was deferred need not wait. */
    resumeSending(): void {
      if (hasCredit()) deferral.stop();
    },

    /** The server stores what is sent: whatever was deferred or sent again is past. */
    forgetTrouble(): void {
      deferredInARow = self.rewoundTo = 0;
    },

    /** The connection is gone. */
    disconnect(): void {
      self.connection = undefined;
      bufferedCheck.stop();
      deferral.stop();
    },

    /** A connection begins. */
    restart(): void {
      deferral.stop();
      self.forgetTrouble();
    },

    /** Nothing is sent any more. */
    stop(): void {
      self.disconnect();
      lingering.stop();
    },
  };
  function hasCredit(): boolean {
    return self.creditNow.messages > 0 && self.creditNow.bytes > 0;
  }

  function isFullBatch(): boolean {
    const { waiting } = own;
    return waiting.amount >= batchMessages || waiting.utf8Size >= batchBytes;
  }

  function linger(): void {
    if (isLingering) return;
    isLingering = true;
    const over = () => {
      isLingering = false;
      if (own.waiting.amount === 0) return;
      self.isDue = true;
      self.pump();
    };
    if (lingerMs > 0) lingering.set(lingerMs, over);
    else queueMicrotask(over);
  }

  function sendWhatMayGo(): void {
    const { connection } = self;
    if (connection?.isWelcomed !== true) return;
    const { window, socket } = connection;
    if (connection.drainUntilMs === undefined) {
      // A later instance is told apart by the session: it has to be in the storage before anything is sent in it.
      if (deferral.isSet || window.unsavedSession !== undefined) return;
      while (self.connection === connection) {
        if ((socket.bufferedAmount ?? 0) > MAX_BUFFERED_BYTES) {
          if (!bufferedCheck.isSet) bufferedCheck.set(BUFFERED_RETRY_MS, () => self.pump());
          return;
        }
        const batch = window.cutBatches.at(window.cursor);
        if (batch ? !sendBatch(connection, batch) : !cutBatch(window)) break;
      }
      if (self.connection !== connection || window.cursor < window.cutBatches.amount) return;
      if (connection.isOwn && calls.isFlushDue && window.cut >= calls.flushUpTo) {
        calls.isFlushDue = false;
        if (!self.transmit(connection, '{"t":"flush"}')) return;
      }
    }
    parts.ending.sayBye(connection);
  }

  /** Sends the batch at the cursor, or as much of it as may go; false when nothing of it may. */
  function sendBatch(connection: Connection, batch: Batch): boolean {
    const { window } = connection;
    const credit = self.creditNow;
    const { frameMessages, frameBytes } = self.frameLimits;
    const roomBytes = frameBytes - HEADER_BYTES;
    const freeMessages = Math.min(frameMessages, credit.messages - window.outMessages);
    const freeBytes = Math.min(roomBytes, credit.bytes - window.outBytes);
    const isWaiting = window.outMessages > 0;
    let sending = batch;
    if (batch.count > freeMessages || batch.utf8Size > freeBytes) {
      const isFrameTooLarge = batch.count > frameMessages || batch.utf8Size > roomBytes;
      // A smaller piece would do, but the next ack brings room for all of it. Dropped ones fill any frame: not in pieces as
      // the credit trickles in.
      const isTrickle = !batch.text && freeMessages * 2 < credit.messages;
      if (isWaiting && (!isFrameTooLarge || isTrickle)) return false;
      const count = countThatFits(batch, freeMessages, freeBytes);
      if (count === 0 && (isWaiting || !hasCredit())) return false;
      sending = window.split(window.cursor, count || 1);
    }
    const { first, count, utf8Size: bytes } = sending;
    if (count === 1 && bytes > roomBytes) {
      // The limits have become smaller since this message was taken, and its place has to be used up all the same.
      window.dropOversized(sending);
      intake.refuseTooLarge(window, first, bytes - 1);
    }
    const nowMs = clock.now();
    if (window.cursor === 0) connection.awaitProgress(nowMs);
    if (!isWaiting) connection.outSinceMs = nowMs;
    const isNew = window.markSent(sending);
    counts.frames += 1;
    counts.sent += isNew;
    counts.resent += count - isNew;
    const frame = `{"t":"batch","seq":${first},"n":${count}}\n${linesOf(sending)}`;
    const isHandedOver = self.transmit(connection, frame);
    if (intake.ackLevel === 'none' && connection.isOwn) intake.settle();
    return isHandedOver;
  }

  /** Makes the next batch of what waits, as large as limits and credit allow; false when it is not time for one. */
  function cutBatch(window: SendWindow): boolean {
    const { waiting } = window;
    if (waiting.amount === 0) {
      self.isDue = false;
      return false;
    }
    if (!self.isDue && !parts.ending.isClosing && !isFullBatch()) {
      linger();
      return false;
    }
    const credit = self.creditNow;
    const { frameMessages, frameBytes } = self.frameLimits;
    const savedMessages = window.saved - window.cut;
    const maxMessages = Math.min(batchMessages, frameMessages, waiting.amount, savedMessages);
    if (maxMessages <= 0) return false;
    const maxBytes = Math.min(batchBytes, frameBytes - HEADER_BYTES);
    const freeMessages = credit.messages - window.outMessages;
    const freeBytes = credit.bytes - window.outBytes;
    let count = 0;
    let bytes = 0;
    while (count < maxMessages) {
      const size = waiting.sizeAt(count);
      if (count > 0 && bytes + size > maxBytes) break;
      if (count >= freeMessages || bytes + size > freeBytes) {
        // Small pieces as the credit trickles in would make every frame small: rather wait for half of it.
        const isMostTaken = freeMessages * 2 < credit.messages || freeBytes * 2 < credit.bytes;
        if (window.outMessages > 0 && (count === 0 || isMostTaken)) return false;
        break;
      }
      count += 1;
      bytes += size;
    }
    if (count === 0) {
      if (!hasCredit()) return false;
      count = 1;
      bytes = waiting.sizeAt(0);
    }
    window.cutBatch(count, bytes);
    if (waiting.amount === 0) self.isDue = false;
    return true;
  }

  return self;
}

export type Sender = ReturnType<typeof createSender>;
