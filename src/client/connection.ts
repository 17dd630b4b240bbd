import type { AckLevel } from './ack-level.ts';
import type { WebSocketLike } from './options.ts';
import type { SendWindow } from './send-window.ts';

/** A socket, and what there is to know of it. Times are those of the client's clock. */
export class Connection {
  readonly socket: WebSocketLike;
  /** Whose messages go over it. */
  readonly window: SendWindow;
  /** It is the client's own window, and not that of an older instance. */
  readonly isOwn: boolean;
  readonly openedMs: number;
  isWelcomed = false;
  /** Time of the last frame, in either form. */
  heardMs: number;
  /** When the question was asked that is not answered yet. */
  askedMs: number | undefined;
  erroredMs: number | undefined;
  byeMs: number | undefined;
  /** The server is about to go: nothing more is sent, and the next connection begins then. */
  drainUntilMs: number | undefined;
  ackLevel: AckLevel = 'stored';
  /** Since when an ack is awaited: one of the level, and one that says stored. */
  progressMs = 0;
  outSinceMs = 0;
  askedForAck = false;

  constructor(socket: WebSocketLike, window: SendWindow, isOwn: boolean, nowMs: number) {
    this.socket = socket;
    this.window = window;
    this.isOwn = isOwn;
    this.openedMs = this.heardMs = nowMs;
  }

  /** From now on the next ack is awaited. */
  awaitProgress(nowMs: number): void {
    this.progressMs = nowMs;
    this.askedForAck = false;
  }

  close(): void {
    try {
      this.socket.close(1000);
    } catch {
      // It was closed, or never open.
    }
  }
}
