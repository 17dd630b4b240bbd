/** A raw socket: frames in, error frames out, no acknowledgements (PROTOCOL.md, "Raw mode"). */

import { closeCode, closeReason, rawCloseCode } from '../core/errors.ts';
import { ERROR_BYTES_FORGIVEN_PER_SECOND, MAX_ERROR_BYTES, MAX_RATE_LIMITED_FRAMES } from '../core/limits.ts';
import type { Producer } from '../outbox/producer.ts';
import { refusalText } from '../protocol/frame.ts';
import type { Admission } from './admission.ts';
import type { Peer, Session, SessionAccess } from './intake.ts';
import { endOf } from './session-guard.ts';
import type { SessionQuota } from './session-quota.ts';

export class RawSession implements Session {
  readonly protocol = 'raw';
  readonly memory = undefined;
  readonly isWelcome = true;
  readonly #admission: Pick<Admission, 'takeRawFrame'>;
  readonly #peer: Peer;
  readonly #producer: Producer;
  /** When the right to speak ends. There is no way to ask for a fresh token, so the socket ends with it. */
  readonly #endsAtMs: number;
  readonly #quota: SessionQuota | undefined;
  /** Frames in a row that a limit refused. */
  #rateRefusals = 0;
  #isClosed = false;
  #errorBytes = 0;
  #lastErrorAtMs = 0;

  /**
   * @param access undefined: everybody may speak, without end
   * @param quota what the socket may send; undefined where nothing bounds it
   */
  constructor(
    admission: Pick<Admission, 'takeRawFrame'>,
    peer: Peer,
    producer: Producer,
    access: SessionAccess | undefined,
    quota?: SessionQuota,
  ) {
    this.#admission = admission;
    this.#peer = peer;
    this.#producer = producer;
    // Raw sockets have no hello that could bring a token later.
    this.#endsAtMs = access === undefined ? Number.POSITIVE_INFINITY : access.grant ? endOf(access.grant) : 0;
    this.#quota = quota;
  }

  receive(frame: string | ArrayBuffer, nowMs: number): void {
    // Frames that were on their way when the shard closed the socket still arrive. Taking one after a refused one
    // would leave a hole that the client cannot know of.
    if (this.#isClosed) return;
    if (nowMs >= this.#endsAtMs) {
      const reason = 'the token has expired: connect again with a fresh one';
      this.#close(rawCloseCode('unauthorized'), closeReason('unauthorized', reason));
      return;
    }
    if (frame === 'ping') {
      this.#peer.send('pong');
      this.#countAnswer('pong'.length, nowMs);
      return;
    }
    const receipt = this.#admission.takeRawFrame(this.#producer, frame, nowMs, this.#quota);
    const { errorFrame, isFull, fullCode = 'buffer_full', isRateLimited } = receipt;
    this.#rateRefusals = isRateLimited === true ? this.#rateRefusals + 1 : 0;
    if (errorFrame === undefined) return;
    this.#peer.send(errorFrame);
    if (this.#rateRefusals > MAX_RATE_LIMITED_FRAMES)
      this.#close(rawCloseCode('rate_limited'), 'rate_limited: wait as long as the error frames say');
    else if (isFull) this.#close(closeCode(fullCode), refusalText(fullCode));
    else this.#countAnswer(errorFrame.length, nowMs);
  }

  // A client that sends nonsense, or pings, and never reads would fill the shard's memory with answers.
  #countAnswer(bytes: number, nowMs: number): void {
    const forgiven = ((nowMs - this.#lastErrorAtMs) / 1000) * ERROR_BYTES_FORGIVEN_PER_SECOND;
    this.#errorBytes = Math.max(0, this.#errorBytes - forgiven) + bytes;
    this.#lastErrorAtMs = nowMs;
    if (this.#errorBytes > MAX_ERROR_BYTES) {
      this.#close(
        closeCode('too_many_errors'),
        'Too many refused frames: see the error frames for what is wrong',
      );
    }
  }

  #close(code: number, reason: string): void {
    this.#isClosed = true;
    this.#peer.close(code, reason.slice(0, 120));
  }

  end(): void {
    this.#isClosed = true;
    this.#quota?.leave();
  }
}
