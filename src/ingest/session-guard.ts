/**
 * Whether a session of `sluice.v1` may still speak (PROTOCOL.md, `auth`). The end of its grant is looked at when a frame comes
 * or goes. No timer does it: one for each socket would keep the shard awake for as long as sockets are open.
 */

import type { Grant } from '../access/grant.ts';
import { tenantOf } from '../access/producer-name.ts';
import { type ErrorCode, isSluiceError } from '../core/errors.ts';
import {
  AUTH_RETRY_MS,
  AUTH_TIME_LIMIT_MS,
  AUTHORIZE_TIME_LIMIT_MS,
  MAX_HELD_CHARACTERS,
  MAX_HELD_FRAMES,
} from '../core/limits.ts';
import { encodeAuth } from '../protocol/sluice-v1.ts';
import type { SessionAccess } from './intake.ts';

/** What the guard asks of its session. */
export interface GuardedSession {
  /** False until the client was welcomed: before, nobody is asked for a fresh token. */
  readonly isWelcome: boolean;
  send(frame: string): void;
  close(code: ErrorCode, reason: string): void;
  receive(frame: string | ArrayBuffer, nowMs: number): void;
  now(): number;
  /** `askedAtMs` has changed. */
  onAsked(): void;
}

const NEVER = Number.POSITIVE_INFINITY;

export class SessionGuard {
  /** There is nothing to look at before: this comparison is all that a frame costs. */
  dueAtMs = NEVER;
  readonly #access: SessionAccess | undefined;
  readonly #tenant: string | undefined;
  readonly #session: GuardedSession;
  #askedAtMs: number | undefined;
  /** The last fresh token could not be verified, for a reason that is not the client's. */
  #isUnavailable = false;
  /** Since when a token is being verified; at most one is at a time. */
  #verifyingSinceMs: number | undefined;
  /** The newest token that came meanwhile. */
  #waiting: string | undefined;
  /** What came after a hello whose token is being verified. */
  #held: (string | ArrayBuffer)[] | undefined;
  #heldCharacters = 0;
  #hasEnded = false;

  /**
   * @param access undefined: everybody may speak, without end
   * @param producer its whole name
   * @param askedAtMs when the client was asked for a fresh token, where that was before a hibernation
   */
  constructor(
    access: SessionAccess | undefined,
    producer: string,
    session: GuardedSession,
    askedAtMs: number | undefined,
  ) {
    this.#access = access;
    this.#tenant = tenantOf(producer);
    this.#session = session;
    this.#askedAtMs = askedAtMs;
    if (access?.grant !== undefined)
      this.dueAtMs = askedAtMs === undefined ? endOf(access.grant) : askedAtMs + AUTH_TIME_LIMIT_MS;
  }

  /** When the client was asked for a fresh token that has not come yet. */
  get askedAtMs(): number | undefined {
    return this.#askedAtMs;
  }

  /**
   * To be called for a frame that comes, from `dueAtMs` on.
   *
   * @returns false where the frame is not to be taken: it is held, or the session has ended
   */
  mayTake(frame: string | ArrayBuffer, nowMs: number): boolean {
    if (this.#held !== undefined) {
      this.#hold(this.#held, frame);
      return false;
    }
    this.look(nowMs);
    return !this.#hasEnded;
  }

  /** Asks for a fresh token where the grant has ended, and ends a session that has sent none in time. Due from `dueAtMs` on. */
  look(nowMs: number): void {
    if (this.#held !== undefined || !this.#session.isWelcome || this.#hasEnded) return;
    if (this.#askedAtMs === undefined) {
      this.#askedAtMs = nowMs;
      this.#session.onAsked();
      this.#ask(nowMs, AUTH_TIME_LIMIT_MS);
      return;
    }
    const leftMs = this.#askedAtMs + AUTH_TIME_LIMIT_MS - nowMs;
    if (leftMs > 0) this.#ask(nowMs, leftMs);
    else if (this.#verifyingSinceMs !== undefined && nowMs - this.#verifyingSinceMs < AUTHORIZE_TIME_LIMIT_MS)
      // It came in time, and to verify it may take a moment longer.
      this.dueAtMs = this.#verifyingSinceMs + AUTHORIZE_TIME_LIMIT_MS;
    else if (this.#verifyingSinceMs !== undefined || this.#isUnavailable)
      this.#end(
        'authorization_unavailable',
        'it cannot be found out now whether the token is good: connect again',
      );
    else this.#end('unauthorized', 'the token has expired, and no fresh one came in time');
  }

  #ask(nowMs: number, leftMs: number): void {
    this.#isUnavailable = false;
    this.dueAtMs = nowMs + leftMs;
    this.#session.send(encodeAuth(leftMs));
  }

  /** A fresh token has come. Frames go on while it is verified. */
  renew(token: string): void {
    if (this.#access?.grant === undefined) return;
    if (this.#verifyingSinceMs !== undefined) {
      this.#waiting = token;
      return;
    }
    this.#verify(token, () => {
      const next = this.#waiting;
      this.#waiting = undefined;
      if (next !== undefined) this.renew(next);
    });
  }

  /**
   * True where a hello may be handled now. False where its token has to be verified first, after which `welcome` is called and
   * what came in between is taken; or where the session has ended.
   */
  admits(token: string | undefined, welcome: () => void): boolean {
    if (this.#access === undefined) return true;
    if (this.#access.grant !== undefined) {
      if (token === undefined) return true;
      this.#end(
        'invalid_hello',
        'the client has said in its upgrade who it is: leave token out of the hello',
      );
      return false;
    }
    if (token === undefined) {
      this.#end('unauthorized', 'a token is asked for: send one in the upgrade or in the hello');
      return false;
    }
    this.#held = [];
    // From now on each frame is looked at.
    this.dueAtMs = 0;
    this.#verify(token, () => {
      const held = this.#held ?? [];
      this.#held = undefined;
      welcome();
      for (const frame of held) this.#session.receive(frame, this.#session.now());
    });
    return false;
  }

  #hold(held: (string | ArrayBuffer)[], frame: string | ArrayBuffer): void {
    this.#heldCharacters += typeof frame === 'string' ? frame.length : frame.byteLength;
    if (held.length >= MAX_HELD_FRAMES || this.#heldCharacters > MAX_HELD_CHARACTERS)
      this.#end('over_credit', 'wait for the welcome: the token of the hello is being verified');
    else held.push(frame);
  }

  #verify(token: string, onGood: () => void): void {
    const access = this.#access as SessionAccess;
    const isHello = access.grant === undefined;
    this.#verifyingSinceMs = this.#session.now();
    // A function of the user's may throw before there is a promise.
    void (async () => access.authorize(token))().then(
      (grant) => {
        if (this.#hasEnded) return;
        this.#verifyingSinceMs = undefined;
        if (this.#accept(access, grant)) onGood();
      },
      (error: unknown) => {
        if (this.#hasEnded) return;
        this.#verifyingSinceMs = undefined;
        const code = isSluiceError(error) ? error.code : 'authorization_unavailable';
        if (isSluiceError(error) && (code === 'unauthorized' || code === 'forbidden'))
          this.#end(code, error.message);
        else if (isHello)
          this.#end('authorization_unavailable', 'it cannot be found out now whether the token is good');
        else this.#later(onGood);
      },
    );
  }

  #accept(access: SessionAccess, grant: Grant): boolean {
    if (grant.tenant !== this.#tenant) {
      this.#end('forbidden', 'the token is of another tenant than this producer');
      return false;
    }
    if (endOf(grant) <= this.#session.now()) {
      this.#end('unauthorized', 'the token has expired');
      return false;
    }
    access.grant = grant;
    access.onGrant(grant);
    this.dueAtMs = endOf(grant);
    this.#isUnavailable = false;
    if (this.#askedAtMs !== undefined) {
      this.#askedAtMs = undefined;
      this.#session.onAsked();
    }
    return true;
  }

  // Asked again at once, a client that answers at once would ask for ever those that are down already.
  #later(goOn: () => void): void {
    if (this.#askedAtMs !== undefined) {
      this.#isUnavailable = true;
      const endMs = this.#askedAtMs + AUTH_TIME_LIMIT_MS;
      this.dueAtMs = Math.min(endMs, this.#session.now() + AUTH_RETRY_MS);
    }
    goOn();
  }

  #end(code: ErrorCode, reason: string): void {
    this.#session.close(code, reason);
  }

  /** The session has ended: what is being verified changes nothing any more. */
  end(): void {
    this.#hasEnded = true;
    this.#held = undefined;
    this.#waiting = undefined;
    this.dueAtMs = NEVER;
  }
}

/** When a grant ends. */
export function endOf({ expiresAtMs }: Grant): number {
  return expiresAtMs ?? NEVER;
}
